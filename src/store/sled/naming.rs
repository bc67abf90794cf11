//! What the names in the directory of the generations say.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::opening::PUT_ASIDE;

/// What the name of a directory ends with that is being made, and of one that is being removed.
pub(super) const UNFINISHED: &str = ".new";
pub(super) const REMOVED: &str = ".removed";
/// What is said of something there that is no generation.
pub(super) const FOREIGN: &str = "is no generation; move it elsewhere";

/// The name of the directory of a generation.
pub(super) fn name(number: u32) -> String {
    format!("{number:08}")
}

/// What something in the directory of the generations is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// A generation with this number.
    Generation(u32),
    /// What was left half made or half removed.
    Unfinished,
    /// What was put aside because it was damaged.
    PutAside,
    /// Something else.
    Foreign,
}

/// All that is in the directory of the generations.
///
/// # Errors
/// When it cannot be read.
pub(super) fn look_through(directory: &Path) -> io::Result<Vec<(PathBuf, Named)>> {
    let entries = fs::read_dir(directory)?.map(|entry| {
        let entry = entry?;
        let file_name = entry.file_name();
        let file_name = file_name.to_string_lossy();
        let named = if file_name.ends_with(UNFINISHED) || file_name.ends_with(REMOVED) {
            Named::Unfinished
        } else if file_name.ends_with(PUT_ASIDE) {
            Named::PutAside
        } else {
            let number = file_name.parse().ok().filter(|number| name(*number) == file_name);
            number.map_or(Named::Foreign, Named::Generation)
        };
        Ok((entry.path(), named))
    });
    entries.collect()
}
