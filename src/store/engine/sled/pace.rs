//! Back-pressure: how fast the in-memory tables fill, and what happens when they are full. Pure.
//!
//! Checkpoints write more slowly than a burst of creates arrives. If nothing happened before the tables are
//! full, every commit would then wait until a whole table is written. So the oldest table is written early
//! once three quarters of the memory are used; and from seven eighths on, each group waits until as many
//! bytes have been written as the group before it added.

/// A table takes at most this share of the memory, or this many bytes if that is more: each is written with a
/// manifest and syncs of its own, whose disk space a small table would not be worth.
const TABLE_SHARE: usize = 16;
const TABLE_MIN: usize = 4 * 1024 * 1024;

/// The memory for tables, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room(pub(super) usize);

impl Room {
    /// The size at which a table is frozen.
    pub(super) fn table_max(self) -> usize {
        (self.0 / TABLE_SHARE).max(TABLE_MIN)
    }

    /// Whether a table is written before its time, when all of them together take `taken` bytes.
    pub(super) fn is_short(self, taken: usize) -> bool {
        taken >= self.share(3, 4)
    }

    /// A share of the memory, but at least one table if there is memory for one.
    fn share(self, part: usize, of: usize) -> usize {
        (self.0 / of * part).max(self.table_max().min(self.0))
    }

    fn is_nearly_full(self, taken: usize) -> bool {
        taken >= self.share(7, 8)
    }
}

#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The total of written bytes since the start that the next group waits for.
    written_min: u64,
}

impl Pace {
    /// Whether the next group may be added, when the tables take `taken` bytes and `written` were written
    /// since the start.
    pub(super) fn admits(&self, room: Room, taken: usize, written: u64) -> bool {
        !room.is_nearly_full(taken) || (taken < room.0 && written >= self.written_min)
    }

    /// Records that a group of this size was added.
    pub(super) fn note(&mut self, group: usize, written: u64) {
        self.written_min = written + group as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room(256 * 1024 * 1024);
    const NEARLY: usize = ROOM.0 / 8 * 7;

    #[test]
    fn groups_do_not_wait_while_there_is_room() {
        let mut pace = Pace::default();
        pace.note(500, 0);
        assert!(pace.admits(ROOM, NEARLY - 1, 0));
    }

    #[test]
    fn once_room_is_nearly_gone_as_much_is_written_as_is_taken_in() {
        let mut pace = Pace::default();
        pace.note(100, 40);
        assert!(!pace.admits(ROOM, NEARLY, 139));
        assert!(pace.admits(ROOM, NEARLY, 140));
        pace.note(30, 140);
        assert!(!pace.admits(ROOM, ROOM.0 - 1, 169));
        assert!(pace.admits(ROOM, ROOM.0 - 1, 170));
    }

    #[test]
    fn nothing_is_added_to_tables_that_are_full() {
        let mut pace = Pace::default();
        pace.note(1, 0);
        assert!(!pace.admits(ROOM, ROOM.0, u64::MAX));
    }

    #[test]
    fn a_room_without_space_for_two_tables_is_filled_before_one_is_written() {
        for size in [1, 4] {
            let small = Room(size * 1024 * 1024);
            assert!(!small.is_short(small.0 - 1));
            assert!(small.is_short(small.0));
        }
    }

    #[test]
    fn tables_are_written_early_long_before_groups_wait() {
        let short = ROOM.0 / 4 * 3;
        assert!(!ROOM.is_short(short - 1));
        assert!(ROOM.is_short(short));
        assert!(ROOM.table_max() * 2 <= NEARLY - short, "there is one to be written by then");
    }
}
