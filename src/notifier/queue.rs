//! The queue of one receiver: what waits, and when it may go. Pure: it takes `now`, or the moment where it
//! names a time to people.
//!
//! Invariants:
//!
//! - The deliveries of one topic form a lane. One of a lane is in flight at a time, the first by
//!   [`Delivery::place`].
//! - Lanes go in the order in which they are due, so that none starves.
//! - Nothing is sent to a paused receiver, before the time that `Retry-After` asked for, beyond the rate
//!   limit, or beyond the concurrency limit. While the circuit is open, one delivery goes at a time, from the
//!   next lane, due or not.
//! - The resolution of an incident whose items are in trouble in another one waits until the receiver was
//!   told of that one, or that delivery is dead: nobody should mistake it for an all-clear.
//! - What has waited 24 h for a paused receiver becomes dead without an attempt, and so do events of items
//!   while the circuit is open: there can be very many, and one attempt a minute would never reach them.
//! - What an attempt shows about the receiver applies to all lanes: when the circuit closes or the receiver
//!   is resumed, everything that waits is due.

mod lane;
mod task;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use self::lane::{Errand, Lane};
pub(super) use self::task::{Attempted, Record, Refresh, Task, Turn, Waiting};
use super::breaker::Breaker;
use super::status::{Latencies, Outcomes, ReceiverState, ReceiverStatus};
use crate::model::{Attempt, Delivery, Event, Moment, Timestamp, Topic};
use crate::outbound::{Rate, RateLimiter, retry_after};

/// The delay before an attempt whose result could not be stored is repeated.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// Consecutive failures from which a lane counts as not reaching its receiver.
const FAILING: usize = 3;
/// A receiver that asks for a longer `Retry-After` counts as failing.
const PATIENCE: Duration = Duration::from_secs(60);
/// The status by which a receiver says that it is gone, which pauses it.
pub(super) const GONE: u16 = 410;

#[derive(Debug)]
pub(super) struct ReceiverQueue {
    concurrency: usize,
    limiter: Option<RateLimiter>,
    breaker: Breaker,
    /// As asked for by `Retry-After`.
    quiet_until: Timestamp,
    /// Since when it has asked for waits so long that it counts as failing.
    away_since: Option<Timestamp>,
    pause: Option<Pause>,
    lanes: HashMap<Topic, Lane>,
    /// The lanes with something waiting and nothing in flight, by due time; while the receiver is paused, by
    /// the time at which the first becomes dead.
    planned: BTreeSet<(Timestamp, Topic)>,
    /// Lanes that are due but whose first delivery waits for another lane, by that lane.
    behind: HashMap<Topic, BTreeSet<Topic>>,
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

    /// Replaces its limits. Attempts of an unchanged rate still count.
    pub(super) fn limit(&mut self, concurrency: usize, rate: Option<Rate>) {
        self.concurrency = concurrency.max(1);
        if self.limiter.as_ref().map(RateLimiter::rate) != rate {
            self.limiter = rate.map(RateLimiter::new);
        }
    }

    /// Whether nothing waits, is in flight, or was lost.
    pub(super) fn is_idle(&self) -> bool {
        self.lanes.is_empty() && self.under_way == 0
    }

    /// Adds a delivery, unless it is queued already and was not resent since.
    pub(super) fn accept(&mut self, waiting: Waiting) {
        let topic = waiting.delivery.topic.clone();
        let lane = self.lanes.entry(topic.clone()).or_default();
        if let Some(held) = lane.waiting.iter().find(|held| held.delivery.id == waiting.delivery.id) {
            // The result of its attempt is stored but not applied here yet, and it was resent in the
            // meantime.
            if held.delivery.resent_at < waiting.delivery.resent_at {
                lane.again = Some(waiting);
            }
            return;
        }
        let is_before = |other: &Waiting| other.delivery.place() < waiting.delivery.place();
        // One that is in flight stays the first.
        let fixed = usize::from(matches!(lane.under_way, Some(Errand::Delivery | Errand::GivingUp)));
        let position = lane.waiting.partition_point(is_before).max(fixed);
        lane.waiting.insert(position, waiting);
        self.plan(&topic);
    }

    /// Records that the last delivery of a topic is dead.
    pub(super) fn note_lost(&mut self, topic: Topic) {
        self.lanes.entry(topic).or_default().lost = true;
    }

    /// When the next task is due; `None` if nothing waits or nothing may go.
    pub(super) fn ready_at(&self) -> Option<Timestamp> {
        let outdated_at = self.outdated().map(|(at, _)| at);
        self.turn_at().into_iter().chain(outdated_at).min()
    }

    /// When the turn of the next lane comes.
    fn turn_at(&self) -> Option<Timestamp> {
        let (first_due, _) = self.planned.first()?;
        if self.pause.is_some() {
            return (self.under_way < self.concurrency).then_some(*first_due);
        }
        let open_at = self.open_at()?;
        // A probe takes the next delivery, due or not.
        Some(if self.breaker.probe_at().is_some() { open_at } else { open_at.max(*first_due) })
    }

    /// From when on something may be sent; `None` while the receiver is paused or at its concurrency limit.
    fn open_at(&self) -> Option<Timestamp> {
        let (limit, at) = match self.breaker.probe_at() {
            Some(probe_at) => (1, probe_at),
            None => (self.concurrency, Timestamp::MIN),
        };
        let may_go = self.pause.is_none() && self.under_way < limit;
        may_go.then(|| at.max(self.quiet_until).max(self.free_at()))
    }

    /// Begins the next task that is due. While the receiver is paused, the only tasks are to give up
    /// deliveries after their 24 h.
    pub(super) fn begin(&mut self, moment: Moment) -> Option<Task> {
        let now = moment.now;
        let Some(topic) = self.next(now) else { return self.give_up_outdated(moment) };
        let lane = self.lanes.get_mut(&topic)?;
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

    /// While the circuit is open: of the lanes of items the one that is due first, and when it is given up.
    fn outdated(&self) -> Option<(Timestamp, (Timestamp, Topic))> {
        self.breaker.probe_at().filter(|_| self.pause.is_none() && self.under_way < self.concurrency)?;
        let place = self.planned.iter().find(|(_, topic)| matches!(topic, Topic::Item(_)))?;
        let first = self.lanes.get(&place.1)?.waiting.front()?;
        Some((first.gives_up_at(), place.clone()))
    }

    fn give_up_outdated(&mut self, moment: Moment) -> Option<Task> {
        let (_, place) = self.outdated().filter(|(at, _)| *at <= moment.now)?;
        let since = moment.wall(self.breaker.open_since()?);
        let lane = self.lanes.get_mut(&place.1)?;
        let first = lane.waiting.front().cloned()?;
        (lane.planned_at, lane.under_way) = (None, Some(Errand::GivingUp));
        self.planned.remove(&place);
        self.under_way += 1;
        Some(Task::GiveUp(first, format!("the receiver has been failing since {since}")))
    }

    /// The lane whose turn it is.
    fn next(&mut self, now: Timestamp) -> Option<Topic> {
        while self.turn_at().is_some_and(|at| at <= now) {
            let (_, topic) = self.planned.pop_first()?;
            if let Some(lane) = self.lanes.get_mut(&topic) {
                lane.planned_at = None;
            }
            let Some(awaited) = self.awaited_by(&topic) else { return Some(topic) };
            if self.line_from(&awaited).any(|other| other == topic) {
                // They wait for each other, as resolutions decided at one instant may: a deadlock, so this
                // one goes.
                if let Some(lane) = self.lanes.get_mut(&topic) {
                    lane.unbound = true;
                }
                return Some(topic);
            }
            self.behind.entry(awaited).or_default().insert(topic);
        }
        None
    }

    /// The chain of lanes that wait for each other, from this one on, without repetition.
    fn line_from(&self, topic: &Topic) -> impl Iterator<Item = Topic> {
        let mut seen = HashSet::new();
        std::iter::successors(Some(topic.clone()), |topic| self.awaited_by(topic))
            .take_while(move |topic| seen.insert(topic.clone()))
    }

    /// The lane that must go before the first delivery of this one.
    fn awaited_by(&self, topic: &Topic) -> Option<Topic> {
        let lane = self.lanes.get(topic).filter(|lane| self.pause.is_none() && !lane.unbound)?;
        let Delivery { after, created_at, .. } = &lane.waiting.front()?.delivery;
        after.clone().map(Topic::from).filter(|awaited| self.tells_first(awaited, *created_at))
    }

    /// Whether a lane has a delivery that must go before a resolution decided at `created_at`. Resolutions do
    /// not.
    fn tells_first(&self, topic: &Topic, created_at: Timestamp) -> bool {
        let is_first = |waiting: &Waiting| {
            let Delivery { event, created_at: at, after, .. } = &waiting.delivery;
            *event != Event::Resolved && after.is_none() && *at <= created_at
        };
        self.lanes.get(topic).is_some_and(|lane| lane.waiting.iter().any(is_first))
    }

    /// Whether the receiver can be refreshed about a topic now.
    pub(super) fn judge_refresh(&self, topic: &Topic, now: Timestamp) -> Refresh {
        let is_busy = |lane: &Lane| lane.under_way.is_some() || !lane.waiting.is_empty();
        if self.lanes.get(topic).is_some_and(is_busy) {
            Refresh::Needless
        } else if self.open_at().is_some_and(|at| at <= now) {
            Refresh::Goes
        } else {
            Refresh::Refused
        }
    }

    /// Begins a refresh, if it may go now. While the circuit is open it serves as a probe: if nothing else
    /// waits, the only one.
    pub(super) fn begin_refresh(&mut self, topic: &Topic, now: Timestamp) -> Refresh {
        let refresh = self.judge_refresh(topic, now);
        if refresh == Refresh::Goes {
            self.lanes.entry(topic.clone()).or_default().under_way = Some(Errand::Refresh);
            self.under_way += 1;
            self.count_attempt(now);
        }
        refresh
    }

    /// Applies the result of an attempt.
    pub(super) fn finish(&mut self, topic: &Topic, attempted: Attempted, now: Timestamp) -> Option<Turn> {
        self.under_way = self.under_way.saturating_sub(1);
        let succeeded = attempted.attempt.error.is_none();
        let mut again = None;
        let mut was_sent = true;
        if let Some(lane) = self.lanes.get_mut(topic) {
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
        self.plan(topic);
        // The lanes that waited for this one are checked again when their turn comes.
        for waiting in self.behind.remove(topic).unwrap_or_default() {
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

    /// Applies what an attempt shows about the receiver.
    fn judge(&mut self, attempt: Attempt, retry_after: Option<Duration>, now: Timestamp) -> Option<Turn> {
        let away_since = self.away_since.take().unwrap_or(now);
        let turn = if attempt.error.is_none() {
            // While it is paused nothing may go, and what became due would be given up.
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
                self.lanes.keys().cloned().collect::<Vec<_>>().iter().for_each(|topic| self.plan(topic));
                Some(Turn::Paused)
            } else {
                opened.then_some(Turn::Opened)
            }
        };
        self.last_attempt = Some(Attempt { answer: None, ..attempt });
        turn
    }

    /// Applies the result of a test. A success makes everything due.
    pub(super) fn note_test(&mut self, attempt: Attempt, now: Timestamp) {
        if attempt.error.is_none() {
            self.resume(now);
        }
        self.last_attempt = Some(Attempt { answer: None, ..attempt });
    }

    /// Resumes the receiver: everything that waits is due, whatever held it back.
    pub(super) fn resume(&mut self, now: Timestamp) {
        self.pause = None;
        self.breaker.succeeded();
        self.quiet_until = Timestamp::MIN;
        self.away_since = None;
        self.make_due(now);
    }

    /// Counts an attempt against the rate limit.
    pub(super) fn count_attempt(&mut self, now: Timestamp) {
        if let Some(limiter) = &mut self.limiter {
            limiter.note(now);
        }
    }

    /// Whether the last delivery of a topic does not reach the receiver.
    pub(super) fn is_failing(&self, topic: &Topic) -> bool {
        self.lanes.get(topic).is_some_and(|lane| {
            let first = lane.waiting.front();
            lane.lost || first.is_some_and(|first| self.is_down() || first.delivery.failures() >= FAILING)
        })
    }

    /// Until when the receiver holds back the next delivery of a topic, if it does: after failures, while
    /// it is down, or while it asked to wait. `Some(None)` while it is paused, which only an operator ends.
    pub(super) fn held_back(&self, topic: &Topic, now: Timestamp) -> Option<Option<Timestamp>> {
        self.lanes.get(topic)?.waiting.front()?;
        if self.pause.is_some() {
            return Some(None);
        }
        // A delivery that waits for another lane is held back by what holds back that lane.
        let first_to_go = self.line_from(topic).last()?;
        let lane = self.lanes.get(&first_to_go)?;
        let first = lane.waiting.front()?;
        let open_at = self.breaker.probe_at().unwrap_or(Timestamp::MIN).max(self.quiet_until);
        let is_held = first.delivery.failures() > 0 || self.is_down() || open_at > now;
        is_held.then(|| Some(lane.planned_at.unwrap_or(now).max(open_at).max(now)))
    }

    /// Whether nothing reaches the receiver.
    pub(super) fn is_down(&self) -> bool {
        self.pause.is_some() || self.failing_since().is_some()
    }

    fn failing_since(&self) -> Option<Timestamp> {
        self.breaker.open_since().or(self.away_since)
    }

    /// The topics with deliveries waiting.
    pub(super) fn topics(&self) -> impl Iterator<Item = &Topic> {
        let waits = |(topic, lane): (_, &Lane)| (!lane.waiting.is_empty()).then_some(topic);
        self.lanes.iter().filter_map(waits)
    }

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

    /// Makes everything due that is planned for later.
    fn make_due(&mut self, now: Timestamp) {
        for (at, topic) in std::mem::take(&mut self.planned) {
            let at = at.min(now);
            if let Some(lane) = self.lanes.get_mut(&topic) {
                lane.planned_at = Some(at);
            }
            self.planned.insert((at, topic));
        }
    }

    /// Updates the plan for a lane, and removes a lane with no state left.
    fn plan(&mut self, topic: &Topic) {
        let Some(lane) = self.lanes.get_mut(topic) else { return };
        if let Some(at) = lane.planned_at.take() {
            self.planned.remove(&(at, topic.clone()));
        }
        match lane.waiting.front() {
            _ if lane.under_way.is_some() => {}
            Some(first) => {
                let is_paused = self.pause.is_some();
                let at = if is_paused { first.gives_up_at() } else { first.delivery.next_attempt_at };
                lane.planned_at = Some(at);
                self.planned.insert((at, topic.clone()));
            }
            None if lane.lost => {}
            None => {
                self.lanes.remove(topic);
            }
        }
    }
}
