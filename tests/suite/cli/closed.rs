//! Output that nobody reads: commands do their work, set the right exit code, and never panic.

use std::process::{Command, Stdio};

use serde_json::json;

use super::{command, lists, run};
use crate::support::{DaemonProcess, TestDaemon, eventually, process, within_patience};

/// The writing end of a pipe that nobody reads.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// Runs it with nobody to read its stdout, and gives its exit code and what it said.
async fn without_stdout(mut command: Command) -> (Option<i32>, String) {
    let child = command.stdout(unread()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let output = within_patience("the command to end", ended).await.unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The same with nobody to read its stderr.
async fn without_stderr(mut command: Command) -> Option<i32> {
    let child = command.stdout(Stdio::piped()).stderr(unread()).spawn().unwrap();
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    within_patience("the command to end", ended).await.unwrap().status.code()
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_of_a_list_is_no_failure() {
    let daemon = TestDaemon::start().await;
    lists::create(&daemon, 600).await;
    for arguments in [
        &["items", "--all"][..],
        &["items", "--all", "--output", "json"],
        &["export"],
        &["incidents", "--all"],
        &["deliveries"],
        &["show", "uploads", "file-1"],
        &["payload", "uploads", "file-1"],
        &["check"],
        &["token", "new", "--name", "x", "--scope", "read"],
        &["--help"],
        &["recover", "--help"],
        &["--version"],
        &["recover", "--dry-run"],
    ] {
        let (code, said) = without_stdout(command(&daemon.url(""), arguments)).await;
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("warden: "), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn what_a_command_did_not_do_is_told_by_its_exit_code_although_nobody_reads() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "a", "", "one").await;
    daemon.close("uploads", "a").await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lines");
    let line = json!({"op": "create", "workflow": "uploads", "id": "a", "payload": "two"});
    std::fs::write(&file, format!("{line}\n")).unwrap();
    let import = || command(&daemon.url(""), &["import", "--file", file.to_str().unwrap()]);
    assert_eq!(without_stderr(import()).await, Some(1), "its one line was refused");
    assert_eq!(without_stdout(import()).await.0, Some(1));
    let receiver = || command(&daemon.url(""), &["test-receiver", "nobody"]);
    assert_eq!(without_stderr(receiver()).await, Some(1));
    assert_eq!(without_stderr(command(&daemon.url(""), &["items", "--state", "lost"])).await, Some(64));
    daemon.create("uploads", "b", "?deadline=0s", "two").await;
    let recover = || command(&daemon.url(""), &["recover", "--", "sh", "-c", "exit 3"]);
    assert_eq!(without_stderr(recover()).await, Some(1));
    assert_eq!(daemon.get("/v1/workflows/uploads/items/b").await["state"], "failed");
    let retry = command(&daemon.url(""), &["retry", "--workflow", "uploads"]);
    assert_eq!(without_stdout(retry).await.0, Some(0), "it is done");
    assert_eq!(daemon.get("/v1/workflows/uploads/items/b").await["state"], "overdue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_serves_although_nobody_reads_where_it_listens() {
    let directory = tempfile::tempdir().unwrap();
    let log = DaemonProcess::log(directory.path());
    let mut command = process::serve(directory.path());
    command.stdin(Stdio::null()).stdout(unread()).stderr(std::fs::File::create(&log).unwrap());
    let mut child = command.spawn().unwrap();
    let text = eventually("the daemon to listen", || async {
        let text = std::fs::read_to_string(&log).unwrap();
        text.contains("listening on http://").then_some(text)
    })
    .await;
    let address = text.split("listening on http://").nth(1).unwrap().split(';').next().unwrap();
    let healthy = run(super::command(&format!("http://{address}"), &["items"])).await;
    assert_eq!(healthy.code, 0, "{}", healthy.notes);
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}
