//! What is left in the store after a story that was driven through the API: the same in memory and on disk.

use reqwest::Method;
use serde_json::{Value, json};

use super::rendering::rendered;
use crate::alerts::{DAY, HOUR, MINUTE, SECOND, advance_to, delivery_tried, id, incident_when, lose, patch};
use crate::replay::{counts, start, to, when};
use crate::support::daemon::{Builder, START};
use crate::support::redaction::redacted;
use crate::support::{TestDaemon, TestReceiver, ask, eventually};

/// Stops the daemon, and holds what it stored against the snapshot of this name.
async fn compare(mut daemon: TestDaemon, name: &str) {
    daemon.stop().await;
    let text = redacted(&rendered(&*daemon.stored()).await);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("stories");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn on_each_engine(config: &str) -> [Builder; 2] {
    [TestDaemon::builder().config(config), TestDaemon::builder().config(config).on_sled()]
}

async fn claim_one(daemon: &TestDaemon) -> Value {
    let document = json!({"worker": "host-1", "states": ["open"], "workflows": ["uploads"], "ttl": "10m"});
    let answer = daemon.send_json(Method::POST, "/v1/leases", document).await.json(200);
    answer["leases"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn items_are_stored_with_all_that_happened_to_them() {
    let config = "\
        [workflows.uploads]\n\
        deadline = \"30days\"\n\
        steps = [\"copy\", \"backup\"]\n\
        [workflows.reports]\n\
        deadline = \"30days\"\n\
        keep_payload = \"12h\"\n\
        [workflows.scratch]\n\
        retention = \"1h\"\n";
    for builder in on_each_engine(config) {
        let daemon = builder.start().await;
        daemon.create("uploads", "file-1", "?label=region:eu", "payload").await;
        daemon.create("uploads", "file-2", "?deadline=2026-02-01T00:00:00Z", "another payload").await;
        let create = daemon.request(Method::POST, "/v1/workflows/reports/items");
        ask(create.header("idempotency-key", "monthly").body("a report")).await.json(201);
        daemon.create("reports", "weekly", "", "a report").await;
        daemon.create("scratch", "note", "", "a note").await;
        daemon.create("drafts", "first", "?deadline=30days", vec![b'x'; 100_000]).await;

        daemon.advance(MINUTE);
        let change = json!({"labels": {"region": "us"}, "progress": {"done": 7}, "deadline": "40days"});
        patch(&daemon, "uploads", "file-1", change).await;
        let error = json!({"type": "Timeout", "message": "no answer", "data": {"host": "b"}});
        daemon.send_json(Method::POST, "/v1/workflows/uploads/items/file-1/errors", error).await.json(201);

        daemon.advance(MINUTE);
        let lease = claim_one(&daemon).await;
        let path = format!("/v1/leases/{}/complete", id(&lease));
        daemon.send_json(Method::POST, &path, json!({})).await.json(200);
        daemon.advance(MINUTE);
        claim_one(&daemon).await;

        daemon.close("reports", "weekly").await;
        daemon.ask(Method::DELETE, "/v1/workflows/reports/items/never").await.refused(404, "item-not-found");
        daemon.close("scratch", "note").await;
        daemon.advance(HOUR);
        // The sweep comes by every second.
        eventually("a closed item to be forgotten", || async {
            daemon.advance(SECOND);
            let stats = daemon.get("/v1/workflows/scratch/stats").await;
            (stats["closed"] == 0).then_some(())
        })
        .await;
        advance_to(&daemon, START.after(2 * HOUR));
        compare(daemon, "intake").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn incidents_are_stored_with_whom_they_were_told_to() {
    for on_sled in [false, true] {
        let (oncall, team) = (TestReceiver::start().await, TestReceiver::start().await);
        let receiver = |name: &str, receiver: &TestReceiver| {
            format!(
                "[receivers.{name}]\nurl = \"{}\"\nallow_private = true\nconcurrency = 1\n",
                receiver.url()
            )
        };
        let workflow = |name: &str, receiver: &str| {
            format!("[workflows.{name}]\nreceivers = [\"{receiver}\"]\nrepeat_interval = \"30days\"\n")
        };
        let config = [
            receiver("oncall", &oncall),
            receiver("team", &team),
            workflow("uploads", "oncall"),
            workflow("reports", "team"),
            workflow("archive", "oncall"),
        ]
        .concat();
        let [in_memory, on_disk] = on_each_engine(&config);
        let daemon = if on_sled { on_disk } else { in_memory }.start().await;

        lose(&daemon, "uploads", "file-1").await;
        let uploads = id(&daemon.open_incidents(1).await[0]).to_owned();
        daemon.advance(10 * SECOND);
        delivery_tried(&daemon, &uploads, 1).await;
        let ack = json!({"by": "kim", "comment": "on it"});
        daemon.send_json(Method::POST, &format!("/v1/incidents/{uploads}/ack"), ack).await.json(200);
        daemon.advance(MINUTE);
        daemon.close("uploads", "file-1").await;
        let resolved = |incident: &Value| incident["status"] == "resolved";
        incident_when(&daemon, &uploads, "its end", resolved).await;
        all_sent(&daemon, "delivered", 2).await;

        daemon.advance(MINUTE);
        team.usually(500, &[]);
        lose(&daemon, "reports", "weekly").await;
        let reports = id(&daemon.open_incidents(1).await[0]).to_owned();
        daemon.advance(10 * SECOND);
        delivery_tried(&daemon, &reports, 1).await;
        daemon.advance(DAY + MINUTE);
        all_sent(&daemon, "dead", 1).await;

        let silence =
            json!({"workflow": "arch*", "for": "2h", "author": "kim", "comment": "moving the disks"});
        let request = daemon.request(Method::POST, "/v1/silences").header("idempotency-key", "night-1");
        ask(request.json(&silence)).await.json(201);
        lose(&daemon, "archive", "tape").await;
        let archive = daemon.open_incidents(2).await;
        let archive = archive.iter().find(|incident| incident["workflow"] == "archive").unwrap();
        daemon.advance(MINUTE);
        let silenced = |incident: &Value| incident["waiting_for"] == "silence";
        incident_when(&daemon, id(archive), "its silence", silenced).await;
        compare(daemon, "alerting").await;
    }
}

/// Waits until so many deliveries are as they should be.
async fn all_sent(daemon: &TestDaemon, status: &str, count: usize) {
    eventually(&format!("{count} {status} deliveries"), || async {
        let page = daemon.get(&format!("/v1/deliveries?status={status}")).await;
        (page["data"].as_array()?.len() == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_stored_with_what_became_of_each_item() {
    for builder in on_each_engine("[workflows.uploads]\nsteps = [\"copy\"]") {
        let target = TestReceiver::start().await;
        let daemon = builder.start().await;
        for id in ["file-1", "file-2", "file-3", "file-4"] {
            daemon.create("uploads", id, "?deadline=30days", format!("payload of {id}")).await;
        }
        daemon.advance(SECOND);
        target.answer(204, &[]);
        target.answer(422, &[]);
        let filter = json!({"workflows": ["up*"], "states": ["open"]});
        let changes = json!({"name": "monday", "filter": filter, "on_success": "close", "max_per_second": 1});
        let replay = start(&daemon, to(&target, changes)).await;
        for ended in 1..=3 {
            let is = |replay: &Value| counts(replay)[2] + counts(replay)[3] == ended;
            when(&daemon, &replay, &format!("{ended} items behind it"), is).await;
            if ended == 2 {
                daemon.close("uploads", "file-4").await;
            }
            daemon.advance(SECOND);
        }
        when(&daemon, &replay, "its end", |replay| replay["status"] == "completed").await;
        compare(daemon, "replay").await;
    }
}
