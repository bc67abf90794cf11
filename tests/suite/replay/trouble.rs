//! A store that has no room at times.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use warden::store::{Command, Document, StoreError};

use super::*;
use crate::support::interference::{InterferedStore, Interference, Interruption};

/// Refuses so many writes of replays, every other one.
struct Crowded {
    left: AtomicUsize,
    asked: AtomicUsize,
}

impl Interference for Crowded {
    fn before_write(&self, commands: &[Command]) -> Result<(), Interruption> {
        let is_of_a_replay = |command: &Command| {
            matches!(command, Command::Claim(_) | Command::ActOnLease { .. })
                || command.documents().iter().any(|document| matches!(document, Document::Replay(_)))
        };
        if !commands.iter().any(is_of_a_replay)
            || self.asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(2)
        {
            return Ok(());
        }
        let one_less = |left: usize| left.checked_sub(1);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less) {
            Ok(_) => Err(StoreError::Overloaded.into()),
            Err(_) => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_replay_waits_for_room_and_loses_nothing_by_it() {
    let target = TestReceiver::start().await;
    let crowded = Arc::new(Crowded { left: AtomicUsize::new(0), asked: AtomicUsize::new(0) });
    let mut daemon = TestDaemon::builder().on(InterferedStore::starts(&crowded)).start().await;
    lose_many(&daemon, 40).await;
    for number in 0..40 {
        target.answer(if number % 5 == 0 { 500 } else { 204 }, &[]);
    }
    let replay = start(&daemon, to(&target, json!({"on_success": "close", "concurrency": 3}))).await;
    crowded.left.store(60, Ordering::Relaxed);
    let held = run_until(&daemon, &replay, "a wait", |replay| !replay["held_until"].is_null()).await;
    assert_eq!(held["status"], "running");
    let ended = completed(&daemon, &replay).await;
    assert_eq!(counts(&ended), [40, 40, 32, 8, 0]);
    let found = arrived(&target).await;
    assert_eq!(found.iter().collect::<std::collections::HashSet<_>>().len(), 40);
    assert_eq!(found.len(), 40, "none twice");
    // All of it is written down.
    crowded.left.store(0, Ordering::Relaxed);
    eventually("the last commit", || async {
        daemon.advance(SECOND);
        let left = daemon.get("/v1/items/summary?state=overdue&state=closed").await;
        (left["by_state"] == json!({"closed": 32, "overdue": 8})).then_some(())
    })
    .await;
    daemon.restart().await;
    let after = now(&daemon, &replay).await;
    assert_eq!((&after["status"], counts(&after)), (&json!("completed"), counts(&ended)));
}

#[tokio::test]
async fn what_people_do_is_answered_when_it_is_written_down() {
    let target = TestReceiver::start().await;
    let crowded = Arc::new(Crowded { left: AtomicUsize::new(0), asked: AtomicUsize::new(0) });
    let mut daemon = TestDaemon::builder().on(InterferedStore::starts(&crowded)).start().await;
    lose_many(&daemon, 3).await;
    let replay = start(&daemon, to(&target, json!({"max_per_second": 0.01}))).await;
    when(&daemon, &replay, "one that succeeded", |replay| replay["succeeded"] == 1).await;
    eventually("the commit of it", || async {
        let item = daemon.get("/v1/workflows/uploads/items/0000").await;
        item["lease"].is_null().then_some(())
    })
    .await;
    crowded.asked.store(1, Ordering::Relaxed);
    crowded.left.store(1, Ordering::Relaxed);
    let path = path(&replay, "/pause");
    let pausing = daemon.ask(Method::POST, &path);
    let letting_pass = async {
        when(&daemon, &replay, "a pause", |replay| replay["status"] == "paused").await;
        daemon.advance(SECOND);
    };
    let (paused, ()) = tokio::join!(pausing, letting_pass);
    assert_eq!(paused.json(200)["status"], "paused");
    assert_eq!(crowded.left.load(Ordering::Relaxed), 0, "it was refused once");
    daemon.restart().await;
    assert_eq!(now(&daemon, &replay).await["status"], "paused");
}
