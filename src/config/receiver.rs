//! Receivers: the places to which notifications go.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use super::checks::Checks;
use super::duration;
use super::path::SettingPath;
use super::secret::{Secret, Secrets};
use crate::notifier::{Receiver, SigningKey};

const CONCURRENCY: RangeInclusive<usize> = 1..=1_024;
/// The old one and the new one.
const SECRETS_MAX: usize = 2;

/// The form of the notifications to a receiver.
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
    ) -> Option<Receiver> {
        let table = SettingPath::dotted("receivers").key(name);
        checks.name(&table, name);
        if let Some(timeout) = self.timeout {
            checks.more_than_zero(&table.key("timeout"), timeout);
        }
        if let Some(concurrency) = self.concurrency {
            checks.within(&table.key("concurrency"), concurrency, CONCURRENCY, |n| n);
        }
        let signing_keys =
            self.secret.map_or_else(Vec::new, |secret| keys(checks, &table.key("secret"), secret));
        // While it is the only one the notifier need not know of it: a second one makes this a compile error.
        let ReceiverFormat::Standard = self.format.unwrap_or(defaults.format);
        Some(Receiver {
            name: name.into(),
            url: checks.url(&table.key("url"), &self.url)?,
            signing_keys,
            allow_private: self.allow_private.unwrap_or(defaults.allow_private),
            timeout: self.timeout.unwrap_or(defaults.timeout),
            concurrency: self.concurrency.unwrap_or(defaults.concurrency),
            rate: None,
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
