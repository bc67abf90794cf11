//! The encoding of a log record: what a group has changed.
//!
//! ```text
//! record   := format u8, next number u64, rows u32, row..., documents u32, document...
//! row      := item u64, flags u8, [record], [payload], [detail]
//! document := key, flag u8, [value]
//! bytes    := length u32, the bytes
//! ```
//!
//! Records, payloads, details, keys and values are encoded as in the database, and change under the rules of
//! [`crate::store::record`]. All numbers are little-endian. A record holds results and not operations, so
//! that replaying it twice is the same as once.

use bytes::Bytes;

use super::names::{Name, NameHasher};
use super::table::{Part, Row, Table};
use crate::model::{Item, ItemNumber};
use crate::store::record::{self, RecordError};

const ENTRY_V1: u8 = 1;
/// The item exists. Without this flag it was forgotten.
const HAS_RECORD: u8 = 1;
/// The item was created by this group: its names are read from the record.
const IS_NEW: u8 = 2;
/// The shift of the two bits for the state of the payload, and of the detail.
const PAYLOAD: u8 = 2;
const DETAIL: u8 = 4;
const FLAGS_KNOWN: u8 = 0b0011_1111;

pub(super) fn detail_of(item: &Item) -> Part {
    match &item.detail {
        Some(detail) => Part::New(record::encode_document(&**detail).into()),
        None => Part::None,
    }
}

/// Appends the encoded changes to `bytes`.
pub(super) fn encode(group: &Table, next_number: u64, bytes: &mut Vec<u8>) {
    let put = |bytes: &mut Vec<u8>, part: &[u8]| {
        bytes.extend_from_slice(&length(part.len()));
        bytes.extend_from_slice(part);
    };
    bytes.push(ENTRY_V1);
    bytes.extend_from_slice(&next_number.to_le_bytes());
    bytes.extend_from_slice(&length(group.rows().len()));
    for (number, row) in group.rows() {
        bytes.extend_from_slice(&number.0.to_le_bytes());
        let is_new = group.names_of(*number).is_some();
        bytes.push(
            if row.record.is_some() { HAS_RECORD } else { 0 }
                | if is_new { IS_NEW } else { 0 }
                | bits(&row.payload) << PAYLOAD
                | bits(&row.detail) << DETAIL,
        );
        row.record.iter().for_each(|record| put(bytes, record));
        for part in [&row.payload, &row.detail] {
            if let Part::New(part) = part {
                put(bytes, part);
            }
        }
    }
    bytes.extend_from_slice(&length(group.documents().len()));
    for (key, value) in group.documents() {
        put(bytes, key);
        bytes.push(u8::from(value.is_some()));
        value.iter().for_each(|value| put(bytes, value));
    }
}

/// Decodes a group's changes, and the next item number that was free then.
///
/// # Errors
/// The bytes have an unknown format or are damaged.
pub(super) fn decode(bytes: &Bytes, hasher: &NameHasher) -> Result<(Table, u64), RecordError> {
    let mut rest = Rest { bytes: bytes.clone() };
    match rest.byte()? {
        ENTRY_V1 => {}
        format => return Err(RecordError::Format(format)),
    }
    let next_number = rest.u64()?;
    let mut group = Table::default();
    for _ in 0..rest.u32()? {
        let number = ItemNumber(rest.u64()?);
        let flags = rest.byte()?;
        if flags & !FLAGS_KNOWN != 0 {
            return Err(damaged("unknown flags"));
        }
        let record = if flags & HAS_RECORD == 0 { None } else { Some(rest.bytes()?) };
        if let Some(record) = record.as_ref().filter(|_| flags & IS_NEW != 0) {
            let names = record::decode_names(record)?;
            let mut names = Name::all(names.workflow, names.id, names.idempotency_key.as_ref());
            group.name(number, std::array::from_fn(|_| names.next().map(|name| hasher.hash(name))));
        }
        let row = Row { record, payload: rest.part(flags >> PAYLOAD)?, detail: rest.part(flags >> DETAIL)? };
        group.put(number, row);
    }
    for _ in 0..rest.u32()? {
        let key = rest.bytes()?;
        let value = if rest.byte()? == 0 { None } else { Some(rest.bytes()?) };
        group.put_document(key.to_vec(), value);
    }
    if rest.bytes.is_empty() { Ok((group, next_number)) } else { Err(damaged("something follows its end")) }
}

/// A group is limited to far less than 4 GiB.
fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

fn bits(part: &Part) -> u8 {
    match part {
        Part::None => 0,
        Part::Same => 1,
        Part::New(_) => 2,
    }
}

fn damaged(what: &str) -> RecordError {
    RecordError::Damaged(format!("a record of the log: {what}"))
}

/// The bytes that are yet to be read.
struct Rest {
    bytes: Bytes,
}

impl Rest {
    fn take(&mut self, length: usize) -> Result<Bytes, RecordError> {
        if length > self.bytes.len() {
            return Err(damaged("it is cut short"));
        }
        Ok(self.bytes.split_to(length))
    }

    fn byte(&mut self) -> Result<u8, RecordError> {
        Ok(self.take(1)?[0])
    }

    fn u32(&mut self) -> Result<u32, RecordError> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn u64(&mut self) -> Result<u64, RecordError> {
        let (low, high) = (self.u32()?, self.u32()?);
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    fn bytes(&mut self) -> Result<Bytes, RecordError> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    fn part(&mut self, bits: u8) -> Result<Part, RecordError> {
        match bits & 3 {
            0 => Ok(Part::None),
            1 => Ok(Part::Same),
            2 => Ok(Part::New(self.bytes()?)),
            _ => Err(damaged("unknown flags")),
        }
    }
}
