//! Ids and payloads of items.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes in an id.
pub const ID_LENGTH: usize = 32;
/// Stands where an id will be stamped; as long as one.
pub const ID: &str = "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii";

/// Ids that are unique for the life of the bench and in no order, as those of real applications.
pub struct Ids {
    next: AtomicU64,
    end: u64,
    seed: u64,
}

impl Ids {
    pub fn new() -> Self {
        Self { next: AtomicU64::new(0), end: u64::MAX, seed: rand::random() }
    }

    /// The number of the next id.
    pub fn position(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// The ids of these numbers once more, and then no others.
    pub fn again(&self, numbers: Range<u64>) -> Self {
        Self { next: AtomicU64::new(numbers.start), end: numbers.end, seed: self.seed }
    }

    /// The next numbers; none when fewer than so many are left.
    pub fn reserve(&self, count: usize) -> Option<Range<u64>> {
        let first = self.next.fetch_add(count as u64, Ordering::Relaxed);
        let numbers = first..first + count as u64;
        (numbers.end <= self.end).then_some(numbers)
    }

    /// The second half alone is unique already: `scatter` is a bijection.
    pub fn render(&self, number: u64) -> [u8; ID_LENGTH] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let halves = (u128::from(scatter(number ^ self.seed)) << 64) | u128::from(scatter(number));
        std::array::from_fn(|place| DIGITS[(halves >> (124 - 4 * place) & 0xf) as usize])
    }
}

/// The finalizer of SplitMix64: each number goes to another one, and neighbours far apart.
fn scatter(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Text without a pattern, without characters that JSON would escape, and without a run that looks like
/// [`ID`].
pub fn payload_text(length: usize) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    (0..length as u64).map(|place| char::from(LETTERS[(scatter(place) & 31) as usize])).collect()
}

/// Where ids are to be stamped in `bytes`: wherever [`ID`] stands.
pub fn places_of_ids(bytes: &[u8]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut at = 0;
    while let Some(found) = memchr::memmem::find(&bytes[at..], ID.as_bytes()) {
        places.push(at + found);
        at += found + ID_LENGTH;
    }
    places
}
