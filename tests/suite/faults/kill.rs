//! `kill -9` at any instant, also while the store opens.
//!
//! `KILL_ROUNDS` sets how many kills there are (6 by default).

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rand::RngExt;
use reqwest::Method;
use serde_json::Value;

use super::load::{Memory, Shape, WORKFLOW};
use crate::support::{DaemonProcess, TestReceiver, eventually, process};

/// How often a fault is tried: what the variable says, or the default.
pub fn rounds(variable: &str, default: u32) -> u32 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_by_kills_under_load_and_all_that_is_overdue_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = TestReceiver::start().await;
    let config = format!(
        "[receivers.oncall]\nurl = \"{}\"\nallow_private = true\n\
         [workflows.{WORKFLOW}]\nreceivers = [\"oncall\"]\ngroup_wait = \"0s\"\n",
        receiver.url()
    );
    std::fs::write(directory.path().join("warden.toml"), config).expect("a configuration");
    let shape = Shape { clients: 8, payload_max: 200_000, deadline: "1s" };
    let memory = Memory::default();
    for round in 0..rounds("KILL_ROUNDS", 6) {
        let daemon = DaemonProcess::on(directory.path());
        memory.hold_to(&daemon, shape).await;
        let mut clients = memory.press(&daemon, shape, Arc::new(AtomicBool::new(false)));
        let before = memory.acknowledged();
        eventually("some acknowledgements", || async { (memory.acknowledged() > before + 20).then_some(()) })
            .await;
        // The instant is the point: anywhere within what a few groups of commits take.
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(0..300))).await;
        daemon.kill();
        while clients.join_next().await.is_some() {}
        println!("round {round}: {} creates acknowledged so far", memory.acknowledged());
        kill_while_opening(directory.path()).await;
    }
    let daemon = DaemonProcess::on(directory.path());
    let open = memory.hold_to(&daemon, shape).await;
    assert!(open > 0, "the load leaves items open");
    let incident = eventually("an incident about all that is open", || async {
        let page: Value = get(&daemon, "/v1/incidents?status=open").await;
        page["data"].as_array()?.iter().find(|incident| incident["count"] == open).cloned()
    })
    .await;
    let id = incident["id"].as_str().expect("an id").to_owned();
    eventually("a notification about that incident", || async {
        let arrived = receiver.arrived().await;
        arrived
            .iter()
            .any(|one| one.json()["data"]["id"] == *id && one.event() == "incident.opened")
            .then_some(())
    })
    .await;
    assert!(daemon.terminate().success());
}

/// Starts and kills the daemon before it is ready, three times over.
async fn kill_while_opening(directory: &std::path::Path) {
    for _ in 0..3 {
        let mut child = process::serve(directory)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the binary can be run");
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(0..60))).await;
        child.kill().expect("it can be killed");
        child.wait().expect("it can be waited for");
    }
}

pub async fn get(daemon: &DaemonProcess, path: &str) -> Value {
    let response = daemon.request(Method::GET, path).send().await.expect("an answer");
    response.json().await.expect("JSON")
}
