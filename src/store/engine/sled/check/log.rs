//! The check of the log: all records that are in no generation yet.

use std::fs;
use std::io;
use std::path::Path;

use bytes::Bytes;

use super::super::directory;
use super::super::entry;
use super::super::manifest::LogPosition;
use super::super::names::NameHasher;
use super::super::open_error::unusable;
use super::{Check, documents, is_damage};
use crate::store::log::LogError;
use crate::store::log::recovery::recover;
use crate::store::{CheckError, LogHeld};

impl Check<'_> {
    /// Reads the log after the position in the manifest.
    pub(super) fn log(&mut self, position: &LogPosition) -> Result<(), CheckError> {
        self.go_on()?;
        let directory = self.path.join(directory::LOG);
        if !directory.exists() {
            self.tell(directory::LOG, "is missing");
            return Ok(());
        }
        let mut held = LogHeld { bytes: size(&directory).unwrap_or(0), ..LogHeld::default() };
        let hasher = NameHasher::default();
        let mut visit = |record: &[u8]| {
            // A confirmation record; see [`crate::store::log::recovery`].
            if record.is_empty() {
                return Ok(());
            }
            let decoded = entry::decode(&Bytes::copy_from_slice(record), &hasher);
            let (group, _) = decoded.map_err(|error| error.to_string())?;
            held.records += 1;
            held.changes += group.rows().len() as u64;
            for (number, row) in group.rows() {
                self.row(directory::LOG, *number, row);
            }
            for (key, value) in group.documents() {
                if let Some(Err(error)) = value.as_ref().map(|value| documents::decode(key, value)) {
                    let name = documents::name(key);
                    self.tell(directory::LOG, format!("holds {name}, which cannot be read: {error}"));
                }
            }
            Ok(())
        };
        match recover(&directory, &position.id, position.segment_size as usize, position.covered, &mut visit)
        {
            Ok(recovered) => {
                held.torn = recovered.torn.map(|torn| (torn.sequence, torn.bytes));
                self.bytes += held.bytes;
                self.report.log = Some(held);
            }
            Err(LogError::System { path, error }) if is_damage(&error) => {
                self.tell(within(self.path, &path), format!("cannot be read: {error}"));
            }
            Err(LogError::System { path, error }) => return Err(unusable(&path)(error).into()),
            Err(LogError::Damaged { path, problem }) => self.tell(within(self.path, &path), problem),
        }
        Ok(())
    }
}

fn within(directory: &Path, path: &Path) -> String {
    path.strip_prefix(directory).unwrap_or(path).display().to_string()
}

fn size(directory: &Path) -> io::Result<u64> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}
