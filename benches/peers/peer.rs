//! The peers: which there are, whether they are installed, and how each is driven.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::beanstalkd::{self, Beanstalkd};
use super::installed;
use super::postgres::{self, Postgres};
use super::redis::{self, Redis};
use super::wire::Wire;
use crate::load::{self, Failure, HttpClient, Ids, Measurement, Server, Settings, Workload, text};

/// Which peer, in the order of their turns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PeerKind {
    Warden,
    Noop,
    Postgres,
    Redis,
    Beanstalkd,
}

/// Every peer.
pub const ALL: [PeerKind; 5] =
    [PeerKind::Warden, PeerKind::Noop, PeerKind::Postgres, PeerKind::Redis, PeerKind::Beanstalkd];

impl PeerKind {
    /// Those that the variable `BENCH_PEER` asks for.
    pub fn chosen() -> Result<Vec<Self>, Failure> {
        let Some(names) = text("BENCH_PEER") else { return Ok(ALL.to_vec()) };
        names
            .split(',')
            .map(|name| {
                ALL.into_iter().find(|kind| kind.name() == name.trim()).ok_or_else(|| {
                    let known = ALL.map(PeerKind::name).join(", ");
                    Failure::Settings(format!("BENCH_PEER names {name:?}; there are {known}"))
                })
            })
            .collect()
    }

    pub fn name(self) -> &'static str {
        match self {
            PeerKind::Warden => "warden",
            PeerKind::Noop => "noop",
            PeerKind::Postgres => "postgres",
            PeerKind::Redis => "redis",
            PeerKind::Beanstalkd => "beanstalkd",
        }
    }

    /// How it is run, for the document.
    pub fn configuration(self) -> &'static str {
        match self {
            PeerKind::Warden => {
                "HTTP, default settings: sled, every 2xx after `fdatasync`. A create is a `PUT`, a close a \
                 `DELETE`, a batch one `POST /v1/batch`, whose lines succeed or fail one by one."
            }
            PeerKind::Noop => {
                "An axum handler that reads the body and answers with the same statuses; same allocator and \
                 runtime. It stores nothing."
            }
            PeerKind::Postgres => postgres::CONFIGURATION,
            PeerKind::Redis => redis::CONFIGURATION,
            PeerKind::Beanstalkd => beanstalkd::CONFIGURATION,
        }
    }

    /// Whether it can do this; if not, why.
    pub fn objection(self, workload: Workload) -> Option<String> {
        let too_large = self == PeerKind::Beanstalkd && workload.payload > beanstalkd::PAYLOAD_MAX;
        too_large.then(|| format!("payloads of {} bytes are too large for it", workload.payload))
    }
}

/// A peer that can be started.
pub struct Installed {
    pub kind: PeerKind,
    pub version: String,
    /// Its program, or the directory of its programs; empty for those that are built with the bench.
    program: PathBuf,
}

impl Installed {
    /// Looks for a peer; if it is not there, why.
    pub fn find(kind: PeerKind) -> Result<Self, String> {
        let (program, version) = match kind {
            PeerKind::Warden | PeerKind::Noop => (PathBuf::new(), env!("CARGO_PKG_VERSION").to_owned()),
            PeerKind::Postgres => {
                let programs = installed::postgres_programs()?;
                let version = installed::version(&programs.join("postgres"), "--version");
                (programs, version)
            }
            PeerKind::Redis => {
                let program = installed::program("redis-server")?;
                let version = installed::version(&program, "--version");
                (program, version)
            }
            PeerKind::Beanstalkd => {
                let program = installed::program("beanstalkd")?;
                let version = installed::version(&program, "-v");
                (program, version)
            }
        };
        Ok(Self { kind, version, program })
    }

    /// Starts it on an empty directory.
    pub fn start(&self, settings: &Settings, runtime: &Runtime) -> Result<Peer, Failure> {
        let parent = &settings.directory;
        match self.kind {
            PeerKind::Warden => Server::warden(parent, &[]).map(Peer::Http),
            PeerKind::Noop => Server::noop(parent).map(Peer::Http),
            PeerKind::Postgres => Postgres::start(&self.program, parent, runtime).map(Peer::Postgres),
            PeerKind::Redis => Redis::start(&self.program, parent).map(Peer::Redis),
            PeerKind::Beanstalkd => Beanstalkd::start(&self.program, parent).map(Peer::Beanstalkd),
        }
    }
}

/// A running peer.
pub enum Peer {
    Http(Server),
    Postgres(Postgres),
    Redis(Redis),
    Beanstalkd(Beanstalkd),
}

impl Peer {
    /// Drives it over so many connections for a while.
    pub fn drive(
        &self,
        workload: Workload,
        connections: usize,
        length: Duration,
        runtime: &Runtime,
        ids: &Arc<Ids>,
    ) -> Result<Measurement, Failure> {
        let items = workload.items_per_request();
        let driven = async {
            match self {
                Peer::Http(server) => {
                    let clients = HttpClient::open_many(server.address(), workload, connections).await?;
                    load::run(clients, items, length, ids).await
                }
                Peer::Postgres(postgres) => {
                    let dialect = || Postgres::dialect(workload);
                    let clients = Wire::open_many(postgres.address(), connections, dialect).await?;
                    load::run(clients, items, length, ids).await
                }
                Peer::Redis(redis) => {
                    let dialect = || redis.dialect(workload);
                    let clients = Wire::open_many(redis.address(), connections, dialect).await?;
                    load::run(clients, items, length, ids).await
                }
                Peer::Beanstalkd(beanstalkd) => {
                    let dialect = || beanstalkd::Lines::new(workload);
                    let clients = Wire::open_many(beanstalkd.address(), connections, dialect).await?;
                    load::run(clients, items, length, ids).await
                }
            }
        };
        runtime.block_on(driven).map_err(|failure| match self {
            Peer::Http(server) => server.blame(failure),
            Peer::Postgres(postgres) => postgres.process().blame(failure),
            Peer::Redis(redis) => redis.process().blame(failure),
            Peer::Beanstalkd(beanstalkd) => beanstalkd.process().blame(failure),
        })
    }

    /// Ends it as an operator would.
    pub fn stop(self) -> Result<(), Failure> {
        match self {
            Peer::Http(server) => server.stop(),
            Peer::Postgres(postgres) => postgres.stop(),
            Peer::Redis(redis) => redis.stop(),
            Peer::Beanstalkd(beanstalkd) => beanstalkd.stop(),
        }
    }
}
