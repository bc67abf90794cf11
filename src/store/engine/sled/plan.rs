//! How a volume is divided: the shares of the log, the generations and the reserve. Pure.
//!
//! Whatever happens to the items in the store, enough must be free for closes to go on: room to write what is
//! acknowledged and in no generation yet, to fill the newest generation and begin another, and to move an old
//! one's live data before it is removed. Below that, creates are refused. They are also refused unless a
//! share of the rest is outdated or free, so that some generation is always worth compacting.

use super::generation::GenerationOptions;
use super::layout;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// The in-memory tables may take this share of the volume's size, but always the minimum.
const RECENT_SHARE: u64 = 32;
const RECENT_MIN: u64 = MIB;
/// The log may take this share of the volume but not more than the maximum, or twice the tables if that is
/// more.
const LOG_SHARE: u64 = 8;
const LOG_MAX: u64 = 192 * MIB;
/// The least number of log segments that fit into the volume, and into the tables' memory.
const SEGMENTS_IN_VOLUME: u64 = 512;
const SEGMENTS_IN_RECENT: u64 = 16;
/// The bounds of a log segment's size, in bytes.
const LOG_SEGMENT_MIN: u64 = 256 * KIB;
const LOG_SEGMENT_MAX: u64 = 4 * MIB;
/// Log segments that are always allocated, and their minimum size together.
const LOG_SEGMENTS_READY: u64 = 4;
const LOG_READY_MIN: u64 = 2 * MIB;
/// Databases on a smaller volume have the smaller sled segments.
const VOLUME_SMALL: u64 = GIB;
const SEGMENT_SMALL: usize = MIB as usize;
const SEGMENT_LARGE: usize = 4 * MIB as usize;
/// All sizes in use, ascending.
pub(super) const SEGMENT_SIZES: [usize; 2] = [SEGMENT_SMALL, SEGMENT_LARGE];
/// A generation has at least this many sled segments, and at most this share of the volume.
const SEGMENTS_IN_GENERATION: u64 = 4;
const GENERATION_SHARE: u64 = 64;
const GENERATION_MAX: u64 = GIB;
/// The least size of a generation, unless that share is less.
const GENERATION_MIN: u64 = 128 * MIB;
/// The configured reserve is capped at this share of the volume.
const RESERVE_SHARE: u64 = 10;
/// The part of the reserve for directories, sled's snapshots and the like.
const SLACK: u64 = 2 * MIB;
/// The disk bytes that a byte takes while it is being written into a generation; an upper estimate.
pub(super) const GROWTH: u64 = 2;

/// All in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Memory for the in-memory tables.
    pub(super) recent: u64,
    /// Of a new log.
    pub(super) log_segment_size: u64,
    pub(super) log_max: u64,
    /// What the log always has allocated.
    pub(super) log_ready: u64,
    /// sled's, of new databases.
    pub(super) segment_size: usize,
    /// The bounds of the size at which a generation is sealed.
    pub(super) generation_min: u64,
    pub(super) generation_max: u64,
    /// What has to be free for creates to be accepted.
    pub(super) reserve: u64,
    /// The part of the reserve that a file holds, so that no other program takes it: at most half of the
    /// configured reserve.
    pub(super) ballast: u64,
    /// The smallest volume that works with the configured payload size.
    pub(super) volume_min: u64,
}

/// The inputs of a plan, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Configured {
    /// The size of the volume, or `storage.size_max` if that is less.
    pub(super) volume: u64,
    pub(super) payload_max: u64,
    /// `storage.recent` and `storage.reserve`.
    pub(super) recent: u64,
    pub(super) reserve: u64,
}

impl Plan {
    pub(super) fn new(configured: &Configured) -> Self {
        let Configured { volume, payload_max, .. } = *configured;
        let recent = configured.recent.min((volume / RECENT_SHARE).max(RECENT_MIN));
        let share = (volume / SEGMENTS_IN_VOLUME).min(recent / SEGMENTS_IN_RECENT);
        let log_segment_size = share.clamp(LOG_SEGMENT_MIN, LOG_SEGMENT_MAX).next_power_of_two();
        // The largest item fits into half of it.
        let log_min = LOG_MAX.min(volume / LOG_SHARE).max(2 * payload_max + LOG_READY_MIN);
        let log_ready = (LOG_SEGMENTS_READY * log_segment_size).max(LOG_READY_MIN);
        let segment_size = if volume < VOLUME_SMALL { SEGMENT_SMALL } else { SEGMENT_LARGE };
        let smallest = SEGMENTS_IN_GENERATION * segment_size as u64;
        let generation_max = (volume / GENERATION_SHARE).clamp(smallest, GENERATION_MAX);
        // An open generation costs memory, so on larger volumes they are not small and many.
        let generation_min = generation_max.min(GENERATION_MIN);
        let needed = |recent: u64, generation: u64| GROWTH * (recent + generation + 2 * payload_max) + SLACK;
        let reserve = needed(recent, generation_max).max(configured.reserve.min(volume / RESERVE_SHARE));
        // The smallest volume has room for a few of the largest payloads.
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
            ballast: reserve.min(configured.reserve) / 2,
            volume_min,
        }
    }

    /// What a start may write: the in-memory tables, and one more generation.
    pub(super) fn room_for_start(&self) -> u64 {
        GROWTH * self.recent + self.generation_max
    }

    pub(super) fn generation_options(&self, directory: std::path::PathBuf, cache: u64) -> GenerationOptions {
        GenerationOptions { directory, segment_size: self.segment_size, cache }
    }
}

const _: () = assert!(layout::unsynced_max(SEGMENT_SMALL) >= layout::BUNDLE_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(volume: u64, payload_max: u64) -> Plan {
        Plan::new(&Configured { volume, payload_max, recent: 256 * MIB, reserve: 256 * MIB })
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
