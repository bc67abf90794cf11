//! `kill -9` in the middle of a replay, with the real binary and its store on disk.
//!
//! `KILL_ROUNDS` is the number of kills (4 by default).

use std::collections::HashMap;

use super::*;
use crate::support::{DaemonProcess, ask};

const ITEMS: usize = 400;

fn rounds() -> u32 {
    std::env::var("KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4)
}

async fn get(daemon: &DaemonProcess, path: &str) -> Value {
    ask(daemon.request(Method::GET, path)).await.json(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_has_ended_is_sent_again_and_what_was_on_its_way_keeps_its_id() {
    for on_success in ["accept", "close"] {
        let directory = tempfile::tempdir().expect("a directory");
        let target = TestReceiver::start().await;
        let mut daemon = DaemonProcess::on(directory.path());
        let line = |number: usize| {
            json!({"op": "create", "workflow": "uploads", "id": format!("{number:04}"), "payload": "x",
                "deadline": "0s"})
            .to_string()
        };
        let lines: Vec<String> = (0..ITEMS).map(line).collect();
        ask(daemon.request(Method::POST, "/v1/batch").body(lines.join("\n"))).await.lines(200);
        let document = json!({"target": {"url": target.url()}, "max_per_second": 200, "concurrency": 8,
            "on_success": on_success});
        let replay = ask(daemon.request(Method::POST, "/v1/replays").json(&document)).await.json(202);
        assert_eq!(replay["total"], ITEMS);

        let mut messages: HashMap<String, Vec<String>> = HashMap::new();
        for round in 0..rounds() {
            let wanted = u64::from(round + 1) * 60;
            let known = eventually("progress", || async {
                let replay = get(&daemon, &path(&replay, "")).await;
                (counts(&replay)[2] >= wanted || replay["status"] == "completed").then_some(replay)
            })
            .await;
            // What people were shown may not be on disk yet; what follows a whole commit is.
            let settled = act_on(&daemon, &replay, "pause").await;
            gather(&target, &mut messages).await;
            let ended_by_now = counts(&settled)[2];
            assert!(ended_by_now >= counts(&known)[2]);
            if settled["status"] == "paused" {
                act_on(&daemon, &replay, "resume").await;
            }
            daemon.kill();
            gather(&target, &mut messages).await;
            daemon = DaemonProcess::on(directory.path());
            let recovered = get(&daemon, &path(&replay, "")).await;
            assert!(counts(&recovered)[2] >= ended_by_now, "{recovered} after {settled}");
        }
        let ended = eventually("its end", || async {
            Some(get(&daemon, &path(&replay, "")).await).filter(|replay| replay["status"] == "completed")
        })
        .await;
        gather(&target, &mut messages).await;
        assert_eq!(counts(&ended)[..1], [ITEMS as u64]);
        assert_eq!(counts(&ended)[2] + counts(&ended)[4], ITEMS as u64, "{ended}");
        assert_eq!(messages.len(), ITEMS);
        let mut again = 0;
        for (id, messages) in &messages {
            again += messages.len() - 1;
            assert!(messages.iter().all(|message| message == &messages[0]), "{id} came as {messages:?}");
        }
        // At most as many as were on their way at each kill.
        assert!(again <= rounds() as usize * 8, "{again} came again");
        if on_success == "close" {
            let left = get(&daemon, "/v1/items/summary?state=open&state=overdue&state=failed").await;
            assert_eq!(left["count"], 0);
        }
    }
}

async fn act_on(daemon: &DaemonProcess, replay: &Value, what: &str) -> Value {
    let answer = ask(daemon.request(Method::POST, &path(replay, &format!("/{what}")))).await;
    if answer.status == 409 { get(daemon, &path(replay, "")).await } else { answer.json(200) }
}

async fn gather(target: &TestReceiver, messages: &mut HashMap<String, Vec<String>>) {
    for one in target.arrived().await {
        let id = one.header("warden-item-id").to_owned();
        messages.entry(id).or_default().push(one.header("webhook-id").to_owned());
    }
}
