//! The source of lines: a file or stdin, plain or compressed, which is detected by its first bytes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read, stdin};
use std::path::Path;

use zstd::stream::read::Decoder;

/// In bytes.
const BUFFER: usize = 128 * 1024;
/// The first bytes of a zstd frame.
const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// The first bytes of a skippable frame, of which the low half of the first byte varies. Some compressors
/// write one.
const SKIPPABLE_MAGIC: [u8; 4] = 0x184D_2A50_u32.to_le_bytes();

/// The first bytes of other formats, and what to do about them.
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
        "it begins with a byte order mark (BOM), as some editors put one before a text: take it off with \
        `tail -c +4`",
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

/// The bytes read for detection, and the rest.
type Raw = io::Chain<Cursor<Vec<u8>>, BufReader<Box<dyn Read + Send>>>;

/// Invalid compressed data is [`ErrorKind::InvalidData`]; an end within a frame is
/// [`ErrorKind::UnexpectedEof`].
pub enum Source {
    Plain(Counted),
    Frames(Box<Frames>),
}

/// Counts the bytes that were consumed.
pub struct Counted {
    raw: Raw,
    taken: u64,
}

/// Decompresses frames.
pub struct Frames {
    place: Place,
    /// The offset of the current or the next frame.
    at: u64,
    buffer: Vec<u8>,
    /// The range of the buffer that is not consumed.
    start: usize,
    end: usize,
}

enum Place {
    Between(Counted),
    Within(Decoder<'static, Counted>),
    /// While moving from one to the other; remains after an error.
    Nowhere,
}

impl Source {
    /// Opens a file, or stdin for `-`. Another format is [`ErrorKind::InvalidData`].
    pub fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" { Self::of(stdin()) } else { Self::of(File::open(path)?) }
    }

    /// Detects the format of the input.
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

    pub fn is_compressed(&self) -> bool {
        matches!(self, Self::Frames(_))
    }

    /// The bytes of the file that were consumed so far.
    pub fn position(&self) -> u64 {
        match self {
            Self::Plain(counted) => counted.taken,
            Self::Frames(frames) => frames.position(),
        }
    }

    /// The offset after what was consumed, if the file could end there; `None` within a frame.
    pub fn boundary(&mut self) -> io::Result<Option<u64>> {
        match self {
            Self::Plain(counted) => Ok(Some(counted.taken)),
            Self::Frames(frames) => frames.boundary(),
        }
    }
}

/// Whether a frame begins like this, or is truncated there.
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
        // The end of a frame and its checksum are known only once it yields no more bytes.
        while self.start == self.end && matches!(self.place, Place::Within(_)) {
            self.step()?;
        }
        Ok((self.start == self.end).then(|| self.position()))
    }

    /// Reads within a frame, ends it, or begins the next one. Returns false at the end of the file.
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

    /// Distinguishes damage from errors of the system.
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
mod tests;
