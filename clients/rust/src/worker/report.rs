//! What a worker tells of its work.

use std::sync::Arc;
use std::time::Duration;

use warden_api::Item;

use crate::error::Error;

/// How a run of a handler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// The step is done.
    Done,
    /// The step was skipped.
    Skipped,
    /// The item waits for its repetition or for a person.
    Interrupted,
    /// It failed with an error that is ignored.
    Ignored,
    /// It failed and will be retried.
    Retried,
    /// The item has failed: a person has to act.
    Failed,
    /// It was given back as if it had not been claimed.
    Released,
    /// Its lease was lost.
    Lost,
}

impl Ending {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::Skipped,
        Self::Interrupted,
        Self::Ignored,
        Self::Retried,
        Self::Failed,
        Self::Released,
        Self::Lost,
    ];

    /// In a word or a few.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Interrupted => "interrupted",
            Self::Ignored => "ignored",
            Self::Retried => "to be retried",
            Self::Failed => "failed",
            Self::Released => "released",
            Self::Lost => "lost",
        }
    }
}

/// The end of a run of a handler.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The workflow of the item.
    pub workflow: Arc<str>,
    /// The id of the item within its workflow.
    pub id: Arc<str>,
    /// The step, if the item was at one.
    pub step: Option<Arc<str>>,
    /// How it ended.
    pub ending: Ending,
    /// Why; empty if nothing was said.
    pub message: String,
    /// The item afterwards, unless the lease was lost.
    pub item: Option<Box<Item>>,
}

/// Something that happens to a worker.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A handler begins with this item.
    Begun(&'a Item),
    /// A handler has ended, and the daemon knows.
    Ended(&'a Report),
    /// A claim failed; the next one follows after this time.
    Waiting(&'a Error, Duration),
    /// The daemon answers again.
    Resumed,
}
