//! A hierarchical timer wheel: millions of deadlines, each of which is moved, cancelled or found due in
//! constant time.
//!
//! Instants are numbers of base 64. A timer is at the level of the highest digit in which its deadline
//! differs from the instant that the wheel has reached, in the slot of that digit: level 0 has slots of 1 ms,
//! level 1 of 64 ms, level 2 of 4 s, and so on. When the wheel reaches a slot of level 0, its timers are due;
//! when it reaches a slot of a higher level, they move to lower levels. Eleven levels hold all 64 bits of an
//! instant, so that every deadline has a slot and no sum can overflow.
//!
//! Invariants:
//!
//! - Every non-empty slot begins after the instant reached, or at it. A slot above level 0 that begins at it
//!   was left unfinished by [`TimerWheel::advance`], which stays at that instant until the slot is empty.
//! - Timers are stored without gaps in one [`Segments`]: the last one moves into the place of one that is
//!   removed. So there is no free list, and memory is given back.
//! - The timers of a slot form a doubly linked list of places. A level's `occupied` has a bit set for exactly
//!   the non-empty slots.
//! - [`Places`] has exactly one place for each timer, by its number.
//!
//! Cost: a timer is written when it is scheduled, when it moves to a lower level (about three times for a
//! deadline an hour ahead, six times for ten years, at most ten times) and when it is removed; each time its
//! neighbours in the list are written as well, and on removal those of the timer that takes its place. Time
//! without timers costs nothing. Only one operation grows with the number of timers, and becomes rarer with
//! it: one of the 64 tables of [`Places`] is rebuilt when it is full or mostly empty.
//!
//! Deliberately absent: a clock, waiting, locking, and an order among timers of one millisecond.

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
/// `FIRST_OF + slot` is the `previous` of the first timer in a slot's list: the slot itself. Places of timers
/// are below.
const FIRST_OF: u32 = NONE - (LEVELS * SLOTS) as u32;

/// A set of numbers with deadlines, which returns the numbers whose deadlines have passed.
///
/// Times are milliseconds since the Unix epoch; every `i64` is allowed. From a thousand timers on, a wheel
/// takes at most 64 bytes for each, also right after growing or shrinking, and most of the time less than 40.
pub struct TimerWheel {
    /// Everything before this instant is done; timers due exactly then may still be in the wheel.
    reached: u64,
    /// The bitmap of non-empty slots of each level.
    occupied: [u64; LEVELS],
    /// The place of each slot's first timer, or `NONE`; level 0 first.
    first: [u32; LEVELS * SLOTS],
    timers: Segments<Timer>,
    /// The tag of the timer at the same place in `timers`; apart, so that neither is padded.
    tags: Segments<u32>,
    places: Places,
}

/// A timer whose deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub number: u64,
    /// As it was scheduled, in milliseconds since the Unix epoch.
    pub deadline_ms: i64,
    /// As it was scheduled.
    pub tag: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Timer {
    deadline: i64,
    number: u64,
    /// The place of the previous timer in the slot's list, or `FIRST_OF` + the slot.
    previous: u32,
    /// The place of the next timer in the slot's list, or `NONE`.
    next: u32,
}

/// A non-empty slot.
struct Slot {
    /// The index in `first`.
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
            tags: Segments::new(),
            places: Places::new(),
        }
    }

    /// Sets or replaces the deadline of `number`. A deadline at or before the time that the wheel has reached
    /// is due at the next [`advance`](Self::advance), which returns the `tag` with it. Returns the tag that
    /// was replaced. Constant time on average.
    ///
    /// # Panics
    /// The wheel holds 4,294,966,591 timers, its maximum, and `number` is not among them.
    pub fn schedule(&mut self, number: u64, deadline_ms: i64, tag: u32) -> Option<u32> {
        let (place, tag_before) = match self.place_of(number) {
            Some(place) => {
                self.unlink(place);
                self.timers[place as usize].deadline = deadline_ms;
                (place, Some(std::mem::replace(&mut self.tags[place as usize], tag)))
            }
            None => (self.add(number, deadline_ms, tag), None),
        };
        self.link(place);
        tag_before
    }

    /// Removes `number`. Returns its tag, or `None` if it had no timer. Constant time on average.
    pub fn cancel(&mut self, number: u64) -> Option<u32> {
        let timers = &self.timers;
        let place = self.places.remove(number, |place| timers[place as usize].number)?;
        let tag = self.tags[place as usize];
        self.unlink(place);
        self.timers.swap_remove(place as usize);
        self.tags.swap_remove(place as usize);
        self.adopt_moved(place);
        Some(tag)
    }

    /// Constant time on average.
    pub fn contains(&self, number: u64) -> bool {
        self.place_of(number).is_some()
    }

    /// Advances to `now_ms`: removes the timers whose deadline is at or before it, and appends them to `due`.
    ///
    /// Returns whether that is complete. `limit` bounds the work of one call, so that a million due timers
    /// can be taken in parts: each number returned counts, and so does each timer moved to a lower level, so
    /// that a call may be incomplete although fewer than `limit` numbers, or none, were due. After `false`
    /// the wheel has reached a time in between; other calls may come before the next `advance`. With a
    /// `limit` of 0 there is no progress.
    ///
    /// Numbers are returned in the order of their deadlines, over all calls. A deadline that had already been
    /// reached when it was scheduled counts as the time that the wheel had reached then. Numbers of one
    /// millisecond come in any order.
    ///
    /// Time does not go backwards: a `now_ms` before what the wheel has reached counts as that.
    #[must_use = "`false` means that there is more to do"]
    pub fn advance(&mut self, now_ms: i64, limit: usize, due: &mut Vec<Due>) -> bool {
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
                    let Timer { number, deadline, .. } = self.timers[place as usize];
                    due.push(Due { number, deadline_ms: deadline, tag: self.tags[place as usize] });
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

    /// The time at which to call [`advance`](Self::advance) next, unless something is scheduled for earlier
    /// in the meantime. `None` if the wheel is empty.
    ///
    /// If a deadline has been reached already, this is the time that the wheel has reached. Otherwise it is
    /// later than that, and never later than the earliest deadline; it is that deadline once both are within
    /// the same multiple of 64 ms. Advancing to a time before any deadline moves timers to lower levels, each
    /// at most ten times, so that always advancing to this time terminates.
    pub fn next_deadline(&self) -> Option<i64> {
        self.earliest_slot().map(|slot| milliseconds(slot.start))
    }

    /// The deadline of `number`, in milliseconds since the Unix epoch.
    pub fn deadline(&self, number: u64) -> Option<i64> {
        let place = self.place_of(number)?;
        Some(self.timers[place as usize].deadline)
    }

    pub fn len(&self) -> usize {
        self.timers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes allocated.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.timers.memory() + self.tags.memory() + self.places.memory()
    }

    fn place_of(&self, number: u64) -> Option<u32> {
        self.places.find(number, |place| self.timers[place as usize].number)
    }

    /// Adds a timer for a number that has none, not yet in any list. Returns its place.
    fn add(&mut self, number: u64, deadline: i64, tag: u32) -> u32 {
        let place = u32::try_from(self.len()).unwrap_or(NONE);
        assert!(place < FIRST_OF, "a timer wheel holds at most {FIRST_OF} timers");
        self.timers.push(Timer { deadline, number, previous: NONE, next: NONE });
        self.tags.push(tag);
        let timers = &self.timers;
        self.places.insert(number, place, |place| timers[place as usize].number);
        place
    }

    /// The next slot to process. If a slot was left unfinished, one of level 0 may start at the same instant;
    /// then either can come first, as the wheel stays at that instant until both are empty.
    fn earliest_slot(&self) -> Option<Slot> {
        (0..LEVELS).filter_map(|level| self.first_occupied(level)).min_by_key(|slot| slot.start)
    }

    /// The first non-empty slot of `level`. None begins before the instant reached, so it is the lowest bit
    /// set.
    fn first_occupied(&self, level: usize) -> Option<Slot> {
        if self.occupied[level] == 0 {
            return None;
        }
        let digit = self.occupied[level].trailing_zeros() as usize;
        let shift = level as u32 * DIGIT_BITS;
        let higher_digits = (self.reached >> shift) & !(SLOTS as u64 - 1);
        Some(Slot { index: level * SLOTS + digit, start: (higher_digits | digit as u64) << shift })
    }

    /// Adds the timer at `place`, which is in no list, to the slot of its deadline.
    fn link(&mut self, place: u32) {
        let deadline = instant(self.timers[place as usize].deadline).max(self.reached);
        let level = level_of(self.reached, deadline);
        let slot = level * SLOTS + digit_of(deadline, level);
        self.join(place, self.first[slot]);
        self.join(FIRST_OF + slot as u32, place);
    }

    /// Removes the timer at `place` from its list; it keeps its place.
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

    /// Updates all references to the last timer after it has moved to `place`. Does nothing if the removed
    /// timer was the last.
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

/// Converts milliseconds since the Unix epoch to milliseconds since `i64::MIN`, so that later is greater in
/// every bit pattern.
fn instant(ms: i64) -> u64 {
    i64::MIN.abs_diff(ms)
}

/// The inverse of [`instant`].
fn milliseconds(instant: u64) -> i64 {
    i64::MIN.saturating_add_unsigned(instant)
}

/// The highest digit in which two instants differ; 0 if they are equal.
fn level_of(reached: u64, deadline: u64) -> usize {
    let highest_bit = (reached ^ deadline).checked_ilog2().unwrap_or(0);
    (highest_bit / DIGIT_BITS) as usize
}

fn digit_of(instant: u64, level: usize) -> usize {
    (instant >> (level as u32 * DIGIT_BITS)) as usize % SLOTS
}
