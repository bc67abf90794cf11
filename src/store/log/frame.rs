//! The encoding of the log: segments with a head, and frames.
//!
//! ```text
//! segment := head, padded to 4 KiB; frames, the first of which may continue a record of the segment before
//! frame   := check u32, length u32, sequence u64, kind u8, 7 bytes of zeros, body, padded to 8 bytes
//! ```
//!
//! All numbers are little-endian. A record that does not fit into the rest of a segment continues in the
//! next, in as many frames as it takes, so that every segment is filled. The checksum of a frame also covers
//! its position (log id, segment number, offset) and, for a continuing frame, the checksum of the frame
//! before it. So neither the old content of a recycled segment nor the rest of a torn record can pass for a
//! valid frame.
//!
//! Pure: bytes in, bytes out.

/// The bytes before the first frame of a segment: one page, so that writing frames never touches the head.
pub const HEAD_SIZE: usize = 4096;
pub const FRAME_HEAD_SIZE: usize = 24;
/// Offsets and sizes of frames are multiples of this.
pub const ALIGNMENT: usize = 8;

const MAGIC: [u8; 8] = *b"wardnlog";
const VERSION: u32 = 1;
/// The bytes of a head that are used, its checksum included.
const HEAD_WORDS: usize = 56;

/// Identifies a log, so that its segments are distinguished from those of another log.
pub type LogId = [u8; 16];

/// The head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub log: LogId,
    /// Consecutive from 1.
    pub number: u64,
    /// The record that the first frame belongs to.
    pub first: u64,
    /// The checksum of the last frame of the segment before, if the first frame continues its record.
    pub carried: Option<u32>,
}

/// The part of a record that a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Whole,
    First,
    Middle,
    Last,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Whole, Self::First, Self::Middle, Self::Last];

    pub const fn of(is_first: bool, is_last: bool) -> Self {
        match (is_first, is_last) {
            (true, true) => Self::Whole,
            (true, false) => Self::First,
            (false, false) => Self::Middle,
            (false, true) => Self::Last,
        }
    }

    /// Whether it is the first frame of a record.
    pub const fn begins(self) -> bool {
        matches!(self, Self::Whole | Self::First)
    }

    /// Whether it is the last frame of a record.
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

/// The position of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    pub log: &'a LogId,
    pub segment: u64,
    /// Where the frame begins in the segment, in bytes.
    pub offset: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The record's number.
    pub sequence: u64,
    pub kind: Kind,
    pub body: &'a [u8],
    /// The checksum, which the next frame of the same record chains to.
    pub check: u32,
    /// Where the next frame begins in the segment, in bytes.
    pub end: usize,
}

/// The size of a frame with a body of this size, in bytes.
pub const fn frame_size(body: usize) -> usize {
    FRAME_HEAD_SIZE + body.next_multiple_of(ALIGNMENT)
}

/// The most bytes of a body from `offset` to the end of a segment; `None` if there is no room for a byte.
pub const fn room(segment_size: usize, offset: usize) -> Option<usize> {
    match segment_size.checked_sub(offset + FRAME_HEAD_SIZE) {
        Some(0) | None => None,
        room => room,
    }
}

impl Head {
    /// Without the padding.
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

    /// `None` if the checksum does not match.
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

/// The head of a frame, and its checksum. `carried` is the checksum of the frame before it in the same
/// record.
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

/// The frame at this position; `None` if it is not valid. `carried` is the checksum of the frame before it in
/// the same record.
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

/// Never zero, so that zeros are no valid frame.
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

/// Whether a record after `expected` may begin here, without verifying the checksum.
pub fn may_begin(segment: &[u8], offset: usize, expected: u64) -> bool {
    let begins = segment.get(offset + 16).is_some_and(|byte| Kind::of_byte(*byte).is_some_and(Kind::begins));
    begins && u64_at(segment, offset + 8).is_some_and(|sequence| sequence > expected)
}

/// The length in a frame head at `offset`, if that claims to be of this record. Not verified.
pub fn claimed(segment: &[u8], offset: usize, sequence: u64) -> Option<usize> {
    Kind::of_byte(*segment.get(offset + 16)?)?;
    let length = u32_at(segment, offset + 4)? as usize;
    (u64_at(segment, offset + 8)? == sequence).then_some(length)
}
