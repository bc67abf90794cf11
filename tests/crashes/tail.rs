//! The last record of a log, and the ways in which it may be torn if it was not synced.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use warden::store::log::frame::{self, HEAD_SIZE, Head, Place};

use crate::dice::Dice;
use crate::story::{MARKER, Story};

/// How many segments are read, from the last on: more than any record of these stories takes.
const SEGMENTS: usize = 12;
/// What a disk writes wholly or not at all, in bytes.
const SECTOR: usize = 512;

/// The files of segments by their names.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The last record that is whole.
#[derive(Default)]
pub struct Tail {
    /// Where it is: its frames, and the heads of the segments that begin with one.
    places: Vec<(PathBuf, Range<usize>)>,
    body: Vec<u8>,
    /// Whether something of the next one is there.
    is_followed: bool,
}

/// All segments of a log.
pub fn files(directory: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        // One that is being made has a name that ends otherwise.
        if path.extension().is_none() {
            files.insert(path.clone(), fs::read(path)?);
        }
    }
    Ok(files)
}

/// The numbers of the segments of which the heads are there.
pub fn segments(files: &Files) -> BTreeMap<u64, (&PathBuf, Head)> {
    let heads = files.iter().filter_map(|(path, bytes)| Some((path, Head::decode(bytes)?)));
    heads.map(|(path, head)| (head.number, (path, head))).collect()
}

/// Reads the end of a log.
pub fn last_record(files: &Files) -> Tail {
    let segments = segments(files);
    let newest = segments.last_key_value().map_or(0, |(number, _)| *number);
    // Those that follow one another without a gap.
    let run = (0..newest).rev().take_while(|number| segments.contains_key(number)).take(SEGMENTS - 1).count();
    let mut last = Tail::default();
    let mut record = Tail::default();
    let mut carried = None;
    for number in newest - run as u64..=newest {
        let Some((path, head)) = segments.get(&number) else { break };
        if record.places.is_empty() {
            carried = head.carried;
        }
        let (segment, mut offset) = (&files[*path], HEAD_SIZE);
        while frame::room(segment.len(), offset).is_some() {
            let place = Place { log: &head.log, segment: number, offset };
            let Some(frame) = frame::decode_frame(segment, place, carried) else {
                return Tail { is_followed: !record.places.is_empty(), ..last };
            };
            if frame.kind.begins() {
                record = Tail::default();
            }
            let from = if offset == HEAD_SIZE { 0 } else { offset };
            record.places.push(((*path).clone(), from..frame.end));
            record.body.extend_from_slice(frame.body);
            (offset, carried) = (frame.end, Some(frame.check));
            if frame.kind.ends() {
                last = std::mem::take(&mut record);
                carried = None;
            }
        }
    }
    Tail { is_followed: !record.places.is_empty(), ..last }
}

/// When one of the files in a directory, or in those in it, was last written.
fn written(directory: &Path) -> io::Result<SystemTime> {
    let mut last = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(directory)? {
        let (entry, path) = entry.map(|entry| (entry.metadata(), entry.path()))?;
        let entry = entry?;
        last = last.max(if entry.is_dir() { written(&path)? } else { entry.modified()? });
    }
    Ok(last)
}

impl Tail {
    /// Whether nobody was told of anything in it that it is done. Each request that has a part in it has its
    /// marker in it.
    pub fn is_unacknowledged(&self, stories: &[Story]) -> bool {
        let starts = self.body.windows(MARKER.len()).enumerate();
        let starts = starts.filter(|(_, bytes)| *bytes == MARKER.as_bytes()).map(|(at, _)| at);
        let mut requests = starts.filter_map(|at| Story::of_marker(&self.body[at..]));
        !self.places.is_empty() && requests.all(|(submitter, number)| number > stories[submitter].done)
    }

    /// Whether it may not have been synced, for all that can be seen in the data directory where it is:
    /// nothing was written into the generations since, and nothing behind it. Once it is synced a checkpoint
    /// counts on it, and leaves out what it says better.
    pub fn may_be_torn(&self, data: &Path) -> io::Result<bool> {
        let Some((path, _)) = self.places.last().filter(|_| !self.is_followed && !self.body.is_empty())
        else {
            return Ok(false);
        };
        Ok(written(&data.join("generations"))? < fs::metadata(path)?.modified()?)
    }

    /// Leaves of it, in a copy of the log, what may be left of what was not synced. `older` is what the files
    /// held some time before.
    pub fn harm(&self, copy: &Path, older: &Files, dice: &mut Dice) -> io::Result<()> {
        let size: usize = self.places.iter().map(|(_, range)| range.len()).sum();
        let kind = dice.below(4);
        let mut left = dice.index(size);
        for (path, range) in &self.places {
            let name = path.file_name().unwrap_or_default();
            let file = File::options().read(true).write(true).open(copy.join(name))?;
            let mut bytes = vec![0; range.len()];
            file.read_exact_at(&mut bytes, range.start as u64)?;
            match kind {
                // It is there up to some byte.
                0 => {
                    bytes.iter_mut().skip(left).for_each(|byte| *byte = 0);
                    left = left.saturating_sub(range.len());
                }
                // Some bytes are not what they were to be.
                1 => {
                    for _ in 0..1 + dice.below(16) {
                        let at = dice.index(bytes.len());
                        bytes[at] ^= 1 + dice.below(255) as u8;
                    }
                }
                // Some sectors are as they were before, or are zeros.
                2 => {
                    let before = older.get(path).and_then(|older| older.get(range.clone()));
                    let share = dice.below(100);
                    for at in 0..bytes.len() {
                        if at == 0 || (range.start + at) % SECTOR == 0 {
                            let end = (at + SECTOR - (range.start + at) % SECTOR).min(bytes.len());
                            if dice.percent(share) {
                                continue;
                            }
                            match before {
                                Some(before) => bytes[at..end].copy_from_slice(&before[at..end]),
                                None => bytes[at..end].fill(0),
                            }
                        }
                    }
                }
                // Nothing of it is there.
                _ => bytes.fill(0),
            }
            file.write_all_at(&bytes, range.start as u64)?;
        }
        Ok(())
    }
}
