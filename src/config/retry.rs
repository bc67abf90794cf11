//! `retry`: the retry policy of workflows.

use serde::Deserialize;
use warden_api::step::Limit;

use super::checks::Checks;
use super::path::SettingPath;
use crate::model::{Backoff, RetryPolicy};

/// The bounds of `retry.max`.
const MAX: std::ops::RangeInclusive<u32> = 0..=1_000;

/// `retry` of `[workflow_defaults]` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenRetryDefaults {
    max: Limit,
    backoff: String,
    jitter: f64,
}

/// `retry` of a workflow as written; the rest comes from the defaults.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenRetry {
    max: Option<Limit>,
    backoff: Option<String>,
    jitter: Option<f64>,
}

impl WrittenRetryDefaults {
    pub(super) fn resolve(&self, checks: &mut Checks<'_>, path: &SettingPath) -> RetryPolicy {
        // After a problem there is no configuration, so that this is never used.
        let unused = Backoff { first: std::time::Duration::ZERO, longest: std::time::Duration::ZERO };
        check(checks, path, self.max, self.jitter);
        let backoff = backoff(checks, path, &self.backoff).unwrap_or(unused);
        RetryPolicy { max: self.max.0.unwrap_or(u32::MAX), backoff, jitter: self.jitter }
    }
}

impl WrittenRetry {
    /// Checks the table and fills in the defaults.
    pub(super) fn resolve(
        &self,
        checks: &mut Checks<'_>,
        path: &SettingPath,
        base: RetryPolicy,
    ) -> RetryPolicy {
        let jitter = self.jitter.unwrap_or(base.jitter);
        check(checks, path, self.max.unwrap_or(Limit(None)), jitter);
        let max = self.max.map_or(base.max, |max| max.0.unwrap_or(u32::MAX));
        let own = self.backoff.as_deref().and_then(|text| backoff(checks, path, text));
        RetryPolicy { max, backoff: own.unwrap_or(base.backoff), jitter }
    }
}

fn check(checks: &mut Checks<'_>, path: &SettingPath, max: Limit, jitter: f64) {
    if let Some(max) = max.0 {
        checks.within(&path.key("max"), max, MAX, |n| n);
    }
    checks.within(&path.key("jitter"), jitter, 0.0..=1.0, |n| n);
}

fn backoff(checks: &mut Checks<'_>, path: &SettingPath, text: &str) -> Option<Backoff> {
    text.parse()
        .map_err(|error: crate::model::BackoffError| checks.problem(&path.key("backoff"), error.to_string()))
        .ok()
}
