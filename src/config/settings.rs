//! The settings of the daemon itself, as the rest of the program reads them: a struct for each table.
//!
//! `config/warden.toml` says what each of them means for people, and is the only place that knows the defaults.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::log_filter::LogFilter;
use super::{duration, size};

/// `[server]`: where the daemon listens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// The address to bind; port 0 lets the system choose.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// What links in notifications begin with, without a slash at the end. `None`: `http://` and the address bound.
    #[serde(deserialize_with = "external_url")]
    pub external_url: Option<String>,
    /// Hosts besides loopback, the address and that of `external_url` for which requests are answered, each as
    /// [`super::host_of`] writes it. Where there are tokens and this is empty, any will do.
    pub hosts: Vec<String>,
    /// The origins whose pages may use the API, each as a browser writes it. Empty without tokens.
    pub cors_origins: Vec<String>,
    /// How long a shutdown waits for requests under way. More than zero.
    #[serde(deserialize_with = "duration::required")]
    pub shutdown_timeout: Duration,
}

/// `[storage]`: where items are kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageSettings {
    /// Which engine keeps them.
    pub engine: Engine,
    /// The directory of the store. Never empty.
    pub path: PathBuf,
    /// The page cache, in bytes.
    #[serde(deserialize_with = "size::required")]
    pub cache: u64,
    /// The free space kept back, in bytes; whoever uses it takes at most a tenth of the file system, unless more is needed.
    #[serde(deserialize_with = "size::required")]
    pub reserve: u64,
    /// How much the directory may take, in bytes; 0 for all of the file system.
    #[serde(deserialize_with = "size::required")]
    pub size_max: u64,
    /// What is in the log and not in the database yet, in bytes of memory.
    #[serde(deserialize_with = "size::required")]
    pub recent: u64,
    /// For how long what is new is kept from the database; it may be twice that.
    #[serde(deserialize_with = "duration::required")]
    pub checkpoint: Duration,
    /// After this long a commit is taken for dead. At least a second.
    #[serde(deserialize_with = "duration::required")]
    pub stall_timeout: Duration,
}

/// The engine of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// On disk, in sled.
    Sled,
    /// In memory; gone at exit.
    Memory,
}

/// `[limits]`: what every queue, body and wait is bounded by. Sizes are bytes; nothing is zero.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The largest payload of an item, in bytes; at most 64 MiB.
    #[serde(deserialize_with = "size::required")]
    pub payload_max: u64,
    /// The largest body of a batch request, in bytes; at least `payload_max`, at most 64 GiB.
    #[serde(deserialize_with = "size::required")]
    pub batch_max: u64,
    /// The most lines in a batch request.
    pub batch_items_max: usize,
    /// The largest head of a request, in bytes; 8 KiB to 1 MiB.
    #[serde(deserialize_with = "size::required")]
    pub header_max: u64,
    /// How long the head of a request may take.
    #[serde(deserialize_with = "duration::required")]
    pub header_timeout: Duration,
    /// How long the whole body of a request may take.
    #[serde(deserialize_with = "duration::required")]
    pub body_timeout: Duration,
    /// How long a client may take nothing of its answers.
    #[serde(deserialize_with = "duration::required")]
    pub write_timeout: Duration,
    /// The most open connections.
    pub connections_max: usize,
    /// The most requests in flight.
    pub requests_max: usize,
    /// The most claims that wait for something to come at once.
    pub waiting_claims_max: usize,
    /// The most bytes of request bodies held in memory at once; at least `payload_max`.
    #[serde(deserialize_with = "size::required")]
    pub buffered_max: u64,
    /// The most bytes of answers held in memory until their clients have taken them.
    #[serde(deserialize_with = "size::required")]
    pub answers_max: u64,
    /// The most commands that wait for the committing thread.
    pub queue_max: usize,
    /// The most workflows, configured and made on first use together.
    pub workflows_max: usize,
}

/// `[log]`: what is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// Which events are logged.
    pub level: LogFilter,
    /// How a line is written.
    pub format: LogFormat,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
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
            // The one name that means the same everywhere (RFC 6761). What others lead to may change, and whether it is
            // loopback decides whether tokens are needed.
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
