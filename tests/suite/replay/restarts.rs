//! A restart at any point of a replay: what has ended is not sent again; what was in flight is, under its id.

use std::sync::Arc;

use warden::model::item::{StepOutcome, StepStatus};
use warden::model::replay::{ItemProgress, ReplayChunk, ReplayStatus};
use warden::model::{ItemFilter, ItemNumber, LeaseCommand, LeaseId, Policy, Replay, Timestamp};
use warden::store::engine::memory::MemoryStore;
use warden::store::{Claim, Command, Creation, Outcome, Reads as _, Writes as _};

use super::*;
use crate::alerts::raw::RawReceiver;
use crate::store::sample::{IntoCommand, creation, policies, policy, replay as sample, replay_id};
use crate::support::daemon::START;

fn on_each_engine() -> [crate::support::daemon::Builder; 2] {
    [TestDaemon::builder(), TestDaemon::builder().on_sled()]
}

#[tokio::test]
async fn in_the_middle_of_it() {
    for builder in on_each_engine() {
        let target = TestReceiver::start().await;
        let mut daemon = builder.start().await;
        lose_many(&daemon, 600).await;
        for number in 0..600 {
            target.answer(if number % 7 == 3 { 500 } else { 204 }, &[]);
        }
        let replay = start(&daemon, to(&target, json!({"concurrency": 4}))).await;
        let mut restarts = 0;
        let ended = loop {
            let wanted = (restarts + 1) * 130;
            let replay = run_until(&daemon, &replay, "progress", |replay| {
                replay["status"] == "completed" || counts(replay)[1] >= wanted
            })
            .await;
            if replay["status"] == "completed" {
                break replay;
            }
            daemon.restart().await;
            restarts += 1;
        };
        assert_eq!(restarts, 4);
        let [total, sent, succeeded, failed, skipped] = counts(&ended);
        assert_eq!((total, sent, succeeded + failed, skipped), (600, 600, 600, 0));
        // Only those on their way at a restart may have come twice, and then as the same message.
        let mut messages = std::collections::HashMap::new();
        let received = target.arrived().await;
        for one in &received {
            let id = one.header("warden-item-id").to_owned();
            let message = messages.entry(id).or_insert_with(|| one.header("webhook-id").to_owned());
            assert_eq!(one.header("webhook-id"), message);
        }
        assert_eq!(messages.len(), 600);
        assert!(received.len() as u64 <= 600 + restarts * 4, "{} came", received.len());
    }
}

#[tokio::test]
async fn while_items_are_on_their_way() {
    for builder in on_each_engine() {
        let target = RawReceiver::start().await;
        let mut daemon = builder.start().await;
        lose_many(&daemon, 3).await;
        let replay = start(&daemon, to_url(&target.url(), json!({"timeout": "10m"}))).await;
        target.request().await.answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        when(&daemon, &replay, "one that succeeded", |replay| replay["succeeded"] == 1).await;
        daemon.advance(SECOND);
        let unanswered = target.request().await;
        assert_eq!(unanswered.header("warden-item-id"), "0001");
        daemon.restart().await;
        let again = target.request().await;
        for name in ["warden-item-id", "webhook-id", "warden-attempt"] {
            assert_eq!(again.header(name), unanswered.header(name), "{name}");
        }
        assert_eq!(again.body(), unanswered.body());
        again.answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        when(&daemon, &replay, "two that succeeded", |replay| replay["succeeded"] == 2).await;
        daemon.advance(SECOND);
        let last = target.request().await;
        assert_eq!(last.header("warden-item-id"), "0002");
        last.answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        let ended = when(&daemon, &replay, "its end", |replay| replay["status"] == "completed").await;
        assert_eq!(counts(&ended), [3, 3, 3, 0, 0]);
    }
}

#[tokio::test]
async fn while_it_is_paused_and_after_its_end() {
    for builder in on_each_engine() {
        let target = TestReceiver::start().await;
        let mut daemon = builder.start().await;
        lose_many(&daemon, 3).await;
        target.answer(500, &[]);
        let replay = start(&daemon, to(&target, json!({"canary": 1}))).await;
        let paused = when(&daemon, &replay, "a pause", |replay| replay["status"] == "paused").await;
        daemon.restart_after(3600 * SECOND).await;
        let still = now(&daemon, &replay).await;
        for name in [
            "status",
            "reason",
            "failures",
            "failure_reasons",
            "total",
            "failed",
            "created_at",
            "target",
            "filter",
        ] {
            assert_eq!(still[name], paused[name], "{name}");
        }
        act(&daemon, &replay, "resume").await;
        daemon.restart().await;
        let ended = completed(&daemon, &replay).await;
        assert_eq!(counts(&ended), [3, 3, 2, 1, 0]);
        daemon.restart().await;
        let later = now(&daemon, &replay).await;
        assert_eq!((&later["status"], counts(&later)), (&json!("completed"), counts(&ended)));
        daemon.ask(Method::POST, &path(&replay, "/cancel")).await.refused(409, "replay-ended");
        let mut found = arrived(&target).await;
        // One that was on its way at the restart.
        found.dedup();
        assert_eq!(found, ["0000", "0001", "0002"]);
    }
}

#[tokio::test]
async fn after_it_was_cancelled() {
    for builder in on_each_engine() {
        let target = TestReceiver::start().await;
        let mut daemon = builder.start().await;
        lose_many(&daemon, 3).await;
        let replay = start(&daemon, to(&target, json!({"max_per_second": 1}))).await;
        when(&daemon, &replay, "one that succeeded", |replay| replay["succeeded"] == 1).await;
        act(&daemon, &replay, "cancel").await;
        daemon.restart_after(60 * SECOND).await;
        let later = now(&daemon, &replay).await;
        assert_eq!((&later["status"], counts(&later)), (&json!("cancelled"), [3, 1, 1, 0, 0]));
        assert_eq!(arrived(&target).await, ["0000"]);
    }
}

/// A store in which a replay was interrupted at an instant that no test could hit.
struct Interrupted(MemoryStore);

impl Interrupted {
    async fn one(&self, command: Command) -> Outcome {
        self.0.apply(vec![command]).await.unwrap().pop().unwrap()
    }

    /// An item that is overdue by the time that the daemon starts.
    async fn lose(&self, id: &str) -> ItemNumber {
        let creation = Creation { created_at: START, deadline: START.into(), ..creation(id, "payload") };
        match self.one(creation.into_command()).await {
            Outcome::Created(item) => item.number,
            other => panic!("{other:?}"),
        }
    }

    /// Leases it for another hour.
    async fn lease(&self, number: ItemNumber, worker: &str) -> LeaseId {
        let (filter, expires_at) = (Arc::new(ItemFilter::default()), START.after(3600 * SECOND));
        let claim = Claim {
            number,
            filter,
            worker: worker.into(),
            expires_at,
            ignores_wait: false,
            policies: policies(0),
            now: START.into(),
        };
        match self.one(Command::Claim(Box::new(claim))).await {
            Outcome::Changed(item) => LeaseId { item: number, token: item.work.lease.unwrap().token },
            other => panic!("{other:?}"),
        }
    }

    /// Closes it by its lease.
    async fn complete(&self, lease: LeaseId, now: Timestamp) {
        let act = LeaseCommand::Complete {
            outcome: StepOutcome::plain(StepStatus::Done),
            closes: true,
            progress: None,
        };
        let policies = Arc::new(Policy { retention: 3600 * SECOND, ..policy(0) });
        let outcome = self.one(Command::ActOnLease { lease, act, policies, now: now.into() }).await;
        assert!(matches!(outcome, Outcome::Changed(_)), "{outcome:?}");
    }
}

#[tokio::test]
async fn between_the_end_of_a_lease_and_the_note_of_it() {
    let target = TestReceiver::start().await;
    let store = Interrupted(MemoryStore::new());
    let replay = replay_id("1");
    let mut items = Vec::new();
    for id in ["done", "done elsewhere", "on its way", "held elsewhere", "noted", "untouched"] {
        items.push((store.lose(id).await, ItemProgress::Pending));
    }
    items[4].1 = ItemProgress::Succeeded;
    for (position, worker) in [(0, &*replay.0), (1, "host-1")] {
        let lease = store.lease(items[position].0, worker).await;
        store.complete(lease, START).await;
    }
    store.lease(items[2].0, &replay.0).await;
    store.lease(items[3].0, "host-1").await;
    let mut document = Replay {
        status: ReplayStatus::Running,
        reason: None,
        total: 6,
        succeeded: 1,
        failed: 0,
        skipped: 0,
        failures: Vec::new(),
        ..sample("1")
    };
    document.target.url = target.url().into();
    document.failure_reasons.clear();
    (document.pace.canary, document.pace.max_per_second) = (0, 1000.0);
    document.pace.ramp_up = Duration::ZERO;
    let chunks = vec![ReplayChunk { index: 0, items }];
    store.one(Command::put_replay(document, chunks)).await;

    let store = store.0;
    let daemon = TestDaemon::builder().on(move || Arc::new(store.reopened())).start().await;
    let ended = completed(&daemon, &json!({"id": &*replay.0})).await;
    // The one that was done is not sent again, the one on its way is; with those of others it has nothing to
    // do.
    assert_eq!(counts(&ended), [6, 4, 4, 0, 2]);
    assert_eq!(arrived(&target).await, ["on%20its%20way", "untouched"]);
}

#[tokio::test]
async fn while_its_selection_is_written_leaves_nothing_behind() {
    let store = Interrupted(MemoryStore::new());
    let chunks = vec![ReplayChunk::new(0, [1, 2].map(ItemNumber).into_iter())];
    store.one(Command::put_replay_chunks(&replay_id("1"), chunks)).await;
    let (store, looked_at) = (store.0.reopened(), store.0);
    let daemon = TestDaemon::builder().on(move || Arc::new(store.reopened())).start().await;
    eventually("the chunks to be gone", || async {
        looked_at.unmade_replays().await.unwrap().is_empty().then_some(())
    })
    .await;
    assert_eq!(looked_at.replay_chunk(replay_id("1"), 0).await.unwrap(), None);
    assert_eq!(daemon.get("/v1/replays").await["data"], json!([]));
}
