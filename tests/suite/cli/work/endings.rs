//! What the exit code of a command does to its item.

use serde_json::{Value, json};

use super::{Scene, etl, item, run, work, worked};

#[tokio::test]
async fn an_exit_code_says_done_later_skipped_interrupted_ignored_or_failed() {
    let (daemon, scene) = (etl().await, Scene::new());
    let failed = |code: &str| json!(["failed", "extract", format!("exit {code}"), "no host"]);
    for (code, exit, expected) in [
        ("0", 0, json!(["open", "clean", null, null])),
        ("75", 1, json!(["open", "extract", "exit 75", "no host"])),
        ("100", 0, json!(["open", "clean", null, "no host"])),
        ("101", 1, json!(["interrupted", "extract", null, "no host"])),
        ("102", 0, json!(["open", "clean", "exit 102", "no host"])),
        ("1", 1, failed("1")),
        ("64", 1, failed("64")),
        ("69", 1, failed("69")),
        ("77", 1, failed("77")),
        ("99", 1, failed("99")),
        ("103", 1, failed("103")),
        ("127", 1, failed("127")),
    ] {
        daemon.create("etl", code, "", "x").await;
        let script = format!("echo trying >&2; echo no host >&2; exit {code}");
        let (_, notes) =
            run(work(&daemon, &scene, &format!("--item {code}"), &[("extract", &script)])).await.ended(exit);
        let item = item(&daemon, code).await;
        let error = &item["errors"][0];
        let told = match &error["message"] {
            Value::String(text) => json!(text.lines().last()),
            _ => item["steps"][0]["message"].clone(),
        };
        let found = json!([item["state"], item["step"], error["type"], told]);
        assert_eq!(found, expected, "exit {code}");
        assert_eq!(code == "0", !notes.contains("no host"), "{notes}");
    }
}

#[tokio::test]
async fn a_command_that_the_shell_cannot_run_fails_its_item() {
    let (daemon, scene) = (etl().await, Scene::new());
    daemon.create("etl", "a", "", "x").await;
    worked(&daemon, &scene, "", &[("extract", "no-such-command-here --now")]).await.ended(1);
    let item = item(&daemon, "a").await;
    assert_eq!((&item["state"], &item["errors"][0]["type"]), (&json!("failed"), &json!("exit 127")));
    assert!(item["errors"][0]["message"].as_str().unwrap().contains("no-such-command-here"));
}

#[tokio::test]
async fn a_command_that_stops_itself_is_not_run_again_at_once() {
    let (daemon, scene) = (etl().await, Scene::new());
    daemon.create("etl", "a", "", "x").await;
    worked(&daemon, &scene, "", &[("extract", "echo run >> log; kill -PIPE $$")]).await.ended(1);
    assert_eq!(scene.lines("log"), ["run"]);
    assert_eq!(item(&daemon, "a").await["step_attempts"], 0);
}

#[tokio::test]
async fn a_worker_whose_output_nobody_reads_ends() {
    let (daemon, scene) = (etl().await, Scene::new());
    for id in ["a", "b", "c"] {
        daemon.create("etl", id, "", "x").await;
    }
    let mut command = work(&daemon, &scene, "", &[("extract", "echo run >> log; echo out; exit 3")]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    let notes = run(command).await.failed(1);
    assert!(
        notes.ends_with("warden: stdout was closed: items that had not begun are unchanged\n"),
        "{notes}"
    );
    assert_eq!(scene.lines("log"), ["run"]);
}

#[tokio::test]
async fn a_command_that_is_stopped_or_takes_too_long_has_not_failed_its_item() {
    let (daemon, scene) = (etl().await, Scene::new());
    for id in ["stopped", "slow"] {
        daemon.create("etl", id, "", "x").await;
    }
    run(work(&daemon, &scene, "--max 1 --item stopped", &[("extract", "kill -TERM $$")])).await.ended(1);
    let stopped = item(&daemon, "stopped").await;
    assert_eq!((&stopped["state"], &stopped["step_attempts"]), (&json!("open"), &json!(0)));
    run(work(&daemon, &scene, "--timeout 100ms --item slow", &[("extract", "sleep 60")])).await.ended(1);
    let slow = item(&daemon, "slow").await;
    assert_eq!((&slow["state"], &slow["errors"][0]["type"]), (&json!("open"), &json!("timeout")));
    assert_eq!(slow["step_retries"], 1);
}

#[tokio::test]
async fn an_ignored_error_may_end_the_item_and_that_is_told_to_on_close() {
    let (daemon, scene) = (etl().await, Scene::new());
    daemon.create("etl", "a", "?step=load", "x").await;
    let on_close = "--on-close=echo${IFS}$WARDEN_OUTCOME>>closed";
    let (_, notes) = worked(&daemon, &scene, on_close, &[("load", "exit 102")]).await.ended(0);
    assert!(notes.contains("etl/a at load ignored: stderr was empty\n"), "{notes}");
    assert_eq!(scene.lines("closed"), ["failed"]);
    daemon.create("etl", "b", "?step=load", "x").await;
    let (_, notes) = worked(&daemon, &scene, "--on-close=exit${IFS}3", &[("load", "true")]).await.ended(0);
    assert!(notes.contains("etl/b is closed, but its --on-close command failed: exit 3"), "{notes}");
}
