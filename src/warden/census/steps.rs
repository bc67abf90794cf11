//! The census while the wall clock is set at the moment at which a change is applied.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::properties::{START, item, policies};
use super::*;
use crate::model::Item;
use crate::model::time::Tied;
use crate::model::{ClockAnchor, ClockTime, ManualClock};
use crate::store::{Change, Observer as _};

/// How long the reader of the clock is delayed, so that the refile can run.
const ASIDE: Duration = Duration::from_millis(100);

/// A clock that is set, and followed by a refile, between being read and the use of what was read.
struct SetMeanwhile {
    inner: ManualClock,
    /// How far ahead the wall clock is set at the next reading; zero if it is not.
    ahead: AtomicI64,
    census: OnceLock<Arc<Census>>,
}

impl Clock for SetMeanwhile {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn wall(&self) -> Timestamp {
        self.inner.wall()
    }

    fn wall_offset(&self) -> i64 {
        self.inner.wall_offset()
    }

    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()> {
        self.inner.sleep_until(instant)
    }

    fn resume(&self, stored: Option<&ClockAnchor>) -> (ClockAnchor, Tied) {
        self.inner.resume(stored)
    }

    fn stepped(&self) -> BoxFuture<'static, ClockAnchor> {
        self.inner.stepped()
    }

    fn anchor(&self) -> ClockAnchor {
        self.inner.anchor()
    }

    fn adopt(&self, wall_offset: i64) {
        self.inner.adopt(wall_offset);
    }

    fn slept(&self) -> Duration {
        self.inner.slept()
    }

    fn moment(&self) -> Moment {
        let moment = self.inner.moment();
        let ahead = self.ahead.swap(0, Ordering::SeqCst);
        if let (true, Some(census)) = (ahead != 0, self.census.get().cloned()) {
            let clock = self.inner.clone();
            let (done, ended) = mpsc::channel();
            thread::spawn(move || {
                clock.set_wall_ahead(ahead);
                clock.adopt(ahead);
                census.refile(None, 10);
                done.send(()).unwrap();
            });
            let _ = ended.recv_timeout(ASIDE);
        }
        moment
    }
}

fn census_of(deadline: ClockTime) -> (Arc<SetMeanwhile>, Arc<Census>, Item) {
    let clock = Arc::new(SetMeanwhile {
        inner: ManualClock::new(START),
        ahead: AtomicI64::new(0),
        census: OnceLock::new(),
    });
    let policies = policies();
    let census = Arc::new(Census::new(clock.clone(), policies));
    census.recovered();
    let item = item(1, "uploads", None, START, deadline);
    assert!(clock.census.set(census.clone()).is_ok());
    (clock, census, item)
}

/// Whether the item becomes overdue, or not, once everything in flight is done.
fn settles_as(overdue: bool, census: &Census) -> bool {
    (0..100).any(|_| {
        thread::sleep(Duration::from_millis(10));
        census.overdue(|_| true, None, 1).is_empty() != overdue
    })
}

#[test]
fn an_item_that_is_told_of_while_the_wall_clock_is_set_is_placed_by_what_it_shows_then() {
    let hour = Duration::from_secs(3600);
    let (clock, census, item) = census_of(ClockTime::on_wall(START.after(hour)));
    clock.ahead.store(2 * 3_600_000, Ordering::SeqCst);
    census.committed(&[Change::Item { before: None, after: Some(item.indexed()) }]);
    assert!(settles_as(true, &census), "the wall clock shows more than its deadline");
}

#[test]
fn an_item_whose_timer_fires_while_the_wall_clock_is_set_is_placed_by_what_it_shows_then() {
    let (clock, census, item) = census_of(ClockTime::on_wall(START.after(Duration::from_secs(10))));
    census.committed(&[Change::Item { before: None, after: Some(item.indexed()) }]);
    clock.inner.advance(Duration::from_secs(10));
    clock.ahead.store(-3_600_000, Ordering::SeqCst);
    while census.fire(clock.now(), 10) <= clock.now() {}
    assert!(settles_as(false, &census), "the wall clock shows less than its deadline");
}
