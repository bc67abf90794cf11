//! The service with an outgoing call that the test answers.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::header::HeaderMap;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::model::{
    Event, Incident, IncidentKey, IncidentKind, ManualClock, SeededRandom, Severity, WorkflowName,
};
use crate::notifier::Format;
use crate::outbound::{OutboundError, OutboundRequest, OutboundResponse};
use crate::store::engine::memory::MemoryStore;
use crate::store::{Document, DocumentId, Feed as _, Reads as _, Writes as _};

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// A timeout that only a bug reaches.
const PATIENCE: Duration = Duration::from_secs(30);

/// A call that waits for its answer; dropping it makes the call panic.
struct Call {
    webhook_id: String,
    answer: oneshot::Sender<u16>,
}

struct PlayedOutbound(mpsc::UnboundedSender<Call>);

impl Outbound for PlayedOutbound {
    fn send(&self, request: OutboundRequest) -> BoxFuture<'_, Result<OutboundResponse, OutboundError>> {
        let (answer, answered) = oneshot::channel();
        let webhook_id = request.headers["webhook-id"].to_str().unwrap().to_owned();
        self.0.send(Call { webhook_id, answer }).ok().unwrap();
        Box::pin(async move {
            let status = answered.await.expect("the test plays a defect");
            Ok(OutboundResponse { status, retry_after: None, location: None, excerpt: String::new() })
        })
    }
}

/// A running service.
struct Stage {
    store: Arc<MemoryStore>,
    clock: ManualClock,
    notifier: Notifier,
    calls: mpsc::UnboundedReceiver<Call>,
    stop: CancellationToken,
}

impl Stage {
    fn set(concurrency: usize) -> Self {
        Self::set_over(concurrency, Vec::new())
    }

    /// Over a store that holds these documents already.
    fn set_over(concurrency: usize, known: Vec<Document>) -> Self {
        let store = Arc::new(MemoryStore::new());
        let clock = ManualClock::new(START);
        let (sender, calls) = mpsc::unbounded_channel();
        let receiver = Receiver {
            name: "oncall".into(),
            url: "http://127.0.0.1/".parse().unwrap(),
            format: Format::Standard,
            headers: HeaderMap::new(),
            signing_keys: Vec::new(),
            transport: Arc::default(),
            timeout: PATIENCE,
            concurrency,
            rate: None,
            min_severity: Some(Severity::Info),
            events: crate::model::EventSet::NONE,
        };
        let random = Arc::new(SeededRandom::new(1));
        let (outbound, receivers) = (Arc::new(PlayedOutbound(sender)), vec![receiver]);
        let (service, notifier) =
            NotifierService::new(store.clone(), outbound, receivers, Arc::new(clock.clone()), random);
        store.attach(notifier.observer()).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(service.run(stop.clone()));
        let stage = Self { store, clock, notifier, calls, stop };
        stage.committed(known);
        stage.notifier.recovered(START);
        stage
    }

    fn committed(&self, documents: Vec<Document>) {
        let done = self.store.submit(vec![Command::Put(documents)]);
        done.now_or_never().expect("memory never waits").unwrap();
    }

    fn told(&self, deliveries: impl IntoIterator<Item = Delivery>) {
        self.committed(deliveries.into_iter().map(Document::from).collect());
    }

    async fn call(&mut self) -> Call {
        tokio::time::timeout(PATIENCE, self.calls.recv()).await.expect("nobody calls").unwrap()
    }

    /// Waits until a delivery has this many stored attempts.
    async fn recorded(&self, delivery: &Delivery, attempts: u32) -> Delivery {
        let recorded = async {
            loop {
                let all = self.store.deliveries(incident_of(delivery)).await.unwrap();
                let found = all.into_iter().find(|found| found.id == delivery.id);
                if let Some(found) = found.filter(|found| found.attempts_made == attempts) {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, recorded).await.expect("nothing is recorded")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn incident_of(delivery: &Delivery) -> IncidentId {
    delivery.incident().cloned().expect("it is about an incident")
}

fn delivery(incident: &str, id: &str, event: Event) -> Delivery {
    Delivery {
        id: DeliveryId(id.into()),
        topic: IncidentId(incident.into()).into(),
        item: None,
        receiver: "oncall".into(),
        event,
        after: None,
        sequence: 0,
        body: "{}".into(),
        created_at: START,
        resent_at: None,
        status: DeliveryStatus::Pending,
        attempts_made: 0,
        next_attempt_at: START,
        attempts: Vec::new(),
    }
}

#[tokio::test]
async fn an_attempt_that_panics_has_failed_and_holds_nothing_up() {
    let mut stage = Stage::set(1);
    let opened = delivery("inc_1", "dlv_1", Event::Opened);
    let resolved = delivery("inc_1", "dlv_2", Event::Resolved);
    stage.told([opened.clone(), resolved.clone()]);
    drop(stage.call().await);
    let failed = stage.recorded(&opened, 1).await;
    assert_eq!(failed.status, DeliveryStatus::Pending);
    assert!(failed.attempts[0].error.as_ref().unwrap().contains("panicked"), "{:?}", failed.attempts);
    stage.clock.advance(failed.next_attempt_at.since(START));
    let again = stage.call().await;
    assert_eq!(again.webhook_id, "dlv_1");
    again.answer.send(200).unwrap();
    let last = stage.call().await;
    assert_eq!(last.webhook_id, "dlv_2");
    last.answer.send(200).unwrap();
    assert_eq!(stage.recorded(&resolved, 1).await.status, DeliveryStatus::Delivered);
}

#[tokio::test]
async fn a_receiver_gets_as_many_at_once_as_it_takes_and_the_rest_in_turn() {
    let mut stage = Stage::set(2);
    let ids = ["dlv_1", "dlv_2", "dlv_3", "dlv_4"];
    stage.told(ids.map(|id| delivery(&id.replace("dlv", "inc"), id, Event::Opened)));
    let mut under_way = vec![stage.call().await, stage.call().await];
    for expected in ["dlv_3", "dlv_4"] {
        assert!(stage.calls.try_recv().is_err(), "a third came along");
        under_way.remove(0).answer.send(200).unwrap();
        under_way.push(stage.call().await);
        assert_eq!(under_way[1].webhook_id, expected);
    }
}

#[tokio::test]
async fn an_outbox_in_any_order_is_carried_out_in_that_of_the_story() {
    let outbox = [(3, "dlv_1", Event::Resolved), (2, "dlv_2", Event::Reminder), (1, "dlv_3", Event::Opened)]
        .map(|(sequence, id, event)| Delivery { sequence, ..delivery("inc_1", id, event) });
    let mut stage = Stage::set_over(1, outbox.map(Document::from).into());
    for expected in ["dlv_3", "dlv_2", "dlv_1"] {
        let call = stage.call().await;
        assert_eq!(call.webhook_id, expected);
        call.answer.send(204).unwrap();
    }
}

#[tokio::test]
async fn an_outbox_from_before_the_clock_was_set_back_is_due_at_once_and_any_other_at_its_time() {
    let hour = Duration::from_secs(3600);
    let attempt = |at| Attempt {
        at,
        status: Some(500),
        latency_ms: 0,
        error: Some("it answered 500".into()),
        answer: None,
    };
    let mut ahead = delivery("inc_1", "dlv_1", Event::Opened);
    ahead.record(attempt(START.after(hour)), DeliveryStatus::Pending, START.after(2 * hour));
    let mut ended_ahead = delivery("inc_3", "dlv_3", Event::Opened);
    // The machine slept while the attempt was in flight.
    let slept = Attempt { latency_ms: 60_000, ..attempt(START) };
    ended_ahead.record(slept, DeliveryStatus::Pending, START.after(hour));
    let mut in_time = delivery("inc_2", "dlv_2", Event::Opened);
    in_time.record(attempt(START), DeliveryStatus::Pending, START.after(hour));
    let outbox = [in_time.clone(), ahead, ended_ahead];
    let mut stage = Stage::set_over(8, outbox.map(Document::from).into());
    let mut at_once = Vec::new();
    for _ in 0..2 {
        let call = stage.call().await;
        at_once.push(call.webhook_id.clone());
        call.answer.send(200).unwrap();
    }
    at_once.sort();
    assert_eq!(at_once, ["dlv_1", "dlv_3"]);
    stage.clock.advance(hour);
    let second = stage.call().await;
    assert_eq!(second.webhook_id, "dlv_2");
    second.answer.send(200).unwrap();
    let recorded = stage.recorded(&in_time, 2).await;
    assert_eq!(recorded.attempts[1].at, START.after(hour));
}

#[tokio::test]
async fn what_waits_is_counted() {
    let mut stage = Stage::set(8);
    let notifier = stage.notifier.clone();
    let status = || notifier.statuses().remove(0);
    let opened = delivery("inc_1", "dlv_1", Event::Opened);
    stage.told([opened.clone(), delivery("inc_1", "dlv_2", Event::Resolved)]);
    let first = stage.call().await;
    assert_eq!((status().waiting, status().oldest_waiting), (2, Some(START)));
    first.answer.send(200).unwrap();
    stage.call().await.answer.send(200).unwrap();
    while status().waiting != 0 {
        tokio::task::yield_now().await;
    }
    let outcomes = status().outcomes;
    assert_eq!((outcomes.delivered, outcomes.failed, outcomes.dead), (2, 0, 0));
}

#[tokio::test]
async fn a_refresh_goes_out_once_is_not_kept_and_is_not_overtaken_by_news() {
    let mut stage = Stage::set(8);
    let refresh = delivery("inc_1", "dlv_again", Event::Reminder);
    assert!(stage.notifier.refresh(refresh.clone(), START));
    assert!(stage.notifier.refresh(refresh.clone(), START), "one is under way, which is enough");
    let resolved = delivery("inc_1", "dlv_2", Event::Resolved);
    stage.told([resolved.clone()]);
    let call = stage.call().await;
    assert_eq!(call.webhook_id, "dlv_again");
    assert!(stage.calls.try_recv().is_err(), "the end came along");
    call.answer.send(200).unwrap();
    let call = stage.call().await;
    assert_eq!(call.webhook_id, "dlv_2");
    assert!(stage.notifier.refresh(refresh.clone(), START), "there is news, which is enough");
    call.answer.send(200).unwrap();
    stage.recorded(&resolved, 1).await;
    let kept = stage.store.deliveries(incident_of(&refresh)).await.unwrap();
    assert_eq!(kept.iter().map(|delivery| &*delivery.id.0).collect::<Vec<_>>(), ["dlv_2"]);
    let outcomes = stage.notifier.statuses().remove(0).outcomes;
    assert_eq!((outcomes.refreshed, outcomes.failed), (1, 0));
}

#[tokio::test]
async fn whoever_waits_for_it_hears_when_an_incident_begins_or_ceases_to_reach_a_receiver() {
    let mut stage = Stage::set(8);
    let opened = delivery("inc_1", "dlv_1", Event::Opened);
    let is_failing = |stage: &Stage| stage.notifier.is_failing(&incident_of(&opened), "oncall");
    stage.told([opened.clone()]);
    for failures in 1..=3 {
        assert!(!is_failing(&stage), "before failure {failures}");
        stage.call().await.answer.send(500).unwrap();
        let tried = stage.recorded(&opened, failures).await;
        stage.clock.advance(tried.next_attempt_at.since(stage.clock.now()));
    }
    let failing_changed = async |stage: &Stage| {
        tokio::time::timeout(PATIENCE, stage.notifier.failing_changed())
            .await
            .expect("no change is signalled");
        assert_eq!(stage.notifier.take_failing_changed(), [incident_of(&opened)].into());
    };
    failing_changed(&stage).await;
    assert!(is_failing(&stage));
    stage.call().await.answer.send(200).unwrap();
    failing_changed(&stage).await;
    assert!(!is_failing(&stage));
    assert_eq!(stage.notifier.take_failing_changed(), BTreeSet::new());
}

#[tokio::test]
async fn of_several_deliveries_of_an_incident_the_last_says_whether_it_reached_a_receiver() {
    let of = |sequence, receiver: &str, status| Delivery {
        sequence,
        receiver: receiver.into(),
        status,
        ..delivery("inc_1", &format!("dlv_{receiver}_{sequence}"), Event::Reminder)
    };
    let (dead, delivered) = (DeliveryStatus::Dead, DeliveryStatus::Delivered);
    let story = [
        of(3, "given-up", dead),
        of(1, "given-up", delivered),
        of(1, "reached", dead),
        of(2, "reached", delivered),
    ];
    for status in [IncidentStatus::Open, IncidentStatus::Resolved] {
        let incident = Incident { status, ..resolved_incident("inc_1") };
        let documents = [incident.into()].into_iter().chain(story.clone().map(Document::from));
        let stage = Stage::set_over(8, documents.collect());
        let is_failing = |receiver| stage.notifier.is_failing(&IncidentId("inc_1".into()), receiver);
        assert_eq!(is_failing("given-up"), status == IncidentStatus::Open, "{status:?}");
        assert!(!is_failing("reached") && !is_failing("never-told"));
    }
}

#[tokio::test]
async fn a_receiver_that_nobody_configured_is_neither_tested_nor_resumed() {
    let stage = Stage::set(8);
    stage.told([Delivery { receiver: "unknown".into(), ..delivery("inc_1", "dlv_1", Event::Opened) }]);
    assert_eq!(stage.notifier.test("unknown", String::new()).await, Err(UnknownReceiver));
    assert_eq!(stage.notifier.resume("unknown"), Err(UnknownReceiver));
    let names: Vec<_> = stage.notifier.statuses().into_iter().map(|status| status.name).collect();
    assert_eq!(
        names,
        ["oncall".into(), "unknown".into()] as [Arc<str>; 2],
        "what waits for it is to be seen"
    );
}

fn resolved_incident(id: &str) -> Incident {
    let key = IncidentKey {
        workflow: WorkflowName::new("uploads").unwrap(),
        kind: IncidentKind::Overdue,
        group: BTreeMap::new(),
    };
    Incident {
        id: IncidentId(id.into()),
        key,
        status: IncidentStatus::Resolved,
        severity: Severity::Critical,
        opened_at: START,
        reopened_at: None,
        reopenings: Vec::new(),
        resolved_at: Some(START),
        ending_since: None,
        outcomes: None,
        counted_at: None,
        continued_in: None,
        count: 0,
        peak: 1,
        oldest_deadline: None,
        by_step: BTreeMap::new(),
        missed: None,
        notified_at: Some(START),
        first_notified_at: Some(START),
        notified_count: 1,
        notified_steps: BTreeSet::new(),
        told: BTreeSet::new(),
        escalations: 0,
        muted: false,
        notifications: 2,
        acknowledged: false,
        snoozed_until: None,
        actions: Vec::new(),
    }
}

#[tokio::test]
async fn of_an_incident_that_is_over_only_its_end_is_sent_again() {
    let mut stage = Stage::set(8);
    let resend = async |stage: &Stage, id: &str| stage.notifier.resend(DeliveryId(id.into()), START).await;
    for (receiver_told, id) in [(true, "inc_1"), (false, "inc_2")] {
        let of = |id: String, sequence, event, receiver: &str| Delivery {
            sequence,
            receiver: receiver.into(),
            status: DeliveryStatus::Delivered,
            ..delivery(&id.replace("dlv", "inc")[..5], &id, event)
        };
        let dlv = id.replace("inc", "dlv");
        let mut deliveries = vec![
            of(format!("{dlv}_opened"), 1, Event::Opened, "oncall"),
            of(format!("{dlv}_elsewhere"), 2, Event::Resolved, "chat"),
        ];
        if receiver_told {
            deliveries.push(of(format!("{dlv}_resolved"), 2, Event::Resolved, "oncall"));
        }
        let command = Command::put_incident(resolved_incident(id), deliveries);
        stage.store.apply(vec![command]).await.unwrap();
        let refused = resend(&stage, &format!("{dlv}_opened")).await;
        let Err(ResendError::Resolved { told_by }) = refused else { panic!("{refused:?}") };
        assert_eq!(told_by, receiver_told.then(|| DeliveryId(format!("{dlv}_resolved").into())));
    }
    resend(&stage, "dlv_1_resolved").await.unwrap();
    assert_eq!(stage.call().await.webhook_id, "dlv_1_resolved");
}

#[tokio::test]
async fn nothing_is_sent_again_of_an_incident_that_is_forgotten_or_about_to_be() {
    let stage = Stage::set(8);
    let told = Delivery { status: DeliveryStatus::Delivered, ..delivery("inc_1", "dlv_1", Event::Resolved) };
    let incident = Box::new(resolved_incident("inc_1"));
    let commit = Command::put_incident(*incident, vec![told.clone()]);
    stage.store.apply(vec![commit]).await.unwrap();
    let held = stage.notifier.hold_resends().await;
    let mut resending = pin!(stage.notifier.resend(told.id.clone(), START));
    assert!(resending.as_mut().now_or_never().is_none());
    stage.store.apply(vec![Command::Remove(DocumentId::Incident(incident_of(&told)))]).await.unwrap();
    drop(held);
    assert!(matches!(resending.await, Err(ResendError::NotFound)));
    // Left by a resend that overtook the removal of the incident.
    stage.store.apply(vec![Command::put(told.clone())]).await.unwrap();
    assert!(matches!(stage.notifier.resend(told.id, START).await, Err(ResendError::NotFound)));
}
