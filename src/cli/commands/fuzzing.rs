//! Requirements for imported files, and for the output of commands and daemons. See [`crate::fuzzing`].

use std::io::{Cursor, Read};

use zstd::zstd_safe::CParameter;

use super::archive::{Ending, LINE_MAX, Ledger, LineError, Lines, Source};

pub use super::worker::fuzzing::results;

/// The most decompressed bytes to read.
const READ_MAX: u64 = 8 * 1024 * 1024;

/// A file, compressed or not: lines come in order and complete, and only an end marks the file as complete.
/// These bytes as the lines of an export are read back unchanged.
pub fn archives(bytes: &[u8]) {
    let source = Source::of(Cursor::new(bytes.to_vec())).expect("bytes can be read");
    // Few bytes can decompress to very many, which `LINE_MAX` keeps out of memory.
    if !source.is_compressed() || is_small(bytes) {
        read(Lines::of(source), bytes.len() as u64);
    }
    restored(bytes);
}

fn is_small(bytes: &[u8]) -> bool {
    let mut source = Source::of(Cursor::new(bytes.to_vec())).expect("bytes can be read");
    let read = std::io::copy(&mut (&mut source).take(READ_MAX), &mut std::io::sink());
    read.map_or(true, |read| read < READ_MAX)
}

/// The lines, and whether they are complete.
fn read(mut lines: Lines, length: u64) -> Option<(Ending, Vec<Vec<u8>>)> {
    let (mut found, mut last) = (Vec::new(), 0);
    loop {
        match lines.next_line() {
            Ok(Some(line)) => {
                assert!(line.number > last && line.text.len() <= LINE_MAX + 1);
                assert_eq!(memchr::memchr(b'\n', &line.text), Some(line.text.len() - 1), "it is one line");
                last = line.number;
                found.push(line.text);
            }
            Ok(None) => break,
            Err(LineError::Damaged(what)) => {
                assert!(!what.is_empty());
                return None;
            }
            Err(LineError::Read(error)) => panic!("bytes can be read: {error}"),
        }
        assert!(lines.position() <= length);
    }
    assert_eq!(lines.items(), found.len() as u64);
    let ending = lines.ending();
    if ending == Ending::Whole {
        assert!(lines.ends() > 0 && lines.position() == length, "an end says so, and nothing is left");
    }
    Some((ending, found))
}

/// Writes lines that contain these bytes, and their end, as an export does.
fn restored(bytes: &[u8]) {
    let text = |piece: &[u8]| {
        let mut line = serde_json::to_vec(&serde_json::json!({
            "op": "create", "cursor": "c", "payload": String::from_utf8_lossy(piece)
        }))
        .expect("it can be written");
        line.push(b'\n');
        line
    };
    let written: Vec<Vec<u8>> = bytes.chunks(bytes.len() / 3 + 1).map(text).collect();
    let mut ledger = Ledger::default();
    written.iter().for_each(|line| ledger.add(line, Some("c")));
    let whole = [written.concat(), ledger.end()].concat();
    let mut compressor = zstd::bulk::Compressor::new(1).expect("a compressor");
    compressor.set_parameter(CParameter::ChecksumFlag(true)).expect("a checksum");
    let compressed = compressor.compress(&whole).expect("it can be compressed");
    for file in [whole, compressed] {
        let length = file.len() as u64;
        let found = read(Lines::of(Source::of(Cursor::new(file)).expect("bytes can be read")), length);
        assert_eq!(found, Some((Ending::Whole, written.clone())));
    }
}
