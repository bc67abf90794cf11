//! beanstalkd: a job for an item, with a delay for its deadline; the log is synced for each.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::installed::free_address;
use super::wire::{self, Dialect};
use crate::load::{Ending, Failure, Ids, Kind, Process, Workload, payload_text, wait_until};

/// How it is run, for the document.
pub const CONFIGURATION: &str = "`-b` (a log on disk) and `-f 0` (sync at each write), otherwise defaults. A \
                                 create is a `put` with a delay of an hour, a close the `delete` of that \
                                 job. It has one thread and syncs once for every job. A batch is a pipeline \
                                 of such commands. Jobs have numbers, not names. All jobs are in memory.";

/// The largest payload that it takes by default.
pub const PAYLOAD_MAX: usize = 65_535;

/// A running server.
pub struct Beanstalkd {
    process: Process,
    address: SocketAddr,
}

impl Beanstalkd {
    /// Starts it on an empty directory under `parent`.
    pub fn start(program: &Path, parent: &Path) -> Result<Self, Failure> {
        let address = free_address()?;
        let mut command = Command::new(program);
        command.args(["-l", "127.0.0.1", "-b", ".", "-f", "0", "-p"]).arg(address.port().to_string());
        let directory = Process::directory(parent)?;
        let mut process = Process::start("beanstalkd", command, Ending::Kill, directory)?;
        wait_until(&mut process, || TcpStream::connect(address).is_ok())?;
        Ok(Self { process, address })
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// It knows no better than to die of the signal.
    pub fn stop(mut self) -> Result<(), Failure> {
        self.process.terminate(Signal::TERM).map(drop)
    }
}

/// Its text protocol: puts and deletes.
pub struct Lines {
    put: Vec<u8>,
    delete: Vec<u8>,
    /// The numbers of the jobs that were put last.
    jobs: Vec<u64>,
    pairs: bool,
    deleting: bool,
    items: usize,
    /// Answers that were not heard yet.
    missing: usize,
}

impl Lines {
    pub fn new(workload: Workload) -> Self {
        let items = workload.items_per_request();
        let put = format!("put 0 3600 60 {}\r\n{}\r\n", workload.payload, payload_text(workload.payload));
        Self {
            put: put.repeat(items).into_bytes(),
            delete: Vec::new(),
            jobs: Vec::with_capacity(items),
            pairs: workload.kind == Kind::Pair,
            deleting: true,
            items,
            missing: 0,
        }
    }
}

impl Dialect for Lines {
    fn greeting(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn prepare(&mut self, _ids: &Ids) {
        self.deleting = self.pairs && !self.deleting;
        self.missing = self.items;
        if self.deleting {
            self.delete.clear();
            for job in &self.jobs {
                self.delete.extend_from_slice(b"delete ");
                self.delete.extend_from_slice(job.to_string().as_bytes());
                self.delete.extend_from_slice(b"\r\n");
            }
        }
        self.jobs.clear();
    }

    fn request(&self) -> &[u8] {
        if self.deleting { &self.delete } else { &self.put }
    }

    fn hear(&mut self, received: &[u8]) -> Result<usize, Failure> {
        let mut heard = 0;
        while let Some((line, length)) = wire::line(&received[heard..]) {
            let text = std::str::from_utf8(line).unwrap_or_default();
            let job = text.strip_prefix("INSERTED ").and_then(|number| number.parse().ok());
            match job {
                Some(job) if !self.deleting && self.missing > 0 => self.jobs.push(job),
                None if self.deleting && self.missing > 0 && text == "DELETED" => {}
                _ => return Err(Failure::Answer(String::from_utf8_lossy(line).into_owned())),
            }
            self.missing -= 1;
            heard += length;
        }
        Ok(heard)
    }

    fn is_answered(&self) -> bool {
        self.missing == 0
    }
}
