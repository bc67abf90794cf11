//! A daemon on damaged data: it serves, refuses to start, or hangs.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::client;

/// How long it may take until it has made up its mind.
const START_WITHIN: Duration = Duration::from_secs(60);

/// A daemon that serves. It is killed when this goes, without waiting for its end; see [`Patient::end`].
pub struct Patient {
    child: Child,
    http: Client,
    base: String,
}

impl Patient {
    /// Starts the command, with its log in this file, and gives the daemon or how it ended instead. An error
    /// is when it does neither.
    pub async fn start(
        command: std::process::Command,
        log: &Path,
    ) -> Result<Result<Self, ExitStatus>, String> {
        let log = std::fs::File::create(log).expect("a log file");
        let mut command = Command::from(command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().expect("the binary can be run");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let line = tokio::time::timeout(START_WITHIN, lines.next_line()).await;
        let line = line.map_err(|_| format!("it neither served nor ended within {START_WITHIN:?}"))?;
        match line.expect("stdout can be read") {
            Some(line) => {
                let base = line.trim_start_matches("listening on ").to_owned();
                Ok(Ok(Self { child, http: client(), base }))
            }
            None => Ok(Err(child.wait().await.expect("it can be waited for"))),
        }
    }

    /// What it answers, and with which status.
    pub async fn get(&self, path: &str) -> Result<(u16, Vec<u8>), String> {
        let response = self.http.get(format!("{}{path}", self.base)).send().await;
        let response = response.map_err(|error| format!("{path}: no answer: {error:?}"))?;
        let status = response.status().as_u16();
        // A payload that turns out to be damaged on its way is broken off.
        let bytes = response.bytes().await.map_err(|error| format!("{path}: broken off: {error:?}"))?;
        Ok((status, bytes.into()))
    }

    /// The same of what is JSON; nothing where it is none.
    pub async fn get_json(&self, path: &str) -> Result<(u16, Value), String> {
        let (status, bytes) = self.get(path).await?;
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it can be asked").is_none()
    }

    /// Kills it, and waits until it has let go of its directory.
    pub async fn end(mut self) {
        self.child.kill().await.expect("it can be killed");
    }
}
