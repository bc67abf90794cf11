//! The state of an expectation: a state machine over time windows.
//!
//! With cron, each occurrence opens a window. With an interval, a window begins when the last one was
//! complete. A window that ends with too few items is missed; from then on items count from its beginning,
//! and it is over once they are enough, or those of a later window are.
//!
//! Windows that ended while the daemon was down or the machine slept are not counted one by one: they are
//! reported once, as unobserved. A wall clock that is set by more than a day was wrong, so the window that it
//! opened is dropped.

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CronSchedule, Expectation, Schedule};
use crate::model::{ItemNumber, Timestamp};

/// Bounds the work after a long downtime.
pub const WINDOWS_COUNTED_MAX: u64 = 10_000;
/// How early an item may be for an occurrence, outside of other windows: the clock of the machine that starts
/// the work may differ.
const LEAD: Duration = Duration::from_secs(30);
/// If the wall clock is set by more than this, it was wrong: the window that it opened is dropped.
const WRONG_MIN: Duration = Duration::from_secs(24 * 3600);
/// If the wall clock is set back by no more than this, repeated occurrences count once.
const REPEATED_MAX: Duration = Duration::from_secs(3 * 3600);

/// Missed starts, in one window or consecutive ones. Instants are steady except for `expected_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// When the start was expected, in the first window, on the wall clock.
    pub expected_at: Timestamp,
    /// The end of the first window.
    pub since: Timestamp,
    /// Consecutive windows; at most [`WINDOWS_COUNTED_MAX`].
    pub windows: u64,
    /// The items expected in each window.
    pub wanted: u64,
    /// The items created since the first window began; always too few.
    pub created: u64,
    /// The beginning of the first window.
    pub from: Timestamp,
    /// Windows that ended unobserved; those of one such period count as one in `windows`.
    #[serde(default)]
    pub unobserved: u64,
    /// Whether runs have to succeed, rather than items be created.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_success: bool,
}

/// A half-open range of time in which items are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    begins: Timestamp,
    ends: Timestamp,
    /// On the wall clock. The occurrence of cron, or the end of an interval.
    expected_at: Timestamp,
}

/// The state of an expectation. Instants are steady except for `expected_at`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The expectation, as displayed.
    expectation: String,
    /// The last known wall offset, in milliseconds.
    wall_offset: i64,
    /// The current or next window; `None` if the schedule has no further occurrence.
    window: Option<Window>,
    /// The items created in the window.
    created: u64,
    /// The last item that was counted. Numbers grow in commit order, so later items were not counted.
    counted_to: ItemNumber,
    missed: Option<Missed>,
    /// The unobserved time since an interval is missed, in which no windows are counted.
    #[serde(default)]
    unwatched: Duration,
}

impl Progress {
    /// For an expectation that is seen for the first time. Here and below, `wall_offset` is by how much the
    /// wall clock is ahead of the steady one at that moment, in milliseconds.
    pub fn begin(expectation: &Expectation, now: Timestamp, wall_offset: i64) -> Self {
        Self {
            expectation: expectation.to_string(),
            wall_offset,
            window: match &expectation.schedule {
                Schedule::Cron(cron) => next_window(expectation, cron, now.moved(wall_offset), wall_offset),
                Schedule::Every(every) => Some(interval(expectation, *every, now, wall_offset)),
            },
            created: 0,
            counted_to: ItemNumber::default(),
            missed: None,
            unwatched: Duration::ZERO,
        }
    }

    pub fn is_of(&self, expectation: &Expectation) -> bool {
        self.expectation == expectation.to_string()
    }

    pub fn missed(&self) -> Option<Missed> {
        self.missed
    }

    /// The next expected start on the wall clock: the occurrence of the window, or the end of the interval.
    /// `None` while an interval is missed.
    pub fn next_expected_at(
        &self,
        expectation: &Expectation,
        now: Timestamp,
        wall_offset: i64,
    ) -> Option<Timestamp> {
        match &expectation.schedule {
            Schedule::Cron(cron) => cron.next_after(now.moved(wall_offset)),
            Schedule::Every(_) if self.missed.is_some() => None,
            Schedule::Every(_) => self.window.map(|window| window.expected_at),
        }
    }

    /// When time alone changes something next.
    pub fn next_wake(&self, expectation: &Expectation) -> Option<Timestamp> {
        let window = self.window?;
        match (&expectation.schedule, &self.missed) {
            (Schedule::Every(_), Some(missed)) if missed.windows == WINDOWS_COUNTED_MAX => None,
            (Schedule::Every(every), Some(missed)) => {
                let windows = missed.windows - u64::from(missed.unobserved > 0);
                let windows = u32::try_from(windows).unwrap_or(u32::MAX);
                Some(missed.since.after(every.saturating_mul(windows)).after(self.unwatched))
            }
            _ => Some(window.ends),
        }
    }

    /// Counts an item created at `at`. Items come in the order of their numbers; one that was counted is
    /// ignored.
    pub fn created(
        &mut self,
        expectation: &Expectation,
        number: ItemNumber,
        at: Timestamp,
        wall_offset: i64,
    ) {
        if number <= self.counted_to {
            return;
        }
        self.counted_to = number;
        self.advance(expectation, at, wall_offset);
        let Some(window) = self.window else { return };
        if let Some(missed) = self.missed.as_mut().filter(|missed| missed.from <= at) {
            missed.created += 1;
        }
        let counts = match expectation.schedule {
            Schedule::Cron(_) => window.begins <= at.after(LEAD) && at < window.ends,
            Schedule::Every(_) => window.begins <= at,
        };
        self.created += u64::from(counts);
        let complete = self.created >= expectation.min_items;
        if complete || self.missed.is_some_and(|missed| missed.created >= missed.wanted) {
            self.missed = None;
        }
        if let Schedule::Every(every) = expectation.schedule
            && complete
        {
            self.window = Some(interval(expectation, every, at, wall_offset));
            self.created = 0;
        }
    }

    /// Counts an item of an earlier run, with the last known wall offset.
    pub fn recount(&mut self, expectation: &Expectation, number: ItemNumber, at: Timestamp) {
        self.created(expectation, number, at, self.wall_offset);
    }

    /// Judges the windows that have ended by `now`.
    pub fn advance(&mut self, expectation: &Expectation, now: Timestamp, wall_offset: i64) {
        match &expectation.schedule {
            Schedule::Cron(cron) => {
                self.follow_the_wall_clock(expectation, cron, now, wall_offset);
                self.judge_occurrences(expectation, cron, now);
            }
            Schedule::Every(every) => {
                self.wall_offset = wall_offset;
                self.judge_interval(expectation, *every, now);
            }
        }
    }

    /// Records that nothing was observed from `since` to `now`. An interval that ended meanwhile gets its
    /// grace once more, as no items could be created.
    pub fn unwatched(
        &mut self,
        expectation: &Expectation,
        since: Timestamp,
        now: Timestamp,
        wall_offset: i64,
    ) {
        match &expectation.schedule {
            Schedule::Cron(cron) => {
                self.judge_occurrences(expectation, cron, since);
                self.follow_the_wall_clock(expectation, cron, since, wall_offset);
                self.pass_over(expectation, cron, now);
            }
            Schedule::Every(every) => {
                self.wall_offset = wall_offset;
                self.judge_interval(expectation, *every, since);
                let gap = now.since(since);
                match (&mut self.missed, &mut self.window) {
                    (Some(missed), _) => {
                        missed.unobserved += whole(gap, *every);
                        self.unwatched = self.unwatched.saturating_add(gap);
                    }
                    (None, Some(window)) => window.ends = window.ends.max(now.after(expectation.grace)),
                    (None, None) => {}
                }
            }
        }
    }

    /// Moves a window that has not begun when the wall clock was set.
    fn follow_the_wall_clock(
        &mut self,
        expectation: &Expectation,
        cron: &CronSchedule,
        now: Timestamp,
        wall_offset: i64,
    ) {
        let set_by = Duration::from_millis(wall_offset.abs_diff(self.wall_offset));
        let was_set = !set_by.is_zero();
        self.wall_offset = wall_offset;
        if set_by > WRONG_MIN {
            self.window = next_window(expectation, cron, now.moved(wall_offset), wall_offset);
            self.created = 0;
            return;
        }
        if self.window.is_none_or(|window| was_set && window.begins > now) {
            // An occurrence that the clock was set across is still pending.
            let pending = self.window.map(|window| window.expected_at);
            let open = pending.and_then(|pending| {
                window_at(expectation, cron, now, wall_offset).filter(|window| window.expected_at >= pending)
            });
            self.window =
                open.or_else(|| next_window(expectation, cron, now.moved(wall_offset), wall_offset));
            if self.window.map(|window| window.expected_at) != pending {
                self.created = 0;
            }
        }
    }

    fn judge_occurrences(&mut self, expectation: &Expectation, cron: &CronSchedule, now: Timestamp) {
        while let Some(window) = self.window
            && window.ends <= now
        {
            let created = std::mem::take(&mut self.created);
            if created < expectation.min_items {
                let missed = self.miss(expectation, window, created);
                missed.windows = (missed.windows + 1).min(WINDOWS_COUNTED_MAX);
            }
            self.window = if self.missed.is_some_and(|missed| missed.windows >= WINDOWS_COUNTED_MAX) {
                window_at(expectation, cron, now, self.wall_offset)
            } else {
                self.window_after(expectation, cron, window)
            };
        }
    }

    /// Skips the windows that ended by `now` unobserved.
    fn pass_over(&mut self, expectation: &Expectation, cron: &CronSchedule, now: Timestamp) {
        let (mut first, mut unobserved) = (None, 0);
        while let Some(window) = self.window
            && window.ends <= now
        {
            let created = std::mem::take(&mut self.created);
            if created < expectation.min_items {
                unobserved += 1;
                first.get_or_insert((window, created));
            }
            self.window = if unobserved >= WINDOWS_COUNTED_MAX {
                window_at(expectation, cron, now, self.wall_offset)
            } else {
                self.window_after(expectation, cron, window)
            };
        }
        if let Some((window, created)) = first {
            let missed = self.miss(expectation, window, created);
            missed.windows = (missed.windows + 1).min(WINDOWS_COUNTED_MAX);
            missed.unobserved += unobserved;
        }
    }

    /// The window after one that has ended.
    fn window_after(&self, expectation: &Expectation, cron: &CronSchedule, window: Window) -> Option<Window> {
        let here = window.begins.moved(self.wall_offset);
        let again = here < window.expected_at && window.expected_at.since(here) <= REPEATED_MAX;
        let after = if again { window.expected_at } else { here };
        next_window(expectation, cron, after, self.wall_offset)
    }

    fn judge_interval(&mut self, expectation: &Expectation, every: Duration, now: Timestamp) {
        let Some(window) = self.window else { return };
        if self.missed.is_none() && window.ends > now {
            return;
        }
        let unwatched = if self.missed.is_some() { self.unwatched } else { Duration::ZERO };
        self.unwatched = unwatched;
        let missed = self.miss(expectation, window, self.created);
        let watched = now.since(missed.since).saturating_sub(unwatched);
        let windows = whole(watched, every).saturating_add(1 + u64::from(missed.unobserved > 0));
        missed.windows = missed.windows.max(windows.min(WINDOWS_COUNTED_MAX));
    }

    /// Records a missed window, which may follow others.
    fn miss(&mut self, expectation: &Expectation, window: Window, created: u64) -> &mut Missed {
        self.missed.get_or_insert(Missed {
            expected_at: window.expected_at,
            since: window.ends,
            windows: 0,
            wanted: expectation.min_items,
            created,
            from: window.begins,
            unobserved: 0,
            of_success: expectation.of_success,
        })
    }
}

/// How often `every` fits into a duration.
fn whole(duration: Duration, every: Duration) -> u64 {
    u64::try_from(duration.as_nanos() / every.as_nanos().max(1)).unwrap_or(u64::MAX)
}

/// The window of an interval.
fn interval(expectation: &Expectation, every: Duration, begins: Timestamp, wall_offset: i64) -> Window {
    let ends = begins.after(every).after(expectation.grace);
    Window { begins, ends, expected_at: begins.after(every).moved(wall_offset) }
}

/// The window of the first occurrence after an instant of the wall clock.
fn next_window(
    expectation: &Expectation,
    cron: &CronSchedule,
    wall: Timestamp,
    wall_offset: i64,
) -> Option<Window> {
    Some(window_of(expectation, cron, cron.next_after(wall)?, wall_offset))
}

/// The window that is open at `now`, or else the next.
fn window_at(
    expectation: &Expectation,
    cron: &CronSchedule,
    now: Timestamp,
    wall_offset: i64,
) -> Option<Window> {
    let wall = now.moved(wall_offset);
    let last = cron.last_until(wall).map(|occurrence| window_of(expectation, cron, occurrence, wall_offset));
    last.filter(|window| window.ends > now).or_else(|| next_window(expectation, cron, wall, wall_offset))
}

/// The window of an occurrence.
fn window_of(
    expectation: &Expectation,
    cron: &CronSchedule,
    occurrence: Timestamp,
    wall_offset: i64,
) -> Window {
    let steady = |wall: Timestamp| wall.moved(wall_offset.saturating_neg());
    let end = occurrence.after(expectation.grace);
    let end = cron.next_after(occurrence).map_or(end, |next| end.min(next));
    Window { begins: steady(occurrence), ends: steady(end), expected_at: occurrence }
}
