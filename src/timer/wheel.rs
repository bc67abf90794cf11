//! A hierarchical timer wheel: millions of deadlines, each moved, dropped or found due in constant time.
//!
//! Instants are read as numbers of base 64. A timer waits at the level of the highest digit in which its
//! deadline differs from the instant the wheel has reached, in the slot which that digit names: level 0 has
//! slots of 1 ms, level 1 of 64 ms, level 2 of 4 s, and so on. When the wheel reaches a slot of level 0, its
//! timers are due; when it reaches a slot of a higher level, they move down to where they now belong. Eleven
//! levels hold all 64 bits of an instant, so that every deadline has its place and no sum can overflow.
//!
//! Invariants:
//!
//! - Every slot with timers lies ahead of the instant reached or begins there. A slot above level 0 that begins
//!   there has been left half done by [`TimerWheel::advance`], which stays there until it is empty.
//! - Timers lie gaplessly in one list of [`Segments`]: the last one moves into the place of one that leaves.
//!   Therefore there are no free places to keep account of, and memory is given back.
//! - Each slot's timers are chained in both directions by their places in that list. A level's `occupied` has a
//!   bit set for exactly those slots that have timers.
//! - [`Places`] has exactly one place for each timer, found by its number.
//!
//! The cost: a timer is written when it is scheduled, when it moves to a finer level (about three times for a
//! deadline an hour ahead, six times for ten years, never more than ten times) and when it leaves; with it are
//! written its neighbours in the chains, and when it leaves those of the timer that takes its place. Empty time
//! costs nothing, however long. Only one thing takes longer the more timers there are, and happens the more
//! seldom: one of the 64 tables of [`Places`] is rebuilt when it has become too small or far too large.
//!
//! Deliberately absent: a clock, waiting, locking, and a promise of order among timers of one millisecond.

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use super::places::Places;
use super::segments::Segments;

/// Bits in one digit of an instant, and thus of a slot's position in its level.
const DIGIT_BITS: u32 = 6;
/// Slots in a level: one for each value of a digit, and for each bit of an occupancy bitmap.
const SLOTS: usize = 1 << DIGIT_BITS;
/// Enough digits for every 64-bit instant.
const LEVELS: usize = u64::BITS.div_ceil(DIGIT_BITS) as usize;

/// The end of a list.
const NONE: u32 = u32::MAX;
/// `FIRST_OF + slot` is what the first timer of a slot's list has for its `previous`: the slot itself. Places of
/// timers lie below.
const FIRST_OF: u32 = NONE - (LEVELS * SLOTS) as u32;

/// A set of numbers, each with a deadline, which hands the numbers over when their deadlines have passed.
///
/// Times are milliseconds since the Unix epoch; every `i64` is allowed. From a thousand timers on, a wheel takes at
/// most 64 bytes for each, whether it has just grown or just shrunk, and most of the time fewer than 40.
pub struct TimerWheel {
    /// Everything before this instant is done; timers due exactly then may still be waiting.
    reached: u64,
    /// Each level's bitmap of slots that are not empty.
    occupied: [u64; LEVELS],
    /// The place of each slot's first timer, or `NONE`; level 0 first.
    first: [u32; LEVELS * SLOTS],
    timers: Segments<Timer>,
    places: Places,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Timer {
    deadline: i64,
    number: u64,
    /// The place of the timer before in the slot's list, or `FIRST_OF` + the slot.
    previous: u32,
    /// The place of the next timer in the slot's list, or `NONE`.
    next: u32,
}

/// A slot that is not empty.
struct Slot {
    /// Where it is among all levels' slots.
    index: usize,
    /// The first instant of its range.
    start: u64,
}

impl TimerWheel {
    /// An empty wheel that has reached `now_ms`.
    pub fn new(now_ms: i64) -> Self {
        Self {
            reached: instant(now_ms),
            occupied: [0; LEVELS],
            first: [NONE; LEVELS * SLOTS],
            timers: Segments::new(),
            places: Places::new(),
        }
    }

    /// Sets the deadline of `number`, in place of the one it may have had. A deadline at or before the time the
    /// wheel has reached is due at the next [`advance`](Self::advance). Constant time on average.
    ///
    /// # Panics
    ///
    /// If the wheel holds 4,294,966,591 timers, the most it can hold, and `number` is not among them.
    pub fn schedule(&mut self, number: u64, deadline_ms: i64) {
        let place = match self.place_of(number) {
            Some(place) => {
                self.unlink(place);
                self.timers[place as usize].deadline = deadline_ms;
                place
            }
            None => self.add(number, deadline_ms),
        };
        self.link(place);
    }

    /// Removes `number` and says whether it was there. Constant time on average.
    pub fn cancel(&mut self, number: u64) -> bool {
        let timers = &self.timers;
        let Some(place) = self.places.remove(number, |place| timers[place as usize].number) else {
            return false;
        };
        self.unlink(place);
        self.timers.swap_remove(place as usize);
        self.adopt_moved(place);
        true
    }

    /// Whether `number` has a timer. Constant time on average.
    pub fn contains(&self, number: u64) -> bool {
        self.place_of(number).is_some()
    }

    /// Moves on to `now_ms`: removes the numbers whose deadline is at or before it, and appends them to `due`.
    ///
    /// Says whether that is done. `limit` bounds the work of one call, so that a storm of a million timers can be
    /// taken in bites: a number handed over counts as one, and so does a timer moved to a finer level, so that
    /// there may be more to do although fewer than `limit` numbers, or none, were due. After `false` the wheel has
    /// reached a time on the way; call again, and whatever else in between. A `limit` of 0 never gets anywhere.
    ///
    /// Order: a number with an earlier deadline comes before one with a later deadline, over all calls, where a
    /// deadline that had been reached already when it was scheduled counts as the time the wheel stood at then.
    /// Numbers of the same millisecond come in any order.
    ///
    /// Time does not go back: a `now_ms` before what the wheel has reached counts as that.
    #[must_use = "`false` means that there is more to do"]
    pub fn advance(&mut self, now_ms: i64, limit: usize, due: &mut Vec<u64>) -> bool {
        let now = instant(now_ms).max(self.reached);
        let mut left = limit;
        while let Some(slot) = self.earliest_slot().filter(|slot| slot.start <= now) {
            self.reached = slot.start;
            while self.first[slot.index] != NONE {
                if left == 0 {
                    return false;
                }
                left -= 1;
                let place = self.first[slot.index];
                if slot.index < SLOTS {
                    let number = self.timers[place as usize].number;
                    due.push(number);
                    self.cancel(number);
                } else {
                    self.unlink(place);
                    self.link(place);
                }
            }
        }
        self.reached = now;
        true
    }

    /// Until when there is nothing to do: the time at which to call [`advance`](Self::advance) next, unless
    /// something is scheduled for earlier meanwhile. `None` if the wheel is empty.
    ///
    /// If a deadline has been reached already, this is the time the wheel has reached. Otherwise it lies ahead of
    /// that and is never later than the earliest deadline; it is that deadline once both lie within the same
    /// multiple of 64 ms. Advancing to a time that is earlier than any deadline moves timers to finer levels, each
    /// at most ten times: whoever always advances to the next deadline comes to the end.
    pub fn next_deadline(&self) -> Option<i64> {
        self.earliest_slot().map(|slot| milliseconds(slot.start))
    }

    /// The deadline `number` was scheduled for, in milliseconds since the Unix epoch.
    pub fn deadline(&self, number: u64) -> Option<i64> {
        let place = self.place_of(number)?;
        Some(self.timers[place as usize].deadline)
    }

    /// How many numbers have a deadline.
    pub fn len(&self) -> usize {
        self.timers.len()
    }

    /// Whether no number has a deadline.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held, with what is held in reserve.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.timers.memory() + self.places.memory()
    }

    fn place_of(&self, number: u64) -> Option<u32> {
        self.places.find(number, |place| self.timers[place as usize].number)
    }

    /// Gives a number that has no timer one that is not yet in any list, and returns its place.
    fn add(&mut self, number: u64, deadline: i64) -> u32 {
        let place = u32::try_from(self.len()).unwrap_or(NONE);
        assert!(place < FIRST_OF, "a timer wheel holds at most {FIRST_OF} timers");
        self.timers.push(Timer { deadline, number, previous: NONE, next: NONE });
        let timers = &self.timers;
        self.places.insert(number, place, |place| timers[place as usize].number);
        place
    }

    /// The slot to go to next. Where a slot was left half done, one of level 0 may start at the same instant; then
    /// either can come first, as the wheel stays at that instant until both are empty.
    fn earliest_slot(&self) -> Option<Slot> {
        (0..LEVELS).filter_map(|level| self.first_occupied(level)).min_by_key(|slot| slot.start)
    }

    /// The first slot of `level` that is not empty. None of them lies behind, so it is the lowest bit set.
    fn first_occupied(&self, level: usize) -> Option<Slot> {
        if self.occupied[level] == 0 {
            return None;
        }
        let digit = self.occupied[level].trailing_zeros() as usize;
        let shift = level as u32 * DIGIT_BITS;
        let higher_digits = (self.reached >> shift) & !(SLOTS as u64 - 1);
        Some(Slot { index: level * SLOTS + digit, start: (higher_digits | digit as u64) << shift })
    }

    /// Puts the timer at `place`, which is in no list, into the slot its deadline belongs to.
    fn link(&mut self, place: u32) {
        let deadline = instant(self.timers[place as usize].deadline).max(self.reached);
        let level = level_of(self.reached, deadline);
        let slot = level * SLOTS + digit_of(deadline, level);
        self.join(place, self.first[slot]);
        self.join(FIRST_OF + slot as u32, place);
    }

    /// Takes the timer at `place` out of its list; it stays where it is.
    fn unlink(&mut self, place: u32) {
        let Timer { previous, next, .. } = self.timers[place as usize];
        self.join(previous, next);
    }

    /// Makes `next` (a place or `NONE`) follow `previous` (a place, or `FIRST_OF` + a slot).
    fn join(&mut self, previous: u32, next: u32) {
        if next != NONE {
            self.timers[next as usize].previous = previous;
        }
        let Some(slot) = previous.checked_sub(FIRST_OF) else {
            self.timers[previous as usize].next = next;
            return;
        };
        let slot = slot as usize;
        self.first[slot] = next;
        let (level, bit) = (slot / SLOTS, 1 << (slot % SLOTS));
        if next == NONE {
            self.occupied[level] &= !bit;
        } else {
            self.occupied[level] |= bit;
        }
    }

    /// After the last timer has moved to `place`, tells everyone who knew it at its old place. Nothing to do if
    /// the one that left was itself the last.
    fn adopt_moved(&mut self, place: u32) {
        let old_place = self.len() as u32;
        if place == old_place {
            return;
        }
        let moved = self.timers[place as usize];
        self.places.moved(moved.number, old_place, place);
        self.join(moved.previous, place);
        self.join(place, moved.next);
    }
}

/// Milliseconds since the Unix epoch as milliseconds since the earliest time there is, so that later is greater
/// in every bit pattern.
fn instant(ms: i64) -> u64 {
    i64::MIN.abs_diff(ms)
}

/// The reverse of [`instant`].
fn milliseconds(instant: u64) -> i64 {
    i64::MIN.saturating_add_unsigned(instant)
}

/// The highest digit in which two instants differ; 0 if they do not.
fn level_of(reached: u64, deadline: u64) -> usize {
    let highest_bit = (reached ^ deadline).checked_ilog2().unwrap_or(0);
    (highest_bit / DIGIT_BITS) as usize
}

/// The digit of `instant` at `level`.
fn digit_of(instant: u64, level: usize) -> usize {
    (instant >> (level as u32 * DIGIT_BITS)) as usize % SLOTS
}
