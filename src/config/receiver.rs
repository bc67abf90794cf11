//! Receivers of notifications.
//!
//! A setting that belongs to one format is refused with any other, since it would have no effect. In
//! `[receiver_defaults]` it is accepted: there it applies to the receivers of that format.

mod events;
mod form;
mod headers;
mod transport;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use self::form::ReceiverFormat;
pub(super) use self::transport::{networks, roots};
use super::checks::Checks;
use super::duration;
use super::path::SettingPath;
use super::secret::{Secret, Secrets};
use crate::model::Severity;
use crate::notifier::Receiver;
use crate::outbound::transport::Roots;
use crate::outbound::{Endpoint, Rate, SigningKey};

const CONCURRENCY: RangeInclusive<usize> = 1..=1_024;
const RESEND: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);
/// The old and the new secret of a rotation.
const SECRETS_MAX: usize = 2;

/// `[receiver_defaults]` as written. Empty texts are unset.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenReceiverDefaults {
    format: ReceiverFormat,
    min_severity: Severity,
    allow_private: bool,
    allow_networks: Vec<String>,
    #[serde(deserialize_with = "duration::required")]
    timeout: Duration,
    concurrency: usize,
    rate: String,
    #[serde(deserialize_with = "duration::required")]
    resend: Duration,
    namespace: String,
    ca_file: String,
    proxy: Secret,
}

/// Inherited by all receivers.
#[derive(Debug)]
pub struct ReceiverDefaults {
    format: ReceiverFormat,
    min_severity: Severity,
    allow_private: bool,
    allow_networks: Vec<IpNet>,
    timeout: Duration,
    concurrency: usize,
    rate: Option<Rate>,
    resend: Duration,
    namespace: Arc<str>,
    roots: Option<Roots>,
    proxy: Option<Endpoint>,
}

/// `[receivers.NAME]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WrittenReceiver {
    pub url: Option<Secret>,
    pub format: Option<ReceiverFormat>,
    pub events: Option<Vec<String>>,
    pub min_severity: Option<Severity>,
    pub secret: Option<Secrets>,
    pub routing_key: Option<Secret>,
    pub method: Option<String>,
    pub body: Option<Secret>,
    pub headers: BTreeMap<String, Secret>,
    #[serde(deserialize_with = "duration::optional")]
    pub resend: Option<Duration>,
    pub namespace: Option<String>,
    pub allow_private: Option<bool>,
    pub allow_networks: Option<Vec<String>>,
    #[serde(deserialize_with = "duration::optional")]
    pub timeout: Option<Duration>,
    pub concurrency: Option<usize>,
    pub rate: Option<String>,
    pub ca_file: Option<String>,
    pub client_certificate: Option<String>,
    pub client_key: Option<String>,
    pub proxy: Option<Secret>,
}

impl WrittenReceiverDefaults {
    /// Invalid settings are reported and count as unset.
    pub(super) fn resolve(&self, checks: &mut Checks<'_>) -> ReceiverDefaults {
        let at = |key| SettingPath::dotted("receiver_defaults").key(key);
        checks.more_than_zero(&at("timeout"), self.timeout);
        checks.within(&at("concurrency"), self.concurrency, CONCURRENCY, |n| n);
        checks.within(&at("resend"), self.resend, RESEND, humantime::format_duration);
        form::check_namespace(checks, &at("namespace"), &self.namespace);
        ReceiverDefaults {
            format: self.format,
            min_severity: self.min_severity,
            allow_private: self.allow_private,
            allow_networks: transport::networks(checks, &at("allow_networks"), &self.allow_networks),
            timeout: self.timeout,
            concurrency: self.concurrency,
            rate: rate(checks, &at("rate"), &self.rate),
            resend: self.resend,
            namespace: self.namespace.as_str().into(),
            roots: transport::roots(checks, &at("ca_file"), &self.ca_file),
            proxy: transport::proxy(checks, &at("proxy"), &self.proxy),
        }
    }
}

impl WrittenReceiver {
    /// Checks the table and fills in the defaults; `None` after a problem that leaves no usable receiver.
    pub(super) fn resolve(
        self,
        checks: &mut Checks<'_>,
        name: &str,
        defaults: &ReceiverDefaults,
    ) -> Option<Receiver> {
        let table = SettingPath::dotted("receivers").key(name);
        let at = |key| table.key(key);
        checks.name(&table, name);
        if let Some(timeout) = self.timeout {
            checks.more_than_zero(&at("timeout"), timeout);
        }
        if let Some(concurrency) = self.concurrency {
            checks.within(&at("concurrency"), concurrency, CONCURRENCY, |n| n);
        }
        if let Some(resend) = self.resend {
            checks.within(&at("resend"), resend, RESEND, humantime::format_duration);
        }
        let format = self.format.unwrap_or(defaults.format);
        self.check_belongings(checks, &table, format);
        let asked = events::resolve(checks, &at("events"), self.events.as_deref(), format);
        if self.min_severity.is_some() && !asked.incidents {
            checks.problem(
                &at("min_severity"),
                "does nothing for a receiver of events: only incidents have one",
            );
        }
        let rate = match &self.rate {
            Some(text) => rate(checks, &at("rate"), text),
            None => defaults.rate,
        };
        let signing_keys = self.secret.as_ref().map_or_else(Vec::new, |it| keys(checks, &at("secret"), it));
        let transport = self.transport(checks, &table, defaults);
        let url = self.endpoint(checks, &table, format);
        let headers = headers::resolve(checks, &at("headers"), &self.headers, format);
        let form = self.form(checks, &table, format, headers.written, defaults, asked);
        Some(Receiver {
            name: name.into(),
            url: url?,
            format: form?,
            headers: headers.fixed,
            signing_keys,
            transport: Arc::new(transport),
            timeout: self.timeout.unwrap_or(defaults.timeout),
            concurrency: self.concurrency.unwrap_or(defaults.concurrency),
            rate,
            min_severity: asked.incidents.then(|| self.min_severity.unwrap_or(defaults.min_severity)),
            events: asked.events,
        })
    }
}

fn rate(checks: &mut Checks<'_>, path: &SettingPath, text: &str) -> Option<Rate> {
    if text.is_empty() {
        return None;
    }
    text.parse().map_err(|error| checks.problem(path, format!("{text:?} {error}"))).ok()
}

pub(super) fn keys(checks: &mut Checks<'_>, path: &SettingPath, secrets: &Secrets) -> Vec<SigningKey> {
    let mut key = |path: &SettingPath, secret: &Secret| {
        let resolved = secret.parse(checks.environment(), "signing secret", str::parse);
        resolved.map_err(|message| checks.problem(path, message)).ok()
    };
    match secrets {
        Secrets::One(secret) => key(path, secret).into_iter().collect(),
        Secrets::List(secrets) if (1..=SECRETS_MAX).contains(&secrets.len()) => {
            secrets.iter().enumerate().filter_map(|(index, secret)| key(&path.index(index), secret)).collect()
        }
        Secrets::List(secrets) => {
            checks.problem(path, format!("holds {} secrets, but must hold one or two", secrets.len()));
            Vec::new()
        }
    }
}
