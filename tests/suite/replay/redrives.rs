//! Redriving overdue items.

use super::*;
use crate::alerts::signatures::signature;
use crate::support::daemon::Builder;
use crate::support::receiver::Received;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const MINUTE: Duration = Duration::from_secs(60);

/// A daemon that redrives `uploads` to this target, with more in the table.
fn redriving(target: &TestReceiver, more: &str) -> Builder {
    let url = target.url();
    TestDaemon::builder().config(&format!(
        "[workflows.uploads]\nsteps = [\"copy\"]\nredrive = {{ url = \"{url}?key=sesame\", after = \"5m\", \
         {more} }}"
    ))
}

fn named(received: &Received) -> (&str, &str) {
    (received.header("warden-item-id"), received.header("warden-attempt"))
}

async fn item(daemon: &TestDaemon, id: &str) -> Value {
    daemon.ask(Method::GET, &format!("/v1/workflows/uploads/items/{id}")).await.json(200)
}

/// An item as soon as nobody holds it and it has had so many attempts.
async fn settled(daemon: &TestDaemon, id: &str, attempts: u64) -> Value {
    eventually(&format!("{attempts} attempts of {id}"), || async {
        Some(item(daemon, id).await)
            .filter(|item| item["step_attempts"] == attempts && item["lease"].is_null())
    })
    .await
}

#[tokio::test]
async fn an_item_that_stays_overdue_is_sent_so_often_and_left_alone_in_between() {
    for on_disk in [false, true] {
        let target = TestReceiver::start().await;
        let builder = redriving(&target, &format!("max_attempts = 2, secret = \"{SECRET}\""));
        let daemon = if on_disk { builder.on_sled() } else { builder }.start().await;
        daemon.create("uploads", "file-1", "?deadline=10m", "payload").await;
        daemon.create("reports", "file-1", "?deadline=0s", "no such policy").await;
        daemon.advance(10 * MINUTE);
        daemon.advance(5 * MINUTE - Duration::from_millis(1));
        daemon.advance(Duration::from_millis(1));
        let first = target.next().await;
        assert_eq!((first.uri.query(), &first.body[..]), (Some("key=sesame"), &b"payload"[..]));
        for (name, value) in [
            ("warden-workflow", "uploads"),
            ("warden-item-id", "file-1"),
            ("warden-step", "copy"),
            ("warden-attempt", "1"),
            ("webhook-timestamp", "1767226500"),
            ("webhook-signature", &signature(SECRET, &first)),
        ] {
            assert_eq!(first.header(name), value, "{name}");
        }
        let waits = settled(&daemon, "file-1", 1).await;
        assert_eq!(
            (&waits["retry_at"], &waits["state"]),
            (&json!("2026-01-01T00:20:00.000Z"), &json!("overdue"))
        );
        daemon.advance(5 * MINUTE);
        let second = target.next().await;
        assert_eq!((named(&second), second.header("webhook-timestamp")), (("file-1", "2"), "1767226800"));
        assert_ne!(second.header("webhook-id"), first.header("webhook-id"));
        settled(&daemon, "file-1", 2).await;
        // Another one is sent, and shows that the first was not.
        daemon.create("uploads", "file-2", "?deadline=0s", "payload").await;
        daemon.advance(60 * MINUTE);
        assert_eq!(named(&target.next().await), ("file-2", "1"));
        assert_eq!(target.arrived().await.len(), 0);
        crate::alerts::metric_becomes(&daemon, "warden_redrives_taken_total", 3.0).await;
    }
}

#[tokio::test]
async fn what_is_not_overdue_for_long_enough_is_not_sent() {
    let target = TestReceiver::start().await;
    let daemon = redriving(&target, "max_attempts = 3").start().await;
    for id in ["closed", "extended", "failed", "late"] {
        daemon.create("uploads", id, "?deadline=1m", "payload").await;
    }
    daemon.advance(4 * MINUTE);
    daemon.close("uploads", "closed").await;
    let patch = json!({"deadline": "2026-01-01T00:30:00Z"});
    daemon.send_json(Method::PATCH, "/v1/workflows/uploads/items/extended", patch).await.json(200);
    let fatal = json!({"type": "DiskGone", "fatal": true});
    daemon.send_json(Method::POST, "/v1/workflows/uploads/items/failed/errors", fatal).await.json(201);
    daemon.advance(2 * MINUTE);
    assert_eq!(named(&target.next().await), ("late", "1"));
    daemon.close("uploads", "late").await;
    daemon.advance(29 * MINUTE);
    assert_eq!(named(&target.next().await), ("extended", "1"));
}

#[tokio::test]
async fn an_item_that_somebody_works_on_is_sent_when_they_hold_it_no_longer() {
    let target = TestReceiver::start().await;
    let daemon = redriving(&target, "max_attempts = 3").start().await;
    daemon.create("uploads", "file-1", "?deadline=0s", "payload").await;
    let claim = json!({"worker": "host-1", "ttl": "20m"});
    let leases = daemon.send_json(Method::POST, "/v1/leases", claim).await.json(200);
    assert_eq!(leases["leases"].as_array().unwrap().len(), 1);
    daemon.advance(19 * MINUTE);
    daemon.advance(MINUTE);
    let received = target.next().await;
    assert_eq!((named(&received), received.header("webhook-timestamp")), (("file-1", "2"), "1767226800"));
}

#[tokio::test]
async fn a_target_that_does_not_take_it_is_asked_again_and_what_it_said_is_remembered() {
    let target = TestReceiver::start().await;
    let daemon = redriving(&target, "max_attempts = 2").start().await;
    daemon.create("uploads", "file-1", "?deadline=0s", "payload").await;
    target.answer(500, &[]);
    daemon.advance(5 * MINUTE);
    target.next().await;
    let failed = settled(&daemon, "file-1", 1).await;
    assert_eq!(failed["retry_at"], "2026-01-01T00:10:00.000Z");
    let error = &failed["errors"][0];
    assert_eq!((&error["type"], &error["data"]), (&json!("redrive"), &json!({"status": 500})));
    assert_eq!(error["message"], "redrive attempt 1 failed: HTTP 500");
    daemon.advance(5 * MINUTE);
    assert_eq!(named(&target.next().await), ("file-1", "2"));
    assert_eq!(settled(&daemon, "file-1", 2).await["state"], "overdue");
    crate::alerts::metric_becomes(&daemon, "warden_redrives_failed_total", 1.0).await;
}

#[tokio::test]
async fn an_item_holds_nothing_of_what_its_target_said() {
    let target = TestReceiver::start().await;
    target.usually(500, &[]);
    target.saying("secret of the target");
    let daemon = redriving(&target, "max_attempts = 2").start().await;
    daemon.create("uploads", "file-1", "?deadline=0s", "payload").await;
    daemon.advance(5 * MINUTE);
    target.next().await;
    let failed = settled(&daemon, "file-1", 1).await;
    assert!(!failed["errors"].to_string().contains("secret"), "{failed}");
}

#[tokio::test]
async fn a_target_without_room_is_left_alone_and_that_is_no_attempt() {
    let target = TestReceiver::start().await;
    let daemon = redriving(&target, "max_attempts = 1").start().await;
    daemon.create("uploads", "file-1", "?deadline=0s", "payload").await;
    target.answer(503, &[("retry-after", "40")]);
    daemon.advance(5 * MINUTE);
    target.next().await;
    settled(&daemon, "file-1", 0).await;
    daemon.advance(39 * SECOND);
    daemon.advance(SECOND);
    let second = target.next().await;
    assert_eq!((named(&second), second.header("webhook-timestamp")), (("file-1", "1"), "1767225940"));
    assert_eq!(settled(&daemon, "file-1", 1).await["errors"], json!([]));
}

#[tokio::test]
async fn no_more_are_sent_than_the_rate_says() {
    let target = TestReceiver::start().await;
    let daemon = redriving(&target, "max_attempts = 1, rate = \"2/s\"").start().await;
    for number in 0..6 {
        daemon.create("uploads", &format!("{number}"), "?deadline=0s", "payload").await;
    }
    daemon.advance(5 * MINUTE);
    for second in 0..3 {
        for _ in 0..2 {
            let received = target.next().await;
            assert_eq!(received.header("webhook-timestamp"), (1_767_225_900 + second).to_string());
        }
        daemon.advance(SECOND);
    }
    assert_eq!(target.arrived().await.len(), 0);
}

#[tokio::test]
async fn a_restart_neither_forgets_nor_hastens_it() {
    for on_disk in [false, true] {
        let target = TestReceiver::start().await;
        let builder = redriving(&target, "max_attempts = 3");
        let mut daemon = if on_disk { builder.on_sled() } else { builder }.start().await;
        daemon.create("uploads", "file-1", "?deadline=0s", "payload").await;
        daemon.restart_after(4 * MINUTE).await;
        daemon.advance(MINUTE);
        let received = target.next().await;
        assert_eq!((named(&received), received.header("webhook-timestamp")), (("file-1", "1"), "1767225900"));
        settled(&daemon, "file-1", 1).await;
        daemon.restart_after(4 * MINUTE).await;
        daemon.restart_after(2 * MINUTE).await;
        let received = target.next().await;
        assert_eq!((named(&received), received.header("webhook-timestamp")), (("file-1", "2"), "1767226260"));
    }
}

#[tokio::test]
async fn an_attempt_that_was_interrupted_counts_and_the_next_follows_when_its_lease_is_over() {
    let target = crate::alerts::raw::RawReceiver::start().await;
    let url = target.url();
    let config =
        format!("[workflows.uploads]\nredrive = {{ url = \"{url}\", after = \"5m\", max_attempts = 2 }}");
    let mut daemon = TestDaemon::builder().config(&config).on_sled().start().await;
    daemon.create("uploads", "file-1", "?deadline=0s", "payload").await;
    daemon.advance(5 * MINUTE);
    let unanswered = target.request().await;
    assert_eq!(unanswered.header("warden-attempt"), "1");
    daemon.restart().await;
    daemon.advance(2 * MINUTE);
    let again = target.request().await;
    assert_eq!((again.header("warden-item-id"), again.header("warden-attempt")), ("file-1", "2"));
}

#[tokio::test]
async fn a_workflow_says_where_its_items_go_but_not_what_may_be_secret() {
    let target = TestReceiver::start().await;
    let daemon = redriving(&target, &format!("secret = \"{SECRET}\"")).start().await;
    let workflow = daemon.ask(Method::GET, "/v1/workflows/uploads").await;
    assert!(!workflow.text().contains("sesame") && !workflow.text().contains("whsec"));
    let origin = target.url().strip_suffix("/hook").unwrap().to_owned();
    let expected = json!({"to": origin, "after": "5m", "max_attempts": 3});
    assert_eq!(workflow.json(200)["redrive"], expected);
    daemon.create("reports", "file-1", "", "payload").await;
    assert_eq!(daemon.ask(Method::GET, "/v1/workflows/reports").await.json(200)["redrive"], json!(null));
}
