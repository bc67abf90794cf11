//! `warden recover`: the real binary runs real shell commands on a daemon's items.

mod batches;
mod bounds;
mod commands;
mod endings;
mod files;
mod outages;
mod readers;
mod terminal;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Said, command, run};
use crate::support::{TestDaemon, eventually};

/// A directory in which scripts work, and what they leave there.
pub struct Scene(TempDir);

impl Scene {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The lines of a file, in order; none if it is not there.
    pub fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The same, sorted.
    pub fn sorted(&self, name: &str) -> Vec<String> {
        let mut lines = self.lines(name);
        lines.sort();
        lines
    }

    /// Waits until a file has so many lines, and gives them.
    pub async fn lines_when(&self, name: &str, count: usize) -> Vec<String> {
        eventually(&format!("{count} lines in {name}"), || async {
            Some(self.lines(name)).filter(|lines| lines.len() >= count)
        })
        .await
    }

    /// `warden recover` with these flags on the daemon at this address: it runs this script in the scene.
    pub fn recover(&self, url: &str, flags: &str, script: &str) -> Command {
        let mut words = vec!["recover"];
        words.extend(flags.split_whitespace());
        words.extend(["--", "sh", "-c", script]);
        let mut command = command(url, &words);
        command.current_dir(self.0.path());
        command
    }

    /// Runs it to its end.
    pub async fn recovered(&self, daemon: &TestDaemon, flags: &str, script: &str) -> Said {
        run(self.recover(&daemon.url(""), flags, script)).await
    }

    /// Starts it, with what it says in the file `notes`.
    pub fn start(&self, url: &str, flags: &str, script: &str) -> Running {
        self.spawn(self.recover(url, flags, script))
    }

    /// Starts a command in the scene, with what it says in the file `notes`.
    pub fn spawn(&self, mut command: Command) -> Running {
        command.current_dir(self.0.path());
        let notes = std::fs::File::create(self.path("notes")).expect("a file");
        let child = command.stdout(Stdio::null()).stderr(notes).spawn().expect("the binary can be run");
        Running { child, notes: self.path("notes") }
    }
}

/// A recovery that runs.
pub struct Running {
    child: Child,
    notes: PathBuf,
}

impl Running {
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it can be signalled");
    }

    pub fn notes(&self) -> String {
        std::fs::read_to_string(&self.notes).unwrap_or_default()
    }

    /// Waits until it has said this.
    pub async fn said(&self, words: &str) {
        eventually(words, || async { self.notes().contains(words).then_some(()) }).await;
    }

    /// Ends it like a power cut.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }

    /// Waits for its end, and gives its exit code.
    pub async fn ended(&mut self) -> i32 {
        eventually("the recovery to end", || {
            let status = self.child.try_wait().expect("it can be asked");
            async move { status.map(|status| status.code().expect("an exit code")) }
        })
        .await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Creates items that are overdue at once, with their ids as payloads; the first of them is due first.
pub async fn lose(daemon: &TestDaemon, ids: &[&str]) {
    let line = |id: &&str| {
        json!({"op": "create", "workflow": "uploads", "id": id, "payload": id, "deadline": "0s"}).to_string()
    };
    let lines = ids.iter().map(line).collect::<Vec<_>>().join("\n");
    let answers = daemon.send(Method::POST, "/v1/batch", lines).await.lines(200);
    assert!(answers.iter().all(|answer| answer["status"] == 201), "{answers:?}");
}

/// Ids of so many items, in the order of their text.
pub fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("file-{number:03}")).collect()
}

/// Creates so many of them.
pub async fn lose_many(daemon: &TestDaemon, count: usize) -> Vec<String> {
    let ids = numbered(count);
    lose(daemon, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    ids
}

/// An item as it stands.
pub async fn item(daemon: &TestDaemon, id: &str) -> Value {
    daemon.get(&format!("/v1/workflows/uploads/items/{id}")).await
}

/// The ids of all items in a state, sorted.
pub async fn in_state(daemon: &TestDaemon, state: &str) -> Vec<String> {
    let page = daemon.get(&format!("/v1/items?state={state}&limit=1000")).await;
    let ids = page["data"].as_array().expect("a list").iter().map(|item| item["id"].as_str().expect("an id"));
    let mut ids: Vec<String> = ids.map(str::to_owned).collect();
    ids.sort();
    ids
}

/// Whether a process with this id runs.
pub fn runs(id: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(id).join("stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}
