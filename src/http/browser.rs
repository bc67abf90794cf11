//! What a page in a browser may do and read.
//!
//! A browser sends what any page asks it to, from inside of whatever network it stands in. What it lets a page send without
//! asking first, and what it shows it, is decided by the headers here:
//!
//! * What changes something is refused when it comes from a page of another origin. A page of another port of this machine is
//!   one of another origin.
//! * JSON is read from JSON types alone where a browser may be the sender: any other type is sent for every page without
//!   asking first. Clients that are no browsers send what they like, as `curl -d` does.
//! * Answers are for pages of the origin they come from, unless `server.cors_origins` lists another; none is taken for a type
//!   other than it says. Payloads, which are somebody else's bytes, run no scripts when they are opened as a page.
//!
//! That a page cannot be of our own origin under a name of its own is the business of [`super::hosts`].

use axum::extract::Request;
use axum::http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_RANGE, CONTENT_TYPE, ETAG, LOCATION, ORIGIN,
    RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::hosts::{self, Hosts};
use super::items::REPR_DIGEST;
use super::prefer::PREFERENCE_APPLIED;
use super::problem::Problem;
use super::{REQUEST_ID, request};
use crate::config::{Config, origin_of};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// How long a browser may remember what it was told of an origin, in seconds.
const PREFLIGHT_MAX_AGE: u64 = 600;

/// The pages that may use the daemon.
pub struct Browsers {
    /// The origin of `server.external_url`: one of our own behind a proxy.
    external: Option<String>,
    /// `server.cors_origins`.
    listed: Vec<HeaderValue>,
    /// What tells browsers of those; none when none is listed.
    cors: Option<CorsLayer>,
}

impl Browsers {
    /// As the configuration says.
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

    /// Checks that a request which may change something is not one of a foreign page.
    ///
    /// # Errors
    /// When it is.
    pub fn check(&self, request: &Request) -> Result<(), Problem> {
        let headers = request.headers();
        if matches!(*request.method(), Method::GET | Method::HEAD) || self.is_listed(headers) {
            return Ok(());
        }
        if !headers.get_all(ORIGIN).iter().all(|origin| self.is_own(origin, request)) {
            return Err(foreign("the Origin of the request is another"));
        }
        // `same-site` is foreign as well: it stands for another port of this machine, for example.
        let is_own = |site: &HeaderValue| site == "same-origin" || site == "none";
        if !headers.get_all(SEC_FETCH_SITE).iter().all(is_own) {
            return Err(foreign("Sec-Fetch-Site says so"));
        }
        Ok(())
    }

    /// What lets a browser show the answer to a page of an origin that is listed, and answers what it asks beforehand; nothing
    /// where none is. Of a request that asks beforehand for another page, or is for another host, it must not be asked.
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

    /// Whether pages of this origin are our own: those of the host that the request is for, or of `server.external_url`.
    fn is_own(&self, origin: &HeaderValue, request: &Request) -> bool {
        let Ok(text) = origin.to_str() else { return false };
        // Of anything but an origin nothing is known.
        let Some(origin) = origin_of(text).filter(|origin| origin == text) else { return false };
        let scheme = origin.split_once("://").map_or("http", |(scheme, _)| scheme);
        let asked = hosts::authority(request).and_then(|host| origin_of(&format!("{scheme}://{host}")));
        asked.as_ref() == Some(&origin) || self.external.as_ref() == Some(&origin)
    }
}

fn foreign(how: &str) -> Problem {
    Problem::foreign_origin(format!(
        "pages of other origins may not change anything here ({how}); for a page of your own add its origin to \
         server.cors_origins, which takes tokens"
    ))
}

/// Checks that the body of a request may be read as JSON.
///
/// # Errors
/// When a browser may have sent it, as another type.
pub fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    check_type(headers, "application/json", |_| false)
}

/// Checks that the body of a request may be read as lines of JSON.
///
/// # Errors
/// When a browser may have sent it, as another type.
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
    // Two of them could be understood in two ways.
    if types.by_ref().count() == 1 && (is_json || is_one(&essence)) {
        return Ok(());
    }
    Err(Problem::unsupported_media_type(format!(
        "a browser sends this body as it does for any page; give it the Content-Type {usual}"
    )))
}

/// Adds to an answer what keeps a browser from taking it for something else, or showing it within other pages.
pub fn protect(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
}
