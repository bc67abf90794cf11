//! Several items for one run of the command.

use serde_json::{Value, json};

use super::{Scene, in_state, item, lose, lose_many};
use crate::support::TestDaemon;

#[tokio::test]
async fn a_batch_is_a_line_of_json_for_each_item() {
    let steps = "[workflows.uploads]\nsteps = [\"copy\"]";
    let (daemon, scene) = (TestDaemon::builder().config(steps).start().await, Scene::new());
    daemon.create("uploads", "text", "?deadline=0s&label=region:eu", "ä\n").await;
    daemon.create("uploads", "binary", "?deadline=0s", vec![0, 255]).await;
    let said = scene.recovered(&daemon, "--exec-batch 10", "cat > batch; echo aside").await;
    assert!(said.notes.starts_with("aside\ndone 2, "), "{}", said.notes);
    assert_eq!(said.done(), "");
    let lines: Vec<Value> =
        scene.lines("batch").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = |id: &str, lease: &Value, labels: Value, (name, payload): (&str, &str)| {
        json!({"workflow": "uploads", "id": id, "file": format!("uploads@{id}"), "step": "copy", "attempt": 1,
            "lease": lease, "labels": labels,
            "content_type": "application/octet-stream", name: payload})
    };
    let expected = [
        line("text", &lines[0]["lease"], json!({"region": "eu"}), ("payload", "ä\n")),
        line("binary", &lines[1]["lease"], json!({}), ("payload_base64", "AP8=")),
    ];
    assert_eq!(lines, expected);
    assert_eq!(in_state(&daemon, "closed").await, ["binary", "text"]);
}

#[tokio::test]
async fn the_exit_code_is_for_all_of_which_the_command_does_not_say_more() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    lose(&daemon, &["a", "b", "c", "d"]).await;
    let tell = |id: &str, outcome: &str| {
        format!(
            "echo '{{\"workflow\":\"uploads\",\"id\":\"{id}\",\"outcome\":\"{outcome}\",\"message\":\"{id} \
             it is\"}}'; "
        )
    };
    let script =
        [tell("a", "done"), tell("b", "retry"), tell("c", "failed"), "echo no >&2; exit 4".to_owned()]
            .concat();
    let said = scene.recovered(&daemon, "--exec-batch 10", &script).await.failed(1);
    for line in [
        "uploads/b to be retried: retry: b it is\n",
        "uploads/c failed: failed: c it is\n",
        "uploads/d failed: exit 4: no\n",
        "done 1, failed 2, to be retried 1, lost 0, skipped 0",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert_eq!(item(&daemon, "a").await["state"], "closed");
    assert_eq!(item(&daemon, "b").await["state"], "overdue");
    assert_eq!(item(&daemon, "c").await["errors"][0]["message"], "c it is");
    assert_eq!(item(&daemon, "d").await["errors"][0]["type"], "exit 4");
}

#[tokio::test]
async fn a_batch_has_no_more_items_than_asked_for_and_bounds_hold_in_items() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let ids = lose_many(&daemon, 30).await;
    let script = "sed 's/.*\"id\":\"\\([^\"]*\\)\".*/\\1/' > $$; wc -l < $$ >> sizes; cat $$ >> ran";
    scene.recovered(&daemon, "--exec-batch 8 --max 21", script).await.done();
    assert_eq!(scene.lines("sizes").iter().map(|size| size.trim()).collect::<Vec<_>>(), ["8", "8", "5"]);
    assert_eq!(scene.lines("ran"), ids[..21]);
}

#[tokio::test]
async fn large_payloads_make_smaller_batches() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    for id in 0..12 {
        daemon.create("uploads", &format!("file-{id:02}"), "?deadline=0s", vec![b'x'; 1 << 20]).await;
    }
    scene.recovered(&daemon, "--exec-batch 100", "wc -l >> sizes").await.done();
    assert_eq!(scene.lines("sizes").iter().map(|size| size.trim()).collect::<Vec<_>>(), ["8", "4"]);
}

#[tokio::test]
async fn an_item_that_is_closed_meanwhile_does_not_end_its_batch() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    lose(&daemon, &["a", "b"]).await;
    let script = "touch up; until [ -e go ]; do sleep 0.01; done; exit 7";
    let mut running = scene.start(&daemon.url(""), "--exec-batch 2 --lease-ttl 1s", script);
    crate::support::eventually("the command to run", || async { scene.path("up").exists().then_some(()) })
        .await;
    daemon.close("uploads", "a").await;
    let beaten = item(&daemon, "b").await["lease"]["expires_at"].clone();
    // The clock of the daemon stands: that heartbeats come is seen by their moving with it.
    daemon.advance(std::time::Duration::from_millis(500));
    crate::support::eventually("a heartbeat", || async {
        (item(&daemon, "b").await["lease"]["expires_at"] != beaten).then_some(())
    })
    .await;
    std::fs::write(scene.path("go"), "").unwrap();
    assert_eq!(running.ended().await, 1);
    let notes = running.notes();
    assert!(notes.contains("uploads/b failed: exit 7") && notes.contains("uploads/a lost: "), "{notes}");
}
