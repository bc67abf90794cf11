//! The store has no room for the daemon's own writes for a while: nothing is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use warden::store::{Command, Document, StoreError};

use super::*;
use crate::support::daemon::START;
use crate::support::interference::{InterferedStore, Interference, Interruption};
use crate::support::receiver::Received;

/// What the store refuses.
#[derive(Default)]
pub struct Mood {
    pub writes: AtomicBool,
    reads: AtomicBool,
    broken: AtomicBool,
    /// Whether what is written about incidents never comes to an end.
    pub hangs: AtomicBool,
    refused: AtomicU64,
}

impl Mood {
    fn check(&self, refused: &AtomicBool) -> Result<(), StoreError> {
        if !refused.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        Err(StoreError::Overloaded)
    }

    /// Refuses while this is done, and until something was refused because of it.
    async fn refuse<T>(&self, what: &AtomicBool, meanwhile: impl Future<Output = T>) -> T {
        what.store(true, Ordering::SeqCst);
        let before = self.refused.load(Ordering::SeqCst);
        let done = meanwhile.await;
        eventually("a refusal", || async { (self.refused.load(Ordering::SeqCst) > before).then_some(()) })
            .await;
        what.store(false, Ordering::SeqCst);
        done
    }
}

fn of_the_daemon(command: &Command) -> bool {
    !matches!(command, Command::Create(_) | Command::Close { .. } | Command::Patch { .. })
}

impl Interference for Mood {
    fn before_write(&self, commands: &[Command]) -> Result<(), Interruption> {
        let about_incidents = |command: &Command| {
            command.documents().iter().any(|document| matches!(document, Document::Incident(_)))
        };
        if commands.iter().any(of_the_daemon) {
            self.check(&self.writes)?;
        }
        if self.hangs.load(Ordering::SeqCst) && commands.iter().any(about_incidents) {
            return Err(Interruption::Never);
        }
        Ok(())
    }

    fn before_reading_items(&self) -> Result<(), StoreError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoreError::Fatal("a bad sector".into()));
        }
        self.check(&self.reads)
    }
}

/// Stores in what may refuse, and says what it refuses.
pub fn reluctant(builder: Builder) -> (Builder, Arc<Mood>) {
    let mood = Arc::new(Mood::default());
    let store = InterferedStore::starts(&mood);
    (builder.on(store), mood)
}

async fn start(receiver: &TestReceiver) -> (TestDaemon, Arc<Mood>) {
    start_with(receiver, "").await
}

async fn start_with(receiver: &TestReceiver, config: &str) -> (TestDaemon, Arc<Mood>) {
    let builder = oncall(receiver).config("[workflows.uploads]\ngroup_wait = \"1h\"").config(config);
    let (builder, mood) = reluctant(builder);
    (builder.start().await, mood)
}

#[tokio::test]
async fn an_incident_that_could_not_be_written_is_written_and_told_later() {
    let receiver = TestReceiver::start().await;
    let (daemon, mood) = start(&receiver).await;
    mood.refuse(&mood.writes, lose(&daemon, "uploads", "file-1")).await;
    daemon.open_incidents(0).await;
    mood.refuse(&mood.writes, async { daemon.advance(SECOND) }).await;
    daemon.open_incidents(0).await;
    daemon.advance(SECOND);
    let incident = daemon.open_incidents(1).await.remove(0);

    mood.refuse(&mood.writes, async { daemon.advance(HOUR) }).await;
    tick_until_told(&daemon, &receiver, "incident.opened", &incident).await;
    delivery_when(&daemon, id(&incident), "its end", |delivery| delivery["status"] == "delivered").await;

    mood.refuse(&mood.writes, daemon.close("uploads", "file-1")).await;
    tick_until_told(&daemon, &receiver, "incident.resolved", &incident).await;
}

#[tokio::test]
async fn an_attempt_that_could_not_be_written_is_made_again_under_the_same_id() {
    let receiver = TestReceiver::start().await;
    let (daemon, mood) = start(&receiver).await;
    lose(&daemon, "uploads", "file-1").await;
    let incident = daemon.open_incidents(1).await.remove(0);
    receiver.answer(500, &[]);
    daemon.advance(HOUR);
    let first = receiver.next().await;
    let tried = delivery_tried(&daemon, id(&incident), 1).await;
    let second = mood
        .refuse(&mood.writes, async {
            advance_to(&daemon, instant(&tried["next_attempt_at"]));
            receiver.next().await
        })
        .await;
    let third = tick_until_told(&daemon, &receiver, "incident.opened", &incident).await;
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!(first.header("webhook-id"), third.header("webhook-id"));
    assert_eq!(delivery_tried(&daemon, id(&incident), 2).await["status"], "delivered");
}

#[tokio::test]
async fn items_become_overdue_without_a_read_and_are_told_once_they_can_be_read() {
    let receiver = TestReceiver::start().await;
    let (daemon, mood) = start(&receiver).await;
    daemon.create("uploads", "file-1", "?deadline=1m", "payload").await;
    daemon.create("uploads", "closed", "?deadline=1m", "payload").await;
    mood.refuse(&mood.reads, async {
        daemon.advance(MINUTE);
        daemon.close("uploads", "closed").await;
        daemon.create("uploads", "at-once", "?deadline=0s", "payload").await;
        eventually("both items", || async {
            (daemon.get("/v1/workflows/uploads/stats").await["overdue"] == 2).then_some(())
        })
        .await;
        daemon.open_incidents(1).await;
        daemon.advance(HOUR);
    })
    .await;
    let incident = daemon.open_incidents(1).await.remove(0);
    let opened = tick_until_told(&daemon, &receiver, "incident.opened", &incident).await;
    assert_eq!(opened.json()["data"]["count"], 2);
}

#[tokio::test]
async fn a_daemon_that_cannot_read_what_it_has_to_tell_ends_instead_of_keeping_silent() {
    let receiver = TestReceiver::start().await;
    let (mut daemon, mood) = start(&receiver).await;
    daemon.create("uploads", "file-1", "?deadline=1m", "payload").await;
    mood.broken.store(true, Ordering::SeqCst);
    daemon.advance(MINUTE);
    daemon.open_incidents(1).await;
    daemon.advance(HOUR);
    let reason = daemon.failure().await;
    assert!(reason.contains("an internal loop ended"), "{reason}");
    mood.broken.store(false, Ordering::SeqCst);
    daemon.restart().await;
    daemon.open_incidents(1).await;
    daemon.advance(HOUR);
    assert_eq!(told(&receiver, "incident.opened").await["items"][0]["id"], "file-1");
}

#[tokio::test]
async fn what_was_counted_and_could_not_be_written_is_counted_again_after_a_restart() {
    let receiver = TestReceiver::start().await;
    let expect = "expect = { cron = \"0 * * * *\", grace = \"30m\", min_items = 2 }";
    let (mut daemon, mood) = start_with(&receiver, &format!("{expect}\n[workflows.once]\n{expect}")).await;
    advance_to(&daemon, START.after(HOUR));
    for workflow in ["uploads", "once"] {
        daemon.create(workflow, "written", "?deadline=30days", "payload").await;
    }
    daemon.restart().await;
    mood.refuse(&mood.writes, async {
        daemon.create("uploads", "not-written", "?deadline=30days", "payload").await;
        daemon.restart().await;
    })
    .await;
    daemon.restart().await;
    advance_to(&daemon, START.after(HOUR + 30 * MINUTE));
    let missed = eventually("what is missed", || async {
        daemon.advance(SECOND);
        daemon.get("/v1/incidents").await["data"].as_array().filter(|found| !found.is_empty()).cloned()
    })
    .await;
    let workflows: Vec<&Value> = missed.iter().map(|incident| &incident["workflow"]).collect();
    assert_eq!(workflows, ["once"], "every item counts, and counts once");
}

#[tokio::test]
async fn what_is_missed_and_could_not_be_written_is_told_later() {
    let receiver = TestReceiver::start().await;
    let config = "expect = { every = \"1h\" }";
    let (daemon, mood) = start_with(&receiver, config).await;
    mood.refuse(&mood.writes, async { daemon.advance(HOUR) }).await;
    let incidents = eventually("what is missed", || async {
        daemon.advance(SECOND);
        daemon.get("/v1/incidents").await["data"].as_array().filter(|found| !found.is_empty()).cloned()
    })
    .await;
    assert_eq!(incidents[0]["kind"], "missed");
}

/// Lets time pass until the refused is tried again. When the refusal is noted, from which that is reckoned,
/// shows nowhere.
async fn tick_until_told(
    daemon: &TestDaemon,
    receiver: &TestReceiver,
    event: &str,
    incident: &Value,
) -> Received {
    let received = eventually(event, || async {
        daemon.advance(SECOND);
        receiver.arrived().await.pop()
    })
    .await;
    assert_eq!((received.event().as_str(), &received.json()["data"]["id"]), (event, &incident["id"]));
    received
}
