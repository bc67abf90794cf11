//! Readers of stdout that go away.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use super::{Scene, in_state, item, lose, lose_many};
use crate::support::{TestDaemon, within_patience};

/// What a script begins with so that all but the first three items wait until the file `go` is there.
const WAIT: &str = "case $WARDEN_ITEM_ID in file-00[0-2]);; *) until [ -e go ]; do sleep 0.01; done;; esac; ";

/// Runs the recovery until two lines were read of what it writes, lets the other items begin, and gives its
/// exit code and what it said.
async fn read_two_lines(mut recover: Command, go: PathBuf) -> (Option<i32>, String) {
    let ended = tokio::task::spawn_blocking(move || {
        let mut child = recover.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let (mut lines, mut byte) = (0, [0]);
        while lines < 2 {
            assert_eq!(out.read(&mut byte).unwrap(), 1);
            lines += usize::from(byte == *b"\n");
        }
        drop(out);
        std::fs::write(go, "").unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    });
    within_patience("the recovery to end", ended).await.unwrap()
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_stops_the_recovery_and_no_item_fails_by_it() {
    let scripts = [
        // Ended by SIGPIPE.
        ("", "cat; echo"),
        // What a shell says of a command that was.
        ("", "sh -c 'cat; echo'"),
        // A program that minds the error instead.
        ("", "trap '' PIPE; { cat; echo; } 2>/dev/null || exit 1"),
        ("--concurrency 4", "cat; echo"),
    ];
    for (flags, script) in scripts {
        let (daemon, scene) = (TestDaemon::start().await, Scene::new());
        lose_many(&daemon, 30).await;
        let (code, notes) = read_two_lines(
            scene.recover(&daemon.url(""), flags, &format!("{WAIT}{script}")),
            scene.path("go"),
        )
        .await;
        assert_eq!(code, Some(1), "{script}: {notes}");
        assert!(
            notes.ends_with("warden: stdout was closed: items that had not begun are unchanged\n"),
            "{notes}"
        );
        let (closed, failed) =
            (in_state(&daemon, "closed").await.len(), in_state(&daemon, "failed").await.len());
        assert!((2..=3).contains(&closed), "{script}: {closed} are closed: {notes}");
        assert_eq!(failed, 0, "{script}: {notes}");
        let claimed = daemon.send_json(Method::POST, "/v1/leases", json!({"max": 100})).await.json(200);
        let claimed = claimed["leases"].as_array().unwrap();
        assert_eq!(claimed.len(), 30 - closed, "{script}: all the others are free");
        for lease in claimed {
            assert_eq!(lease["item"]["errors"], json!([]), "{script}: {lease}");
        }
    }
}

#[tokio::test]
async fn a_command_that_is_stopped_by_a_signal_has_not_failed_its_item() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let stopped = ["hup", "int", "pipe", "term", "129", "130", "141", "143"];
    lose(&daemon, &stopped).await;
    lose(&daemon, &["kill", "137"]).await;
    let script = "case $WARDEN_ITEM_ID in [0-9]*) exit $WARDEN_ITEM_ID;; esac; \
        kill -s $(echo $WARDEN_ITEM_ID | tr a-z A-Z) $$";
    let said = scene.recovered(&daemon, "", script).await.failed(1);
    assert!(said.contains("done 0, failed 2, to be retried 0, lost 0, skipped 8"), "{said}");
    assert!(said.contains("uploads/141 skipped: its command was stopped by SIGPIPE\n"), "{said}");
    assert!(said.contains("uploads/int skipped: its command was stopped by SIGINT\n"), "{said}");
    for id in stopped {
        let item = item(&daemon, id).await;
        assert_eq!(
            (&item["state"], &item["errors"], &item["lease"]),
            (&json!("overdue"), &json!([]), &Value::Null)
        );
    }
    assert_eq!(in_state(&daemon, "failed").await, ["137", "kill"]);
}
