//! The results of a recovery.

use serde::Serialize;

use crate::cli::commands::worker::report::{Counts, Ending, Report};

/// The most items listed in the summary.
const LISTED_MAX: usize = 20;

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    #[serde(flatten)]
    pub counts: Counts,
    pub interrupted: bool,
    pub seconds: f64,
    /// At most [`LISTED_MAX`].
    pub not_done: Vec<Report>,
}

impl Summary {
    pub fn add(&mut self, report: Report) {
        self.counts.count(report.ending);
        if report.ending != Ending::Done && self.not_done.len() < LISTED_MAX {
            self.not_done.push(report);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::commands::worker::report::tests::report;

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
            (0..times).for_each(|_| summary.add(report(ending)));
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
        assert_eq!(document["not_done"].as_array().unwrap().len(), LISTED_MAX);
        let expected = serde_json::json!({
            "workflow": "uploads", "id": "a", "ending": "failed", "reason": "exit 3: no",
        });
        assert_eq!(document["not_done"][0], expected);
    }
}
