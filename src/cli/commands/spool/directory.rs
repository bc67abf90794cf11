//! A directory of reports that could not be delivered, each a file.
//!
//! Invariants: a report is on disk, with its name, before it counts as stored. The process that runs the
//! command holds a lock on its file, which ends with it however it ends: a report without a lock is finished,
//! or was left behind. The number of reports and their size are limited.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::report::Report;

/// The most reports.
pub const REPORTS_MAX: usize = 1_000;
/// The largest report, in bytes. Labels, lineage and output are below that.
const REPORT_SIZE_MAX: u64 = 256 * 1024;
const SUFFIX: &str = ".json";
/// A file that was not finished for so long was left behind.
const ABANDONED: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug)]
pub struct Spool {
    directory: PathBuf,
}

/// A report that this process holds.
pub struct Slot {
    path: PathBuf,
    /// Locked.
    file: File,
}

/// A report in the directory.
pub enum Found {
    /// Its command is running.
    Running(Report),
    Left(Slot, Report),
    /// It cannot be read.
    Damaged(PathBuf, String),
}

impl Spool {
    pub fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// `warden/spool` in the XDG state directory. `None` if there is neither that nor a home.
    pub fn default_directory() -> Option<PathBuf> {
        let absolute =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
        Some(state?.join("warden/spool"))
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Stores a report under a name that sorts by age.
    pub fn put(&self, name: &str, report: &Report) -> io::Result<Slot> {
        // Outputs of commands are nobody else's.
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        if self.names()?.len() >= REPORTS_MAX {
            return Err(io::Error::other(format!("it has {REPORTS_MAX} reports, which is the limit")));
        }
        let path = self.directory.join(format!("{name}{SUFFIX}"));
        let file = self.write(&path, report)?;
        Ok(Slot { path, file })
    }

    /// Stores a report instead of an earlier one.
    pub fn replace(&self, slot: &mut Slot, report: &Report) -> io::Result<()> {
        slot.file = self.write(&slot.path, report)?;
        Ok(())
    }

    fn write(&self, path: &Path, report: &Report) -> io::Result<File> {
        let bytes = serde_json::to_vec(report)?;
        if bytes.len() as u64 > REPORT_SIZE_MAX {
            return Err(io::Error::other(format!("the report has more than {REPORT_SIZE_MAX} bytes")));
        }
        let hidden = path.with_extension("tmp");
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&hidden)?;
        let written = file.lock().and_then(|()| {
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&hidden, path)?;
            File::open(&self.directory)?.sync_all()
        });
        if written.is_err() {
            let _ = fs::remove_file(&hidden);
        }
        written.map(|()| file)
    }

    /// The names of the reports, the oldest first. A directory that does not exist has none.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.ends_with(SUFFIX) {
                names.push(name);
            } else if name.ends_with(".tmp") {
                self.remove_abandoned(&name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// What a process that was killed did not finish.
    fn remove_abandoned(&self, name: &str) {
        let path = self.directory.join(name);
        let age =
            path.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > ABANDONED) {
            let _ = fs::remove_file(path);
        }
    }

    /// The report of this name; `None` if it is gone.
    pub fn find(&self, name: &str) -> io::Result<Option<Found>> {
        let path = self.directory.join(name);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let is_running = match file.try_lock() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(error)) => return Err(error),
        };
        // It may have been replaced or removed before the lock was taken.
        match path.metadata() {
            Ok(metadata) if metadata.ino() == file.metadata()?.ino() => {}
            _ => return Ok(None),
        }
        let mut bytes = Vec::new();
        (&mut file).take(REPORT_SIZE_MAX + 1).read_to_end(&mut bytes)?;
        Ok(Some(match serde_json::from_slice(&bytes) {
            Ok(report) if is_running => Found::Running(report),
            Ok(report) => Found::Left(Slot { path, file }, report),
            Err(error) => Found::Damaged(path, error.to_string()),
        }))
    }
}

impl Slot {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the report, once it is delivered. What cannot be removed is delivered again.
    pub fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}
