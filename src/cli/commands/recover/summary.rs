//! What became of all items of a recovery.

use std::time::Duration;

use serde::Serialize;

use crate::cli::commands::worker::report::{Ending, Report};

/// How many items that are not done are told in the summary.
const TOLD: usize = 20;

/// How many items ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Items that are done.
    pub done: u64,
    /// Items that have failed.
    pub failed: u64,
    /// Items that are tried again later.
    pub to_be_retried: u64,
    /// Items that were closed meanwhile, or went to another.
    pub lost: u64,
    /// Items that were given back unharmed.
    pub skipped: u64,
}

/// What became of all items of a recovery.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// How many ended how.
    #[serde(flatten)]
    pub counts: Counts,
    /// Whether somebody interrupted it.
    pub interrupted: bool,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The first items that are not done; at most [`TOLD`].
    pub not_done: Vec<Report>,
}

impl Counts {
    /// Counts an item that ended like this.
    pub fn count(&mut self, ending: Ending) {
        *match ending {
            Ending::Done => &mut self.done,
            Ending::Failed => &mut self.failed,
            Ending::Retry => &mut self.to_be_retried,
            Ending::Lost => &mut self.lost,
            Ending::Skipped => &mut self.skipped,
        } += 1;
    }

    /// How many items there are.
    pub fn items(&self) -> u64 {
        self.done + self.left()
    }

    /// How many of them are not done.
    pub fn left(&self) -> u64 {
        self.failed + self.to_be_retried + self.lost + self.skipped
    }

    /// It for people, in one line.
    pub fn line(&self, took: Duration) -> String {
        let Self { done, failed, to_be_retried, lost, skipped } = self;
        let took = Duration::from_millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        // The milliseconds of an hour tell nobody anything.
        let took = if took >= Duration::from_secs(10) { Duration::from_secs(took.as_secs()) } else { took };
        format!(
            "done {done}, failed {failed}, to be retried {to_be_retried}, lost {lost}, skipped {skipped}, in {}",
            humantime::format_duration(took)
        )
    }
}

impl Summary {
    /// Takes note of what became of an item.
    pub fn note(&mut self, report: Report) {
        self.counts.count(report.ending);
        if report.ending != Ending::Done && self.not_done.len() < TOLD {
            self.not_done.push(report);
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A report of an item that ended like this.
    pub fn report(ending: Ending) -> Report {
        let reason = if ending == Ending::Done { String::new() } else { "exit 3: no".to_owned() };
        Report { workflow: "uploads".to_owned(), id: "a".to_owned(), ending, reason }
    }

    #[test]
    fn each_item_counts_once_and_the_first_that_are_not_done_are_told() {
        let mut summary = Summary::default();
        let endings = [
            (Ending::Done, 40),
            (Ending::Failed, 30),
            (Ending::Retry, 3),
            (Ending::Lost, 2),
            (Ending::Skipped, 1),
        ];
        for (ending, times) in endings {
            (0..times).for_each(|_| summary.note(report(ending)));
        }
        let counts = summary.counts;
        assert_eq!((counts.items(), counts.left()), (76, 36));
        assert_eq!(
            counts.line(Duration::from_micros(1_234_567)),
            "done 40, failed 30, to be retried 3, lost 2, skipped 1, in 1s 234ms"
        );
        assert!(counts.line(Duration::from_millis(3_601_234)).ends_with("in 1h 1s"));
        let document = serde_json::to_value(&summary).unwrap();
        assert_eq!((&document["done"], &document["failed"]), (&40.into(), &30.into()));
        assert_eq!(document["not_done"].as_array().unwrap().len(), TOLD);
        let expected = serde_json::json!({
            "workflow": "uploads", "id": "a", "ending": "failed", "reason": "exit 3: no",
        });
        assert_eq!(document["not_done"][0], expected);
    }
}
