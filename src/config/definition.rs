//! Workflows that clients define: a layer between the files and the environment.
//!
//! A file wins over a definition of the same workflow, which stays stored and is in force again when the file
//! does not define it any more. Definitions are stored, so they contain no secret: a signing secret is a
//! reference.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::error::{ConfigError, Problem};
use super::origin::{Origin, Position};
use super::path::SettingPath;
use super::setting::{Content, Setting};
use super::source::{ConfigFile, Sources};
use super::yaml;
use super::{Config, Kept};
use crate::model::{Definition, Warning, WarningCode, WorkflowName};

/// By workflow.
pub type Definitions = BTreeMap<WorkflowName, Arc<Definition>>;

/// The `workflows` of the definitions that no layer below has, and warnings of the others.
pub(super) fn read(
    definitions: &Definitions,
    below: &Setting,
    problems: &mut Vec<Problem>,
) -> (Setting, Vec<Warning>) {
    let known = below.entry("workflows");
    let (mut workflows, mut warnings) = (BTreeMap::new(), Vec::new());
    for (name, definition) in definitions {
        let path = SettingPath::dotted("workflows").key(name);
        if let Some(file) = known.and_then(|known| known.entry(name)) {
            let message =
                "a client defined it too (PUT /v1/workflows/{workflow}); this one is in force".into();
            let problem = Problem { origin: file.origin.clone(), path, message };
            warnings.push(Warning { code: WarningCode::WorkflowDefinedTwice, message: problem.to_string() });
            continue;
        }
        match Setting::table_from_json(definition, &Origin::Api, &path) {
            Ok(entries) => {
                check_secrets(&entries, &path, problems);
                let table = Setting { origin: Origin::Api, content: Content::Table(entries) };
                workflows.insert(name.to_string(), table);
            }
            Err((path, message)) => problems.push(Problem { origin: Origin::Api, path, message }),
        }
    }
    let table = Setting { origin: Origin::Api, content: Content::Table(workflows) };
    (table.below(&["workflows".to_owned()]), warnings)
}

fn check_secrets(entries: &BTreeMap<String, Setting>, table: &SettingPath, problems: &mut Vec<Problem>) {
    let Some(secret) = entries.get("redrive").and_then(|redrive| redrive.entry("secret")) else { return };
    let secrets = match &secret.content {
        Content::List(secrets) => secrets.as_slice(),
        _ => std::slice::from_ref(secret),
    };
    let is_literal = |secret: &Setting| match &secret.content {
        Content::Scalar(toml::Value::String(text)) => !text.starts_with("env:") && !text.starts_with("file:"),
        _ => false,
    };
    if secrets.iter().any(is_literal) {
        let message = "must be env:NAME or file:PATH here: definitions are stored, and secrets are not";
        let path = table.key("redrive").key("secret");
        problems.push(Problem { origin: Origin::Api, path, message: message.to_owned() });
    }
}

/// The definition in a file: TOML or JSON by its ending, else YAML.
///
/// # Errors
/// It cannot be read, or is no table.
pub fn definition_from(path: &Path) -> Result<Definition, ConfigError> {
    let file = ConfigFile::read(path)?;
    let origin = |position| Origin::File(file.name().into(), position);
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("toml") => of_table(Setting::parse(file.text(), origin)?),
        Some("json") => serde_json::from_str(file.text()).map_err(|error| {
            let position = Position { line: error.line().max(1), column: error.column().max(1) };
            let message = format!("is no valid JSON object: {error}");
            let (origin, path) = (origin(Some(position)), SettingPath::default());
            Problem { origin, path, message }.into()
        }),
        _ => definition_text(file.name(), file.text()),
    }
}

/// The definition in a text in YAML, of which JSON is a part; `name` is for messages.
///
/// # Errors
/// It is no table.
pub fn definition_text(name: &str, text: &str) -> Result<Definition, ConfigError> {
    of_table(yaml::parse(text, |position| Origin::File(name.into(), position))?)
}

fn of_table(setting: Setting) -> Result<Definition, ConfigError> {
    match setting.to_json() {
        serde_json::Value::Object(definition) => Ok(definition),
        _ => {
            let (path, message) = (SettingPath::default(), "is no table of settings".to_owned());
            Err(Problem { origin: setting.origin, path, message }.into())
        }
    }
}

impl Config {
    /// The same files, variables and flags with these definitions. What references lead to is read anew.
    ///
    /// # Errors
    /// All problems; those of definitions have the origin [`Origin::Api`].
    pub fn with_definitions(&self, definitions: Definitions) -> Result<Self, ConfigError> {
        let Kept { sources, directory } = &self.kept;
        Self::load_from(Sources { definitions, ..(**sources).clone() }, directory.clone())
    }
}
