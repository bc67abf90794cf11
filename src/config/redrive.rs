//! `redrive`: where a workflow's overdue items are sent automatically.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::checks::{self, Checks};
use super::duration;
use super::path::SettingPath;
use super::receiver::keys;
use super::secret::{Secret, Secrets};
use crate::model::Redrive;
use crate::outbound::Rate;
use crate::warden::RedriveTarget;

const MAX_ATTEMPTS: std::ops::RangeInclusive<u32> = 1..=1_000;

/// `redrive` of `[workflow_defaults]` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenRedriveDefaults {
    #[serde(deserialize_with = "duration::required")]
    after: Duration,
    max_attempts: u32,
    rate: String,
}

/// `redrive` of a workflow as written; the rest comes from the defaults.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenRedrive {
    url: Secret,
    #[serde(default, deserialize_with = "duration::optional")]
    after: Option<Duration>,
    max_attempts: Option<u32>,
    rate: Option<String>,
    secret: Option<Secrets>,
}

/// Inherited by all workflows.
#[derive(Clone, Copy, Debug)]
pub struct RedriveDefaults {
    after: Duration,
    max_attempts: u32,
    /// `None` if it is invalid, which was reported.
    rate: Option<Rate>,
}

impl WrittenRedriveDefaults {
    pub(super) fn resolve(&self, checks: &mut Checks<'_>) -> RedriveDefaults {
        let path = SettingPath::dotted("workflow_defaults.redrive");
        check(checks, &path, self.after, self.max_attempts);
        let rate = rate(checks, &path, &self.rate);
        RedriveDefaults { after: self.after, max_attempts: self.max_attempts, rate }
    }
}

impl WrittenRedrive {
    /// Checks the table and fills in the defaults; `None` if something in it is invalid.
    pub(super) fn resolve(
        &self,
        checks: &mut Checks<'_>,
        path: &SettingPath,
        defaults: RedriveDefaults,
    ) -> Option<(Redrive, RedriveTarget)> {
        let after = self.after.unwrap_or(defaults.after);
        let max_attempts = self.max_attempts.unwrap_or(defaults.max_attempts);
        check(checks, path, after, max_attempts);
        let url = checks.secret_url(&path.key("url"), &self.url, checks::web_url);
        let rate = match &self.rate {
            Some(text) => rate(checks, path, text),
            None => defaults.rate,
        };
        let at_secret = path.key("secret");
        let keys = self.secret.as_ref().map_or_else(Vec::new, |secrets| keys(checks, &at_secret, secrets));
        let (url, rate) = (url?.into(), rate?);
        let target = RedriveTarget { url, keys, rate };
        let to: Arc<str> = target.url.origin().into();
        Some((Redrive { to, after, max_attempts }, target))
    }
}

fn check(checks: &mut Checks<'_>, path: &SettingPath, after: Duration, max_attempts: u32) {
    checks.more_than_zero(&path.key("after"), after);
    checks.within(&path.key("max_attempts"), max_attempts, MAX_ATTEMPTS, |n| n);
}

fn rate(checks: &mut Checks<'_>, path: &SettingPath, text: &str) -> Option<Rate> {
    text.parse().map_err(|error| checks.problem(&path.key("rate"), format!("{text:?} {error}"))).ok()
}
