//! The environment as a source: `WARDEN_SERVER__LISTEN` sets `server.listen`, and a secret may refer to a
//! variable.
//!
//! A variable is a setting if its name begins with `WARDEN_` and contains `__` after that. Others, such as
//! `WARDEN_URL` and `WARDEN_TOKEN`, belong to the client and are ignored; unknown ones cause a warning, since
//! they were most likely meant as settings. Only [`Environment::of_this_process`] reads the process's
//! environment.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use super::error::Problem;
use super::origin::Origin;
use super::path::SettingPath;
use super::setting::{Content, Setting};
use crate::model::nearest;

const PREFIX: &str = "WARDEN_";
const SEPARATOR: &str = "__";

/// The variables of the client, those that `warden recover`, `work` and `run` set for their commands (which
/// may be another `warden`), and those that the service manager sets.
const KNOWN: [&str; 16] = [
    "WARDEN_CONFIG",
    "WARDEN_REPLAY_SECRET",
    "WARDEN_SPOOL",
    "WARDEN_TOKEN",
    "WARDEN_URL",
    "WARDEN_ATTEMPT",
    "WARDEN_CONTENT_ENCODING",
    "WARDEN_CONTENT_TYPE",
    "WARDEN_LABELS",
    "WARDEN_LEASE",
    "WARDEN_OUTCOME",
    "WARDEN_PROGRESS_FILE",
    "WARDEN_SHARED_PROGRESS_FILE",
    "WARDEN_STEP",
    "WARDEN_WORKFLOW",
    "WARDEN_ITEM_ID",
];
/// The prefixes of further ones.
const KNOWN_PREFIXES: [&str; 5] =
    ["WARDEN_LABEL_", "WARDEN_ITEM_", "WARDEN_RUN_", "WARDEN_SHARED_", "WARDEN_JOB_"];

/// The deepest setting that a variable can name is like `workflows.uploads.deadline`.
const LEVELS_MAX: usize = 3;

/// Without `Debug`, because some values are secrets.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    pub fn of_this_process() -> Self {
        std::env::vars_os().collect()
    }

    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// Whether a variable with this name is used, although it is no setting.
    pub fn is_known(name: &str) -> bool {
        KNOWN.contains(&name) || KNOWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    }

    /// The unknown variables with the prefix, each with the most similar known name. `written` are the merged
    /// settings.
    pub(super) fn unknown(&self, written: &Setting) -> Vec<(&str, Option<String>)> {
        let mut settings = Vec::new();
        let mut referred = BTreeSet::new();
        written.for_each(&mut Vec::new(), &mut |keys, setting| {
            settings.push(format!("{PREFIX}{}", keys.join(SEPARATOR).to_ascii_uppercase()));
            if let Content::Scalar(toml::Value::String(text)) = &setting.content {
                referred.extend(text.strip_prefix("env:").map(str::to_owned));
            }
        });
        let is_unknown = |name: &&str| {
            let levels = name.strip_prefix(PREFIX);
            levels.is_some_and(|levels| !levels.trim_start_matches('_').contains(SEPARATOR))
                && !Self::is_known(name)
                && !referred.contains(*name)
                && !is_service_link(name)
        };
        let known = || settings.iter().map(String::as_str).chain(KNOWN);
        let names = self.0.keys().filter_map(|name| name.to_str()).filter(is_unknown);
        names.map(|name| (name, meant(name, known()))).collect()
    }

    /// Merges the settings in these variables into `below`.
    pub(super) fn lay_over(&self, below: &mut Setting, problems: &mut Vec<Problem>) {
        for (name, value) in &self.0 {
            let Some(name) = name.to_str() else { continue };
            let Some(levels) = name.strip_prefix(PREFIX) else { continue };
            if !levels.contains(SEPARATOR) || Self::is_known(name) {
                continue;
            }
            let origin = Origin::Variable(name.into());
            match setting(below, levels, value, &origin) {
                Ok(setting) => below.merge(setting, &SettingPath::default(), problems),
                Err(message) => problems.push(Problem { origin, path: SettingPath::default(), message }),
            }
        }
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// The known name that is most similar. The common prefix does not count.
fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let tail = |name: &'a str| name.strip_prefix(PREFIX);
    let nearest = nearest(name.strip_prefix(PREFIX)?, known.filter_map(tail))?;
    Some(format!("{PREFIX}{nearest}"))
}

/// Whether Kubernetes or Docker sets it for a service whose name begins with "warden".
fn is_service_link(name: &str) -> bool {
    let has = |part: &str| name.ends_with(part) || name.contains(&format!("{part}_"));
    let port = |name: &str| name.split("_PORT_").any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    has("_SERVICE_HOST") || has("_SERVICE_PORT") || name == "WARDEN_PORT" || port(name)
}

/// The setting of one variable, wrapped in the tables that lead to it.
fn setting(below: &Setting, levels: &str, value: &OsStr, origin: &Origin) -> Result<Setting, String> {
    let text = value.to_str().ok_or("the value is not UTF-8")?;
    let mut keys = Vec::new();
    let mut known = Some(below);
    for level in levels.split(SEPARATOR) {
        // Variables are upper case by convention, so the case of a workflow's name is not known.
        let key = level.to_ascii_lowercase();
        let found = known.and_then(|table| table.entry_in_any_case(&key));
        known = found.map(|(_, setting)| setting);
        keys.push(found.map_or(key.clone(), |(key, _)| key.to_owned()));
    }
    if keys.len() > LEVELS_MAX {
        return Err(format!("names {} levels, but settings have {LEVELS_MAX} at most", keys.len()));
    }
    let takes_text =
        known.is_some_and(|known| matches!(known.content, Content::Scalar(toml::Value::String(_))));
    Ok(read(text, takes_text, origin).below(&keys))
}

/// Parses a value as TOML, or takes it as text. For a setting that is text, `1` and `true` are text as well.
fn read(text: &str, takes_text: bool, origin: &Origin) -> Setting {
    let plain =
        || Setting { origin: origin.clone(), content: Content::Scalar(toml::Value::String(text.to_owned())) };
    match Setting::parse_value(text, origin) {
        Some(Setting { content: Content::Scalar(toml::Value::Datetime(_)), .. }) | None => plain(),
        Some(Setting { content: Content::Scalar(value), .. }) if takes_text && !value.is_str() => plain(),
        Some(setting) => setting,
    }
}
