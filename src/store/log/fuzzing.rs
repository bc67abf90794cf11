//! Fuzz checks of the decoder of log segments. See [`crate::fuzzing`].

use super::frame::{self, HEAD_SIZE, Head, Place};

/// Heads and frames: what decodes is encoded to the same bytes, and nothing is read beyond the end.
pub fn segments(bytes: &[u8]) {
    let Some(head) = Head::decode(bytes) else { return };
    let written = head.encode();
    assert_eq!(Head::decode(&written), Some(head), "a head is read as what was written");
    let (mut offset, mut carried) = (HEAD_SIZE, head.carried);
    while frame::room(bytes.len(), offset).is_some() {
        let place = Place { log: &head.log, segment: head.number, offset };
        let Some(read) = frame::decode_frame(bytes, place, carried) else { break };
        let begun = if read.kind.begins() { None } else { carried };
        let (head, check) = frame::encode_frame_head(place, begun, read.sequence, read.kind, read.body);
        assert_eq!(check, read.check);
        // Reserved bytes are written as zeros; other values are covered by the checksum.
        assert_eq!(head[4..17], bytes[offset + 4..offset + 17], "a frame is written as what was read");
        assert!(read.end > offset, "it goes on");
        (offset, carried) = (read.end, Some(read.check));
    }
}
