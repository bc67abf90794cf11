use std::io;
use std::path::{Path, PathBuf};

use super::advice;
use crate::store::{self, CheckError, OpenErrorKind};

/// Why the daemon cannot start on a data directory, with a remedy.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made, read or written.
    #[error("cannot use the data directory {path}: {}", advice::on(path, error))]
    Unusable {
        /// The directory or file.
        path: PathBuf,
        error: io::Error,
    },
    /// Another process has locked it.
    #[error(
        "another warden is running on the data directory {0}; stop it first, or set storage.path to another \
         directory"
    )]
    Locked(PathBuf),
    /// It holds other files.
    #[error(
        "{path} is not empty and holds no warden data (found {found:?}); set storage.path to an empty or new \
         directory"
    )]
    NotOurs {
        path: PathBuf,
        /// One of those files.
        found: String,
    },
    /// It has another format.
    #[error(
        "the data directory {path} has the format {found:?}, and this version of warden reads {known:?}; \
         run the version that wrote it, export there, and import here"
    )]
    Format { path: PathBuf, found: String, known: &'static str },
    /// Something is missing, or its state is none that a start of the daemon leaves.
    #[error("{path} {problem}. Nothing was changed. {remedy}")]
    Incomplete {
        path: PathBuf,
        problem: String,
        /// Complete sentences.
        remedy: String,
    },
    /// The disk fails to return what is on it.
    #[error(
        "cannot read the databases in {path}: {error}; the disk fails. Nothing was changed: copy the \
         directory to another disk, and if that cannot read it either, restore it from a backup"
    )]
    Unreadable { path: PathBuf, error: io::Error },
    /// The log is damaged.
    #[error(
        "the commit log in {path} is damaged: {} {problem}. No data was removed. Restore the whole directory \
         from one copy or backup; or keep a copy of it and start once with --accept-damage, which continues \
         with what can be read",
        file.display()
    )]
    Log {
        path: PathBuf,
        /// The file, or the directory that lacks a file, relative to the data directory.
        file: PathBuf,
        problem: String,
    },
    /// The generations are damaged, or the files are from different copies.
    #[error(
        "the data in {path} is damaged: {}. No data was removed. Restore the whole directory from one copy \
         or backup; or keep a copy of it and start once with --accept-damage, which continues with what can \
         be read",
        problems.join("; ")
    )]
    Damaged {
        path: PathBuf,
        /// Each begins with the file or directory that it is about.
        problems: Vec<String>,
    },
    /// The volume is too small.
    #[error(
        "{path} is on a volume of {volume} bytes, of which a warden with limits.payload_max = {payload_max} \
         needs at least {needed}; set storage.path to a larger volume, raise storage.size_max if that is \
         set, or lower limits.payload_max"
    )]
    TooSmall {
        path: PathBuf,
        /// The size of the file system, or `storage.size_max` if that is less, in bytes.
        volume: u64,
        /// In bytes.
        payload_max: u64,
        /// The least size that works with it, in bytes.
        needed: u64,
    },
}

impl OpenError {
    fn kind(&self) -> OpenErrorKind {
        match self {
            Self::Unusable { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                OpenErrorKind::Denied
            }
            Self::Unusable { .. } | Self::Unreadable { .. } => OpenErrorKind::InputOutput,
            Self::Locked(_) => OpenErrorKind::Locked,
            Self::NotOurs { .. } | Self::Format { .. } => OpenErrorKind::Foreign,
            Self::Incomplete { .. } | Self::Log { .. } | Self::Damaged { .. } => OpenErrorKind::Damaged,
            Self::TooSmall { .. } => OpenErrorKind::TooSmall,
        }
    }
}

impl From<OpenError> for store::OpenError {
    fn from(error: OpenError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl From<OpenError> for CheckError {
    fn from(error: OpenError) -> Self {
        Self::Unusable(error.into())
    }
}

pub(super) fn unusable(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |error| OpenError::Unusable { path, error }
}
