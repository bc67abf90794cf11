//! The part of a selection in work: the queue of items to send, and their chunks.
//!
//! In memory are only the chunks with items that have not ended, and the next one. Changed chunks are tracked
//! until they are taken for a commit.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::model::replay::ItemProgress;
use crate::model::{ItemNumber, ReplayChunk};

/// The position of an item in the selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    chunk: u32,
    position: usize,
    pub number: ItemNumber,
    /// The number of 429 and 503 responses.
    pub refused: u32,
}

#[derive(Debug)]
pub struct Line {
    waiting: VecDeque<Place>,
    chunks: BTreeMap<u32, ReplayChunk>,
    changed: BTreeSet<u32>,
    /// The first chunk that is not loaded.
    next: u32,
    /// The number of chunks.
    count: u32,
}

impl Line {
    /// A selection of `count` chunks, with all items in the first `done` ended.
    pub fn new(done: u32, count: u32) -> Self {
        Self {
            waiting: VecDeque::new(),
            chunks: BTreeMap::new(),
            changed: BTreeSet::new(),
            next: done,
            count,
        }
    }

    /// The chunk to load: the next one if the queue is empty.
    pub fn wants(&self) -> Option<u32> {
        (self.waiting.is_empty() && self.next < self.count).then_some(self.next)
    }

    /// Loads a chunk and queues its items that have not ended.
    pub fn load(&mut self, chunk: ReplayChunk) {
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

    /// The queued items, in order.
    pub fn waiting(&self) -> impl Iterator<Item = Place> {
        self.waiting.iter().copied()
    }

    /// The next item to send. It has to be put back or to end.
    pub fn take(&mut self) -> Option<Place> {
        self.waiting.pop_front()
    }

    /// Puts an item back that was not sent, at the front.
    pub fn put_back(&mut self, place: Place) {
        self.waiting.push_front(place);
    }

    /// Puts an item back after 429 or 503, at the end, so that it does not block the others if it is never
    /// accepted.
    pub fn requeue(&mut self, place: Place) {
        self.waiting.push_back(Place { refused: place.refused + 1, ..place });
    }

    /// Removes and returns the queued items for which `is_over` holds.
    pub fn drop_waiting(&mut self, is_over: impl Fn(&Place) -> bool) -> Vec<Place> {
        let (over, waiting) = self.waiting.drain(..).partition(is_over);
        self.waiting = waiting;
        Vec::from(over)
    }

    pub fn end(&mut self, place: Place, progress: ItemProgress) {
        if let Some(item) =
            self.chunks.get_mut(&place.chunk).and_then(|chunk| chunk.items.get_mut(place.position))
        {
            item.1 = progress;
            self.changed.insert(place.chunk);
        }
    }

    /// The number of changed chunks that were not taken for a commit.
    pub fn changes(&self) -> usize {
        self.changed.len()
    }

    /// Takes at most `limit` changed chunks for a commit, and drops those in which all items have ended.
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

    /// The number of leading chunks whose items have all ended, once the chunks taken so far are committed.
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
        line.load(chunk(0, &[3, 1]));
        assert_eq!(line.wants(), None);
        assert_eq!((taken(&mut line), taken(&mut line), line.take()), (3, 1, None));
        assert_eq!(line.wants(), Some(1));
        line.load(chunk(1, &[2]));
        assert_eq!((taken(&mut line), line.wants(), line.take()), (2, None, None));
    }

    #[test]
    fn what_is_put_back_goes_next() {
        let mut line = Line::new(0, 1);
        line.load(chunk(0, &[1, 2]));
        let first = line.take().unwrap();
        line.put_back(first);
        assert_eq!((taken(&mut line), taken(&mut line)), (1, 2));
    }

    #[test]
    fn a_chunk_is_done_and_let_go_when_its_last_end_was_taken_to_be_written() {
        let mut line = Line::new(4, 7);
        line.load(chunk(4, &[1, 2]));
        let (first, second) = (line.take().unwrap(), line.take().unwrap());
        line.load(chunk(5, &[3]));
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
            line.load(chunk(index, &[u64::from(index)]));
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
        line.load(begun);
        assert_eq!(line.waiting().map(|place| place.number.0).collect::<Vec<_>>(), [2, 3]);
        let over = line.drop_waiting(|place| place.number.0 == 2);
        assert_eq!(over.len(), 1);
        line.end(over[0], ItemProgress::Skipped);
        assert_eq!(taken(&mut line), 3);
        let mut done = chunk(1, &[4]);
        done.items[0].1 = ItemProgress::Failed;
        line.load(done);
        assert_eq!((line.wants(), line.done(), line.take()), (None, 0, None));
    }
}
