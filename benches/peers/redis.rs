//! Redis: a hash of payloads and a sorted set of deadlines, changed together by a script; the append-only
//! file is synced before each answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::installed::free_address;
use super::template::{DeadlineForm, Template};
use super::wire::{self, Dialect};
use crate::load::{Ending, Failure, ID, Ids, Kind, Process, Workload, payload_text, wait_until};

/// How it is run, for the document.
pub const CONFIGURATION: &str = "`appendonly yes`, `appendfsync always`, `save \"\"`, otherwise defaults \
                                 (one I/O thread, rewriting of the append-only file on). A create is one \
                                 `EVALSHA` of `HSET` and `ZADD`, a close one of `HDEL` and `ZREM`; Redis \
                                 syncs once for all that arrived together. A batch is a pipeline of such \
                                 calls, not a transaction. All items are in memory.";

const CREATE: &str = "redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) \
    return redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])";
const CLOSE: &str = "redis.call('HDEL', KEYS[1], ARGV[1]) return redis.call('ZREM', KEYS[2], ARGV[1])";
const PAYLOADS: &str = "bench:payloads";
const DEADLINES: &str = "bench:deadlines";

/// A running server.
pub struct Redis {
    process: Process,
    address: SocketAddr,
    create: String,
    close: String,
}

impl Redis {
    /// Starts it on an empty directory under `parent` and loads the scripts.
    pub fn start(program: &Path, parent: &Path) -> Result<Self, Failure> {
        let address = free_address()?;
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--port"]).arg(address.port().to_string());
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir", "."]);
        // Its log goes to the standard output by default.
        command.args(["--logfile", "log"]);
        let directory = Process::directory(parent)?;
        let mut process = Process::start("redis", command, Ending::Kill, directory)?;
        wait_until(&mut process, || TcpStream::connect(address).is_ok())?;
        let load = |script| load_script(address, script).map_err(|failure| process.blame(failure));
        let (create, close) = (load(CREATE)?, load(CLOSE)?);
        Ok(Self { process, address, create, close })
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What one connection says.
    pub fn dialect(&self, workload: Workload) -> Resp {
        let items = workload.items_per_request();
        let payload = payload_text(workload.payload);
        let deadline = String::from_utf8_lossy(DeadlineForm::Digits.placeholder());
        let create = command(&["EVALSHA", &self.create, "2", PAYLOADS, DEADLINES, ID, &deadline, &payload]);
        let close = command(&["EVALSHA", &self.close, "2", PAYLOADS, DEADLINES, ID]);
        Resp {
            create: Template::new(create.repeat(items), DeadlineForm::Digits),
            close: Template::new(close.repeat(items), DeadlineForm::Digits),
            pairs: workload.kind == Kind::Pair,
            closing: true,
            items,
            numbers: 0..0,
            missing: 0,
        }
    }

    pub fn stop(mut self) -> Result<(), Failure> {
        self.process.terminate(Signal::TERM).map(drop)
    }
}

/// Loads a script; the name by which it is called from then on.
fn load_script(address: SocketAddr, script: &str) -> Result<String, Failure> {
    const NAME_LENGTH: usize = 40;
    let loading = Failure::system("loading a script into Redis");
    let loaded = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(&command(&["SCRIPT", "LOAD", script]))?;
        let mut answer = [0; "$40\r\n".len() + NAME_LENGTH + 2];
        stream.read_exact(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = loaded().map_err(loading)?;
    match answer.strip_prefix("$40\r\n") {
        Some(name) => Ok(name.trim_end().to_owned()),
        None => Err(Failure::Answer(answer)),
    }
}

/// A command as the protocol writes it.
fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    bytes.into_bytes()
}

/// RESP, as far as the two scripts need it.
pub struct Resp {
    create: Template,
    close: Template,
    pairs: bool,
    closing: bool,
    items: usize,
    numbers: std::ops::Range<u64>,
    /// Answers that were not heard yet.
    missing: usize,
}

impl Dialect for Resp {
    fn greeting(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn prepare(&mut self, ids: &Ids) {
        self.closing = self.pairs && !self.closing;
        if !self.closing {
            self.numbers = ids.reserve(self.items).unwrap_or_default();
        }
        let template = if self.closing { &mut self.close } else { &mut self.create };
        template.stamp(ids, self.numbers.clone());
        self.missing = self.items;
    }

    fn request(&self) -> &[u8] {
        if self.closing { self.close.bytes() } else { self.create.bytes() }
    }

    /// Each script must have changed one item.
    fn hear(&mut self, received: &[u8]) -> Result<usize, Failure> {
        let mut heard = 0;
        while let Some((line, length)) = wire::line(&received[heard..]) {
            if line != b":1" || self.missing == 0 {
                return Err(Failure::Answer(String::from_utf8_lossy(line).into_owned()));
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
