//! PostgreSQL: a row for an item, by primary key, with an index of deadlines; each statement commits.

mod messages;

use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tokio::runtime::Runtime;

use super::installed::{free_address, unprivileged};
use super::wire::Wire;
use crate::load::{Ending, Failure, Process, Workload, wait_until};

pub use messages::Messages;

/// How it is run, for the document.
pub const CONFIGURATION: &str = "A cluster of its own, `max_connections = 300`, otherwise defaults (`fsync` \
                                 and `synchronous_commit` on, `commit_delay` 0, 128 MB of `shared_buffers`, \
                                 `max_wal_size` 1 GB, autovacuum on). The table is `items (workflow text, id \
                                 text, deadline timestamptz, payload bytea)` with the primary key \
                                 `(workflow, id)` and an index on `deadline`. A create is an `INSERT`, a \
                                 close a `DELETE` by the key, both prepared, with binary parameters (Bind, \
                                 Execute, Sync). A batch is one statement over arrays (`unnest`), and so one \
                                 transaction.";

const TABLE: &str = "CREATE TABLE items (workflow text NOT NULL, id text NOT NULL, deadline timestamptz NOT \
                     NULL, payload bytea NOT NULL, PRIMARY KEY (workflow, id)); CREATE INDEX ON items \
                     (deadline)";

/// A running server.
pub struct Postgres {
    process: Process,
    address: SocketAddr,
}

impl Postgres {
    /// Makes a cluster in an empty directory under `parent`, starts it and makes the table. Root has another
    /// user do that, because PostgreSQL refuses to be run by root.
    pub fn start(programs: &Path, parent: &Path, runtime: &Runtime) -> Result<Self, Failure> {
        let address = free_address()?;
        let directory = Process::directory(parent)?;
        let user = unprivileged();
        if let Some((user, group)) = user {
            chown(directory.path(), Some(user), Some(group))
                .map_err(Failure::system("giving PostgreSQL its directory"))?;
        }
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            if let Some((user, group)) = user {
                command.uid(user).gid(group);
            }
            command.args(["-D", "data"]).current_dir(directory.path());
            command
        };
        let made = command("initdb")
            .args(["--auth=trust", "--username=bench", "--encoding=UTF8", "--locale=C"])
            .stdin(Stdio::null())
            .output()
            .map_err(Failure::system("starting initdb"))?;
        if !made.status.success() {
            let log = String::from_utf8_lossy(&made.stderr).into_owned();
            return Err(Failure::Peer {
                peer: "postgres",
                what: format!("has no cluster: {}", made.status),
                log,
            });
        }
        let mut command = command("postgres");
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
        command.args(["-c", "max_connections=300", "-p"]).arg(address.port().to_string());
        let mut process = Process::start("postgres", command, Ending::Quit, directory)?;
        wait_until(&mut process, || {
            runtime.block_on(Wire::open(address, Messages::query("SELECT 1"))).is_ok()
        })?;
        runtime
            .block_on(Wire::open(address, Messages::query(TABLE)))
            .map_err(|failure| process.blame(failure))?;
        Ok(Self { process, address })
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What one connection says.
    pub fn dialect(workload: Workload) -> Messages {
        Messages::new(workload)
    }

    /// Without waiting for clients, of which there are none.
    pub fn stop(mut self) -> Result<(), Failure> {
        let status = self.process.terminate(Signal::INT)?;
        match status.success() {
            true => Ok(()),
            false => Err(self.process.failure(format!("ended badly after SIGINT: {status}"))),
        }
    }
}
