//! Outgoing HTTP calls, behind a trait that a simulation implements with a failing network, and what every
//! call needs: signatures, rate limits, transports, and the guard over addresses.
//!
//! [`HttpOutbound`] is the real implementation. Invariants:
//!
//! - One call is one request: redirects are not followed, and proxies are not read from the environment.
//! - A connection serves only receivers with the same [`Transport`]: each transport has a client with a pool
//!   of its own.
//! - A call ends within its timeout and reads about [`EXCERPT_MAX`] bytes of the response body, whatever its
//!   length.
//! - The status decides. Once it has arrived, a body that stalls or breaks off is kept as far as it came: it
//!   is needed only for the log.
//! - A non-public address is called only for a receiver that allows it, and the daemon itself never is; see
//!   [`guard`]. For a call through a proxy this holds as far as this machine resolves names like the proxy
//!   does.
//! - No error and no debug output contains a secret: of a URL they show only scheme, host and port
//!   ([`Endpoint`]).
//!
//! Deliberately absent: retries, metrics, and which status is a success.

mod endpoint;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod guard;
mod own;
mod ping;
mod rate;
pub mod retry_after;
pub mod signature;
pub mod transport;

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, Response, Url};

use crate::model::text::Plain;

pub use self::endpoint::Endpoint;
pub use self::guard::{RefusedHost, check_literal, check_name};
use self::own::OwnAddresses;
pub use self::ping::ping;
pub use self::rate::{Rate, RateError, RateLimiter};
pub use self::signature::SigningKey;
pub use self::transport::Transport;

/// The bytes of a response body that are kept.
pub const EXCERPT_MAX: usize = 2048;

/// The characters of a redirect's target that are shown.
pub const LOCATION_MAX: usize = 200;

pub trait Outbound: Send + Sync {
    /// Sends `request` and waits for the response, which may have any status, including that of a redirect.
    ///
    /// # Errors
    /// There was no response. The receiver may have got the request nevertheless.
    fn send(&self, request: OutboundRequest) -> BoxFuture<'_, Result<OutboundResponse, OutboundError>>;

    /// Checks in advance whether this URL may be called, as far as that is possible without resolving its
    /// name.
    fn check(&self, url: &Url, transport: &Transport) -> Result<(), RefusedHost> {
        transport.check(url)
    }

    /// Adds an address on which the daemon listens, so that it is never called.
    fn listens_on(&self, _address: SocketAddr) {}
}

/// A request to a receiver, a replay target, or the heartbeat's endpoint.
#[derive(Clone)]
pub struct OutboundRequest {
    /// The name of the callee.
    pub receiver: Arc<str>,
    pub method: Method,
    /// `http` or `https`. User information is sent as basic authentication.
    pub url: Endpoint,
    /// All headers, except for `User-Agent` and those that HTTP itself needs.
    pub headers: HeaderMap,
    /// Sent byte for byte.
    pub body: Bytes,
    /// For the whole call, from resolving the name to the end of the response.
    pub timeout: Duration,
    pub transport: Arc<Transport>,
}

impl fmt::Debug for OutboundRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the headers, which may authenticate.
        formatter
            .debug_struct("OutboundRequest")
            .field("receiver", &self.receiver)
            .field("method", &self.method)
            .field("url", &self.url)
            .field("body_length", &self.body.len())
            .field("timeout", &self.timeout)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundResponse {
    pub status: u16,
    /// Unparsed.
    pub retry_after: Option<String>,
    /// The target of a redirect, safe to show: without its query, and at most [`LOCATION_MAX`] characters.
    pub location: Option<String>,
    /// The beginning of the body, at most [`EXCERPT_MAX`] bytes, as text that is safe to show: invalid UTF-8,
    /// and control characters other than tab and line feed, are replaced by U+FFFD.
    pub excerpt: String,
}

impl OutboundResponse {
    /// The status, and the target of a redirect.
    pub fn told(&self) -> String {
        match &self.location {
            Some(location) => format!("{}, which points to {location} and is not followed", self.status),
            None => self.status.to_string(),
        }
    }
}

/// Why there was no response. The messages are for the person on call and contain no secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// No status arrived within this timeout.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// No connection: the name was not resolved, the connection refused, or the certificate not trusted.
    #[error("no connection to {0}")]
    Connect(String),
    #[error("refused to connect: {0}")]
    Refused(String),
    /// Anything else, such as a connection closed before the response, or a response that is not HTTP.
    #[error("{0}")]
    Other(String),
}

/// A transport, and the port if the daemon itself listens on it.
type Way = (Arc<Transport>, Option<u16>);

/// Uses HTTP/1.1 or HTTP/2, over TLS for `https`.
#[derive(Debug)]
pub struct HttpOutbound {
    /// A client for each transport, created on first use; and another for each port on which the daemon
    /// itself listens.
    clients: Mutex<HashMap<Way, Client>>,
    own: Arc<OwnAddresses>,
    /// False if the system has no CA certificates: then only a receiver's own CA certificates are trusted.
    system_roots: bool,
}

impl HttpOutbound {
    /// Certificates of receivers are verified by the CA certificates that the system has when a transport is
    /// first used, unless the transport has its own. If the system has none, a warning is logged, and `https`
    /// works only with own ones.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new() -> Result<HttpOutbound, OutboundError> {
        install_crypto_provider();
        let usual = Arc::new(Transport::default());
        let (client, system_roots) = match usual.client(true, None) {
            Ok(client) => (client, true),
            // Without CA certificates a client can only be built with an empty set of trusted certificates.
            Err(error) => {
                tracing::warn!(
                    cause = root_cause(&error),
                    "receivers at https:// without a ca_file cannot be notified: {NO_ROOTS}"
                );
                (usual.client(false, None).map_err(|error| no_tls(&error))?, false)
            }
        };
        let clients = Mutex::new(HashMap::from([((usual, None), client)]));
        Ok(HttpOutbound { clients, own: Arc::default(), system_roots })
    }

    async fn call(&self, request: OutboundRequest) -> Result<OutboundResponse, OutboundError> {
        let OutboundRequest { method, url, headers, body, timeout, transport, .. } = request;
        let refused = |refused: RefusedHost| OutboundError::Refused(refused.to_string());
        self.check(url.url(), &transport).map_err(refused)?;
        if transport.proxy.is_some() {
            let looking = guard::check_own_name(url.url(), &self.own);
            let looked = tokio::time::timeout(timeout, looking).await;
            looked.map_err(|_| OutboundError::Timeout(timeout))?.map_err(refused)?;
        }
        let answer = self
            .client(&transport, transport.connects_to(url.url()))?
            .request(method, url.url().clone())
            .headers(headers)
            .body(body)
            .timeout(timeout)
            .send()
            .await
            .map_err(|error| self.explain(&error, &url, &transport, timeout))?;
        Ok(OutboundResponse {
            status: answer.status().as_u16(),
            retry_after: retry_after(&answer),
            location: location(&answer),
            excerpt: excerpt(answer).await,
        })
    }

    /// The client of a transport, for a connection to this URL's host.
    fn client(&self, transport: &Arc<Transport>, to: &Url) -> Result<Client, OutboundError> {
        let port = to.port_or_known_default().filter(|port| self.own.has_port(*port));
        let key = (transport.clone(), port);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let own = port.map(|port| (self.own.clone(), port));
        let client = transport.client(self.system_roots, own).map_err(|error| no_tls(&error))?;
        clients.insert(key, client.clone());
        Ok(client)
    }

    fn explain(
        &self,
        error: &reqwest::Error,
        url: &Endpoint,
        transport: &Transport,
        timeout: Duration,
    ) -> OutboundError {
        if let Some(refused) = causes(error).find_map(|cause| cause.downcast_ref::<RefusedHost>()) {
            return OutboundError::Refused(refused.to_string());
        }
        if error.is_timeout() {
            return OutboundError::Timeout(timeout);
        }
        let cause = root_cause(error);
        let place = match &transport.proxy {
            Some(proxy) => format!("{url} through the proxy {proxy}"),
            None => url.to_string(),
        };
        if error.is_dns() {
            OutboundError::Connect(format!("{place}: its name cannot be resolved: {cause}"))
        } else if causes(error).any(|cause| cause.is::<rustls::Error>()) {
            let can_trust = self.system_roots || transport.roots.is_some();
            let hint = if can_trust { String::new() } else { format!(" ({NO_ROOTS})") };
            OutboundError::Connect(format!("{place}: TLS failed: {cause}{hint}"))
        } else if error.is_connect() {
            OutboundError::Connect(format!("{place}: {cause}"))
        } else {
            OutboundError::Other(format!("no valid answer from {place}: {cause}"))
        }
    }
}

impl Outbound for HttpOutbound {
    fn send(&self, request: OutboundRequest) -> BoxFuture<'_, Result<OutboundResponse, OutboundError>> {
        Box::pin(self.call(request))
    }

    fn check(&self, url: &Url, transport: &Transport) -> Result<(), RefusedHost> {
        transport.check(url)?;
        guard::check_own_literal(url, &self.own)?;
        guard::check_own_literal(transport.connects_to(url), &self.own)
    }

    fn listens_on(&self, address: SocketAddr) {
        self.own.add(address);
    }
}

fn no_tls(error: &reqwest::Error) -> OutboundError {
    OutboundError::Other(format!("cannot set up TLS: {}", root_cause(error)))
}

/// Makes ring the TLS provider of this process. Must be called before the first HTTP client is created; may
/// be repeated.
pub fn install_crypto_provider() {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The hint for when no certificate can be trusted.
const NO_ROOTS: &str = "this machine has no CA certificates; install the package `ca-certificates` or point \
                        SSL_CERT_FILE to a bundle, then restart the warden";

fn retry_after(answer: &Response) -> Option<String> {
    answer.headers().get(RETRY_AFTER)?.to_str().ok().map(str::to_owned)
}

fn location(answer: &Response) -> Option<String> {
    let location = answer.headers().get(LOCATION).filter(|_| answer.status().is_redirection())?;
    let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
    // A query may contain secrets.
    let location = match location.split_once('?') {
        Some((place, _)) => format!("{place}?…"),
        None => location,
    };
    let mut shown = Plain(location).to_string();
    if let Some((end, _)) = shown.char_indices().nth(LOCATION_MAX) {
        shown.truncate(end);
        shown.push('…');
    }
    Some(shown)
}

/// Reads the beginning of the body. Dropping the response closes the connection with the rest unread.
async fn excerpt(mut answer: Response) -> String {
    let mut beginning = Vec::new();
    // The end of the body, a broken connection and a timeout are treated alike.
    while let Ok(Some(chunk)) = answer.chunk().await {
        let room = EXCERPT_MAX - beginning.len();
        beginning.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    shown(&beginning)
}

fn shown(bytes: &[u8]) -> String {
    let mut text: String = String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c.is_control() && !matches!(c, '\t' | '\n') { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    // The replacement character is longer than what it replaces.
    text.truncate(text.floor_char_boundary(EXCERPT_MAX));
    text
}

/// An error and its chain of causes.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        // The source of an I/O error is that of its inner error, which would be skipped.
        next = match cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(content) => Some(content),
            None => cause.source(),
        };
        Some(cause)
    })
}

/// The last cause of an error: what went wrong, where the errors above it only name their layer. Only the
/// outermost of reqwest's errors shows the URL, so that is never returned.
pub fn root_cause(error: &reqwest::Error) -> String {
    causes(error).skip(1).last().map_or_else(|| "the request is invalid".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests;
