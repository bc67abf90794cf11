//! How steady time continues over restarts of the daemon and of the machine. Pure.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A smaller difference of the two clocks is not a step, as they are not read at the same instant.
pub const STEP_MIN: Duration = Duration::from_millis(100);

/// Identifies a boot of a machine, during which the boot-time clock runs. Empty if unknown, which counts as
/// another boot each time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootId(pub Arc<str>);

/// Ties steady time to this boot and to the wall clock. Durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockAnchor {
    /// The boot in which it was written.
    pub boot: BootId,
    /// Steady time at the begin of the boot, in milliseconds since the Unix epoch.
    pub base: i64,
    /// By how much the wall clock is ahead of the steady one, in milliseconds.
    pub wall_offset: i64,
    /// A steady time that has passed: steady time never continues from before it.
    pub seen: Timestamp,
}

/// The machine's clocks at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readings {
    pub boot: BootId,
    /// The time since the boot, suspended time included, in milliseconds.
    pub since_boot: i64,
    pub wall: Timestamp,
}

/// How steady time continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tied {
    /// It begins with the wall clock.
    First,
    /// Within one boot, by the boot-time clock.
    SameBoot,
    /// Across boots, by the wall clock.
    OtherBoot,
    /// Across boots, but the wall clock is before the last time seen, so it continues from that.
    WallBehind,
}

impl ClockAnchor {
    pub fn now(&self, readings: &Readings) -> Timestamp {
        Timestamp::from_millis(readings.since_boot.saturating_add(self.base))
    }
}

/// Ties steady time to the machine's clocks, given the stored anchor. If the wall clock was set within one
/// boot, only the wall offset changes.
pub fn tie(stored: Option<&ClockAnchor>, readings: &Readings) -> (ClockAnchor, Tied) {
    let anchored = |steady: Timestamp, wall_offset: i64| ClockAnchor {
        boot: readings.boot.clone(),
        base: steady.as_millis().saturating_sub(readings.since_boot),
        wall_offset,
        seen: steady,
    };
    let offset_at = |steady: Timestamp| readings.wall.as_millis().saturating_sub(steady.as_millis());
    let Some(stored) = stored else {
        return (anchored(readings.wall, 0), Tied::First);
    };
    let by_boot_time = stored.now(readings);
    // If it is before the last time seen, this is not the same clock: for example, the machine was restored
    // from a snapshot.
    if !stored.boot.0.is_empty() && stored.boot == readings.boot && by_boot_time >= stored.seen {
        let wall_offset = stepped(stored.wall_offset, offset_at(by_boot_time)).unwrap_or(stored.wall_offset);
        return (anchored(by_boot_time, wall_offset), Tied::SameBoot);
    }
    let by_wall = readings.wall.moved(stored.wall_offset.saturating_neg());
    if by_wall >= stored.seen {
        (anchored(by_wall, stored.wall_offset), Tied::OtherBoot)
    } else {
        (anchored(stored.seen, offset_at(stored.seen)), Tied::WallBehind)
    }
}

/// The measured wall offset, if the wall clock was set since it was `known`.
pub fn stepped(known: i64, measured: i64) -> Option<i64> {
    (u128::from(measured.abs_diff(known)) >= STEP_MIN.as_millis()).then_some(measured)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn readings(boot: &str, since_boot: i64, wall: i64) -> Readings {
        Readings { boot: BootId(boot.into()), since_boot, wall: at(wall) }
    }

    #[test]
    fn within_a_boot_steady_time_goes_on_by_the_boot_time_clock_whatever_the_wall_clock_shows() {
        let (first, tied) = tie(None, &readings("a", 1_000, 50 * HOUR));
        assert_eq!((first.now(&readings("a", 1_000, 0)), tied), (at(50 * HOUR), Tied::First));
        let later = readings("a", 61_000, 49 * HOUR);
        let (second, tied) = tie(Some(&first), &later);
        assert_eq!((second.now(&later), tied), (at(50 * HOUR + 60_000), Tied::SameBoot));
        assert_eq!(second.wall_offset, -HOUR - 60_000);
    }

    #[test]
    fn across_boots_the_wall_clock_is_trusted() {
        let (first, _) = tie(None, &readings("a", 1_000, 50 * HOUR));
        let after = readings("b", 20, 58 * HOUR);
        let (second, tied) = tie(Some(&first), &after);
        assert_eq!((second.now(&after), second.wall_offset, tied), (at(58 * HOUR), 0, Tied::OtherBoot));
    }

    #[test]
    fn a_wall_clock_that_is_behind_what_was_seen_does_not_take_steady_time_back() {
        let (first, _) = tie(None, &readings("a", 1_000, 50 * HOUR));
        let after = readings("b", 20, 0);
        let (second, tied) = tie(Some(&first), &after);
        assert_eq!((second.now(&after), second.wall_offset), (at(50 * HOUR), -50 * HOUR));
        assert_eq!(tied, Tied::WallBehind);
    }

    #[test]
    fn a_boot_that_is_not_told_or_whose_clock_went_back_is_another_one() {
        for (boot, since_boot) in [("", 2_000), ("a", 900)] {
            let (first, _) = tie(None, &readings(boot, 1_000, 50 * HOUR));
            let (_, tied) = tie(Some(&first), &readings(boot, since_boot, 51 * HOUR));
            assert_eq!(tied, Tied::OtherBoot, "{boot} {since_boot}");
        }
    }

    proptest! {
        #[test]
        fn steady_time_never_goes_back_and_what_the_wall_clock_shows_is_right(
            starts in proptest::collection::vec((0..3u8, 0..10 * HOUR, -20 * HOUR..20 * HOUR), 1..20)
        ) {
            let (mut boot, mut since_boot, mut wall, mut stored, mut before) = (0u32, 0, 100 * HOUR, None,
            at(0));
            for (reboots, passes, steps) in starts {
                if reboots == 0 {
                    (boot, since_boot) = (boot + 1, 0);
                }
                since_boot += passes;
                wall += passes + steps;
                let readings = readings(&boot.to_string(), since_boot, wall);
                let (anchor, _) = tie(stored.as_ref(), &readings);
                let now = anchor.now(&readings);
                prop_assert!(now >= before, "{now} after {before}");
                let shown = now.moved(anchor.wall_offset);
                prop_assert!(shown.as_millis().abs_diff(wall) < STEP_MIN.as_millis() as u64, "{shown}");
                (stored, before) = (Some(anchor), now);
            }
        }
    }
}
