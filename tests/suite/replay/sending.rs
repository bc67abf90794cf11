//! The requests that the target gets.

use super::*;
use crate::alerts::signatures::signature;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test]
async fn an_item_is_posted_as_it_was_handed_in_with_headers_that_say_which_it_is() {
    let target = TestReceiver::start().await;
    let daemon =
        TestDaemon::builder().config("[workflows.uploads]\nsteps = [\"copy\", \"backup\"]").start().await;
    // Every byte there is, and none of it text.
    let payload: Vec<u8> = (0..70_000_u32).map(|number| (number * 7 % 251) as u8).chain(0..=255).collect();
    let request = daemon
        .request(Method::PUT, "/v1/workflows/uploads/items/a%2Fb%20%C3%A4%25?deadline=0s&step=backup")
        .header("content-type", "application/x-thing; v=1")
        .header("content-encoding", "br, gzip")
        .body(payload.clone());
    crate::support::ask(request).await.json(201);
    let replay = start(
        &daemon,
        to(&target, json!({"name": "monday", "target": {"url": target.url(), "secret": SECRET}})),
    )
    .await;
    assert_eq!(
        (&replay["name"], &replay["status"], &replay["total"]),
        (&json!("monday"), &json!("running"), &json!(1))
    );
    assert_eq!(replay["target"], json!({"url": target.url(), "signed": true}));

    let received = target.next().await;
    assert_eq!((received.method.as_str(), received.uri.path()), ("POST", "/hook"));
    assert!(received.body == payload, "byte for byte");
    for (name, value) in [
        ("content-type", "application/x-thing; v=1"),
        ("content-encoding", "br, gzip"),
        ("warden-item-id", "a/b%20%C3%A4%25"),
        ("warden-workflow", "uploads"),
        ("warden-step", "backup"),
        ("warden-attempt", "1"),
        ("webhook-timestamp", "1767225600"),
        ("webhook-signature", &signature(SECRET, &received)),
    ] {
        assert_eq!(received.header(name), value, "{name}");
    }
    assert!(received.header("webhook-id").starts_with("msg_"));
    assert!(received.header("user-agent").starts_with("process-warden/"));

    let ended = when(&daemon, &replay, "its end", |replay| replay["status"] == "completed").await;
    assert_eq!(counts(&ended), [1, 1, 1, 0, 0]);
    assert_eq!((&ended["started_at"], &ended["ended_at"]), (&ended["created_at"], &ended["created_at"]));
    assert_eq!(ended["target"]["signed"], false, "its secret is forgotten");
    assert_eq!(
        (&ended["eta"], &ended["reason"], &ended["failures"]),
        (&json!(null), &json!(null), &json!([]))
    );
    let item = daemon.get("/v1/workflows/uploads/items/a%2Fb%20%C3%A4%25").await;
    assert_eq!(
        (&item["state"], &item["lease"], &item["step"]),
        (&json!("overdue"), &json!(null), &json!("backup"))
    );
    assert_eq!(item["step_attempts"], 1);
}

#[tokio::test]
async fn what_is_empty_or_has_no_step_is_sent_all_the_same() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "?deadline=0s", "").await;
    let replay = start(&daemon, to(&target, json!({}))).await;
    let received = target.next().await;
    assert!(received.body.is_empty() && !received.headers.contains_key("warden-step"));
    assert!(!received.headers.contains_key("content-encoding"));
    assert_eq!(received.header("content-type"), "application/octet-stream");
    assert!(!received.headers.contains_key("webhook-signature"), "there is no secret to sign it with");
    completed(&daemon, &replay).await;
}

#[tokio::test]
async fn the_earliest_deadline_goes_first() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    for (id, deadline) in [("third", "30s"), ("first", "10s"), ("fourth", "40s"), ("second", "20s")] {
        daemon.create("uploads", id, &format!("?deadline={deadline}"), "x").await;
    }
    daemon.advance(60 * SECOND);
    let replay = start(&daemon, to(&target, json!({}))).await;
    completed(&daemon, &replay).await;
    assert_eq!(arrived(&target).await, ["first", "second", "third", "fourth"]);
}

#[tokio::test]
async fn a_selection_of_many_chunks_is_sent_whole_and_once() {
    for on_disk in [false, true] {
        let target = TestReceiver::start().await;
        let builder = TestDaemon::builder();
        let daemon = if on_disk { builder.on_sled() } else { builder }.start().await;
        lose_many(&daemon, 700).await;
        let replay = start(&daemon, to(&target, json!({"concurrency": 64}))).await;
        let ended = completed(&daemon, &replay).await;
        assert_eq!(counts(&ended), [700, 700, 700, 0, 0]);
        let mut found = arrived(&target).await;
        found.sort();
        assert_eq!(found, (0..700).map(|number| format!("{number:04}")).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn another_replay_is_another_message_and_another_attempt() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose(&daemon, "file-1").await;
    let mut ids = Vec::new();
    for attempt in ["1", "2"] {
        let replay = start(&daemon, to(&target, json!({}))).await;
        let received = target.next().await;
        assert_eq!(received.header("warden-attempt"), attempt);
        ids.push(received.header("webhook-id").to_owned());
        completed(&daemon, &replay).await;
    }
    assert_ne!(ids[0], ids[1]);
}
