//! A data directory before it is damaged, with what was acknowledged.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

use crate::scene::{SHAPE, Scene, get, stop};
use crate::support::DaemonProcess;
use crate::trial::Trial;

/// How many items there are, and how many questions are asked at once.
pub const ITEMS: usize = 240;
const QUESTIONS: usize = 16;
/// How many items complete a step.
const STEPPED: usize = 30;
/// More than it takes until what was acknowledged last is vouched for, and, in a database, is there.
const REST: Duration = Duration::from_millis(1500);

/// How a directory comes about.
pub struct Making {
    pub name: &'static str,
    /// Settings of the daemon besides.
    pub settings: &'static [(&'static str, &'static str)],
    /// Whether the daemon is killed in the end instead of stopped.
    pub killed: bool,
}

/// All of them: what is new in the log or in the database, and the daemon ended either way.
pub const MAKINGS: &[Making] = &[
    Making { name: "log-killed", settings: &[("WARDEN_STORAGE__CHECKPOINT", "1h")], killed: true },
    Making {
        name: "small-segments-killed",
        settings: &[("WARDEN_STORAGE__CHECKPOINT", "1h"), ("WARDEN_STORAGE__RECENT", "16MiB")],
        killed: true,
    },
    Making { name: "log-stopped", settings: &[("WARDEN_STORAGE__CHECKPOINT", "1h")], killed: false },
    Making { name: "database-killed", settings: IN_DATABASE, killed: true },
    Making { name: "database-stopped", settings: IN_DATABASE, killed: false },
];
/// The log is so small that it is written over before all items are there: what the database loses is not in
/// it any more.
const IN_DATABASE: &[(&str, &str)] =
    &[("WARDEN_STORAGE__CHECKPOINT", "100ms"), ("WARDEN_STORAGE__RECENT", "1MiB")];

/// A data directory with what it holds.
pub struct Pristine {
    pub name: &'static str,
    /// The daemon that made it, and would start on it.
    pub scene: Scene,
    pub items: Vec<Expected>,
    /// Silences, as they are listed.
    pub silences: Value,
}

/// An item as it was when it was last changed.
pub struct Expected {
    pub path: String,
    pub essence: Value,
    /// Of an open one.
    pub payload: Option<Vec<u8>>,
}

/// The workflow that the items are of. It has two steps.
pub const WORKFLOW: &str = "damage";

fn path(number: usize) -> String {
    format!("/v1/workflows/{WORKFLOW}/items/item-{number}")
}

fn payload(number: usize) -> Vec<u8> {
    let size = [100, 100, 1000, 100, 5000, 100, 20_000, 100, 1000, 200_000][number % 10];
    let mut bytes = vec![0; size];
    StdRng::seed_from_u64(number as u64).fill_bytes(&mut bytes);
    bytes
}

/// What of an item does not change by itself: times are shown by a clock that a restart reads again.
pub fn essence(item: &Value) -> Value {
    let steps: Vec<_> = item["steps"].as_array().into_iter().flatten().collect();
    let steps: Vec<_> = steps.into_iter().map(|step| (&step["name"], &step["status"])).collect();
    let errors = item["errors"].as_array().into_iter().flatten();
    let errors: Vec<_> = errors.map(|error| (&error["id"], &error["message"])).collect();
    let mut essence = json!({"steps": steps, "errors": errors});
    for name in ["state", "outcome", "labels", "step", "progress", "payload", "version"] {
        essence[name] = item[name].clone();
    }
    essence
}

impl Pristine {
    /// Has a daemon make it.
    pub async fn make(trial: &Trial, making: &'static Making) -> Self {
        let mut scene = Scene::new(trial, SHAPE).await;
        // Whoever copies the directory copies the ballast as well.
        scene.set("WARDEN_STORAGE__RESERVE", "1MiB");
        scene.set("WARDEN_WORKFLOW_DEFAULTS__DEADLINE", "24h");
        // What is answered to a client is no news of the data.
        scene.set("WARDEN_LOG__LEVEL", "info,warden::http=error");
        scene.set("WARDEN_WORKFLOWS__DAMAGE__STEPS", r#"["copy", "backup"]"#);
        for (name, value) in making.settings {
            scene.set(name, *value);
        }
        let daemon = scene.start().await;
        fill(&daemon).await;
        let looks = (0..ITEMS).map(|number| expected(&daemon, number));
        let items = stream::iter(looks).buffered(QUESTIONS).collect().await;
        let silences = get(&daemon, "/v1/silences").await;
        tokio::time::sleep(REST).await;
        if making.killed {
            daemon.kill();
        } else {
            stop(daemon).await;
        }
        Self { name: making.name, scene, items, silences }
    }

    /// The files whose damage matters, below the directory.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut directories = vec![self.scene.data().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(&directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                let below = path.strip_prefix(self.scene.data()).expect("it is below").to_owned();
                if path.is_dir() {
                    directories.push(path);
                } else if !matches!(below.to_str(), Some("LOCK" | "ballast")) {
                    files.push(below);
                }
            }
        }
        files.sort();
        files
    }
}

/// Items of several sizes: some with progress, an error, or a step that is done, and every fourth one closed.
async fn fill(daemon: &DaemonProcess) {
    let create = |number| daemon.request(Method::PUT, &path(number)).body(payload(number));
    all_taken((0..ITEMS).map(create)).await;
    let report = |number| {
        let progress = json!({"progress": {"at": number}, "labels": {"region": "eu"}});
        daemon.request(Method::PATCH, &path(number)).json(&progress)
    };
    all_taken((0..ITEMS).filter(|number| number % 5 == 1).map(report)).await;
    let fail = |number| {
        let error = json!({"type": "Refused", "message": format!("of {number}"), "retryable": true});
        daemon.request(Method::POST, &format!("{}/errors", path(number))).json(&error)
    };
    all_taken((0..ITEMS).filter(|number| number % 11 == 2).map(fail)).await;
    let claim =
        json!({"workflows": [WORKFLOW], "states": ["open"], "max": STEPPED, "ttl": "1h", "payloads": false});
    let claimed = daemon.request(Method::POST, "/v1/leases").json(&claim).send().await.expect("an answer");
    let claimed: Value = claimed.json().await.expect("leases");
    let leases = claimed["leases"].as_array().expect("leases").iter();
    let complete = |lease: &Value| {
        let path = format!("/v1/leases/{}/complete", lease["id"].as_str().expect("an id"));
        daemon.request(Method::POST, &path).json(&json!({}))
    };
    all_taken(leases.map(complete)).await;
    let silence = json!({"workflow": "other*", "for": "2h", "comment": "moving the disks"});
    all_taken([daemon.request(Method::POST, "/v1/silences").json(&silence)].into_iter()).await;
    let close = |number| daemon.request(Method::DELETE, &path(number));
    all_taken((0..ITEMS).filter(|number| number % 4 == 3).map(close)).await;
}

async fn all_taken(requests: impl Iterator<Item = reqwest::RequestBuilder>) {
    let sent = requests.map(|request| async move {
        let response = request.send().await.expect("an answer");
        let status = response.status();
        assert!(status.is_success(), "{status} {}", response.text().await.unwrap_or_default());
    });
    stream::iter(sent.collect::<Vec<_>>()).buffer_unordered(QUESTIONS).collect::<Vec<()>>().await;
}

async fn expected(daemon: &DaemonProcess, number: usize) -> Expected {
    let essence = essence(&get(daemon, &path(number)).await);
    let payload = (essence["state"] == "open").then(|| payload(number));
    Expected { path: path(number), essence, payload }
}
