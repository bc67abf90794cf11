//! Asking a running daemon, over HTTP.
//!
//! What it answers with 2xx is handed on; everything else is a [`ClientError`] that says who was asked, what went wrong
//! and what to do. No redirect is followed: a write that arrives as something else must not look like a success.

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

pub use self::error::{ClientError, Problem, told};
use crate::cli::terminal::table::shown;
use crate::model::{ItemId, WorkflowName};
use crate::outbound::{install_crypto_provider, root_cause};

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the daemon may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// How much is shown of an answer that is not understood, in characters.
const EXCERPT_MAX: usize = 200;

/// The parameters of a query: names and values, neither encoded.
pub type Query = Vec<(&'static str, String)>;

/// A daemon that can be asked.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    /// Without a slash at the end.
    base: String,
    has_token: bool,
}

impl Client {
    /// A client of the daemon at `url`.
    ///
    /// # Errors
    /// When the address or the token is none, or TLS cannot be set up.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, ClientError> {
        let refuse =
            |what: &str| Err(ClientError::Address(format!("{url:?} is no address of a warden: {what}")));
        let base = match Url::parse(&with_scheme(url)) {
            Err(error) => return refuse(&error.to_string()),
            Ok(base) if !matches!(base.scheme(), "http" | "https") => {
                return refuse("it begins with http:// or https://");
            }
            Ok(base) if base.query().is_some() || base.fragment().is_some() => {
                return refuse("it ends with its path");
            }
            Ok(base) => base,
        };
        install_crypto_provider();
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                ClientError::Address("the token holds characters that no token has".to_owned())
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("warden-cli/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(redirect::Policy::none())
            // A payload is handed on as it is stored, whatever another crate makes this library able to decode.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE_MAX);
        if is_loopback(&base) {
            // A proxy has a loopback of its own.
            builder = builder.no_proxy();
        }
        if base.scheme() == "http" {
            // No certificate is met, so it must not matter that a machine has none to check them by.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| ClientError::Setup(root_cause(&error)))?;
        let base = base.as_str().trim_end_matches('/').to_owned();
        Ok(Self { http, base, has_token: token.is_some() })
    }

    /// A request for a path, which is percent-encoded already, with a query, which is not.
    ///
    /// # Errors
    /// When no URL can name the path.
    pub fn request(&self, method: Method, path: &str, query: &Query) -> Result<RequestBuilder, ClientError> {
        let text = format!("{}{path}", self.base);
        let mut url =
            Url::parse(&text).map_err(|error| ClientError::Address(format!("{text:?}: {error}")))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(self.http.request(method, url))
    }

    /// A request for an item, or what lies below it.
    ///
    /// # Errors
    /// When no URL can name it.
    pub fn item_request(
        &self,
        method: Method,
        (workflow, id): (&WorkflowName, &ItemId),
        below: &str,
        query: &Query,
    ) -> Result<RequestBuilder, ClientError> {
        self.request(method, &format!("{}{below}", path::fill(path::ITEM, &[workflow, id])), query)
    }

    /// Sends a request and waits for an answer with 2xx.
    ///
    /// # Errors
    /// Whatever else comes of it.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer<'_>, ClientError> {
        let response = request.send().await.map_err(|error| self.no_answer(&error))?;
        let status = response.status();
        let answer = Answer { client: self, response };
        if status.is_success() {
            return Ok(answer);
        }
        if status.is_redirection() {
            let to = answer.header(&LOCATION).unwrap_or_default();
            return Err(self.stranger(format!("it redirects to {}", excerpt(to))));
        }
        let retry_after = answer.header(&RETRY_AFTER).and_then(|text| text.parse().ok());
        let is_problem = answer.header(&CONTENT_TYPE) == Some("application/problem+json");
        let text = answer.text().await?;
        match serde_json::from_str::<Problem>(&text) {
            Ok(problem) if is_problem => {
                let mut problem = Problem { status: status.as_u16(), ..problem };
                if status == StatusCode::UNAUTHORIZED {
                    problem.detail = self.token_wanted().into();
                }
                Err(ClientError::Refused { problem, retry_after })
            }
            _ => {
                let (base, what) = (self.base.clone(), format!("HTTP {status} {}", excerpt(&text)));
                Err(ClientError::Stranger { base, what, status: Some(status.as_u16()) })
            }
        }
    }

    /// What to do about the token, in the words of the command line; the daemon speaks of headers.
    fn token_wanted(&self) -> &'static str {
        if self.has_token {
            "this warden does not know the token in WARDEN_TOKEN or --token; its configuration lists those it does"
        } else {
            "this warden wants a token: set WARDEN_TOKEN to one of those in its configuration (`warden token new` makes them)"
        }
    }

    fn no_answer(&self, error: &reqwest::Error) -> ClientError {
        let base = self.base.clone();
        if error.is_timeout() && !error.is_connect() {
            return ClientError::BrokenOff { base, cause: "it was silent for too long".to_owned() };
        }
        let mut cause = root_cause(error);
        // What rustls says when it is answered in plain text.
        if cause.contains("InvalidContentType") {
            cause.push_str("; it speaks no TLS: is it at http:// and not at https://?");
        }
        if error.is_connect() {
            ClientError::Unreachable { base, cause }
        } else {
            ClientError::BrokenOff { base, cause }
        }
    }

    /// That what was answered is not what a warden answers.
    pub fn stranger(&self, what: String) -> ClientError {
        ClientError::Stranger { base: self.base.clone(), what, status: None }
    }
}

/// An answer with 2xx.
#[derive(Debug)]
pub struct Answer<'a> {
    client: &'a Client,
    response: Response,
}

impl Answer<'_> {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The text of a header, if it is there and is ASCII.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The next bytes of the body, as they arrive; nothing at its end.
    ///
    /// # Errors
    /// When the answer breaks off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        self.response.chunk().await.map_err(|error| self.client.no_answer(&error))
    }

    /// The whole body.
    ///
    /// # Errors
    /// When the answer breaks off.
    pub async fn bytes(self) -> Result<Bytes, ClientError> {
        self.response.bytes().await.map_err(|error| self.client.no_answer(&error))
    }

    /// The whole body as text; what is not UTF-8 is replaced.
    ///
    /// # Errors
    /// When the answer breaks off.
    pub async fn text(self) -> Result<String, ClientError> {
        Ok(String::from_utf8_lossy(&self.bytes().await?).into_owned())
    }

    /// The JSON document in the body: its text, and what it says.
    ///
    /// # Errors
    /// When the answer breaks off or is no such document.
    pub async fn document<T: DeserializeOwned>(self) -> Result<(String, T), ClientError> {
        let client = self.client;
        let text = self.text().await?;
        match serde_json::from_str(&text) {
            Ok(document) => Ok((text, document)),
            Err(error) => Err(client.stranger(format!("{} ({error})", excerpt(&text)))),
        }
    }

    /// That the answer is not all of it.
    pub fn broken_off(&self, cause: impl Into<String>) -> ClientError {
        ClientError::BrokenOff { base: self.client.base.clone(), cause: cause.into() }
    }

    /// That what was answered is not what a warden answers.
    pub fn stranger(&self, what: impl Into<String>) -> ClientError {
        self.client.stranger(what.into())
    }
}

/// The address with `http://` before it, if it names no scheme. `localhost:8470` would be read as one of the scheme
/// `localhost`.
fn with_scheme(url: &str) -> Cow<'_, str> {
    let has_scheme = url.contains("://") || url.starts_with("http:") || url.starts_with("https:");
    if has_scheme { url.into() } else { format!("http://{url}").into() }
}

fn is_loopback(url: &Url) -> bool {
    // Of an IPv6 address the brackets belong to the URL.
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

fn excerpt(text: &str) -> String {
    let mut excerpt = shown(text.trim());
    if let Some((end, _)) = excerpt.char_indices().nth(EXCERPT_MAX) {
        excerpt.truncate(end);
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::terminal::exit::Exit;

    #[test]
    fn an_address_that_is_none_is_refused() {
        for url in [
            "",
            "ftp://localhost",
            "http://",
            "http://localhost/?a",
            "localhost:8470/#a",
            "localhost:port",
            "a b",
        ] {
            let error = Client::new(url, None).unwrap_err();
            assert!(error.to_string().contains("is no address of a warden"), "{url}: {error}");
        }
        assert!(Client::new("http://localhost", Some("a\nb")).is_err());
    }

    #[test]
    fn an_address_without_a_scheme_is_one_of_http() {
        for (url, base) in [
            ("127.0.0.1:8470", "http://127.0.0.1:8470"),
            ("localhost:8470", "http://localhost:8470"),
            ("[::1]:8470", "http://[::1]:8470"),
            ("warden.internal/prefix/", "http://warden.internal/prefix"),
            ("https://warden.internal", "https://warden.internal"),
            ("HTTP://LOCALHOST:1/", "http://localhost:1"),
        ] {
            assert_eq!(Client::new(url, None).unwrap().base, base);
        }
    }

    #[test]
    fn an_item_is_asked_for_below_the_path_of_the_address() {
        let client = Client::new("http://localhost:1/warden/", None).unwrap();
        let workflow = WorkflowName::new("uploads").unwrap();
        let url = |id: &str| {
            let id = ItemId::new(id).unwrap();
            let query = vec![("outcome", "a b&c".to_owned())];
            let request = client.item_request(Method::GET, (&workflow, &id), "/payload", &query)?;
            Ok::<_, ClientError>(request.build().unwrap().url().to_string())
        };
        let items = "http://localhost:1/warden/v1/workflows/uploads/items";
        assert_eq!(url("a/../ä").unwrap(), format!("{items}/a%2F..%2F%C3%A4/payload?outcome=a+b%26c"));
        assert_eq!(url("...").unwrap(), format!("{items}/.../payload?outcome=a+b%26c"));
    }

    #[test]
    fn a_loopback_address_is_known_in_all_its_forms() {
        for (url, expected) in [
            ("http://localhost:1", true),
            ("http://127.1", true),
            ("http://[::1]:8470", true),
            ("http://warden.example.com", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[tokio::test]
    async fn where_nobody_listens_is_said_with_what_to_do() {
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", taken.local_addr().unwrap());
        drop(taken);
        let client = Client::new(&url, None).unwrap();
        let request = client.request(Method::GET, "/v1/items", &Query::new()).unwrap();
        let error = client.send(request).await.unwrap_err();
        assert_eq!(error.exit(), Exit::Unavailable);
        let expected = format!("cannot reach a warden at {url}: is it running? start it with `warden serve`");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}
