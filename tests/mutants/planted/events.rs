//! Bugs by which a receiver of events misses something, or hears it twice or out of order.

use super::Planted;

pub const PLANTED: &[Planted] = &[
    Planted {
        name: "the event of a failed run is missing",
        file: "src/store/command/events.rs",
        original: "        RunStatus::Failed => Some(Event::RunFailed),",
        planted: "        RunStatus::Failed => (!BUG).then_some(Event::RunFailed),",
        caught_by: &[" and was heard to go "],
    },
    Planted {
        name: "an event stays when it has its deliveries",
        file: "src/store/command/events.rs",
        original: "    if documents::remove_one(DocumentId::Event(number), rows, changes)? {",
        planted: "    if BUG || documents::remove_one(DocumentId::Event(number), rows, changes)? {",
        caught_by: &[" twice", "somebody turns in a circle"],
    },
    Planted {
        name: "the event of an overdue run is not noted",
        file: "src/model/item/running.rs",
        original: "        if is_news {",
        planted: "        if is_news && !BUG {",
        caught_by: &["run.overdue of "],
    },
    Planted {
        name: "the events of an item have no order",
        file: "src/warden/events/mod.rs",
        original: "                sequence: event.number,",
        planted: "                sequence: if BUG { u64::MAX - event.number } else { event.number },",
        caught_by: &[" and was heard to go ", ", after it had heard that it is closed", " twice"],
    },
    Planted {
        name: "events of overdue runs are lost when the store takes nothing",
        file: "src/warden/events/mod.rs",
        original: "                self.census.put_back_untold(overdue);\n                return Err(error);",
        planted: r#"                if !BUG {
                    self.census.put_back_untold(overdue);
                }
                return Err(error);"#,
        caught_by: &[" is overdue, and nobody has heard of it"],
    },
];
