//! HTTP requests to a running daemon.
//!
//! A response with 2xx is returned; everything else is a [`ClientError`] that says which daemon, what went
//! wrong and what to do. Redirects are not followed: a redirected write could look like a success.

mod error;

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, redirect};
use serde::de::DeserializeOwned;
use warden_api::path;

pub use self::error::{ClientError, Problem, describe};
use crate::cli::terminal::age::short;
use crate::cli::terminal::table::escaped;
use crate::model::{ItemId, WorkflowName};
use crate::outbound::{install_crypto_provider, root_cause};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time without a byte of the response.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// The longest excerpt of an unexpected response in messages, in characters.
const EXCERPT_MAX: usize = 200;

/// Query parameters as names and values, not yet encoded.
pub type Query = Vec<(&'static str, String)>;

#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    /// Without a slash at the end.
    base: String,
    has_token: bool,
}

impl Client {
    /// A client of the daemon at `url`. Fails if the URL or the token is malformed, or TLS cannot be set up.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, ClientError> {
        let refuse =
            |what: &str| Err(ClientError::Address(format!("{url:?} is not the URL of a warden: {what}")));
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
        install_crypto_provider();
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| ClientError::Address("the token has invalid characters".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("warden-cli/", env!("CARGO_PKG_VERSION")))
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
        let http = builder.build().map_err(|error| ClientError::Setup(root_cause(&error)))?;
        let base = base.as_str().trim_end_matches('/').to_owned();
        Ok(Self { http, base, has_token: token.is_some() })
    }

    /// `path` is percent-encoded already, `query` is not.
    pub fn request(&self, method: Method, path: &str, query: &Query) -> Result<RequestBuilder, ClientError> {
        let text = format!("{}{path}", self.base);
        let mut url =
            Url::parse(&text).map_err(|error| ClientError::Address(format!("{text:?}: {error}")))?;
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
    ) -> Result<RequestBuilder, ClientError> {
        self.request(method, &format!("{}{below}", path::fill(path::ITEM, &[workflow, id])), query)
    }

    /// Sends a request. Succeeds if the status is 2xx.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer<'_>, ClientError> {
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
        match serde_json::from_str::<Problem>(&text) {
            Ok(problem) if is_problem => {
                let mut problem = Problem { status: status.as_u16(), ..problem };
                if status == StatusCode::UNAUTHORIZED {
                    problem.detail = self.token_advice().into();
                }
                Err(ClientError::Refused { problem, retry_after })
            }
            _ => {
                let (base, what) = (self.base.clone(), format!("it answered {status} {}", excerpt(&text)));
                Err(ClientError::Unexpected { base, what, status: Some(status.as_u16()) })
            }
        }
    }

    /// Replaces the daemon's text, which speaks of headers, by one for the command line.
    fn token_advice(&self) -> &'static str {
        if self.has_token {
            "the token in WARDEN_TOKEN or --token is unknown to this warden; use one of its configuration"
        } else {
            "this warden requires a token: set WARDEN_TOKEN to one of its configuration (`warden token new` \
             generates them)"
        }
    }

    fn request_error(&self, error: &reqwest::Error) -> ClientError {
        let base = self.base.clone();
        if error.is_timeout() && !error.is_connect() {
            return ClientError::BrokenOff {
                base,
                cause: format!("nothing came for {}", short(SILENCE_MAX)),
            };
        }
        let mut cause = root_cause(error);
        // The error of rustls when the peer answers in plain text.
        if cause.contains("InvalidContentType") {
            cause.push_str("; it does not speak TLS: is the URL http:// instead of https://?");
        }
        if error.is_connect() {
            ClientError::Unreachable { base, cause }
        } else {
            ClientError::BrokenOff { base, cause }
        }
    }

    pub fn unexpected(&self, what: String) -> ClientError {
        ClientError::Unexpected { base: self.base.clone(), what, status: None }
    }
}

/// A response with 2xx.
#[derive(Debug)]
pub struct Answer<'a> {
    client: &'a Client,
    response: Response,
}

impl Answer<'_> {
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// `None` if the header is missing or not ASCII.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The next bytes of the body, `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        self.response.chunk().await.map_err(|error| self.client.request_error(&error))
    }

    pub async fn bytes(self) -> Result<Bytes, ClientError> {
        self.response.bytes().await.map_err(|error| self.client.request_error(&error))
    }

    /// Invalid UTF-8 is replaced.
    pub async fn text(self) -> Result<String, ClientError> {
        Ok(String::from_utf8_lossy(&self.bytes().await?).into_owned())
    }

    /// The JSON body, as text and parsed.
    pub async fn document<T: DeserializeOwned>(self) -> Result<(String, T), ClientError> {
        let client = self.client;
        let text = self.text().await?;
        match serde_json::from_str(&text) {
            Ok(document) => Ok((text, document)),
            Err(error) => Err(client.unexpected(format!("{} ({error})", excerpt(&text)))),
        }
    }

    pub fn broken_off(&self, cause: impl Into<String>) -> ClientError {
        ClientError::BrokenOff { base: self.client.base.clone(), cause: cause.into() }
    }

    pub fn unexpected(&self, what: impl Into<String>) -> ClientError {
        self.client.unexpected(what.into())
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

fn excerpt(text: &str) -> String {
    let mut excerpt = escaped(text.trim());
    if let Some((end, _)) = excerpt.char_indices().nth(EXCERPT_MAX) {
        excerpt.truncate(end);
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests;
