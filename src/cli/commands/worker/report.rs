//! What became of one item.

use std::time::Duration;

use serde::Serialize;

/// How the attempt at an item ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The command did it, and the daemon knows.
    Done,
    /// It has failed and waits for somebody to act.
    Failed,
    /// It went wrong, and is tried again later without anybody's doing.
    Retry,
    /// It was closed meanwhile, or its lease ran out or went to another.
    Lost,
    /// It was claimed and given back.
    Skipped,
}

impl Ending {
    /// The word for it.
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

/// What became of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The workflow it belongs to.
    pub workflow: String,
    /// Its id within the workflow.
    pub id: String,
    /// How it ended.
    pub ending: Ending,
    /// Why it is not done, in one line; empty when it is.
    pub reason: String,
}

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

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A report of an item that ended like this.
    pub fn report(ending: Ending) -> Report {
        let reason = if ending == Ending::Done { String::new() } else { "exit 3: no".to_owned() };
        Report { workflow: "uploads".to_owned(), id: "a".to_owned(), ending, reason }
    }
}
