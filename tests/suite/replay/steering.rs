//! Pause, resume and cancel.

use super::*;
use crate::alerts::raw::RawReceiver;

#[tokio::test]
async fn one_that_is_paused_sends_nothing_until_it_is_resumed() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose_many(&daemon, 6).await;
    let replay = start(&daemon, to(&target, json!({"max_per_second": 1}))).await;
    when(&daemon, &replay, "one that succeeded", |replay| replay["succeeded"] == 1).await;
    let paused = act(&daemon, &replay, "pause").await;
    assert_eq!(
        (&paused["status"], &paused["reason"], &paused["eta"]),
        (&json!("paused"), &json!(null), &json!(null))
    );
    assert_eq!(act(&daemon, &replay, "pause").await["status"], "paused", "again is fine");
    daemon.advance(3600 * SECOND);
    assert_eq!(counts(&now(&daemon, &replay).await), [6, 1, 1, 0, 0]);
    act(&daemon, &replay, "resume").await;
    assert_eq!(act(&daemon, &replay, "resume").await["status"], "running");
    when(&daemon, &replay, "one more", |replay| replay["succeeded"] == 2).await;
    let resumed = target.arrived().await.pop().unwrap();
    assert_eq!(resumed.header("webhook-timestamp"), "1767229200");
    assert_eq!(counts(&completed(&daemon, &replay).await), [6, 6, 6, 0, 0]);
}

#[tokio::test]
async fn what_is_on_its_way_is_finished_when_it_is_paused_and_when_it_is_cancelled() {
    for act_named in ["pause", "cancel"] {
        let target = RawReceiver::start().await;
        let daemon = TestDaemon::start().await;
        lose_many(&daemon, 3).await;
        let replay = start(&daemon, to_url(&target.url(), json!({"timeout": "10m"}))).await;
        let request = target.request().await;
        let acted = act(&daemon, &replay, act_named).await;
        assert_eq!(counts(&acted), [3, 1, 0, 0, 0]);
        request.answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        let finished = when(&daemon, &replay, "its end", |replay| replay["succeeded"] == 1).await;
        assert_eq!(finished["status"], acted["status"]);
        daemon.advance(60 * SECOND);
        assert_eq!(counts(&now(&daemon, &replay).await), [3, 1, 1, 0, 0]);
        assert!(target.is_idle());
    }
}

#[tokio::test]
async fn one_that_has_ended_cannot_be_changed_any_more() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    let completed = start(&daemon, to(&target, json!({}))).await;
    lose_many(&daemon, 2).await;
    let cancelled = start(&daemon, to(&target, json!({"max_per_second": 0.01}))).await;
    act(&daemon, &cancelled, "pause").await;
    let ended = act(&daemon, &cancelled, "cancel").await;
    assert_eq!((&ended["status"], ended["ended_at"].is_null()), (&json!("cancelled"), false));
    for (replay, status) in [(&completed, "completed"), (&cancelled, "cancelled")] {
        for what in ["pause", "resume", "cancel"] {
            let answer = daemon.ask(Method::POST, &path(replay, &format!("/{what}"))).await;
            let detail = answer.refused(409, "replay-ended");
            assert!(detail.starts_with(&format!("the replay is {status}")), "{detail}");
        }
    }
}

#[tokio::test]
async fn one_that_does_not_exist_is_not_found() {
    let daemon = TestDaemon::start().await;
    for (method, below) in
        [(Method::GET, ""), (Method::POST, "/pause"), (Method::POST, "/resume"), (Method::POST, "/cancel")]
    {
        let answer = daemon.ask(method, &format!("/v1/replays/rpl_0{below}")).await;
        answer.refused(404, "replay-not-found");
    }
}

#[tokio::test]
async fn replays_are_listed_the_newest_first_in_pages_and_by_status() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    let mut names = Vec::new();
    for number in 0..5 {
        if number == 3 {
            lose_many(&daemon, 3).await;
        }
        let name = format!("replay {number}");
        let replay = start(&daemon, to(&target, json!({"name": name, "max_per_second": 0.01}))).await;
        if number == 3 {
            act(&daemon, &replay, "pause").await;
        }
        names.insert(0, name);
        daemon.advance(Duration::from_millis(1));
    }
    let named = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(named(&daemon.ask(Method::GET, "/v1/replays").await.json(200)), names);
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = daemon.ask(Method::GET, &format!("/v1/replays?limit=2{cursor}")).await.json(200);
        found.extend(named(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, names);
    for (query, expected) in [
        ("status=paused", &["replay 3"][..]),
        ("status=running&status=paused", &["replay 4", "replay 3"]),
        ("status=cancelled", &[]),
    ] {
        let page = daemon.ask(Method::GET, &format!("/v1/replays?{query}")).await.json(200);
        assert_eq!(named(&page), expected, "{query}");
    }
    for query in ["status=done", "state=paused", "limit=0", "cursor=ä"] {
        daemon.ask(Method::GET, &format!("/v1/replays?{query}")).await.refused(400, "invalid-request");
    }
}

#[tokio::test]
async fn the_same_key_finds_the_same_replay() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose(&daemon, "file-1").await;
    let with_key = |key: &str, name: &str| {
        let document = to(&target, json!({"name": name}));
        let request = daemon.request(Method::POST, "/v1/replays").header("idempotency-key", key);
        crate::support::ask(request.json(&document))
    };
    let first = with_key("night-1", "first").await.json(202);
    completed(&daemon, &first).await;
    let again = with_key("night-1", "again").await.json(202);
    assert_eq!(
        (&again["id"], &again["name"], &again["status"]),
        (&first["id"], &json!("first"), &json!("completed"))
    );
    let other = with_key("night-2", "other").await.json(202);
    assert_ne!(other["id"], first["id"]);
    completed(&daemon, &other).await;
    assert_eq!(arrived(&target).await.len(), 2);
}
