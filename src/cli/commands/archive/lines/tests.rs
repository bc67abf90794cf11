use std::io::Cursor;

use super::*;

fn item(number: usize) -> String {
    format!("{{\"op\":\"create\",\"cursor\":\"c{number}\",\"payload\":\"{}\"}}\n", "x".repeat(number))
}

fn end(lines: &str) -> String {
    let mut ledger = Ledger::default();
    lines.split_inclusive('\n').for_each(|line| ledger.add(line.as_bytes(), None));
    String::from_utf8(ledger.end()).unwrap()
}

/// The numbers of the lines, and the ending.
fn read(bytes: &[u8]) -> Result<(Vec<u64>, Ending), String> {
    let mut lines = Lines::of(Source::of(Cursor::new(bytes.to_vec())).unwrap());
    let mut numbers = Vec::new();
    while let Some(line) = lines.next_line().map_err(|error| error.to_string())? {
        numbers.push(line.number);
    }
    Ok((numbers, lines.ending()))
}

#[test]
fn an_end_tells_the_whole_from_a_part() {
    let lines = item(1) + &item(2);
    let whole = lines.clone() + &end(&lines);
    assert_eq!(read(whole.as_bytes()), Ok((vec![1, 2], Ending::Whole)));
    assert_eq!(
        read(whole.trim().as_bytes()),
        Ok((vec![1, 2], Ending::Whole)),
        "the last line feed is no matter"
    );
    assert_eq!(read(end("").as_bytes()), Ok((vec![], Ending::Whole)));
    assert_eq!(read(lines.as_bytes()), Ok((vec![1, 2], Ending::Incomplete)));
    assert_eq!(read(lines.trim().as_bytes()), Ok((vec![1, 2], Ending::Incomplete)));
    assert_eq!(read(&lines.as_bytes()[..lines.len() - 3]), Ok((vec![1], Ending::Incomplete)));
    let twice = whole.repeat(2);
    assert_eq!(read(twice.as_bytes()), Ok((vec![1, 2, 4, 5], Ending::Whole)));
    assert_eq!(read((whole + &item(1)).as_bytes()), Ok((vec![1, 2, 4], Ending::Incomplete)));
}

#[test]
fn what_was_written_by_hand_needs_no_end() {
    for (text, numbers) in [("", vec![]), ("{}\n\n{}", vec![1, 3]), ("{}\nhello", vec![1, 2])] {
        assert_eq!(read(text.as_bytes()), Ok((numbers, Ending::Unknown)), "{text}");
    }
}

#[test]
fn a_changed_byte_anywhere_before_the_end_is_noticed() {
    let lines = item(1) + &item(2) + &item(3);
    let whole = lines.clone() + &end(&lines);
    for place in 0..whole.len() {
        let mut bytes = whole.clone().into_bytes();
        bytes[place] ^= 1;
        let found = read(&bytes);
        assert!(!matches!(found, Ok((_, Ending::Whole))), "byte {place}: {found:?}");
    }
    let error = read((lines.clone() + &end(&item(1))).as_bytes()).unwrap_err();
    assert_eq!(error, "the end at line 4 is for 1 line, but comes after 3 lines");
}

#[test]
fn a_cut_frame_gives_the_lines_that_are_whole_and_a_damaged_one_none() {
    let lines = item(1) + &item(2);
    let frame = |text: &str| {
        let mut compressor = zstd::bulk::Compressor::new(3).unwrap();
        compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true)).unwrap();
        compressor.compress(text.as_bytes()).unwrap()
    };
    let frames = [frame(&item(1)), frame(&(item(2) + &end(&lines)))];
    let whole = frames.concat();
    assert_eq!(read(&whole), Ok((vec![1, 2], Ending::Whole)));
    assert_eq!(read(&frames[0]), Ok((vec![1], Ending::Incomplete)));
    for length in frames[0].len() + 1..whole.len() {
        let (numbers, ending) = read(&whole[..length]).unwrap();
        assert!(
            numbers.starts_with(&[1]) && ending == Ending::Incomplete,
            "{length}: {numbers:?} {ending:?}"
        );
    }
    for place in 4..whole.len() {
        let mut bytes = whole.clone();
        // A single bit could be one without meaning.
        bytes[place] ^= 0xFF;
        let found = read(&bytes);
        assert!(!matches!(found, Ok((_, Ending::Whole))), "byte {place}: {found:?}");
    }
}

#[test]
fn a_line_without_end_is_refused() {
    let mut lines = Lines::of(Source::of(io::repeat(b'x')).unwrap());
    assert!(matches!(lines.next_line(), Err(LineError::Damaged(_))));
}
