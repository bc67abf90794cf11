//! Recovery at start: opens or creates the generations and replays the log into them.

use std::io;
use std::path::Path;

use super::SledSettings;
use super::directory::{Directory, Held};
use super::draft::{Draft, DraftError, GenerationSizes};
use super::generation::{Generation, GenerationOptions};
use super::manifest::{LogPosition, Manifest};
use super::open_error::{OpenError, unusable};
use super::opening::{self, NUMBERS_SKIPPED, Opened as OpenedGenerations};
use super::plan::Plan;
use super::read_error::ReadError;
use super::recovery::Recovery;
use super::upgrade::Before;
use crate::store::OnDamage;
use crate::store::holdings::Holdings;
use crate::store::log::{self, Log, LogError, LogSettings, Opened, Torn};

/// The page cache of each generation: this share of `storage.cache`, and at least this many bytes.
const CACHE_MIN: u64 = 1024 * 1024;
const CACHE_SHARE: u64 = 16;

pub(super) struct Start<'a> {
    pub(super) settings: &'a SledSettings,
    pub(super) directory: &'a Directory,
    pub(super) plan: &'a Plan,
}

pub(super) struct Started {
    pub(super) draft: Draft,
    pub(super) holdings: Holdings,
    pub(super) log: Log,
    /// The next free item number.
    pub(super) next_number: u64,
}

impl Start<'_> {
    /// Opens the generations or creates the first, replays the log into them, and begins the log's next
    /// record.
    pub(super) fn recover(&self) -> Result<Started, OpenError> {
        let path = &self.settings.path;
        let wrong = |error| wrong(path, error);
        let cache = (self.settings.cache / CACHE_SHARE).max(CACHE_MIN);
        let options = self.plan.generation_options(self.directory.generations(), cache);
        let (mut draft, mut holdings) = self.open(&options)?;
        let mut next_number = draft.manifest().next_number;
        let covered = draft.manifest().log.covered;
        let recent = usize::try_from(self.plan.recent).unwrap_or(usize::MAX);
        let mut recovery = Recovery::new(&mut draft, &mut holdings, next_number, recent);
        let position = recovery.log_position();
        let mut failed = None;
        let opened = self.open_log(&position, &mut |record| {
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
            tracing::info!(records, after = covered, "replayed the log into the database");
        }
        let Opened { mut log, torn } = match opened {
            Ok(opened) => opened,
            Err(damage) => {
                tracing::error!(records, "{damage}; accepted, continuing with what can be read");
                let position = LogPosition::new(position.segment_size as usize);
                next_number += NUMBERS_SKIPPED;
                log::remove_all(&self.directory.log()).map_err(unusable(path))?;
                draft.set_log(position.clone(), next_number).map_err(wrong)?;
                self.open_log(&position, &mut |_| Ok(())).map_err(|error| self.refuse(error))?
            }
        };
        if let Some(Torn { sequence, bytes }) = torn {
            tracing::warn!(
                record = sequence,
                bytes,
                "the log ends with a torn record; it was never acknowledged"
            );
        }
        self.begin(&mut log).map_err(unusable(path))?;
        draft.set_covered(log.last(), next_number).map_err(wrong)?;
        Ok(Started { draft, holdings, log, next_number })
    }

    /// Opens the generations, or creates the first.
    fn open(&self, options: &GenerationOptions) -> Result<(Draft, Holdings), OpenError> {
        let path = &self.settings.path;
        let sizes = GenerationSizes { min: self.plan.generation_min, max: self.plan.generation_max };
        let before = match self.directory.held() {
            Held::Before => {
                Some(Before::open(&self.directory.database_before()).map_err(|error| wrong(path, error))?)
            }
            Held::Nothing | Held::Current => None,
        };
        if self.directory.held() != Held::Current {
            let new = || LogPosition::new(self.plan.log_segment_size as usize);
            let mut manifest = Manifest::new(new());
            if let Some(before) = &before {
                let read = |error: ReadError| wrong(path, error.into());
                manifest.log = before.log().map_err(read)?.unwrap_or(manifest.log);
                manifest.next_number = before.next_number().map_err(read)?;
            }
            Generation::create(options, &manifest).map_err(|error| opening::refuse(path, error))?;
        }
        let OpenedGenerations { index, mut holdings, manifest } =
            opening::open(path, options, self.settings.on_damage, || self.log_left())?;
        let draft = Draft::new(index, options.clone(), sizes, manifest);
        let mut draft = draft.map_err(|error| wrong(path, error.into()))?;
        if let Some(before) = before {
            before.copy_into(&mut draft, &mut holdings).map_err(|error| wrong(path, error))?;
        }
        Ok((draft, holdings))
    }

    /// The position of the newest log in the directory, for when the manifest that names it is lost.
    fn log_left(&self) -> Result<LogPosition, OpenError> {
        let found = match log::find_newest(&self.directory.log()) {
            Err(LogError::System { error, .. }) if error.kind() == io::ErrorKind::NotFound => None,
            found => found.map_err(|error| self.refuse(error))?,
        };
        let new = LogPosition::new(self.plan.log_segment_size as usize);
        Ok(found.map_or(new, |(id, size, covered)| LogPosition { id, segment_size: size as u64, covered }))
    }

    fn open_log(
        &self,
        position: &LogPosition,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Opened, LogError> {
        let settings = LogSettings {
            id: position.id,
            segment_size: position.segment_size as usize,
            bytes_max: self.plan.log_max,
            bytes_ready: self.plan.log_ready,
        };
        Log::open(&self.directory.log(), &settings, position.covered, visit)
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

    /// Provides the pre-allocated segments and appends an empty record, so that a log which is missing later
    /// is noticed.
    fn begin(&self, log: &mut Log) -> io::Result<()> {
        log.segments().provide_ready()?;
        log.make_room(0, true)?;
        log.append(&[])?;
        log.sync()
    }
}

pub(super) fn wrong(path: &Path, error: DraftError) -> OpenError {
    let path = path.to_owned();
    match error {
        // sled writes as it opens, so an I/O error means a full or failing disk and not damage. Read errors
        // count as well: what the disk does not return now may still be there.
        DraftError::Database(sled::Error::Io(error))
        | DraftError::Read(ReadError::Database(sled::Error::Io(error)))
        | DraftError::Space(error)
        | DraftError::Log(error) => OpenError::Unusable { path, error },
        DraftError::Generation(error) => opening::refuse(&path, error),
        error => OpenError::Damaged { path, problems: vec![error.to_string()] },
    }
}
