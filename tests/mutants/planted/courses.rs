//! Bugs by which an item leaves its course through the steps.

use super::Planted;

pub const PLANTED: &[Planted] = &[
    Planted {
        name: "the counters of a step are not reset at the next one",
        file: "src/model/item/course.rs",
        original: r#"        self.course.losses = 0;
        self.course.interruption = None;"#,
        planted: r#"        if !BUG { self.course.losses = 0 }
        self.course.interruption = None;"#,
        caught_by: &["took its counters to another step"],
    },
    Planted {
        name: "an interrupted item is repeated before it is due",
        file: "src/model/item/course.rs",
        original: "Some(Interruption { at: moment.now, until: due });",
        planted: "Some(Interruption { at: moment.now, until: if BUG { Some(moment.now) } else { due } });",
        caught_by: &["is repeated at another time than was asked for"],
    },
    Planted {
        name: "a step that is complete runs again",
        file: "src/model/item/course.rs",
        original: "let first = here.map_or(0, |here| here + 1);",
        planted: "let first = here.map_or(0, |here| if BUG { here } else { here + 1 });",
        caught_by: &["is at the step again that it completed"],
    },
    Planted {
        name: "an item goes on after a fatal error",
        file: "src/model/item/lease.rs",
        original: "error.fatal = ends || (!ignorable && wait.is_none());",
        planted: "error.fatal = !BUG && (ends || (!ignorable && wait.is_none()));",
        caught_by: &["goes on after a fatal error"],
    },
    Planted {
        name: "an item is claimed before its time",
        file: "src/model/item/work.rs",
        original: "            self.course.not_before,",
        planted: "            self.course.not_before.filter(|_| !BUG),",
        caught_by: &["was claimed before its time"],
    },
];
