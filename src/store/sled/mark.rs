//! The mark of a data directory: which format it has, and what shows that its files belong together.
//!
//! `FORMAT` holds two lines. The first names the format. The second is written anew at each start, and ties the files to
//! each other: it names the snapshot that the database then had, and a note of that start which the database holds as well,
//! with its place in the database's log. A file from an older copy beside newer ones shows by this before the database opens,
//! which might give up what it finds no sense in, and the note once more after that.
//!
//! A start that is killed while the database opens leaves it open which snapshot there is and whether the note was written.
//! So that is said before it opens (`opening`), and what was certain until then does not count any more.
//!
//! Deliberately absent: whatever would tell two copies that were made in one and the same run of the daemon from each other.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::survey;

/// The size of a note in the database, in bytes.
const NOTE_SIZE: usize = 16;

/// What the database holds of a start: the same in no two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The number of the start, from 1 on.
    start: u64,
    tag: u64,
}

impl Note {
    /// The note of the start after this one, or of the first.
    fn after(before: Option<Self>) -> Self {
        let start = before.map_or(1, |note| note.start + 1);
        Self { start, tag: RandomState::new().hash_one(start) }
    }

    /// As the database holds it.
    pub(super) fn bytes(self) -> [u8; NOTE_SIZE] {
        let mut bytes = [0; NOTE_SIZE];
        bytes[..8].copy_from_slice(&self.start.to_be_bytes());
        bytes[8..].copy_from_slice(&self.tag.to_be_bytes());
        bytes
    }

    /// From what the database holds; nothing if that is no note.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (start, tag) = bytes.split_at_checked(8)?;
        let number = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?));
        Some(Self { start: number(start)?, tag: number(tag)? })
    }
}

/// Where a note is in the log of the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    /// Where its segment begins in the file, in bytes.
    offset: u64,
    /// Where its segment begins in the log; it grows each time the room in the file is used again.
    segment: i64,
    /// How many bytes into the segment it is.
    position: usize,
}

/// A snapshot of the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Snapshot {
    name: String,
    sha256: String,
}

/// The second line of `FORMAT`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    note: Note,
    /// Whether the database was about to open: it holds the note, or the one before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    opening: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Note>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snapshot: Option<Snapshot>,
}

/// A file that does not belong to the others.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stranger {
    /// The file, below the data directory.
    pub(super) file: String,
    /// What is wrong with it.
    pub(super) problem: String,
}

fn stranger(file: impl Into<String>, problem: impl Into<String>) -> Stranger {
    Stranger { file: file.into(), problem: problem.into() }
}

impl Mark {
    /// From the second line of `FORMAT`.
    pub(super) fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// The second line of `FORMAT`, with its line feed.
    pub(super) fn line(&self) -> String {
        let json = serde_json::to_string(self).expect("numbers and plain text can be written");
        format!("{json}\n")
    }

    /// The mark of a start that is about to open the database which this mark was of.
    pub(super) fn opening(found: Option<&Self>) -> Self {
        match found {
            // Nobody knows whether the note was written, so it is written again.
            Some(found) if found.opening => found.clone(),
            found => {
                let before = found.map(|found| found.note);
                Self { note: Note::after(before), opening: true, before, place: None, snapshot: None }
            }
        }
    }

    /// The note that the database is to hold.
    pub(super) fn note(&self) -> Note {
        self.note
    }

    /// The mark once the database is open and holds the note, and all of it is on the disk.
    ///
    /// # Errors
    /// When the database's files cannot be read.
    pub(super) fn opened(&self, database: &Path, segment_size: usize) -> io::Result<Self> {
        let name = latest_snapshot(database)?;
        let snapshot = name.map(|name| {
            let sha256 = sha256(&database.join(&name))?;
            Ok::<_, io::Error>(Snapshot { name, sha256 })
        });
        let place = find(database, segment_size, &self.note.bytes())?;
        Ok(Self { note: self.note, opening: false, before: None, place, snapshot: snapshot.transpose()? })
    }

    /// Holds the files to the mark, before the database opens. Its file is there.
    ///
    /// # Errors
    /// When they cannot be read; and within, which of them does not belong to the others.
    pub(super) fn check(&self, directory: &str, database: &Path) -> io::Result<Result<(), Stranger>> {
        if self.opening {
            return Ok(Ok(()));
        }
        let named = self.snapshot.as_ref();
        if let Some(found) = latest_snapshot(database)? {
            let file = format!("{directory}/{found}");
            let belongs = match named {
                Some(named) => named.name == found && named.sha256 == sha256(&database.join(&found))?,
                None => false,
            };
            if !belongs {
                let named = named.map_or("none".to_owned(), |named| format!("{directory}/{}", named.name));
                return Ok(Err(stranger(
                    file,
                    format!(
                        "is not the snapshot that FORMAT names ({named}), so one of them is from another copy"
                    ),
                )));
            }
        }
        match &self.place {
            Some(place) if !is_at(&database.join("db"), place, &self.note.bytes())? => Ok(Err(stranger(
                format!("{directory}/db"),
                "does not hold what the last start wrote into it, so it is from an older copy than FORMAT",
            ))),
            _ => Ok(Ok(())),
        }
    }

    /// Holds the database to the mark once it is open, by the note that it had.
    ///
    /// # Errors
    /// Which file is from another copy.
    pub(super) fn admit(&self, directory: &str, found: Option<Note>) -> Result<(), Stranger> {
        let as_before = self.opening && (found == self.before || self.before.is_none());
        if found == Some(self.note) || as_before {
            return Ok(());
        }
        let known = if self.opening { self.before.unwrap_or(self.note) } else { self.note };
        let of_start = |note: Option<Note>| note.map_or(0, |note| note.start);
        Err(if of_start(found) > known.start {
            let problem = "was written before the last start of the database, so it is from an older copy";
            stranger("FORMAT", problem)
        } else {
            let (found, known) = (of_start(found), known.start);
            let problem = format!("was last opened by start {found}, and FORMAT by start {known}");
            stranger(format!("{directory}/db"), format!("{problem}, so it is from an older copy"))
        })
    }
}

/// The snapshot that the database would begin with.
fn latest_snapshot(database: &Path) -> io::Result<Option<String>> {
    let mut latest = None;
    for entry in fs::read_dir(database)? {
        let name = entry?.file_name();
        let Some((name, place)) = name.to_str().and_then(|name| Some((name, survey::snapshot_place(name)?)))
        else {
            continue;
        };
        latest = latest.max(Some((place, name.to_owned())));
    }
    Ok(latest.map(|(_, name)| name))
}

fn sha256(path: &Path) -> io::Result<String> {
    Ok(Sha256::digest(fs::read(path)?).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Where the log holds these bytes first, behind what the snapshot covers.
fn find(database: &Path, segment_size: usize, bytes: &[u8]) -> io::Result<Option<Place>> {
    let covered = latest_snapshot(database)?.and_then(|name| survey::snapshot_place(&name)).unwrap_or(0);
    let file = File::open(database.join("db"))?;
    let length = file.metadata()?.len();
    let mut segments = Vec::new();
    for offset in (0..length).step_by(segment_size) {
        if let Some(segment) = survey::segment_at(&file, offset)?
            && segment + segment_size as i64 > covered
        {
            segments.push((segment, offset));
        }
    }
    segments.sort_unstable();
    let mut content = vec![0; segment_size];
    for (segment, offset) in segments {
        let count = survey::read(&file, &mut content, offset)?;
        let from = usize::try_from(covered - segment).unwrap_or(0).min(count);
        let found = content[from..count].windows(bytes.len()).position(|window| window == bytes);
        if let Some(position) = found {
            return Ok(Some(Place { offset, segment, position: from + position }));
        }
    }
    Ok(None)
}

/// Whether the bytes are at that place, or may have been before the room was used again or given back.
fn is_at(file: &Path, place: &Place, bytes: &[u8]) -> io::Result<bool> {
    let file = File::open(file)?;
    let Some(segment) = survey::segment_at(&file, place.offset)? else { return Ok(true) };
    if segment != place.segment {
        return Ok(segment > place.segment);
    }
    let mut found = [0; NOTE_SIZE];
    let count = survey::read(&file, &mut found, place.offset + place.position as u64)?;
    Ok(found[..count] == *bytes)
}
