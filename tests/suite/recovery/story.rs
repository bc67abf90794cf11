//! The central use case with real parts: ten thousand files pass a pipeline of three steps, and the services
//! behind it are killed in the middle without any error. The alert reports the step they are stuck at; a
//! recovery script and a replay complete every one of them, while the daemon is killed as well.

mod pipeline;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use self::pipeline::{Pipeline, Service, payload};
use crate::support::daemon::expect;
use crate::support::{Address, DaemonProcess, TestReceiver, eventually, process};

const ITEMS: usize = 10_000;
/// How many files the service that backs up takes before it hangs and is killed, and how many the one that
/// copies.
const BACKED_UP: usize = 1_500;
const COPIED: usize = 4_000;
/// How long a file may take. Long enough to create all of them before the first is late.
const DEADLINE: Duration = Duration::from_secs(20);
/// How long recovering thousands of files by a command for each may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A daemon that is killed and started again where it was.
struct Mortal {
    directory: tempfile::TempDir,
    address: Address,
    running: Option<DaemonProcess>,
}

impl Mortal {
    fn start(receiver: &TestReceiver) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = format!(
            "[receivers.oncall]\nurl = \"{}\"\nallow_private = true\n\
             [workflows.uploads]\ndeadline = \"{}s\"\nsteps = [\"copy\", \"backup\", \"done\"]\n\
             receivers = [\"oncall\"]\ngroup_wait = \"0s\"\n",
            receiver.url(),
            DEADLINE.as_secs(),
        );
        std::fs::write(directory.path().join("warden.toml"), config).expect("a configuration");
        let address = Address::reserve();
        let running = Some(DaemonProcess::at(directory.path(), address.as_str()));
        Self { directory, address, running }
    }

    fn daemon(&self) -> &DaemonProcess {
        self.running.as_ref().expect("it runs")
    }

    /// Kills it, and starts it again on the same address and data.
    fn die_and_come_back(&mut self) {
        self.running.take().expect("it runs").kill();
        self.running = Some(DaemonProcess::at(self.directory.path(), self.address.as_str()));
    }

    async fn get(&self, path: &str) -> Value {
        expect(self.daemon().request(Method::GET, path), StatusCode::OK).await
    }

    async fn unclosed(&self) -> u64 {
        let stats = self.get("/v1/workflows/uploads/stats").await;
        ["open", "overdue", "failed"].iter().map(|state| stats[state].as_u64().expect("a number")).sum()
    }
}

/// Waits for something that takes long.
async fn in_the_end<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(value) = ask().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// `warden recover` on what is stuck at a step: each file is posted to the service by a shell command.
fn recover(address: &Address, step: &str, service: &Service, log: &Path) -> Child {
    let mut command: Command = process::binary();
    command
        .env("WARDEN_URL", address.url())
        .env("SERVICE", service.url())
        .args([
            "recover",
            "--workflow",
            "uploads",
            "--step",
            step,
            "--concurrency",
            "4",
            "--on-success",
            "close",
        ])
        .args(["--lease-ttl", "10s", "--"])
        .args(["sh", "-c", r#"exec curl -sSf --data-binary @- "$SERVICE/$WARDEN_ITEM_ID""#])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(log).expect("a log"));
    command.spawn().expect("the binary can be run")
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_files_that_a_killed_pipeline_left_behind_are_all_brought_through() {
    let receiver = TestReceiver::start().await;
    let mut mortal = Mortal::start(&receiver);
    let (mut copy, mut backup) = (Service::start(COPIED).await, Service::start(BACKED_UP).await);

    // The application hands every file in before it does anything else, and its workers take it from step to
    // step.
    let pipeline = Pipeline::of(mortal.daemon(), &copy, &backup);
    pipeline.hand_in(ITEMS).await;
    let workers = pipeline.work();
    in_the_end("some files to be backed up", async || (backup.count() >= BACKED_UP).then_some(())).await;
    backup.kill();
    in_the_end("some files to be copied", async || (copy.count() >= COPIED).then_some(())).await;
    copy.kill();
    workers.end().await;

    // Nobody errored. The warden notices, and says where they are stuck.
    let opened =
        in_the_end("somebody to be told", async || receiver.arrived().await.into_iter().next()).await;
    assert_eq!(opened.event(), "incident.opened");
    let incident = in_the_end("all that is left to be overdue", async || {
        let stats = mortal.get("/v1/workflows/uploads/stats").await;
        let page = mortal.get("/v1/incidents?status=open").await;
        let incident = page["data"].as_array()?.first()?.clone();
        (stats["open"] == 0 && incident["count"] == stats["overdue"]).then_some(incident)
    })
    .await;
    let stuck = |step: &str| incident["by_step"][step].as_u64().unwrap_or_default();
    assert_eq!(stuck("copy") + stuck("backup") + stuck("done"), incident["count"].as_u64().unwrap());
    let left = mortal.unclosed().await;
    assert_eq!(incident["count"], left, "{incident}");
    assert!(stuck("copy") > 1_000 && stuck("backup") > 500, "{incident}");
    let told = opened.json();
    assert!(told["data"]["summary"].as_str().unwrap().contains("stuck at"), "{told}");

    // The services are mended. Those that are stuck at the backup are recovered by a script, and the daemon
    // is killed meanwhile.
    backup.come_back().await;
    copy.come_back().await;
    let log = mortal.directory.path().join("recover.log");
    let before = backup.count();
    let mut script = recover(&mortal.address, "backup", &backup, &log);
    in_the_end("the script to be in the middle", async || (backup.count() > before + 200).then_some(()))
        .await;
    mortal.die_and_come_back();
    let ended = in_the_end("the script to end", async || script.try_wait().expect("it can be asked")).await;
    println!("the first run ended with {ended}: {}", std::fs::read_to_string(&log).unwrap_or_default());
    // Whatever was under way when the daemon died may have lost its lease, and is there for the next run.
    in_the_end("nothing to be stuck at the backup", async || {
        let stuck =
            mortal.get("/v1/items?workflow=uploads&step=backup&state=overdue&state=failed&limit=1").await;
        if stuck["data"].as_array()?.is_empty() {
            return Some(());
        }
        let ended = recover(&mortal.address, "backup", &backup, &log).wait().expect("it ends");
        assert!(ended.success(), "{ended}: {}", std::fs::read_to_string(&log).unwrap_or_default());
        None
    })
    .await;

    // Those that are stuck at the copy are replayed to the pipeline's entrance, and the daemon is killed
    // again.
    let entrance = Service::entrance(&copy, &backup).await;
    let replay = json!({
        "name": "after the outage", "filter": {"workflows": ["uploads"], "states": ["overdue"]},
        "target": {"url": format!("{}/", entrance.url())}, "max_per_second": 5000, "concurrency": 16,
        "canary": 5,
        "on_success": "close",
    });
    let request = mortal.daemon().request(Method::POST, "/v1/replays").json(&replay);
    let created = expect(request, StatusCode::ACCEPTED).await;
    let path = format!("/v1/replays/{}", created["id"].as_str().unwrap());
    in_the_end("the replay to be in the middle", async || (entrance.count() > 500).then_some(())).await;
    mortal.die_and_come_back();
    let done = in_the_end("the replay to end", async || {
        let shown = mortal.get(&path).await;
        (shown["status"] != "running").then_some(shown)
    })
    .await;
    assert_eq!((&done["status"], &done["failed"]), (&json!("completed"), &json!(0)), "{done}");
    assert_eq!(
        done["succeeded"].as_u64().unwrap() + done["skipped"].as_u64().unwrap(),
        done["total"].as_u64().unwrap()
    );

    // Every file is through, once and byte for byte, and whoever was told that something was open hears that
    // it is over.
    let left = mortal.get("/v1/items?state=open&state=overdue&state=failed").await;
    assert_eq!(mortal.unclosed().await, 0, "{left}, after {done}");
    for service in [&copy, &backup] {
        assert_eq!(service.count(), ITEMS);
        for number in 0..ITEMS {
            let id = format!("file-{number}");
            assert!(service.has(&id, &payload(number)), "{id} is not as it was handed in");
        }
    }
    let resolved = eventually("the end to be told", || async {
        let arrived = receiver.arrived().await;
        arrived.into_iter().find(|received| received.event() == "incident.resolved")
    })
    .await;
    assert_eq!(resolved.json()["data"]["id"], told["data"]["id"]);
    assert!(mortal.running.take().expect("it runs").terminate().success());
}
