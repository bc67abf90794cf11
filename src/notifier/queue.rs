//! What waits for one receiver, and when the next of it may go: pure, so that it takes `now`, or the moment where it says
//! when something was.
//!
//! Invariants:
//!
//! - The deliveries of one incident form a lane. One of them is under way at a time, the first by [`Delivery::place`].
//! - Lanes go in the order in which they are due, so that none waits for ever behind others.
//! - Nothing goes to a paused receiver, before the time that it asked for, beyond its rate, or beyond its concurrency;
//!   to one whose circuit is open goes one at a time, whatever lane is next, due or not.
//! - The end of an incident whose items are in trouble elsewhere waits until the receiver was told of that, or that was given
//!   up: nobody takes it for an all-clear.
//! - What has waited for a paused receiver for its day is given up without an attempt, so that nothing grows for ever.
//! - What was found out about the receiver as a whole is used at once: when its circuit closes or somebody resumes it,
//!   everything that waits is due.

mod lane;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use self::lane::{Errand, Lane};
use super::backoff;
use super::breaker::Breaker;
use super::status::{Latencies, Outcomes, ReceiverState, ReceiverStatus};
use crate::model::{Attempt, Delivery, Event, IncidentId, Moment, Timestamp};
use crate::outbound::{Rate, RateLimiter, retry_after};

/// How long an attempt that could not be recorded waits for its repetition.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// From how many failures in a row on what a lane has to tell does not reach its receiver.
const FAILING: usize = 3;
/// One that asks to be left alone for longer than this is as good as one that fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// The answer by which a receiver says that it is there no longer (410).
pub(super) const GONE: u16 = 410;

/// A delivery that waits for its turn.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub delivery: Delivery,
    /// When the day began for which it is tried.
    pub since: Timestamp,
}

impl Waiting {
    /// When it is given up if its receiver is still paused: at the end of its day, but not before the repetition of an
    /// attempt to note that which the store did not take.
    fn gives_up_at(&self) -> Timestamp {
        let day_end = Timestamp::from_millis(backoff::day_end(self.since.as_millis()));
        day_end.max(self.delivery.next_attempt_at)
    }
}

/// What is to be done with a delivery.
#[derive(Debug)]
pub(super) enum Task {
    /// To send it.
    Send(Waiting),
    /// To give it up without an attempt, for this reason.
    GiveUp(Waiting, String),
}

/// An attempt that was made.
#[derive(Debug)]
pub(super) struct Attempted {
    pub attempt: Attempt,
    /// The wait that the receiver asked for.
    pub retry_after: Option<Duration>,
    pub record: Record,
}

/// What is on record of an attempt.
#[derive(Debug)]
pub(super) enum Record {
    /// The delivery as it was committed.
    Committed(Box<Delivery>),
    /// Nothing, since the store would not take it: the attempt has not happened, and is made again.
    Refused,
    /// Nothing: it was a refresh.
    None,
}

/// What an attempt has changed about the receiver as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The circuit has opened.
    Opened,
    /// It has closed.
    Closed,
    /// The receiver has said that it is gone.
    Paused,
}

/// What becomes of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refresh {
    /// It goes.
    Goes,
    /// The receiver hears of the incident anyway: something of it waits or is under way.
    Needless,
    /// The receiver can be told nothing at this moment.
    Refused,
}

/// The deliveries to one receiver.
#[derive(Debug)]
pub(super) struct ReceiverQueue {
    concurrency: usize,
    limiter: Option<RateLimiter>,
    breaker: Breaker,
    /// Until when the receiver asked to be left alone.
    quiet_until: Timestamp,
    /// Since when, if that is so long that others may have to be told.
    away_since: Option<Timestamp>,
    pause: Option<Pause>,
    lanes: HashMap<IncidentId, Lane>,
    /// The lanes with something that waits and nothing under way, by the time at which that is due; while the receiver is
    /// paused, by the time at which it is given up.
    planned: BTreeSet<(Timestamp, IncidentId)>,
    /// The lanes whose turn has come while the first of them waits for what another lane has to tell, by that lane.
    behind: HashMap<IncidentId, BTreeSet<IncidentId>>,
    under_way: usize,
    last_attempt: Option<Attempt>,
    outcomes: Outcomes,
    latencies: Latencies,
}

#[derive(Debug)]
struct Pause {
    since: Timestamp,
    reason: Arc<str>,
}

impl ReceiverQueue {
    pub(super) fn new(concurrency: usize, rate: Option<Rate>) -> Self {
        Self {
            concurrency: concurrency.max(1),
            limiter: rate.map(RateLimiter::new),
            breaker: Breaker::default(),
            quiet_until: Timestamp::MIN,
            away_since: None,
            pause: None,
            lanes: HashMap::new(),
            planned: BTreeSet::new(),
            behind: HashMap::new(),
            under_way: 0,
            last_attempt: None,
            outcomes: Outcomes::default(),
            latencies: Latencies::default(),
        }
    }

    /// Takes a delivery, unless it is here already and was not sent again since.
    pub(super) fn accept(&mut self, waiting: Waiting) {
        let incident = waiting.delivery.incident.clone();
        let lane = self.lanes.entry(incident.clone()).or_default();
        if let Some(held) = lane.waiting.iter().find(|held| held.delivery.id == waiting.delivery.id) {
            // What came of its attempt is on record and not noted here yet; meanwhile somebody has it sent again.
            if held.delivery.resent_at < waiting.delivery.resent_at {
                lane.again = Some(waiting);
            }
            return;
        }
        let is_before = |other: &Waiting| other.delivery.place() < waiting.delivery.place();
        // One that is under way stays the first.
        let fixed = usize::from(matches!(lane.under_way, Some(Errand::Delivery | Errand::GivingUp)));
        let position = lane.waiting.partition_point(is_before).max(fixed);
        lane.waiting.insert(position, waiting);
        self.plan(&incident);
    }

    /// Notes that what the receiver was told last of an incident was given up.
    pub(super) fn note_lost(&mut self, incident: IncidentId) {
        self.lanes.entry(incident).or_default().lost = true;
    }

    /// From when on there is something to do; nothing when none waits or none may go.
    pub(super) fn ready_at(&self) -> Option<Timestamp> {
        let (first_due, _) = self.planned.first()?;
        if self.pause.is_some() {
            return (self.under_way < self.concurrency).then_some(*first_due);
        }
        let open_at = self.open_at()?;
        // A probe is made with whatever is next, due or not.
        Some(if self.breaker.probe_at().is_some() { open_at } else { open_at.max(*first_due) })
    }

    /// From when on the receiver may be told anything; nothing while it is paused or told enough at once.
    fn open_at(&self) -> Option<Timestamp> {
        let (limit, at) = match self.breaker.probe_at() {
            Some(probe_at) => (1, probe_at),
            None => (self.concurrency, Timestamp::MIN),
        };
        let may_go = self.pause.is_none() && self.under_way < limit;
        may_go.then(|| at.max(self.quiet_until).max(self.free_at()))
    }

    /// Begins the next attempt, if one may go now. While the receiver is paused it is none: then what has waited out its
    /// day is given up.
    pub(super) fn begin(&mut self, moment: Moment) -> Option<Task> {
        let now = moment.now;
        let incident = self.next(now)?;
        let lane = self.lanes.get_mut(&incident)?;
        let first = lane.waiting.front().cloned()?;
        self.under_way += 1;
        if let Some(pause) = &self.pause {
            lane.under_way = Some(Errand::GivingUp);
            let since = moment.wall(pause.since);
            let reason = format!("the receiver is paused since {since}: {}", pause.reason);
            return Some(Task::GiveUp(first, reason));
        }
        lane.under_way = Some(Errand::Delivery);
        self.count_attempt(now);
        Some(Task::Send(first))
    }

    /// The lane whose turn it is.
    fn next(&mut self, now: Timestamp) -> Option<IncidentId> {
        while self.ready_at().is_some_and(|at| at <= now) {
            let (_, incident) = self.planned.pop_first()?;
            if let Some(lane) = self.lanes.get_mut(&incident) {
                lane.planned_at = None;
            }
            let Some(awaited) = self.awaited_by(&incident) else { return Some(incident) };
            if self.line_from(&awaited).any(|other| other == incident) {
                // They wait for each other, as what was decided at one instant may: each of them would wait for ever.
                if let Some(lane) = self.lanes.get_mut(&incident) {
                    lane.unbound = true;
                }
                return Some(incident);
            }
            self.behind.entry(awaited).or_default().insert(incident);
        }
        None
    }

    /// The lane, the one that it waits for, the one for which that one waits, and so on; none of them twice.
    fn line_from(&self, incident: &IncidentId) -> impl Iterator<Item = IncidentId> {
        let mut seen = HashSet::new();
        std::iter::successors(Some(incident.clone()), |incident| self.awaited_by(incident))
            .take_while(move |incident| seen.insert(incident.clone()))
    }

    /// The lane that has something to tell before the first of another may go.
    fn awaited_by(&self, incident: &IncidentId) -> Option<IncidentId> {
        let lane = self.lanes.get(incident).filter(|lane| self.pause.is_none() && !lane.unbound)?;
        let Delivery { after, created_at, .. } = &lane.waiting.front()?.delivery;
        after.clone().filter(|awaited| self.tells_first(awaited, *created_at))
    }

    /// Whether a lane has something to tell before an end that was decided then: anything but an end of its own.
    fn tells_first(&self, incident: &IncidentId, created_at: Timestamp) -> bool {
        let is_first = |waiting: &Waiting| {
            let Delivery { event, created_at: at, after, .. } = &waiting.delivery;
            *event != Event::Resolved && after.is_none() && *at <= created_at
        };
        self.lanes.get(incident).is_some_and(|lane| lane.waiting.iter().any(is_first))
    }

    /// Whether the receiver can be told again now what it was told of an incident.
    pub(super) fn judge_refresh(&self, incident: &IncidentId, now: Timestamp) -> Refresh {
        let is_busy = |lane: &Lane| lane.under_way.is_some() || !lane.waiting.is_empty();
        if self.lanes.get(incident).is_some_and(is_busy) {
            Refresh::Needless
        } else if self.open_at().is_some_and(|at| at <= now) {
            Refresh::Goes
        } else {
            Refresh::Refused
        }
    }

    /// Begins to tell again what the receiver was told of an incident, if it can be told now. While the circuit is open
    /// that is a probe like any other: where nothing else waits it is the only one.
    pub(super) fn begin_refresh(&mut self, incident: &IncidentId, now: Timestamp) -> Refresh {
        let refresh = self.judge_refresh(incident, now);
        if refresh == Refresh::Goes {
            self.lanes.entry(incident.clone()).or_default().under_way = Some(Errand::Refresh);
            self.under_way += 1;
            self.count_attempt(now);
        }
        refresh
    }

    /// Takes note of what came of an attempt.
    pub(super) fn finish(
        &mut self,
        incident: &IncidentId,
        attempted: Attempted,
        now: Timestamp,
    ) -> Option<Turn> {
        self.under_way = self.under_way.saturating_sub(1);
        let succeeded = attempted.attempt.error.is_none();
        let mut again = None;
        let mut was_sent = true;
        if let Some(lane) = self.lanes.get_mut(incident) {
            was_sent = lane.under_way.take() != Some(Errand::GivingUp);
            again = lane.again.take();
            lane.unbound = false;
            match attempted.record {
                Record::Committed(delivery) => lane.recorded(*delivery, &mut self.outcomes),
                Record::Refused => {
                    if let Some(first) = lane.waiting.front_mut() {
                        first.delivery.next_attempt_at = now.after(TRY_AGAIN);
                    }
                }
                Record::None if succeeded => self.outcomes.refreshed += 1,
                Record::None => self.outcomes.failed += 1,
            }
        }
        self.plan(incident);
        // Those that waited for this one are judged anew when their turn comes.
        for waiting in self.behind.remove(incident).unwrap_or_default() {
            self.plan(&waiting);
        }
        if let Some(again) = again {
            self.accept(again);
        }
        if !was_sent {
            return None;
        }
        self.latencies.note(Duration::from_millis(attempted.attempt.latency_ms));
        self.judge(attempted.attempt, attempted.retry_after, now)
    }

    /// What an answer says about the receiver as a whole.
    fn judge(&mut self, attempt: Attempt, retry_after: Option<Duration>, now: Timestamp) -> Option<Turn> {
        let away_since = self.away_since.take().unwrap_or(now);
        let turn = if attempt.error.is_none() {
            // While it is paused nothing goes, and what would be due would be given up.
            let may_go = self.breaker.succeeded() && self.pause.is_none();
            may_go.then(|| {
                self.make_due(now);
                Turn::Closed
            })
        } else {
            let opened = self.breaker.failed(attempt.at, now);
            if let Some(retry_after) = retry_after {
                self.away_since = (retry_after > PATIENCE).then_some(away_since);
                self.quiet_until = self.quiet_until.max(now.after(retry_after::granted(retry_after)));
            }
            if attempt.status == Some(GONE) && self.pause.is_none() {
                let reason = attempt.error.as_deref().unwrap_or_default().into();
                self.pause = Some(Pause { since: now, reason });
                self.lanes
                    .keys()
                    .cloned()
                    .collect::<Vec<_>>()
                    .iter()
                    .for_each(|incident| self.plan(incident));
                Some(Turn::Paused)
            } else {
                opened.then_some(Turn::Opened)
            }
        };
        self.last_attempt = Some(Attempt { answer: None, ..attempt });
        turn
    }

    /// Takes note of a test that was made besides all this. One that reached the receiver lets everything go again.
    pub(super) fn note_test(&mut self, attempt: Attempt, now: Timestamp) {
        if attempt.error.is_none() {
            self.resume(now);
        }
        self.last_attempt = Some(Attempt { answer: None, ..attempt });
    }

    /// Lets everything that waits go at once, whatever kept it back.
    pub(super) fn resume(&mut self, now: Timestamp) {
        self.pause = None;
        self.breaker.succeeded();
        self.quiet_until = Timestamp::MIN;
        self.away_since = None;
        self.make_due(now);
    }

    /// Counts an attempt that begins now against the rate.
    pub(super) fn count_attempt(&mut self, now: Timestamp) {
        if let Some(limiter) = &mut self.limiter {
            limiter.note(now);
        }
    }

    /// Whether what was told last of an incident does not reach the receiver.
    pub(super) fn is_failing(&self, incident: &IncidentId) -> bool {
        self.lanes.get(incident).is_some_and(|lane| {
            let first = lane.waiting.front();
            lane.lost || first.is_some_and(|first| self.is_down() || first.delivery.failures() >= FAILING)
        })
    }

    /// Until when the receiver holds back what waits of an incident, if it does: because it failed to take it, is as good as
    /// away, or asked to be left alone. Nothing while it is paused, which only people end.
    pub(super) fn held_back(&self, incident: &IncidentId, now: Timestamp) -> Option<Option<Timestamp>> {
        self.lanes.get(incident)?.waiting.front()?;
        if self.pause.is_some() {
            return Some(None);
        }
        // What holds back the lane that has to go first holds back those that wait for it.
        let first_to_go = self.line_from(incident).last()?;
        let lane = self.lanes.get(&first_to_go)?;
        let first = lane.waiting.front()?;
        let open_at = self.breaker.probe_at().unwrap_or(Timestamp::MIN).max(self.quiet_until);
        let is_held = first.delivery.failures() > 0 || self.is_down() || open_at > now;
        is_held.then(|| Some(lane.planned_at.unwrap_or(now).max(open_at).max(now)))
    }

    /// Whether nothing can be told to the receiver, whatever it is about.
    pub(super) fn is_down(&self) -> bool {
        self.pause.is_some() || self.failing_since().is_some()
    }

    fn failing_since(&self) -> Option<Timestamp> {
        self.breaker.open_since().or(self.away_since)
    }

    /// The incidents of which something waits.
    pub(super) fn incidents(&self) -> impl Iterator<Item = &IncidentId> {
        let waits = |(incident, lane): (_, &Lane)| (!lane.waiting.is_empty()).then_some(incident);
        self.lanes.iter().filter_map(waits)
    }

    /// How it is doing.
    pub(super) fn status(&self, name: &Arc<str>) -> ReceiverStatus {
        let waiting = || self.lanes.values().flat_map(|lane| &lane.waiting);
        ReceiverStatus {
            name: name.clone(),
            state: match (&self.pause, self.failing_since()) {
                (Some(pause), _) => {
                    ReceiverState::Paused { since: pause.since, reason: pause.reason.clone() }
                }
                (None, Some(since)) => ReceiverState::Failing { since },
                (None, None) => ReceiverState::Ok,
            },
            waiting: waiting().count(),
            oldest_waiting: waiting().map(|waiting| waiting.delivery.created_at).min(),
            consecutive_failures: self.breaker.failures(),
            next_attempt_at: self.ready_at().filter(|_| self.pause.is_none()),
            last_attempt: self.last_attempt.clone(),
            outcomes: self.outcomes,
            latencies: self.latencies,
        }
    }

    fn free_at(&self) -> Timestamp {
        self.limiter.as_ref().map_or(Timestamp::MIN, RateLimiter::free_at)
    }

    /// Makes everything due that is not.
    fn make_due(&mut self, now: Timestamp) {
        for (at, incident) in std::mem::take(&mut self.planned) {
            let at = at.min(now);
            if let Some(lane) = self.lanes.get_mut(&incident) {
                lane.planned_at = Some(at);
            }
            self.planned.insert((at, incident));
        }
    }

    /// Puts a lane in its place among the others, and forgets one of which there is nothing to know.
    fn plan(&mut self, incident: &IncidentId) {
        let Some(lane) = self.lanes.get_mut(incident) else { return };
        if let Some(at) = lane.planned_at.take() {
            self.planned.remove(&(at, incident.clone()));
        }
        match lane.waiting.front() {
            _ if lane.under_way.is_some() => {}
            Some(first) => {
                let is_paused = self.pause.is_some();
                let at = if is_paused { first.gives_up_at() } else { first.delivery.next_attempt_at };
                lane.planned_at = Some(at);
                self.planned.insert((at, incident.clone()));
            }
            None if lane.lost => {}
            None => {
                self.lanes.remove(incident);
            }
        }
    }
}
