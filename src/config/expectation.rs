//! `expect`: the schedule of a workflow.

use std::time::Duration;

use serde::Deserialize;

use super::checks::Checks;
use super::duration;
use super::path::SettingPath;
use crate::model::{CronError, CronSchedule, Expectation, Schedule};

/// The shortest interval: a missed start is not detected more precisely.
const EVERY_MIN: Duration = Duration::from_secs(1);
const DEFAULT_ZONE: &str = "UTC";

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WrittenExpectation {
    pub cron: Option<String>,
    pub timezone: Option<String>,
    #[serde(deserialize_with = "duration::optional")]
    pub every: Option<Duration>,
    #[serde(deserialize_with = "duration::optional")]
    pub grace: Option<Duration>,
    pub min_items: Option<u64>,
    /// With `cron`: whether a run has to end in success, rather than an item be created.
    pub success: Option<bool>,
    /// Like `every`, for runs that end in success.
    #[serde(deserialize_with = "duration::optional")]
    pub success_every: Option<Duration>,
}

impl WrittenExpectation {
    /// `None` after a problem that leaves no usable schedule.
    pub(super) fn resolve(self, checks: &mut Checks<'_>, path: &SettingPath) -> Option<Expectation> {
        let min_items = self.min_items.unwrap_or(1);
        if min_items == 0 {
            checks.problem(&path.key("min_items"), "must be more than zero");
        }
        if self.cron.is_none() && self.timezone.is_some() {
            checks.problem(&path.key("timezone"), "has an effect only together with `cron`");
        }
        let of_success = self.success == Some(true) || self.success_every.is_some();
        if of_success && self.min_items.is_some() {
            checks
                .problem(&path.key("min_items"), "has no effect on runs that have to succeed: one is enough");
        }
        if self.success.is_some() && self.cron.is_none() {
            checks.problem(&path.key("success"), "is for `cron`; use `success_every` for an interval");
        }
        if self.every.is_some() && self.success_every.is_some() {
            checks.problem(path, "takes either `every` or `success_every`, not both");
            return None;
        }
        let schedule = match (&self.cron, self.every.or(self.success_every)) {
            (Some(cron), None) => {
                self.check_grace_of_cron(checks, path);
                schedule(checks, path, cron, self.timezone.as_deref().unwrap_or(DEFAULT_ZONE))?
            }
            (None, Some(every)) => {
                if every < EVERY_MIN {
                    let key = if self.every.is_some() { "every" } else { "success_every" };
                    checks.problem(&path.key(key), "must be at least 1s");
                }
                Schedule::Every(every)
            }
            (Some(_), Some(_)) => {
                checks.problem(path, "takes either `cron` or an interval, not both");
                return None;
            }
            (None, None) => {
                checks.problem(path, "needs `cron`, `every` or `success_every`: when items are expected");
                return None;
            }
        };
        Some(Expectation { schedule, grace: self.grace.unwrap_or_default(), min_items, of_success })
    }

    /// Without a grace period nothing could be created in time.
    fn check_grace_of_cron(&self, checks: &mut Checks<'_>, path: &SettingPath) {
        match self.grace {
            None => {
                checks.problem(path, "needs a `grace`: how long after each occurrence items may be created")
            }
            Some(grace) => checks.more_than_zero(&path.key("grace"), grace),
        }
    }
}

fn schedule(checks: &mut Checks<'_>, path: &SettingPath, cron: &str, zone: &str) -> Option<Schedule> {
    let schedule = CronSchedule::parse(cron, zone);
    schedule
        .map(Schedule::Cron)
        .map_err(|error| checks.problem(&path.key(key_of(&error)), error.to_string()))
        .ok()
}

fn key_of(error: &CronError) -> &'static str {
    match error {
        CronError::Pattern(..) | CronError::Never(_) => "cron",
        CronError::Zone(_) => "timezone",
    }
}
