//! The outgoing HTTP call, behind a trait, so that a simulation can put a failing network in its place; and what every
//! call may need: signing, a rate, a way to get there, and the guard over addresses.
//!
//! [`HttpOutbound`] is the real one. Invariants:
//!
//! - One call is one request: no redirect is followed, no proxy is taken from the environment.
//! - A connection serves only those that are reached in the same way ([`Transport`]): each way has a client of its
//!   own, with a pool of its own.
//! - A call ends within its timeout and reads about [`EXCERPT_MAX`] bytes of the answer's body, however
//!   long that is.
//! - The status decides. Once it has arrived, an answer whose body stalls or breaks off is an answer like
//!   any other, with what there is of the body: the receiver has spoken, and the body is for the log alone.
//! - Only a receiver that allows it is called at an address that is not public, and the daemon itself never is; see
//!   [`guard`]. Through a proxy that is known only of names which this machine resolves as the proxy does.
//! - No error and no debug output holds a secret: of a URL they show scheme, host and port alone ([`Endpoint`]).
//!
//! Deliberately absent: retrying, measuring, and the judgement of which status is a success.

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

/// How much of an answer's body is kept, in bytes.
pub const EXCERPT_MAX: usize = 2048;

/// How much of where a redirect points is shown, in characters.
pub const LOCATION_MAX: usize = 200;

/// Makes outgoing HTTP calls.
pub trait Outbound: Send + Sync {
    /// Sends `request` and waits for the answer. Any status is an answer, also that of a redirect.
    ///
    /// # Errors
    ///
    /// There was no answer; [`OutboundError`] says why. The receiver may have got the request all the same.
    fn send(&self, request: OutboundRequest) -> BoxFuture<'_, Result<OutboundResponse, OutboundError>>;

    /// Checks beforehand whether this URL may be called, as far as can be told without resolving a name.
    ///
    /// # Errors
    ///
    /// It may not.
    fn check(&self, url: &Url, transport: &Transport) -> Result<(), RefusedHost> {
        transport.check(url)
    }

    /// Notes where the daemon itself listens: that is never called.
    fn listens_on(&self, _address: SocketAddr) {}
}

/// One request, to a receiver of notifications or another.
#[derive(Clone)]
pub struct OutboundRequest {
    /// What the one that is called is known by.
    pub receiver: Arc<str>,
    /// What to do with the body there.
    pub method: Method,
    /// Where to: `http` or `https`. User information in it is sent as basic authentication.
    pub url: Endpoint,
    /// All headers, except those that HTTP itself needs, and `User-Agent`.
    pub headers: HeaderMap,
    /// The body, sent byte for byte.
    pub body: Bytes,
    /// The bound of the whole call, from resolving the name to the end of the answer.
    pub timeout: Duration,
    /// How the receiver is reached.
    pub transport: Arc<Transport>,
}

impl fmt::Debug for OutboundRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the headers: one of them may authorise.
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

/// A receiver's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundResponse {
    /// The HTTP status.
    pub status: u16,
    /// The value of the header `Retry-After`, unparsed.
    pub retry_after: Option<String>,
    /// Where a redirect points, fit to be shown: without its query, at most [`LOCATION_MAX`] characters.
    pub location: Option<String>,
    /// The beginning of the body, at most [`EXCERPT_MAX`] bytes, made text that is safe to show: U+FFFD
    /// stands for what is not UTF-8 and for control characters other than tab and line feed.
    pub excerpt: String,
}

impl OutboundResponse {
    /// Its status in words, and where a redirect points.
    pub fn told(&self) -> String {
        match &self.location {
            Some(location) => format!("{}, which points to {location} and is not followed", self.status),
            None => self.status.to_string(),
        }
    }
}

/// Why there was no answer, in words for the person on call, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// There was no status within the request's timeout, which is given here.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// There was no connection: the name was not resolved, the connection refused, the certificate not
    /// trusted.
    #[error("no connection to {0}")]
    Connect(String),
    /// The guard refused to connect.
    #[error("refused to connect: {0}")]
    Refused(String),
    /// Anything else, such as a connection that was closed before the answer, or an answer that is not
    /// HTTP.
    #[error("{0}")]
    Other(String),
}

/// How a receiver is reached, and the port if the daemon itself listens on it.
type Way = (Arc<Transport>, Option<u16>);

/// Makes outgoing calls with HTTP/1.1 or HTTP/2, over TLS for `https`.
#[derive(Debug)]
pub struct HttpOutbound {
    /// A client for each way of reaching receivers, made when it is first needed; and for each once more that connects to a
    /// port on which the daemon itself listens.
    clients: Mutex<HashMap<Way, Client>>,
    /// Where the daemon itself listens.
    own: Arc<OwnAddresses>,
    /// False if the system has no CA certificates: then no certificate is trusted but by CA certificates of the
    /// receiver's own.
    system_roots: bool,
}

impl HttpOutbound {
    /// Prepares for calls. Certificates of receivers are checked against the CA certificates of the system, as they are
    /// when a way of reaching receivers is first used, unless it has its own. Where there are none this is logged,
    /// `http` works, and every other `https` call fails.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up.
    pub fn new() -> Result<HttpOutbound, OutboundError> {
        install_crypto_provider();
        let usual = Arc::new(Transport::default());
        let (client, system_roots) = match usual.client(true, None) {
            Ok(client) => (client, true),
            // Without CA certificates a client cannot be built, unless it is told to trust nobody.
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

    /// A client that reaches receivers in this way, for a connection to this URL's host.
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

/// Has TLS use ring in this process. To be called before any HTTP client is made; again does no harm.
pub fn install_crypto_provider() {
    // An error means that one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// What to do where no certificate can be trusted.
const NO_ROOTS: &str = "this machine has no CA certificates; install the package `ca-certificates` or point \
                        SSL_CERT_FILE to a bundle, then restart the warden";

fn retry_after(answer: &Response) -> Option<String> {
    answer.headers().get(RETRY_AFTER)?.to_str().ok().map(str::to_owned)
}

fn location(answer: &Response) -> Option<String> {
    let location = answer.headers().get(LOCATION).filter(|_| answer.status().is_redirection())?;
    let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
    // In a query there may be secrets.
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

/// Reads the beginning of the body. What is left of it is not read: dropping the answer closes the
/// connection.
async fn excerpt(mut answer: Response) -> String {
    let mut beginning = Vec::new();
    // The end of the body, a broken connection and the end of the timeout are all one here.
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
    // The replacements are longer than what they replace.
    text.truncate(text.floor_char_boundary(EXCERPT_MAX));
    text
}

/// An error, its cause, the cause of that, and so on.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        // An I/O error gives out the cause of its content as its own cause, and passes over the content.
        next = match cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(content) => Some(content),
            None => cause.source(),
        };
        Some(cause)
    })
}

/// The last of the causes: what went wrong in the end, where the errors above it only say in which layer.
/// Of reqwest's errors only the outermost shows the URL, so it is never the one that is returned unless it
/// has no cause, and then it is left out.
pub fn root_cause(error: &reqwest::Error) -> String {
    causes(error).skip(1).last().map_or_else(|| "the request is invalid".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests;
