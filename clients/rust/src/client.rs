//! HTTP requests to a daemon.
//!
//! A response with 2xx is returned; everything else is an [`Error`]. Redirects are not followed: a redirected
//! write could look like a success.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Url, redirect};
use warden_api::{ItemId, ProblemDocument, WorkflowName, path};

use crate::answer::Answer;
use crate::backoff::Backoff;
use crate::clock::{Clock, SteadyClock};
use crate::error::{Error, Refusal, root_cause};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time without a byte of the response.
const SILENCE_MAX: Duration = Duration::from_secs(120);
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest excerpt of an unexpected response in messages, in characters.
const EXCERPT_MAX: usize = 200;

/// Query parameters as names and values, not yet encoded.
pub type Query = Vec<(&'static str, String)>;

/// A client of one daemon. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Without a slash at the end.
    base: Arc<str>,
    has_token: bool,
    repeats: bool,
    patience: Duration,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

/// The settings of a client.
pub struct Builder {
    url: String,
    token: Option<String>,
    user_agent: String,
    repeats: bool,
    patience: Duration,
    clock: Arc<dyn Clock>,
}

impl Builder {
    /// The token that requests carry.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The `User-Agent` of requests.
    #[must_use]
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.user_agent = name.into();
        self
    }

    /// Repeats no request, for programs whose user decides on that.
    #[must_use]
    pub fn without_repetition(mut self) -> Self {
        self.repeats = false;
        self
    }

    /// How long a request that may be repeated is repeated, all tries and waits included; 30 s by default.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The source of time, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Fails if the URL or the token is malformed, or TLS cannot be set up.
    pub fn build(self) -> Result<Client, Error> {
        let url = &self.url;
        let refuse = |what: &str| Err(Error::Invalid(format!("{url:?} is not the URL of a warden: {what}")));
        let base = match Url::parse(&with_scheme(url)) {
            Err(error) => return refuse(&error.to_string()),
            Ok(base) if !matches!(base.scheme(), "http" | "https") => {
                return refuse("it must begin with http:// or https://");
            }
            Ok(base) if base.query().is_some() || base.fragment().is_some() => {
                return refuse("it must not have a query or a fragment");
            }
            Ok(base) => base,
        };
        // An error means that a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut headers = HeaderMap::new();
        if let Some(token) = &self.token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| Error::Invalid("the token has invalid characters".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(self.user_agent)
            .default_headers(headers)
            .redirect(redirect::Policy::none())
            // Payloads are returned as stored, even if another crate enables these features of reqwest.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE_MAX);
        if is_loopback(&base) {
            // The proxy's loopback is another machine's.
            builder = builder.no_proxy();
        }
        if base.scheme() == "http" {
            // Plain HTTP must work on machines without root certificates.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| Error::Setup(root_cause(&error)))?;
        let base = base.as_str().trim_end_matches('/').into();
        let (has_token, repeats, patience, clock) =
            (self.token.is_some(), self.repeats, self.patience, self.clock);
        Ok(Client { http, base, has_token, repeats, patience, clock })
    }
}

impl Client {
    /// A client of the daemon at `url`, `http://` if that has no scheme. Fails if the URL or the token is
    /// malformed, or TLS cannot be set up.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, Error> {
        let builder = Self::builder(url);
        match token {
            Some(token) => builder.token(token).build(),
            None => builder.build(),
        }
    }

    /// A client of the daemon at `url` with other settings than the default ones.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder {
            url: url.into(),
            token: None,
            user_agent: concat!("warden-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            repeats: true,
            patience: PATIENCE,
            clock: Arc::new(SteadyClock::new()),
        }
    }

    /// The URL of the daemon, without a slash at the end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The clock of waits and leases.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// How long a request that may be repeated is repeated.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// A request. `path` is percent-encoded already, `query` is not.
    pub fn request(&self, method: Method, path: &str, query: &Query) -> Result<RequestBuilder, Error> {
        let text = format!("{}{path}", self.base);
        let mut url = Url::parse(&text).map_err(|error| Error::Invalid(format!("{text:?}: {error}")))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(self.http.request(method, url))
    }

    /// A request for an item; `below` is appended to its path.
    pub fn item_request(
        &self,
        method: Method,
        (workflow, id): (&WorkflowName, &ItemId),
        below: &str,
        query: &Query,
    ) -> Result<RequestBuilder, Error> {
        self.request(method, &format!("{}{below}", path::fill(path::ITEM, &[workflow, id])), query)
    }

    /// Sends a request once. Succeeds if the status is 2xx.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer<'_>, Error> {
        let response = request.send().await.map_err(|error| self.request_error(&error))?;
        let status = response.status();
        let answer = Answer { client: self, response };
        if status.is_success() {
            return Ok(answer);
        }
        if status.is_redirection() {
            let to = answer.header(&LOCATION).unwrap_or_default();
            return Err(self.unexpected(format!("it redirects to {}", excerpt(to))));
        }
        let retry_after = answer.header(&RETRY_AFTER).and_then(|text| text.parse().ok());
        let is_problem = answer.header(&CONTENT_TYPE) == Some("application/problem+json");
        let text = answer.text().await?;
        match serde_json::from_str::<ProblemDocument<'static>>(&text) {
            Ok(problem) if is_problem => {
                let problem = ProblemDocument { status: status.as_u16(), ..problem };
                let with_token = self.has_token;
                Err(Error::Refused(Box::new(Refusal { problem, retry_after, with_token })))
            }
            _ => {
                let (base, what) =
                    (self.base.to_string(), format!("it answered {status} {}", excerpt(&text)));
                Err(Error::Unexpected { base, what, status: Some(status.as_u16()) })
            }
        }
    }

    /// Repeats what may be repeated until it succeeds, fails for good, or the client's patience is over. Each
    /// try is told the time that is left.
    pub(crate) async fn repeat<T, F>(&self, mut attempt: impl FnMut(Duration) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let until = self.clock.now().after(self.patience);
        let mut backoff = Backoff::new();
        loop {
            let left = until.since(self.clock.now());
            match attempt(left.max(Duration::from_millis(1))).await {
                Err(error) if self.repeats && error.is_transient() => {
                    let next = self.clock.now().after(backoff.wait(error.retry_after()));
                    if next >= until {
                        return Err(error);
                    }
                    self.clock.sleep_until(next).await;
                }
                ended => return ended,
            }
        }
    }

    pub(crate) fn request_error(&self, error: &reqwest::Error) -> Error {
        let base = self.base.to_string();
        if error.is_timeout() && !error.is_connect() {
            return Error::BrokenOff { base, cause: "nothing came in time".to_owned() };
        }
        let mut cause = root_cause(error);
        // The error of rustls when the peer answers in plain text.
        if cause.contains("InvalidContentType") {
            cause.push_str("; it does not speak TLS: is the URL http:// instead of https://?");
        }
        if error.is_connect() { Error::Unreachable { base, cause } } else { Error::BrokenOff { base, cause } }
    }

    /// The error for a response that is not a warden's.
    pub fn unexpected(&self, what: String) -> Error {
        Error::Unexpected { base: self.base.to_string(), what, status: None }
    }
}

/// Prepends `http://` if the URL has no scheme; in `localhost:8470`, `localhost` would be taken for one.
fn with_scheme(url: &str) -> Cow<'_, str> {
    let has_scheme = url.contains("://") || url.starts_with("http:") || url.starts_with("https:");
    if has_scheme { url.into() } else { format!("http://{url}").into() }
}

fn is_loopback(url: &Url) -> bool {
    // The host of a URL has an IPv6 address in brackets.
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// The beginning of a text from elsewhere, in one line.
pub(crate) fn excerpt(text: &str) -> String {
    let mut excerpt: String = text.trim().chars().flat_map(escaped).collect();
    if let Some((end, _)) = excerpt.char_indices().nth(EXCERPT_MAX) {
        excerpt.truncate(end);
        excerpt.push('…');
    }
    excerpt
}

fn escaped(character: char) -> Vec<char> {
    match character {
        '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            character.escape_unicode().collect()
        }
        control if control.is_control() => control.escape_default().collect(),
        other => vec![other],
    }
}

#[cfg(test)]
mod tests;
