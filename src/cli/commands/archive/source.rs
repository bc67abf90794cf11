//! Where lines are read from: a file or standard input, as it is or compressed, which is seen by how it begins.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read, stdin};
use std::path::Path;

use zstd::stream::read::Decoder;

/// How much is read at once, in bytes.
const BUFFER: usize = 128 * 1024;
/// How a frame of zstd begins.
const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// How a frame begins that is to be skipped, but for the low half of its first byte. Some compressors write one first.
const SKIPPABLE_MAGIC: [u8; 4] = 0x184D_2A50_u32.to_le_bytes();

/// How other forms begin, and what is to be done about them.
const OTHERS: [(&[u8], &str); 8] = [
    (&[0x1F, 0x8B], "it is compressed by gzip: unpack it with `gunzip`, only zstd is read as it is"),
    (b"BZh", "it is compressed by bzip2: unpack it with `bunzip2`, only zstd is read as it is"),
    (&[0xFD, b'7', b'z', b'X'], "it is compressed by xz: unpack it with `unxz`, only zstd is read as it is"),
    (b"PK\x03\x04", "it is a zip archive: unpack it, only zstd is read as it is"),
    (
        &[0x04, 0x22, 0x4D, 0x18],
        "it is compressed by lz4: unpack it with `unlz4`, only zstd is read as it is",
    ),
    (
        &[0xEF, 0xBB, 0xBF],
        "it begins with a byte order mark (BOM), as some editors put one before a text: take it off with `tail -c +4`",
    ),
    (
        &[0xFF, 0xFE],
        "it is UTF-16, by its byte order mark (BOM): bring it back with `iconv -f UTF-16 -t UTF-8`",
    ),
    (
        &[0xFE, 0xFF],
        "it is UTF-16, by its byte order mark (BOM): bring it back with `iconv -f UTF-16 -t UTF-8`",
    ),
];

/// What was read to recognise the form, and the rest.
type Raw = io::Chain<Cursor<Vec<u8>>, BufReader<Box<dyn Read + Send>>>;

/// A source of lines. What cannot be decompressed is [`ErrorKind::InvalidData`]; what ends within a frame,
/// [`ErrorKind::UnexpectedEof`].
pub enum Source {
    /// Lines as they are.
    Plain(Counted),
    /// Lines in frames.
    Frames(Box<Frames>),
}

/// Bytes, and how many of them were taken.
pub struct Counted {
    raw: Raw,
    taken: u64,
}

/// What frames hold.
pub struct Frames {
    place: Place,
    /// Where the frame begins that is read, or the next one, and how many there were before it.
    at: u64,
    buffer: Vec<u8>,
    /// What of the buffer is still to be taken.
    start: usize,
    end: usize,
}

enum Place {
    Between(Counted),
    Within(Decoder<'static, Counted>),
    /// In the middle of a step from one to the other; nothing is left here when a step fails.
    Nowhere,
}

impl Source {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// When it cannot be opened or read, or begins like something else, which is [`ErrorKind::InvalidData`].
    pub fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" { Self::of(stdin()) } else { Self::of(File::open(path)?) }
    }

    /// What can be read here.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(input: impl Read + Send + 'static) -> io::Result<Self> {
        let input: Box<dyn Read + Send> = Box::new(input);
        let mut input = BufReader::with_capacity(BUFFER, input);
        let mut head = Vec::new();
        (&mut input).take(MAGIC.len() as u64).read_to_end(&mut head)?;
        if let Some((_, what)) = OTHERS.iter().find(|(beginning, _)| head.starts_with(beginning)) {
            return Err(io::Error::new(ErrorKind::InvalidData, *what));
        }
        let is_compressed = is_zstd(&head);
        let counted = Counted { raw: Cursor::new(head).chain(input), taken: 0 };
        Ok(if is_compressed { Self::Frames(Box::new(Frames::of(counted))) } else { Self::Plain(counted) })
    }

    /// Whether it is compressed.
    pub fn is_compressed(&self) -> bool {
        matches!(self, Self::Frames(_))
    }

    /// How many bytes of the file were taken so far.
    pub fn position(&self) -> u64 {
        match self {
            Self::Plain(counted) => counted.taken,
            Self::Frames(frames) => frames.position(),
        }
    }

    /// The place in the file behind all that was taken, if the file could end there: nothing within a frame.
    ///
    /// # Errors
    /// When what follows in the frame cannot be read.
    pub fn boundary(&mut self) -> io::Result<Option<u64>> {
        match self {
            Self::Plain(counted) => Ok(Some(counted.taken)),
            Self::Frames(frames) => frames.boundary(),
        }
    }
}

/// Whether a frame begins like this, or is cut there.
fn is_zstd(head: &[u8]) -> bool {
    (!head.is_empty() && MAGIC.starts_with(head))
        || matches!((head, SKIPPABLE_MAGIC), ([a, b, c, d], [w, x, y, z])
            if a & 0xF0 == w && [b, c, d] == [&x, &y, &z])
}

impl Frames {
    fn of(input: Counted) -> Self {
        Self { place: Place::Between(input), at: 0, buffer: vec![0; BUFFER], start: 0, end: 0 }
    }

    fn position(&self) -> u64 {
        match &self.place {
            Place::Between(input) => input.taken,
            Place::Within(decoder) => decoder.get_ref().taken,
            Place::Nowhere => self.at,
        }
    }

    fn boundary(&mut self) -> io::Result<Option<u64>> {
        // That a frame is over, and its checksum right, is known only when no more comes of it.
        while self.start == self.end && matches!(self.place, Place::Within(_)) {
            self.step()?;
        }
        Ok((self.start == self.end).then(|| self.position()))
    }

    /// Reads on within a frame, comes to its end, or begins one. Says whether there was anything to do: not at the end of
    /// the file.
    fn step(&mut self) -> io::Result<bool> {
        match std::mem::replace(&mut self.place, Place::Nowhere) {
            Place::Between(mut input) => {
                self.at = input.taken;
                if input.fill_buf()?.is_empty() {
                    self.place = Place::Between(input);
                    return Ok(false);
                }
                self.place = Place::Within(Decoder::with_buffer(input)?.single_frame());
            }
            Place::Within(mut decoder) => {
                let read = decoder.read(&mut self.buffer).map_err(|error| self.explained(error))?;
                (self.start, self.end) = (0, read);
                self.place =
                    if read == 0 { Place::Between(decoder.finish()) } else { Place::Within(decoder) };
            }
            Place::Nowhere => return Ok(false),
        }
        Ok(true)
    }

    /// Tells damage from what the system says.
    fn explained(&self, error: io::Error) -> io::Error {
        if error.kind() == ErrorKind::UnexpectedEof || error.raw_os_error().is_some() {
            return error;
        }
        let what = format!("the compressed data that begins at byte {} is damaged: {error}", self.at);
        io::Error::new(ErrorKind::InvalidData, what)
    }
}

impl BufRead for Frames {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.start == self.end && self.step()? {}
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }
}

impl Read for Frames {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, into)
    }
}

impl BufRead for Counted {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.raw.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.taken += count as u64;
        self.raw.consume(count);
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Plain(counted) => counted.fill_buf(),
            Self::Frames(frames) => frames.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        match self {
            Self::Plain(counted) => counted.consume(count),
            Self::Frames(frames) => frames.consume(count),
        }
    }
}

/// Reads what the buffer holds.
fn read_buffered(reader: &mut impl BufRead, into: &mut [u8]) -> io::Result<usize> {
    let read = reader.fill_buf()?.read(into)?;
    reader.consume(read);
    Ok(read)
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, into)
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, into)
    }
}

#[cfg(test)]
mod tests {
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
}
