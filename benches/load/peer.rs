//! A server under load, as a process of its own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::failure::Failure;
use super::{noop, storm};

/// How long a peer may take until it says where it listens.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of a peer's log a failure shows, in lines.
const LOG_LINES: usize = 20;

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PeerKind {
    Warden,
    Noop,
}

impl PeerKind {
    pub fn name(self) -> &'static str {
        match self {
            PeerKind::Warden => "warden",
            PeerKind::Noop => "noop",
        }
    }

    fn command(self, directory: &Path) -> Result<Command, Failure> {
        match self {
            PeerKind::Warden => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_warden"));
                command.arg("serve").env("WARDEN_SERVER__LISTEN", "127.0.0.1:0");
                command.env("WARDEN_STORAGE__PATH", directory.join("data"));
                Ok(command)
            }
            PeerKind::Noop => {
                let own = std::env::current_exe().map_err(Failure::system("finding this program"))?;
                let mut command = Command::new(own);
                command.arg(noop::ARGUMENT);
                Ok(command)
            }
        }
    }
}

/// A running server that listens.
pub struct Peer {
    process: Process,
    address: SocketAddr,
}

impl Peer {
    /// Starts a server on an empty directory under `parent` and waits until it listens.
    pub fn start(kind: PeerKind, parent: &Path) -> Result<Self, Failure> {
        Self::start_with(kind, parent, &[])
    }

    /// The same with these variables in its environment.
    pub fn start_with(kind: PeerKind, parent: &Path, variables: &[(&str, &str)]) -> Result<Self, Failure> {
        let mut process = Process::start(kind, parent, variables)?;
        let output = process.child.stdout.take();
        let address = output
            .and_then(|output| address_in(BufReader::new(output)))
            .ok_or_else(|| process.failure("did not say where it listens".into()))?;
        Ok(Self { process, address })
    }

    pub fn kind(&self) -> PeerKind {
        self.process.kind
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The memory that it has resident, in MiB.
    pub fn resident_memory(&self) -> u64 {
        storm::resident_memory(self.process.child.id())
    }

    /// Adds the end of the server's log to a failure that came up while it was under load.
    pub fn blame(&self, failure: Failure) -> Failure {
        self.process.failure(format!("failed under load: {failure}"))
    }

    /// Ends the server as an operator would. The daemon must then exit with success; the other peer knows no
    /// better than to die of the signal.
    pub fn stop(self) -> Result<(), Failure> {
        let mut process = self.process;
        kill_process(Pid::from_child(&process.child), Signal::TERM)
            .map_err(|error| process.failure(format!("cannot be signalled: {error}")))?;
        let status = process.child.wait().map_err(Failure::system("waiting for a peer to end"))?;
        match process.kind == PeerKind::Noop || status.success() {
            true => Ok(()),
            false => Err(process.failure(format!("ended badly after SIGTERM: {status}"))),
        }
    }
}

/// A process and its directory, both gone when this is dropped.
struct Process {
    kind: PeerKind,
    child: Child,
    directory: TempDir,
}

impl Process {
    fn start(kind: PeerKind, parent: &Path, variables: &[(&str, &str)]) -> Result<Self, Failure> {
        let directory = tempfile::Builder::new()
            .prefix("ingest-")
            .tempdir_in(parent)
            .map_err(Failure::system("making a data directory"))?;
        let log = File::create(log_path(&directory)).map_err(Failure::system("making a log file"))?;
        let child = kind
            .command(directory.path())?
            .envs(variables.iter().copied())
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(Failure::system("starting a peer"))?;
        Ok(Self { kind, child, directory })
    }

    fn failure(&self, what: String) -> Failure {
        let log = fs::read(log_path(&self.directory)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        let log = match lines.len() {
            0 => "(nothing)".into(),
            count => lines[count.saturating_sub(LOG_LINES)..].join("\n"),
        };
        Failure::Peer { peer: self.kind.name(), what, log }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the process has ended already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn log_path(directory: &TempDir) -> PathBuf {
    directory.path().join("log")
}

/// Waits for the line that tells the address. The thread goes on reading afterwards, so that the peer never writes
/// into a closed or a full pipe; it ends with the peer.
fn address_in(output: impl BufRead + Send + 'static) -> Option<SocketAddr> {
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix("listening on http://") {
                // Nobody hears a second such line.
                drop(told.send(address.trim().parse()));
            }
        }
    });
    heard.recv_timeout(START_TIMEOUT).ok()?.ok()
}
