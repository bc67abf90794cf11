//! The policy of a workflow: its own table over `[workflow_defaults]` and `[alerting]`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};
use warden_api::step::Limit;

use super::alerting::{self, WrittenAlerting, WrittenEscalation};
use super::checks::Checks;
use super::duration;
use super::expectation::WrittenExpectation;
use super::path::SettingPath;
use super::redrive::{RedriveDefaults, WrittenRedrive, WrittenRedriveDefaults};
use super::retry::{WrittenRetry, WrittenRetryDefaults};
use super::run::{WrittenJob, WrittenRequirement, WrittenRuns};
use crate::model::run::Single;
use crate::model::step::OnIgnorable;
use crate::model::{
    AlertPolicy, Flapping, Listeners, Policy, RetryPolicy, RunPolicy, Severity, Step, StepName, WorkflowName,
};
use crate::warden::RedriveTarget;

/// `[workflow_defaults]` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenWorkflowDefaults {
    #[serde(deserialize_with = "duration::required")]
    deadline: Duration,
    #[serde(deserialize_with = "duration::required")]
    retention: Duration,
    retention_max: u64,
    #[serde(deserialize_with = "duration::required")]
    keep_payload: Duration,
    retry: WrittenRetryDefaults,
    max_losses: Limit,
    #[serde(deserialize_with = "duration::required")]
    runs_retention: Duration,
    runs_max: u64,
    pub redrive: WrittenRedriveDefaults,
    pub create_on_first_use: bool,
}

/// `[workflows.NAME]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WrittenWorkflow {
    #[serde(deserialize_with = "duration::optional")]
    pub deadline: Option<Duration>,
    #[serde(deserialize_with = "duration::optional")]
    pub retention: Option<Duration>,
    pub retention_max: Option<u64>,
    #[serde(deserialize_with = "duration::optional")]
    pub keep_payload: Option<Duration>,
    pub steps: Option<Vec<WrittenStep>>,
    pub retry: Option<WrittenRetry>,
    pub max_losses: Option<Limit>,
    pub redrive: Option<WrittenRedrive>,
    pub expect: Option<WrittenExpectation>,
    pub params: Option<Map<String, Value>>,
    pub jobs: Option<BTreeMap<String, WrittenJob>>,
    pub single: Option<Single>,
    pub requires: Option<Vec<WrittenRequirement>>,
    pub hold_after: Option<u32>,
    #[serde(deserialize_with = "duration::optional")]
    pub runs_retention: Option<Duration>,
    pub runs_max: Option<u64>,
    pub receivers: Option<Vec<Arc<str>>>,
    pub escalate: Option<Vec<WrittenEscalation>>,
    pub fallback: Option<Vec<Arc<str>>>,
    pub group_by: Option<Vec<Arc<str>>>,
    #[serde(deserialize_with = "duration::optional")]
    pub group_wait: Option<Duration>,
    #[serde(deserialize_with = "duration::optional")]
    pub group_interval: Option<Duration>,
    #[serde(deserialize_with = "duration::optional")]
    pub repeat_interval: Option<Duration>,
    pub flapping_after: Option<usize>,
    #[serde(deserialize_with = "duration::optional")]
    pub flapping_window: Option<Duration>,
    #[serde(deserialize_with = "duration::optional")]
    pub damping: Option<Duration>,
    pub grow_factor: Option<f64>,
    pub severity: Option<Severity>,
    pub runbook_url: Option<Arc<str>>,
}

/// A step as written: its name alone, or a table.
#[derive(Debug)]
pub struct WrittenStep {
    name: String,
    deadline: Option<Duration>,
    retry: Option<WrittenRetry>,
    max_losses: Option<Limit>,
    on_ignorable: OnIgnorable,
}

/// The policy of a workflow without a table.
pub(super) fn default_policy(
    checks: &mut Checks<'_>,
    defaults: &WrittenWorkflowDefaults,
    alerting: &WrittenAlerting,
) -> Policy {
    Policy {
        deadline: defaults.deadline,
        limits_steps: false,
        retention: defaults.retention,
        retention_max: defaults.retention_max,
        keep_payload: defaults.keep_payload,
        steps: Vec::new(),
        retry: defaults.retry.resolve(checks, &SettingPath::dotted("workflow_defaults.retry")),
        losses_max: defaults.max_losses.0,
        redrive: None,
        expect: None,
        runs: Arc::new(RunPolicy {
            retention: defaults.runs_retention,
            retention_max: defaults.runs_max,
            ..RunPolicy::default()
        }),
        alerting: alerting.policy(),
        events: Listeners::default(),
    }
}

impl WrittenWorkflowDefaults {
    pub(super) fn check(&self, checks: &mut Checks<'_>) {
        let at = |key| SettingPath::dotted("workflow_defaults").key(key);
        checks.more_than_zero(&at("deadline"), self.deadline);
        checks.more_than_zero(&at("runs_retention"), self.runs_retention);
        check_keep_payload(checks, &at("keep_payload"), self.keep_payload, self.retention);
    }
}

impl WrittenWorkflow {
    /// Checks the table and fills in the rest from `base`, which is already checked; `None` if the name is
    /// invalid.
    pub(super) fn resolve(
        self,
        checks: &mut Checks<'_>,
        name: &str,
        base: &Policy,
        redrive: RedriveDefaults,
        receivers: &BTreeSet<String>,
    ) -> Option<(WorkflowName, Policy, Option<RedriveTarget>)> {
        let table = SettingPath::dotted("workflows").key(name);
        let own_name = name;
        let name = WorkflowName::new(name).map_err(|error| checks.problem(&table, error.to_string())).ok();
        self.check(checks, &table, base, receivers);
        let retry =
            self.retry.map_or(base.retry, |retry| retry.resolve(checks, &table.key("retry"), base.retry));
        let steps = self.steps.map(|steps| resolve_steps(checks, &table.key("steps"), steps, retry));
        let redrive =
            self.redrive.and_then(|written| written.resolve(checks, &table.key("redrive"), redrive)).unzip();
        let expect = self.expect.and_then(|expect| expect.resolve(checks, &table.key("expect")));
        let written = WrittenRuns {
            params: self.params,
            jobs: self.jobs,
            single: self.single,
            requires: self.requires,
            hold_after: self.hold_after,
            runs_retention: self.runs_retention,
            runs_max: self.runs_max,
        };
        let runs = written.resolve(checks, &table, own_name, &base.runs);
        let alerting = base.alerting.clone();
        let policy = Policy {
            deadline: self.deadline.unwrap_or(base.deadline),
            limits_steps: self.deadline.is_some(),
            retention: self.retention.unwrap_or(base.retention),
            retention_max: self.retention_max.unwrap_or(base.retention_max),
            keep_payload: self.keep_payload.unwrap_or(base.keep_payload),
            steps: steps.unwrap_or_else(|| base.steps.clone()),
            retry,
            losses_max: self.max_losses.map_or(base.losses_max, |most| most.0),
            redrive: redrive.0,
            expect,
            runs: Arc::new(runs),
            alerting: AlertPolicy {
                group_wait: self.group_wait.unwrap_or(alerting.group_wait),
                group_interval: self.group_interval.unwrap_or(alerting.group_interval),
                repeat_interval: self.repeat_interval.unwrap_or(alerting.repeat_interval),
                flapping: Flapping {
                    after: self.flapping_after.unwrap_or(alerting.flapping.after),
                    window: self.flapping_window.unwrap_or(alerting.flapping.window),
                    damping: self.damping.unwrap_or(alerting.flapping.damping),
                },
                grow_factor: self.grow_factor.unwrap_or(alerting.grow_factor),
                receivers: self.receivers.unwrap_or(alerting.receivers),
                escalate: self.escalate.map_or(alerting.escalate, alerting::levels),
                fallback: self.fallback.unwrap_or(alerting.fallback),
                group_by: self.group_by.unwrap_or(alerting.group_by),
                severity: self.severity.unwrap_or(alerting.severity),
                runbook_url: self.runbook_url.or(alerting.runbook_url),
            },
            events: Listeners::default(),
        };
        name.map(|name| (name, policy, redrive.1))
    }

    fn check(
        &self,
        checks: &mut Checks<'_>,
        table: &SettingPath,
        base: &Policy,
        receivers: &BTreeSet<String>,
    ) {
        let at = |key| table.key(key);
        let positive = [
            ("deadline", self.deadline),
            ("group_interval", self.group_interval),
            ("repeat_interval", self.repeat_interval),
            ("flapping_window", self.flapping_window),
        ];
        for (key, duration) in positive {
            if let Some(duration) = duration {
                checks.more_than_zero(&at(key), duration);
            }
        }
        if self.keep_payload.is_some() || self.retention.is_some() {
            let key = if self.keep_payload.is_some() { "keep_payload" } else { "retention" };
            let keep_payload = self.keep_payload.unwrap_or(base.keep_payload);
            let retention = self.retention.unwrap_or(base.retention);
            check_keep_payload(checks, &at(key), keep_payload, retention);
        }
        if let Some(after) = self.flapping_after {
            alerting::check_flapping_after(checks, &at("flapping_after"), after);
        }
        if let Some(factor) = self.grow_factor {
            alerting::check_grow_factor(checks, &at("grow_factor"), factor);
        }
        if let Some(url) = &self.runbook_url {
            checks.url(&at("runbook_url"), url);
        }
        if let Some(named) = &self.receivers {
            alerting::check_receivers(checks, &at("receivers"), named, receivers);
        }
        if let Some(levels) = &self.escalate {
            let told = self.receivers.as_ref().unwrap_or(&base.alerting.receivers);
            alerting::check_escalation(checks, &at("escalate"), levels, told, receivers);
        }
        if let Some(named) = &self.fallback {
            alerting::check_receivers(checks, &at("fallback"), named, receivers);
        }
        if let Some(labels) = &self.group_by {
            alerting::check_group_by(checks, &at("group_by"), labels);
        }
    }
}

fn check_keep_payload(
    checks: &mut Checks<'_>,
    path: &SettingPath,
    keep_payload: Duration,
    retention: Duration,
) {
    if keep_payload > retention {
        let keep_payload = humantime::format_duration(keep_payload);
        let retention = humantime::format_duration(retention);
        checks.problem(
            path,
            format!(
                "payloads would be kept for {keep_payload}, longer than the records they belong to \
                     ({retention})"
            ),
        );
    }
}

/// Invalid steps are reported and omitted.
fn resolve_steps(
    checks: &mut Checks<'_>,
    path: &SettingPath,
    written: Vec<WrittenStep>,
    base: RetryPolicy,
) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::with_capacity(written.len());
    for (index, written) in written.into_iter().enumerate() {
        let WrittenStep { name, deadline, retry, max_losses, on_ignorable } = written;
        let path = path.index(index);
        let retry = retry.map(|retry| retry.resolve(checks, &path.key("retry"), base).into());
        let retry = retry.unwrap_or_default();
        let losses_max = max_losses.map(|most| most.0.unwrap_or(u32::MAX));
        if let Some(deadline) = deadline {
            checks.more_than_zero(&path.key("deadline"), deadline);
        }
        match StepName::new(name) {
            Err(error) => checks.problem(&path, error.to_string()),
            Ok(name) if steps.iter().any(|earlier| earlier.name == name) => {
                checks.problem(&path, format!("names the step {name:?} a second time"));
            }
            Ok(name) => steps.push(Step { name, deadline, retry, losses_max, on_ignorable }),
        }
    }
    steps
}

impl<'de> Deserialize<'de> for WrittenStep {
    /// Implemented by hand, because the error of an untagged enumeration says only that nothing matched.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            name: String,
            #[serde(default, deserialize_with = "duration::optional")]
            deadline: Option<Duration>,
            #[serde(default)]
            retry: Option<WrittenRetry>,
            #[serde(default)]
            max_losses: Option<Limit>,
            #[serde(default)]
            on_ignorable: OnIgnorable,
        }

        struct Step;

        impl<'de> Visitor<'de> for Step {
            type Value = WrittenStep;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter
                    .write_str(r#"the name of a step, or a table such as { name = "copy", deadline = "5m" }"#)
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<WrittenStep, E> {
                Ok(WrittenStep {
                    name: name.to_owned(),
                    deadline: None,
                    retry: None,
                    max_losses: None,
                    on_ignorable: OnIgnorable::default(),
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WrittenStep, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                let Table { name, deadline, retry, max_losses, on_ignorable } = table;
                Ok(WrittenStep { name, deadline, retry, max_losses, on_ignorable })
            }
        }

        deserializer.deserialize_any(Step)
    }
}
