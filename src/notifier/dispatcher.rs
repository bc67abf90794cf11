//! The queues of all receivers, and the incidents whose reachability has changed. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Receiver;
use super::queue::{Attempted, ReceiverQueue, Refresh, Task, Turn, Waiting};
use super::status::ReceiverStatus;
use crate::model::{Attempt, Delivery, Moment, Timestamp, Topic};

#[derive(Debug)]
pub(super) struct Dispatcher {
    queues: BTreeMap<Arc<str>, ReceiverQueue>,
    /// Refreshes that may go and are not sent yet.
    refreshes: Vec<Delivery>,
    changed: BTreeSet<Topic>,
}

impl Dispatcher {
    pub(super) fn new<'a>(receivers: impl Iterator<Item = &'a Receiver>) -> Self {
        let queue = |receiver: &Receiver| {
            (receiver.name.clone(), ReceiverQueue::new(receiver.concurrency, receiver.rate))
        };
        Self { queues: receivers.map(queue).collect(), refreshes: Vec::new(), changed: BTreeSet::new() }
    }

    /// Goes by these receivers from now on. `changed` have another URL, transport or headers, are new, or are
    /// gone.
    pub(super) fn adopt(&mut self, receivers: &[Receiver], changed: &[Arc<str>], now: Timestamp) {
        let known: BTreeMap<&Arc<str>, &Receiver> =
            receivers.iter().map(|receiver| (&receiver.name, receiver)).collect();
        for (name, queue) in &mut self.queues {
            let limits = known.get(name).map_or((1, None), |receiver| (receiver.concurrency, receiver.rate));
            queue.limit(limits.0, limits.1);
        }
        for receiver in receivers {
            let queue = || ReceiverQueue::new(receiver.concurrency, receiver.rate);
            self.queues.entry(receiver.name.clone()).or_insert_with(queue);
        }
        for name in changed.iter().filter(|name| self.queues.contains_key(*name)).collect::<Vec<_>>() {
            self.change(name, None, |queue| queue.resume(now));
        }
        self.queues.retain(|name, queue| known.contains_key(name) || !queue.is_idle());
    }

    pub(super) fn accept(&mut self, waiting: Waiting) {
        let Delivery { receiver, topic, .. } = &waiting.delivery;
        let (receiver, topic) = (receiver.clone(), topic.clone());
        self.change(&receiver, Some(&topic), |queue| queue.accept(waiting));
    }

    /// Records that the last delivery of a topic to a receiver is dead.
    pub(super) fn note_lost(&mut self, receiver: &Arc<str>, topic: &Topic) {
        self.change(receiver, Some(topic), |queue| queue.note_lost(topic.clone()));
    }

    /// Begins the next task, if one is due.
    pub(super) fn begin(&mut self, moment: Moment) -> Option<Task> {
        self.queues.values_mut().find_map(|queue| queue.begin(moment))
    }

    /// When the next task is due; `Timestamp::MAX` if none is planned.
    pub(super) fn ready_at(&self) -> Timestamp {
        self.queues.values().filter_map(ReceiverQueue::ready_at).min().unwrap_or(Timestamp::MAX)
    }

    /// Whether a receiver could be refreshed about a topic now.
    pub(super) fn judge_refresh(&self, receiver: &str, topic: &Topic, now: Timestamp) -> Refresh {
        self.queues.get(receiver).map_or(Refresh::Refused, |queue| queue.judge_refresh(topic, now))
    }

    /// Begins a refresh, if it may go now.
    pub(super) fn refresh(&mut self, delivery: Delivery, now: Timestamp) -> Refresh {
        let queue = self.queues.get_mut(&delivery.receiver);
        let refresh = queue.map_or(Refresh::Refused, |queue| queue.begin_refresh(&delivery.topic, now));
        self.refreshes.extend((refresh == Refresh::Goes).then_some(delivery));
        refresh
    }

    /// The refreshes to be sent now.
    pub(super) fn take_refreshes(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.refreshes)
    }

    /// Applies the result of an attempt.
    pub(super) fn finish(
        &mut self,
        receiver: &Arc<str>,
        topic: &Topic,
        attempted: Attempted,
        now: Timestamp,
    ) -> Option<Turn> {
        self.change(receiver, Some(topic), |queue| queue.finish(topic, attempted, now))
    }

    /// Counts a test against the receiver's rate limit.
    pub(super) fn count_test(&mut self, receiver: &str, now: Timestamp) {
        if let Some(queue) = self.queues.get_mut(receiver) {
            queue.count_attempt(now);
        }
    }

    /// Applies the result of a test.
    pub(super) fn note_test(&mut self, receiver: &Arc<str>, attempt: Attempt, now: Timestamp) {
        self.change(receiver, None, |queue| queue.note_test(attempt, now));
    }

    /// Makes everything that waits for a receiver due now.
    pub(super) fn resume(&mut self, receiver: &Arc<str>, now: Timestamp) {
        self.change(receiver, None, |queue| queue.resume(now));
    }

    /// Whether the last delivery of a topic does not reach a receiver.
    pub(super) fn is_failing(&self, topic: &Topic, receiver: &str) -> bool {
        self.queues.get(receiver).is_some_and(|queue| queue.is_failing(topic))
    }

    /// Until when a receiver holds back a delivery of a topic, if any does; `Some(None)` if it is paused,
    /// which only an operator ends.
    pub(super) fn held_back(&self, topic: &Topic, now: Timestamp) -> Option<Option<Timestamp>> {
        let held = self.queues.values().filter_map(|queue| queue.held_back(topic, now));
        held.reduce(|left, right| [left, right].into_iter().flatten().min())
    }

    /// The incidents for which reachability has changed since the last call.
    pub(super) fn take_changed(&mut self) -> BTreeSet<Topic> {
        std::mem::take(&mut self.changed)
    }

    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The status of all receivers by name, including unconfigured ones for which deliveries wait.
    pub(super) fn statuses(&self) -> Vec<ReceiverStatus> {
        self.queues.iter().map(|(name, queue)| queue.status(name)).collect()
    }

    /// Changes a receiver's queue. It is created for a name that is not configured: that may be a mistake
    /// which is corrected within 24 h.
    fn change<T>(
        &mut self,
        receiver: &Arc<str>,
        topic: Option<&Topic>,
        change: impl FnOnce(&mut ReceiverQueue) -> T,
    ) -> T {
        let queue = self.queues.entry(receiver.clone()).or_insert_with(|| ReceiverQueue::new(1, None));
        let was_down = queue.is_down();
        let was_failing = topic.is_some_and(|topic| queue.is_failing(topic));
        let done = change(queue);
        if queue.is_down() != was_down {
            // Nothing depends on whether events of items reach anybody.
            let incidents = queue.topics().filter(|topic| matches!(topic, Topic::Incident(_)));
            self.changed.extend(incidents.cloned());
        }
        let is_incident = |topic: &&Topic| matches!(topic, Topic::Incident(_));
        let changed = topic.filter(is_incident).filter(|topic| queue.is_failing(topic) != was_failing);
        self.changed.extend(changed.cloned());
        done
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{DeliveryId, DeliveryStatus, Event, IncidentId};
    use crate::notifier::breaker::FAILURES_MAX;
    use crate::notifier::queue::Record;

    const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn topic(incident: &str) -> Topic {
        IncidentId(incident.into()).into()
    }

    fn waiting(incident: &str) -> Waiting {
        let delivery = Delivery {
            id: DeliveryId(format!("dlv_{incident}").into()),
            topic: topic(incident),
            item: None,
            receiver: "oncall".into(),
            event: Event::Opened,
            after: None,
            sequence: 1,
            body: "{}".into(),
            created_at: START,
            resent_at: None,
            status: DeliveryStatus::Pending,
            attempts_made: 0,
            next_attempt_at: START,
            attempts: Vec::new(),
        };
        Waiting { delivery, since: START }
    }

    /// Makes an attempt that fails and is not stored.
    fn fail(dispatcher: &mut Dispatcher, status: u16, now: Timestamp) -> Option<Turn> {
        let Some(Task::Send(waiting)) = dispatcher.begin(now.into()) else { panic!("nothing is due") };
        let Delivery { receiver, topic, .. } = waiting.delivery;
        let error = Some("no".to_owned());
        let attempt = Attempt { at: now, status: Some(status), latency_ms: 1, error, answer: None };
        let attempted = Attempted { attempt, retry_after: None, record: Record::Refused };
        dispatcher.finish(&receiver, &topic, attempted, now)
    }

    fn name(topic: &Topic) -> String {
        let Topic::Incident(incident) = topic else { panic!("{topic:?} is no incident") };
        incident.0.to_string()
    }

    fn changed(dispatcher: &mut Dispatcher) -> Vec<String> {
        let mut changed: Vec<_> = dispatcher.take_changed().into_iter().map(|topic| name(&topic)).collect();
        changed.sort();
        changed
    }

    #[test]
    fn a_receiver_that_goes_down_changes_it_for_all_incidents_that_wait_for_it_and_for_those_that_come() {
        for (status, attempts) in [(500, FAILURES_MAX), (410, 1)] {
            let mut dispatcher = Dispatcher::new([].into_iter());
            for incident in ["inc_1", "inc_2", "inc_3"] {
                dispatcher.accept(waiting(incident));
            }
            let mut now = START;
            for attempt in 1..=attempts {
                assert_eq!(changed(&mut dispatcher), [] as [&str; 0]);
                let turn = fail(&mut dispatcher, status, now);
                assert_eq!(turn.is_some(), attempt == attempts, "{status}");
                now = now.after(Duration::from_secs(5));
            }
            assert_eq!(changed(&mut dispatcher), ["inc_1", "inc_2", "inc_3"]);
            dispatcher.accept(waiting("inc_4"));
            assert_eq!(changed(&mut dispatcher), ["inc_4"]);
            assert!(dispatcher.is_failing(&topic("inc_4"), "oncall"));
            assert!(!dispatcher.is_failing(&topic("inc_4"), "chat"));
            dispatcher.resume(&"oncall".into(), now);
            assert_eq!(changed(&mut dispatcher), ["inc_1", "inc_2", "inc_3", "inc_4"]);
        }
    }
}
