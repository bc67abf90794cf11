//! What the warden says of a run that it opened.

use std::collections::BTreeMap;
use std::time::Duration;

use warden_api::item::ItemAnswer;
use warden_api::run::{RunEnvironment, VariableError};
use warden_api::word::{ItemState, RunStatus};
use warden_api::{Item, WallTime};

use super::super::open::Opened;
use super::super::spool::report::Report;
use crate::model::{Timestamp, parse_duration};

/// A run that was opened.
pub struct Begun {
    /// What `warden params --format env` prints, or why it does not.
    pub variables: Result<BTreeMap<String, String>, VariableError>,
    /// The deadline, and how long it is until then.
    pub deadline: Option<(String, Duration)>,
}

impl Begun {
    pub fn of(opened: &Opened, answer: &ItemAnswer, report: &Report, now: Timestamp) -> Self {
        Self { variables: variables(opened, answer, report), deadline: left(answer, now) }
    }
}

/// The deadline of a run, and how long it is from its beginning, or from now if it began earlier and is taken
/// up again. Now is by the clock of this machine, as the daemon does not tell its own.
fn left(answer: &ItemAnswer, now: Timestamp) -> Option<(String, Duration)> {
    match answer {
        ItemAnswer::Item(item) => Some(until(item.deadline.into(), item, now)),
        ItemAnswer::Receipt(receipt) => {
            let deadline = receipt.deadline?;
            Some((deadline.to_string(), Timestamp::from(deadline).since(now)))
        }
    }
}

fn until(deadline: Timestamp, item: &Item, now: Timestamp) -> (String, Duration) {
    (deadline.to_string(), deadline.since(began(item).max(now)))
}

fn began(item: &Item) -> Timestamp {
    item.started_at.unwrap_or(item.created_at).into()
}

/// The deadline of a run that is taken up again, as heartbeats have brought its own one near. `opened` is
/// that with which runs are opened: a duration from the beginning, or an instant.
pub fn whole_deadline(item: &Item, opened: &str, now: Timestamp) -> Option<(String, Duration)> {
    let opened = match parse_duration(opened) {
        Ok(duration) => began(item).after(duration),
        Err(_) => Timestamp::parse(opened).ok()?,
    };
    // A person may have given it a later one.
    Some(until(opened.max(item.deadline.into()), item, now))
}

fn variables(
    opened: &Opened,
    answer: &ItemAnswer,
    report: &Report,
) -> Result<BTreeMap<String, String>, VariableError> {
    let (state, started_at) = match answer {
        ItemAnswer::Item(item) => (&item.state, item.started_at),
        ItemAnswer::Receipt(receipt) => (&receipt.state, Some(WallTime::read(report.started_at))),
    };
    // One that has failed can be taken up too.
    let status = if *state == ItemState::Failed { RunStatus::Failed } else { RunStatus::Open };
    let Opened { id, number, params, .. } = opened;
    RunEnvironment { id, number: *number, status, started_at, params }.variables()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::sample::{item, now};
    use super::*;

    #[test]
    fn a_run_that_is_taken_up_has_what_is_left_until_its_deadline() {
        let left_of = |started_at: &str| {
            let run = json!({"deadline": "2026-01-31T13:00:00.000Z", "started_at": started_at});
            left(&ItemAnswer::Item(Box::new(item(run))), now()).unwrap().1
        };
        assert_eq!(left_of("2026-01-31T11:00:00.000Z"), Duration::from_secs(30 * 60));
        // By a clock that is ahead of this one.
        assert_eq!(left_of("2026-01-31T12:40:00.000Z"), Duration::from_secs(20 * 60));
    }

    #[test]
    fn a_run_that_heartbeats_kept_alive_may_last_as_long_as_one_that_is_opened() {
        let run = json!({"deadline": "2026-01-31T12:31:00.000Z", "started_at": "2026-01-31T12:00:00.000Z"});
        let run = item(run);
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        let whole = |opened: &str| whole_deadline(&run, opened, now());
        let at_two = Some(("2026-01-31T14:00:00.000Z".to_owned(), minutes(90)));
        assert_eq!(whole("2h"), at_two);
        assert_eq!(whole("2026-01-31T14:00:00Z"), at_two);
        assert_eq!(whole("10m"), Some(("2026-01-31T12:31:00.000Z".to_owned(), minutes(1))));
        assert_eq!(whole("soon"), None);
    }
}
