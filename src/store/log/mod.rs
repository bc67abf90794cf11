//! The write-ahead log: every change is here before it is acknowledged.
//!
//! It stores records, which are numbered byte strings whose content it does not interpret, in segment files.
//! A record is written with one call for each segment that it touches, and made durable by one sync of each.
//! Record numbers have no gaps. [`frame`] has the encoding, [`segments`] the files, [`recovery`] the reading.
//!
//! Deliberately absent: retries of a failed write or sync. What the file holds is unknown then, and the
//! writer must stop.

pub mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod recovery;
mod segments;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, IoSlice, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use self::frame::{ALIGNMENT, FRAME_HEAD_SIZE, HEAD_SIZE, Head, Kind, LogId, Place};
pub use self::recovery::{LogError, Torn, find_newest};
use self::recovery::{Recovered, recover};
pub use self::segments::{Segments, remove_all};

#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Distinguishes this log from others in the same files.
    pub id: LogId,
    /// In bytes; fixed for the life of a log.
    pub segment_size: usize,
    /// The most bytes of segment files. A longer record cannot be written.
    pub bytes_max: u64,
    /// The bytes of segment files that are always allocated.
    pub bytes_ready: u64,
}

/// The single writer of a log.
#[derive(Debug)]
pub struct Log {
    id: LogId,
    segments: Arc<Segments>,
    /// The segment being written; `None` before the first record.
    current: Option<Current>,
    /// Full segments that were written to since the last sync.
    unsynced: Vec<File>,
    is_synced: bool,
    last: u64,
}

#[derive(Debug)]
struct Current {
    /// Positioned at `offset`.
    file: File,
    number: u64,
    offset: usize,
}

/// The result of opening a log.
#[derive(Debug)]
pub struct Opened {
    /// Positioned after the last whole record.
    pub log: Log,
    /// A torn record at the end, if there is one.
    pub torn: Option<Torn>,
}

impl Log {
    /// Opens the log in a directory, creating that if necessary, and passes each record after `covered` to
    /// `visit`.
    ///
    /// # Errors
    /// Those of [`recover`]; nothing is changed then.
    pub fn open(
        directory: &Path,
        settings: &LogSettings,
        covered: u64,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Opened, LogError> {
        let system = |error| LogError::System { path: directory.to_owned(), error };
        fs::create_dir_all(directory).and_then(|()| segments::clear(directory)).map_err(system)?;
        let LogSettings { id, segment_size, bytes_max, bytes_ready } = *settings;
        let Recovered { last, torn, end, live, spare, stale } =
            recover(directory, &id, segment_size, covered, visit)?;
        let count = |bytes: u64| usize::try_from(bytes / segment_size as u64).unwrap_or(usize::MAX).max(2);
        let (ready, limit) = (count(bytes_ready), count(bytes_max.max(bytes_ready)));
        let segments = Segments::new(directory, segment_size, (ready, limit), live, spare);
        // Their segment numbers are about to be reused.
        segments.forget(&stale).map_err(system)?;
        let current = match end {
            Some(end) => {
                let file = segments.resume(end.segment).map_err(system)?;
                (&file).seek(SeekFrom::Start(end.offset as u64)).map_err(system)?;
                Some(Current { file, number: end.segment, offset: end.offset })
            }
            None => None,
        };
        let log =
            Self { id, segments: Arc::new(segments), current, unsynced: Vec::new(), is_synced: true, last };
        Ok(Opened { log, torn })
    }

    /// The segment files, through which the caller releases those it no longer needs.
    pub fn segments(&self) -> Arc<Segments> {
        self.segments.clone()
    }

    /// The number of the last record; 0 if there is none.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Allocates segments for a record of this size. Returns false if the log would exceed its maximum size
    /// or, unless `may_grow`, the segments that are always allocated.
    ///
    /// # Errors
    /// The disk is full or fails. The log is unchanged.
    pub fn make_room(&self, bytes: usize, may_grow: bool) -> io::Result<bool> {
        let size = self.segments.size();
        let here = self.current.as_ref().and_then(|current| frame::room(size, current.offset)).unwrap_or(0);
        let each = size - HEAD_SIZE - FRAME_HEAD_SIZE;
        // An empty record takes a frame as well.
        let beyond = bytes.saturating_sub(here).div_ceil(each).max(usize::from(here == 0));
        self.segments.provide(beyond, may_grow)
    }

    /// Appends a record, for which [`Log::make_room`] must have succeeded. Returns its number. It is durable
    /// after the next [`Log::sync`].
    ///
    /// # Errors
    /// How much was written is unknown, and the log must not be written to any more.
    pub fn append(&mut self, record: &[u8]) -> io::Result<u64> {
        let (id, sequence) = (self.id, self.last + 1);
        self.is_synced = false;
        let (mut rest, mut carried) = (record, None);
        loop {
            let (current, room) = self.writable(sequence, carried)?;
            let (body, after) = rest.split_at(rest.len().min(room));
            let place = Place { log: &id, segment: current.number, offset: current.offset };
            let kind = Kind::of(carried.is_none(), after.is_empty());
            let (head, check) = frame::encode_frame_head(place, carried, sequence, kind, body);
            let size = frame::frame_size(body.len());
            let padding = &[0; ALIGNMENT][..size - FRAME_HEAD_SIZE - body.len()];
            write_all(&current.file, [&head, body, padding])?;
            current.offset += size;
            self.segments.note(sequence);
            if after.is_empty() {
                break;
            }
            (rest, carried) = (after, Some(check));
        }
        self.last = sequence;
        Ok(sequence)
    }

    /// Makes all appended records durable.
    ///
    /// # Errors
    /// What is durable is unknown. The sync must not be retried: a later success proves nothing.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.is_synced {
            return Ok(());
        }
        for file in self.unsynced.drain(..) {
            file.sync_data()?;
        }
        if let Some(current) = &self.current {
            current.file.sync_data()?;
        }
        self.is_synced = true;
        Ok(())
    }

    /// The segment to write to, with a new one begun if necessary, and the bytes of a record that fit into
    /// it.
    fn writable(&mut self, sequence: u64, carried: Option<u32>) -> io::Result<(&mut Current, usize)> {
        let size = self.segments.size();
        let is_full = self.current.as_ref().is_none_or(|current| frame::room(size, current.offset).is_none());
        if is_full {
            let number = self.current.as_ref().map_or(1, |current| current.number + 1);
            let file = self.segments.begin(number, sequence)?;
            let head = Head { log: self.id, number, first: sequence, carried };
            file.write_all_at(&head.encode(), 0)?;
            (&file).seek(SeekFrom::Start(HEAD_SIZE as u64))?;
            let full = self.current.replace(Current { file, number, offset: HEAD_SIZE });
            self.unsynced.extend(full.map(|full| full.file));
        }
        let current = self.current.as_mut().ok_or_else(|| io::Error::other("no segment is being written"))?;
        let room = frame::room(size, current.offset).unwrap_or(0);
        Ok((current, room))
    }
}

/// Writes the parts one after the other at the file's position.
fn write_all(mut file: &File, parts: [&[u8]; 3]) -> io::Result<()> {
    let mut slices = parts.map(IoSlice::new);
    let mut rest = &mut slices[..];
    while rest.iter().any(|part| !part.is_empty()) {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut rest, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
