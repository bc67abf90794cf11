//! One run of the command.
//!
//! It has a process group of its own: Ctrl-C at the terminal does not reach it, and killing it includes the
//! processes that it started. One that is dropped is killed in the same way. A command that does not read its
//! stdin, or leaves processes that hold its stdout open, does not block anything.
//!
//! Deliberately absent: any judgement of the exit status.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join3;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getrlimit, kill_process_group, setrlimit, test_kill_process_group,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::environment::is_item_variable;
use super::stdout::StdoutHandler;
use super::tail::Tail;

/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
/// The interval of checking whether a process group has ended.
const LOOK: Duration = Duration::from_millis(20);
/// The longest wait for output after the end of the command; it is exceeded only if a process left behind
/// holds the pipe open. In a batch each read may take as long, as results must not be missed.
const DRAIN: Duration = Duration::from_millis(250);
/// The same for all the output of a batch.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// The longest line that is passed on in one piece, in bytes.
const LINE_MAX: usize = 64 * 1024;
/// The same for a batch, whose lines may be results.
const BATCH_LINE_MAX: usize = 1024 * 1024;

/// Open files without a command, and for each one that runs: three pipes while it starts, and connections.
const FILES: (u64, u64) = (256, 12);

/// How urgently to stop; later levels include earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopLevel {
    /// Do not stop.
    Run,
    /// Finish what is running, begin nothing.
    Drain,
    /// Terminate commands, with the grace period.
    Terminate,
    /// Kill commands.
    Kill,
}

/// Raises the level; it is never lowered.
pub fn raise(stop: &watch::Sender<StopLevel>, level: StopLevel) {
    stop.send_if_modified(|given| {
        let stronger = level > *given;
        *given = level.max(*given);
        stronger
    });
}

/// Waits for at least this level, and returns the actual one. Waits for ever if the sender is gone.
pub async fn reached(stop: &mut watch::Receiver<StopLevel>, least: StopLevel) -> StopLevel {
    let given = stop.wait_for(|order| *order >= least).await.map(|order| *order);
    match given {
        Ok(order) => order,
        Err(_) => std::future::pending().await,
    }
}

#[derive(Clone, Debug)]
pub struct CommandLine {
    /// Looked up in `PATH`.
    pub program: OsString,
    pub arguments: Vec<OsString>,
}

/// The destination of a command's stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// stdout of this process.
    Stdout,
    /// stderr of this process.
    Stderr,
    /// The display, line by line.
    Lines,
}

impl Output {
    /// Whether the reader has gone, so that writing fails or ends the command.
    pub fn has_no_reader(self) -> bool {
        match self {
            Self::Stdout => has_no_reader(io::stdout().as_fd()),
            Self::Stderr => has_no_reader(io::stderr().as_fd()),
            Self::Lines => false,
        }
    }
}

/// Whether the read end of a pipe is closed.
fn has_no_reader(output: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::from_borrowed_fd(output, PollFlags::empty())];
    // If unknown, it counts as open: the commands will find out.
    poll(&mut asked, Some(&Timespec::default()))
        .is_ok_and(|_| asked[0].revents().intersects(PollFlags::ERR | PollFlags::HUP))
}

pub struct Process {
    child: Child,
    group: Pid,
}

impl Drop for Process {
    /// Kills what still runs: the work was cancelled.
    fn drop(&mut self) {
        // Without an id it has ended and was waited for, and its group may be another's.
        if self.child.id().is_some() {
            let _ = kill_process_group(self.group, Signal::KILL);
        }
    }
}

impl Process {
    /// Starts the command with these variables added to the environment.
    pub fn start(line: &CommandLine, variables: &[(String, String)], output: Output) -> io::Result<Self> {
        let mut command = Command::new(&line.program);
        for (name, _) in std::env::vars_os() {
            // This process may itself be the command of a recovery.
            if is_item_variable(name.as_encoded_bytes()) {
                command.env_remove(name);
            }
        }
        command
            .args(&line.arguments)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(match output {
                Output::Stdout => Stdio::inherit(),
                Output::Stderr => io::stderr().as_fd().try_clone_to_owned()?.into(),
                Output::Lines => Stdio::piped(),
            })
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn()?;
        let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let group = id.ok_or_else(|| io::Error::other("it has no process id"))?;
        Ok(Self { child, group })
    }

    /// Writes the input and waits for the end. Returns the exit status and the end of stderr. Lines of stdout
    /// go to the handler, if it is piped.
    pub async fn run(
        mut self,
        input: Bytes,
        mut stop: watch::Receiver<StopLevel>,
        stdout: &mut StdoutHandler,
    ) -> io::Result<(ExitStatus, Tail)> {
        let mut said = Tail::default();
        let pipes = (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take());
        let (over, ended) = watch::channel(false);
        let most = if stdout.in_batches() { DRAIN_MAX } else { DRAIN };
        let status = {
            let mut talk = std::pin::pin!(join3(
                until_output_over(write_stdin(pipes.0, input), ended.clone()),
                read_stdout(pipes.1, stdout, ended.clone()),
                until_output_over(read_stderr(pipes.2, &mut said), ended),
            ));
            let mut end = std::pin::pin!(self.end(&mut stop));
            tokio::select! {
                status = &mut end => {
                    over.send_replace(true);
                    let _ = timeout(most, talk).await;
                    status
                }
                _ = &mut talk => end.await,
            }
        };
        Ok((status?, said))
    }

    /// Waits until the process has ended, and ends it if told to.
    async fn end(&mut self, stop: &mut watch::Receiver<StopLevel>) -> io::Result<ExitStatus> {
        tokio::select! {
            status = self.child.wait() => return status,
            _ = reached(stop, StopLevel::Terminate) => {}
        }
        if *stop.borrow() == StopLevel::Terminate {
            // The group may have ended already.
            let _ = kill_process_group(self.group, Signal::TERM);
            let all = async {
                let status = self.child.wait().await;
                while test_kill_process_group(self.group).is_ok() {
                    sleep(LOOK).await;
                }
                status
            };
            tokio::select! {
                status = all => return status,
                () = sleep(GRACE) => {}
                _ = reached(stop, StopLevel::Kill) => {}
            }
        }
        let _ = kill_process_group(self.group, Signal::KILL);
        self.child.wait().await
    }
}

/// Raises the limit of open files of this process to what this many commands need, as far as possible.
pub fn raise_file_limit(concurrency: usize) {
    let limit = getrlimit(Resource::Nofile);
    let needed = FILES.0 + FILES.1 * u64::try_from(concurrency).unwrap_or(u64::MAX / FILES.1 / 2);
    // Not higher, as commands inherit the limit and some cannot handle a high one.
    if let Some(current) = limit.current.filter(|current| *current < needed) {
        let raised = needed.min(limit.maximum.unwrap_or(u64::MAX)).max(current);
        // If it cannot be raised, commands that fail to start say so.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum });
    }
}

/// Waits for the end of the command, and then for late output.
async fn output_over(ended: &mut watch::Receiver<bool>) {
    // The sender outlives the receivers.
    let _ = ended.wait_for(|ended| *ended).await;
    sleep(DRAIN).await;
}

async fn until_output_over(talk: impl Future<Output = ()>, mut ended: watch::Receiver<bool>) {
    tokio::select! {
        () = talk => {}
        () = output_over(&mut ended) => {}
    }
}

async fn write_stdin(pipe: Option<ChildStdin>, input: Bytes) {
    if let Some(mut pipe) = pipe {
        // A command need not read its input.
        let _ = pipe.write_all(&input).await;
    }
}

async fn read_stderr(pipe: Option<ChildStderr>, said: &mut Tail) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; 8 * 1024];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        said.push(&buffer[..count]);
    }
}

async fn read_stdout(
    pipe: Option<ChildStdout>,
    stdout: &mut StdoutHandler,
    mut ended: watch::Receiver<bool>,
) {
    let Some(mut pipe) = pipe else { return };
    let most = if stdout.in_batches() { BATCH_LINE_MAX } else { LINE_MAX };
    let (mut held, mut buffer) = (Vec::new(), [0; 8 * 1024]);
    loop {
        let read = tokio::select! {
            biased;
            read = pipe.read(&mut buffer) => read,
            () = output_over(&mut ended) => break,
        };
        let Ok(count @ 1..) = read else {
            stdout.reached_end = read.is_ok();
            break;
        };
        let mut rest = &buffer[..count];
        while let Some(end) = memchr::memchr(b'\n', rest) {
            held.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            stdout.handle_line(std::mem::take(&mut held).into(), &mut ended).await;
        }
        held.extend_from_slice(rest);
        if held.len() > most {
            stdout.handle_line(std::mem::take(&mut held).into(), &mut ended).await;
        }
    }
    if !held.is_empty() {
        stdout.handle_line(held.into(), &mut ended).await;
    }
}

#[cfg(test)]
mod tests;
