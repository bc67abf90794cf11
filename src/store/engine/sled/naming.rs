//! The names of the entries in the generations directory.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::opening::DAMAGED;

/// The suffixes of a directory that is being created, and of one that is being removed.
pub(super) const UNFINISHED: &str = ".new";
pub(super) const REMOVED: &str = ".removed";
/// The finding about an entry that is no generation.
pub(super) const FOREIGN: &str = "is no generation; move it elsewhere";

pub(super) fn name(number: u32) -> String {
    format!("{number:08}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Generation(u32),
    /// Left by an interrupted creation or removal.
    Unfinished,
    /// A damaged generation that was renamed.
    Damaged,
    Foreign,
}

/// All entries of the generations directory.
pub(super) fn list_entries(directory: &Path) -> io::Result<Vec<(PathBuf, Named)>> {
    let entries = fs::read_dir(directory)?.map(|entry| {
        let entry = entry?;
        let file_name = entry.file_name();
        let file_name = file_name.to_string_lossy();
        let named = if file_name.ends_with(UNFINISHED) || file_name.ends_with(REMOVED) {
            Named::Unfinished
        } else if file_name.ends_with(DAMAGED) {
            Named::Damaged
        } else {
            let number = file_name.parse().ok().filter(|number| name(*number) == file_name);
            number.map_or(Named::Foreign, Named::Generation)
        };
        Ok((entry.path(), named))
    });
    entries.collect()
}
