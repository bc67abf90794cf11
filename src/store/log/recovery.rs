//! Reading the log after a restart. Changes nothing.
//!
//! Each record is synced before the next is written. So a record that is incomplete can be *torn*, cut off by
//! a power loss, only if no later record exists; if one does, the record was synced once and is *damaged*. A
//! torn record was never acknowledged and is dropped. Damage is reported and ends the start.
//!
//! To tell damage of the very last record from a torn write, the writer appends an empty *confirmation*
//! record when it is idle.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::frame::{self, ALIGNMENT, Frame, HEAD_SIZE, Head, LogId, Place};
use super::segments::{Live, files};

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file could not be read.
    #[error("{path}: {error}")]
    System { path: PathBuf, error: io::Error },
    /// Something is missing, or differs from what was written.
    #[error("{path}: {problem}")]
    Damaged {
        /// The file, or the directory that lacks a file.
        path: PathBuf,
        problem: String,
    },
}

/// A record that was being written when the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    pub sequence: u64,
    /// The bytes of it that were found.
    pub bytes: usize,
}

/// Where the next record is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub segment: u64,
    /// In bytes.
    pub offset: usize,
}

/// The result of reading a log.
#[derive(Debug)]
pub struct Recovered {
    /// The last whole record; 0 if there never was one.
    pub last: u64,
    /// The torn record after it, if there is one.
    pub torn: Option<Torn>,
    /// `None` if no record is whole.
    pub end: Option<End>,
    /// The segments up to the end that may be needed.
    pub live: VecDeque<Live>,
    /// All other files.
    pub spare: Vec<u32>,
    /// The spare files that hold parts of the torn record.
    pub stale: Vec<u32>,
}

struct Found {
    slot: u32,
    path: PathBuf,
    head: Option<Head>,
}

impl Found {
    fn number(&self) -> Option<u64> {
        self.head.map(|head| head.number)
    }
}

/// A record of which some frames were read.
struct Part {
    sequence: u64,
    bytes: Vec<u8>,
    check: u32,
}

/// Reads the records after `covered` in order, and passes each to `visit`. The log was at least at `covered`
/// once; records up to it may be gone.
///
/// # Errors
/// A file cannot be read, a record is missing or damaged that was synced once, or `visit` returns an error,
/// which counts as damage.
pub fn recover(
    directory: &Path,
    log: &LogId,
    size: usize,
    covered: u64,
    visit: &mut dyn FnMut(&[u8]) -> Result<(), String>,
) -> Result<Recovered, LogError> {
    let found = find(directory, log)?;
    let mut reading =
        Reading { log, size, covered, visit, last: None, end: None, part: None, live: VecDeque::new() };
    let start = found.iter().rposition(|file| file.head.is_some_and(|head| is_before(&head, covered)));
    let mut stopped = None;
    for file in start.map_or(&[][..], |start| &found[start..]) {
        let Some(head) = file.head else { break };
        if !reading.begin(&head) {
            break;
        }
        let segment = load(&file.path, size)?;
        reading.live.push_back(Live { number: head.number, slot: file.slot, last: head.first });
        if let Some(offset) = reading.read(file, head.number, &segment)? {
            stopped = Some((head.number, offset));
            break;
        }
    }
    let last = reading.last.unwrap_or(0);
    let damaged = |path: &Path, problem| Err(LogError::Damaged { path: path.to_owned(), problem });
    if last < covered {
        let problem = format!("ends with record {last}, and once had record {covered}");
        return damaged(directory, problem);
    }
    let behind = stopped.or(reading.live.back().map(|newest| (newest.number + 1, HEAD_SIZE)));
    if let Some((path, later)) = find_later(&found, log, size, last + 1, behind)? {
        let problem = format!("has record {later}, and record {} before it is missing or damaged", last + 1);
        return damaged(&path, problem);
    }
    for file in &found {
        // A file gets its name only once it has its full length, so what it lacks may have held any record.
        let length = std::fs::metadata(&file.path)
            .map_err(|error| LogError::System { path: file.path.clone(), error })?;
        if length.len() != size as u64 {
            let problem = format!("has {} bytes, and had {size} once", length.len());
            return damaged(&file.path, problem);
        }
    }
    let torn = reading.part.as_ref().map(|part| Torn { sequence: part.sequence, bytes: part.bytes.len() });
    let torn = match (torn, stopped) {
        (None, Some((number, offset))) => look_for_torn(&found, size, last + 1, number, offset)?,
        (torn, _) => torn,
    };
    let end = reading.end;
    let mut live = reading.live;
    // A torn record may have begun segments of its own.
    live.retain(|live| end.is_some_and(|end| live.number <= end.segment));
    if let Some(newest) = live.back_mut() {
        newest.last = last;
    }
    let is_live = |slot: u32| live.iter().any(|live| live.slot == slot);
    let is_stale =
        |file: &&Found| file.number().is_some_and(|number| end.is_none_or(|end| number > end.segment));
    let stale = found.iter().filter(is_stale).map(|file| file.slot).collect();
    let spare = found.iter().map(|file| file.slot).filter(|slot| !is_live(*slot)).collect();
    Ok(Recovered { last, torn, end, live, spare, stale })
}

/// Whether the record after `covered` begins in this segment, or in a later one.
fn is_before(head: &Head, covered: u64) -> bool {
    head.first <= covered || (head.first == covered + 1 && head.carried.is_none())
}

/// The files by ascending segment number, then those without a segment of this log.
fn find(directory: &Path, log: &LogId) -> Result<Vec<Found>, LogError> {
    let system = |error| LogError::System { path: directory.to_owned(), error };
    let mut found = Vec::new();
    for (slot, path) in files(directory).map_err(system)? {
        let head = Head::decode(&read_up_to(&path, HEAD_SIZE)?).filter(|head| head.log == *log);
        found.push(Found { slot, path, head });
    }
    found.sort_by_key(|file| file.number().unwrap_or(u64::MAX));
    Ok(found)
}

/// The newest log of which segments exist: its id, its segment size in bytes, and the record after which it
/// can be read. For when the manifest that names the log is lost.
///
/// # Errors
/// A file cannot be read.
pub fn find_newest(directory: &Path) -> Result<Option<(LogId, usize, u64)>, LogError> {
    let system = |error| LogError::System { path: directory.to_owned(), error };
    let mut heads = Vec::new();
    let mut size = 0;
    for (_, path) in files(directory).map_err(system)? {
        let length = std::fs::metadata(&path).map_err(system)?.len() as usize;
        size = size.max(length);
        heads.extend(Head::decode(&read_up_to(&path, HEAD_SIZE)?));
    }
    // Log ids are UUIDs of version 7, which grow with time.
    let Some(newest) = heads.iter().map(|head| head.log).max() else { return Ok(None) };
    heads.retain(|head| head.log == newest);
    heads.sort_by_key(|head| std::cmp::Reverse(head.number));
    let run = heads.iter().zip((0..).map(|back| heads[0].number.saturating_sub(back)));
    let oldest =
        run.take_while(|(head, number)| head.number == *number).last().map_or(heads[0], |(head, _)| *head);
    let covered = if oldest.carried.is_some() { oldest.first } else { oldest.first.saturating_sub(1) };
    Ok(Some((newest, size, covered)))
}

/// Reads a segment, padded with zeros if its file is too short.
fn load(path: &Path, size: usize) -> Result<Vec<u8>, LogError> {
    let mut bytes = read_up_to(path, size)?;
    bytes.resize(size, 0);
    Ok(bytes)
}

fn read_up_to(path: &Path, length: usize) -> Result<Vec<u8>, LogError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(length as u64).read_to_end(&mut bytes));
    read.map_err(|error| LogError::System { path: path.to_owned(), error })?;
    Ok(bytes)
}

struct Reading<'a> {
    log: &'a LogId,
    size: usize,
    covered: u64,
    visit: &'a mut dyn FnMut(&[u8]) -> Result<(), String>,
    last: Option<u64>,
    end: Option<End>,
    part: Option<Part>,
    live: VecDeque<Live>,
}

impl Reading<'_> {
    /// Whether the segment continues the one before it.
    fn begin(&mut self, head: &Head) -> bool {
        match self.live.back() {
            None => {
                // A record that continues into the first segment is covered, so its beginning is not needed.
                self.part = head.carried.map(|check| Part { sequence: head.first, bytes: Vec::new(), check });
                true
            }
            Some(before) => {
                let next = self.part.as_ref().map(|part| part.sequence).or(self.last.map(|last| last + 1));
                head.number == before.number + 1
                    && next == Some(head.first)
                    && head.carried == self.part.as_ref().map(|part| part.check)
            }
        }
    }

    /// Reads the frames of a segment. Returns the offset of the first invalid frame, or `None` at the end of
    /// the segment.
    fn read(&mut self, file: &Found, number: u64, segment: &[u8]) -> Result<Option<usize>, LogError> {
        let mut offset = HEAD_SIZE;
        while frame::room(self.size, offset).is_some() {
            let place = Place { log: self.log, segment: number, offset };
            let frame = frame::decode_frame(segment, place, self.part.as_ref().map(|part| part.check));
            let Some(frame) = frame.filter(|frame| self.continues(frame)) else { return Ok(Some(offset)) };
            offset = frame.end;
            if let Some(newest) = self.live.back_mut() {
                newest.last = frame.sequence;
            }
            let refused = |problem| LogError::Damaged { path: file.path.clone(), problem };
            self.take(frame).map_err(refused)?;
            if frame.kind.ends() {
                self.end = Some(End { segment: number, offset });
            }
        }
        Ok(None)
    }

    /// Whether the frame continues what was read so far.
    fn continues(&self, frame: &Frame<'_>) -> bool {
        match &self.part {
            Some(part) => !frame.kind.begins() && frame.sequence == part.sequence,
            None => frame.kind.begins() && self.last.is_none_or(|last| frame.sequence == last + 1),
        }
    }

    fn take(&mut self, frame: Frame<'_>) -> Result<(), String> {
        let is_needed = frame.sequence > self.covered;
        if frame.kind == frame::Kind::Whole {
            if is_needed {
                (self.visit)(frame.body)?;
            }
            self.last = Some(frame.sequence);
            return Ok(());
        }
        let part =
            self.part.get_or_insert_with(|| Part { sequence: frame.sequence, bytes: Vec::new(), check: 0 });
        part.check = frame.check;
        if is_needed {
            part.bytes.extend_from_slice(frame.body);
        }
        if frame.kind.ends() {
            let whole = self.part.take().map(|part| part.bytes).unwrap_or_default();
            if is_needed {
                (self.visit)(&whole)?;
            }
            self.last = Some(frame.sequence);
        }
        Ok(())
    }
}

/// Finds a record after `expected` behind a position. It proves that `expected` was synced. Returns its file
/// and number.
fn find_later(
    found: &[Found],
    log: &LogId,
    size: usize,
    expected: u64,
    behind: Option<(u64, usize)>,
) -> Result<Option<(PathBuf, u64)>, LogError> {
    let (number, offset) = behind.unwrap_or((1, HEAD_SIZE));
    for file in found {
        // A damaged head does not tell the segment's number, so all following numbers are tried.
        let numbers = match file.number() {
            Some(its) if its < number => continue,
            Some(its) => its..=its,
            None => number..=number + found.len() as u64,
        };
        let segment = load(&file.path, size)?;
        for its in numbers {
            let from = if its == number { offset } else { HEAD_SIZE };
            let written = segment.len() - zeros_at_the_end(&segment);
            for offset in (from..written).step_by(ALIGNMENT) {
                // A cheap filter that excludes almost all offsets without a frame.
                if !frame::may_begin(&segment, offset, expected) {
                    continue;
                }
                let place = Place { log, segment: its, offset };
                if let Some(frame) = frame::decode_frame(&segment, place, None) {
                    return Ok(Some((file.path.clone(), frame.sequence)));
                }
            }
        }
    }
    Ok(None)
}

/// The length of the zeroed pages at the end of a segment, in bytes: most of a new segment.
fn zeros_at_the_end(segment: &[u8]) -> usize {
    const PAGE: [u8; 4096] = [0; 4096];
    segment.rchunks_exact(PAGE.len()).take_while(|page| **page == PAGE).count() * PAGE.len()
}

/// The torn record that begins at this position, if there is one.
fn look_for_torn(
    found: &[Found],
    size: usize,
    expected: u64,
    number: u64,
    offset: usize,
) -> Result<Option<Torn>, LogError> {
    let Some(file) = found.iter().find(|file| file.number() == Some(number)) else { return Ok(None) };
    let segment = load(&file.path, size)?;
    let bytes = frame::claimed(&segment, offset, expected);
    Ok(bytes.map(|bytes| Torn { sequence: expected, bytes }))
}
