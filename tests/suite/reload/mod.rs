//! Reloading the configuration: what it changes, what it leaves alone, and what it refuses.

mod consequences;
mod definitions;
mod process;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{TestDaemon, TestReceiver, Wire, ask, eventually};

const MINUTE: Duration = Duration::from_secs(60);

/// When an item of the workflow that is created now is due, from now on.
async fn deadline(daemon: &TestDaemon, workflow: &str, id: &str) -> Duration {
    let item = daemon.create(workflow, id, "", "payload").await;
    let instant = |name: &str| {
        let text = item[name].as_str().expect("an instant");
        warden::model::Timestamp::parse(text).expect("an instant").as_millis()
    };
    Duration::from_millis((instant("deadline") - instant("created_at")).unsigned_abs())
}

#[tokio::test]
async fn a_policy_is_in_force_for_what_is_created_when_the_reload_is_answered() {
    let mut daemon = TestDaemon::builder().config("[workflows.uploads]\ndeadline = \"15m\"").start().await;
    assert_eq!(deadline(&daemon, "uploads", "a").await, 15 * MINUTE);
    let reloaded = daemon
        .reload(
            "[workflow_defaults]\ndeadline = \"2m\"\n[workflows.uploads]\ndeadline = \"5m\"\n\
             [workflows.new]",
        )
        .await;
    assert_eq!(reloaded["needs_restart"], json!([]));
    assert_eq!(deadline(&daemon, "uploads", "b").await, 5 * MINUTE);
    assert_eq!(deadline(&daemon, "reports", "a").await, 2 * MINUTE);
    let listed = daemon.get("/v1/workflows").await;
    let names: Vec<&str> =
        listed["data"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["new", "reports", "uploads"]);
    let item = daemon.get("/v1/workflows/uploads/items/a").await;
    assert_eq!(item["deadline"], "2026-01-01T00:15:00.000Z", "an item keeps its deadline");
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_with_every_line_at_fault_and_nothing_changes() {
    let mut daemon = TestDaemon::builder().config("[workflows.uploads]\ndeadline = \"15m\"").start().await;
    daemon.write_config(
        "[workflows.uploads]\ndeadline = \"5m\"\n[workflows.reports]\ndeadlin = \"1h\"\n\
         [workflows.other]\nreceivers = [\"oncall\"]",
    );
    let detail = daemon.ask(Method::POST, "/v1/reload").await.refused(409, "configuration-invalid");
    let lines: Vec<&str> = detail.lines().collect();
    let [first, unknown, receiver] = lines[..] else { panic!("{detail}") };
    assert_eq!(first, "the former configuration stays in force:");
    let expected = "test.toml:4:1: workflows.reports.deadlin: is not a setting; did you mean `deadline`?";
    assert!(unknown.starts_with(expected), "{unknown}");
    let expected = "test.toml:6:14: workflows.other.receivers[0]: there is no receiver \"oncall\"";
    assert!(receiver.starts_with(expected), "{receiver}");
    assert_eq!(deadline(&daemon, "uploads", "a").await, 15 * MINUTE);
    assert_eq!(daemon.get("/v1/workflows").await["data"].as_array().unwrap().len(), 1);
    let metrics = daemon.ask(Method::GET, "/metrics").await;
    assert!(metrics.text().contains("\nwarden_config_last_reload_successful 0\n"), "{}", metrics.text());
    daemon.advance(MINUTE);
    daemon.reload("").await;
    let metrics = daemon.ask(Method::GET, "/metrics").await;
    assert!(metrics.text().contains("\nwarden_config_last_reload_successful 1\n"));
    let at = "\nwarden_config_last_reload_success_timestamp_seconds 1767225660\n";
    assert!(metrics.text().contains(at), "{}", metrics.text());
}

#[tokio::test]
async fn settings_that_take_a_restart_are_named_and_kept() {
    let mut daemon = TestDaemon::start().await;
    let other = "[server]\nshutdown_timeout = \"1s\"\n[limits]\npayload_max = \"4KiB\"\nbatch_items_max = 1\n\
                 [log]\nlevel = \"warn\"";
    let reloaded = daemon.reload(other).await;
    let named = json!(["limits.payload_max", "log.level", "server.shutdown_timeout"]);
    assert_eq!(reloaded["needs_restart"], named);
    daemon.create("uploads", "large", "", vec![0; 8 * 1024]).await;
    let lines = "{\"op\":\"close\",\"workflow\":\"w\",\"id\":\"a\"}\n".repeat(2);
    daemon.send(Method::POST, "/v1/batch", lines).await.refused(413, "batch-too-large");
    assert_eq!(daemon.reload(other).await["needs_restart"], named, "until it is restarted");
    assert_eq!(daemon.reload("").await["needs_restart"], json!([]));
}

fn token(name: &str) -> String {
    let sha256: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[[tokens]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\nscopes = [\"admin\"]\n")
}

#[tokio::test]
async fn a_token_that_is_taken_away_is_refused_at_once_on_a_connection_that_is_open() {
    let both = format!("{}{}", token("ops"), token("ci"));
    let mut daemon = TestDaemon::builder().config(&both).start().await;
    let mut wire = Wire::open(&daemon).await;
    let request = "GET /v1/items HTTP/1.1\r\nHost: warden\r\nAuthorization: Bearer ci\r\n\r\n";
    wire.send(request).await;
    assert_eq!(wire.answer().await.status, 200);
    daemon.write_config(&token("ops"));
    let reload = |name: &str| daemon.request(Method::POST, "/v1/reload").bearer_auth(name);
    assert_eq!(ask(reload("ci")).await.status, 200);
    wire.send(request).await;
    wire.answer().await.refused(401, "unauthorized");
    ask(reload("ci")).await.refused(401, "unauthorized");
    assert_eq!(ask(reload("ops")).await.status, 200);
}

#[tokio::test]
async fn a_reload_takes_the_scope_admin_over_all_workflows() {
    let daemon = crate::api::access::guarded().await;
    for (name, status) in [("recover", 403), ("deputy", 403), ("admin", 200)] {
        let request = daemon.request(Method::POST, "/v1/reload").bearer_auth(name);
        assert_eq!(ask(request).await.status, status, "{name}");
    }
}

/// A configuration in which `uploads` tells this receiver, with more in its table.
fn telling(name: &str, receiver: &TestReceiver, more: &str) -> String {
    format!(
        "[workflows.uploads]\ngroup_wait = \"0s\"\nreceivers = [\"{name}\"]\n{more}\n[receivers.{name}]\n\
         url = \"{}\"\nallow_private = true\nconcurrency = 1\n",
        receiver.url()
    )
}
