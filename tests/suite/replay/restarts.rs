//! A restart at any point of a replay: nothing that has ended is sent again, and what was on its way is, under its id.

use super::*;
use crate::alerts::raw::RawReceiver;

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
