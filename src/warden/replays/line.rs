//! The part of a selection that is being worked on: what waits to be sent, and the chunks it stands in.
//!
//! Never more of the selection is in memory than the chunks in which an item has not ended yet, and the next one. Which of
//! them have changed is remembered until they are taken to be written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::model::replay::ItemProgress;
use crate::model::{ItemNumber, ReplayChunk};

/// Where an item stands in the selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    chunk: u32,
    position: usize,
    /// The item.
    pub number: ItemNumber,
    /// How often the target had no room for it.
    pub refused: u32,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Line {
    waiting: VecDeque<Place>,
    chunks: BTreeMap<u32, ReplayChunk>,
    changed: BTreeSet<u32>,
    /// The first chunk that was not taken in yet.
    next: u32,
    /// How many there are.
    count: u32,
}

impl Line {
    /// The line of a selection of `count` chunks, of which the items in the first `done` have ended.
    pub fn new(done: u32, count: u32) -> Self {
        Self {
            waiting: VecDeque::new(),
            chunks: BTreeMap::new(),
            changed: BTreeSet::new(),
            next: done,
            count,
        }
    }

    /// The index of the chunk that is to be taken in, when nothing waits and there is one.
    pub fn wants(&self) -> Option<u32> {
        (self.waiting.is_empty() && self.next < self.count).then_some(self.next)
    }

    /// Takes in the chunk that was wanted. What it holds and has not ended waits, in its order.
    pub fn take_in(&mut self, chunk: ReplayChunk) {
        let index = self.next;
        self.next += 1;
        let pending =
            |(_, (_, progress)): &(usize, &(ItemNumber, ItemProgress))| *progress == ItemProgress::Pending;
        let waiting = chunk.items.iter().enumerate().filter(pending);
        self.waiting.extend(waiting.map(|(position, (number, _))| Place {
            chunk: index,
            position,
            number: *number,
            refused: 0,
        }));
        if !chunk.is_done() {
            self.chunks.insert(index, chunk);
        }
    }

    /// Those that wait, in their order.
    pub fn waiting(&self) -> impl Iterator<Item = Place> {
        self.waiting.iter().copied()
    }

    /// The next item to be sent. It is to be put back, or to end.
    pub fn take(&mut self) -> Option<Place> {
        self.waiting.pop_front()
    }

    /// Puts an item back that was not sent after all; it is the next then.
    pub fn put_back(&mut self, place: Place) {
        self.waiting.push_front(place);
    }

    /// Puts an item back that the target had no room for: behind the others, so that one which it never takes does not keep
    /// them back.
    pub fn put_behind(&mut self, place: Place) {
        self.waiting.push_back(Place { refused: place.refused + 1, ..place });
    }

    /// Takes out of those that wait what `is_over` says that it need not be sent.
    pub fn drop_waiting(&mut self, is_over: impl Fn(&Place) -> bool) -> Vec<Place> {
        let (over, waiting) = self.waiting.drain(..).partition(is_over);
        self.waiting = waiting;
        Vec::from(over)
    }

    /// Takes note that an item has ended.
    pub fn end(&mut self, place: Place, progress: ItemProgress) {
        if let Some(item) =
            self.chunks.get_mut(&place.chunk).and_then(|chunk| chunk.items.get_mut(place.position))
        {
            item.1 = progress;
            self.changed.insert(place.chunk);
        }
    }

    /// How many chunks have changed and were not taken to be written yet.
    pub fn changes(&self) -> usize {
        self.changed.len()
    }

    /// Takes the chunks that have changed, at most `limit`. Those in which all items have ended are not kept any longer.
    pub fn take_changes(&mut self, limit: usize) -> Vec<ReplayChunk> {
        let changed: Vec<u32> = self.changed.iter().copied().take(limit).collect();
        let mut taken = Vec::with_capacity(changed.len());
        for index in changed {
            self.changed.remove(&index);
            if let Some(chunk) = self.chunks.remove(&index) {
                if !chunk.is_done() {
                    self.chunks.insert(index, chunk.clone());
                }
                taken.push(chunk);
            }
        }
        taken
    }

    /// The chunks from the first on whose items have all ended, and are written when those are that were taken.
    pub fn done(&self) -> u32 {
        self.chunks.keys().next().copied().unwrap_or(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(index: u32, numbers: &[u64]) -> ReplayChunk {
        ReplayChunk::new(index, numbers.iter().copied().map(ItemNumber))
    }

    fn taken(line: &mut Line) -> u64 {
        line.take().unwrap().number.0
    }

    #[test]
    fn chunks_are_wanted_one_after_the_other_when_nothing_waits() {
        let mut line = Line::new(0, 2);
        assert_eq!(line.wants(), Some(0));
        line.take_in(chunk(0, &[3, 1]));
        assert_eq!(line.wants(), None);
        assert_eq!((taken(&mut line), taken(&mut line), line.take()), (3, 1, None));
        assert_eq!(line.wants(), Some(1));
        line.take_in(chunk(1, &[2]));
        assert_eq!((taken(&mut line), line.wants(), line.take()), (2, None, None));
    }

    #[test]
    fn what_is_put_back_goes_next() {
        let mut line = Line::new(0, 1);
        line.take_in(chunk(0, &[1, 2]));
        let first = line.take().unwrap();
        line.put_back(first);
        assert_eq!((taken(&mut line), taken(&mut line)), (1, 2));
    }

    #[test]
    fn a_chunk_is_done_and_let_go_when_its_last_end_was_taken_to_be_written() {
        let mut line = Line::new(4, 7);
        line.take_in(chunk(4, &[1, 2]));
        let (first, second) = (line.take().unwrap(), line.take().unwrap());
        line.take_in(chunk(5, &[3]));
        let third = line.take().unwrap();
        line.end(third, ItemProgress::Failed);
        line.end(second, ItemProgress::Skipped);
        assert_eq!((line.done(), line.changes()), (4, 2));
        let changes = line.take_changes(9);
        assert_eq!(changes[0].items[1].1, ItemProgress::Skipped);
        assert_eq!((changes[1].items[0].1, line.changes(), line.done()), (ItemProgress::Failed, 0, 4));
        line.end(first, ItemProgress::Succeeded);
        assert_eq!(line.take_changes(9).len(), 1);
        assert_eq!((line.done(), line.chunks.len()), (6, 0));
    }

    #[test]
    fn no_more_changes_are_taken_than_are_asked_for() {
        let mut line = Line::new(0, 3);
        for index in 0..3 {
            line.take_in(chunk(index, &[u64::from(index)]));
            let place = line.take().unwrap();
            line.end(place, ItemProgress::Succeeded);
        }
        assert_eq!(line.take_changes(2).len(), 2);
        assert_eq!((line.changes(), line.done()), (1, 2));
        assert_eq!(line.take_changes(2).len(), 1);
        assert_eq!(line.done(), 3);
    }

    #[test]
    fn what_has_ended_before_does_not_wait() {
        let mut line = Line::new(0, 2);
        let mut begun = chunk(0, &[1, 2, 3]);
        begun.items[0].1 = ItemProgress::Succeeded;
        line.take_in(begun);
        assert_eq!(line.waiting().map(|place| place.number.0).collect::<Vec<_>>(), [2, 3]);
        let over = line.drop_waiting(|place| place.number.0 == 2);
        assert_eq!(over.len(), 1);
        line.end(over[0], ItemProgress::Skipped);
        assert_eq!(taken(&mut line), 3);
        let mut done = chunk(1, &[4]);
        done.items[0].1 = ItemProgress::Failed;
        line.take_in(done);
        assert_eq!((line.wants(), line.done(), line.take()), (None, 0, None));
    }
}
