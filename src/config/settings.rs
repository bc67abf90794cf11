//! The daemon's own settings: a struct for each table.
//!
//! `config/warden.toml` describes each setting and is the only place with the defaults.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::log_filter::LogFilter;
use super::{duration, size};

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Port 0 lets the system choose.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// The prefix of links in notifications, without a slash at the end. `None` for `http://` and the bound
    /// address.
    #[serde(deserialize_with = "external_url")]
    pub external_url: Option<String>,
    /// Hosts for which requests are answered, besides loopback, the bound address and the host of
    /// `external_url`, normalized by [`super::host_of`]. If there are tokens and this is empty, all hosts are
    /// allowed.
    pub hosts: Vec<String>,
    /// The origins whose pages may use the API, as browsers write them. Empty without tokens.
    pub cors_origins: Vec<String>,
    /// How long a shutdown waits for requests in flight. More than zero.
    #[serde(deserialize_with = "duration::required")]
    pub shutdown_timeout: Duration,
}

/// `[storage]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageSettings {
    pub engine: Engine,
    /// Never empty.
    pub path: PathBuf,
    /// The page cache, in bytes.
    #[serde(deserialize_with = "size::required")]
    pub cache: u64,
    /// Free space to keep, in bytes. The engine caps it at a tenth of the file system, unless it needs more.
    #[serde(deserialize_with = "size::required")]
    pub reserve: u64,
    /// The most that the directory may take, in bytes; 0 for the whole file system.
    #[serde(deserialize_with = "size::required")]
    pub size_max: u64,
    /// The most memory for changes that are in the log and not yet in a database, in bytes.
    #[serde(deserialize_with = "size::required")]
    pub recent: u64,
    /// How long a change stays there before a checkpoint writes it to a database; at most twice that.
    #[serde(deserialize_with = "duration::required")]
    pub checkpoint: Duration,
    /// A commit that takes longer counts as hung. At least a second.
    #[serde(deserialize_with = "duration::required")]
    pub stall_timeout: Duration,
}

impl StorageSettings {
    /// The directory of the data; `None` if the engine keeps nothing on the disk.
    pub fn directory(&self) -> Option<&Path> {
        match self.engine {
            Engine::Sled => Some(&self.path),
            Engine::Memory => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// On disk, in sled.
    Sled,
    /// In memory; lost at exit.
    Memory,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sled => "sled",
            Self::Memory => "memory",
        })
    }
}

/// `[limits]`. Sizes are in bytes; nothing is zero.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The largest payload; at most 64 MiB.
    #[serde(deserialize_with = "size::required")]
    pub payload_max: u64,
    /// The largest body of a batch request; at least `payload_max`, at most 64 GiB.
    #[serde(deserialize_with = "size::required")]
    pub batch_max: u64,
    /// The most lines of a batch request.
    pub batch_items_max: usize,
    /// The largest head of a request; 8 KiB to 1 MiB.
    #[serde(deserialize_with = "size::required")]
    pub header_max: u64,
    /// For receiving the head of a request.
    #[serde(deserialize_with = "duration::required")]
    pub header_timeout: Duration,
    /// For receiving the whole body of a request.
    #[serde(deserialize_with = "duration::required")]
    pub body_timeout: Duration,
    /// How long a client may stall its response.
    #[serde(deserialize_with = "duration::required")]
    pub write_timeout: Duration,
    pub connections_max: usize,
    /// The most requests in flight.
    pub requests_max: usize,
    /// The most claims that wait for items at once.
    pub waiting_claims_max: usize,
    /// The most bytes of request bodies in memory at once; at least `payload_max`.
    #[serde(deserialize_with = "size::required")]
    pub buffered_max: u64,
    /// The most bytes of responses in memory that clients have not read yet.
    #[serde(deserialize_with = "size::required")]
    pub answers_max: u64,
    /// The most commands that wait for the committing thread.
    pub queue_max: usize,
    /// The most workflows, configured ones and those created on first use together.
    pub workflows_max: usize,
    /// The most artifacts.
    pub artifacts_max: usize,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    pub level: LogFilter,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    struct Address;

    impl Visitor<'_> for Address {
        type Value = SocketAddr;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(
                r#"an IP address and a port, such as "127.0.0.1:8470", "localhost:8470" or "[::1]:8470""#,
            )
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<SocketAddr, E> {
            // The only name with a fixed meaning (RFC 6761). What others resolve to may change, and whether
            // the address is loopback decides whether tokens are required.
            let localhost = text
                .rsplit_once(':')
                .filter(|(host, _)| host.trim_end_matches('.').eq_ignore_ascii_case("localhost"))
                .map(|(_, port)| format!("{}:{port}", Ipv4Addr::LOCALHOST));
            localhost
                .as_deref()
                .unwrap_or(text)
                .parse()
                .map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
        }
    }

    deserializer.deserialize_str(Address)
}

fn external_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let url = String::deserialize(deserializer)?;
    let url = url.trim_end_matches('/');
    Ok((!url.is_empty()).then(|| url.to_owned()))
}
