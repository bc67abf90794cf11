//! Why a data directory cannot be worked in, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use super::advice;

/// Why a data directory cannot be worked in. The daemon refuses to start and says so.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made, read or written.
    #[error("cannot use the data directory {path}: {}", advice::on(path, error))]
    Unusable {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another process works in it.
    #[error(
        "another warden is running on the data directory {0}; stop it first, or set storage.path to another directory"
    )]
    Locked(PathBuf),
    /// There is something else in it.
    #[error(
        "{path} is not empty and holds no warden data (found {found:?}); set storage.path to an empty or new directory"
    )]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// A file that does not belong there.
        found: String,
    },
    /// It was written in another format.
    #[error(
        "the data directory {path} has the format {found:?}, and this version of warden reads {known:?}; \
         run the version that wrote it, export there, and import here"
    )]
    Format {
        /// The directory.
        path: PathBuf,
        /// The format found.
        found: String,
        /// The format known.
        known: &'static str,
    },
    /// Some of it is missing, or no start of the daemon leaves it like that.
    #[error("{path} {problem}. Nothing was changed. {remedy}")]
    Incomplete {
        /// The directory.
        path: PathBuf,
        /// What is missing, and what is there.
        problem: String,
        /// What to do about it, in sentences.
        remedy: String,
    },
    /// The disk does not give back what is on it.
    #[error(
        "cannot read the databases in {path}: {error}; the disk fails. Nothing was changed: copy the directory to another \
         disk, and if that cannot read it either, restore it from a backup"
    )]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The commit log is not as it was written.
    #[error(
        "the commit log in {path} is damaged: {} {problem}. No data was removed. Restore the whole directory from one copy or \
         backup; or keep a copy of it and start once with --accept-damage, which goes on with what can be read",
        file.display()
    )]
    Log {
        /// The directory.
        path: PathBuf,
        /// The file, or the directory where a file is missing, below the data directory.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// What it holds is not as it was written, or its files are from different copies.
    #[error(
        "the data in {path} is damaged: {}. No data was removed. Restore the whole directory from one copy or backup; or keep \
         a copy of it and start once with --accept-damage, which goes on with what can be read",
        problems.join("; ")
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What is wrong, each with the file or directory that it is in.
        problems: Vec<String>,
    },
    /// There is no room for it to work.
    #[error(
        "{path} is on a volume of {volume} bytes, of which a warden with limits.payload_max = {payload_max} needs at least {needed}; \
         set storage.path to a larger volume, raise storage.size_max if that is set, or lower limits.payload_max"
    )]
    TooSmall {
        /// The directory.
        path: PathBuf,
        /// The size of the file system, or `storage.size_max`, in bytes.
        volume: u64,
        /// The largest payload, in bytes.
        payload_max: u64,
        /// The smallest volume that works with it, in bytes.
        needed: u64,
    },
}

/// An error of the system about a path.
pub(super) fn unusable(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |error| OpenError::Unusable { path, error }
}
