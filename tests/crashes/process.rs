//! The killed process, seen from its parent.

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::child;
use crate::told::Told;

/// How long it may say nothing, in seconds.
const PATIENCE: i64 = 60;

/// See the module's documentation. It is killed when this goes.
pub struct Process {
    child: Child,
    stream: UnixStream,
    /// What was read and not taken yet.
    read: Vec<u8>,
}

impl Process {
    /// Starts it: this same program, which sees by its environment what it is there for.
    pub fn start(seed: u64, directory: &Path, before: &Path) -> io::Result<Self> {
        let (stream, its) = UnixStream::pair()?;
        stream.set_nonblocking(true)?;
        let child = Command::new(std::env::current_exe()?)
            .args([crate::TEST, "--exact", "--nocapture", "--test-threads=1"])
            .env(child::SEED, seed.to_string())
            .env(child::DIRECTORY, directory)
            .env(child::BEFORE, before)
            .stdin(OwnedFd::from(its))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, stream, read: Vec::new() })
    }

    fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The next that it tells, once it does.
    pub fn next(&mut self) -> Result<Told, String> {
        loop {
            if let Some(told) = self.take() {
                return Ok(told);
            }
            let patience = Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
            let mut stream = [PollFd::new(&self.stream, PollFlags::IN)];
            match poll(&mut stream, Some(&patience)) {
                Ok(0) => return Err(format!("it has said nothing for {PATIENCE} s")),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.to_string()),
            }
            if self.fill()? == 0 {
                return Err("it has ended by itself".into());
            }
        }
    }

    /// The next line that was read.
    fn take(&mut self) -> Option<Told> {
        let end = self.read.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.read.drain(..=end).collect();
        let text = String::from_utf8_lossy(&line[..end]).into_owned();
        Some(Told::parse(&text).unwrap_or(Told::Wrong(text)))
    }

    /// Reads what there is; how many bytes.
    fn fill(&mut self) -> Result<usize, String> {
        let mut bytes = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(count) => {
                    self.read.extend_from_slice(&bytes[..count]);
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Stops it wherever it is. All that it has told until then.
    pub fn stop(&mut self) -> Result<Vec<Told>, String> {
        kill_process(self.id(), Signal::STOP).map_err(|error| error.to_string())?;
        let waited = waitpid(Some(self.id()), WaitOptions::UNTRACED).map_err(|error| error.to_string())?;
        // Until there is no more, or it has ended.
        while self.fill().is_ok_and(|count| count > 0) {}
        let told: Vec<Told> = std::iter::from_fn(|| self.take()).collect();
        let is_stopped = waited.is_some_and(|(_, status)| status.stopped());
        if is_stopped || told.iter().any(|told| matches!(told, Told::Wrong(_))) {
            Ok(told)
        } else {
            Err("it has ended by itself".into())
        }
    }

    /// Has it go on.
    pub fn go_on(&self) -> Result<(), String> {
        kill_process(self.id(), Signal::CONT).map_err(|error| error.to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
