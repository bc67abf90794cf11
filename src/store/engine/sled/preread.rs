//! Reads all that sled is about to read when it opens a database, so that an I/O error is noticed first.
//!
//! On opening, sled takes whatever it cannot read for the torn end of its log, drops what follows and
//! overwrites it. One unreadable sector would silently lose acknowledged data. So the head of every segment,
//! and every segment that the latest snapshot does not cover, is read here before; an error ends the opening
//! with nothing changed. sled then reads from the page cache.
//!
//! Segment heads and snapshot names have the format of sled 0.34.7. The content is deliberately not judged:
//! whether a segment is torn is for sled to decide.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The bytes of a segment head: a checksum, the log sequence number (LSN) of the segment, and the stable LSN.
const HEAD_SIZE: usize = 20;
/// The prefix of snapshot names. The LSN up to which a snapshot holds everything follows in hexadecimal.
const SNAPSHOT: &str = "snap.";

/// Reads the file. Returns whether the latest snapshot covers all of it, so that sled replays nothing.
pub(super) fn preread(database: &Path, segment_size: usize) -> io::Result<bool> {
    let covered = covered_by_snapshot(database)?;
    let its_segment = covered - covered % segment_size as i64;
    let file = File::open(database.join("db"))?;
    let length = file.metadata()?.len();
    let mut segment = vec![0; segment_size];
    let mut is_covered = covered > 0;
    for offset in (0..length).step_by(segment_size) {
        let place = segment_at(&file, offset)?;
        if place.is_some_and(|place| place < its_segment) {
            continue;
        }
        let count = read(&file, &mut segment, offset)?;
        // On opening, sled pads its last segment with zeros.
        let from = if place == Some(its_segment) { (covered - its_segment) as usize } else { HEAD_SIZE };
        is_covered &= place.is_none() || segment[from.min(count)..count].iter().all(|byte| *byte == 0);
    }
    Ok(is_covered)
}

/// The segment size of a database, by the offsets of segment heads; `None` if no head decides.
pub(super) fn segment_size(database: &Path, candidates: &[usize]) -> Option<usize> {
    let file = File::open(database.join("db")).ok()?;
    let is_head = |offset: usize| {
        let mut head = [0; HEAD_SIZE];
        let is_whole = read(&file, &mut head, offset as u64).is_ok_and(|count| count == HEAD_SIZE);
        is_whole && head[..4] == (crc32fast::hash(&head[4..]) ^ u32::MAX).to_le_bytes()
    };
    // Each size is an even multiple of the next smaller one, so that no head of a larger size is at an odd
    // multiple.
    candidates.iter().copied().find(|size| (1..8).step_by(2).any(|at| is_head(at * size)))
}

/// The LSN of the latest snapshot; 0 if there is none.
fn covered_by_snapshot(database: &Path) -> io::Result<i64> {
    let mut latest = 0;
    for entry in fs::read_dir(database)? {
        let place = entry?.file_name().to_str().and_then(snapshot_place);
        latest = latest.max(place.unwrap_or(0));
    }
    Ok(latest)
}

fn snapshot_place(name: &str) -> Option<i64> {
    i64::from_str_radix(name.strip_prefix(SNAPSHOT)?, 16).ok()
}

/// The LSN of the segment at this offset of the file; `None` if it is free or cut short.
fn segment_at(file: &File, offset: u64) -> io::Result<Option<i64>> {
    let mut head = [0; HEAD_SIZE];
    let is_whole = read(file, &mut head, offset)? == HEAD_SIZE;
    // The head of a free segment is zeroed.
    Ok((is_whole && head != [0; HEAD_SIZE]).then(|| place(&head)))
}

/// The LSN in a segment head.
fn place(head: &[u8; HEAD_SIZE]) -> i64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&head[4..12]);
    i64::from_le_bytes(bytes) ^ i64::MAX
}

/// Reads until the buffer is full or the file ends. Returns the number of bytes read.
fn read(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match file.read_at(&mut buffer[count..], offset + count as u64) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT_SIZE: usize = 512 * 1024;

    fn open(directory: &Path) -> sled::Db {
        let config = sled::Config::default().path(directory).segment_size(SEGMENT_SIZE).flush_every_ms(None);
        config.open().unwrap()
    }

    /// Closes the database and waits for sled's own threads, which write on and release its file a moment
    /// later.
    fn close(database: sled::Db, directory: &Path) {
        drop(database);
        File::open(directory.join("db")).unwrap().lock().unwrap();
    }

    #[test]
    fn heads_and_names_are_those_of_the_database() {
        let directory = tempfile::tempdir().unwrap();
        for round in 0..3_u8 {
            let database = open(directory.path());
            for number in 0..400_u32 {
                database.insert([&[round][..], &number.to_be_bytes()].concat(), vec![round; 4096]).unwrap();
            }
            database.flush().unwrap();
            close(database, directory.path());
        }
        let covered = covered_by_snapshot(directory.path()).unwrap();
        let covered = covered - covered % SEGMENT_SIZE as i64;
        assert!(covered > 0, "each opening leaves a snapshot");
        let file = File::open(directory.path().join("db")).unwrap();
        let segments = file.metadata().unwrap().len().div_ceil(SEGMENT_SIZE as u64);
        let mut places: Vec<i64> = (0..segments)
            .map(|segment| {
                let mut head = [0; HEAD_SIZE];
                read(&file, &mut head, segment * SEGMENT_SIZE as u64).unwrap();
                place(&head)
            })
            // The head of a free segment is zeroed.
            .filter(|place| *place != i64::MAX)
            .collect();
        places.sort_unstable();
        assert!(places.iter().all(|place| place % SEGMENT_SIZE as i64 == 0), "{places:?}");
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{places:?}");
        // The last snapshot covers all but the writes after it. Its own segment may be free again: sled
        // relocates data.
        assert!(places.first() < Some(&covered) && places.last() > Some(&covered), "{covered} of {places:?}");
        preread(directory.path(), SEGMENT_SIZE).unwrap();
        let candidates = [SEGMENT_SIZE / 2, SEGMENT_SIZE, 2 * SEGMENT_SIZE];
        assert_eq!(segment_size(directory.path(), &candidates), Some(SEGMENT_SIZE));
    }
}
