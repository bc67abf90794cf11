//! The data directory: locking it, and finding out what it holds.
//!
//! **Nothing that may hold data is ever removed because a file beside it is missing.** A directory whose
//! creation is unfinished has the file [`UNFINISHED`], which is created first and removed once [`FORMAT`] is
//! written. A directory that holds our files but neither of the two is refused. Whether the files belong
//! together is verified by [`super::manifest`] and by the log.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use super::open_error::{OpenError, unusable};
use super::{layout, privacy};
use crate::store::OnDamage;

/// A data directory that is locked by this process.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// The kernel releases the lock however the process ends.
    _lock: Lock,
    /// Read once, when the directory was locked: what may be removed depends on it.
    held: Held,
}

/// What a directory holds, by its [`FORMAT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// Nothing that was ever acknowledged: its creation is unfinished.
    Nothing,
    /// Data of a format without generations.
    Before,
    Current,
}

pub(super) const LOCK: &str = "LOCK";
pub(super) const FORMAT: &str = "FORMAT";
const FORMAT_DRAFT: &str = "FORMAT.new";
const UNFINISHED: &str = "UNFINISHED";
const BALLAST: &str = "ballast";
pub(super) const GENERATIONS: &str = "generations";
/// The database of a format without generations.
pub(super) const DATABASE_BEFORE: &str = "items";
pub(super) const LOG: &str = "log";
/// The names that a directory of ours may hold while [`FORMAT`] is missing.
const OURS: [&str; 7] = [LOCK, FORMAT_DRAFT, UNFINISHED, BALLAST, GENERATIONS, DATABASE_BEFORE, LOG];

/// The text of [`UNFINISHED`], for people.
const UNFINISHED_WORDS: &str = "The databases beside this file are being created, and nothing was \
                                acknowledged from them yet. The next start of the
daemon creates them anew, and removes this file once they are complete.
";

/// Holds a data directory for this process.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    pub(super) fn try_take(file: File) -> Result<Self, TryLockError> {
        file.try_lock()?;
        Ok(Self(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing it is not enough: a child process that is being started holds a copy of the descriptor
        // until its exec.
        let _ = self.0.unlock();
    }
}

impl Directory {
    /// Locks the directory, creating it if necessary. Only permissions are changed in an existing one.
    pub(super) fn take(path: &Path, on_damage: OnDamage) -> Result<Self, OpenError> {
        privacy::make_directory(path).map_err(unusable(path))?;
        let path = &fs::canonicalize(path).map_err(unusable(path))?;
        if inspect(path)? == Contents::Empty {
            begin(path).map_err(unusable(path))?;
        }
        let lock_path = path.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(unusable(&lock_path))?;
        let lock = Lock::try_take(lock).map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::Locked(path.clone()),
            TryLockError::Error(error) => unusable(&lock_path)(error),
        })?;
        // Again, now that the lock keeps others from changing it.
        inspect(path)?;
        make_private(path).map_err(unusable(path))?;
        let held = match read_format(path) {
            // The generations prove the format.
            Err(error) if on_damage == OnDamage::Accept && is_told_apart(path, &error) => {
                tracing::error!("{error}; accepted, continuing as if FORMAT named the current one");
                Held::Current
            }
            held => held?,
        };
        let directory = Self { path: path.clone(), _lock: lock, held };
        directory.check()?;
        Ok(directory)
    }

    /// Fails if the databases are missing altogether.
    fn check(&self) -> Result<(), OpenError> {
        let needed = match self.held {
            Held::Nothing => return Ok(()),
            Held::Before => DATABASE_BEFORE,
            Held::Current => GENERATIONS,
        };
        let path = self.path.join(needed);
        if path.try_exists().map_err(unusable(&path))? {
            return Ok(());
        }
        Err(OpenError::Incomplete {
            path: self.path.clone(),
            problem: format!("has a file FORMAT, but its databases, the directory {needed}, are missing"),
            remedy: format!("Restore the directory {needed} from the copy or backup that the rest is from"),
        })
    }

    /// Removes what an unfinished creation left. Called before anything is opened.
    pub(super) fn prepare(&self) -> Result<(), OpenError> {
        let prepare = || {
            if self.held != Held::Current {
                remove(&self.generations())?;
            }
            if self.held == Held::Nothing {
                remove(&self.log())?;
                remove(&self.database_before())?;
            }
            fs::create_dir_all(self.generations())?;
            sync(&self.path)
        };
        prepare().map_err(unusable(&self.path))
    }

    pub(super) fn held(&self) -> Held {
        self.held
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn generations(&self) -> PathBuf {
        self.path.join(GENERATIONS)
    }

    pub(super) fn database_before(&self) -> PathBuf {
        self.path.join(DATABASE_BEFORE)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }

    pub(super) fn ballast(&self) -> PathBuf {
        self.path.join(BALLAST)
    }

    /// The size of the file system, in bytes.
    pub(super) fn volume(&self) -> io::Result<u64> {
        let file_system = statvfs(&self.path)?;
        Ok(file_system.f_blocks.saturating_mul(file_system.f_frsize))
    }

    /// Finishes a creation: makes the directory entries durable, and then writes [`FORMAT`]. Called once the
    /// data is durable.
    pub(super) fn seal(&self) -> Result<(), OpenError> {
        self.seal_files().map_err(unusable(&self.path))
    }

    fn seal_files(&self) -> io::Result<()> {
        sync(&self.generations())?;
        if self.held != Held::Current || !matches!(read_format(&self.path), Ok(Held::Current)) {
            let draft = self.path.join(FORMAT_DRAFT);
            fs::write(&draft, layout::FORMAT)?;
            sync(&draft)?;
            fs::rename(&draft, self.path.join(FORMAT))?;
            sync(&self.path)?;
        }
        self.path.parent().map_or(Ok(()), sync)?;
        match fs::remove_file(self.path.join(UNFINISHED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // The migrated data is in the generations.
        remove(&self.database_before())?;
        make_private(&self.path)?;
        sync(&self.path)
    }
}

/// Whether [`FORMAT`] is damaged, rather than that of another version.
fn is_told_apart(path: &Path, error: &OpenError) -> bool {
    let is_damaged = match error {
        OpenError::Incomplete { .. } => true,
        OpenError::Format { found, .. } => {
            let number = found.strip_prefix(layout::FORMAT.trim_end().trim_end_matches(char::is_numeric));
            number.is_none_or(|number| number.parse::<u32>().is_err())
        }
        _ => false,
    };
    is_damaged && path.join(GENERATIONS).is_dir()
}

pub(super) fn read_format(path: &Path) -> Result<Held, OpenError> {
    let text = match fs::read(path.join(FORMAT)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Held::Nothing),
        Err(error) => return Err(unusable(&path.join(FORMAT))(error)),
    };
    match text.lines().next().unwrap_or_default() {
        "" => Err(OpenError::Incomplete {
            path: path.to_owned(),
            problem: "has a file FORMAT that says nothing: it is empty".into(),
            remedy: restore_format(),
        }),
        line if line == layout::FORMAT.trim_end() => Ok(Held::Current),
        line if layout::FORMATS_BEFORE.map(str::trim_end).contains(&line) => Ok(Held::Before),
        _ => Err(OpenError::Format {
            path: path.to_owned(),
            found: text.trim().to_owned(),
            known: layout::FORMAT.trim(),
        }),
    }
}

/// The remedy for a lost or damaged [`FORMAT`] beside databases.
fn restore_format() -> String {
    let line = layout::FORMAT.trim();
    format!(
        "Restore FORMAT from the copy or backup that the rest is from; if there is none any more, write the \
         line {line:?} into it"
    )
}

/// What an unlocked directory appears to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    Empty,
    /// It has [`FORMAT`], or what an unfinished creation left.
    Ours,
}

/// Whether the directory is ours, or may become so. Changes nothing.
pub(super) fn inspect(path: &Path) -> Result<Contents, OpenError> {
    if path.join(FORMAT).try_exists().map_err(unusable(path))? {
        return Ok(Contents::Ours);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(unusable(path))? {
        found.push(entry.map_err(unusable(path))?.file_name().to_string_lossy().into_owned());
    }
    // Part of every fresh file system.
    found.retain(|name| name != "lost+found");
    found.sort_unstable();
    let is_there = |name: &str| found.iter().any(|found| found == name);
    if let Some(foreign) = found.iter().find(|name| !OURS.contains(&name.as_str())) {
        return Err(OpenError::NotOurs { path: path.to_owned(), found: foreign.clone() });
    }
    if found.is_empty() {
        return Ok(Contents::Empty);
    }
    if is_there(UNFINISHED) {
        return Ok(Contents::Ours);
    }
    let names = found.join(", ");
    let (problem, remedy) = if is_there(GENERATIONS) || is_there(DATABASE_BEFORE) {
        (format!("holds {names}, but its file FORMAT is missing"), restore_format())
    } else {
        (
            format!("holds {names}, but its databases and its file FORMAT are missing"),
            "Restore the whole directory from a copy or backup; if it never held anything, set storage.path \
             to an empty or new directory"
                .to_owned(),
        )
    };
    Err(OpenError::Incomplete { path: path.to_owned(), problem, remedy })
}

/// Marks the directory as unfinished, before anything else is created in it.
fn begin(path: &Path) -> io::Result<()> {
    let file = path.join(UNFINISHED);
    match File::create_new(&file) {
        Ok(mut file) => file.write_all(UNFINISHED_WORDS.as_bytes())?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    sync(&file)?;
    sync(path)
}

/// Removes all permissions but the owner's from the directory and our files in it.
fn make_private(path: &Path) -> io::Result<()> {
    privacy::tighten_one(path, &fs::metadata(path)?)?;
    let ours = [LOCK, UNFINISHED, FORMAT, BALLAST, GENERATIONS, DATABASE_BEFORE, LOG];
    ours.iter().try_for_each(|name| privacy::tighten(&path.join(name)))
}

/// Removes a directory, if it exists.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Syncs a file, or the entries of a directory.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
