//! A real Alertmanager, queried through its own API.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use warden::model::SystemClock;

use super::*;
use crate::support::client;

const PROGRAM: &str = "prometheus-alertmanager";

/// An Alertmanager that runs, on a port of the system's, and tells nobody.
struct Alertmanager {
    process: Child,
    url: String,
    _directory: TempDir,
}

impl Alertmanager {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (config, log) = (directory.path().join("config.yml"), directory.path().join("log"));
        std::fs::write(&config, "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n").unwrap();
        let process = Command::new(PROGRAM)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", directory.path().join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address=", "--log.format=json"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{PROGRAM} cannot be run, tests/run installs it: {error}"));
        let address = eventually("an Alertmanager that listens", || async {
            let text = std::fs::read_to_string(&log).unwrap();
            let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines
                .find(|line| line["msg"] == "Listening on")
                .map(|line| line["address"].as_str().unwrap().to_owned())
        })
        .await;
        Self { process, url: format!("http://{address}"), _directory: directory }
    }

    /// The alerts that are not over.
    async fn alerts(&self) -> Vec<Value> {
        let answer = client().get(format!("{}/api/v2/alerts", self.url)).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// Waits until that many alerts fire.
    async fn firing(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} alerts that fire"), || async {
            let alerts = self.alerts().await;
            let all_active = alerts.iter().all(|alert| alert["status"]["state"] == "active");
            (alerts.len() == count && all_active).then_some(alerts)
        })
        .await
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A daemon whose clock begins a minute before the real present, by which Alertmanager judges.
async fn telling(alertmanager: &Alertmanager) -> TestDaemon {
    let present = SystemClock::new().now().as_millis();
    let config = format!(
        "[alerting]\nreceivers = [\"oncall\"]\ngroup_wait = \"0s\"\n\
         [receivers.oncall]\nformat = \"alertmanager\"\nurl = \"{}\"\nallow_private = true\n\
         [workflows.uploads]\ngroup_by = [\"region.name\"]\nseverity = \"warning\"\n\
         runbook_url = \"https://wiki.example.com/uploads\"",
        alertmanager.url
    );
    TestDaemon::builder().starting_at(Timestamp::from_millis(present - 60_000)).config(&config).start().await
}

#[tokio::test]
async fn an_incident_fires_as_an_alert_and_is_gone_when_it_is_over() {
    let alertmanager = Alertmanager::start().await;
    let daemon = telling(&alertmanager).await;
    daemon.create("uploads", "file-1", "?deadline=0s&step=backup&label=region.name:eu", "payload").await;
    daemon
        .create("uploads", "file-2", "?deadline=0s&label=region.name:%22%3C%C3%A4%5C%3E%7B%7D", "payload")
        .await;
    let incidents = daemon.open_incidents(2).await;
    let mut alerts = alertmanager.firing(2).await;
    alerts.sort_by_key(|alert| alert["labels"]["label_region_name"] != "eu");
    let incident = incidents.iter().find(|incident| incident["group"]["region.name"] == "eu").unwrap();
    let labels = json!({
        "alertname": "WardenOverdue", "workflow": "uploads", "kind": "overdue", "severity": "warning",
        "incident": incident["id"], "label_region_name": "eu",
    });
    assert_eq!(alerts[0]["labels"], labels);
    assert_eq!(alerts[0]["startsAt"], incident["opened_at"]);
    assert_eq!(alerts[0]["annotations"]["by_step"], "backup: 1");
    assert_eq!(alerts[0]["annotations"]["runbook_url"], "https://wiki.example.com/uploads");
    assert_eq!(alerts[0]["generatorURL"], daemon.url(&format!("/v1/incidents/{}", id(incident))));
    assert_eq!(alerts[1]["labels"]["label_region_name"], "\"<ä\\>{}");

    daemon.close("uploads", "file-1").await;
    assert_eq!(alertmanager.firing(1).await[0]["labels"], alerts[1]["labels"]);
    daemon.close("uploads", "file-2").await;
    alertmanager.firing(0).await;
}

#[tokio::test]
async fn what_is_told_again_is_the_same_alert_with_what_is_new_about_it() {
    let alertmanager = Alertmanager::start().await;
    let daemon = telling(&alertmanager).await;
    lose(&daemon, "uploads", "file-1").await;
    let first = alertmanager.firing(1).await.remove(0);
    lose(&daemon, "uploads", "file-2").await;
    incident_of(&daemon, id(&daemon.open_incidents(1).await[0]), 2).await;
    daemon.advance(5 * MINUTE);
    let grown = eventually("an alert that has grown", || async {
        alertmanager.firing(1).await.into_iter().find(|alert| alert["annotations"]["count"] == "2")
    })
    .await;
    assert_eq!((&grown["fingerprint"], &grown["startsAt"]), (&first["fingerprint"], &first["startsAt"]));
    assert!(instant(&grown["endsAt"]) > instant(&first["endsAt"]));
}
