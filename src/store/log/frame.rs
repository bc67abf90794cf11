//! The form of the log: segments with a head, and frames in them.
//!
//! ```text
//! segment := head, padded to 4 KiB; frames, the first of which may go on with a record from the segment before
//! frame   := check u32, length u32, sequence u64, kind u8, 7 bytes of zeros, body, padded to 8 bytes
//! ```
//!
//! All numbers are little-endian. A record that does not fit into what is left of a segment goes on in the next one, in as
//! many frames as it takes, and so a segment is always written to its end. The checksum of a frame covers its place as well:
//! the log, the segment's number and the offset, and for a frame that goes on the checksum of the one before it. What a
//! recycled segment held before, or what is left of a record that was broken off, is so never taken for something else.
//!
//! Pure: bytes in, bytes out.

/// The bytes before the first frame of a segment. A page, so that writing frames never touches the head.
pub const HEAD_SIZE: usize = 4096;
/// The bytes of a frame before its body.
pub const FRAME_HEAD_SIZE: usize = 24;
/// What the places and lengths of frames are multiples of.
pub const ALIGNMENT: usize = 8;

const MAGIC: [u8; 8] = *b"wardnlog";
const VERSION: u32 = 1;
/// The bytes of a head that say something, its checksum included.
const HEAD_WORDS: usize = 56;

/// Which log a segment belongs to, so that none of another one is ever taken for one of this.
pub type LogId = [u8; 16];

/// What is said at the beginning of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The log that it belongs to.
    pub log: LogId,
    /// Its place in the log: one more than that of the segment before it.
    pub number: u64,
    /// The record that its first frame belongs to.
    pub first: u64,
    /// The checksum of the frame before the first, if that goes on with a record from there.
    pub carried: Option<u32>,
}

/// What part of a record a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All of it.
    Whole,
    /// Its beginning.
    First,
    /// Some of it.
    Middle,
    /// Its end.
    Last,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Whole, Self::First, Self::Middle, Self::Last];

    /// The kind of a frame by what of the record it holds.
    pub const fn of(is_first: bool, is_last: bool) -> Self {
        match (is_first, is_last) {
            (true, true) => Self::Whole,
            (true, false) => Self::First,
            (false, false) => Self::Middle,
            (false, true) => Self::Last,
        }
    }

    /// Whether a record begins with it.
    pub const fn begins(self) -> bool {
        matches!(self, Self::Whole | Self::First)
    }

    /// Whether a record ends with it.
    pub const fn ends(self) -> bool {
        matches!(self, Self::Whole | Self::Last)
    }

    fn byte(self) -> u8 {
        self as u8 + 1
    }

    fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.byte() == byte)
    }
}

/// Where a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The log.
    pub log: &'a LogId,
    /// The segment's number.
    pub segment: u64,
    /// Where it begins in the segment, in bytes.
    pub offset: usize,
}

/// A frame as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The record's number.
    pub sequence: u64,
    /// What part of it this is.
    pub kind: Kind,
    /// The bytes.
    pub body: &'a [u8],
    /// The checksum, which the next frame of the same record continues.
    pub check: u32,
    /// Where the next frame begins in the segment, in bytes.
    pub end: usize,
}

/// How long a frame with a body of so many bytes is.
pub const fn frame_size(body: usize) -> usize {
    FRAME_HEAD_SIZE + body.next_multiple_of(ALIGNMENT)
}

/// How many bytes of a body have room from `offset` to the end of a segment; nothing where not even one has.
pub const fn room(segment_size: usize, offset: usize) -> Option<usize> {
    match segment_size.checked_sub(offset + FRAME_HEAD_SIZE) {
        Some(0) | None => None,
        room => room,
    }
}

impl Head {
    /// The head as it is written, without its padding.
    pub fn encode(&self) -> [u8; HEAD_WORDS] {
        let mut bytes = [0; HEAD_WORDS];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12] = u8::from(self.carried.is_some());
        bytes[16..32].copy_from_slice(&self.log);
        bytes[32..40].copy_from_slice(&self.number.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.first.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.carried.unwrap_or(0).to_le_bytes());
        let check = crc32fast::hash(&bytes[..52]);
        bytes[52..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// The head of a segment; nothing where there is none that is whole.
    pub fn decode(segment: &[u8]) -> Option<Self> {
        let bytes = segment.get(..HEAD_WORDS)?;
        if bytes[..8] != MAGIC
            || u32_at(bytes, 8)? != VERSION
            || u32_at(bytes, 52)? != crc32fast::hash(&bytes[..52])
        {
            return None;
        }
        Some(Self {
            log: bytes[16..32].try_into().ok()?,
            number: u64_at(bytes, 32)?,
            first: u64_at(bytes, 40)?,
            carried: if bytes[12] == 0 { None } else { Some(u32_at(bytes, 48)?) },
        })
    }
}

/// The head of a frame at that place. `carried` is the checksum of the frame before it, if that is of the same record.
pub fn encode_frame_head(
    place: Place<'_>,
    carried: Option<u32>,
    sequence: u64,
    kind: Kind,
    body: &[u8],
) -> ([u8; FRAME_HEAD_SIZE], u32) {
    let mut bytes = [0; FRAME_HEAD_SIZE];
    bytes[4..8].copy_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes[8..16].copy_from_slice(&sequence.to_le_bytes());
    bytes[16] = kind.byte();
    let check = check(place, carried, &bytes[4..], body);
    bytes[..4].copy_from_slice(&check.to_le_bytes());
    (bytes, check)
}

/// The frame at that place of a segment; nothing where there is none that is whole. A frame that goes on is judged by
/// `carried`, the checksum of the one before it.
pub fn decode_frame<'a>(segment: &'a [u8], place: Place<'_>, carried: Option<u32>) -> Option<Frame<'a>> {
    let head = segment.get(place.offset..)?.get(..FRAME_HEAD_SIZE)?;
    let kind = Kind::of_byte(head[16])?;
    let length = u32_at(head, 4)? as usize;
    let begin = place.offset + FRAME_HEAD_SIZE;
    let body = segment.get(begin..begin.checked_add(length)?)?;
    let carried = if kind.begins() { None } else { Some(carried?) };
    let found = u32_at(head, 0)?;
    if found != check(place, carried, &head[4..], body) {
        return None;
    }
    let end = place.offset + frame_size(length);
    Some(Frame { sequence: u64_at(head, 8)?, kind, body, check: found, end })
}

/// The checksum is never zero, so that a file of zeros holds no frame.
fn check(place: Place<'_>, carried: Option<u32>, head: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(place.log);
    hasher.update(&place.segment.to_le_bytes());
    hasher.update(&(place.offset as u64).to_le_bytes());
    hasher.update(&carried.unwrap_or(0).to_le_bytes());
    hasher.update(head);
    hasher.update(body);
    hasher.finalize().max(1)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Whether a record after `expected` may begin here, as far as can be seen without its checksum.
pub fn may_begin(segment: &[u8], offset: usize, expected: u64) -> bool {
    let begins = segment.get(offset + 16).is_some_and(|byte| Kind::of_byte(*byte).is_some_and(Kind::begins));
    begins && u64_at(segment, offset + 8).is_some_and(|sequence| sequence > expected)
}

/// How long the frame at `offset` says it is, if it says that it is of that record.
pub fn claimed(segment: &[u8], offset: usize, sequence: u64) -> Option<usize> {
    Kind::of_byte(*segment.get(offset + 16)?)?;
    let length = u32_at(segment, offset + 4)? as usize;
    (u64_at(segment, offset + 8)? == sequence).then_some(length)
}
