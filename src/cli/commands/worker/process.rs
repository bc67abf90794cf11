//! One run of the command: started, fed, listened to, and ended if need be.
//!
//! It has a process group of its own, so that the terminal's Ctrl-C does not reach it, and so that what it started goes
//! when it is killed. A command that does not read its input, or leaves somebody behind who holds its output, holds up
//! nothing.
//!
//! Deliberately absent: any judgement of how it ended.

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

/// How long a command that was told to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How often it is looked whether all of a group has ended.
const LOOK: Duration = Duration::from_millis(20);
/// How long what a command said may take to arrive after its end. Longer only if somebody it left behind holds it open.
/// Of a batch, each piece has as long, since what it says of its items must not be missed.
const DRAIN: Duration = Duration::from_millis(250);
/// How long all that a command said of a batch may take to arrive after its end.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// The longest line that is handed on whole, in bytes; what is said of the items of a batch may be longer.
const LINE_MAX: usize = 64 * 1024;
/// The longest line of a batch that is handed on whole, in bytes.
const BATCH_LINE_MAX: usize = 1024 * 1024;

/// How many files are open at most without a command, and for each that runs: three pipes while it starts, and a
/// connection or two.
const FILES: (u64, u64) = (256, 12);

/// What is to be done; later ones are stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopLevel {
    /// Go on.
    Run,
    /// Finish what is running, begin nothing.
    Drain,
    /// End what is running, within the grace.
    Terminate,
    /// End it at once.
    Kill,
}

/// Gives an order, unless a stronger one was given.
pub fn raise(stop: &watch::Sender<StopLevel>, order: StopLevel) {
    stop.send_if_modified(|given| {
        let stronger = order > *given;
        *given = order.max(*given);
        stronger
    });
}

/// Waits for an order that is at least as strong, and gives it; waits for ever if nobody gives any more.
pub async fn reached(stop: &mut watch::Receiver<StopLevel>, least: StopLevel) -> StopLevel {
    let given = stop.wait_for(|order| *order >= least).await.map(|order| *order);
    match given {
        Ok(order) => order,
        Err(_) => std::future::pending().await,
    }
}

/// What is run.
#[derive(Clone, Debug)]
pub struct CommandLine {
    /// The program, looked for as a shell would.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// Where a command's stdout goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// To our stdout.
    Stdout,
    /// To our stderr.
    Stderr,
    /// Line by line to whoever runs it.
    Lines,
}

impl Output {
    /// Whether whoever read it has gone, so that a command that writes to it fails or is ended.
    pub fn has_no_reader(self) -> bool {
        match self {
            Self::Stdout => has_no_reader(io::stdout().as_fd()),
            Self::Stderr => has_no_reader(io::stderr().as_fd()),
            Self::Lines => false,
        }
    }
}

/// Whether this is the writing end of something of which nobody has the reading end.
fn has_no_reader(output: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::from_borrowed_fd(output, PollFlags::empty())];
    // What cannot be asked is taken for read: commands find out.
    poll(&mut asked, Some(&Timespec::default()))
        .is_ok_and(|_| asked[0].revents().intersects(PollFlags::ERR | PollFlags::HUP))
}

/// A command that runs.
pub struct Process {
    child: Child,
    group: Pid,
}

impl Process {
    /// Starts the command with these variables besides those of this process.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(line: &CommandLine, variables: &[(String, String)], output: Output) -> io::Result<Self> {
        let mut command = Command::new(&line.program);
        for (name, _) in std::env::vars_os() {
            // This process may be a command of another recovery's itself.
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

    /// Feeds it the input and waits for its end. Gives how it ended, and the end of what it said on stderr. Lines of
    /// stdout go to the stdout, where that was asked for.
    ///
    /// # Errors
    /// When the system cannot say how it ended.
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
                until_quiet(feed(pipes.0, input), ended.clone()),
                hand_on(pipes.1, stdout, ended.clone()),
                until_quiet(hear(pipes.2, &mut said), ended),
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

    /// Waits until it has ended, and sees to it when it is told to.
    async fn end(&mut self, stop: &mut watch::Receiver<StopLevel>) -> io::Result<ExitStatus> {
        tokio::select! {
            status = self.child.wait() => return status,
            _ = reached(stop, StopLevel::Terminate) => {}
        }
        if *stop.borrow() == StopLevel::Terminate {
            // Whoever is gone already need not be told.
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

/// Lets this process open as many files as so many commands at once need, as far as the system allows.
pub fn raise_file_limit(concurrency: usize) {
    let limit = getrlimit(Resource::Nofile);
    let needed = FILES.0 + FILES.1 * u64::try_from(concurrency).unwrap_or(u64::MAX / FILES.1 / 2);
    // No more than that: the commands inherit it, and not every program can do with many.
    if let Some(current) = limit.current.filter(|current| *current < needed) {
        let raised = needed.min(limit.maximum.unwrap_or(u64::MAX)).max(current);
        // Where it stays as it is, a command that finds no room says so.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum });
    }
}

/// Waits for the end of the command, and for as long afterwards as something may take to arrive.
async fn quiet(ended: &mut watch::Receiver<bool>) {
    // Whoever would say it is there for as long as somebody waits.
    let _ = ended.wait_for(|ended| *ended).await;
    sleep(DRAIN).await;
}

async fn until_quiet(talk: impl Future<Output = ()>, mut ended: watch::Receiver<bool>) {
    tokio::select! {
        () = talk => {}
        () = quiet(&mut ended) => {}
    }
}

async fn feed(pipe: Option<ChildStdin>, input: Bytes) {
    if let Some(mut pipe) = pipe {
        // A command need not read what it does not need.
        let _ = pipe.write_all(&input).await;
    }
}

async fn hear(pipe: Option<ChildStderr>, said: &mut Tail) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; 8 * 1024];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        said.push(&buffer[..count]);
    }
}

async fn hand_on(pipe: Option<ChildStdout>, stdout: &mut StdoutHandler, mut ended: watch::Receiver<bool>) {
    let Some(mut pipe) = pipe else { return };
    let most = if stdout.in_batches() { BATCH_LINE_MAX } else { LINE_MAX };
    let (mut held, mut buffer) = (Vec::new(), [0; 8 * 1024]);
    loop {
        let read = tokio::select! {
            biased;
            read = pipe.read(&mut buffer) => read,
            () = quiet(&mut ended) => break,
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
