//! How a volume is divided: how much of it the log, the generations and what is kept back may take. Pure.
//!
//! Whatever the volume's own items do, this much must be free so that closes can go on: room for what was acknowledged and is
//! in no generation yet, for the newest generation to become full and another to begin, and for what still holds of an
//! old one to be moved before that is removed. Below it creates are refused. And items are let in only while a share of what
//! remains is outdated or free, so that there always is a generation worth moving.

use super::generation::Form;
use super::layout;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// What is recent may take this share of the volume, and always so much.
const RECENT_SHARE: u64 = 32;
const RECENT_MIN: u64 = MIB;
/// The log may take this share of the volume, or twice what is recent, and need not take more than this beyond that.
const LOG_SHARE: u64 = 8;
const LOG_MAX: u64 = 192 * MIB;
/// How many segments of the log the volume, and what is recent, have room for at least.
const SEGMENTS_IN_VOLUME: u64 = 512;
const SEGMENTS_IN_RECENT: u64 = 16;
/// How long a segment of the log may be, in bytes.
const LOG_SEGMENT_MIN: u64 = 256 * KIB;
const LOG_SEGMENT_MAX: u64 = 4 * MIB;
/// So many segments of the log are always there, or more if they are short.
const LOG_SEGMENTS_READY: u64 = 4;
const LOG_READY_MIN: u64 = 2 * MIB;
/// A volume that is smaller has databases with smaller segments.
const VOLUME_SMALL: u64 = GIB;
const SEGMENT_SMALL: usize = MIB as usize;
const SEGMENT_LARGE: usize = 4 * MIB as usize;
/// All that there are, the smallest first.
pub(super) const SEGMENT_SIZES: [usize; 2] = [SEGMENT_SMALL, SEGMENT_LARGE];
/// A generation has so many segments of its database at least, and at most this share of the volume.
const SEGMENTS_IN_GENERATION: u64 = 4;
const GENERATION_SHARE: u64 = 64;
const GENERATION_MAX: u64 = GIB;
/// A generation that holds mostly what is wanted is not sealed before it has this size, or that share if it is less.
const GENERATION_MIN: u64 = 128 * MIB;
/// The most that is kept back because it is asked for, as a share of the volume.
const RESERVE_SHARE: u64 = 10;
/// What is kept back for names, snapshots of databases and the like.
const SLACK: u64 = 2 * MIB;
/// How many bytes of disk a byte takes while it is being written into a generation; a careful estimate.
pub(super) const GROWTH: u64 = 2;

/// See the module's documentation. All in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// What is recent may take so much memory.
    pub(super) recent: u64,
    /// How long a segment of a new log is.
    pub(super) log_segment_size: u64,
    /// The most that the log may take.
    pub(super) log_max: u64,
    /// What the log takes at least.
    pub(super) log_ready: u64,
    /// The segment size of new databases.
    pub(super) segment_size: usize,
    /// How large a generation becomes before another one begins, at least and at most.
    pub(super) generation_min: u64,
    pub(super) generation_max: u64,
    /// What has to be free for creates to be taken.
    pub(super) reserve: u64,
    /// What of it is held by a file, so that nobody else takes it: no more than half of what is asked for.
    pub(super) ballast: u64,
    /// The smallest volume that works for payloads of that size.
    pub(super) volume_min: u64,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The size of the volume, or what may be used of it.
    pub(super) volume: u64,
    /// The largest payload.
    pub(super) payload_max: u64,
    /// What is recent, and what is to be kept back.
    pub(super) recent: u64,
    pub(super) reserve: u64,
}

impl Plan {
    pub(super) fn new(wanted: &Wanted) -> Self {
        let Wanted { volume, payload_max, .. } = *wanted;
        let recent = wanted.recent.min((volume / RECENT_SHARE).max(RECENT_MIN));
        let share = (volume / SEGMENTS_IN_VOLUME).min(recent / SEGMENTS_IN_RECENT);
        let log_segment_size = share.clamp(LOG_SEGMENT_MIN, LOG_SEGMENT_MAX).next_power_of_two();
        // The largest item has room in half of it.
        let log_min = LOG_MAX.min(volume / LOG_SHARE).max(2 * payload_max + LOG_READY_MIN);
        let log_ready = (LOG_SEGMENTS_READY * log_segment_size).max(LOG_READY_MIN);
        let segment_size = if volume < VOLUME_SMALL { SEGMENT_SMALL } else { SEGMENT_LARGE };
        let smallest = SEGMENTS_IN_GENERATION * segment_size as u64;
        let generation_max = (volume / GENERATION_SHARE).clamp(smallest, GENERATION_MAX);
        // Each costs some memory while it is open, so there are not many where there is room.
        let generation_min = generation_max.min(GENERATION_MIN);
        let needed = |recent: u64, generation: u64| GROWTH * (recent + generation + 2 * payload_max) + SLACK;
        let reserve = needed(recent, generation_max).max(wanted.reserve.min(volume / RESERVE_SHARE));
        // In the smallest volume a few of the largest payloads have room.
        let smallest_generation = SEGMENTS_IN_GENERATION * SEGMENT_SMALL as u64;
        let volume_min = needed(RECENT_MIN, smallest_generation)
            + LOG_READY_MIN
            + 2 * payload_max
            + 4 * GROWTH * payload_max;
        Self {
            recent,
            log_segment_size,
            log_max: (2 * recent).max(log_min),
            log_ready,
            segment_size,
            generation_min,
            generation_max,
            reserve,
            ballast: reserve.min(wanted.reserve) / 2,
            volume_min,
        }
    }

    /// How much may be written at a start: what is recent, and one more generation.
    pub(super) fn room_for_start(&self) -> u64 {
        GROWTH * self.recent + self.generation_max
    }

    /// How generations are opened and made.
    pub(super) fn form(&self, directory: std::path::PathBuf, cache: u64) -> Form {
        Form { directory, segment_size: self.segment_size, cache }
    }
}

const _: () = assert!(layout::unsynced_max(SEGMENT_SMALL) >= layout::BUNDLE_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(volume: u64, payload_max: u64) -> Plan {
        Plan::new(&Wanted { volume, payload_max, recent: 256 * MIB, reserve: 256 * MIB })
    }

    #[test]
    fn a_small_volume_keeps_room_for_items() {
        for (volume, payload_max) in [(40 * MIB, 64 * KIB), (128 * MIB, MIB), (GIB, MIB), (4 * GIB, 64 * MIB)]
        {
            let plan = plan(volume, payload_max);
            assert!(plan.volume_min <= volume, "{volume}: {plan:?}");
            assert!(plan.reserve + plan.log_ready < volume / 2, "{volume}: {plan:?}");
        }
    }

    #[test]
    fn a_large_volume_keeps_back_what_is_asked_for_and_little_more() {
        let large = plan(256 * GIB, MIB);
        assert!(large.reserve < 256 * GIB / 50, "{large:?}");
        assert_eq!(large.ballast, 128 * MIB);
        assert_eq!((large.recent, large.log_max), (256 * MIB, 512 * MIB));
    }

    #[test]
    fn the_smallest_volume_grows_with_the_largest_payload() {
        assert_eq!(plan(GIB, MIB).volume_min, 28 * MIB);
        assert!(plan(GIB, 64 * MIB).volume_min > GIB / 2);
    }
}
