//! The item index: which journal chunk holds the latest record of each item, sorted by number in memory.
//!
//! Numbers only grow, so nearly all items are appended at the right end and blocks are full: an item costs
//! little more than 16 bytes. Names are in [`super::names`], everything else about an item in its record.

use crate::model::ItemNumber;

/// The most slots of a block. An insert or removal moves at most half a block.
const BLOCK_MAX: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    number: u64,
    chunk: u64,
}

/// A non-empty run of slots by ascending number. `first` repeats the first number, so that the search for a
/// block reads no slots.
#[derive(Debug)]
struct Block {
    first: u64,
    slots: Vec<Slot>,
}

#[derive(Debug, Default)]
pub(super) struct Locations {
    blocks: Vec<Block>,
    count: usize,
}

impl Locations {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The block that holds the number, if any does. Requires a block.
    fn block(&self, number: u64) -> usize {
        self.blocks.partition_point(|block| block.first <= number).saturating_sub(1)
    }

    /// The chunk that holds the item's latest record.
    pub(super) fn get(&self, number: ItemNumber) -> Option<u64> {
        let slots = &self.blocks.get(self.block(number.0))?.slots;
        let at = slots.binary_search_by_key(&number.0, |slot| slot.number).ok()?;
        Some(slots[at].chunk)
    }

    pub(super) fn put(&mut self, number: ItemNumber, chunk: u64) {
        let slot = Slot { number: number.0, chunk };
        if self.blocks.last().is_none_or(|block| block.slots.last().is_none_or(|last| last.number < number.0))
        {
            return self.push(slot);
        }
        let index = self.block(number.0);
        let Block { first, slots } = &mut self.blocks[index];
        match slots.binary_search_by_key(&number.0, |slot| slot.number) {
            Ok(at) => slots[at] = slot,
            Err(at) => {
                slots.insert(at, slot);
                *first = slots[0].number;
                self.count += 1;
                if slots.len() > BLOCK_MAX {
                    let slots = slots.split_off(BLOCK_MAX / 2);
                    self.blocks.insert(index + 1, Block { first: slots[0].number, slots });
                }
            }
        }
    }

    fn push(&mut self, slot: Slot) {
        self.count += 1;
        match self.blocks.last_mut() {
            Some(block) if block.slots.len() < BLOCK_MAX => block.slots.push(slot),
            _ => {
                let mut slots = Vec::with_capacity(BLOCK_MAX);
                slots.push(slot);
                self.blocks.push(Block { first: slot.number, slots });
            }
        }
    }

    /// Applies many changes at once, by ascending number: `Some` sets an item's chunk, `None` removes the
    /// item. Leaves all blocks full.
    pub(super) fn amend(&mut self, amendments: impl Iterator<Item = (ItemNumber, Option<u64>)>) {
        let mut amendments = amendments.map(|(number, chunk)| (number.0, chunk)).peekable();
        if amendments.peek().is_none() {
            return;
        }
        let before = std::mem::take(self);
        for slot in before.blocks.into_iter().flat_map(|block| block.slots) {
            while let Some(amendment) = amendments.next_if(|(number, _)| *number < slot.number) {
                self.push_amended(amendment);
            }
            match amendments.next_if(|(number, _)| *number == slot.number) {
                Some(amendment) => self.push_amended(amendment),
                None => self.push(slot),
            }
        }
        amendments.for_each(|amendment| self.push_amended(amendment));
    }

    fn push_amended(&mut self, (number, chunk): (u64, Option<u64>)) {
        if let Some(chunk) = chunk {
            self.push(Slot { number, chunk });
        }
    }

    pub(super) fn remove(&mut self, number: ItemNumber) {
        if self.blocks.is_empty() {
            return;
        }
        let index = self.block(number.0);
        let Block { first, slots } = &mut self.blocks[index];
        let Ok(at) = slots.binary_search_by_key(&number.0, |slot| slot.number) else { return };
        slots.remove(at);
        self.count -= 1;
        let Some(now_first) = slots.first() else {
            self.blocks.remove(index);
            return;
        };
        *first = now_first.number;
        // A sparse block gives memory back, and is merged with its neighbour if both are small.
        if slots.len() * 4 < slots.capacity() {
            slots.shrink_to(slots.len() * 2);
            let left = slots.len();
            if self.blocks.get(index + 1).is_some_and(|next| left + next.slots.len() <= BLOCK_MAX / 2) {
                let next = self.blocks.remove(index + 1);
                self.blocks[index].slots.extend(next.slots);
            }
        }
    }

    /// At most `limit` items from this number on.
    pub(super) fn page(&self, from: ItemNumber, limit: usize) -> Vec<(ItemNumber, u64)> {
        let blocks = self.blocks.get(self.block(from.0)..).unwrap_or_default();
        let slots = blocks.iter().flat_map(|block| &block.slots);
        let here = slots.skip_while(|slot| slot.number < from.0).take(limit);
        here.map(|slot| (ItemNumber(slot.number), slot.chunk)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Few numbers, so that they repeat; puts outweigh removals, or the other way round.
        #[test]
        fn it_holds_what_a_sorted_map_holds(
            steps in prop::collection::vec((0..3000_u64, any::<u64>(), 0..10_u8), 1..6000),
            puts in 2..9_u8,
            amendments in prop::collection::btree_map(0..3500_u64, any::<Option<u64>>(), 0..2000),
        ) {
            let (mut locations, mut model) = (Locations::default(), BTreeMap::new());
            for (number, chunk, choice) in steps {
                if choice < puts {
                    locations.put(ItemNumber(number), chunk);
                    model.insert(number, chunk);
                } else {
                    locations.remove(ItemNumber(number));
                    model.remove(&number);
                }
                prop_assert_eq!(locations.get(ItemNumber(number)), model.get(&number).copied());
            }
            locations.amend(amendments.iter().map(|(number, chunk)| (ItemNumber(*number), *chunk)));
            for (number, chunk) in amendments {
                match chunk {
                    Some(chunk) => model.insert(number, chunk),
                    None => model.remove(&number),
                };
            }
            prop_assert_eq!(locations.len(), model.len());
            for from in [0, 1, 700, 2999, 3000] {
                let expected: Vec<_> = model.range(from..).take(900).collect();
                let expected: Vec<_> =
                    expected.into_iter().map(|(number, chunk)| (ItemNumber(*number), *chunk)).collect();
                prop_assert_eq!(locations.page(ItemNumber(from), 900), expected);
            }
        }
    }

    #[test]
    fn a_million_items_in_their_order_take_little_more_than_their_slots() {
        let mut locations = Locations::default();
        for number in 0..1_000_000 {
            locations.put(ItemNumber(number), number / 30);
        }
        let room: usize = locations.blocks.iter().map(|block| block.slots.capacity()).sum();
        assert!(room < 1_000_000 + BLOCK_MAX, "{room}");
        // One in a hundred stays.
        for number in (0..1_000_000).filter(|number| number % 100 != 0) {
            locations.remove(ItemNumber(number));
        }
        let room: usize = locations.blocks.iter().map(|block| block.slots.capacity()).sum();
        assert!(room < 60_000, "{room}");
        assert!(
            (0..1_000_000).step_by(100).all(|number| locations.get(ItemNumber(number)) == Some(number / 30))
        );
    }
}
