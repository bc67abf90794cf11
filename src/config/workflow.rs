//! The policy of a workflow: what its own table says, and what it takes over from `[workflow_defaults]` and `[alerting]`.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::checks::Checks;
use super::duration;
use super::path::SettingPath;

/// How the items of one workflow are kept and who is told about them, with everything it inherits filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkflowSettings {
    /// How long an item may stay open when neither its request nor its step says so. More than zero.
    pub deadline: Duration,
    /// How long the record of a closed item is kept.
    pub retention: Duration,
    /// The most records of closed items.
    pub retention_max: u64,
    /// How long the payload of a closed item is kept; at most `retention`.
    pub keep_payload: Duration,
    /// The steps in their order; no two of one name. Often none.
    pub steps: Vec<StepSettings>,
    /// The names of the receivers to notify; all of them are defined, none is there twice.
    pub receivers: Vec<String>,
    /// How long a new incident gathers items before the first notification.
    pub group_wait: Duration,
    /// The least time between notifications of growth. More than zero.
    pub group_interval: Duration,
    /// How often people are reminded. More than zero.
    pub repeat_interval: Duration,
    /// An incident has grown when it counts this many times the items last told. Finite, more than 1.
    pub grow_factor: f64,
    /// What notifications carry as severity.
    pub severity: String,
    /// Where people read what to do; an absolute `http` or `https` URL.
    pub runbook_url: Option<String>,
}

/// A named stage of a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepSettings {
    /// Unique in its workflow.
    pub name: String,
    /// How long an item may stay in this step, if that is limited. More than zero.
    pub deadline: Option<Duration>,
}

/// `[alerting]` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenAlerting {
    #[serde(deserialize_with = "duration::required")]
    group_wait: Duration,
    #[serde(deserialize_with = "duration::required")]
    group_interval: Duration,
    #[serde(deserialize_with = "duration::required")]
    repeat_interval: Duration,
    grow_factor: f64,
    receivers: Vec<String>,
    severity: String,
    #[serde(deserialize_with = "duration::required")]
    pub history: Duration,
}

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
    pub steps: Option<Vec<StepSettings>>,
    pub receivers: Option<Vec<String>>,
    #[serde(deserialize_with = "duration::optional")]
    pub group_wait: Option<Duration>,
    #[serde(deserialize_with = "duration::optional")]
    pub group_interval: Option<Duration>,
    #[serde(deserialize_with = "duration::optional")]
    pub repeat_interval: Option<Duration>,
    pub grow_factor: Option<f64>,
    pub severity: Option<String>,
    pub runbook_url: Option<String>,
}

impl WorkflowSettings {
    /// The policy of a workflow that has no table of its own.
    pub(super) fn from_defaults(defaults: &WrittenWorkflowDefaults, alerting: &WrittenAlerting) -> Self {
        Self {
            deadline: defaults.deadline,
            retention: defaults.retention,
            retention_max: defaults.retention_max,
            keep_payload: defaults.keep_payload,
            steps: Vec::new(),
            receivers: alerting.receivers.clone(),
            group_wait: alerting.group_wait,
            group_interval: alerting.group_interval,
            repeat_interval: alerting.repeat_interval,
            grow_factor: alerting.grow_factor,
            severity: alerting.severity.clone(),
            runbook_url: None,
        }
    }

    /// The policy of a workflow whose own table says `written`, on top of this one.
    pub(super) fn overridden(&self, written: WrittenWorkflow) -> Self {
        let base = self.clone();
        Self {
            deadline: written.deadline.unwrap_or(base.deadline),
            retention: written.retention.unwrap_or(base.retention),
            retention_max: written.retention_max.unwrap_or(base.retention_max),
            keep_payload: written.keep_payload.unwrap_or(base.keep_payload),
            steps: written.steps.unwrap_or(base.steps),
            receivers: written.receivers.unwrap_or(base.receivers),
            group_wait: written.group_wait.unwrap_or(base.group_wait),
            group_interval: written.group_interval.unwrap_or(base.group_interval),
            repeat_interval: written.repeat_interval.unwrap_or(base.repeat_interval),
            grow_factor: written.grow_factor.unwrap_or(base.grow_factor),
            severity: written.severity.unwrap_or(base.severity),
            runbook_url: written.runbook_url.or(base.runbook_url),
        }
    }
}

impl WrittenAlerting {
    pub(super) fn check(&self, checks: &mut Checks<'_>, receivers: &BTreeSet<String>) {
        let at = |key| SettingPath::dotted("alerting").key(key);
        checks.more_than_zero(&at("group_interval"), self.group_interval);
        checks.more_than_zero(&at("repeat_interval"), self.repeat_interval);
        check_grow_factor(checks, &at("grow_factor"), self.grow_factor);
        checks.name(&at("severity"), &self.severity);
        check_receivers(checks, &at("receivers"), &self.receivers, receivers);
    }
}

impl WrittenWorkflowDefaults {
    pub(super) fn check(&self, checks: &mut Checks<'_>) {
        let at = |key| SettingPath::dotted("workflow_defaults").key(key);
        checks.more_than_zero(&at("deadline"), self.deadline);
        check_keep_payload(checks, &at("keep_payload"), self.keep_payload, self.retention);
    }
}

impl WrittenWorkflow {
    /// Checks what this table says; what it inherits was checked where it is written. `defaults` is what it inherits.
    pub(super) fn check(
        &self,
        checks: &mut Checks<'_>,
        name: &str,
        defaults: &WorkflowSettings,
        receivers: &BTreeSet<String>,
    ) {
        let table = SettingPath::dotted("workflows").key(name);
        let at = |key| table.key(key);
        checks.name(&table, name);
        let positive = [
            ("deadline", self.deadline),
            ("group_interval", self.group_interval),
            ("repeat_interval", self.repeat_interval),
        ];
        for (key, duration) in positive {
            if let Some(duration) = duration {
                checks.more_than_zero(&at(key), duration);
            }
        }
        if self.keep_payload.is_some() || self.retention.is_some() {
            let key = if self.keep_payload.is_some() { "keep_payload" } else { "retention" };
            let keep_payload = self.keep_payload.unwrap_or(defaults.keep_payload);
            let retention = self.retention.unwrap_or(defaults.retention);
            check_keep_payload(checks, &at(key), keep_payload, retention);
        }
        if let Some(factor) = self.grow_factor {
            check_grow_factor(checks, &at("grow_factor"), factor);
        }
        if let Some(severity) = &self.severity {
            checks.name(&at("severity"), severity);
        }
        if let Some(url) = &self.runbook_url {
            checks.url(&at("runbook_url"), url);
        }
        if let Some(named) = &self.receivers {
            check_receivers(checks, &at("receivers"), named, receivers);
        }
        check_steps(checks, &at("steps"), self.steps.as_deref().unwrap_or_default());
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
            format!("payloads would be kept for {keep_payload}, longer than the records they belong to ({retention})"),
        );
    }
}

fn check_grow_factor(checks: &mut Checks<'_>, path: &SettingPath, factor: f64) {
    if !(factor.is_finite() && factor > 1.0) {
        checks.problem(path, format!("is {factor}, but must be more than 1"));
    }
}

fn check_receivers(
    checks: &mut Checks<'_>,
    path: &SettingPath,
    named: &[String],
    defined: &BTreeSet<String>,
) {
    for (index, name) in named.iter().enumerate() {
        if named[..index].contains(name) {
            checks.problem(&path.index(index), format!("names the receiver {name:?} a second time"));
        } else if defined.is_empty() {
            checks.problem(&path.index(index), format!("there is no receiver {name:?}; none is defined"));
        } else if !defined.contains(name) {
            let defined = defined.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            checks.problem(
                &path.index(index),
                format!("there is no receiver {name:?}; defined are: {defined}"),
            );
        }
    }
}

fn check_steps(checks: &mut Checks<'_>, path: &SettingPath, steps: &[StepSettings]) {
    for (index, step) in steps.iter().enumerate() {
        let path = path.index(index);
        checks.name(&path, &step.name);
        if steps[..index].iter().any(|earlier| earlier.name == step.name) {
            checks.problem(&path, format!("names the step {:?} a second time", step.name));
        }
        if let Some(deadline) = step.deadline {
            checks.more_than_zero(&path.key("deadline"), deadline);
        }
    }
}

impl<'de> Deserialize<'de> for StepSettings {
    /// A step is written as its name alone or as a table. By hand, because an untagged enumeration would say no more
    /// about an error than that nothing matched.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            name: String,
            #[serde(default, deserialize_with = "duration::optional")]
            deadline: Option<Duration>,
        }

        struct Step;

        impl<'de> Visitor<'de> for Step {
            type Value = StepSettings;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter
                    .write_str(r#"the name of a step, or a table such as { name = "copy", deadline = "5m" }"#)
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<StepSettings, E> {
                Ok(StepSettings { name: name.to_owned(), deadline: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StepSettings, A::Error> {
                let Table { name, deadline } = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(StepSettings { name, deadline })
            }
        }

        deserializer.deserialize_any(Step)
    }
}
