//! The result of a check of the files of a store.

use std::io;
use std::path::PathBuf;

use super::OpenError;
use crate::model::ItemKey;

/// Why a directory could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A daemon has locked it.
    #[error(
        "a warden is running on the data directory {0}, which changes while it is read; stop it first, or \
         check a copy of the directory that was made while it was stopped"
    )]
    Locked(PathBuf),
    /// It holds no data.
    #[error("{path} {problem}; nothing was checked")]
    NoData { path: PathBuf, problem: String },
    /// It has another format.
    #[error(
        "{path} has the format {found:?}, and was not checked, so this says nothing of its data: {remedy}"
    )]
    Format { path: PathBuf, found: String, remedy: &'static str },
    /// It cannot be read.
    #[error(transparent)]
    Unusable(OpenError),
    /// The copy of a generation does not fit.
    #[error(
        "no room in {path}: a part of the data is copied there before it is opened, which takes {needed} \
         bytes, and {free} are free; set TMPDIR to a directory on a file system with more room"
    )]
    NoRoom {
        /// The directory for copies.
        path: PathBuf,
        /// In bytes.
        needed: u64,
        /// In bytes.
        free: u64,
    },
    /// The copy of a generation cannot be written.
    #[error(
        "cannot copy a part of the data to {path}: {error}; set TMPDIR to a directory that can be written \
         and has room"
    )]
    Scratch {
        /// The directory for copies.
        path: PathBuf,
        error: io::Error,
    },
    /// The caller stopped it.
    #[error("it was stopped before all was read")]
    Stopped,
}

/// A damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file or directory, relative to the data directory.
    pub place: String,
    /// The item that it affects, if it is a single one.
    pub item: Option<ItemKey>,
    /// In words to follow the place, or the item.
    pub problem: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerationHeld {
    /// Relative to the data directory.
    pub place: String,
    /// Items whose latest entry is in it.
    pub items: u64,
    /// Documents whose latest entry is in it.
    pub documents: u64,
    /// The size of its files.
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogHeld {
    /// Records that are in no generation yet.
    pub records: u64,
    /// Changes of items in those records.
    pub changes: u64,
    /// The size of its files.
    pub bytes: u64,
    /// A torn record at its end, which was never acknowledged: its number, and the bytes of it that exist.
    pub torn: Option<(u64, usize)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Those that could be read, the oldest first.
    pub generations: Vec<GenerationHeld>,
    /// Set if the log could be read.
    pub log: Option<LogHeld>,
    /// What is worth knowing, but no damage.
    pub notes: Vec<String>,
    pub findings: Vec<Finding>,
}
