//! `[workflows_from]`: workflows from the files of a directory.
//!
//! A file `uploads.toml` or `uploads.yaml` is the table of the workflow `uploads`; one with `workflows` holds
//! several by name and nothing else. Files are read in the order of their names. Hidden files and those with
//! other endings are left alone, as are directories below. A workflow is defined in one place.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::error::Problem;
use super::origin::Origin;
use super::path::SettingPath;
use super::secret::read_file;
use super::setting::{Content, Setting};
use super::yaml;

/// The largest file, in bytes.
const FILE_MAX: u64 = 1 << 20;
/// The most files.
const FILES_MAX: usize = 10_000;

/// `[workflows_from]`. Its files are read with the other layers, so that nothing is left to be done with it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkflowsFrom {
    #[serde(rename = "path")]
    _path: PathBuf,
}

/// The setting with the name of the directory.
pub(super) fn setting() -> SettingPath {
    SettingPath::dotted("workflows_from.path")
}

/// A file, and its text or why it cannot be read.
type File = (PathBuf, Result<String, String>);

/// A directory as it was read.
pub(super) struct Directory {
    path: PathBuf,
    /// Where its name is set.
    origin: Origin,
    /// The error says why it cannot be read.
    files: Result<Vec<File>, String>,
}

impl Directory {
    pub(super) fn read(path: &Path, origin: Origin) -> Self {
        let with_text = |path: PathBuf| {
            let text = text_of(&path);
            (path, text)
        };
        let files = files(path).map(|files| files.into_iter().map(with_text).collect());
        Self { path: path.to_owned(), origin, files }
    }

    /// The `workflows` of all files. `defined` are the settings of the layers below.
    pub(super) fn workflows(&self, defined: &Setting, problems: &mut Vec<Problem>) -> Setting {
        let mut workflows: BTreeMap<String, Setting> = BTreeMap::new();
        let files = self.files.as_ref().map_or_else(
            |message| {
                let (origin, message) = (self.origin.clone(), message.clone());
                problems.push(Problem { origin, path: setting(), message });
                [].as_slice()
            },
            Vec::as_slice,
        );
        let known = defined.entry("workflows");
        for (path, text) in files {
            let in_file = parse(path, text).map_err(|problem| problems.push(problem)).unwrap_or_default();
            for (name, workflow) in in_file {
                let first = workflows.get(&name).or_else(|| known?.entry(&name));
                if let Some(first) = first {
                    let message =
                        format!("is defined twice: here and in {}; remove one of them", first.origin);
                    let path = SettingPath::dotted("workflows").key(&name);
                    problems.push(Problem { origin: workflow.origin, path, message });
                } else {
                    workflows.insert(name, workflow);
                }
            }
        }
        let origin = Origin::File(self.path.display().to_string().into(), None);
        let table = Setting { origin, content: Content::Table(workflows) };
        table.below(&["workflows".to_owned()])
    }
}

/// The files with workflows, in the order of their names.
fn files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let failed =
        |error: std::io::Error| format!("the directory {:?} cannot be read: {error}", directory.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // A file that cannot be looked at is read, which says why. A pipe would be waited for.
        if is_ours(&path) && path.metadata().map_or(true, |metadata| metadata.is_file()) {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(format!("the directory {:?} has more than {FILES_MAX} files", directory.display()));
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn is_ours(path: &Path) -> bool {
    let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !is_hidden && (is_yaml(path) || path.extension() == Some(OsStr::new("toml")))
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
}

fn text_of(path: &Path) -> Result<String, String> {
    let bytes = read_file(&path.display().to_string(), FILE_MAX)?;
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
}

/// The workflows in a file, by name.
fn parse(path: &Path, text: &Result<String, String>) -> Result<BTreeMap<String, Setting>, Problem> {
    let name: Arc<str> = path.display().to_string().into();
    let origin = |position| Origin::File(name.clone(), position);
    let at_fault =
        |origin: Origin, message: String| Problem { origin, path: SettingPath::default(), message };
    let text = text.as_ref().map_err(|message| at_fault(origin(None), message.clone()))?;
    let parsed = if is_yaml(path) { yaml::parse(text, origin) } else { Setting::parse(text, origin) };
    let mut setting = parsed?;
    let Content::Table(entries) = &mut setting.content else {
        let message = "is no table of settings, nor of workflows under `workflows`";
        return Err(at_fault(setting.origin, message.to_owned()));
    };
    let Some(workflows) = entries.remove("workflows") else {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(BTreeMap::from([(stem, setting)]));
    };
    if let Some((key, other)) = entries.pop_first() {
        let message =
            format!("`{key}` is beside `workflows`: a file holds either one workflow, or several there");
        return Err(at_fault(other.origin, message));
    }
    match workflows.content {
        Content::Table(workflows) => Ok(workflows),
        _ => Err(at_fault(workflows.origin, "`workflows` takes workflows by name".to_owned())),
    }
}
