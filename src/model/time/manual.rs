//! A clock that moves only when it is told to, so that tests and simulations run days in milliseconds.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::anchor::{self, stepped};
use super::{BootId, Clock, ClockAnchor, Readings, Tied, Timestamp};

/// The manual clocks of a machine.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<watch::Sender<Machine>>);

#[derive(Clone, Copy, Debug)]
struct Machine {
    now: Timestamp,
    /// By how much the wall clock really is ahead of the steady one, in milliseconds.
    ahead: i64,
    /// The adopted offset.
    wall_offset: i64,
    slept: Duration,
    boot: u32,
    /// The steady time when the boot-time clock is at zero.
    base: i64,
}

impl Machine {
    fn readings(&self) -> Readings {
        Readings {
            boot: BootId(self.boot.to_string().into()),
            since_boot: self.now.as_millis() - self.base,
            wall: self.now.moved(self.ahead),
        }
    }

    fn anchor(&self, wall_offset: i64) -> ClockAnchor {
        ClockAnchor { boot: self.readings().boot, base: self.base, wall_offset, seen: self.now }
    }
}

impl ManualClock {
    /// Both clocks show `start`.
    pub fn new(start: Timestamp) -> Self {
        let machine = Machine {
            now: start,
            ahead: 0,
            wall_offset: 0,
            slept: Duration::ZERO,
            boot: 1,
            base: start.as_millis(),
        };
        Self(Arc::new(watch::Sender::new(machine)))
    }

    /// Advances both clocks, and wakes those whose time has come.
    pub fn advance(&self, duration: Duration) {
        self.0.send_modify(|machine| machine.now = machine.now.after(duration));
    }

    /// The machine sleeps for this time, and then wakes those whose time has come.
    pub fn sleep(&self, duration: Duration) {
        self.0.send_modify(|machine| {
            machine.now = machine.now.after(duration);
            machine.slept += duration;
        });
    }

    /// Sets the wall clock ahead of the steady one, in milliseconds.
    pub fn set_wall_ahead(&self, millis: i64) {
        self.0.send_modify(|machine| machine.ahead = millis);
    }

    /// Reboots with this wall clock. It takes effect at the next [`Clock::resume`].
    pub fn reboot(&self, wall: Timestamp) {
        self.0.send_modify(|machine| {
            machine.boot += 1;
            machine.base = machine.now.as_millis();
            machine.ahead = wall.as_millis() - machine.now.as_millis();
        });
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.0.borrow().now
    }

    fn wall(&self) -> Timestamp {
        self.0.borrow().readings().wall
    }

    fn wall_offset(&self) -> i64 {
        self.0.borrow().wall_offset
    }

    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()> {
        let mut machine = self.0.subscribe();
        Box::pin(async move {
            let has_come = |machine: &Machine| machine.now >= instant && instant < Timestamp::MAX;
            if machine.wait_for(has_come).await.is_err() {
                // The clock was dropped, so this instant never comes.
                std::future::pending::<()>().await;
            }
        })
    }

    fn resume(&self, stored: Option<&ClockAnchor>) -> (ClockAnchor, Tied) {
        let readings = self.0.borrow().readings();
        let (anchor, tied) = anchor::tie(stored, &readings);
        self.0.send_modify(|machine| {
            machine.now = anchor.now(&readings);
            machine.ahead = readings.wall.as_millis() - machine.now.as_millis();
            machine.base = anchor.base;
            machine.wall_offset = anchor.wall_offset;
        });
        (anchor, tied)
    }

    fn stepped(&self) -> BoxFuture<'static, ClockAnchor> {
        let mut machine = self.0.subscribe();
        Box::pin(async move {
            let was_set = |machine: &Machine| stepped(machine.wall_offset, machine.ahead).is_some();
            let told = machine.wait_for(was_set).await.map(|machine| machine.anchor(machine.ahead)).ok();
            match told {
                Some(anchor) => anchor,
                None => std::future::pending().await,
            }
        })
    }

    fn anchor(&self) -> ClockAnchor {
        let machine = self.0.borrow();
        machine.anchor(machine.wall_offset)
    }

    fn slept(&self) -> Duration {
        self.0.borrow().slept
    }

    fn adopt(&self, wall_offset: i64) {
        self.0.send_modify(|machine| machine.wall_offset = wall_offset);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_manual_clock_reaches_its_instant() {
        let clock = ManualClock::new(Timestamp::from_millis(0));
        let sleeper = tokio::spawn(clock.sleep_until(Timestamp::from_millis(1000)));
        clock.advance(Duration::from_millis(999));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_millis(1));
        sleeper.await.unwrap();
    }

    #[tokio::test]
    async fn after_the_last_instant_nobody_wakes_whose_time_never_comes() {
        let clock = ManualClock::new(Timestamp::MAX.moved(60_000));
        assert_eq!(clock.sleep_until(Timestamp::MAX).now_or_never(), None);
        assert_eq!(clock.sleep_until(Timestamp::MAX.moved(-1)).now_or_never(), Some(()));
    }

    #[tokio::test]
    async fn a_step_of_the_wall_clock_is_told_and_holds_once_it_is_adopted() {
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
        let told = tokio::spawn(clock.stepped());
        tokio::task::yield_now().await;
        assert!(!told.is_finished());
        clock.set_wall_ahead(5_000);
        let anchor = told.await.unwrap();
        assert_eq!((anchor.wall_offset, clock.wall_offset(), clock.drift()), (5_000, 0, 5_000));
        clock.adopt(anchor.wall_offset);
        assert_eq!((clock.wall_offset(), clock.drift()), (5_000, 0));
        assert_eq!(clock.to_steady(clock.wall()), clock.now());
    }
}
