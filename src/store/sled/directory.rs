//! The data directory: taking it, and making sure that what the database finds in it is sound.
//!
//! The database cannot be trusted with this. It fails for ever over a file that it left behind when it was killed
//! while opening; it builds on data that the kernel has not written yet; it gives up what it cannot read; and it syncs
//! neither directories nor, reliably, its own file. All of that is seen to here, before and after it opens.
//!
//! **Nothing that may hold data is ever removed because something beside it is missing.** A database that is not finished is
//! told by a file of its own, [`UNFINISHED`], which is made before anything else and goes once [`FORMAT`] stands. That a
//! directory without either holds anything of ours is a reason to refuse it. What shows that its files belong together is in
//! [`super::mark`].

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::statvfs;

use super::mark::{Mark, Note, Stranger};
use super::open_error::{OpenError, unusable};
use super::survey::survey;
use super::{layout, privacy};

/// A data directory that is ours for as long as this lives.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Whoever holds this file's lock works in the directory; the kernel lets go of it whatever way we end.
    lock: File,
    /// What it held when it was taken. It is never asked again: what must not be removed hangs on it.
    held: Held,
    /// The mark of this start.
    mark: Mark,
}

/// What a directory holds, as its mark says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Held {
    /// Nothing that was ever acknowledged: it was never complete.
    Nothing,
    /// Data of this format, and what ties its files together, if it was ever written.
    Current(Option<Box<Mark>>),
}

const LOCK: &str = "LOCK";
const FORMAT: &str = "FORMAT";
const FORMAT_DRAFT: &str = "FORMAT.new";
const UNFINISHED: &str = "UNFINISHED";
const BALLAST: &str = "ballast";
const DATABASE: &str = "items";
const LOG: &str = "log";
/// What a directory without [`FORMAT`] may hold and be ours.
const OURS: [&str; 6] = [LOCK, FORMAT_DRAFT, UNFINISHED, BALLAST, DATABASE, LOG];

/// What is recent is at most this share of the file system, and may always be so many bytes.
const RECENT_SHARE: u64 = 32;
const RECENT_MIN: u64 = 4 * 1024 * 1024;
/// What the log may take at least, in bytes: three times the largest payload, or this share of the file system.
const LOG_MIN: u64 = 192 * 1024 * 1024;
const LOG_SHARE: u64 = 8;
/// How many segments of the log the file system, and what is recent, have room for at least.
const SEGMENTS_IN_FILE_SYSTEM: u64 = 512;
const SEGMENTS_IN_RECENT: u64 = 16;
/// How long a segment of the log may be, in bytes.
const LOG_SEGMENT_SIZES: RangeInclusive<usize> = 256 * 1024..=4 * 1024 * 1024;

/// What the file says to people who look at it.
const UNFINISHED_WORDS: &str = "\
The database beside this file is being made, and nothing was acknowledged from it yet. The next start of the daemon begins
anew with it, and removes this file once it is complete.
";

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
    /// Takes the directory, making it if need be, and holds its files to each other. Nothing that was there is changed but
    /// its permissions.
    pub(super) fn take(path: &Path) -> Result<Self, OpenError> {
        privacy::make_directory(path).map_err(unusable(path))?;
        let path = &fs::canonicalize(path).map_err(unusable(path))?;
        if look(path)? == Look::Empty {
            begin(path).map_err(unusable(path))?;
        }
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
        // Once more, now that nobody else changes it.
        look(path)?;
        make_private(path).map_err(unusable(path))?;
        let held = read_format(path)?;
        let found = if let Held::Current(Some(mark)) = &held { Some(&**mark) } else { None };
        let mark = Mark::opening(found);
        let directory = Self { path: path.clone(), lock, held, mark };
        directory.check()?;
        Ok(directory)
    }

    /// Holds the files to each other, and reads what the database is about to read.
    fn check(&self) -> Result<(), OpenError> {
        let Held::Current(mark) = &self.held else { return Ok(()) };
        let path = self.database();
        let file = path.join("db");
        if !file.try_exists().map_err(unusable(&file))? {
            return Err(self.incomplete(
                format!("has a file FORMAT, but its database, {DATABASE}/db, is missing"),
                format!("Restore the directory {DATABASE} from the copy or backup that FORMAT is from"),
            ));
        }
        self.wait_for_release(&path)?;
        if let Some(mark) = mark {
            let checked = mark.check(DATABASE, &path).map_err(|error| self.unreadable(error))?;
            checked.map_err(|stranger| self.mixed(stranger))?;
        }
        // After a kill the kernel may still hold pages that are not on the disk. The database reads them as if they
        // were, and writes a synced summary that refers to them; so they go to the disk first.
        sync(&file).and_then(|()| sync(&path)).map_err(unusable(&self.path))?;
        survey(&path, layout::SEGMENT_SIZE).map_err(|error| self.unreadable(error))
    }

    /// To be called before the database opens: says on the disk that it is about to, and clears away what a predecessor left
    /// half done that was killed.
    pub(super) fn prepare(&self) -> Result<(), OpenError> {
        self.prepare_files().map_err(unusable(&self.path))
    }

    fn prepare_files(&self) -> io::Result<()> {
        if self.held == Held::Nothing {
            remove(&self.log())?;
            return remove(&self.database());
        }
        self.write_format(&self.mark)?;
        for entry in fs::read_dir(self.database())? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(".generating") {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Whether the database holds nothing yet that counts.
    pub(super) fn begins(&self) -> bool {
        !matches!(self.held, Held::Current(_))
    }

    /// Where the database is.
    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the log is.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// How much of what is recent may be kept from the database, in bytes: at most a small share of the file system, since all
    /// of it takes room there at once when it moves.
    ///
    /// # Errors
    /// When the system does not tell how large it is.
    pub(super) fn recent(&self, wanted: u64) -> io::Result<u64> {
        Ok(wanted.min((self.file_system_size()? / RECENT_SHARE).max(RECENT_MIN)))
    }

    /// How much the log may take at least, in bytes: the largest item has room in half of it, unless the file system is small.
    ///
    /// # Errors
    /// When the system does not tell how large it is.
    pub(super) fn log_min(&self) -> io::Result<u64> {
        Ok(LOG_MIN.min(self.file_system_size()? / LOG_SHARE))
    }

    fn file_system_size(&self) -> io::Result<u64> {
        let file_system = statvfs(&self.path)?;
        Ok(file_system.f_blocks.saturating_mul(file_system.f_frsize))
    }

    /// How long the segments of a new log are to be, in bytes: the smaller the file system, or what the log is to hold, the
    /// smaller they.
    ///
    /// # Errors
    /// When the system does not tell how large it is.
    pub(super) fn log_segment_size(&self, recent: u64) -> io::Result<usize> {
        let size = self.file_system_size()?;
        let share = (size / SEGMENTS_IN_FILE_SYSTEM).min(recent / SEGMENTS_IN_RECENT);
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        let power = share.clamp(*LOG_SEGMENT_SIZES.start(), *LOG_SEGMENT_SIZES.end()).next_power_of_two();
        Ok(power.min(*LOG_SEGMENT_SIZES.end()))
    }

    /// Where the ballast is.
    pub(super) fn ballast(&self) -> PathBuf {
        self.path.join(BALLAST)
    }

    /// The note of this start, which the database is to hold from now on.
    pub(super) fn note(&self) -> Note {
        self.mark.note()
    }

    /// Holds the database to the other files, now that it is open, by the note that it came with.
    pub(super) fn admit(&self, found: Option<Note>) -> Result<(), OpenError> {
        match &self.held {
            Held::Current(Some(_)) => {
                self.mark.admit(DATABASE, found).map_err(|stranger| self.mixed(stranger))
            }
            _ => Ok(()),
        }
    }

    /// To be called once the database has opened and holds what it is to hold, with the note of this start, on the disk:
    /// makes its files and their names durable, and at last the mark that says that this directory holds data, of which
    /// format, and what ties its files together.
    pub(super) fn seal(&self) -> Result<(), OpenError> {
        self.seal_files().map_err(unusable(&self.path))
    }

    fn seal_files(&self) -> io::Result<()> {
        for file in ["db", "conf"] {
            sync(&self.database().join(file))?;
        }
        sync(&self.database())?;
        self.write_format(&self.mark.opened(&self.database(), layout::SEGMENT_SIZE)?)?;
        self.path.parent().map_or(Ok(()), sync)?;
        match fs::remove_file(self.path.join(UNFINISHED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        make_private(&self.path)?;
        sync(&self.path)
    }

    /// Writes the mark over the last one, and has it on the disk.
    fn write_format(&self, mark: &Mark) -> io::Result<()> {
        let draft = self.path.join(FORMAT_DRAFT);
        fs::write(&draft, format!("{}{}", layout::FORMAT, mark.line()))?;
        sync(&draft)?;
        fs::rename(&draft, self.path.join(FORMAT))?;
        sync(&self.path)
    }

    fn incomplete(&self, problem: String, remedy: String) -> OpenError {
        OpenError::Incomplete { path: self.path.clone(), problem, remedy }
    }

    fn mixed(&self, Stranger { file, problem }: Stranger) -> OpenError {
        OpenError::Mixed { path: self.path.clone(), file, problem }
    }

    fn unreadable(&self, error: io::Error) -> OpenError {
        OpenError::Unreadable { path: self.path.clone(), error }
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
}

fn read_format(path: &Path) -> Result<Held, OpenError> {
    let text = match fs::read_to_string(path.join(FORMAT)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Held::Nothing),
        Err(error) => return Err(unusable(&path.join(FORMAT))(error)),
    };
    let (format, mark) = text.split_at(text.find('\n').map_or(text.len(), |end| end + 1));
    match (format.trim_end(), mark.trim()) {
        (format, mark) if [layout::FORMAT, layout::FORMAT_2].map(str::trim_end).contains(&format) => {
            match Mark::read(mark) {
                None if !mark.is_empty() => Err(damaged_format(path, "its second line is damaged")),
                mark => Ok(Held::Current(mark.map(Box::new))),
            }
        }
        ("", _) => Err(damaged_format(path, "it is empty")),
        _ => Err(OpenError::Format {
            path: path.to_owned(),
            found: text.trim().to_owned(),
            known: layout::FORMAT.trim(),
        }),
    }
}

/// What to do about the mark of a directory that holds a database.
fn restore_format() -> String {
    let line = layout::FORMAT.trim();
    format!(
        "Restore FORMAT from the copy or backup that {DATABASE} is from; if there is none any more, write the line {line:?} \
         into it"
    )
}

fn damaged_format(path: &Path, problem: &str) -> OpenError {
    let problem = format!("has a file FORMAT that says nothing: {problem}");
    OpenError::Incomplete { path: path.to_owned(), problem, remedy: restore_format() }
}

/// What is in a directory at first sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Nothing.
    Empty,
    /// A mark, or what a first start has made so far.
    Ours,
}

/// Looks whether the directory is ours, or may become it. Nothing in it is changed.
fn look(path: &Path) -> Result<Look, OpenError> {
    if path.join(FORMAT).try_exists().map_err(unusable(path))? {
        return Ok(Look::Ours);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(unusable(path))? {
        found.push(entry.map_err(unusable(path))?.file_name().to_string_lossy().into_owned());
    }
    // A fresh file system has this one; it is nobody's data.
    found.retain(|name| name != "lost+found");
    found.sort_unstable();
    let is_there = |name: &str| found.iter().any(|found| found == name);
    if let Some(foreign) = found.iter().find(|name| !OURS.contains(&name.as_str())) {
        return Err(OpenError::NotOurs { path: path.to_owned(), found: foreign.clone() });
    }
    if found.is_empty() {
        return Ok(Look::Empty);
    }
    if is_there(UNFINISHED) {
        return Ok(Look::Ours);
    }
    let names = found.join(", ");
    let (problem, remedy) = if is_there(DATABASE) {
        (format!("holds {names}, but its file FORMAT is missing"), restore_format())
    } else {
        (
            format!("holds {names}, but its database and its file FORMAT are missing"),
            "Restore the whole directory from a copy or backup; if it never held anything, set storage.path to an empty or \
             new directory"
                .to_owned(),
        )
    };
    Err(OpenError::Incomplete { path: path.to_owned(), problem, remedy })
}

/// Says on the disk that the database here is being made, before anything else is.
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

/// Takes the permissions of everybody but the owner from the directory and from what is ours in it.
fn make_private(path: &Path) -> io::Result<()> {
    privacy::tighten_one(path, &fs::metadata(path)?)?;
    let ours = [LOCK, UNFINISHED, FORMAT, BALLAST, DATABASE, LOG];
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
