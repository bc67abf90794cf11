//! Warnings about valid settings that are probably mistakes: above all, that nobody would be notified.
//!
//! A pure function of the settings. Warnings that need the network or the daemon's data are found elsewhere
//! and added to these: names that lead to private addresses ([`Destination::refused`]), and misspelt
//! workflows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use wildmatch::WildMatch;

use super::checks::Checks;
use super::error::Problem;
use super::origin::Origin;
use super::path::SettingPath;
use super::token::TokenSettings;
use crate::model::{AlertPolicy, Policy, Severity, Warning, WarningCode, WorkflowName};
use crate::notifier::Receiver;
use crate::outbound::{Endpoint, RefusedHost, Transport, check_literal};
use crate::warden::{HeartbeatSettings, RedriveTarget, ReplaySettings};

/// The settings for notifications and calls, before receivers with a higher `min_severity` are removed from
/// policies.
pub(super) struct Told<'a> {
    /// The policy of workflows that are created on first use; `None` if they are not.
    pub default: Option<&'a Policy>,
    pub workflows: &'a BTreeMap<WorkflowName, Policy>,
    pub receivers: &'a [Receiver],
    pub heartbeat: Option<&'a HeartbeatSettings>,
    pub replay: &'a ReplaySettings,
    pub redrives: &'a BTreeMap<WorkflowName, RedriveTarget>,
    pub tokens: &'a [TokenSettings],
}

/// An address that is called, with the non-public networks that are allowed for it.
#[derive(Clone, Debug)]
pub struct Destination {
    place: String,
    endpoint: Endpoint,
    networks: Vec<IpNet>,
}

impl Destination {
    /// Only its host may be shown.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub fn networks(&self) -> &[IpNet] {
        &self.networks
    }

    /// The warning that its host leads only to addresses that are not allowed.
    pub fn refused(&self, refused: &RefusedHost) -> Warning {
        let message = format!("{}: calls are refused: {refused}", self.place);
        Warning { code: WarningCode::AddressNotAllowed, message }
    }
}

/// The warnings by origin, and the addresses whose names have to be resolved for further ones.
pub(super) fn find(checks: &Checks<'_>, told: &Told<'_>) -> (Vec<Warning>, Vec<Destination>) {
    let mut warnings = Warnings { checks, found: Vec::new() };
    warnings.variables();
    if told.receivers.is_empty() {
        warnings.no_receivers(told);
    } else {
        warnings.listeners(told);
        warnings.receivers(told);
    }
    warnings.tokens(told);
    let destinations = warnings.destinations(told);
    let mut found = warnings.found;
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    (found.into_iter().map(|(_, warning)| warning).collect(), destinations)
}

struct Warnings<'a> {
    checks: &'a Checks<'a>,
    found: Vec<(Origin, Warning)>,
}

impl Warnings<'_> {
    fn add(&mut self, code: WarningCode, path: SettingPath, message: impl Into<String>) {
        let origin = self.checks.origin_of(&path);
        self.add_at(code, origin, path, message.into());
    }

    fn add_at(&mut self, code: WarningCode, origin: Origin, path: SettingPath, message: String) {
        // The position of a default is of no use to operators.
        let message = match &origin {
            Origin::Defaults(_) => format!("{path}: {message}"),
            _ => Problem { origin: origin.clone(), path, message }.to_string(),
        };
        self.found.push((origin, Warning { code, message }));
    }

    fn variables(&mut self) {
        for (name, meant) in self.checks.unknown_variables() {
            let hint = match meant {
                Some(meant) => format!("; did you mean {meant}?"),
                None => {
                    ": settings are named like WARDEN_SERVER__LISTEN, with two underscores between the levels"
                        .to_owned()
                }
            };
            let origin = Origin::Variable(name.into());
            let message = format!("sets nothing{hint}");
            self.add_at(WarningCode::UnknownVariable, origin, SettingPath::default(), message);
        }
    }

    /// Without a file the daemon is being tried out, which is no mistake.
    fn no_receivers(&mut self, told: &Told<'_>) {
        if self.checks.has_file() || !told.workflows.is_empty() {
            let message = "there is none: incidents are stored and listed, but notify nobody; define one, \
                           and name it in `receivers` of [alerting]";
            self.add(WarningCode::NoReceivers, SettingPath::dotted("receivers"), message);
        }
    }

    /// Checks that each workflow has a receiver.
    fn listeners(&mut self, told: &Told<'_>) {
        let least: BTreeMap<&str, Severity> =
            told.receivers.iter().filter_map(|it| Some((&*it.name, it.min_severity?))).collect();
        let takes_none =
            |policy: &AlertPolicy| !policy.receivers.iter().any(|name| least.contains_key(&**name));
        for (name, policy) in told.workflows {
            let table = SettingPath::dotted("workflows").key(name);
            if takes_none(&policy.alerting) {
                let (code, what) = match policy.expect {
                    Some(_) => (WarningCode::ExpectationTellsNobody, "is missed, overdue or failed"),
                    None => (WarningCode::WorkflowTellsNobody, "is overdue or failed"),
                };
                let why = if policy.alerting.receivers.is_empty() {
                    "it has no `receivers`"
                } else {
                    "none of its receivers takes incidents"
                };
                self.add(code, table, format!("nobody is notified when something {what}: {why}"));
            } else {
                self.unheard(&policy.alerting, &table, &least);
            }
        }
        let Some(default) = told.default else { return };
        let table = SettingPath::dotted("alerting");
        if takes_none(&default.alerting) {
            let what =
                if default.alerting.receivers.is_empty() { "is empty" } else { "names nobody for incidents" };
            let message = format!(
                "{what}, so workflows that are created on first use notify nobody; name some, or set \
                 workflow_defaults.create_on_first_use to false"
            );
            self.add(WarningCode::DefaultTellsNobody, table.key("receivers"), message);
        } else {
            self.unheard(&default.alerting, &table, &least);
        }
    }

    fn unheard(&mut self, policy: &AlertPolicy, table: &SettingPath, least: &BTreeMap<&str, Severity>) {
        let severity = policy.severity;
        if policy.receivers.iter().filter_map(|name| least.get(&**name)).all(|least| *least > severity) {
            let message = format!(
                "nobody is notified: its incidents have the severity {:?}, and all of its receivers a higher \
                 min_severity",
                severity.as_str()
            );
            self.add(WarningCode::WorkflowUnheard, table.key("severity"), message);
        }
    }

    /// Checks that each receiver can get something.
    fn receivers(&mut self, told: &Told<'_>) {
        let policies: Vec<&AlertPolicy> =
            told.workflows.values().chain(told.default).map(|policy| &policy.alerting).collect();
        let mut worst: BTreeMap<&str, Severity> = BTreeMap::new();
        for policy in policies {
            for name in named(policy) {
                let worst = worst.entry(name).or_insert(policy.severity);
                *worst = policy.severity.max(*worst);
            }
        }
        for receiver in told.receivers {
            let table = SettingPath::dotted("receivers").key(&receiver.name);
            match worst.get(&*receiver.name) {
                None => {
                    let message = "no workflow uses it, so it is never notified: name it in `receivers` of \
                                   [alerting] or of a workflow";
                    self.add(WarningCode::ReceiverUnused, table, message);
                }
                Some(worst) if receiver.min_severity.is_some_and(|least| *worst < least) => {
                    let least = receiver.min_severity.unwrap_or(*worst);
                    let message = format!(
                        "the receiver is never notified: it accepts {:?} and above, but nothing above {:?} \
                         can reach it",
                        least.as_str(),
                        worst.as_str()
                    );
                    self.add(WarningCode::ReceiverDeaf, table.key("min_severity"), message);
                }
                Some(_) => {}
            }
        }
    }

    /// Without creation on first use, a token that matches no configured workflow is useless.
    fn tokens(&mut self, told: &Told<'_>) {
        if told.default.is_some() {
            return;
        }
        for (index, token) in told.tokens.iter().enumerate() {
            for (place, glob) in token.workflows.iter().enumerate() {
                let matcher = WildMatch::new(glob);
                if glob != "*" && !told.workflows.keys().any(|name| matcher.matches(name)) {
                    let path = SettingPath::dotted("tokens").index(index).key("workflows").index(place);
                    let message = format!(
                        "{glob:?} matches none of the configured workflows, and no others are created"
                    );
                    self.add(WarningCode::TokenWithoutWorkflows, path, message);
                }
            }
        }
    }

    /// Checks literal addresses, and returns those whose names have to be resolved.
    fn destinations(&mut self, told: &Told<'_>) -> Vec<Destination> {
        let mut called: Vec<(SettingPath, &Endpoint, &Arc<Transport>)> = Vec::new();
        for receiver in told.receivers {
            let path = SettingPath::dotted("receivers").key(&receiver.name).key("url");
            called.push((path, &receiver.url, &receiver.transport));
        }
        for (name, target) in told.redrives {
            let path = SettingPath::dotted("workflows").key(name).key("redrive").key("url");
            called.push((path, &target.url, &told.replay.transport));
        }
        if let Some(heartbeat) = told.heartbeat {
            called.push((SettingPath::dotted("heartbeat.url"), &heartbeat.url, &heartbeat.transport));
        }
        let mut unknown = Vec::new();
        for (path, endpoint, transport) in called {
            if transport.allow_private {
                continue;
            }
            let origin = self.checks.origin_of(&path);
            let place = format!("{origin}: {path}");
            let networks = transport.allow_networks.clone();
            let destination = Destination { place, endpoint: endpoint.clone(), networks };
            match check_literal(endpoint.url(), &transport.allow_networks) {
                Err(refused) => self.found.push((origin, destination.refused(&refused))),
                Ok(()) => unknown.push(destination),
            }
        }
        unknown
    }
}

/// All receivers that a policy names.
fn named(policy: &AlertPolicy) -> BTreeSet<&str> {
    let levels = policy.escalate.iter().flat_map(|level| &level.receivers);
    policy.receivers.iter().chain(levels).chain(&policy.fallback).map(|name| &**name).collect()
}
