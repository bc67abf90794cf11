//! Reading all that the database is about to read.
//!
//! As it opens, the database takes whatever it cannot read for the torn end of its log. It gives up what follows and
//! overwrites it. A disk that fails to read one sector would so make it forget, without a word, what was acknowledged.
//! Therefore what it reads at that time is read here first: the head of every segment, and the whole of each that its
//! latest snapshot does not cover. An error ends the opening before anything is changed. What was read is in the page
//! cache then, from which the database gets it.
//!
//! The form of heads and of the names of snapshots is that of sled 0.34.7. Deliberately absent: any judgement of what is
//! read. Whether it is torn is for the database to say.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The bytes of a segment's head: a checksum, the place of the segment in the log, and how far the log was stable.
const HEAD_SIZE: usize = 20;
/// What the names of snapshots begin with; the place in the log up to which one holds everything follows in hex.
const SNAPSHOT: &str = "snap.";

/// Reads it; whether the latest snapshot covers all that is in the file, so that the database looks for nothing else.
///
/// # Errors
/// When the system cannot read some of it.
pub(super) fn survey(database: &Path, segment_size: usize) -> io::Result<bool> {
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
        // As it opens, the database fills what is left of its last segment with zeros.
        let from = if place == Some(its_segment) { (covered - its_segment) as usize } else { HEAD_SIZE };
        is_covered &= place.is_none() || segment[from.min(count)..count].iter().all(|byte| *byte == 0);
    }
    Ok(is_covered)
}

/// The segment size with which a database was made, by where heads of segments stand; nothing if that cannot be told.
pub(super) fn segment_size(database: &Path, candidates: &[usize]) -> Option<usize> {
    let file = File::open(database.join("db")).ok()?;
    let is_head = |offset: usize| {
        let mut head = [0; HEAD_SIZE];
        let is_whole = read(&file, &mut head, offset as u64).is_ok_and(|count| count == HEAD_SIZE);
        is_whole && head[..4] == (crc32fast::hash(&head[4..]) ^ u32::MAX).to_le_bytes()
    };
    // Each is twice a smaller one or more, so that no head of a larger one stands at an odd multiple.
    candidates.iter().copied().find(|size| (1..8).step_by(2).any(|at| is_head(at * size)))
}

/// Where the latest snapshot ends, as a place in the log; 0 if there is none.
fn covered_by_snapshot(database: &Path) -> io::Result<i64> {
    let mut latest = 0;
    for entry in fs::read_dir(database)? {
        let place = entry?.file_name().to_str().and_then(snapshot_place);
        latest = latest.max(place.unwrap_or(0));
    }
    Ok(latest)
}

/// The place in the log up to which a snapshot of that name holds everything; nothing if it is no name of one.
fn snapshot_place(name: &str) -> Option<i64> {
    i64::from_str_radix(name.strip_prefix(SNAPSHOT)?, 16).ok()
}

/// The place in the log of the segment that begins here in the file; nothing where none does, or it is free.
fn segment_at(file: &File, offset: u64) -> io::Result<Option<i64>> {
    let mut head = [0; HEAD_SIZE];
    let is_whole = read(file, &mut head, offset)? == HEAD_SIZE;
    // A segment that is free has nothing but zeros in its head.
    Ok((is_whole && head != [0; HEAD_SIZE]).then(|| place(&head)))
}

/// A segment's place in the log, as its head has it.
fn place(head: &[u8; HEAD_SIZE]) -> i64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&head[4..12]);
    i64::from_le_bytes(bytes) ^ i64::MAX
}

/// Reads as much as there is, at most what fits; how much that was.
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

    /// Closes it, and waits for its own threads: they write on, and let go of its file an instant later.
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
            // A segment that is free has nothing but zeros in its head.
            .filter(|place| *place != i64::MAX)
            .collect();
        places.sort_unstable();
        assert!(places.iter().all(|place| place % SEGMENT_SIZE as i64 == 0), "{places:?}");
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{places:?}");
        // The last opening found all but its own writes. Its segment itself may be free again: what is in it is moved.
        assert!(places.first() < Some(&covered) && places.last() > Some(&covered), "{covered} of {places:?}");
        survey(directory.path(), SEGMENT_SIZE).unwrap();
        let candidates = [SEGMENT_SIZE / 2, SEGMENT_SIZE, 2 * SEGMENT_SIZE];
        assert_eq!(segment_size(directory.path(), &candidates), Some(SEGMENT_SIZE));
    }
}
