//! Commands that talk to a running daemon: output and exit codes.

use std::process::Output;

use reqwest::Method;
use serde_json::Value;

use crate::support::process::binary;
use crate::support::{TestDaemon, TestReceiver, eventually};

/// Runs `warden` with these arguments against the daemon.
async fn warden(daemon: &TestDaemon, arguments: &[&str]) -> Output {
    let mut command = binary();
    command.args(arguments).env("WARDEN_URL", daemon.url(""));
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("the binary can be run")
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn errors(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[tokio::test]
async fn test_receiver_tells_by_its_exit_code_whether_the_receiver_took_it() {
    let receiver = TestReceiver::start().await;
    let daemon = TestDaemon::builder().receiver(&receiver).start().await;
    let reached = warden(&daemon, &["test-receiver", "oncall"]).await;
    assert_eq!(reached.status.code(), Some(0), "{}", errors(&reached));
    assert!(out(&reached).starts_with("oncall answered 204 after "), "{}", out(&reached));
    assert_eq!(receiver.next().await.event(), "receiver.test");

    receiver.answer(500, &[]);
    let failed = warden(&daemon, &["test-receiver", "oncall", "--output", "json"]).await;
    assert_eq!(failed.status.code(), Some(1));
    let outcome: Value = serde_json::from_str(out(&failed)).unwrap();
    assert_eq!((&outcome["delivered"], &outcome["status"]), (&false.into(), &500.into()));
    assert_eq!(errors(&failed), "warden: the test did not reach oncall\n");

    let unknown = warden(&daemon, &["test-receiver", "nobody"]).await;
    assert_eq!((unknown.status.code(), out(&unknown)), (Some(1), ""));
    assert!(errors(&unknown).contains("There is no such receiver"), "{}", errors(&unknown));
}

#[tokio::test]
async fn deliveries_are_listed_and_sent_again() {
    let receiver = TestReceiver::start().await;
    let daemon = TestDaemon::builder().receiver(&receiver).start().await;
    let none = warden(&daemon, &["deliveries", "--status", "dead"]).await;
    assert_eq!((none.status.code(), out(&none), errors(&none)), (Some(0), "", "No delivery is like that.\n"));

    daemon.create("uploads", "file-1", "?deadline=0s", "payload").await;
    let incident = daemon.open_incidents(1).await[0]["id"].as_str().unwrap().to_owned();
    daemon.advance(std::time::Duration::from_secs(10));
    let id = receiver.next().await.header("webhook-id").to_owned();
    eventually("its record", || async {
        let page = daemon.ask(Method::GET, "/v1/deliveries?status=delivered").await.json(200);
        (page["data"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    for arguments in [
        vec!["deliveries"],
        vec!["deliveries", "--incident", &incident],
        vec!["deliveries", "--status", "delivered", "--receiver", "oncall"],
    ] {
        let listed = warden(&daemon, &arguments).await;
        let lines: Vec<Vec<&str>> =
            out(&listed).lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines.len(), 2, "{arguments:?}: {}", out(&listed));
        assert_eq!(lines[0][..3], ["ID", "INCIDENT", "RECEIVER"]);
        assert_eq!(lines[1][..5], [&id, &incident, "oncall", "incident.opened", "delivered"]);
    }
    let listed = warden(&daemon, &["deliveries", "--output", "json"]).await;
    let page: Value = serde_json::from_str(out(&listed)).unwrap();
    assert_eq!((&page["data"][0]["id"], &page["next_cursor"]), (&Value::from(id.as_str()), &Value::Null));

    let resent = warden(&daemon, &["resend", &id]).await;
    assert_eq!((resent.status.code(), out(&resent)), (Some(0), &*format!("{id} goes to oncall again\n")));
    assert_eq!(receiver.next().await.header("webhook-id"), id);
    let unknown = warden(&daemon, &["resend", "dlv_unknown"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(errors(&unknown).contains("There is no such delivery"), "{}", errors(&unknown));
    let both = warden(&daemon, &["deliveries", "--incident", &incident, "--status", "dead"]).await;
    assert_eq!(both.status.code(), Some(64));
}
