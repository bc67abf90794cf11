//! The kinds of damage to a file.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where files are damaged, in thousandths of what is used of them.
pub const PLACES: [u64; 8] = [10, 100, 250, 500, 750, 900, 990, 999];

/// How many bytes of a payload tell it from everything else.
const SOUGHT: usize = 32;

/// What is done at the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A byte is another one.
    Flip,
    /// The file ends there.
    Cut,
}

/// A deed at places of a file.
#[derive(Clone, Debug)]
pub struct Harm {
    /// The file, below the data directory.
    pub file: PathBuf,
    pub deed: Deed,
    /// Where, in bytes, and how long what is used of the file is.
    places: Vec<u64>,
    used: u64,
    /// What the byte is changed by.
    mask: u8,
}

impl fmt::Display for Harm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, places, used) = (self.file.display(), &self.places, self.used);
        match self.deed {
            Deed::Flip => {
                write!(formatter, "{file}, of {used} bytes {places:?} changed by {:#04x}", self.mask)
            }
            Deed::Cut => write!(formatter, "{file}, of {used} bytes, cut at {places:?}"),
        }
    }
}

impl Harm {
    /// All that can be done to a file of these bytes. What is there in advance, as zeros at its end, is not
    /// used.
    pub fn all(file: &Path, bytes: &[u8]) -> Vec<Self> {
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
        let mut all = Vec::new();
        if used > 0 {
            for (number, thousandths) in PLACES.into_iter().enumerate() {
                let places = vec![used * thousandths / 1000];
                for deed in [Deed::Flip, Deed::Cut] {
                    let mask = 1 << (number % 8);
                    all.push(Self { file: file.to_owned(), deed, places: places.clone(), used, mask });
                }
            }
        }
        all
    }

    /// A byte amid these bytes is another one, wherever they are in the file: some copies may be needed no
    /// longer, and nobody can tell which. Nothing where there are none.
    pub fn amid(file: &Path, bytes: &[u8], wanted: &[u8]) -> Option<Self> {
        let amid = wanted.len() / 2;
        // What stores them may cut them into pieces, so that only some of them are looked for.
        let sought = &wanted[amid..(amid + SOUGHT).min(wanted.len())];
        let places: Vec<u64> = memchr::memmem::find_iter(bytes, sought).map(|place| place as u64).collect();
        let (file, used) = (file.to_owned(), bytes.len() as u64);
        (!places.is_empty()).then_some(Self { file, deed: Deed::Flip, places, used, mask: 1 })
    }

    /// Does it to a copy of the directory.
    pub fn do_to(&self, directory: &Path) {
        let path = directory.join(&self.file);
        let file = File::options().read(true).write(true).open(path).expect("a file");
        for place in self.places.iter().copied() {
            match self.deed {
                Deed::Flip => {
                    let mut byte = [0];
                    file.read_exact_at(&mut byte, place).expect("a byte");
                    file.write_all_at(&[byte[0] ^ self.mask], place).expect("it can be written");
                }
                Deed::Cut => file.set_len(place).expect("it can be cut"),
            }
        }
    }
}

/// Copies a directory with all in it.
pub fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").args(["-a", "--sparse=always"]).arg(from).arg(to).status();
    assert!(status.expect("cp can be run").success(), "{} cannot be copied", from.display());
}
