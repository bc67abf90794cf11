//! The layers of a configuration, and their order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Value;

use super::definition::{self, Definitions};
use super::directory::Directory;
use super::environment::Environment;
use super::error::{ConfigError, Problem};
use super::origin::{Lines, Origin};
use super::path::SettingPath;
use super::setting::{Content, Setting};
use crate::model::Warning;

/// The compiled-in `config/warden.toml`: every setting with its default and its description.
pub const DEFAULTS: &str = include_str!("../../config/warden.toml");

/// The layers; later fields win. Without `Debug`, because they may contain secrets.
#[derive(Clone, Default)]
pub struct Sources {
    pub file: Option<ConfigFile>,
    /// `WARDEN_…__…` variables, and those that secrets refer to.
    pub environment: Environment,
    /// Dotted paths of settings, and their values.
    pub flags: Vec<(String, Value)>,
    /// The workflows that clients defined.
    pub definitions: Definitions,
}

/// The content of a configuration file. Without `Debug`, because it may contain secrets.
#[derive(Clone)]
pub struct ConfigFile {
    name: String,
    text: String,
}

pub(super) struct Merged {
    pub written: Setting,
    /// For secrets that refer to variables.
    pub environment: Environment,
    /// Conflicts between layers.
    pub problems: Vec<Problem>,
    pub warnings: Vec<Warning>,
    /// The files that were read.
    pub directory: Option<Arc<Directory>>,
}

impl ConfigFile {
    /// The content of a file with this name.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Result<Self, ConfigError> {
        let name = name.into();
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { name, text }),
            Err(error) => {
                let offset = error.utf8_error().valid_up_to();
                let before = String::from_utf8_lossy(&error.as_bytes()[..offset]);
                let origin = Origin::File(name.into(), Some(Lines::new(&before).position(offset)));
                let message = "is not UTF-8 text".to_owned();
                Err(ConfigError::from(Problem { origin, path: SettingPath::default(), message }))
            }
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        match std::fs::read(path) {
            Ok(bytes) => Self::from_bytes(name, bytes),
            Err(error) => {
                let origin = Origin::File(name.into(), None);
                let message = format!("cannot be read: {error}");
                Err(ConfigError::from(Problem { origin, path: SettingPath::default(), message }))
            }
        }
    }

    /// The name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// A text with a name for messages.
    pub fn from_text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }
}

impl Sources {
    /// Merges the layers. The directory that they name is read, unless it is `read` already.
    ///
    /// # Errors
    /// The file is no valid TOML.
    pub(super) fn merge(&self, read: Option<Arc<Directory>>) -> Result<Merged, ConfigError> {
        let mut below = defaults();
        let mut problems = Vec::new();
        if let Some(ConfigFile { name, text }) = &self.file {
            let name: Arc<str> = name.as_str().into();
            let file = Setting::parse(text, |position| Origin::File(Arc::clone(&name), position))?;
            below.merge(file, &SettingPath::default(), &mut problems);
        }
        // Any layer may name the directory, whose workflows those above the file may change.
        let mut written = below.clone();
        self.lay_over(&mut written, &mut Vec::new());
        let directory = directory_in(&written).map(|(path, origin)| {
            let directory = read.unwrap_or_else(|| Arc::new(Directory::read(&path, origin)));
            let workflows = directory.workflows(&below, &mut problems);
            below.merge(workflows, &SettingPath::default(), &mut problems);
            directory
        });
        let (workflows, warnings) = definition::read(&self.definitions, &below, &mut problems);
        let mut written = below;
        if !self.definitions.is_empty() {
            written.merge(workflows, &SettingPath::default(), &mut problems);
        }
        self.lay_over(&mut written, &mut problems);
        Ok(Merged { written, environment: self.environment.clone(), problems, warnings, directory })
    }

    /// Merges the layers above the file.
    fn lay_over(&self, merged: &mut Setting, problems: &mut Vec<Problem>) {
        self.environment.lay_over(merged, problems);
        for (path, value) in &self.flags {
            let keys: Vec<String> = path.split('.').map(str::to_owned).collect();
            let flag = Setting::from_value(value.clone(), &Origin::CommandLine).below(&keys);
            merged.merge(flag, &SettingPath::default(), problems);
        }
    }
}

/// The directory of workflows, if one is set, and where.
fn directory_in(written: &Setting) -> Option<(PathBuf, Origin)> {
    let setting = written.entry("workflows_from")?.entry("path")?;
    match &setting.content {
        Content::Scalar(Value::String(path)) if !path.is_empty() => {
            Some((path.into(), setting.origin.clone()))
        }
        _ => None,
    }
}

/// The settings of [`DEFAULTS`].
pub(super) fn defaults() -> Setting {
    Setting::parse(DEFAULTS, Origin::Defaults).expect("the compiled-in file parses; a test reads it")
}
