//! A daemon over several lives, with its data, configuration, receiver and recorded load.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use super::load::{Load, Memory, Shape, WORKFLOW};
use super::support::{DaemonProcess, PATIENCE, Received, TestReceiver, eventually, process};
use super::trial::Trial;

/// What is pressed on the daemon unless a row needs something else. The deadline is so short that what a
/// fault leaves open is overdue.
pub const SHAPE: Shape = Shape { clients: 8, payload_max: 200_000, deadline: "1s", pairs: 0 };

/// A daemon and its surroundings.
pub struct Scene {
    trial: Trial,
    directory: TempDir,
    data: PathBuf,
    variables: Vec<(String, OsString)>,
    launcher: Vec<OsString>,
    receiver: TestReceiver,
    memory: Memory,
    shape: Shape,
    lives: AtomicU32,
    held: AtomicUsize,
    heard: Mutex<Vec<Received>>,
}

impl Scene {
    /// A daemon that has not been started yet, with its data in a directory of its own. Everything overdue is
    /// told to a receiver at once.
    pub async fn new(trial: &Trial, shape: Shape) -> Self {
        let receiver = TestReceiver::start().await;
        let url = receiver.url().to_owned();
        Self::told_at(trial, shape, receiver, &url)
    }

    /// The same, with a receiver that is reached at this address.
    pub fn told_at(trial: &Trial, shape: Shape, receiver: TestReceiver, url: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = format!(
            "[alerting]\nreceivers = [\"oncall\"]\ngroup_wait = \"0s\"\n\
             [receivers.oncall]\nurl = \"{url}\"\nallow_private = true\ntimeout = \"1s\"\n"
        );
        std::fs::write(directory.path().join("warden.toml"), config).expect("a configuration");
        let data = directory.path().join("data");
        Self {
            trial: trial.clone(),
            directory,
            data,
            variables: Vec::new(),
            launcher: Vec::new(),
            receiver,
            memory: Memory::default(),
            shape,
            lives: AtomicU32::new(0),
            held: AtomicUsize::new(0),
            heard: Mutex::default(),
        }
    }

    /// Puts the data somewhere else.
    pub fn keep_data_in(&mut self, directory: &Path) {
        self.data = directory.join("data");
    }

    /// Sets a variable of the daemon's environment.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.variables.push((name.to_owned(), value.into()));
    }

    /// Starts the daemon by a program that is given these arguments and then the daemon's command.
    pub fn launch_by(&mut self, launcher: &[&str]) {
        self.launcher = launcher.iter().map(OsString::from).collect();
    }

    /// A directory for whatever a row needs.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where the data is.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Whether the receiver was told anything at all.
    pub async fn is_told(&self) -> bool {
        self.told(|_| true).await.is_some()
    }

    /// The first notification of an opening that the receiver ever got of such an incident.
    pub async fn opening(&self, of: impl Fn(&Value) -> bool) -> Option<Received> {
        self.told(|said| said["type"] == "incident.opened" && of(&said["data"])).await
    }

    async fn told(&self, wanted: impl Fn(&Value) -> bool) -> Option<Received> {
        let arrived = self.receiver.arrived().await;
        let mut heard = self.heard.lock().expect("not poisoned");
        heard.extend(arrived);
        heard.iter().find(|one| wanted(&one.json())).cloned()
    }

    /// What was acknowledged.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The command that starts the daemon.
    pub fn command(&self) -> Command {
        let serve = process::serve(self.directory.path());
        let mut command = match self.launcher.split_first() {
            None => serve,
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(serve.get_program()).args(serve.get_args());
                for (name, value) in serve.get_envs() {
                    match value {
                        Some(value) => command.env(name, value),
                        None => command.env_remove(name),
                    };
                }
                command
            }
        };
        command.env("WARDEN_STORAGE__PATH", &self.data);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts it and waits until it serves. An error is what it said when it ended instead.
    pub async fn try_start(&self) -> Result<DaemonProcess, String> {
        self.lives.fetch_add(1, Ordering::Relaxed);
        let (command, log) = (self.command(), self.log_file());
        let began = self.trial.now();
        let started = tokio::task::spawn_blocking(move || DaemonProcess::start(command, &log)).await;
        let daemon = started.expect("no panic")?;
        self.trial.ready(self.trial.since(began));
        Ok(daemon)
    }

    /// Starts it, which must go well.
    pub async fn start(&self) -> DaemonProcess {
        self.try_start().await.unwrap_or_else(|said| panic!("it does not start: {said}"))
    }

    /// What it logged since it was last started.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join(format!("log-{}", self.lives.load(Ordering::Relaxed)))
    }

    /// Lets the clients loose on it, and returns once it has acknowledged some creates.
    pub async fn press(&self, daemon: &DaemonProcess) -> Load {
        let load = self.memory.press(daemon, self.shape);
        self.acknowledged(20).await;
        load
    }

    /// Waits until so many creates more are acknowledged.
    pub async fn acknowledged(&self, more: usize) {
        let before = self.memory.creates();
        let what = format!("{more} creates to be acknowledged");
        eventually(&what, || async { (self.memory.creates() >= before + more).then_some(()) }).await;
    }

    /// Waits until it has ended by itself, and gives how, and what it logged.
    pub async fn ended(&self, mut daemon: DaemonProcess) -> (ExitStatus, String) {
        let id = daemon.id();
        let ended = tokio::task::spawn_blocking(move || daemon.wait());
        match tokio::time::timeout(2 * PATIENCE, ended).await {
            Ok(status) => (status.expect("no panic"), self.log()),
            Err(_) => {
                if let Some(id) = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw) {
                    let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
                }
                panic!("waited in vain for the daemon to end by itself; it said {}", self.log());
            }
        }
    }

    /// Holds it to all that was acknowledged; how many items are open.
    pub async fn hold(&self, daemon: &DaemonProcess) -> usize {
        let open = self.look(daemon, false).await;
        self.lost(self.memory.hand_in_again(daemon, self.shape).await);
        open
    }

    /// Looks at what it holds, everything or what there is reason to look at, without handing anything in:
    /// how many items are open.
    pub async fn look(&self, daemon: &DaemonProcess, everything: bool) -> usize {
        let operations = self.memory.operations();
        let holding = self.memory.hold_to(daemon, self.shape, everything).await;
        self.lost(holding.lost);
        self.trial.held(operations - self.held.swap(operations, Ordering::Relaxed));
        holding.open
    }

    fn lost(&self, what: Vec<String>) {
        what.into_iter().for_each(|what| self.trial.lost(what));
    }

    /// The end of a row: the daemon is held to everything once more, what is overdue must be counted by an
    /// incident that the receiver was told of, and then it stops in good order.
    pub async fn settle(self, daemon: DaemonProcess) {
        self.hold(&daemon).await;
        let open = self.look(&daemon, true).await;
        assert!(open > 0, "the load leaves items open");
        let counting = async || {
            let page = get(&daemon, "/v1/incidents?status=open").await;
            let incidents = page["data"].as_array().expect("incidents").clone();
            incidents.into_iter().find(|found| found["workflow"] == WORKFLOW)
        };
        let counts_all = || async { counting().await.filter(|incident| incident["count"] == open) };
        let incident = match tokio::time::timeout(PATIENCE / 2, eventually("it", counts_all)).await {
            Ok(incident) => incident["id"].as_str().expect("an id").to_owned(),
            Err(_) => panic!("{open} items are open and overdue, but the incident is {:?}", counting().await),
        };
        eventually("a notification about that incident", || async {
            self.opening(|of| of["id"] == *incident).await
        })
        .await;
        stop(daemon).await;
    }
}

/// Asks it to stop, which must end in success.
pub async fn stop(daemon: DaemonProcess) {
    let status = tokio::task::spawn_blocking(|| daemon.terminate()).await.expect("no panic");
    assert!(status.success(), "told to stop, it ended with {status}");
}

/// Gets JSON from it.
pub async fn get(daemon: &DaemonProcess, path: &str) -> Value {
    let response = daemon.request(Method::GET, path).send().await.expect("an answer");
    response.json().await.expect("JSON")
}

/// A moment between nothing and so many milliseconds: the instant of a fault is the point.
pub async fn a_moment(at_most: u64) {
    tokio::time::sleep(Duration::from_millis(rand::random_range(0..at_most))).await;
}
