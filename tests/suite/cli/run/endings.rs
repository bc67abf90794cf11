//! How a command ends, and what becomes of its run.

use serde_json::json;

use super::{Scene, item, ledger, ran, spooled};
use crate::support::TestDaemon;

#[tokio::test]
async fn the_exit_code_of_the_command_is_passed_on_and_decides_how_the_run_ended() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    for (script, exit, kind, message) in [
        ("exit 0", 0, None, None),
        ("echo loading; echo no host >&2; exit 3", 3, Some("exit 3"), Some("it ended with 3: no host")),
        ("exit 255", 255, Some("exit 255"), Some("it ended with 255")),
        ("kill -9 $$", 137, Some("signal 9"), Some("signal 9 ended it")),
        ("kill -TERM $$", 143, Some("signal 15"), Some("signal 15 ended it")),
    ] {
        ran(&daemon, &scene, "", script).await.ended(exit);
        let run = ledger(&daemon).await.remove(0);
        let status = if kind.is_none() { "success" } else { "failed" };
        let found = json!([run["status"], run["error"]["type"], run["error"]["message"]]);
        assert_eq!(found, json!([status, kind, message]), "{script}");
    }
    assert!(spooled(&scene).is_empty());
    daemon.open_incidents(1).await;
}

#[tokio::test]
async fn a_command_that_cannot_be_run_fails_its_run() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    for (program, exit) in [("/no/such/program", 127), ("/etc/passwd", 126)] {
        let words = ["run", "--workflow", "nightly", "--", program];
        let mut line = crate::cli::command(&daemon.url(""), &words);
        line.env("WARDEN_SPOOL", scene.path("spool"));
        let notes = super::run(line).await.failed(exit);
        assert!(notes.starts_with(&format!("warden: cannot run {program}: ")), "{notes}");
        let run = ledger(&daemon).await.remove(0);
        assert_eq!(json!([run["status"], run["error"]["type"]]), json!(["failed", "not_started"]));
    }
}

#[tokio::test]
async fn output_is_passed_on_unchanged_and_its_end_is_kept_as_text() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    // 90 kB, which are 30,000 characters of three bytes; a byte that is none; and what is read from stdin.
    let script = "head -c 30000 /dev/zero | sed 's/\\x00/\\xe2\\x82\\xac/g'; printf '\\377end'; cat; \
                  echo bad >&2; exit 1";
    let mut line = super::line(&daemon.url(""), &scene, "--id run-1", script);
    let input = std::fs::File::open("/etc/hostname").unwrap();
    let output = tokio::task::spawn_blocking(move || line.stdin(input).output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let mut expected = "€".repeat(30_000).into_bytes();
    expected.extend(b"\xffend");
    expected.extend(std::fs::read("/etc/hostname").unwrap());
    assert!(output.stdout == expected, "stdout is not what the command wrote");
    assert_eq!(output.stderr, b"bad\n");
    let error = &item(&daemon, "run-1").await["errors"][0];
    let kept = error["stack"].as_str().expect("the output");
    assert!((10_200..=10_240).contains(&kept.len()), "{}", kept.len());
    // What came last of two streams is not certain, so only what is surely kept is looked for.
    assert!(kept.starts_with('€') && kept.contains("€\u{fffd}end"), "{kept}");
    assert_eq!(error["data"], json!({"exit_code": 1}));
    ran(&daemon, &scene, "--id run-2", "echo good; echo bad >&2; exit 1").await.ended(1);
    let error = &item(&daemon, "run-2").await["errors"][0];
    let kept = error["stack"].as_str().expect("the output");
    assert!(kept.contains("good") && kept.contains("bad"), "{kept}");
}

#[tokio::test]
async fn a_command_that_ends_too_soon_has_failed() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let notes = ran(&daemon, &scene, "--min-time 30s", "exit 0").await.failed(1);
    assert!(notes.contains("the command counts as failed: it ended after "), "{notes}");
    let run = ledger(&daemon).await.remove(0);
    assert_eq!(json!([run["status"], run["error"]["type"]]), json!(["failed", "min_time"]));
    ran(&daemon, &scene, "--min-time 10ms", "sleep 0.05").await.done();
    ran(&daemon, &scene, "--min-time 30s", "exit 4").await.failed(4);
}

#[tokio::test]
async fn so_many_failures_in_a_row_alert_nobody_as_are_tolerated() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let flaky = || ran(&daemon, &scene, "--tolerate 2", "echo no host; exit 3");
    for failure in [1, 2] {
        let (_, notes) = flaky().await.ended(3);
        assert_eq!(notes, format!("warden: failure {failure} in a row, of 2 tolerated\n"));
    }
    let run = ledger(&daemon).await.remove(0);
    let told = json!([run["status"], run["error"]["message"]]);
    assert_eq!(told, json!(["failed", "it ended with 3: no host"]));
    let id = run["id"].as_str().unwrap();
    let tolerated = item(&daemon, id).await;
    let error = &tolerated["errors"][0];
    let found =
        json!([tolerated["state"], tolerated["outcome"], error["type"], error["fatal"], error["stack"]]);
    assert_eq!(found, json!(["closed", "failed", "exit 3", false, "no host"]));
    // An item that is late tells that incidents have been decided about since.
    daemon.create("witness-1", "late", "?deadline=0s", "x").await;
    assert_eq!(daemon.open_incidents(1).await[0]["workflow"], "witness-1");
    // A success begins the count anew.
    ran(&daemon, &scene, "--tolerate 2", "exit 0").await.done();
    for _ in 0..2 {
        flaky().await.ended(3);
    }
    daemon.create("witness-2", "late", "?deadline=0s", "x").await;
    let incidents = daemon.open_incidents(2).await;
    assert!(incidents.iter().all(|incident| incident["workflow"] != "nightly"), "{incidents:?}");
    let (_, notes) = flaky().await.ended(3);
    assert_eq!(notes, "");
    let incidents = daemon.open_incidents(3).await;
    let alert = incidents.iter().find(|incident| incident["workflow"] == "nightly").expect("one of it");
    assert_eq!(json!([alert["kind"], alert["count"]]), json!(["failed", 1]));
}
