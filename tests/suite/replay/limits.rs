//! Refused replays, and how many ended ones are kept.

use super::*;

#[tokio::test]
async fn what_is_not_as_it_must_be_is_refused_with_what_is_wrong() {
    let daemon = TestDaemon::start().await;
    let long = "x".repeat(2_100);
    for (changes, told) in [
        (json!({"max_per_second": 0}), "max_per_second is a number from 0.01 to 10000"),
        (json!({"max_per_second": 10_001}), "max_per_second"),
        (json!({"concurrency": 0}), "concurrency is a number from 1 to 256"),
        (json!({"concurrency": 257}), "concurrency"),
        (json!({"canary": -1}), "invalid value: integer `-1`"),
        (json!({"ramp_up": "8d"}), "ramp_up must be at most 7d"),
        (json!({"ramp_up": "soon"}), "ramp_up=\"soon\" is not a duration"),
        (json!({"timeout": "0s"}), "timeout must be more than zero and at most 10m"),
        (json!({"timeout": "11m"}), "timeout"),
        (json!({"name": "x".repeat(129)}), "name must be at most 128 bytes"),
        (json!({"name": "a\nb"}), "without control characters"),
        (json!({"on_success": "forget"}), "unknown variant `forget`, expected `accept` or `close`"),
        (json!({"speed": 1}), "unknown field `speed`"),
        (json!({"target": {"url": "target"}}), "target.url is not a URL"),
        (json!({"target": {"url": "ftp://x/"}}), "target.url must begin with http:// or https://"),
        (json!({"target": {"url": "http://x/#part"}}), "must not have a fragment"),
        (json!({"target": {"url": format!("http://x/{long}")}}), "target.url may have at most 2048 bytes"),
        (json!({"target": {"url": "http://169.254.169.254/latest"}}), "169.254.169.254 (link-local)"),
        (json!({"target": {"secret": "sesame"}}), "target.secret: a signing secret starts with `whsec_`"),
        (json!({"target": {"key": "x"}}), "unknown field `key`"),
        (json!({"filter": {"states": ["closed"]}}), "states may contain only open, overdue, failed"),
        (json!({"filter": {"states": ["late"]}}), "unknown variant `late`"),
        (json!({"filter": {"workflows": ["a/b"]}}), "\"a/b\" is no glob of workflows"),
        (json!({"filter": {"workflows": vec!["a"; 33]}}), "at most 32 workflow globs"),
        (json!({"filter": {"labels": {"a b": "c"}}}), "\"a b\" is no label name"),
        (json!({"filter": {"step": "a b"}}), "\"a b\" is no valid step name"),
        (
            json!({"filter": {"created_before": "yesterday"}}),
            "created_before=\"yesterday\" is not an RFC 3339 instant",
        ),
        (json!({"filter": {"state": "open"}}), "unknown field \"state\" in filter"),
    ] {
        let document = to_url("http://127.0.0.1:1/", changes.clone());
        let detail =
            daemon.send_json(Method::POST, "/v1/replays", document).await.refused(400, "invalid-request");
        assert!(detail.contains(told), "{changes}: {detail}");
        assert!(!detail.contains("sesame"), "{detail}");
    }
    let none = daemon.send_json(Method::POST, "/v1/replays", json!({})).await;
    assert!(none.refused(400, "invalid-request").contains("missing field `target`"));
    assert_eq!(daemon.get("/v1/replays").await["data"], json!([]));
}

#[tokio::test]
async fn a_name_that_leads_where_targets_must_not_be_is_not_called() {
    let config = "[replay]\nallow_networks = []";
    let daemon = TestDaemon::builder().config(config).start().await;
    lose(&daemon, "file-1").await;
    let literal = to_url("http://127.0.0.1:1/", json!({}));
    let detail = daemon.send_json(Method::POST, "/v1/replays", literal).await.refused(400, "invalid-request");
    assert!(detail.contains("127.0.0.1 (loopback)") && detail.contains("[replay]"), "{detail}");
    let replay = start(&daemon, to_url("http://localhost:1/", json!({}))).await;
    let ended = completed(&daemon, &replay).await;
    let reason = ended["failures"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("refused to connect: `localhost` leads to"), "{reason}");
}

#[tokio::test]
async fn what_may_be_secret_in_a_target_is_shown_nowhere() {
    let target = TestReceiver::start().await;
    let mut daemon = TestDaemon::builder().on_sled().start().await;
    lose_many(&daemon, 2).await;
    let url = target.url().replace("http://", "http://kim:sesame@");
    let url = format!("{url}?key=sesame");
    let document = to_url(&url, json!({"max_per_second": 0.01}));
    let answer = daemon.send_json(Method::POST, "/v1/replays", document).await;
    assert!(!answer.text().contains("sesame"), "{}", answer.text());
    let replay = answer.json(202);
    assert_eq!(replay["target"]["url"], target.url());
    let received = target.next().await;
    assert_eq!(
        (received.uri.query(), received.header("authorization")),
        (Some("key=sesame"), "Basic a2ltOnNlc2FtZQ==")
    );
    when(&daemon, &replay, "one that succeeded", |replay| replay["succeeded"] == 1).await;
    let cancelled = act(&daemon, &replay, "cancel").await;
    assert_eq!(cancelled["target"]["url"], target.url());
    daemon.restart().await;
    assert_eq!(now(&daemon, &replay).await["target"]["url"], target.url());
}

#[tokio::test]
async fn no_more_run_at_once_than_may() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::builder().config("[replay]\nrunning_max = 2").start().await;
    lose_many(&daemon, 3).await;
    let slowly = || to(&target, json!({"max_per_second": 0.01}));
    let (first, second) = (start(&daemon, slowly()).await, start(&daemon, slowly()).await);
    let refused = daemon.send_json(Method::POST, "/v1/replays", slowly()).await;
    assert!(refused.refused(422, "too-many-replays").contains("replay.running_max"));
    act(&daemon, &first, "pause").await;
    let third = start(&daemon, slowly()).await;
    let resume = daemon.ask(Method::POST, &path(&first, "/resume")).await;
    resume.refused(422, "too-many-replays");
    act(&daemon, &third, "cancel").await;
    act(&daemon, &first, "resume").await;
    act(&daemon, &second, "resume").await;
}

#[tokio::test]
async fn no_more_items_are_selected_than_may_be() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::builder().config("[replay]\nitems_max = 3").start().await;
    lose_many(&daemon, 4).await;
    let refused = daemon.send_json(Method::POST, "/v1/replays", to(&target, json!({}))).await;
    assert!(refused.refused(422, "selection-too-large").contains("replay.items_max"));
    daemon.close("uploads", "0000").await;
    let replay = start(&daemon, to(&target, json!({}))).await;
    assert_eq!(replay["total"], 3);
}

#[tokio::test]
async fn one_that_ended_long_ago_is_forgotten() {
    for on_disk in [false, true] {
        let builder = TestDaemon::builder().config("[replay]\nhistory = \"1h\"");
        let mut daemon = if on_disk { builder.on_sled() } else { builder }.start().await;
        let old = start(&daemon, to_url("http://127.0.0.1:1/", json!({}))).await;
        daemon.advance(1800 * SECOND);
        let young = start(&daemon, to_url("http://127.0.0.1:1/", json!({}))).await;
        lose_many(&daemon, 2).await;
        let paused = start(&daemon, to_url("http://127.0.0.1:1/", json!({"max_per_second": 0.01}))).await;
        act(&daemon, &paused, "pause").await;
        daemon.advance(1800 * SECOND);
        eventually("the oldest to be forgotten", || async {
            // The sweep looks once a minute.
            daemon.advance(SECOND);
            let answer = daemon.ask(Method::GET, &path(&old, "")).await;
            (answer.status == 404).then_some(())
        })
        .await;
        daemon.restart().await;
        daemon.ask(Method::GET, &path(&old, "")).await.refused(404, "replay-not-found");
        assert_eq!(now(&daemon, &young).await["status"], "completed");
        assert_eq!(now(&daemon, &paused).await["status"], "paused");
    }
}
