//! The virtual clock.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::BoxFuture;
use warden::model::time::{BootId, Readings, Tied, stepped, tie};
use warden::model::{Clock, ClockAnchor, Timestamp};

/// How often the clock may be read at one instant.
const READINGS_MAX: u64 = 300_000;

/// The simulation's clock. It knows who sleeps until when, so that time can go from one event to the next.
#[derive(Clone)]
pub struct SimulatedClock(Arc<Mutex<State>>);

struct State {
    now: Timestamp,
    /// What it showed before it was last set.
    before: Timestamp,
    latest: Timestamp,
    /// When it last jumped.
    jumped_at: Timestamp,
    /// How far the wall clock really is ahead of the steady one, in milliseconds.
    ahead: i64,
    /// The same as the daemon has adopted it.
    wall_offset: i64,
    adopted_at: Timestamp,
    boot: u32,
    /// What the steady clock shows, or would show, when the boot-time clock is at zero.
    base: i64,
    /// Who waits for the wall clock to be set.
    watchers: Vec<Waker>,
    sleepers: BTreeMap<(Timestamp, u64), Waker>,
    last_sleeper: u64,
    /// How often it was read since it was set.
    readings: u64,
}

impl SimulatedClock {
    pub fn new(start: Timestamp) -> Self {
        let sleepers = BTreeMap::new();
        Self(Arc::new(Mutex::new(State {
            now: start,
            before: Timestamp::MIN,
            latest: start,
            jumped_at: Timestamp::MIN,
            ahead: 0,
            wall_offset: 0,
            adopted_at: Timestamp::MIN,
            boot: 1,
            base: start.as_millis(),
            watchers: Vec::new(),
            sleepers,
            last_sleeper: 0,
            readings: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics under the lock")
    }

    /// The next instant at which somebody wakes.
    pub fn next_event(&self) -> Option<Timestamp> {
        self.lock().sleepers.first_key_value().map(|((at, _), _)| *at)
    }

    /// Sets the clock, and wakes whoever's time has come.
    pub fn set(&self, instant: Timestamp) {
        let mut state = self.lock();
        (state.before, state.now) = (state.now, instant);
        state.latest = instant.max(state.latest);
        if state.readings < READINGS_MAX {
            state.readings = 0;
        }
        let later = state.sleepers.split_off(&(instant.after(Duration::from_millis(1)), 0));
        let woken = std::mem::replace(&mut state.sleepers, later);
        drop(state);
        woken.into_values().for_each(Waker::wake);
    }

    /// What it showed before it was last set: whatever was due by then was noticed then.
    pub fn before(&self) -> Timestamp {
        self.lock().before
    }

    /// Jumps ahead, as when the machine was asleep. What was under way then was under way for all of that
    /// time.
    pub fn jump(&self, ahead: Duration) {
        let instant = self.now().after(ahead);
        self.set(instant);
        self.lock().jumped_at = instant;
    }

    /// When it last jumped, in whatever life of the daemon.
    pub fn jumped_at(&self) -> Timestamp {
        self.lock().jumped_at
    }

    /// The present instant, and the latest that it ever showed.
    pub fn read(&self) -> (Timestamp, Timestamp) {
        let state = self.lock();
        (state.now, state.latest)
    }

    /// Whether somebody reads it again and again without ever waiting.
    pub fn is_spun(&self) -> bool {
        self.lock().readings >= READINGS_MAX
    }

    /// Sets the wall clock ahead of the steady one.
    pub fn set_wall_ahead(&self, millis: i64) {
        let mut state = self.lock();
        state.ahead = millis;
        let watchers = std::mem::take(&mut state.watchers);
        drop(state);
        watchers.into_iter().for_each(Waker::wake);
    }

    /// When the daemon last adopted a step of the wall clock: what goes by it may be due only since then.
    pub fn adopted_at(&self) -> Timestamp {
        self.lock().adopted_at
    }

    /// The machine boots anew, with a wall clock that was set by so many milliseconds. It takes effect when
    /// the daemon starts.
    pub fn reboot(&self, step: i64) {
        let mut state = self.lock();
        state.boot += 1;
        state.base = state.now.as_millis();
        state.ahead += step;
    }
}

impl State {
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

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let mut state = self.lock();
        state.readings += 1;
        let (now, readings) = (state.now, state.readings);
        drop(state);
        // Whoever is told so ends: nobody else would get a turn again. Several can turn, one after the other.
        assert!(!readings.is_multiple_of(READINGS_MAX), "somebody turns in a circle at {now}");
        now
    }

    fn wall(&self) -> Timestamp {
        self.lock().readings().wall
    }

    fn wall_offset(&self) -> i64 {
        self.lock().wall_offset
    }

    fn resume(&self, stored: Option<&ClockAnchor>) -> (ClockAnchor, Tied) {
        let readings = self.lock().readings();
        let (anchor, tied) = tie(stored, &readings);
        let now = anchor.now(&readings);
        if now != self.read().0 {
            self.set(now);
        }
        let mut state = self.lock();
        (state.ahead, state.base) = (readings.wall.as_millis() - now.as_millis(), anchor.base);
        (state.wall_offset, state.adopted_at) = (anchor.wall_offset, now);
        drop(state);
        (anchor, tied)
    }

    fn stepped(&self) -> BoxFuture<'static, ClockAnchor> {
        let clock = self.clone();
        Box::pin(std::future::poll_fn(move |context| {
            let mut state = clock.lock();
            if stepped(state.wall_offset, state.ahead).is_some() {
                return Poll::Ready(state.anchor(state.ahead));
            }
            state.watchers.push(context.waker().clone());
            Poll::Pending
        }))
    }

    fn anchor(&self) -> ClockAnchor {
        let state = self.lock();
        state.anchor(state.wall_offset)
    }

    fn slept(&self) -> Duration {
        Duration::ZERO
    }

    fn adopt(&self, wall_offset: i64) {
        let mut state = self.lock();
        (state.wall_offset, state.adopted_at) = (wall_offset, state.now);
    }

    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { clock: self.clone(), until: instant, place: None })
    }
}

struct Sleep {
    clock: SimulatedClock,
    until: Timestamp,
    place: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut state = clock.lock();
        if self.until <= state.now {
            return Poll::Ready(());
        }
        let place = *self.place.get_or_insert_with(|| {
            state.last_sleeper += 1;
            state.last_sleeper
        });
        let old = state.sleepers.insert((self.until, place), context.waker().clone());
        // Not under the lock: with the last of its wakers somebody who sleeps may go.
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let waker = self.clock.lock().sleepers.remove(&(self.until, place));
            drop(waker);
        }
    }
}
