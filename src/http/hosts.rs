//! Under which names the daemon is asked: what keeps a page from reaching it under a name of the page's own.
//!
//! A browser lets a page read what its own host answers, and whoever owns that host's name may let it lead to this machine
//! (DNS rebinding). The name that the browser then sends tells them apart. Without tokens every request is held to it, that
//! for the daemon's health too; with tokens, which no page has, only where `server.hosts` is set.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use axum::http::Version;
use axum::http::header::HOST;

use super::problem::Problem;
use crate::config::{Config, host_in, host_of};

/// The longest host name that there is, in bytes.
const NAME_MAX: usize = 253;

/// The hosts for which requests are answered.
pub struct Hosts {
    /// `None`: all.
    allowed: Option<Vec<String>>,
    /// The address listened on, as most clients write it.
    listen: String,
}

impl Hosts {
    /// As the configuration says, for a daemon that listens on this address.
    pub fn new(config: &Config, address: SocketAddr) -> Self {
        let is_checked = config.tokens.is_empty() || !config.server.hosts.is_empty();
        let external = config.server.external_url.as_deref().and_then(|url| host_in(&url.parse().ok()?));
        let listen = address.to_string();
        let own = Some(address).filter(|address| !address.ip().is_unspecified());
        let own = own.and_then(|address| host_of(&address.to_string()));
        let allowed = || config.server.hosts.iter().cloned().chain(external).chain(own).collect();
        Self { allowed: is_checked.then(allowed), listen }
    }

    /// Checks for which host a request is. One of HTTP/1.0 may name none: no browser sends that, and the checks of some
    /// balancers do. That one of HTTP/1.1 has to name one is for the framing to see to.
    ///
    /// # Errors
    /// When it is for none of these, or in HTTP/2 for none at all.
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
        Err(Problem::unknown_host("the request names no host; send :authority or Host"))
    }

    fn is_ours(&self, allowed: &[String], name: &[u8]) -> bool {
        let is_ours = |host: String| is_loopback(&host) || allowed.contains(&host);
        name == self.listen.as_bytes()
            || std::str::from_utf8(name).ok().and_then(host_of).is_some_and(is_ours)
    }
}

/// What a request names as its host, in its target and in its headers. They are not always the same.
fn named(request: &Request) -> impl Iterator<Item = &[u8]> {
    let target = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    target.into_iter().chain(request.headers().get_all(HOST).iter().map(|value| value.as_bytes()))
}

/// The host and port that a request is for, as it says first.
pub fn authority(request: &Request) -> Option<&str> {
    named(request).next().and_then(|name| std::str::from_utf8(name).ok())
}

/// Whether a host leads to the machine that asks, whoever answers for its name.
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
            "{host:?} is no name of this daemon; if people are to reach it by that, add it to server.hosts or make it \
             server.external_url"
        ),
        None => "what the request names as its host is no host name with at most a port".to_owned(),
    })
}
