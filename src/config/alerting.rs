//! `[alerting]`, and the alerting settings of a workflow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::checks::Checks;
use super::duration;
use super::path::SettingPath;
use crate::model::incident::REOPENINGS_KEPT;
use crate::model::item::{LABEL_NAME_MAX, is_label_name};
use crate::model::{AlertPolicy, Escalation, Flapping, Listeners, Severity};
use crate::notifier::Receiver;
use crate::store::DELIVERIES_MAX;

/// The most receivers of an incident in all. Its record holds their names, and its size is bounded.
const TOLD_MAX: usize = 64;
/// The most escalation levels.
const LEVELS_MAX: usize = 10;
/// The most labels in `group_by`.
const GROUP_BY_MAX: usize = 5;

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
    flapping_after: usize,
    #[serde(deserialize_with = "duration::required")]
    flapping_window: Duration,
    #[serde(deserialize_with = "duration::required")]
    damping: Duration,
    grow_factor: f64,
    receivers: Vec<Arc<str>>,
    escalate: Vec<WrittenEscalation>,
    fallback: Vec<Arc<str>>,
    group_by: Vec<Arc<str>>,
    severity: Severity,
    #[serde(deserialize_with = "duration::required")]
    pub history: Duration,
}

/// An escalation level as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenEscalation {
    #[serde(deserialize_with = "duration::required")]
    after: Duration,
    receivers: Vec<Arc<str>>,
}

impl WrittenAlerting {
    pub(super) fn check(&self, checks: &mut Checks<'_>, receivers: &BTreeSet<String>) {
        let at = |key| SettingPath::dotted("alerting").key(key);
        checks.more_than_zero(&at("group_interval"), self.group_interval);
        checks.more_than_zero(&at("repeat_interval"), self.repeat_interval);
        check_flapping_after(checks, &at("flapping_after"), self.flapping_after);
        checks.more_than_zero(&at("flapping_window"), self.flapping_window);
        check_grow_factor(checks, &at("grow_factor"), self.grow_factor);
        check_receivers(checks, &at("receivers"), &self.receivers, receivers);
        check_escalation(checks, &at("escalate"), &self.escalate, &self.receivers, receivers);
        check_receivers(checks, &at("fallback"), &self.fallback, receivers);
        check_group_by(checks, &at("group_by"), &self.group_by);
    }

    /// The policy of a workflow that overrides nothing.
    pub(super) fn policy(&self) -> AlertPolicy {
        AlertPolicy {
            group_wait: self.group_wait,
            group_interval: self.group_interval,
            repeat_interval: self.repeat_interval,
            flapping: Flapping {
                after: self.flapping_after,
                window: self.flapping_window,
                damping: self.damping,
            },
            grow_factor: self.grow_factor,
            receivers: self.receivers.clone(),
            escalate: levels(self.escalate.clone()),
            fallback: self.fallback.clone(),
            group_by: self.group_by.clone(),
            severity: self.severity,
            runbook_url: None,
        }
    }
}

pub(super) fn levels(written: Vec<WrittenEscalation>) -> Vec<Escalation> {
    let level = |level: WrittenEscalation| Escalation { after: level.after, receivers: level.receivers };
    written.into_iter().map(level).collect()
}

/// The receivers of a policy that ask for events of items, each with what it asks for.
pub(super) fn listeners(policy: &AlertPolicy, receivers: &[Receiver]) -> Listeners {
    let events = |name: &Arc<str>| {
        let receiver = receivers.iter().find(|receiver| receiver.name == *name)?;
        Some((name.clone(), receiver.events))
    };
    policy.receivers.iter().filter_map(events).collect()
}

/// Checks that those who are notified later take incidents.
pub(super) fn check_take_incidents(
    checks: &mut Checks<'_>,
    table: &SettingPath,
    policy: &AlertPolicy,
    receivers: &[Receiver],
) {
    let levels = policy
        .escalate
        .iter()
        .enumerate()
        .map(|(index, level)| (table.key("escalate").index(index).key("receivers"), &level.receivers));
    let mut lists: Vec<(SettingPath, &Vec<Arc<str>>)> = levels.collect();
    lists.push((table.key("fallback"), &policy.fallback));
    for (path, names) in lists {
        for (index, name) in names.iter().enumerate() {
            let takes_none = |receiver: &Receiver| receiver.name == *name && receiver.min_severity.is_none();
            if receivers.iter().any(takes_none) {
                let message = format!("the receiver {name:?} takes no incidents, only events of items");
                checks.problem(&path.index(index), message);
            }
        }
    }
}

/// Removes the receivers that take no incidents of this policy's severity, and escalation levels without
/// receivers. `least` is the `min_severity` of each receiver, `None` if it takes no incidents.
pub(super) fn spare(
    checks: &mut Checks<'_>,
    table: &SettingPath,
    policy: &mut AlertPolicy,
    least: &BTreeMap<Arc<str>, Option<Severity>>,
) {
    let severity = policy.severity;
    let hears =
        |name: &Arc<str>| least.get(name).is_none_or(|least| least.is_some_and(|least| least <= severity));
    let named_nobody = policy.receivers.is_empty();
    policy.receivers.retain(hears);
    policy.fallback.retain(hears);
    for level in &mut policy.escalate {
        level.receivers.retain(hears);
    }
    policy.escalate.retain(|level| !level.receivers.is_empty());
    let levels = policy.escalate.iter().flat_map(|level| &level.receivers);
    let told: BTreeSet<&Arc<str>> = policy.receivers.iter().chain(&policy.fallback).chain(levels).collect();
    if told.len() > TOLD_MAX {
        let message = format!(
            "names {} receivers together with `escalate` and `fallback`, but an incident has at most \
             {TOLD_MAX}",
            told.len()
        );
        checks.problem(&table.key("receivers"), message);
    }
    if !named_nobody && policy.receivers.is_empty() && !policy.escalate.is_empty() {
        let message = format!(
            "there is nothing to escalate: no receiver in `receivers` accepts incidents of severity {:?}",
            severity.as_str()
        );
        checks.problem(&table.key("escalate"), message);
    }
}

/// A factor of 1 would be no growth.
pub(super) fn check_grow_factor(checks: &mut Checks<'_>, path: &SettingPath, factor: f64) {
    if !(factor.is_finite() && factor > 1.0) {
        checks.problem(path, format!("is {factor}, but must be more than 1"));
    }
}

/// An incident does not remember more reopenings than this.
pub(super) fn check_flapping_after(checks: &mut Checks<'_>, path: &SettingPath, after: usize) {
    if after > REOPENINGS_KEPT {
        checks.problem(path, format!("is {after}, but must be at most {REOPENINGS_KEPT}; 0 is never"));
    }
}

/// Checks that the receivers are defined and unique.
pub(super) fn check_receivers(
    checks: &mut Checks<'_>,
    path: &SettingPath,
    named: &[Arc<str>],
    defined: &BTreeSet<String>,
) {
    if named.len() > DELIVERIES_MAX {
        let message = format!("names {} receivers, but a workflow has at most {DELIVERIES_MAX}", named.len());
        checks.problem(path, message);
    }
    for (index, name) in named.iter().enumerate() {
        if named[..index].contains(name) {
            checks.problem(&path.index(index), format!("names the receiver {name:?} a second time"));
        } else if defined.is_empty() {
            checks.problem(&path.index(index), format!("there is no receiver {name:?}; none is defined"));
        } else if !defined.contains(&**name) {
            let defined = defined.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            checks.problem(
                &path.index(index),
                format!("there is no receiver {name:?}; defined are: {defined}"),
            );
        }
    }
}

/// Checks that the levels are in order and have receivers, and that there is somebody to notify before the
/// first.
pub(super) fn check_escalation(
    checks: &mut Checks<'_>,
    path: &SettingPath,
    levels: &[WrittenEscalation],
    told: &[Arc<str>],
    defined: &BTreeSet<String>,
) {
    if levels.len() > LEVELS_MAX {
        checks.problem(path, format!("has {} levels, but must have at most {LEVELS_MAX}", levels.len()));
    }
    if !levels.is_empty() && told.is_empty() {
        checks.problem(path, "there is nothing to escalate while `receivers` is empty");
    }
    let mut before = Duration::ZERO;
    for (index, level) in levels.iter().enumerate() {
        let path = path.index(index);
        if level.after <= before {
            let message =
                if index == 0 { "must be more than zero" } else { "must be later than the level before" };
            checks.problem(&path.key("after"), message);
        }
        before = level.after;
        if level.receivers.is_empty() {
            checks.problem(&path.key("receivers"), "names no receiver for this level");
        }
        check_receivers(checks, &path.key("receivers"), &level.receivers, defined);
    }
}

/// Checks that the labels are valid and unique.
pub(super) fn check_group_by(checks: &mut Checks<'_>, path: &SettingPath, labels: &[Arc<str>]) {
    if labels.len() > GROUP_BY_MAX {
        checks.problem(path, format!("names {} labels, but must name at most {GROUP_BY_MAX}", labels.len()));
    }
    for (index, label) in labels.iter().enumerate() {
        if !is_label_name(label) {
            let rule = format!("1 to {LABEL_NAME_MAX} of A-Z a-z 0-9 . _ - /");
            checks.problem(&path.index(index), format!("{label:?} is no label name: it takes {rule}"));
        } else if labels[..index].contains(label) {
            checks.problem(&path.index(index), format!("names the label {label:?} a second time"));
        }
    }
}
