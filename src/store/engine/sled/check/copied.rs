//! Copies of generations, which the check may open.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::statvfs;
use uuid::Uuid;

use super::super::generation::{Generation, GenerationError, name};
use super::super::open_error::unusable;
use super::is_damage;
use crate::store::CheckError;

/// sled's page cache, in bytes as they are on disk.
const CACHE: u64 = 32 * 1024 * 1024;
/// sled's segment size for a database whose configuration does not tell it, in bytes.
const SEGMENT_SIZE: usize = 4 * 1024 * 1024;
/// The disk space that sled may use beyond the copy when it opens it, in bytes.
const ROOM_BESIDE: u64 = 16 * 1024 * 1024;
/// The files of every database: without its configuration sled would take it for a new one.
const NEEDED: [&str; 2] = ["db", "conf"];
/// How often, and at which interval, the removal of a copy is tried while sled's threads may still write to
/// it.
const REMOVAL_TRIES: u32 = 200;
const REMOVAL_PAUSE: Duration = Duration::from_millis(10);

/// A directory for copies, removed on drop.
pub(super) struct Scratch(PathBuf);

/// An opened copy of a generation, removed on drop.
pub(super) struct Copied {
    path: PathBuf,
    generation: Option<Generation>,
    pub(super) bytes: u64,
}

pub(super) enum NotCopied {
    /// The generation is damaged: in this file, or as a whole.
    Damaged { file: Option<String>, problem: String },
    /// The check cannot go on.
    Failed(CheckError),
}

impl Scratch {
    /// Readable by its owner alone, since the copies hold payloads.
    pub(super) fn make(directory: &Path) -> Result<Self, CheckError> {
        let path = directory.join(format!("warden-check-{}", Uuid::now_v7()));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| CheckError::Scratch { path: directory.to_owned(), error })?;
        Ok(Self(path))
    }

    fn failed(&self, error: io::Error) -> NotCopied {
        // The configured directory: users do not know the one that was created in it.
        let path = self.0.parent().unwrap_or(&self.0).to_owned();
        NotCopied::Failed(CheckError::Scratch { path, error })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

impl Copied {
    /// Copies a generation, and opens the copy.
    pub(super) fn open(from: &Path, number: u32, scratch: &Scratch) -> Result<Self, NotCopied> {
        let needed = size(from).map_err(|error| unreadable(from, from, error))?;
        let room = statvfs(&scratch.0).map_err(|error| scratch.failed(error.into()))?;
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        if needed + ROOM_BESIDE > free {
            let path = scratch.0.parent().unwrap_or(&scratch.0).to_owned();
            return Err(NotCopied::Failed(CheckError::NoRoom { path, needed: needed + ROOM_BESIDE, free }));
        }
        let mut copied = Self { path: scratch.0.join(name(number)), generation: None, bytes: needed };
        copy(from, from, &copied.path, scratch)?;
        if let Some(missing) = NEEDED.into_iter().find(|file| !copied.path.join(file).exists()) {
            return Err(NotCopied::Damaged { file: Some(missing.into()), problem: "is missing".into() });
        }
        match Generation::open_at(&copied.path, number, SEGMENT_SIZE, CACHE) {
            Ok(generation) => copied.generation = Some(generation),
            Err(GenerationError::Damaged { path, problem }) => {
                let file = path.strip_prefix(&copied.path).ok().filter(|file| !file.as_os_str().is_empty());
                return Err(NotCopied::Damaged {
                    file: file.map(|file| file.display().to_string()),
                    problem,
                });
            }
            Err(GenerationError::System { error, .. } | GenerationError::Unreadable { error, .. }) => {
                return Err(scratch.failed(error));
            }
            Err(GenerationError::Locked { .. }) => return Err(scratch.failed(ErrorKind::ResourceBusy.into())),
        }
        Ok(copied)
    }

    pub(super) fn generation(&self) -> &Generation {
        self.generation.as_ref().expect("it is there until the end")
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        let generation = self.generation.take();
        // sled writes as it closes, and may panic over the damage again.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(generation)));
        remove(&self.path);
    }
}

/// Copies a directory recursively.
fn copy(root: &Path, from: &Path, to: &Path, scratch: &Scratch) -> Result<(), NotCopied> {
    DirBuilder::new().mode(0o700).create(to).map_err(|error| scratch.failed(error))?;
    let entries = fs::read_dir(from).map_err(|error| unreadable(root, from, error))?;
    for entry in entries {
        let path = entry.map_err(|error| unreadable(root, from, error))?.path();
        let to = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(root, &path, &to, scratch)?;
            continue;
        }
        let mut source = File::open(&path).map_err(|error| unreadable(root, &path, error))?;
        let mut target = File::create_new(&to).map_err(|error| scratch.failed(error))?;
        // Without copying through user space, where the file systems support it.
        io::copy(&mut source, &mut target).map_err(|error| match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                scratch.failed(error)
            }
            _ => unreadable(root, &path, error),
        })?;
    }
    Ok(())
}

/// Classifies a failure to read a generation's file, or its directory.
fn unreadable(root: &Path, path: &Path, error: io::Error) -> NotCopied {
    if !is_damage(&error) {
        return NotCopied::Failed(unusable(path)(error).into());
    }
    let file = path.strip_prefix(root).ok().filter(|file| !file.as_os_str().is_empty());
    NotCopied::Damaged {
        file: file.map(|file| file.display().to_string()),
        problem: format!("cannot be read: {error}"),
    }
}

/// The size of a directory's files, in bytes.
fn size(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

fn remove(directory: &Path) {
    for _ in 0..REMOVAL_TRIES {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() != ErrorKind::NotFound => thread::sleep(REMOVAL_PAUSE),
            _ => return,
        }
    }
}
