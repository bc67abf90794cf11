//! What became of one item.

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
