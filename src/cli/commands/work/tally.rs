//! The results of a worker.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use warden_client::worker::{Ending, Report};

use crate::cli::commands::worker::events::Standing;
use crate::cli::commands::worker::report::rounded;
use crate::cli::terminal::table::escaped;

/// How many runs of steps ended in which way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<Ending, u64>);

impl Tally {
    pub fn count(&mut self, ending: Ending) {
        *self.0.entry(ending).or_default() += 1;
    }

    fn of(&self, ending: Ending) -> u64 {
        self.0.get(&ending).copied().unwrap_or(0)
    }

    /// All runs.
    pub fn runs(&self) -> u64 {
        self.0.values().sum()
    }

    /// The runs after which the item did not go on.
    pub fn left(&self) -> u64 {
        let stays = [Ending::Interrupted, Ending::Retried, Ending::Failed, Ending::Released, Ending::Lost];
        stays.iter().map(|ending| self.of(*ending)).sum()
    }

    /// For the display: what happened only if it did.
    pub fn standing(&self) -> Standing {
        let others = Ending::ALL.iter().filter(|ending| **ending != Ending::Done && self.of(**ending) > 0);
        let others = others.map(|ending| format!(", {} {}", self.of(*ending), ending.as_str()));
        let text = format!("{} done{}", self.of(Ending::Done), others.collect::<String>());
        Standing { ended: self.runs(), text }
    }

    /// One line for people.
    pub fn line(&self, took: Duration) -> String {
        format!("steps: {}, in {}", self.standing().text, rounded(took))
    }

    pub fn document(&self, took: Duration) -> Summary {
        let of = |ending| self.of(ending);
        Summary {
            done: of(Ending::Done),
            skipped: of(Ending::Skipped),
            interrupted: of(Ending::Interrupted),
            ignored: of(Ending::Ignored),
            to_be_retried: of(Ending::Retried),
            failed: of(Ending::Failed),
            released: of(Ending::Released),
            lost: of(Ending::Lost),
            seconds: took.as_secs_f64(),
        }
    }
}

/// The document of `--output json`.
#[derive(Debug, Serialize)]
pub struct Summary {
    done: u64,
    skipped: u64,
    interrupted: u64,
    ignored: u64,
    to_be_retried: u64,
    failed: u64,
    released: u64,
    lost: u64,
    seconds: f64,
}

/// A run in one line; `None` if its step is done.
pub fn line(report: &Report) -> Option<String> {
    let Report { workflow, id, step, ending, message, .. } = report;
    let step = step.as_deref().map(|step| format!(" at {step}")).unwrap_or_default();
    // The last line that says something, as with `recover`.
    let reason = message.lines().rev().map(str::trim).find(|line| !line.is_empty());
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    (*ending != Ending::Done).then(|| escaped(&format!("{workflow}/{id}{step} {}{reason}", ending.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_counts_once_and_those_after_which_an_item_stays_are_known() {
        let mut tally = Tally::default();
        for (ending, times) in Ending::ALL.into_iter().zip(1..) {
            (0..times).for_each(|_| tally.count(ending));
        }
        assert_eq!((tally.runs(), tally.left()), (36, 3 + 5 + 6 + 7 + 8));
        let expected = "steps: 1 done, 2 skipped, 3 interrupted, 4 ignored, 5 to be retried, 6 failed, 7 \
                        released, 8 lost, in 1s 234ms";
        assert_eq!(tally.line(Duration::from_micros(1_234_567)), expected);
        let document = serde_json::to_value(tally.document(Duration::from_secs(2))).unwrap();
        assert_eq!((&document["ignored"], &document["seconds"]), (&4.into(), &2.0.into()));
    }

    #[test]
    fn a_run_that_is_not_done_is_told_in_one_line_that_steers_no_terminal() {
        let report = |ending, message: &str| Report {
            workflow: "etl".into(),
            id: "a\nb".into(),
            step: Some("load".into()),
            ending,
            message: message.to_owned(),
            item: None,
        };
        let told = line(&report(Ending::Failed, "exit 3: trying\nno host\u{1b}\n"));
        assert_eq!(told.as_deref(), Some("etl/a\\nb at load failed: no host\\u{1b}"));
        assert_eq!(line(&report(Ending::Skipped, "")).as_deref(), Some("etl/a\\nb at load skipped"));
        assert_eq!(line(&report(Ending::Done, "")), None);
    }
}
