//! The configuration: from layers of text to checked settings.
//!
//! `config/warden.toml` is compiled in and is the only source of defaults. The user's file, a directory of
//! workflows that it names, the environment and the flags override it, in this order. A [`Config`] exists
//! only if every check passed, so that nobody checks a setting again. Otherwise a [`ConfigError`] names every
//! problem with the line, the variable or the flag at fault.
//!
//! A setting's path: `setting` parses and merges the layers and keeps the origin of each value (`origin`);
//! serde turns the merged values into structs, repeatedly until no problem is left; `checks` collects
//! semantic problems. Policies and receivers come out as the types of the layers that use them.
//!
//! A configuration that is read while the daemon runs is put in force as far as that takes no restart
//! ([`Config::within`]).
//!
//! Deliberately absent: access to the process's environment other than by
//! [`Environment::of_this_process`].

mod alerting;
mod artifacts;
mod checks;
mod daemon;
mod definition;
mod directory;
mod duration;
mod environment;
mod error;
mod expectation;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod heartbeat;
mod host;
mod log_filter;
mod origin;
mod path;
mod reader;
mod receiver;
mod redrive;
mod replay;
mod restart;
mod retry;
mod run;
mod secret;
mod setting;
mod settings;
mod size;
mod source;
mod syntax;
mod token;
mod warnings;
mod workflow;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

pub use self::daemon::PAYLOAD_MAX;
pub use self::definition::{Definitions, definition_from, definition_text};
pub use self::environment::Environment;
pub use self::error::{ConfigError, Problem};
pub use self::host::{host_in, host_of, origin_of};
pub use self::log_filter::LogFilter;
pub use self::origin::{Origin, Position};
pub use self::path::{Segment, SettingPath};
pub use self::settings::{Engine, Limits, LogFormat, LogSettings, ServerSettings, StorageSettings};
pub use self::source::{ConfigFile, DEFAULTS, Sources};
pub use self::token::TokenSettings;
pub use self::warnings::Destination;

use self::alerting::WrittenAlerting;
use self::artifacts::WrittenArtifacts;
use self::checks::Checks;
use self::directory::{Directory, WorkflowsFrom};
use self::heartbeat::WrittenHeartbeat;
use self::reader::Reader;
use self::receiver::{WrittenReceiver, WrittenReceiverDefaults};
use self::replay::WrittenReplay;
use self::restart::Fixed;
use self::setting::Setting;
use self::source::Merged;
use self::token::WrittenToken;
use self::warnings::Told;
use self::workflow::{WrittenWorkflow, WrittenWorkflowDefaults};
use crate::model::{Severity, Warning};
use crate::notifier::Receiver;
use crate::warden::{ArtifactSettings, HeartbeatSettings, PolicySet, ReplaySettings, Targets};

/// All settings, checked, and with everything inherited filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of the file that was read, if there is one.
    pub file: Option<String>,
    pub server: ServerSettings,
    pub storage: StorageSettings,
    pub limits: Limits,
    pub log: LogSettings,
    /// At most `limits.workflows_max`.
    pub policies: PolicySet,
    /// In the order of their unique names. Every receiver of a policy is among them.
    pub receivers: Vec<Receiver>,
    /// The external dead man's switch, if one is configured.
    pub heartbeat: Option<HeartbeatSettings>,
    pub replay: ReplaySettings,
    /// Where the overdue items of workflows are sent automatically. Each has a policy that says when.
    pub redrives: Targets,
    pub artifacts: ArtifactSettings,
    /// Never empty if the daemon listens beyond loopback.
    pub tokens: Vec<TokenSettings>,
    /// Valid settings that are probably mistakes.
    pub warnings: Vec<Warning>,
    /// Called addresses that must be public, whose names have to be resolved to check that.
    pub destinations: Vec<Destination>,
    fixed: Fixed,
    kept: Kept,
}

/// What it was read from. Without its content in `Debug`, because it may contain secrets.
#[derive(Clone, Default)]
struct Kept {
    sources: Arc<Sources>,
    directory: Option<Arc<Directory>>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("…")
    }
}

impl Config {
    /// Reads and checks the layers.
    ///
    /// # Errors
    /// All problems that were found, without those that may only follow from a setting that cannot be parsed.
    pub fn load(sources: Sources) -> Result<Self, ConfigError> {
        Self::load_from(sources, None)
    }

    /// With a directory that was `read` already.
    fn load_from(sources: Sources, read: Option<Arc<Directory>>) -> Result<Self, ConfigError> {
        let file = sources.file.as_ref().map(|file| file.name().to_owned());
        let Merged { written, environment, problems, warnings, directory } = sources.merge(read)?;
        let (tables, written, mut problems) = Tables::read(written, problems)?;
        match tables.resolve(Checks::new(&written, &environment)) {
            Ok(mut config) if problems.is_empty() => {
                config.policies.definitions = sources.definitions.len();
                let kept = Kept { sources: Arc::new(sources), directory };
                let warnings = config.warnings.into_iter().chain(warnings).collect();
                return Ok(Self { file, fixed: Fixed::of(&written), kept, warnings, ..config });
            }
            Ok(_) => {}
            Err(found) => {
                let unparsed: Vec<SettingPath> =
                    problems.iter().map(|problem| problem.path.clone()).collect();
                let is_new = |problem: &Problem| !unparsed.iter().any(|path| explains(path, &problem.path));
                problems.extend(found.into_problems().into_iter().filter(is_new));
            }
        }
        Err(ConfigError::new(problems))
    }
}

/// Tables whose settings are inherited by other tables, or required by them.
const SHARED: [&str; 4] = ["alerting", "receiver_defaults", "tokens", "workflow_defaults"];

/// Whether a semantic problem at `path` may be due to the default that replaced the setting at `unparsed`.
fn explains(unparsed: &SettingPath, path: &SettingPath) -> bool {
    let (unparsed, path) = (unparsed.segments(), path.segments());
    let Some((_, table)) = unparsed.split_last().filter(|(_, table)| !table.is_empty()) else { return true };
    let Some(Segment::Key(first)) = table.first() else { return true };
    // A whole receiver is missing where it is named.
    let is_receiver = first == "receivers" && table.len() == 1;
    is_receiver || SHARED.contains(&first.as_str()) || path.starts_with(table) || table.starts_with(path)
}

/// The configuration as parsed, before semantic checks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    server: ServerSettings,
    storage: StorageSettings,
    limits: Limits,
    log: LogSettings,
    alerting: WrittenAlerting,
    workflow_defaults: WrittenWorkflowDefaults,
    heartbeat: WrittenHeartbeat,
    replay: WrittenReplay,
    artifacts: WrittenArtifacts,
    receiver_defaults: WrittenReceiverDefaults,
    #[serde(default)]
    receivers: BTreeMap<String, WrittenReceiver>,
    #[serde(rename = "workflows_from")]
    _workflows_from: WorkflowsFrom,
    #[serde(default)]
    workflows: BTreeMap<String, WrittenWorkflow>,
    #[serde(default)]
    tokens: Vec<WrittenToken>,
}

impl Tables {
    /// Parses the tables, and adds to the `problems` that there are already. Serde stops at the first error,
    /// so each faulty setting is reset to its default, until everything can be parsed. Fails if nothing is
    /// left to reset.
    fn read(
        mut written: Setting,
        mut problems: Vec<Problem>,
    ) -> Result<(Self, Setting, Vec<Problem>), ConfigError> {
        let defaults = source::defaults();
        loop {
            let error = match serde_path_to_error::deserialize::<_, Self>(Reader(&written)) {
                Ok(tables) => return Ok((tables, written, problems)),
                Err(error) => error,
            };
            let path = SettingPath::from(error.path());
            let origin = written.origin_of(&path).clone();
            let can_go_on = written.put_back(&path, &defaults);
            problems.push(Problem { origin, path, message: error.inner().to_string() });
            if !can_go_on {
                return Err(ConfigError::new(problems));
            }
        }
    }

    fn resolve(self, mut checks: Checks<'_>) -> Result<Config, ConfigError> {
        let checks_of = &mut checks;
        self.server.check(checks_of, !self.tokens.is_empty());
        self.storage.check(checks_of);
        self.limits.check(checks_of, self.workflows.len());
        self.workflow_defaults.check(checks_of);

        // Including invalid receivers: reporting that they are missing elsewhere would be a second problem of
        // one cause.
        let names: BTreeSet<String> = self.receivers.keys().cloned().collect();
        self.alerting.check(checks_of, &names);
        let receiver_defaults = self.receiver_defaults.resolve(checks_of);
        let mut receivers = Vec::new();
        for (name, receiver) in self.receivers {
            receivers.extend(receiver.resolve(checks_of, &name, &receiver_defaults));
        }

        let mut default_workflow =
            workflow::default_policy(checks_of, &self.workflow_defaults, &self.alerting);
        let redrive_defaults = self.workflow_defaults.redrive.resolve(checks_of);
        let (mut workflows, mut redrives) = (BTreeMap::new(), BTreeMap::new());
        for (name, workflow) in self.workflows {
            let resolved = workflow.resolve(checks_of, &name, &default_workflow, redrive_defaults, &names);
            let Some((name, policy, redrive)) = resolved else { continue };
            redrives.extend(redrive.map(|target| (name.clone(), target)));
            workflows.insert(name, policy);
        }
        run::check_circles(checks_of, workflows.iter().map(|(name, policy)| (name, &*policy.runs)));
        let heartbeat = self.heartbeat.resolve(checks_of);
        let replay = self.replay.resolve(checks_of);
        let artifacts = self.artifacts.resolve(checks_of, self.limits.artifacts_max);
        let tokens = token::resolve(checks_of, self.tokens);

        let told = Told {
            default: self.workflow_defaults.create_on_first_use.then_some(&default_workflow),
            workflows: &workflows,
            receivers: &receivers,
            heartbeat: heartbeat.as_ref(),
            replay: &replay,
            redrives: &redrives,
            tokens: &tokens,
        };
        let (warnings, destinations) = warnings::find(checks_of, &told);

        let least: BTreeMap<Arc<str>, Option<Severity>> =
            receivers.iter().map(|receiver| (receiver.name.clone(), receiver.min_severity)).collect();
        let table = SettingPath::dotted("alerting");
        let inherited = default_workflow.alerting.clone();
        alerting::check_take_incidents(checks_of, &table, &inherited, &receivers);
        default_workflow.events = alerting::listeners(&inherited, &receivers);
        alerting::spare(checks_of, &table, &mut default_workflow.alerting, &least);
        for (name, policy) in &mut workflows {
            let table = SettingPath::dotted("workflows").key(name);
            // What it inherits was checked there.
            let is_own = (&policy.alerting.escalate, &policy.alerting.fallback)
                != (&inherited.escalate, &inherited.fallback);
            if is_own {
                alerting::check_take_incidents(checks_of, &table, &policy.alerting, &receivers);
            }
            policy.events = alerting::listeners(&policy.alerting, &receivers);
            alerting::spare(checks_of, &table, &mut policy.alerting, &least);
        }

        let is_defined =
            |name: &str| checks.origin_of(&SettingPath::dotted("workflows").key(name)) == Origin::Api;
        let defined = workflows.keys().filter(|name| is_defined(name)).cloned().collect();
        let problems = checks.into_problems();
        if !problems.is_empty() {
            return Err(ConfigError::new(problems));
        }
        let limit = self.limits.workflows_max;
        Ok(Config {
            file: None,
            server: self.server,
            storage: self.storage,
            limits: self.limits,
            log: self.log,
            policies: PolicySet {
                defined,
                definitions: 0,
                configured: workflows.into_iter().map(|(name, policy)| (name, Arc::new(policy))).collect(),
                default: Arc::new(default_workflow),
                create_on_first_use: self.workflow_defaults.create_on_first_use,
                limit,
                incident_history: self.alerting.history,
            },
            receivers,
            heartbeat,
            replay,
            redrives: Arc::new(redrives),
            artifacts,
            tokens,
            warnings,
            destinations,
            fixed: Fixed::default(),
            kept: Kept::default(),
        })
    }
}
