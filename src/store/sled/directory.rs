//! The data directory: taking it, and making sure that what the database finds in it is sound.
//!
//! The database cannot be trusted with this. It fails for ever over a file that it left behind when it was killed
//! while opening; it builds on data that the kernel has not written yet; it gives up what it cannot read; and it syncs
//! neither directories nor, reliably, its own file. All of that is seen to here, before and after it opens.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::statvfs;

use super::survey::survey;
use super::{layout, privacy, upgrade};

/// Why a data directory cannot be worked in. The daemon refuses to start and says so.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made, read or written.
    #[error(
        "cannot use the data directory {path}: {error}; \
         make it writable for the user that runs warden, or set storage.path to another one"
    )]
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
    /// The disk does not give back what is on it.
    #[error(
        "cannot read the database in {path}: {error}; the disk fails. Nothing was changed: copy the directory to another \
         disk, and if that cannot read it either, restore it from a backup"
    )]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The database in it does not open.
    #[error(
        "the database in {path} does not open: {reason}; keep a copy of the directory and restore it from a backup"
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What the database said.
        reason: String,
    },
}

/// A data directory that is ours for as long as this lives.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Whoever holds this file's lock works in the directory; the kernel lets go of it whatever way we end.
    lock: File,
    /// What it held when it was taken. It is never asked again: what must not be removed hangs on it.
    held: Held,
}

/// What a directory holds, as its mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// Nothing that was ever acknowledged: it was never complete.
    Nothing,
    /// Data of format 1.
    Outdated,
    /// Data of this format.
    Current,
}

const LOCK: &str = "LOCK";
const FORMAT: &str = "FORMAT";
const FORMAT_DRAFT: &str = "FORMAT.new";
const BALLAST: &str = "ballast";
const DATABASE: &str = "items";

/// How often, and how far apart, it is looked whether a predecessor has let go of the database's file: for ten
/// seconds in all.
const RELEASE_TRIES: u32 = 10_000;
const RELEASE_PAUSE: Duration = Duration::from_millis(1);

impl Drop for Directory {
    fn drop(&mut self) {
        // Closing it is not enough while a child process is being started, which holds our descriptors until it is under
        // way.
        let _ = self.lock.unlock();
    }
}

impl Directory {
    /// Takes the directory, making it if need be, and clears away what a killed predecessor left half done.
    pub(super) fn take(path: &Path) -> Result<Self, OpenError> {
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |error| OpenError::Unusable { path, error }
        };
        privacy::make_directory(path).map_err(unusable(path))?;
        let path = &fs::canonicalize(path).map_err(unusable(path))?;
        refuse_foreign_files(path)?;
        let lock_path = path.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(unusable(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked(path.clone())),
            Err(TryLockError::Error(error)) => return Err(unusable(&lock_path)(error)),
        }
        make_private(path).map_err(unusable(path))?;
        let held = read_format(path)?;
        let directory = Self { path: path.clone(), lock, held };
        let (database, segment_size) = match directory.outdated() {
            Some(old) => (old, upgrade::SEGMENT_SIZE),
            None => (directory.database(), layout::SEGMENT_SIZE),
        };
        directory.wait_for_release(&database)?;
        directory.prepare(&database).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                OpenError::Damaged { path: path.clone(), reason: "its files are missing".into() }
            }
            _ => unusable(path)(error),
        })?;
        if directory.held != Held::Nothing {
            let unreadable = |error| OpenError::Unreadable { path: path.clone(), error };
            survey(&database, segment_size).map_err(unreadable)?;
        }
        Ok(directory)
    }

    /// The database of an earlier format that is to be taken over, if that is what the directory holds.
    pub(super) fn outdated(&self) -> Option<PathBuf> {
        (self.held == Held::Outdated).then(|| self.path.join(upgrade::DATABASE))
    }

    /// Whether the database holds nothing yet that counts.
    pub(super) fn begins(&self) -> bool {
        self.held != Held::Current
    }

    /// Where the database is.
    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Where the ballast is.
    pub(super) fn ballast(&self) -> PathBuf {
        self.path.join(BALLAST)
    }

    /// To be called once the database has opened and holds what it is to hold: makes its files and their names durable, and
    /// at last the mark that says that this directory holds data, and of which format. Then an earlier one is removed.
    pub(super) fn seal(&self) -> Result<(), OpenError> {
        let unusable = |error| OpenError::Unusable { path: self.path.clone(), error };
        for file in ["db", "conf"] {
            sync(&self.database().join(file)).map_err(unusable)?;
        }
        sync(&self.database()).map_err(unusable)?;
        make_private(&self.path).map_err(unusable)?;
        if self.begins() {
            let draft = self.path.join(FORMAT_DRAFT);
            fs::write(&draft, layout::FORMAT).map_err(unusable)?;
            sync(&draft).map_err(unusable)?;
            fs::rename(&draft, self.path.join(FORMAT)).map_err(unusable)?;
        }
        sync(&self.path).map_err(unusable)?;
        self.path.parent().map_or(Ok(()), sync).map_err(unusable)?;
        remove(&self.path.join(upgrade::DATABASE)).map_err(unusable)
    }

    /// Values that outgrew a leaf and were written to files that are never synced. There must be none.
    pub(super) fn stray_blobs(&self) -> usize {
        fs::read_dir(self.database().join("blobs")).map_or(0, Iterator::count)
    }

    /// Waits until nobody holds the database's file. The directory is ours already, so that can only be what a
    /// predecessor in this very process left behind: the database's own threads, which let go of the file an instant
    /// after it was closed.
    fn wait_for_release(&self, database: &Path) -> Result<(), OpenError> {
        let path = database.join("db");
        let unusable = |error| OpenError::Unusable { path: path.clone(), error };
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(unusable)?,
        };
        for _ in 0..RELEASE_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) => thread::sleep(RELEASE_PAUSE),
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
            }
        }
        Err(OpenError::Locked(self.path.clone()))
    }

    /// To be called before an earlier format is taken over: that takes as much room again and more until it is done, and
    /// half of it would do nobody any good.
    pub(super) fn check_room(&self, old: &Path) -> Result<(), OpenError> {
        let unusable = |error| OpenError::Unusable { path: self.path.clone(), error };
        let size = fs::metadata(old.join("db")).map_err(unusable)?.len();
        let needed = size + size / 4;
        let file_system = statvfs(&self.path).map_err(|error| unusable(error.into()))?;
        let free = file_system.f_bavail.saturating_mul(file_system.f_frsize);
        if free >= needed {
            return Ok(());
        }
        let words = format!(
            "it is written anew in a later format, which takes {} MiB of room until that is done, and {} MiB are free",
            needed.div_ceil(1 << 20),
            free >> 20
        );
        Err(unusable(io::Error::new(io::ErrorKind::StorageFull, words)))
    }

    /// Clears away what a killed predecessor left, and makes the database sound that is about to be opened.
    fn prepare(&self, database: &Path) -> io::Result<()> {
        match self.held {
            Held::Nothing => return remove(&self.database()),
            // What was taken over of it before a kill. It must be there itself, or that is all that is left.
            Held::Outdated => {
                fs::metadata(database.join("db"))?;
                remove(&self.database())?;
            }
            Held::Current => remove(&self.path.join(upgrade::DATABASE))?,
        }
        for entry in fs::read_dir(database)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(".generating") {
                fs::remove_file(entry.path())?;
            }
        }
        // After a kill the kernel may still hold pages that are not on the disk. The database reads them as if they
        // were, and writes a synced summary that refers to them; so they go to the disk first.
        sync(&database.join("db"))?;
        sync(database)
    }
}

fn read_format(path: &Path) -> Result<Held, OpenError> {
    match fs::read_to_string(path.join(FORMAT)) {
        Ok(found) if found == layout::FORMAT => Ok(Held::Current),
        Ok(found) if found == upgrade::FORMAT => Ok(Held::Outdated),
        Ok(found) => Err(OpenError::Format {
            path: path.to_owned(),
            found: found.trim().to_owned(),
            known: layout::FORMAT.trim(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Held::Nothing),
        Err(error) => Err(OpenError::Unusable { path: path.join(FORMAT), error }),
    }
}

fn refuse_foreign_files(path: &Path) -> Result<(), OpenError> {
    let unusable = |error| OpenError::Unusable { path: path.to_owned(), error };
    if path.join(FORMAT).try_exists().map_err(unusable)? {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(unusable)? {
        let name = entry.map_err(unusable)?.file_name().to_string_lossy().into_owned();
        // A fresh file system has this one; it is nobody's data.
        if ![LOCK, FORMAT_DRAFT, BALLAST, DATABASE, upgrade::DATABASE, "lost+found"].contains(&name.as_str())
        {
            return Err(OpenError::NotOurs { path: path.to_owned(), found: name });
        }
    }
    Ok(())
}

/// Takes the permissions of everybody but the owner from the directory and from what is ours in it.
fn make_private(path: &Path) -> io::Result<()> {
    privacy::tighten_one(path, &fs::metadata(path)?)?;
    let ours = [LOCK, FORMAT, BALLAST, DATABASE, upgrade::DATABASE];
    ours.iter().try_for_each(|name| privacy::tighten(&path.join(name)))
}

/// Removes a directory, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
