//! The HTTP servers: the daemon and the no-op peer.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::Signal;

use super::failure::Failure;
use super::noop;
use super::process::{Ending, Process};

/// How long a server may take until it says where it listens. With many items it reads them first.
const START_TIMEOUT: Duration = Duration::from_secs(600);

/// A running server that listens.
pub struct Server {
    process: Process,
    address: SocketAddr,
    /// What it was started with, to start it again; none: the peer that does nothing.
    variables: Option<Vec<(String, String)>>,
}

impl Server {
    /// Starts the daemon on an empty directory under `parent`, with these variables in its environment, and
    /// waits until it listens.
    pub fn warden(parent: &Path, variables: &[(&str, &str)]) -> Result<Self, Failure> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables: Vec<_> = variables.iter().map(owned).collect();
        let directory = Process::directory(parent)?;
        let command = warden_command(directory.path(), &variables);
        Self::start("warden", command, directory, Some(variables))
    }

    /// Starts the peer that does nothing: this program, executing itself again.
    pub fn noop(parent: &Path) -> Result<Self, Failure> {
        let own = std::env::current_exe().map_err(Failure::system("finding this program"))?;
        let mut command = Command::new(own);
        command.arg(noop::ARGUMENT);
        Self::start("noop", command, Process::directory(parent)?, None)
    }

    fn start(
        name: &'static str,
        command: Command,
        directory: tempfile::TempDir,
        variables: Option<Vec<(String, String)>>,
    ) -> Result<Self, Failure> {
        let mut process = Process::start(name, command, Ending::Kill, directory)?;
        let address = wait_for_address(&mut process)?;
        Ok(Self { process, address, variables })
    }

    /// Kills the daemon and starts it again on the same directory; it may listen elsewhere afterwards.
    pub fn kill_and_restart(&mut self) -> Result<(), Failure> {
        self.process.kill()?;
        let variables = self
            .variables
            .as_ref()
            .ok_or_else(|| self.process.failure("cannot be started again: there is nothing in it".into()))?;
        let command = warden_command(self.process.path(), variables);
        self.process.restart(command)?;
        self.address = wait_for_address(&mut self.process)?;
        Ok(())
    }

    pub fn name(&self) -> &'static str {
        self.process.name()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the daemon keeps its data.
    pub fn data(&self) -> PathBuf {
        data_path(self.process.path())
    }

    /// The memory that it has resident, in MiB.
    pub fn resident_memory(&self) -> u64 {
        resident_memory(self.process.id())
    }

    /// Adds the end of the server's log to a failure that came up while it was under load.
    pub fn blame(&self, failure: Failure) -> Failure {
        self.process.blame(failure)
    }

    /// Ends the server as an operator would. The daemon must then exit with success; the other peer knows no
    /// better than to die of the signal.
    pub fn stop(mut self) -> Result<(), Failure> {
        let status = self.process.terminate(Signal::TERM)?;
        match self.variables.is_none() || status.success() {
            true => Ok(()),
            false => Err(self.process.failure(format!("ended badly after SIGTERM: {status}"))),
        }
    }
}

fn warden_command(directory: &Path, variables: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warden"));
    command.arg("serve").env("WARDEN_SERVER__LISTEN", "127.0.0.1:0");
    command.env("WARDEN_STORAGE__PATH", data_path(directory));
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command
}

fn data_path(directory: &Path) -> PathBuf {
    directory.join("data")
}

fn wait_for_address(process: &mut Process) -> Result<SocketAddr, Failure> {
    process
        .output()
        .and_then(|output| address_in(BufReader::new(output)))
        .ok_or_else(|| process.failure("did not say where it listens".into()))
}

/// Waits for the line that tells the address. The thread goes on reading afterwards, so that the server never
/// writes into a closed or a full pipe; it ends with the server.
fn address_in(output: BufReader<ChildStdout>) -> Option<SocketAddr> {
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

/// The memory that a process has resident, in MiB; zero where the system does not tell.
pub fn resident_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}
