//! Checks of the daemon's own settings, including that it is not open to everyone.

use std::time::Duration;

use bytesize::{ByteSize, GIB, KIB, MIB};

use super::checks::Checks;
use super::host::{host_of, origin_of};
use super::path::SettingPath;
use super::settings::{Limits, ServerSettings, StorageSettings};

/// The upper bound of `limits.payload_max`, in bytes.
pub const PAYLOAD_MAX: u64 = 64 * MIB;

impl ServerSettings {
    pub(super) fn is_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }

    pub(super) fn check(&self, checks: &mut Checks<'_>, has_tokens: bool) {
        let at = |key| SettingPath::dotted("server").key(key);
        if !self.is_loopback() && !has_tokens {
            let message = format!(
                "{} is not a loopback address, and without tokens everyone who reaches it could do \
                 everything: the daemon refuses to bind elsewhere without tokens; add one to [[tokens]] \
                 (`warden token new` makes it) or listen on 127.0.0.1",
                self.listen
            );
            checks.problem(&at("listen"), message);
        }
        if let Some(text) = &self.external_url
            && let Some(url) = checks.url(&at("external_url"), text)
            && (url.query().is_some() || url.fragment().is_some())
        {
            checks.problem(&at("external_url"), "must end with its path: links are made by appending to it");
        }
        checks.more_than_zero(&at("shutdown_timeout"), self.shutdown_timeout);
        check_hosts(checks, &at("hosts"), &self.hosts);
        check_origins(checks, &at("cors_origins"), &self.cors_origins, has_tokens);
    }
}

fn check_hosts(checks: &mut Checks<'_>, path: &SettingPath, hosts: &[String]) {
    for (index, text) in hosts.iter().enumerate() {
        // A bare IPv6 address is no authority, but unambiguous.
        let host = host_of(text).or_else(|| host_of(&format!("[{text}]")));
        let message = match host {
            Some(host) if host == *text => continue,
            Some(host) => {
                format!("{text:?} must be a host alone, without a port, in lower case: write {host}")
            }
            None if text == "*" => "\"*\" is no host: name each by which people reach the daemon".to_owned(),
            None => format!("{text:?} is no host, such as warden.example.com or 10.0.0.5"),
        };
        checks.problem(&path.index(index), message);
    }
}

fn check_origins(checks: &mut Checks<'_>, path: &SettingPath, origins: &[String], has_tokens: bool) {
    if !origins.is_empty() && !has_tokens {
        let message =
            "takes [[tokens]]: without them every page there, and whatever runs in it, could do everything";
        checks.problem(path, message);
    }
    for (index, text) in origins.iter().enumerate() {
        let message = match origin_of(text) {
            Some(origin) if origin == *text => continue,
            Some(origin) => format!("{text:?} must be an origin as browsers write it: write {origin}"),
            None => {
                format!("{text:?} is no origin, such as https://ops.example.com or http://localhost:3000")
            }
        };
        checks.problem(&path.index(index), message);
    }
}

impl StorageSettings {
    pub(super) fn check(&self, checks: &mut Checks<'_>) {
        let at = |key| SettingPath::dotted("storage").key(key);
        if self.path.as_os_str().is_empty() {
            checks.problem(&at("path"), "is empty: name the directory of the store");
        }
        checks.within(&at("cache"), self.cache, MIB..=1_024 * GIB, ByteSize);
        checks.within(&at("reserve"), self.reserve, MIB..=1_024 * GIB, ByteSize);
        checks.within(&at("recent"), self.recent, MIB..=1_024 * GIB, ByteSize);
        if self.checkpoint.is_zero() || self.checkpoint > Duration::from_secs(60 * 60) {
            checks.problem(&at("checkpoint"), "must be more than zero and at most 1h");
        }
        if self.stall_timeout < Duration::from_secs(1) {
            checks.problem(&at("stall_timeout"), "must be at least 1s: a slow disk is not a failed one");
        }
    }
}

impl Limits {
    pub(super) fn check(&self, checks: &mut Checks<'_>, workflows: usize) {
        let at = |key| SettingPath::dotted("limits").key(key);
        checks.within(&at("payload_max"), self.payload_max, 1..=PAYLOAD_MAX, ByteSize);
        // An invalid `payload_max` must not cause further problems.
        let payload = self.payload_max.min(PAYLOAD_MAX);
        checks.within(&at("batch_max"), self.batch_max, payload..=64 * GIB, ByteSize);
        checks.within(&at("buffered_max"), self.buffered_max, payload..=1_024 * GIB, ByteSize);
        checks.within(&at("answers_max"), self.answers_max, MIB..=1_024 * GIB, ByteSize);
        checks.within(&at("header_max"), self.header_max, 8 * KIB..=MIB, ByteSize);
        checks.within(&at("batch_items_max"), self.batch_items_max, 1..=10_000_000, |n| n);
        checks.within(&at("connections_max"), self.connections_max, 1..=1_000_000, |n| n);
        checks.within(&at("waiting_claims_max"), self.waiting_claims_max, 1..=1_000_000, |n| n);
        checks.within(&at("requests_max"), self.requests_max, 1..=1_000_000, |n| n);
        checks.within(&at("queue_max"), self.queue_max, 1..=10_000_000, |n| n);
        checks.within(&at("workflows_max"), self.workflows_max, 1..=1_000_000, |n| n);
        checks.within(&at("artifacts_max"), self.artifacts_max, 1..=10_000_000, |n| n);
        if workflows > self.workflows_max {
            let message = format!("is {}, but the configuration defines {workflows}", self.workflows_max);
            checks.problem(&at("workflows_max"), message);
        }
        checks.more_than_zero(&at("header_timeout"), self.header_timeout);
        checks.more_than_zero(&at("body_timeout"), self.body_timeout);
        checks.more_than_zero(&at("write_timeout"), self.write_timeout);
    }
}
