//! A server as a process with its own directory.
#![expect(
    clippy::disallowed_methods,
    reason = "a bench measures real time; nothing here is the daemon's own"
)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::failure::Failure;

/// How much of a server's log a failure shows, in lines.
const LOG_LINES: usize = 20;
/// How long a server that says nothing by itself may take until it can be reached, and how often that is
/// tried.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How a server is ended when nobody cares how it ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By SIGKILL.
    Kill,
    /// By SIGQUIT: it has processes and shared memory of its own to clear away.
    Quit,
}

/// A process and its directory, both gone when this is dropped.
pub struct Process {
    name: &'static str,
    ending: Ending,
    child: Child,
    directory: TempDir,
}

impl Process {
    /// An empty directory under `parent`.
    pub fn directory(parent: &Path) -> Result<TempDir, Failure> {
        tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(parent)
            .map_err(Failure::system("making a data directory"))
    }

    /// Starts `command` in `directory`, its log in a file there.
    pub fn start(
        name: &'static str,
        command: Command,
        ending: Ending,
        directory: TempDir,
    ) -> Result<Self, Failure> {
        let child = spawn(command, directory.path())?;
        Ok(Self { name, ending, child, directory })
    }

    /// Starts it again, in the same directory, after it was killed.
    pub fn restart(&mut self, command: Command) -> Result<(), Failure> {
        self.child = spawn(command, self.directory.path())?;
        Ok(())
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where it prints to; only once.
    pub fn output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// A failure of this server, with the end of its log.
    pub fn failure(&self, what: String) -> Failure {
        Failure::Peer { peer: self.name, what, log: end_of_log(self.directory.path()) }
    }

    /// Adds the end of the server's log to a failure that came up while it was under load.
    pub fn blame(&self, failure: Failure) -> Failure {
        self.failure(format!("failed under load: {failure}"))
    }

    /// Ends it as an operator would and waits for that.
    pub fn terminate(&mut self, signal: Signal) -> Result<ExitStatus, Failure> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|error| self.failure(format!("cannot be signalled: {error}")))?;
        self.child.wait().map_err(Failure::system("waiting for a server to end"))
    }

    /// Ends it as a power cut would, but for what the kernel holds.
    pub fn kill(&mut self) -> Result<(), Failure> {
        self.child.kill().map_err(Failure::system("killing a server"))?;
        self.child.wait().map_err(Failure::system("waiting for a server to end"))?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // All of it fails only when the process has ended already, which is what is wanted; who was waited
        // for has no id any more by which another one could be hit.
        if self.ended().is_none() {
            match self.ending {
                Ending::Kill => drop(self.child.kill()),
                Ending::Quit => drop(kill_process(Pid::from_child(&self.child), Signal::QUIT)),
            }
        }
        drop(self.child.wait());
    }
}

/// Waits until a server that says nothing by itself can be reached, as `reached` tries.
pub fn wait_until(process: &mut Process, mut reached: impl FnMut() -> bool) -> Result<(), Failure> {
    let began = Instant::now();
    while !reached() {
        if let Some(status) = process.ended() {
            return Err(process.failure(format!("has not started: {status}")));
        }
        if began.elapsed() > START_TIMEOUT {
            return Err(process.failure(format!("could not be reached within {START_TIMEOUT:?}")));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

fn spawn(mut command: Command, directory: &Path) -> Result<Child, Failure> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(log_path(directory))
        .map_err(Failure::system("making a log file"))?;
    command
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(Failure::system("starting a server"))
}

fn log_path(directory: &Path) -> PathBuf {
    directory.join("log")
}

fn end_of_log(directory: &Path) -> String {
    let log = fs::read(log_path(directory)).unwrap_or_default();
    let log = String::from_utf8_lossy(&log).into_owned();
    let lines: Vec<&str> = log.lines().collect();
    match lines.len() {
        0 => "(nothing)".into(),
        count => lines[count.saturating_sub(LOG_LINES)..].join("\n"),
    }
}
