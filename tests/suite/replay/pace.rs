//! Rate, ramp-up and canary.

use super::*;

/// How many items arrived in each second of the daemon's clock since it was started.
async fn by_second(target: &TestReceiver) -> Vec<usize> {
    let mut seconds = Vec::new();
    for one in target.arrived().await {
        let second: usize = one.header("webhook-timestamp").parse().unwrap();
        let second = second - 1_767_225_600;
        seconds.resize(seconds.len().max(second + 1), 0);
        seconds[second] += 1;
    }
    seconds
}

/// Moves the clock on in small steps, waiting at each for what is to arrive by then.
async fn let_pass(
    daemon: &TestDaemon,
    replay: &Value,
    (steps, millis): (u32, u64),
    expected: impl Fn(u32) -> u64,
) {
    for step in 1..=steps {
        daemon.advance(Duration::from_millis(millis));
        when(daemon, replay, &format!("{} sent", expected(step)), |replay| {
            let sent = replay["succeeded"].as_u64().unwrap();
            assert!(sent <= expected(step), "{sent} were sent by step {step}");
            sent == expected(step)
        })
        .await;
    }
}

#[tokio::test]
async fn the_rate_is_held() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    for number in 0..100 {
        lose(&daemon, &format!("{number:03}")).await;
    }
    let replay = start(&daemon, to(&target, json!({"max_per_second": 10, "concurrency": 100}))).await;
    when(&daemon, &replay, "the first", |replay| replay["succeeded"] == 1).await;
    let_pass(&daemon, &replay, (49, 100), |step| u64::from(step) + 1).await;
    let running = now(&daemon, &replay).await;
    let rate = running["rate"].as_f64().unwrap();
    assert!((9.0..11.0).contains(&rate), "{rate}");
    // Half of them are left, which takes five seconds more.
    let eta = warden::model::Timestamp::parse(running["eta"].as_str().unwrap()).unwrap();
    let left = eta.since(warden::model::Clock::now(daemon.clock())).as_secs_f64();
    assert!((4.0..6.0).contains(&left), "{left}");
    let_pass(&daemon, &replay, (50, 100), |step| 50 + u64::from(step)).await;
    assert_eq!(by_second(&target).await, [10; 10]);
}

#[tokio::test]
async fn after_a_time_of_standing_still_little_is_made_up_for() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose_many(&daemon, 50).await;
    let replay = start(&daemon, to(&target, json!({"max_per_second": 20, "concurrency": 50}))).await;
    when(&daemon, &replay, "the first", |replay| replay["succeeded"] == 1).await;
    daemon.advance(3600 * SECOND);
    when(&daemon, &replay, "the next two", |replay| replay["succeeded"] == 3).await;
    daemon.advance(Duration::from_millis(50));
    let sent = when(&daemon, &replay, "one more", |replay| replay["succeeded"].as_u64() >= Some(4)).await;
    assert_eq!(sent["succeeded"], 4);
}

#[tokio::test]
async fn no_more_are_on_their_way_than_may_be() {
    let target = crate::alerts::raw::RawReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose_many(&daemon, 5).await;
    let replay = start(&daemon, to_url(&target.url(), json!({"concurrency": 2, "timeout": "10m"}))).await;
    daemon.advance(SECOND);
    let (first, second) = (target.request().await, target.request().await);
    daemon.advance(SECOND);
    let waiting = now(&daemon, &replay).await;
    assert_eq!(counts(&waiting), [5, 2, 0, 0, 0]);
    assert!(target.is_idle());
    first.answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    let third = target.request().await;
    assert_eq!(third.header("warden-item-id"), "0002");
    drop((second, third));
}

#[tokio::test]
async fn the_rate_grows_to_its_maximum() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    for number in 0..100 {
        lose(&daemon, &format!("{number:03}")).await;
    }
    let document = to(&target, json!({"max_per_second": 10, "concurrency": 100, "ramp_up": "10s"}));
    let replay = start(&daemon, document).await;
    when(&daemon, &replay, "the first", |replay| replay["succeeded"] == 1).await;
    // After so many seconds half their square could have been sent, and the first was sent at once.
    let_pass(&daemon, &replay, (260, 50), |step| {
        let seconds = f64::from(step) / 20.0;
        let possible = if seconds < 10.0 { seconds * seconds / 2.0 } else { 10.0 * (seconds - 5.0) };
        (possible + 1e-9).floor() as u64 + 1
    })
    .await;
    assert_eq!(by_second(&target).await[..12], [1, 1, 3, 3, 5, 5, 7, 7, 9, 9, 10, 10]);
}

#[tokio::test]
async fn the_others_follow_when_the_canary_has_succeeded() {
    let target = crate::alerts::raw::RawReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose_many(&daemon, 5).await;
    let document = to_url(&target.url(), json!({"canary": 2, "concurrency": 5, "timeout": "10m"}));
    let replay = start(&daemon, document).await;
    daemon.advance(SECOND);
    let (first, second) = (target.request().await, target.request().await);
    daemon.advance(SECOND);
    first.answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    when(&daemon, &replay, "one that succeeded", |replay| replay["succeeded"] == 1).await;
    assert!(target.is_idle(), "the second one of the canary is still on its way");
    second.answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    for _ in 0..3 {
        target.request().await.answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    }
    let ended = when(&daemon, &replay, "its end", |replay| replay["status"] == "completed").await;
    assert_eq!(counts(&ended), [5, 5, 5, 0, 0]);
}

#[tokio::test]
async fn a_canary_that_fails_makes_it_pause_and_is_tried_anew() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose_many(&daemon, 8).await;
    for status in [204, 422, 204, 422, 204, 204] {
        target.answer(status, &[]);
    }
    let replay = start(&daemon, to(&target, json!({"canary": 2}))).await;
    for (sent, failed) in [(2, 1), (4, 2)] {
        let paused = run_until(&daemon, &replay, "a pause", |replay| replay["status"] == "paused").await;
        assert_eq!(paused["reason"], "the canary failed after 1 of 2 items: HTTP 422");
        assert_eq!(counts(&paused), [8, sent, sent - failed, failed, 0]);
        act(&daemon, &replay, "resume").await;
    }
    assert_eq!(counts(&completed(&daemon, &replay).await), [8, 8, 6, 2, 0]);
}

#[tokio::test]
async fn a_target_without_room_is_left_alone_as_long_as_it_asks_for() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    for id in ["a", "b"] {
        lose(&daemon, id).await;
    }
    target.answer(429, &[("retry-after", "40")]);
    target.answer(503, &[]);
    let replay = start(&daemon, to(&target, json!({}))).await;
    let held = when(&daemon, &replay, "a wait", |replay| !replay["held_until"].is_null()).await;
    assert_eq!((&held["held_until"], counts(&held)), (&json!("2026-01-01T00:00:40.000Z"), [2, 0, 0, 0, 0]));
    let first = target.next().await;
    daemon.advance(39 * SECOND);
    daemon.advance(SECOND);
    let second = target.next().await;
    assert_eq!(second.header("webhook-timestamp"), "1767225640", "not before");
    assert_ne!(
        second.header("warden-item-id"),
        first.header("warden-item-id"),
        "the first goes behind the others"
    );
    // Without a word of how long, the wait is short, and longer the second time.
    let held =
        when(&daemon, &replay, "a wait", |replay| replay["held_until"] == "2026-01-01T00:00:42.000Z").await;
    assert_eq!(held["status"], "running");
    daemon.advance(2 * SECOND);
    let ended = completed(&daemon, &replay).await;
    assert_eq!((counts(&ended), &ended["failure_reasons"]), ([2, 2, 2, 0, 0], &json!({})));
    assert_eq!(ended["held_until"], json!(null));
    for (before, again) in [first, second].iter().zip(target.arrived().await) {
        for name in ["warden-item-id", "webhook-id", "warden-attempt"] {
            assert_eq!(before.header(name), again.header(name), "{name}");
        }
    }
    let items = daemon.get("/v1/items").await;
    for item in items["data"].as_array().unwrap() {
        assert_eq!(
            (&item["step_attempts"], &item["errors"]),
            (&json!(1), &json!([])),
            "being put off is no attempt"
        );
    }
}

#[tokio::test]
async fn an_item_that_a_target_never_has_room_for_keeps_no_other_back_and_fails_at_last() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose(&daemon, "poison").await;
    target.usually(503, &[]);
    let replay = start(&daemon, to(&target, json!({}))).await;
    for _ in 0..21 {
        target.next().await;
        // Longer than it is ever waited for on its own account.
        when(&daemon, &replay, "an item that is not on its way", |replay| {
            !replay["held_until"].is_null() || replay["status"] == "completed"
        })
        .await;
        daemon.advance(120 * SECOND);
    }
    let ended = completed(&daemon, &replay).await;
    assert_eq!((counts(&ended), &ended["failure_reasons"]), ([1, 1, 0, 1, 0], &json!({"HTTP 503": 1})));
    let poison = daemon.get("/v1/workflows/uploads/items/poison").await;
    assert_eq!((&poison["state"], &poison["lease"]), (&json!("overdue"), &json!(null)));
}
