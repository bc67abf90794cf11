//! What of a configuration can be put in force while the daemon runs, and what takes a restart.

use std::collections::BTreeMap;
use std::fmt;

use super::Config;
use super::error::{ConfigError, Problem};
use super::origin::Origin;
use super::path::SettingPath;
use super::setting::{Content, Setting};

/// Tables and settings that a reload puts in force. All others take a restart.
const RELOADED: [&str; 13] = [
    "alerting",
    "limits.batch_items_max",
    "limits.batch_max",
    "limits.requests_max",
    "limits.workflows_max",
    "receiver_defaults",
    "receivers",
    "server.cors_origins",
    "server.hosts",
    "tokens",
    "workflow_defaults",
    "workflows",
    "workflows_from",
];

/// The settings that take a restart, as written. May contain secrets.
#[derive(Clone, Default)]
pub struct Fixed(BTreeMap<String, String>);

impl Fixed {
    pub(super) fn of(written: &Setting) -> Self {
        let mut fixed: BTreeMap<String, String> = BTreeMap::new();
        written.for_each(&mut Vec::new(), &mut |keys, setting| {
            let path = keys.join(".");
            if RELOADED.iter().any(|table| path.strip_prefix(table).is_some_and(is_end_of_key)) {
                return;
            }
            let value = match &setting.content {
                Content::Scalar(value) => value.to_string(),
                // Followed by its elements.
                Content::List(elements) => format!("{} of ", elements.len()),
                Content::Table(_) => return,
            };
            let known = fixed.entry(path).or_default();
            known.push_str(&value);
            known.push('\n');
        });
        Self(fixed)
    }

    /// The settings that are written otherwise in the other one, by name.
    fn differing(&self, other: &Self) -> Vec<String> {
        let names = self.0.keys().chain(other.0.keys().filter(|name| !self.0.contains_key(*name)));
        let mut differing: Vec<String> =
            names.filter(|name| self.0.get(*name) != other.0.get(*name)).cloned().collect();
        differing.sort_unstable();
        differing
    }
}

fn is_end_of_key(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('.')
}

impl fmt::Debug for Fixed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl Config {
    /// This configuration with the settings of a running daemon that take a restart, and the names of those
    /// that are written otherwise here.
    ///
    /// # Errors
    /// It has no tokens, and the daemon listens beyond loopback.
    pub fn within(self, running: &Self) -> Result<(Self, Vec<String>), ConfigError> {
        if self.tokens.is_empty() && !running.server.is_loopback() {
            let message = format!(
                "the daemon listens on {} until it is restarted, and without tokens everyone who reaches it \
                 could do everything: keep a token, or restart the daemon with another server.listen",
                running.server.listen
            );
            let origin = Origin::File(self.file.as_deref().unwrap_or("configuration").into(), None);
            return Err(Problem { origin, path: SettingPath::dotted("tokens"), message }.into());
        }
        let differing = running.fixed.differing(&self.fixed);
        let mut server = running.server.clone();
        (server.hosts, server.cors_origins) = (self.server.hosts, self.server.cors_origins);
        let mut limits = running.limits.clone();
        limits.batch_items_max = self.limits.batch_items_max;
        limits.batch_max = self.limits.batch_max;
        limits.requests_max = self.limits.requests_max;
        limits.workflows_max = self.limits.workflows_max;
        let Self { storage, log, heartbeat, replay, fixed, .. } = running.clone();
        Ok((Self { server, limits, storage, log, heartbeat, replay, fixed, ..self }, differing))
    }
}
