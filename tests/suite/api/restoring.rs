//! Batch lines with history.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::access::{ask_as, guarded};
use super::item;
use crate::support::TestDaemon;

/// A line as an export writes it of an item that failed.
fn failed() -> Value {
    json!({
        "op": "create", "cursor": "x", "workflow": "uploads", "id": "a", "content_type": "text/plain",
        "content_encoding": "gzip", "deadline": "2026-01-01T01:00:00.000Z", "deadline_from": "duration",
        "labels": {"region": "eu"}, "step": "backup", "state": "failed",
        "created_at": "2025-12-31T20:00:00.000Z", "step_entered_at": "2025-12-31T21:00:00.000Z",
        "failed_at": "2025-12-31T23:00:00.000Z", "step_attempts": 3, "retry_at": "2026-01-01T00:30:00.000Z",
        "steps": [{"name": "copy", "status": "done", "at": "2025-12-31T21:00:00.000Z"}],
        "progress": {"done": 3},
        "errors": [
            {"id": "err_1", "type": "Timeout", "message": "no answer", "retryable": true, "fatal": false,
                "step": "copy", "at": "2025-12-31T20:30:00.000Z", "data": null},
            {"id": "err_2", "type": "Broken", "message": "", "retryable": false, "fatal": true,
                "step": "backup", "at": "2025-12-31T23:00:00.000Z", "data": {"host": "b-1"}},
        ],
        "payload": "hello",
    })
}

fn closed() -> Value {
    json!({
        "op": "create", "workflow": "uploads", "id": "c", "content_type": "text/plain", "state": "closed",
        "deadline": "2025-12-31T21:00:00.000Z", "created_at": "2025-12-31T20:00:00.000Z",
        "closed_at": "2025-12-31T22:00:00.000Z", "outcome": "discarded", "payload_size": 5,
        "payload_sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    })
}

/// The line with some of its members set, or taken away where they are null.
fn with(mut line: Value, members: Value) -> Value {
    for (name, value) in members.as_object().expect("an object").clone() {
        let line = line.as_object_mut().expect("an object");
        if value.is_null() {
            line.remove(&name)
        } else {
            line.insert(name, value)
        };
    }
    line
}

async fn answer(daemon: &TestDaemon, line: &Value) -> Value {
    daemon.send(Method::POST, "/v1/batch", line.to_string()).await.lines(200).remove(0)
}

#[tokio::test]
async fn an_item_that_failed_elsewhere_has_failed_here_and_is_as_it_was() {
    for on_disk in [false, true] {
        let builder = TestDaemon::builder();
        let mut daemon = if on_disk { builder.on_sled() } else { builder }.start().await;
        let created = answer(&daemon, &failed()).await;
        let expected =
            json!({"status": 201, "workflow": "uploads", "id": "a", "version": 1, "state": "failed"});
        assert_eq!(created, expected);
        let incident = daemon.open_incidents(1).await.remove(0);
        assert_eq!((&incident["kind"], &incident["count"]), (&json!("failed"), &json!(1)));
        for restarted in [false, true] {
            if restarted {
                daemon.restart().await;
            }
            let shown = daemon.get(&item("a")).await;
            for field in
                ["created_at", "deadline", "labels", "step", "step_entered_at", "step_attempts", "retry_at"]
            {
                assert_eq!(shown[field], failed()[field], "{field}");
            }
            for field in ["progress", "state"] {
                assert_eq!(shown[field], failed()[field], "{field}");
            }
            for field in ["steps", "errors"] {
                for (shown, told) in
                    shown[field].as_array().unwrap().iter().zip(failed()[field].as_array().unwrap())
                {
                    for (name, value) in told.as_object().unwrap() {
                        assert_eq!(shown[name], *value, "{field}: {name}");
                    }
                }
            }
            assert_eq!(shown["payload"]["content_encoding"], "gzip");
        }
        // The same once more changes nothing, whatever has happened since.
        let again = answer(&daemon, &failed()).await;
        assert_eq!((&again["status"], &again["state"]), (&json!(200), &json!("failed")));
        daemon.ask(Method::POST, &format!("{}/retry", item("a"))).await.json(200);
        let again = answer(&daemon, &failed()).await;
        assert_eq!((&again["status"], &again["state"]), (&json!(200), &json!("open")));
        let other = answer(&daemon, &with(failed(), json!({"payload": "other"}))).await;
        assert_eq!(other["status"], 409);
        // And it is exported as it is.
        let exported = daemon.ask(Method::GET, "/v1/export").await.lines(200).remove(0);
        assert_eq!(exported["errors"], failed()["errors"]);
        assert_eq!(exported["deadline_from"], "duration");
    }
}

#[tokio::test]
async fn what_was_late_elsewhere_is_overdue_at_once() {
    let daemon = TestDaemon::start().await;
    let late = json!({"state": "open", "deadline": "2025-12-31T23:59:59.000Z", "failed_at": null});
    assert_eq!(answer(&daemon, &with(failed(), late)).await["state"], "overdue");
    let incident = daemon.open_incidents(1).await.remove(0);
    assert_eq!(incident["kind"], "overdue");
    assert_eq!(daemon.get(&item("a")).await["overdue_since"], "2025-12-31T23:59:59.000Z");
}

#[tokio::test]
async fn what_was_held_elsewhere_is_open_here() {
    let daemon = TestDaemon::start().await;
    let held = json!({"state": "held", "failed_at": null});
    assert_eq!(answer(&daemon, &with(failed(), held)).await["state"], "open");
}

#[tokio::test]
async fn what_was_closed_elsewhere_is_known_here_when_it_comes_late() {
    let daemon = TestDaemon::builder().on_sled().start().await;
    let created = answer(&daemon, &closed()).await;
    assert_eq!((&created["status"], &created["state"]), (&json!(201), &json!("closed")));
    let shown = daemon.get(&item("c")).await;
    for (field, value) in [
        ("state", json!("closed")),
        ("closed_at", closed()["closed_at"].clone()),
        ("outcome", json!("discarded")),
        ("created_at", closed()["created_at"].clone()),
        ("deadline", closed()["deadline"].clone()),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    assert_eq!(shown["payload"]["size"], 5);
    assert_eq!(shown["payload"]["sha256"], closed()["payload_sha256"]);
    daemon.ask(Method::GET, &format!("{}/payload", item("c"))).await.refused(410, "payload-gone");
    daemon.send(Method::PUT, &item("c"), "hello").await.refused(409, "item-closed");
    assert_eq!(answer(&daemon, &closed()).await["status"], 200);
    assert_eq!(answer(&daemon, &with(closed(), json!({"outcome": "failed"}))).await["status"], 409);

    // What nobody had created, and what is open here.
    let never = json!({"id": "n", "created_at": null, "payload_size": null, "payload_sha256": null});
    assert_eq!(answer(&daemon, &with(closed(), never.clone())).await["status"], 201);
    assert_eq!(answer(&daemon, &with(closed(), never)).await["status"], 200);
    daemon.ask(Method::GET, &item("n")).await.refused(404, "item-not-found");
    daemon.send(Method::PUT, &item("n"), "late").await.refused(409, "item-closed");
    daemon.create("uploads", "o", "?deadline=2h", "hello").await;
    let open = answer(&daemon, &with(closed(), json!({"id": "o"}))).await;
    assert!(open["detail"].as_str().unwrap().contains("the line says that it was closed"), "{open}");

    // All of it is in an export that asks for it, and in none that does not.
    let lines = daemon.ask(Method::GET, "/v1/export?state=closed").await.lines(200);
    let without_cursor = |line: &Value| with(line.clone(), json!({"cursor": null, "deadline_from": null}));
    assert_eq!(without_cursor(&lines[0]), closed());
    assert_eq!((lines.len(), &lines[1]["id"], &lines[1]["created_at"]), (2, &json!("n"), &json!(null)));
    let open = daemon.ask(Method::GET, "/v1/export").await.lines(200);
    assert_eq!((open.len(), &open[0]["id"]), (1, &json!("o")));

    // It is remembered for as long as it would have been here.
    daemon.advance(Duration::from_secs(22 * 3600 - 1));
    daemon.send(Method::PUT, &item("c"), "hello").await.refused(409, "item-closed");
    daemon.advance(Duration::from_secs(1));
    let over = answer(&daemon, &closed()).await;
    assert_eq!(over, json!({"status": 204, "workflow": "uploads", "id": "c"}), "nothing is left to be kept");
    daemon.create("uploads", "c", "", "hello").await;
}

#[tokio::test]
async fn a_payload_that_is_kept_beyond_the_close_goes_along() {
    let config = "[workflows.uploads]\nkeep_payload = \"12h\"";
    let daemon = TestDaemon::builder().config(config).start().await;
    let kept = json!({"payload": "hello", "payload_size": null, "payload_sha256": null});
    let line = with(closed(), kept);
    assert_eq!(answer(&daemon, &line).await["status"], 201);
    assert_eq!(daemon.ask(Method::GET, &format!("{}/payload", item("c"))).await.text(), "hello");
    let exported = daemon.ask(Method::GET, "/v1/export?state=closed").await.lines(200).remove(0);
    assert_eq!((&exported["payload"], &exported["payload_size"]), (&json!("hello"), &json!(null)));
}

#[tokio::test]
async fn only_an_admin_may_say_what_an_item_has_been_through() {
    let daemon = guarded().await;
    let batch = async |token: &str, lines: &[Value]| {
        let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
        ask_as(token, daemon.request(Method::POST, "/v1/batch").body(body)).await.lines(200)
    };
    let plain = json!({"op": "create", "workflow": "uploads", "id": "p", "payload": "x"});
    for (field, value) in [
        ("state", json!("open")),
        ("created_at", json!("2025-12-31T20:00:00Z")),
        ("errors", json!([])),
        ("course", json!({})),
        ("outcome", json!("success")),
        ("payload_size", json!(1)),
    ] {
        for token in ["ingest", "limited"] {
            let answers = batch(token, &[with(plain.clone(), json!({field: value})), plain.clone()]).await;
            assert_eq!(answers[0]["status"], 403, "{field} by {token}");
            let detail = answers[0]["detail"].as_str().unwrap();
            assert!(detail.contains(field) && detail.contains("history=false"), "{detail}");
            assert!([201, 200].map(|status| json!(status)).contains(&answers[1]["status"]), "it fails alone");
        }
    }
    assert_eq!(batch("admin", &[failed()]).await[0]["status"], 201);
    assert_eq!(batch("deputy", &[with(failed(), json!({"id": "b"}))]).await[0]["status"], 201);
    assert_eq!(batch("deputy", &[with(failed(), json!({"workflow": "reports"}))]).await[0]["status"], 403);
    // Without a history an export is for everybody.
    let export = daemon.request(Method::GET, "/v1/export?history=false&workflow=uploads");
    let lines = ask_as("recover", export).await.lines(200);
    let (open, failed): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line["id"] == "file-1");
    assert_eq!((open.len(), failed.len()), (1, 3));
    assert!(failed.iter().all(|line| line.get("state").is_none() && line.get("errors").is_none()));
    assert_eq!(batch("ingest", &failed).await[0]["status"], 200);
    let both = daemon.request(Method::GET, "/v1/export?history=false&state=closed");
    ask_as("recover", both).await.refused(400, "invalid-request");
}

#[tokio::test]
async fn a_past_that_cannot_be_is_refused() {
    let daemon = TestDaemon::builder().config("[workflows.steps]\nsteps = [\"copy\"]").start().await;
    let error = |member: Value| json!({"errors": [with(failed()["errors"][0].clone(), member)]});
    let many = |count: usize| {
        let one = |number| with(failed()["errors"][0].clone(), json!({"id": format!("err_{number}")}));
        json!({"errors": (0..count).map(one).collect::<Vec<_>>()})
    };
    let course = |course: Value| json!({ "course": course });
    let deep = (0..70).fold(json!(1), |inner, _| json!([inner]));
    for (line, members, reason) in [
        (failed(), json!({"state": null}), "must have a state"),
        (failed(), json!({"state": "paused"}), "is not one of open, overdue, failed, held, closed"),
        (failed(), json!({"state": "open"}), "must have the state failed or closed"),
        (failed(), json!({"failed_at": null}), "must have failed_at"),
        (failed(), json!({"created_at": null}), "must have created_at"),
        (failed(), json!({"created_at": "yesterday"}), "created_at"),
        (failed(), json!({"outcome": "success"}), "outcome must have the state closed"),
        (failed(), json!({"payload_size": 5}), "payload_size must have the state closed"),
        (failed(), json!({"deadline_from": "somewhere"}), "duration or instant"),
        (failed(), json!({"workflow": "steps"}), "its steps are copy"),
        (failed(), json!({"payload": null}), "payload"),
        (failed(), json!({"created_at": "2026-01-01T00:01:01Z"}), "in the future"),
        (failed(), json!({"failed_at": "2025-12-31T18:00:00Z"}), "before created_at"),
        (failed(), json!({"retry_at": "2099-01-01T00:00:00Z"}), "ten years"),
        (failed(), course(json!({"deadline_max": "2099-01-01T00:00:00Z"})), "deadline_max is 2099"),
        (failed(), course(json!({"repetitions": [{"runs": 1, "due": "2099-01-01T00:00:00Z"}]})), "due of"),
        (
            failed(),
            course(json!({
                "interrupted_at": "2025-12-31T22:00:00Z",
                "interrupted_until": "2099-01-01T00:00:00Z"
            })),
            "interrupted_until is 2099",
        ),
        (failed(), json!({"steps": [{"name": "", "status": "done", "at": "2025-12-31T21:00:00Z"}]}), "step"),
        (failed(), json!({"steps": [{"name": "a", "status": "lost", "at": "2025-12-31T21:00:00Z"}]}), "lost"),
        (failed(), json!({"progress": {"x": "y".repeat(33_000)}}), "32768"),
        (failed(), json!({"progress": {"x": deep}}), "levels deep"),
        (failed(), error(json!({"id": "1"})), "err_"),
        (failed(), error(json!({"id": format!("err_{}", "x".repeat(61))})), "err_"),
        (failed(), error(json!({"type": ""})), "its type"),
        (failed(), error(json!({"message": "x".repeat(2049)})), "its message"),
        (failed(), error(json!({"data": "x".repeat(5000)})), "its data"),
        (failed(), error(json!({"at": "2025-12-31T12:00:00Z"})), "before created_at"),
        (failed(), error(json!({"more": 1})), "more"),
        (failed(), many(21), "at most 20 errors"),
        (failed(), json!({"errors": [failed()["errors"][0], failed()["errors"][0]]}), "duplicate"),
        (closed(), json!({"closed_at": null}), "closed_at and outcome"),
        (closed(), json!({"outcome": "lost"}), "not one of success"),
        (closed(), json!({"payload_size": null}), "must occur together"),
        (closed(), json!({"payload": "hello"}), "in place of a payload"),
        (closed(), json!({"payload_sha256": "2cf2"}), "64 hexadecimal"),
        (closed(), json!({"payload_size": null, "payload_sha256": null}), "or else payload_size"),
        (closed(), json!({"closed_at": "2025-12-31T18:00:00Z"}), "before created_at"),
        (closed(), json!({"failed_at": "2025-12-31T23:59:00Z"}), "closed_at is"),
        (closed(), json!({"op": "close"}), "a close must not have state"),
    ] {
        let line = with(line, members);
        let refused = answer(&daemon, &line).await;
        assert_eq!(refused["status"], 400, "{line} for {reason}");
        assert!(refused["detail"].as_str().unwrap().contains(reason), "{refused} for {reason}");
    }
    let none = daemon.get("/v1/items").await;
    assert_eq!(none["data"], json!([]));
    // A clock that is a little ahead elsewhere, or was put right, is no reason to refuse anything.
    let ahead = json!({"created_at": "2026-01-01T00:00:59Z", "step_entered_at": null, "steps": null,
        "errors": null, "failed_at": "2025-12-31T23:30:00.000Z"});
    assert_eq!(answer(&daemon, &with(failed(), ahead)).await["status"], 201);
    assert_eq!(daemon.get(&item("a")).await["created_at"], "2026-01-01T00:00:00.000Z");
    assert_eq!(answer(&daemon, &with(failed(), many(20))).await["status"], 200);
}
