//! The output of the real binary when it starts, and when it cannot.

use std::path::Path;
use std::process::{Command, Output};

use reqwest::Method;
use serde_json::Value;

use crate::support::{DaemonProcess, ask, eventually, process};

fn log_of(directory: &Path) -> String {
    std::fs::read_to_string(DaemonProcess::log(directory)).expect("a log")
}

/// Starts the daemon, and gives what it logged until it listened.
fn started(directory: &Path) -> (DaemonProcess, String) {
    let daemon = DaemonProcess::on(directory);
    let log = log_of(directory);
    (daemon, log)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_says_what_it_works_with_on_one_screen() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = DaemonProcess::on(directory.path());
    let log = eventually("the last line", || async {
        Some(log_of(directory.path())).filter(|log| log.contains("openapi.json"))
    })
    .await;
    let data = directory.path().join("data");
    for words in [
        &*format!("process warden {}", env!("CARGO_PKG_VERSION")),
        "there is no configuration file",
        &format!("data: {}, ", data.display()),
        &format!("{}/ballast, so that closes work", data.display()),
        "items: none yet",
        "receivers: none yet",
        "every local user may do everything",
        &format!("http://{}/openapi.json", daemon.address()),
    ] {
        assert_eq!(log.matches(words).count(), 1, "{words} in\n{log}");
    }
    assert!(log.lines().count() <= 15, "{log}");
    assert!(!log.contains(" WARN "), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_start_says_what_it_found_and_what_is_configured() {
    let directory = tempfile::tempdir().unwrap();
    let receivers = "[receivers.oncall]\nurl = \"http://127.0.0.1:9/\"\nallow_private = true\n\
                     [alerting]\nreceivers = [\"oncall\"]\n";
    std::fs::write(directory.path().join("warden.toml"), receivers).unwrap();
    let (daemon, _) = started(directory.path());
    for (id, query) in [("late", "?deadline=0s"), ("in-time", "?deadline=1h"), ("closed", "?deadline=1h")] {
        let path = format!("/v1/workflows/uploads/items/{id}{query}");
        assert_eq!(ask(daemon.request(Method::PUT, &path).body("x")).await.status, 201);
    }
    ask(daemon.request(Method::DELETE, "/v1/workflows/uploads/items/closed")).await;
    assert!(daemon.terminate().success());

    std::fs::remove_file(DaemonProcess::log(directory.path())).unwrap();
    let _daemon = DaemonProcess::on(directory.path());
    let file = directory.path().join("warden.toml");
    for words in [
        "items: 1 open, 1 overdue, 0 failed; 1 closed within their retention",
        "receivers: 1 (oncall)",
        &format!("configured by {}", file.display()),
    ] {
        eventually(words, || async { log_of(directory.path()).contains(words).then_some(()) }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_probably_not_meant_is_logged_at_the_start_and_told_to_whoever_asks() {
    let directory = tempfile::tempdir().unwrap();
    let text = "[receivers.oncall]\nurl = \"http://localhost:9/\"\n[receivers.unused]\nurl = \
                \"https://192.0.2.1/\"\nallow_networks = [\"192.0.2.0/24\"]\n[alerting]\nreceivers = \
                [\"oncall\"]\n";
    std::fs::write(directory.path().join("warden.toml"), text).unwrap();
    let mut command = process::serve(directory.path());
    command.env("WARDEN_SERVER_LISTEN", "127.0.0.1:1");
    let daemon = DaemonProcess::start(command, &DaemonProcess::log(directory.path())).unwrap();
    let expected = ["receiver-unused", "unknown-variable", "address-not-allowed"];
    let warnings = eventually("the warning of a name that was looked up", || async {
        let ready = ask(daemon.request(Method::GET, "/readyz")).await.json(200);
        Some(ready["warnings"].as_array().unwrap().clone())
            .filter(|warnings| warnings.len() == expected.len())
    })
    .await;
    let codes: Vec<&Value> = warnings.iter().map(|warning| &warning["code"]).collect();
    assert_eq!(codes, expected);
    let log = log_of(directory.path());
    for warning in &warnings {
        let (code, message) = (&warning["code"], warning["message"].as_str().unwrap());
        let line =
            log.lines().find(|line| line.contains(message)).unwrap_or_else(|| panic!("{message}\n{log}"));
        assert!(line.contains(" WARN ") && line.contains(code.as_str().unwrap()), "{line}");
    }
}

/// Runs the daemon where it cannot start, and gives its exit code and what it said.
fn refused(prepare: impl FnOnce(&mut Command)) -> (i32, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = process::serve(directory.path());
    prepare(&mut command);
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code().unwrap_or(-1), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_data_path_that_is_a_file_or_below_one_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for below in ["", "data", "far/below"] {
        let (code, said) = refused(|command| {
            let path = if below.is_empty() { file.path().to_owned() } else { file.path().join(below) };
            command.env("WARDEN_STORAGE__PATH", path);
        });
        let expected =
            format!("{} is a file, where a directory is needed; set storage.path", file.path().display());
        assert_eq!(code, 74, "{said}");
        assert!(said.contains("cannot use the data directory") && said.contains(&expected), "{said}");
    }
}

#[test]
fn localhost_is_where_it_listens_when_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = process::serve(directory.path());
    command.env("WARDEN_SERVER__LISTEN", "localhost:0");
    let daemon = DaemonProcess::start(command, &DaemonProcess::log(directory.path())).unwrap();
    assert!(daemon.address().starts_with("127.0.0.1:"), "{}", daemon.address());
}
