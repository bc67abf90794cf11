//! The clock trait, and the clocks of the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::anchor::{self, stepped};
use super::{BootId, ClockAnchor, ClockTime, Moment, Readings, Tied, Timestamp};

/// The injected source of time.
pub trait Clock: Send + Sync + 'static {
    /// The steady clock, for measuring durations and judging deadlines.
    fn now(&self) -> Timestamp;

    /// The wall clock as the machine has it. Only for what must agree with other machines, such as the time
    /// in a signature; for display use [`Clock::moment`].
    fn wall(&self) -> Timestamp;

    /// By how much the wall clock is ahead of the steady one, in milliseconds, as last adopted by
    /// [`Clock::adopt`].
    fn wall_offset(&self) -> i64;

    /// Completes once [`Clock::now`] has reached `instant`; never for [`Timestamp::MAX`], as callers use that
    /// for "not planned".
    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()>;

    /// Continues steady time from the stored anchor. To be called once, before the clock is used; the result
    /// must be stored.
    fn resume(&self, stored: Option<&ClockAnchor>) -> (ClockAnchor, Tied);

    /// Completes when the wall clock was set, with the anchor to store and then adopt.
    fn stepped(&self) -> BoxFuture<'static, ClockAnchor>;

    /// To be stored from time to time, so that steady time never goes back.
    fn anchor(&self) -> ClockAnchor;

    /// Adopts a new wall offset, for display and for judging instants.
    fn adopt(&self, wall_offset: i64);

    /// How long the machine has slept since the start of this process. Steady time includes that.
    fn slept(&self) -> Duration;

    fn moment(&self) -> Moment {
        Moment { now: self.now(), wall_offset: self.wall_offset() }
    }

    /// The step of the wall clock that is not adopted yet, in milliseconds.
    fn drift(&self) -> i64 {
        let expected = self.now().moved(self.wall_offset());
        self.wall().as_millis().saturating_sub(expected.as_millis())
    }

    /// Converts an instant of the wall clock to steady time.
    fn to_steady(&self, instant: Timestamp) -> Timestamp {
        self.moment().steady(ClockTime::on_wall(instant))
    }
}

#[derive(Clone, Debug)]
pub struct SystemClock {
    tied: Arc<Tie>,
}

#[derive(Debug)]
struct Tie {
    boot: BootId,
    base: AtomicI64,
    wall_offset: AtomicI64,
}

impl SystemClock {
    /// Steady time begins with the wall clock.
    pub fn new() -> Self {
        let readings = read(&read_boot_id());
        let (anchor, _) = anchor::tie(None, &readings);
        let tie = Tie {
            boot: anchor.boot,
            base: AtomicI64::new(anchor.base),
            wall_offset: AtomicI64::new(anchor.wall_offset),
        };
        Self { tied: Arc::new(tie) }
    }

    fn anchor_at(&self, readings: Readings, wall_offset: i64) -> ClockAnchor {
        let base = self.tied.base.load(Ordering::Relaxed);
        let seen = Timestamp::from_millis(readings.since_boot.saturating_add(base));
        ClockAnchor { boot: readings.boot, base, wall_offset, seen }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(read_boot_time().saturating_add(self.tied.base.load(Ordering::Relaxed)))
    }

    fn wall(&self) -> Timestamp {
        read_wall()
    }

    fn wall_offset(&self) -> i64 {
        self.tied.wall_offset.load(Ordering::Relaxed)
    }

    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()> {
        /// The longest sleep of the runtime at a time, as it does not count suspended time.
        const NAP: Duration = Duration::from_secs(1);
        if instant >= Timestamp::MAX {
            return Box::pin(std::future::pending());
        }
        let clock = self.clone();
        Box::pin(async move {
            loop {
                let left = instant.since(clock.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(NAP)).await;
            }
        })
    }

    fn resume(&self, stored: Option<&ClockAnchor>) -> (ClockAnchor, Tied) {
        let (anchor, tied) = anchor::tie(stored, &read(&self.tied.boot));
        self.tied.base.store(anchor.base, Ordering::Relaxed);
        self.adopt(anchor.wall_offset);
        (anchor, tied)
    }

    fn stepped(&self) -> BoxFuture<'static, ClockAnchor> {
        /// How often the two clocks are compared.
        const COMPARED_EVERY: Duration = Duration::from_secs(1);
        let clock = self.clone();
        Box::pin(async move {
            loop {
                let readings = read(&clock.tied.boot);
                let known = clock.anchor_at(readings.clone(), clock.wall_offset());
                let measured = readings.wall.as_millis().saturating_sub(known.seen.as_millis());
                if let Some(wall_offset) = stepped(known.wall_offset, measured) {
                    return ClockAnchor { wall_offset, ..known };
                }
                tokio::time::sleep(COMPARED_EVERY).await;
            }
        })
    }

    fn anchor(&self) -> ClockAnchor {
        self.anchor_at(read(&self.tied.boot), self.wall_offset())
    }

    fn slept(&self) -> Duration {
        let awake = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let awake = awake.tv_sec.saturating_mul(1000).saturating_add(awake.tv_nsec / 1_000_000);
        Duration::from_millis(u64::try_from(read_boot_time() - awake).unwrap_or_default())
    }

    fn adopt(&self, wall_offset: i64) {
        self.tied.wall_offset.store(wall_offset, Ordering::Relaxed);
    }
}

/// Reads both clocks at nearly the same instant; again if the thread was preempted in between.
fn read(boot: &BootId) -> Readings {
    const TRIES: usize = 16;
    let mut since_boot = read_boot_time();
    let mut wall = read_wall();
    for _ in 0..TRIES {
        let after = read_boot_time();
        if after - since_boot <= 1 {
            break;
        }
        (since_boot, wall) = (after, read_wall());
    }
    Readings { boot: boot.clone(), since_boot, wall }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that the rest of the program is handed")]
fn read_wall() -> Timestamp {
    let now = std::time::SystemTime::now();
    let since_epoch = now.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().after(since_epoch)
}

/// Milliseconds since the boot, suspended time included.
fn read_boot_time() -> i64 {
    let reading = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    reading.tv_sec.saturating_mul(1000).saturating_add(reading.tv_nsec / 1_000_000)
}

/// The kernel's id of this boot, and the offset of this process's boot-time clock, which containers can have.
fn read_boot_id() -> BootId {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let id = read("/proc/sys/kernel/random/boot_id");
    let id = id.trim();
    if id.is_empty() {
        return BootId::default();
    }
    let offsets = read("/proc/self/timens_offsets");
    let moved = offsets.lines().find_map(|line| line.strip_prefix("boottime")).unwrap_or_default();
    let moved: Vec<&str> = moved.split_whitespace().filter(|part| *part != "0").collect();
    BootId([&[id], &*moved].concat().join(" ").into())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn the_system_clock_starts_at_the_wall_clock_and_goes_on_within_a_boot() {
        let clock = SystemClock::new();
        assert!(clock.drift().abs() < 1000, "drift {}", clock.drift());
        let anchor = ClockAnchor { base: clock.anchor().base - 3_600_000, ..clock.anchor() };
        let stored = ClockAnchor { seen: anchor.seen.moved(-3_600_000), ..anchor };
        let (resumed, tied) = clock.resume(Some(&stored));
        assert_eq!((resumed.base, tied), (stored.base, Tied::SameBoot));
        let ahead = clock.wall().since(clock.now()).as_millis();
        assert!((3_590_000..3_610_000).contains(&ahead), "steady time went on where it was: {ahead}");
        assert!(clock.drift().abs() < 1000, "drift {}", clock.drift());
    }

    #[tokio::test]
    async fn after_the_last_instant_nobody_wakes_whose_time_never_comes() {
        let clock = SystemClock::new();
        let anchor = clock.anchor();
        let ahead = Timestamp::MAX.as_millis() - clock.now().as_millis();
        clock.resume(Some(&ClockAnchor { base: anchor.base + ahead + 60_000, ..anchor }));
        assert!(clock.now() > Timestamp::MAX);
        assert_eq!(clock.sleep_until(Timestamp::MAX).now_or_never(), None);
        assert_eq!(clock.sleep_until(Timestamp::MAX.moved(-1)).now_or_never(), Some(()));
    }

    #[test]
    fn the_boot_of_this_machine_is_told() {
        assert_eq!(read_boot_id(), read_boot_id());
        assert!(!read_boot_id().0.is_empty());
    }
}
