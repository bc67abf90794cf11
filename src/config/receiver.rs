//! Receivers: the places to which notifications go.

use std::ops::RangeInclusive;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use super::checks::Checks;
use super::duration;
use super::path::SettingPath;
use super::secret::{Secret, Secrets, SigningKey};

const CONCURRENCY: RangeInclusive<usize> = 1..=1_024;
/// The old one and the new one.
const SECRETS_MAX: usize = 2;

/// `[receivers.NAME]` with everything filled in.
#[derive(Clone, Debug)]
pub struct ReceiverSettings {
    /// Where to post; `http` or `https`, without credentials.
    pub url: Url,
    /// The form of the notifications.
    pub format: ReceiverFormat,
    /// The keys that sign, at most two, each with a signature of its own. None: notifications are not signed.
    pub secrets: Vec<SigningKey>,
    /// Whether the address may be a private or loopback one.
    pub allow_private: bool,
    /// How long one attempt may take. More than zero.
    pub timeout: Duration,
    /// The most attempts at one time; at least 1.
    pub concurrency: usize,
}

/// The form of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiverFormat {
    /// Standard Webhooks.
    Standard,
}

/// `[receiver_defaults]` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenReceiverDefaults {
    format: ReceiverFormat,
    allow_private: bool,
    #[serde(deserialize_with = "duration::required")]
    timeout: Duration,
    concurrency: usize,
}

/// `[receivers.NAME]` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenReceiver {
    url: String,
    pub format: Option<ReceiverFormat>,
    pub secret: Option<Secrets>,
    pub allow_private: Option<bool>,
    #[serde(default, deserialize_with = "duration::optional")]
    pub timeout: Option<Duration>,
    pub concurrency: Option<usize>,
}

impl WrittenReceiverDefaults {
    pub(super) fn check(&self, checks: &mut Checks<'_>) {
        let at = |key| SettingPath::dotted("receiver_defaults").key(key);
        checks.more_than_zero(&at("timeout"), self.timeout);
        checks.within(&at("concurrency"), self.concurrency, CONCURRENCY, |n| n);
    }
}

impl WrittenReceiver {
    /// Checks the table and fills in the rest; `None` after a problem without which there is no receiver.
    pub(super) fn resolve(
        self,
        checks: &mut Checks<'_>,
        name: &str,
        defaults: &WrittenReceiverDefaults,
    ) -> Option<ReceiverSettings> {
        let table = SettingPath::dotted("receivers").key(name);
        checks.name(&table, name);
        if let Some(timeout) = self.timeout {
            checks.more_than_zero(&table.key("timeout"), timeout);
        }
        if let Some(concurrency) = self.concurrency {
            checks.within(&table.key("concurrency"), concurrency, CONCURRENCY, |n| n);
        }
        let secrets = self.secret.map_or_else(Vec::new, |secret| keys(checks, &table.key("secret"), secret));
        Some(ReceiverSettings {
            url: checks.url(&table.key("url"), &self.url)?,
            format: self.format.unwrap_or(defaults.format),
            secrets,
            allow_private: self.allow_private.unwrap_or(defaults.allow_private),
            timeout: self.timeout.unwrap_or(defaults.timeout),
            concurrency: self.concurrency.unwrap_or(defaults.concurrency),
        })
    }
}

fn keys(checks: &mut Checks<'_>, path: &SettingPath, secrets: Secrets) -> Vec<SigningKey> {
    let mut key = |path: &SettingPath, secret: &Secret| {
        let resolved = secret.resolve(checks.environment());
        resolved.map_err(|message| checks.problem(path, message)).ok()
    };
    match secrets {
        Secrets::One(secret) => key(path, &secret).into_iter().collect(),
        Secrets::List(secrets) if (1..=SECRETS_MAX).contains(&secrets.len()) => {
            secrets.iter().enumerate().filter_map(|(index, secret)| key(&path.index(index), secret)).collect()
        }
        Secrets::List(secrets) => {
            checks.problem(path, format!("holds {} secrets, but must hold one or two", secrets.len()));
            Vec::new()
        }
    }
}
