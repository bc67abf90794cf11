//! Checks the host of requests, against DNS rebinding.
//!
//! A browser lets a page read responses of its own host, and the owner of that host's name may resolve it to
//! this machine. The `Host` that the browser sends reveals this. Without tokens every request is checked,
//! health checks included; with tokens, which no page has, only if `server.hosts` is set.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use axum::http::Version;
use axum::http::header::HOST;

use crate::config::{Config, host_in, host_of};
use crate::http::problem::Problem;

/// The longest host name in DNS, in bytes.
const NAME_MAX: usize = 253;

pub struct Hosts {
    /// `None` allows all.
    allowed: Option<Vec<String>>,
    /// The address listened on, as most clients write it.
    listen: String,
}

impl Hosts {
    pub fn new(config: &Config, address: SocketAddr) -> Self {
        let is_checked = config.tokens.is_empty() || !config.server.hosts.is_empty();
        let external = config.server.external_url.as_deref().and_then(|url| host_in(&url.parse().ok()?));
        let listen = address.to_string();
        let own = Some(address).filter(|address| !address.ip().is_unspecified());
        let own = own.and_then(|address| host_of(&address.to_string()));
        let allowed = || config.server.hosts.iter().cloned().chain(external).chain(own).collect();
        Self { allowed: is_checked.then(allowed), listen }
    }

    /// Checks the host of a request. HTTP/1.0 may omit it: no browser does, but some load balancers' health
    /// checks do. HTTP/1.1 without a host is rejected by [`super::framing`].
    pub fn check(&self, request: &Request) -> Result<(), Problem> {
        let Some(allowed) = &self.allowed else { return Ok(()) };
        let mut is_named = false;
        for name in named(request) {
            is_named = true;
            if !self.is_ours(allowed, name) {
                return Err(unknown(name));
            }
        }
        if is_named || request.version() < Version::HTTP_2 {
            return Ok(());
        }
        Err(Problem::unknown_host("the request has no host; send :authority or Host"))
    }

    fn is_ours(&self, allowed: &[String], name: &[u8]) -> bool {
        let is_ours = |host: String| is_loopback(&host) || allowed.contains(&host);
        name == self.listen.as_bytes()
            || std::str::from_utf8(name).ok().and_then(host_of).is_some_and(is_ours)
    }
}

/// The hosts in target and headers, which may differ.
fn named(request: &Request) -> impl Iterator<Item = &[u8]> {
    let target = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    target.into_iter().chain(request.headers().get_all(HOST).iter().map(|value| value.as_bytes()))
}

/// The first host and port of a request.
pub fn authority(request: &Request) -> Option<&str> {
    named(request).next().and_then(|name| std::str::from_utf8(name).ok())
}

/// Whether a host name always resolves to loopback.
fn is_loopback(host: &str) -> bool {
    let unbracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host == "localhost"
        || host.ends_with(".localhost")
        || unbracketed.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn unknown(name: &[u8]) -> Problem {
    let host = std::str::from_utf8(name).ok().and_then(host_of).filter(|host| host.len() <= NAME_MAX);
    Problem::unknown_host(match host {
        Some(host) => format!(
            "{host:?} is not a name of this daemon; to allow it, add it to server.hosts or use it in \
            server.external_url"
        ),
        None => "the host of the request is not a host name with an optional port".to_owned(),
    })
}
