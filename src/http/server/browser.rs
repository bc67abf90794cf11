//! Protection against cross-origin requests from browsers.
//!
//! A browser sends what any page requests, from inside its network. These headers decide what a page may send
//! without a preflight, and what it may read:
//!
//! * A request that changes something is rejected if it comes from another origin. Another port of this
//!   machine is another origin.
//! * JSON is parsed only with a JSON content type if a browser may be the sender: other types can be sent
//!   cross-origin without a preflight. Other clients may send any type, as `curl -d` does.
//! * Responses are readable only by pages of their origin, unless `server.cors_origins` lists another;
//!   content types are not sniffed. Payloads, which are foreign content, run no scripts when opened as a
//!   page.
//!
//! Pages that take on our origin by DNS rebinding are handled by [`super::hosts`].

use axum::extract::Request;
use axum::http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_RANGE, CONTENT_TYPE, ETAG, LOCATION, ORIGIN,
    RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::REQUEST_ID;
use super::hosts::{self, Hosts};
use crate::config::{Config, origin_of};
use crate::http::items::REPR_DIGEST;
use crate::http::prefer::PREFERENCE_APPLIED;
use crate::http::problem::Problem;
use crate::http::request;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// How long a browser may cache a preflight, in seconds.
const PREFLIGHT_MAX_AGE: u64 = 600;

pub struct Browsers {
    /// The origin of `server.external_url`: our own, behind a proxy.
    external: Option<String>,
    /// `server.cors_origins`.
    listed: Vec<HeaderValue>,
    /// `None` if no origin is listed.
    cors: Option<CorsLayer>,
}

impl Browsers {
    pub fn new(config: &Config) -> Self {
        let origins = &config.server.cors_origins;
        let listed: Vec<_> = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
        let cors = (!listed.is_empty()).then(|| {
            CorsLayer::new()
                .allow_origin(AllowOrigin::list(listed.clone()))
                .allow_methods([
                    Method::GET,
                    Method::HEAD,
                    Method::PUT,
                    Method::POST,
                    Method::PATCH,
                    Method::DELETE,
                ])
                .allow_headers(AllowHeaders::mirror_request())
                .expose_headers([
                    REQUEST_ID,
                    ETAG,
                    LOCATION,
                    RETRY_AFTER,
                    WWW_AUTHENTICATE,
                    ACCEPT_RANGES,
                    CONTENT_RANGE,
                    REPR_DIGEST,
                    PREFERENCE_APPLIED,
                ])
                .max_age(std::time::Duration::from_secs(PREFLIGHT_MAX_AGE))
        });
        let external = config.server.external_url.as_deref().and_then(origin_of);
        Self { external, listed, cors }
    }

    /// Rejects a request that may change something and comes from another origin.
    pub fn check(&self, request: &Request) -> Result<(), Problem> {
        let headers = request.headers();
        if matches!(*request.method(), Method::GET | Method::HEAD) || self.is_listed(headers) {
            return Ok(());
        }
        if !headers.get_all(ORIGIN).iter().all(|origin| self.is_own(origin, request)) {
            return Err(foreign("the Origin header names another origin"));
        }
        // `same-site` is another origin too, such as another port of this machine.
        let is_own = |site: &HeaderValue| site == "same-origin" || site == "none";
        if !headers.get_all(SEC_FETCH_SITE).iter().all(is_own) {
            return Err(foreign("by Sec-Fetch-Site"));
        }
        Ok(())
    }

    /// The CORS layer, if origins are configured. A preflight only gets it for a listed origin and an allowed
    /// host.
    pub fn cors(&self, request: &Request, hosts: &Hosts) -> Option<&CorsLayer> {
        let headers = request.headers();
        let is_for_us = || {
            self.is_listed(headers)
                && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
                && hosts.check(request).is_ok()
        };
        self.cors.as_ref().filter(|_| request.method() != Method::OPTIONS || is_for_us())
    }

    fn is_listed(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        let is_listed = |origin: &HeaderValue| self.listed.contains(origin);
        origins.next().is_some_and(is_listed) && origins.all(is_listed)
    }

    /// Whether an origin is our own: that of the requested host, or of `server.external_url`.
    fn is_own(&self, origin: &HeaderValue, request: &Request) -> bool {
        let Ok(text) = origin.to_str() else { return false };
        // Anything but a plain origin is not our own.
        let Some(origin) = origin_of(text).filter(|origin| origin == text) else { return false };
        let scheme = origin.split_once("://").map_or("http", |(scheme, _)| scheme);
        let asked = hosts::authority(request).and_then(|host| origin_of(&format!("{scheme}://{host}")));
        asked.as_ref() == Some(&origin) || self.external.as_ref() == Some(&origin)
    }
}

fn foreign(how: &str) -> Problem {
    Problem::foreign_origin(format!(
        "cross-origin requests may not change anything ({how}); to allow a page, add its origin to \
        server.cors_origins, which requires tokens"
    ))
}

/// Checks the content type of a JSON body that a browser may have sent.
pub fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    check_type(headers, "application/json", |_| false)
}

/// Checks the content type of an NDJSON body that a browser may have sent.
pub fn check_lines(headers: &HeaderMap) -> Result<(), Problem> {
    check_type(headers, "application/x-ndjson", |essence| {
        matches!(
            essence,
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines"
        )
    })
}

fn check_type(headers: &HeaderMap, usual: &str, is_one: impl Fn(&str) -> bool) -> Result<(), Problem> {
    let is_of_browsers = |name: &HeaderName| *name == ORIGIN || name.as_str().starts_with("sec-fetch-");
    if !headers.keys().any(is_of_browsers) {
        return Ok(());
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let essence = request::header(headers, &CONTENT_TYPE)?.unwrap_or_default();
    let essence = essence.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = matches!(essence.as_str(), "application/json" | "text/json") || essence.ends_with("+json");
    // Two headers are ambiguous.
    if types.by_ref().count() == 1 && (is_json || is_one(&essence)) {
        return Ok(());
    }
    Err(Problem::unsupported_media_type(format!(
        "from a browser this body must have the Content-Type {usual}"
    )))
}

/// Sets the headers against content sniffing and embedding in other pages.
pub fn protect(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
}
