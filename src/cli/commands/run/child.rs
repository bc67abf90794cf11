//! The command of `warden run`: as it would be without a warden, but for a copy of the end of its output.
//!
//! It has the stdin and the process group of this process, so that it can read the terminal. Its stdout and
//! stderr are pipes, whose bytes are passed on unchanged. Processes that it leaves behind are not waited for:
//! once it has ended, a pause in the output ends the copying.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join;
use rustix::process::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::{Child as Process, Command};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::cli::commands::worker::environment::is_item_variable;
use crate::cli::commands::worker::tail::Tail;
use crate::cli::terminal::signals::{Forwarded, forward};

/// The end of the output that is kept, in bytes.
pub const OUTPUT_MAX: usize = 10 * 1024;
/// The pause in the output that ends it, once the command has ended.
const DRAIN: Duration = Duration::from_millis(250);
/// Variables of an outer run.
const RUN_PREFIXES: [&str; 3] = ["WARDEN_RUN_", "WARDEN_SHARED_", "WARDEN_JOB_"];

pub struct Child {
    process: Process,
    id: Pid,
}

impl Child {
    /// Starts the command with these variables added to the environment.
    pub fn start(command: &[OsString], variables: &BTreeMap<String, String>) -> io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            // This process may itself be the command of a run.
            let bytes = name.as_encoded_bytes();
            if is_item_variable(bytes)
                || RUN_PREFIXES.iter().any(|prefix| bytes.starts_with(prefix.as_bytes()))
            {
                command.env_remove(name);
            }
        }
        let process =
            command.args(arguments).envs(variables).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let id = process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self { process, id: id.ok_or_else(|| io::Error::other("it has no process id"))? })
    }

    /// Waits for its end, and passes on output and signals. Returns the exit status and the end of the output
    /// of both streams.
    pub async fn run(mut self, signals: &mut Forwarded) -> io::Result<(ExitStatus, String)> {
        let tail = Mutex::new(Tail::of(OUTPUT_MAX));
        let (over, ended) = watch::channel(false);
        let status = {
            let stdout = copy(self.process.stdout.take(), tokio::io::stdout(), &tail, ended.clone());
            let stderr = copy(self.process.stderr.take(), tokio::io::stderr(), &tail, ended);
            let mut copying = std::pin::pin!(join(stdout, stderr));
            let mut is_copied = false;
            let status = loop {
                tokio::select! {
                    status = self.process.wait() => break status?,
                    _ = &mut copying, if !is_copied => is_copied = true,
                    number = signals.next() => forward(number, self.id),
                }
            };
            over.send_replace(true);
            if !is_copied {
                tokio::select! {
                    _ = &mut copying => {}
                    // Nobody may be reading.
                    _ = signals.next() => {}
                }
            }
            status
        };
        let tail = tail.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((status, tail.text()))
    }
}

/// The exit code that a shell would show: 128 and the number of the signal that ended it.
pub fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// Copies to the end of the output. A reader that is gone ends it, so that the command is told as it would be
/// without a pipe in between.
async fn copy(
    pipe: Option<impl AsyncRead + Unpin>,
    mut to: impl AsyncWrite + Unpin,
    tail: &Mutex<Tail>,
    mut ended: watch::Receiver<bool>,
) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            biased;
            read = pipe.read(&mut buffer) => read,
            () = output_over(&mut ended) => return,
        };
        let Ok(count @ 1..) = read else { return };
        tail.lock().unwrap_or_else(PoisonError::into_inner).push(&buffer[..count]);
        if to.write_all(&buffer[..count]).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}

/// Waits for the end of the command, and then for late output.
async fn output_over(ended: &mut watch::Receiver<bool>) {
    // The sender outlives the receivers.
    let _ = ended.wait_for(|ended| *ended).await;
    sleep(DRAIN).await;
}
