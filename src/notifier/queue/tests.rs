//! Single situations of the queue.

mod endings;
mod events;
mod paused;
mod properties;
mod refreshes;

use super::*;
use crate::model::{DeliveryId, DeliveryStatus, IncidentId};
use crate::notifier::backoff::{Failure, Next, next_attempt};

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

fn incident(name: &str) -> IncidentId {
    IncidentId(name.into())
}

fn topic(name: &str) -> Topic {
    incident(name).into()
}

/// The name of the incident that a delivery is about.
fn of(delivery: &Delivery) -> String {
    delivery.incident().map(|incident| incident.0.to_string()).unwrap_or_default()
}

fn delivery(of: &str, sequence: u64, now: Timestamp) -> Delivery {
    Delivery {
        id: DeliveryId(format!("dlv_{of}_{sequence}").into()),
        topic: topic(of),
        item: None,
        receiver: "oncall".into(),
        event: Event::Reminder,
        after: None,
        sequence,
        body: "{}".into(),
        created_at: now,
        resent_at: None,
        status: DeliveryStatus::Pending,
        attempts_made: 0,
        next_attempt_at: now,
        attempts: Vec::new(),
    }
}

/// A queue with its clock, and a receiver that answers as the test likes.
struct Stage {
    queue: ReceiverQueue,
    now: Timestamp,
    under_way: Vec<Waiting>,
    /// The incidents with a refresh in flight.
    refreshing: Vec<Topic>,
    /// The dead deliveries since the last look, with the reasons.
    given_up: Vec<(Delivery, String)>,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Yes,
    No,
    /// 429 with this `Retry-After`.
    Later(Duration),
    Gone,
}

impl Stage {
    fn set(concurrency: usize, rate: Option<Rate>) -> Self {
        Self {
            queue: ReceiverQueue::new(concurrency, rate),
            now: START,
            under_way: Vec::new(),
            refreshing: Vec::new(),
            given_up: Vec::new(),
        }
    }

    fn accept(&mut self, of: &str, sequence: u64) {
        let delivery = delivery(of, sequence, self.now);
        self.queue.accept(Waiting { delivery, since: self.now });
    }

    /// What is sent now, as incident and sequence.
    fn begin(&mut self) -> Vec<(String, u64)> {
        let mut begun = Vec::new();
        while let Some(task) = self.queue.begin(self.now.into()) {
            match task {
                Task::Send(waiting) => begun.push(waiting),
                Task::GiveUp(waiting, reason) => self.give_up(waiting.delivery, reason),
            }
        }
        let shown = |waiting: &Waiting| (of(&waiting.delivery), waiting.delivery.sequence);
        let shown = begun.iter().map(shown).collect();
        self.under_way.extend(begun);
        shown
    }

    fn give_up(&mut self, delivery: Delivery, reason: String) {
        let attempt = Attempt { status: None, ..attempt(self.now, 0, Some(reason.clone())) };
        let mut dead = delivery.clone();
        dead.record(attempt.clone(), DeliveryStatus::Dead, self.now);
        let attempted = Attempted { attempt, retry_after: None, record: Record::Committed(Box::new(dead)) };
        self.queue.finish(&delivery.topic, attempted, self.now);
        self.given_up.push((delivery, reason));
    }

    /// Answers the oldest attempt in flight.
    fn answer(&mut self, answer: Answer) -> Option<Turn> {
        let waiting = self.under_way.remove(0);
        let mut delivery = waiting.delivery.clone();
        let (attempt, retry_after) = self.attempt(answer);
        let failure = Failure {
            failures: delivery.failures() + 1,
            since: waiting.since.as_millis(),
            tried_at: self.now.as_millis(),
            now: self.now.as_millis(),
            retry_after,
        };
        let (status, at) = match (answer, next_attempt(&failure, 0.0)) {
            (Answer::Yes, _) => (DeliveryStatus::Delivered, self.now),
            (Answer::Gone, _) => (DeliveryStatus::Pending, self.now),
            (_, Next::At(at)) => (DeliveryStatus::Pending, Timestamp::from_millis(at)),
            (_, Next::Dead) => (DeliveryStatus::Dead, self.now),
        };
        delivery.record(attempt.clone(), status, at);
        let topic = delivery.topic.clone();
        let record = Record::Committed(Box::new(delivery));
        self.queue.finish(&topic, Attempted { attempt, retry_after, record }, self.now)
    }

    fn attempt(&self, answer: Answer) -> (Attempt, Option<Duration>) {
        let (status, error, retry_after) = match answer {
            Answer::Yes => (200, None, None),
            Answer::No => (500, Some("it answered 500".to_owned()), None),
            Answer::Later(wait) => (429, Some("it answered 429".to_owned()), Some(wait)),
            Answer::Gone => (410, Some("it answered 410".to_owned()), None),
        };
        (attempt(self.now, status, error), retry_after)
    }

    fn refresh(&mut self, of: &str) -> Refresh {
        let refresh = self.queue.begin_refresh(&topic(of), self.now);
        self.refreshing.extend((refresh == Refresh::Goes).then(|| topic(of)));
        refresh
    }

    /// Answers the oldest refresh in flight.
    fn answer_refresh(&mut self, answer: Answer) -> Option<Turn> {
        let topic = self.refreshing.remove(0);
        let (attempt, retry_after) = self.attempt(answer);
        self.queue.finish(&topic, Attempted { attempt, retry_after, record: Record::None }, self.now)
    }

    /// Makes this many attempts fail, each as soon as it may be made.
    fn fail(&mut self, times: usize) {
        for _ in 0..times {
            if self.under_way.is_empty() {
                self.now = self.queue.ready_at().unwrap().max(self.now);
                let Some(Task::Send(waiting)) = self.queue.begin(self.now.into()) else {
                    panic!("nothing goes")
                };
                self.under_way.push(waiting);
            }
            self.answer(Answer::No);
        }
    }

    fn is_failing(&self, of: &str) -> bool {
        self.queue.is_failing(&topic(of))
    }

    fn wait(&self) -> Option<Duration> {
        self.queue.ready_at().map(|at| at.since(self.now))
    }
}

fn attempt(at: Timestamp, status: u16, error: Option<String>) -> Attempt {
    Attempt { at, status: Some(status), latency_ms: 7, error, answer: Some("kept elsewhere".to_owned()) }
}

fn sent(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(of, sequence)| ((*of).to_owned(), *sequence)).collect()
}

#[test]
fn the_deliveries_of_an_incident_go_one_after_the_other_and_those_of_others_beside_them() {
    let mut stage = Stage::set(8, None);
    for (of, sequence) in [("a", 2), ("a", 1), ("b", 1), ("a", 3)] {
        stage.accept(of, sequence);
    }
    assert_eq!(stage.begin(), sent(&[("a", 1), ("b", 1)]));
    stage.answer(Answer::Yes);
    assert_eq!(stage.begin(), sent(&[("a", 2)]));
    // The delivery in flight stays the first, whatever is queued.
    stage.accept("b", 0);
    stage.accept("b", 2);
    stage.answer(Answer::Yes);
    assert_eq!(stage.begin(), sent(&[("b", 0)]));
}

#[test]
fn a_delivery_that_is_here_already_is_not_taken_again() {
    let mut stage = Stage::set(8, None);
    stage.accept("a", 1);
    stage.accept("a", 1);
    assert_eq!(stage.begin(), sent(&[("a", 1)]));
    stage.accept("a", 1);
    stage.answer(Answer::Yes);
    assert_eq!((stage.begin(), stage.queue.ready_at()), (Vec::new(), None));
}

#[test]
fn no_more_go_at_once_than_the_receiver_takes() {
    let mut stage = Stage::set(2, None);
    for of in ["a", "b", "c"] {
        stage.accept(of, 1);
    }
    assert_eq!(stage.begin(), sent(&[("a", 1), ("b", 1)]));
    assert_eq!(stage.queue.ready_at(), None, "nothing can go until one is back");
    stage.answer(Answer::Yes);
    assert_eq!(stage.begin(), sent(&[("c", 1)]));
}

#[test]
fn no_more_go_in_a_time_than_the_receiver_takes() {
    let mut stage = Stage::set(8, Some(Rate { count: 2, per: MINUTE }));
    for of in ["a", "b", "c"] {
        stage.accept(of, 1);
    }
    assert_eq!(stage.begin(), sent(&[("a", 1), ("b", 1)]));
    stage.answer(Answer::Yes);
    stage.answer(Answer::Yes);
    assert_eq!(stage.wait(), Some(MINUTE));
    stage.now = stage.now.after(MINUTE);
    assert_eq!(stage.begin(), sent(&[("c", 1)]));
}

#[test]
fn a_receiver_that_fails_again_and_again_is_probed_with_whatever_is_next_in_line() {
    let mut stage = Stage::set(8, None);
    for of in ["a", "b", "c", "d", "e", "f"] {
        stage.accept(of, 1);
    }
    assert_eq!(stage.begin().len(), 6);
    let turns: Vec<_> = (0..6).map(|_| stage.answer(Answer::No)).collect();
    assert_eq!(turns, [None, None, None, None, Some(Turn::Opened), None]);
    // Each would be due in five seconds; now one goes after five, the next after ten more, and so on.
    let mut line = Vec::new();
    for pause in [5, 10, 20, 40, 60, 60, 60] {
        assert_eq!(stage.wait(), Some(pause * SECOND));
        stage.now = stage.now.after(pause * SECOND);
        line.extend(stage.begin());
        assert_eq!(stage.queue.ready_at(), None, "one at a time");
        stage.answer(Answer::No);
    }
    assert_eq!(line, sent(&[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1), ("f", 1), ("a", 1)]));
    assert!(matches!(stage.queue.status(&"oncall".into()).state, ReceiverState::Failing { since: START }));

    // A new delivery does not jump the queue, but is due before those tried lately.
    stage.accept("new", 1);
    stage.now = stage.queue.ready_at().unwrap();
    assert_eq!(stage.begin(), sent(&[("b", 1)]));
    assert_eq!(stage.answer(Answer::Yes), Some(Turn::Closed));
    let all = stage.begin();
    assert_eq!(all.len(), 6, "everything is due once the receiver is back: {all:?}");
}

#[test]
fn a_success_of_something_that_was_under_way_closes_the_circuit_as_well() {
    let mut stage = Stage::set(8, None);
    for of in ["a", "b", "c", "d", "e", "f"] {
        stage.accept(of, 1);
    }
    stage.begin();
    for _ in 0..5 {
        stage.answer(Answer::No);
    }
    assert!(stage.queue.is_down());
    assert_eq!(stage.answer(Answer::Yes), Some(Turn::Closed));
    assert_eq!(stage.begin().len(), 5);
}

#[test]
fn a_receiver_that_asks_to_be_left_alone_is_left_alone_by_all() {
    let mut stage = Stage::set(1, None);
    stage.accept("a", 1);
    stage.accept("b", 1);
    stage.begin();
    stage.answer(Answer::Later(90 * SECOND));
    assert_eq!(stage.wait(), Some(90 * SECOND));
    stage.now = stage.now.after(30 * SECOND);
    stage.accept("c", 1);
    assert_eq!(stage.wait(), Some(60 * SECOND));
    stage.now = stage.now.after(60 * SECOND);
    stage.begin();
    // At most an hour at a time.
    stage.answer(Answer::Later(DAY));
    assert_eq!(stage.wait(), Some(60 * MINUTE));
}

#[test]
fn one_that_asks_to_be_left_alone_for_long_reaches_nobody_meanwhile() {
    let mut stage = Stage::set(1, None);
    stage.accept("a", 1);
    stage.begin();
    stage.answer(Answer::Later(MINUTE));
    assert!(!stage.is_failing("a"));
    stage.now = stage.now.after(2 * MINUTE);
    stage.begin();
    stage.answer(Answer::Later(MINUTE + SECOND));
    let since = stage.now;
    assert!(stage.is_failing("a") && !stage.is_failing("b"));
    assert_eq!(stage.queue.status(&"oncall".into()).state, ReceiverState::Failing { since });
    stage.now = stage.queue.ready_at().unwrap();
    stage.begin();
    stage.answer(Answer::Later(DAY));
    assert_eq!(stage.queue.status(&"oncall".into()).state, ReceiverState::Failing { since });
    stage.now = stage.queue.ready_at().unwrap();
    stage.begin();
    stage.answer(Answer::Yes);
    assert!(matches!(stage.queue.status(&"oncall".into()).state, ReceiverState::Ok));
}

#[test]
fn a_test_that_succeeds_lets_everything_go_and_one_that_fails_changes_nothing() {
    let mut stage = Stage::set(8, None);
    for of in ["a", "b", "c", "d", "e"] {
        stage.accept(of, 1);
    }
    stage.begin();
    for _ in 0..5 {
        stage.answer(Answer::No);
    }
    stage.queue.note_test(attempt(stage.now, 500, Some("it answered 500".to_owned())), stage.now);
    assert_eq!((stage.wait(), stage.queue.breaker.failures()), (Some(5 * SECOND), 5));
    stage.queue.note_test(attempt(stage.now, 204, None), stage.now);
    assert_eq!(stage.begin().len(), 5);
}

#[test]
fn an_attempt_that_could_not_be_recorded_is_made_again_but_counts_for_the_receiver() {
    let mut stage = Stage::set(8, None);
    stage.accept("a", 1);
    for failures in 1..=4 {
        assert_eq!(stage.begin(), sent(&[("a", 1)]));
        let attempt = attempt(stage.now, 500, Some("it answered 500".to_owned()));
        let attempted = Attempted { attempt, retry_after: None, record: Record::Refused };
        stage.queue.finish(&topic("a"), attempted, stage.now);
        assert_eq!((stage.wait(), stage.queue.breaker.failures()), (Some(TRY_AGAIN), failures));
        stage.now = stage.now.after(TRY_AGAIN);
    }
}

#[test]
fn what_a_lane_has_to_tell_does_not_reach_a_receiver_from_the_third_failure_until_a_success() {
    let mut stage = Stage::set(1, None);
    stage.accept("a", 1);
    stage.accept("a", 2);
    for (failures, is_failing) in [(1, false), (2, false), (3, true), (4, true)] {
        stage.fail(1);
        assert_eq!(stage.is_failing("a"), is_failing, "after {failures} failures");
    }
    stage.accept("b", 1);
    assert!(!stage.is_failing("b"), "it was not tried yet");
    stage.fail(1);
    assert!(stage.is_failing("b"), "the circuit is open");
    assert!(!stage.is_failing("c"), "it has nothing to tell");
    stage.now = stage.queue.ready_at().unwrap();
    stage.begin();
    stage.answer(Answer::Yes);
    assert!(!stage.is_failing("b"));
    stage.begin();
    stage.answer(Answer::Yes);
    assert!(!stage.is_failing("a"));
}

#[test]
fn what_was_given_up_does_not_reach_a_receiver_until_something_of_the_same_incident_does() {
    let mut stage = Stage::set(1, None);
    stage.accept("a", 1);
    stage.accept("b", 1);
    stage.begin();
    stage.answer(Answer::No);
    stage.begin();
    stage.answer(Answer::Yes);
    stage.now = stage.now.after(DAY);
    stage.begin();
    stage.answer(Answer::No);
    assert!(stage.is_failing("a") && !stage.is_failing("b"));
    assert_eq!(
        stage.queue.status(&"oncall".into()).outcomes,
        Outcomes { delivered: 1, failed: 2, dead: 1, refreshed: 0 }
    );
    stage.accept("a", 2);
    assert!(stage.is_failing("a"), "nothing has reached it yet");
    stage.begin();
    stage.answer(Answer::Yes);
    assert!(!stage.is_failing("a"));
    assert!(stage.queue.lanes.is_empty(), "nothing is left to be known");

    // After the resolution no fallback needs to be told.
    let resolved = Delivery { event: Event::Resolved, ..delivery("c", 1, stage.now) };
    stage.queue.accept(Waiting { delivery: resolved, since: START });
    stage.begin();
    stage.answer(Answer::No);
    assert!(!stage.is_failing("c") && stage.queue.lanes.is_empty());
}

#[test]
fn what_was_given_up_before_a_restart_does_not_reach_a_receiver_either() {
    let mut stage = Stage::set(1, None);
    stage.queue.note_lost(topic("a"));
    assert!(stage.is_failing("a"));
    assert_eq!(stage.queue.ready_at(), None);
    stage.accept("a", 7);
    stage.begin();
    stage.answer(Answer::Yes);
    assert!(!stage.is_failing("a"));
}

#[test]
fn what_is_sent_again_before_its_last_attempt_is_noted_here_goes_after_that() {
    for answer in [Answer::Yes, Answer::No] {
        let mut stage = Stage::set(8, None);
        stage.accept("a", 1);
        stage.now = stage.now.after(DAY);
        assert_eq!(stage.begin(), sent(&[("a", 1)]));
        let mut again = delivery("a", 1, stage.now);
        again.resend(stage.now);
        stage.queue.accept(Waiting { delivery: again, since: stage.now });
        assert_eq!(stage.begin(), [], "one of a lane at a time");
        stage.answer(answer);
        assert_eq!(stage.begin(), sent(&[("a", 1)]), "{answer:?}");
        stage.answer(Answer::Yes);
        assert_eq!(stage.begin(), []);
    }
}
