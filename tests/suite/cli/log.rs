//! The log of the daemon: its filter, and forged lines.

use reqwest::Method;

use super::run;
use crate::alerts::raw::RawReceiver;
use crate::support::{DaemonProcess, eventually, process};

/// Filters that `tracing` would take for the name of something, or would pass over.
const MISTYPED: [&str; 5] = ["warning", "warn,", "info,foo=debug", "warden", "verbose"];

#[tokio::test]
async fn a_filter_that_would_silence_the_log_is_refused_with_what_is_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("warden.toml");
    for filter in MISTYPED {
        std::fs::write(&file, format!("[log]\nlevel = \"{filter}\"\n")).unwrap();
        let mut check = process::binary();
        check.arg("check").arg(&file);
        let said = run(check).await.failed(65);
        assert!(said.contains("warden.toml:2:1: log.level: "), "{said}");
        assert!(said.contains("error, warn, info, debug, trace") || said.contains("warden::"), "{said}");
        let mut serve = process::serve(directory.path());
        serve.args(["--log-level", filter]);
        let said = run(serve).await.failed(65);
        assert!(said.contains("command line: log.level: "), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_answers_forges_no_line_of_the_log() {
    for format in ["text", "json"] {
        let (directory, receiver) = (tempfile::tempdir().unwrap(), RawReceiver::start().await);
        let config = format!(
            "[log]\nformat = \"{format}\"\n[receivers.oncall]\nallow_private = true\nurl = \"{}\"\n",
            receiver.url()
        );
        std::fs::write(directory.path().join("warden.toml"), config).unwrap();
        let daemon = DaemonProcess::on(directory.path());
        let asked = tokio::spawn(daemon.request(Method::POST, "/v1/receivers/oncall/test").send());
        let body = "no\r\n2026-01-01T00:00:00Z ERROR warden: all is lost\u{1b}[2J\u{9b}1m";
        let head =
            format!("HTTP/1.1 500 No\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n", body.len());
        receiver.request().await.answer(&format!("{head}{body}")).await;
        asked.await.unwrap().unwrap();
        let log = eventually("the answer in the log", || async {
            let log = std::fs::read_to_string(DaemonProcess::log(directory.path())).unwrap();
            log.contains("test notification failed").then_some(log)
        })
        .await;
        assert!(!log.contains("\n2026-01-01T00:00:00Z") && !log.contains('\u{1b}'), "{log:?}");
        let line = log.lines().find(|line| line.contains("test notification failed")).unwrap();
        assert!(line.contains("all is lost"), "{line}");
        if format == "json" {
            let document: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(document["level"], "WARN");
        }
        assert!(daemon.terminate().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_ends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = process::serve(directory.path());
    command.args(["--log-level", "debug"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut daemon = DaemonProcess::start_with(command, writer.into()).unwrap();
    for _ in 0..3 {
        let answer = daemon.request(Method::DELETE, "/v1/workflows/uploads/items/a").send().await.unwrap();
        assert_eq!(answer.status(), 404);
    }
    assert!(daemon.is_running());
    assert!(daemon.terminate().success());
}
