//! Which sizes are measured, and how a size is written.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::load::{Failure, text};

/// Those of a run that nobody has asked anything else of.
pub const USUAL: [usize; 2] = [10_000, 1_000_000];
const SMOKE: [usize; 2] = [1_000, 8_000];
/// The unit in which `st_blocks` counts.
const BLOCK: u64 = 512;

/// The sizes of a variable, or these.
pub fn sizes(smoke: bool) -> Result<Vec<usize>, Failure> {
    match text("GROWTH_ITEMS") {
        None if smoke => Ok(SMOKE.to_vec()),
        None => Ok(USUAL.to_vec()),
        Some(list) => list.split(',').map(|word| parse("GROWTH_ITEMS", word)).collect(),
    }
}

/// A number of items, such as `10k` or `1M`.
pub fn parse(name: &str, word: &str) -> Result<usize, Failure> {
    let word = word.trim();
    let (digits, unit) = match word.char_indices().next_back() {
        Some((at, 'k')) => (&word[..at], 1_000),
        Some((at, 'M')) => (&word[..at], 1_000_000),
        _ => (word, 1),
    };
    match digits.parse::<usize>() {
        Ok(number) if number > 0 => Ok(number * unit),
        _ => Err(Failure::Settings(format!(
            "{name} names {word:?}, which is no number of items such as 10k or 1M"
        ))),
    }
}

/// A size in words.
pub fn title(items: usize) -> String {
    match items {
        items if items % 1_000_000 == 0 => format!("{} million", items / 1_000_000),
        items if items % 1_000 == 0 => format!("{} thousand", items / 1_000),
        items => items.to_string(),
    }
}

/// The bytes that a directory takes on its disk, all that is in it included.
pub fn bytes_on_disk(directory: &Path) -> Result<u64, Failure> {
    let looking = |error| Failure::system("looking how large the data is")(error);
    let mut bytes = 0;
    for entry in fs::read_dir(directory).map_err(looking)? {
        let entry = entry.map_err(looking)?;
        // What goes away while we look takes nothing any more.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += metadata.blocks() * BLOCK;
        if metadata.is_dir() {
            bytes += bytes_on_disk(&entry.path())?;
        }
    }
    Ok(bytes)
}
