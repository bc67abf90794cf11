//! An ordered set of places for millions of items.
//!
//! Places are mostly added in ascending order, which fills the nodes of a `BTreeSet` only by half: 34 bytes
//! for a place of 16. Here they are in sorted chunks: 17 bytes if they come in ascending order, 23 in random
//! order, and up to 64 after removals.
//!
//! Invariants:
//!
//! * The chunks are ordered, each under a lower bound of its places. The first bound is the smallest place,
//!   so that every place belongs to a chunk.
//! * No chunk but the first is empty, and none has more than [`CHUNK`] places.
//! * One that falls below a quarter of that joins the one before, if both together have at most half of it.

use std::collections::BTreeMap;

use crate::model::{ItemNumber, Timestamp};
use crate::warden::census::Place;

/// The most places in a chunk: 2 KiB.
const CHUNK: usize = 128;
/// The smallest place.
const START: Place = (Timestamp::from_millis(i64::MIN), ItemNumber(0));

#[derive(Debug)]
pub(super) struct Row {
    chunks: BTreeMap<Place, Vec<Place>>,
}

impl Default for Row {
    fn default() -> Self {
        Self { chunks: BTreeMap::from([(START, Vec::new())]) }
    }
}

impl Row {
    /// Adds a place that is not in the set.
    pub(super) fn insert(&mut self, place: Place) {
        let Some((_, chunk)) = self.chunks.range_mut(..=place).next_back() else { return };
        let Err(at) = chunk.binary_search(&place) else { return };
        if chunk.len() < CHUNK {
            chunk.insert(at, place);
            return;
        }
        // Chunks that are filled in ascending order stay full.
        let middle = if at == CHUNK { CHUNK } else { CHUNK / 2 };
        let mut upper = chunk.split_off(middle);
        chunk.shrink_to_fit();
        match at.checked_sub(middle) {
            Some(at) => upper.insert(at, place),
            None => chunk.insert(at, place),
        }
        self.chunks.insert(upper[0], upper);
    }

    /// Returns whether the place was in the set.
    pub(super) fn remove(&mut self, place: Place) -> bool {
        let Some((&bound, chunk)) = self.chunks.range_mut(..=place).next_back() else { return false };
        let Ok(at) = chunk.binary_search(&place) else { return false };
        chunk.remove(at);
        let left = chunk.len();
        if left < CHUNK / 4
            && let Some((_, before)) = self.chunks.range(..bound).next_back()
            && (left == 0 || before.len() + left <= CHUNK / 2)
        {
            self.join(bound);
        }
        true
    }

    /// Adds the places of a chunk to the one before.
    fn join(&mut self, bound: Place) {
        if let Some(mut chunk) = self.chunks.remove(&bound)
            && let Some((_, before)) = self.chunks.range_mut(..bound).next_back()
        {
            before.append(&mut chunk);
        }
    }

    /// All places, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = Place> {
        self.chunks.values().flatten().copied()
    }

    /// The places from the first and before the second, in order.
    pub(super) fn range(&self, from: Place, to: Place) -> impl Iterator<Item = Place> {
        let first = self.chunks.range(..=from).next_back().map_or(from, |(bound, _)| *bound);
        let places = self.chunks.range(first..).flat_map(|(_, chunk)| chunk).copied();
        places.skip_while(move |place| *place < from).take_while(move |place| *place < to)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn place(at: i64) -> Place {
        // Some share their deadline.
        (Timestamp::from_millis(at / 4), ItemNumber(at.unsigned_abs()))
    }

    /// The bytes allocated for places.
    fn memory(row: &Row) -> usize {
        row.chunks.values().map(|chunk| chunk.capacity() * size_of::<Place>()).sum()
    }

    fn check(row: &Row) {
        for ((bound, chunk), next) in row.chunks.iter().zip(row.chunks.keys().skip(1).map(Some).chain([None]))
        {
            assert!(chunk.len() <= CHUNK && (*bound == START || !chunk.is_empty()));
            assert!(chunk.is_sorted() && chunk.iter().all(|place| bound <= place));
            assert!(next.is_none_or(|next| chunk.iter().all(|place| place < next)));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_holds_what_a_plain_set_holds(
            runs in prop::collection::vec((0..2_000_i64, 1..400_i64, 0..4_u8), 1..30),
            (from, to) in (-5..550_i64, -5..550_i64),
        ) {
            let (mut row, mut model) = (Row::default(), BTreeSet::new());
            for (start, length, kind) in runs {
                for step in 0..length {
                    // Ascending, descending, or in no order; added, or removed.
                    let at = match kind {
                        0 | 3 => start + step,
                        1 => start - step,
                        _ => (start + step * 7_919) % 2_000,
                    };
                    if kind == 3 {
                        prop_assert_eq!(row.remove(place(at)), model.remove(&place(at)));
                    } else if model.insert(place(at)) {
                        row.insert(place(at));
                    }
                }
                check(&row);
            }
            let end = (Timestamp::from_millis(i64::MAX), ItemNumber(0));
            prop_assert!(row.range(START, end).eq(model.iter().copied()));
            let bounds = |at: i64| (Timestamp::from_millis(at), ItemNumber(2));
            let expected = model.iter().copied().filter(|place| (bounds(from)..bounds(to)).contains(place));
            prop_assert!(row.range(bounds(from), bounds(to)).eq(expected));
            for place in model {
                prop_assert!(row.remove(place));
                check(&row);
            }
            prop_assert_eq!(row.chunks.len(), 1);
        }
    }

    #[test]
    fn a_place_takes_little_more_than_itself_and_removals_give_memory_back() {
        const COUNT: i64 = 100_000;
        let (mut ascending, mut mixed) = (Row::default(), Row::default());
        for at in 0..COUNT {
            ascending.insert(place(at));
            // A step without a common divisor with the count visits each place once.
            mixed.insert(place(at * 7_919 % COUNT));
        }
        let per_place = |row: &Row| memory(row) as f64 / COUNT as f64;
        assert!(per_place(&ascending) < 17.0, "{}", per_place(&ascending));
        assert!(per_place(&mixed) < 30.0, "{}", per_place(&mixed));
        for row in [&mut ascending, &mut mixed] {
            for at in (0..COUNT).filter(|at| at % 10 != 0) {
                row.remove(place(at));
            }
            let per_place = 10.0 * memory(row) as f64 / COUNT as f64;
            assert!(per_place < 64.0, "{per_place}");
        }
    }
}
