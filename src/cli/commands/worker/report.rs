//! The results of items.

use std::time::Duration;

use serde::Serialize;

use super::events::Standing;
use crate::cli::terminal::table::escaped;

/// How the attempt at an item ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The command succeeded, and the lease is settled.
    Done,
    /// Failed for good; a person has to act.
    Failed,
    /// Failed, and will be retried automatically.
    Retry,
    /// Closed meanwhile, or its lease expired or was lost.
    Lost,
    /// Claimed and released.
    Skipped,
}

impl Ending {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Retry => "to be retried",
            Self::Lost => "lost",
            Self::Skipped => "skipped",
        }
    }
}

/// The result of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub workflow: String,
    pub id: String,
    pub ending: Ending,
    /// Why the item is not done, in one line; empty if it is.
    pub reason: String,
}

impl Report {
    /// The item in one line; `None` if it is done.
    pub fn line(&self) -> Option<String> {
        let Self { workflow, id, ending, reason } = self;
        let line = format!("{workflow}/{id} {}: {reason}", ending.as_str());
        (*ending != Ending::Done).then(|| escaped(&line))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub done: u64,
    pub failed: u64,
    pub to_be_retried: u64,
    pub lost: u64,
    pub skipped: u64,
}

impl Counts {
    pub fn count(&mut self, ending: Ending) {
        *match ending {
            Ending::Done => &mut self.done,
            Ending::Failed => &mut self.failed,
            Ending::Retry => &mut self.to_be_retried,
            Ending::Lost => &mut self.lost,
            Ending::Skipped => &mut self.skipped,
        } += 1;
    }

    /// All items.
    pub fn items(&self) -> u64 {
        self.done + self.left()
    }

    /// The items that are not done.
    pub fn left(&self) -> u64 {
        self.failed + self.to_be_retried + self.lost + self.skipped
    }

    /// For the display: what went wrong only if something did.
    pub fn standing(&self) -> Standing {
        let Self { done, failed, to_be_retried, lost, .. } = self;
        let others = [(failed, "failed"), (to_be_retried, "to be retried"), (lost, "lost")];
        let others =
            others.iter().filter(|(count, _)| **count > 0).map(|(count, word)| format!(", {count} {word}"));
        Standing { ended: self.items(), text: format!("{done} done{}", others.collect::<String>()) }
    }

    /// One line for people.
    pub fn line(&self, took: Duration) -> String {
        let Self { done, failed, to_be_retried, lost, skipped } = self;
        let took = rounded(took);
        format!(
            "done {done}, failed {failed}, to be retried {to_be_retried}, lost {lost}, skipped {skipped}, \
             in {took}"
        )
    }
}

/// A duration for a summary.
pub fn rounded(took: Duration) -> humantime::FormattedDuration {
    let took = Duration::from_millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    // Milliseconds do not matter in long runs.
    let took = if took >= Duration::from_secs(10) { Duration::from_secs(took.as_secs()) } else { took };
    humantime::format_duration(took)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn report(ending: Ending) -> Report {
        let reason = if ending == Ending::Done { String::new() } else { "exit 3: no".to_owned() };
        Report { workflow: "uploads".to_owned(), id: "a".to_owned(), ending, reason }
    }

    #[test]
    fn an_item_that_is_not_done_is_told_in_one_line_that_steers_no_terminal() {
        let mut failed = report(Ending::Failed);
        failed.id = "a\nb".to_owned();
        assert_eq!(failed.line().as_deref(), Some("uploads/a\\nb failed: exit 3: no"));
        assert_eq!(report(Ending::Retry).line().as_deref(), Some("uploads/a to be retried: exit 3: no"));
        assert_eq!(report(Ending::Done).line(), None);
    }

    #[test]
    fn how_far_it_is_names_what_went_wrong_only_if_something_did() {
        let counts = Counts { done: 118, failed: 2, ..Counts::default() };
        assert_eq!(counts.standing(), Standing { ended: 120, text: "118 done, 2 failed".to_owned() });
        assert_eq!(Counts::default().standing().text, "0 done");
    }
}
