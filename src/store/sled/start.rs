//! Taking up where the last process ended: what is in the log goes into the database.

use std::io;
use std::path::Path;

use super::directory::Directory;
use super::draft::{Draft, DraftError};
use super::log_mark::LogMark;
use super::open_error::{OpenError, unusable};
use super::reader::ReadError;
use super::recovery::Recovery;
use super::{OnDamage, SledSettings};
use crate::store::holdings::Holdings;
use crate::store::log::{Log, LogError, LogSettings, Opened, Torn};

/// How many numbers of items are left out where some may have been given out in what is lost.
const NUMBERS_SKIPPED: u64 = 1 << 32;
/// How many segments are ready from the start, so that commits go on while the disk is full.
const SEGMENTS_READY: usize = 2;

/// What is at hand at a start.
pub(super) struct Start<'a> {
    pub(super) settings: &'a SledSettings,
    pub(super) directory: &'a Directory,
    /// How much memory what is recent may take, in bytes.
    pub(super) recent: u64,
    /// The most bytes of the log if what is recent may take little.
    pub(super) log_min: u64,
}

/// Where it goes on.
pub(super) struct Started {
    pub(super) log: Log,
    pub(super) mark: LogMark,
    /// The number that no item has.
    pub(super) next_number: u64,
}

impl Start<'_> {
    /// Brings the database up to the end of the log, and begins to vouch for what is in both. The items of each workflow are
    /// counted on.
    pub(super) fn take_up(&self, draft: &mut Draft, holdings: &mut Holdings) -> Result<Started, OpenError> {
        let path = &self.settings.path;
        let wrong = |error| wrong(path, error);
        let covered = draft.covered().map_err(wrong)?;
        let mut next_number = covered.next_number;
        let mut mark = match covered.log {
            Some(mark) => mark,
            None => {
                let segment_size = self.directory.log_segment_size(self.recent);
                let mark = LogMark::new(segment_size.map_err(unusable(path))?);
                draft.set_covered(&mark, next_number).map_err(wrong)?;
                mark
            }
        };
        let mut recovery = Recovery::new(draft, holdings, next_number, self.recent as usize);
        let mut failed = None;
        let opened = self.open_log(&mark, &mut |record| {
            recovery.take(record).map_err(|error| {
                let problem = error.to_string();
                failed = Some(error);
                problem
            })
        });
        if let Some(error) = failed {
            return Err(wrong(error));
        }
        let opened = match opened {
            Ok(opened) => Ok(opened),
            Err(LogError::Damaged { path: file, problem }) if self.settings.on_damage == OnDamage::Accept => {
                Err(format!("{} {problem}", file.display()))
            }
            Err(error) => return Err(self.refuse(error)),
        };
        let records;
        (records, next_number) = recovery.finish().map_err(wrong)?;
        if records > 0 {
            tracing::info!(records, "what the log had beyond the database is in it now");
        }
        let Opened { mut log, torn } = match opened {
            Ok(opened) => opened,
            Err(damage) => {
                tracing::error!(records, "{damage}; going on with what could be read, as was asked for");
                mark = LogMark::new(mark.segment_size as usize);
                next_number += NUMBERS_SKIPPED;
                draft.set_covered(&mark, next_number).map_err(wrong)?;
                self.open_log(&mark, &mut |_| Ok(())).map_err(|error| self.refuse(error))?
            }
        };
        if let Some(Torn { sequence, bytes }) = torn {
            tracing::warn!(
                record = sequence,
                bytes,
                "the log ends with a record that was broken off; nobody was told that it was done"
            );
        }
        begin(&mut log).map_err(unusable(path))?;
        mark.covered = log.last();
        draft.set_covered(&mark, next_number).map_err(wrong)?;
        log.segments().release(mark.covered).map_err(unusable(path))?;
        Ok(Started { log, mark, next_number })
    }

    fn open_log(
        &self,
        mark: &LogMark,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Opened, LogError> {
        let settings = LogSettings {
            id: mark.log,
            segment_size: mark.segment_size as usize,
            bytes_max: self.recent.saturating_mul(2).max(self.log_min),
        };
        Log::open(&self.directory.log(), &settings, mark.covered, visit)
    }

    fn refuse(&self, error: LogError) -> OpenError {
        match error {
            LogError::System { path, error } => OpenError::Unusable { path, error },
            LogError::Damaged { path: file, problem } => {
                let path = self.settings.path.clone();
                let file = file.strip_prefix(self.directory.path()).unwrap_or(&file).to_owned();
                OpenError::Log { path, file, problem }
            }
        }
    }
}

/// Writes a first record, so that a log which is missing later is noticed, and has room for the next.
fn begin(log: &mut Log) -> io::Result<()> {
    log.segments().provide(SEGMENTS_READY)?;
    log.make_room(0)?;
    log.append(&[])?;
    log.sync()
}

/// What an error of the database says about its directory.
pub(super) fn wrong(path: &Path, error: DraftError) -> OpenError {
    let path = path.to_owned();
    match error {
        // It writes as it opens, so that is a full or failing disk, and no reason to give up what is on it. Also where it was
        // read: what the system does not give back may be there all the same.
        DraftError::Database(sled::Error::Io(error))
        | DraftError::Read(ReadError::Database(sled::Error::Io(error)))
        | DraftError::Sync(error)
        | DraftError::Log(error) => OpenError::Unusable { path, error },
        error => OpenError::Damaged { path, reason: error.to_string() },
    }
}
