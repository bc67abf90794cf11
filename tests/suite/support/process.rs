//! A daemon as a process: the real binary, the real clock, a real kill.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use reqwest::{Method, RequestBuilder};
use rustix::process::{Pid, Signal, kill_process};

use super::client;

/// A port of the system's choice.
const ANYWHERE: &str = "127.0.0.1:0";

/// A running `warden serve`.
pub struct DaemonProcess {
    child: Child,
    address: String,
    http: reqwest::Client,
}

/// A command that runs the binary without anything of this environment's that could configure it.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warden"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WARDEN_")) {
        command.env_remove(name);
    }
    command
}

/// A `warden serve` on a port of the system's choice, with its data and configuration in this directory.
pub fn serve(directory: &Path) -> Command {
    let mut command = binary();
    command
        .arg("serve")
        .env("WARDEN_SERVER__LISTEN", ANYWHERE)
        .env("WARDEN_STORAGE__PATH", directory.join("data"))
        .env("WARDEN_SERVER__HOSTS", r#"["warden"]"#)
        // Targets of tests are on this machine.
        .env("WARDEN_REPLAY__ALLOW_NETWORKS", r#"["127.0.0.0/8", "::1/128"]"#);
    let config = directory.join("warden.toml");
    if config.exists() {
        command.arg("--config").arg(config);
    }
    command
}

impl DaemonProcess {
    /// Starts the command and waits until it listens. Fails with what it said when it ends instead.
    pub fn start(command: Command, log: &Path) -> Result<Self, String> {
        let log_file = std::fs::File::options().create(true).append(true).open(log).expect("a log file");
        Self::start_with(command, log_file.into())
            .map_err(|status| format!("{status}: {}", std::fs::read_to_string(log).unwrap_or_default()))
    }

    /// The same, with the log going here. Fails with how it ended.
    pub fn start_with(mut command: Command, log: Stdio) -> Result<Self, ExitStatus> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary can be run");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("stdout can be read");
        match line.trim().strip_prefix("listening on http://") {
            Some(address) => Ok(Self { child, address: address.to_owned(), http: client() }),
            None => Err(child.wait().expect("it can be waited for")),
        }
    }

    /// Starts one on the directory, with its log in `log` there.
    pub fn on(directory: &Path) -> Self {
        Self::at(directory, ANYWHERE)
    }

    /// The same, listening at this address.
    pub fn at(directory: &Path, address: &str) -> Self {
        let mut command = serve(directory);
        command.env("WARDEN_SERVER__LISTEN", address);
        Self::start(command, &Self::log(directory)).unwrap_or_else(|said| panic!("{said}"))
    }

    /// Where the log of a daemon on this directory is.
    pub fn log(directory: &Path) -> PathBuf {
        directory.join("log")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its address with a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request to it.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.wait();
    }

    /// Asks it to stop with SIGTERM and waits until it has ended.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it can be signalled");
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it can be asked").is_none()
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it can be waited for")
    }
}

impl Drop for DaemonProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
