//! What a check says: what was found, or why nothing was.

use std::io;
use std::path::PathBuf;

use super::super::open_error::OpenError;
use crate::model::ItemKey;

/// Why a directory was not checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A daemon works in it.
    #[error(
        "a warden is running on the data directory {0}, which changes while it is read; stop it first, or check a copy of the \
         directory that was made while it was stopped"
    )]
    Locked(PathBuf),
    /// There is nothing to check.
    #[error("{path} {problem}; nothing was checked")]
    NoData {
        /// The directory.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// It is of an earlier or later format.
    #[error(
        "{path} has the format {found:?}, and was not checked, so this says nothing of its data: {remedy}"
    )]
    Format {
        /// The directory.
        path: PathBuf,
        /// The format.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// It cannot be read at all.
    #[error(transparent)]
    Unusable(#[from] OpenError),
    /// There is no room for the copy of a generation.
    #[error(
        "no room in {path}: a part of the data is copied there before it is opened, which takes {needed} bytes, and {free} are \
         free; set TMPDIR to a directory on a file system with more room"
    )]
    NoRoom {
        /// Where copies go.
        path: PathBuf,
        /// How many bytes it takes.
        needed: u64,
        /// How many there are.
        free: u64,
    },
    /// The copy of a generation cannot be written.
    #[error(
        "cannot copy a part of the data to {path}: {error}; set TMPDIR to a directory that can be written and has room"
    )]
    Scratch {
        /// Where copies go.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It was asked to end.
    #[error("it was stopped before all was read")]
    Stopped,
}

/// Something that is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file or directory, as a path within the data directory.
    pub place: String,
    /// The item, if it is about one.
    pub item: Option<ItemKey>,
    /// What is wrong, as words behind one of the two.
    pub problem: String,
}

/// What a generation holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerationHeld {
    /// Its path within the data directory.
    pub place: String,
    /// Items, and documents, of which the latest word stands there.
    pub items: u64,
    /// See above.
    pub documents: u64,
    /// What its files take.
    pub bytes: u64,
}

/// What the log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogHeld {
    /// Records that are not in the generations yet.
    pub records: u64,
    /// Items that they say something of, each as often as they do.
    pub changes: u64,
    /// What its files take.
    pub bytes: u64,
    /// A record at its end that was broken off: its number, and how many bytes of it are there. Nobody was told that it was
    /// done.
    pub torn: Option<(u64, usize)>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The generations that could be read, the oldest first.
    pub generations: Vec<GenerationHeld>,
    /// The log, if it could be read.
    pub log: Option<LogHeld>,
    /// What is no damage, and yet to be known.
    pub notes: Vec<String>,
    /// What is damaged.
    pub findings: Vec<Finding>,
}
