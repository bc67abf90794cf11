//! How fast the tables fill, and what happens when they do. Pure.
//!
//! Checkpoints write more slowly than a burst of creates comes in. Were nothing done before the room for tables is full, every
//! commit would then wait until a whole table is written. So the oldest table goes into the database early once three
//! quarters of the room are taken, and once most of it is, each group waits until as many bytes have been written as the group before it brought.

/// A table takes this share of the room at most.
const TABLE_SHARE: usize = 16;

/// The room for tables, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room(pub(super) usize);

impl Room {
    /// How large a table becomes before the next begins.
    pub(super) fn table_max(self) -> usize {
        self.0 / TABLE_SHARE
    }

    /// Whether a table is written before it was left alone for its time, when all of them take so many bytes.
    pub(super) fn is_short(self, taken: usize) -> bool {
        taken > self.0 / 4 * 3
    }

    fn is_nearly_full(self, taken: usize) -> bool {
        taken >= self.0 / 8 * 7
    }
}

/// How far the committing thread may go on.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// How many bytes are to be written by the next group, counted from the start of the daemon.
    owed: u64,
}

impl Pace {
    /// Whether the next group may be added, when the tables take so many bytes and so many have been written since the start.
    pub(super) fn admits(&self, room: Room, taken: usize, written: u64) -> bool {
        !room.is_nearly_full(taken) || (taken < room.0 && written >= self.owed)
    }

    /// A group of so many bytes is added.
    pub(super) fn note(&mut self, group: usize, written: u64) {
        self.owed = written + group as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room(1000);

    #[test]
    fn groups_do_not_wait_while_there_is_room() {
        let mut pace = Pace::default();
        pace.note(500, 0);
        assert!(pace.admits(ROOM, 874, 0));
    }

    #[test]
    fn once_room_is_nearly_gone_as_much_is_written_as_is_taken_in() {
        let mut pace = Pace::default();
        pace.note(100, 40);
        assert!(!pace.admits(ROOM, 875, 139));
        assert!(pace.admits(ROOM, 875, 140));
        pace.note(30, 140);
        assert!(!pace.admits(ROOM, 999, 169));
        assert!(pace.admits(ROOM, 999, 170));
    }

    #[test]
    fn nothing_is_added_to_tables_that_are_full() {
        let mut pace = Pace::default();
        pace.note(1, 0);
        assert!(!pace.admits(ROOM, 1000, u64::MAX));
    }

    #[test]
    fn tables_are_written_early_long_before_groups_wait() {
        assert!(!ROOM.is_short(750));
        assert!(ROOM.is_short(751));
        assert!(ROOM.table_max() * 2 <= 875 - 750, "there is one to be written by then");
    }
}
