use super::*;

fn frame(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 3).unwrap()
}

fn source(bytes: &[u8]) -> Source {
    Source::of(Cursor::new(bytes.to_vec())).unwrap()
}

#[test]
fn the_form_is_seen_by_how_it_begins() {
    let skippable = [&[0x5A, 0x2A, 0x4D, 0x18, 2, 0, 0, 0, 9, 9][..], &frame("skipped\n")].concat();
    for (bytes, is_compressed, expected) in [
        (&b"{\"a\":1}\n"[..], false, "{\"a\":1}\n"),
        (b"", false, ""),
        (b"\x28\xB6", false, "\u{28}\u{fffd}"),
        (&frame("whole\n"), true, "whole\n"),
        (&[frame("a\nb"), frame(""), frame("c\n")].concat(), true, "a\nbc\n"),
        (&skippable, true, "skipped\n"),
    ] {
        let mut source = source(bytes);
        assert_eq!(source.is_compressed(), is_compressed, "{expected}");
        let mut text = Vec::new();
        source.read_to_end(&mut text).unwrap();
        assert_eq!(String::from_utf8_lossy(&text), expected);
        assert_eq!(source.position(), bytes.len() as u64);
    }
}

#[test]
fn a_pipe_that_gives_one_byte_at_a_time_is_recognised_too() {
    struct Drip(Cursor<Vec<u8>>);
    impl Read for Drip {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = into.len().min(1);
            self.0.read(&mut into[..length])
        }
    }
    let mut source = Source::of(Drip(Cursor::new(frame("whole\n")))).unwrap();
    let mut text = String::new();
    source.read_to_string(&mut text).unwrap();
    assert_eq!((source.is_compressed(), &*text), (true, "whole\n"));
}

#[test]
fn a_file_could_end_behind_a_frame_but_not_within() {
    let frames = [frame("one\ntwo\n"), frame("three\n")];
    let mut source = source(&frames.concat());
    let mut line = |expected: &str| {
        let mut line = String::new();
        source.read_line(&mut line).unwrap();
        assert_eq!(line, expected);
        source.boundary().unwrap()
    };
    assert_eq!(line("one\n"), None);
    assert_eq!(line("two\n"), Some(frames[0].len() as u64));
    assert_eq!(line("three\n"), Some(frames.concat().len() as u64));
}

#[test]
fn a_cut_is_told_from_damage() {
    let frames = [frame(&"one\n".repeat(9)), frame(&"two\n".repeat(9))].concat();
    let first = frame(&"one\n".repeat(9)).len();
    let read = |bytes: &[u8]| {
        let mut text = Vec::new();
        source(bytes).read_to_end(&mut text).map_err(|error| (error.kind(), error.to_string()))
    };
    assert_eq!(read(&frames), Ok(72));
    for length in (1..first).chain(first + 1..frames.len()) {
        assert_eq!(read(&frames[..length]).unwrap_err().0, ErrorKind::UnexpectedEof, "{length}");
    }
    let (kind, what) = read(&[&frames[..first], b"garbage"].concat()).unwrap_err();
    assert_eq!(kind, ErrorKind::InvalidData);
    assert!(what.contains(&format!("begins at byte {first} ")), "{what}");
}
