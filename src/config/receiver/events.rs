//! The events that a receiver asks for.

use warden_api::word::Event;

use super::form::ReceiverFormat;
use crate::config::checks::Checks;
use crate::config::path::SettingPath;
use crate::model::{EventSet, nearest};
use crate::notifier::format::Asked;

/// The word for all events of incidents. They are not chosen one by one, since whoever is told of an opening
/// has to be told of the end.
const INCIDENT: &str = "incident";

/// Invalid words are reported. Without any, a receiver asks for what its format is for.
pub(super) fn resolve(
    checks: &mut Checks<'_>,
    path: &SettingPath,
    written: Option<&[String]>,
    format: ReceiverFormat,
) -> Asked {
    let takes = taken_by(format);
    let Some(written) = written else { return if takes.incidents { Asked::INCIDENTS } else { takes } };
    if written.is_empty() {
        checks.problem(path, "is empty, so the receiver would never be notified");
    }
    let mut asked = Asked { incidents: false, events: EventSet::NONE };
    for (index, word) in written.iter().enumerate() {
        let path = path.index(index);
        let event = word.parse::<Event>().ok().filter(|event| EventSet::of_items().contains(*event));
        if written[..index].contains(word) {
            checks.problem(&path, format!("names {word:?} a second time"));
        } else if word == INCIDENT {
            asked.incidents = true;
        } else if let Some(event) = event {
            asked.events = asked.events.union([event].into_iter().collect());
        } else {
            checks.problem(&path, unknown(word));
            continue;
        }
        let is_taken = event.map_or(takes.incidents, |event| takes.events.contains(event));
        if !is_taken {
            let taken = words(takes).collect::<Vec<_>>().join(", ");
            checks.problem(&path, format!("the format {} takes only: {taken}", format.as_str()));
        }
    }
    asked
}

/// What the notifications of a format can be about. An alert is over when its incident is; nothing would end
/// that of an event.
fn taken_by(format: ReceiverFormat) -> Asked {
    match format {
        ReceiverFormat::Alertmanager | ReceiverFormat::PagerDuty => Asked::INCIDENTS,
        ReceiverFormat::OpenLineage => Asked { incidents: false, events: EventSet::of_runs() },
        _ => Asked { incidents: true, events: EventSet::of_items() },
    }
}

fn words(asked: Asked) -> impl Iterator<Item = &'static str> {
    asked.incidents.then_some(INCIDENT).into_iter().chain(asked.events.iter().map(Event::as_str))
}

fn unknown(word: &str) -> String {
    let all = || words(Asked { incidents: true, events: EventSet::of_items() });
    match nearest(word, all()) {
        Some(meant) => format!("{word:?} is no event; did you mean {meant:?}?"),
        None => format!("{word:?} is no event; there are: {}", all().collect::<Vec<_>>().join(", ")),
    }
}
