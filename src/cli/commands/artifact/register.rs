//! `warden artifact register`: registers the files of a directory, or others by their names.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use clap::builder::PossibleValuesParser;
use reqwest::Method;
use warden_api::artifact::{RegisterRequest, RegisterRequests, RegisteredArtifacts};
use warden_api::limit::{ARTIFACTS_AT_ONCE, ARTIFACTS_DOCUMENT_MAX};
use warden_api::path;
use warden_api::word::ArtifactUse;
use warden_client::Query;
use wildmatch::WildMatch;

use super::ByRun;
use crate::cli::commands::args::{generated_id, workflow};
use crate::cli::commands::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::count::counted;
use crate::model::WorkflowName;

/// Register the files of a directory; those that are known are left alone
///
/// Each is registered with its size, under its name in the directory. With --name nothing is read, and the
/// location may be anything, such as the prefix of a URL.
#[derive(Args)]
pub struct Register {
    /// The workflow that they belong to
    #[arg(long, value_parser = workflow)]
    workflow: WorkflowName,
    /// The directory; or, with --name, any location
    #[arg(long, value_name = "DIR")]
    location: String,
    /// Only files whose names match: * stands for any characters, / included, ? for one
    #[arg(long, value_name = "GLOB", default_value = "*")]
    glob: String,
    /// Also the files of directories within; their names contain /
    #[arg(long)]
    recursive: bool,
    /// Register this name instead of reading the directory; repeatable
    #[arg(long = "name", value_name = "NAME", conflicts_with_all = ["glob", "recursive"])]
    names: Vec<String>,
    /// The status that they get
    #[arg(long, value_name = "STATUS", default_value = "ready")]
    status: String,
    /// Whether they may be loaded many times or once, or are removed with the item of the run
    #[arg(long = "use", value_name = "USE", default_value = "many",
        value_parser = PossibleValuesParser::new(ArtifactUse::WORDS))]
    reuse: String,
    /// The id of an artifact that has to be loaded before them; repeatable
    #[arg(long = "depends-on", value_name = "ID", value_parser = generated_id)]
    depends_on: Vec<String>,
    #[command(flatten)]
    by: ByRun,
    #[command(flatten)]
    connection: Connection,
}

/// Sizes of files by their names, as far as they are known.
type Sizes = BTreeMap<String, Option<u64>>;

impl Register {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let (location, names) = self.named()?;
        let requests = names.into_iter().map(|(name, size)| self.request(&location, &name, size));
        let mut all = RegisteredArtifacts { data: Vec::new(), registered: 0 };
        let mut result = Ok(());
        for requests in batches(requests) {
            let request = client.request(Method::POST, path::ARTIFACTS, &Query::new())?;
            let sent = client.send(request.json(&RegisterRequests::Many(requests))).await;
            let answer = match sent {
                Ok(answer) => answer.document::<RegisteredArtifacts>().await,
                Err(error) => Err(error),
            };
            match answer {
                Ok((_, part)) => {
                    all.registered += part.registered;
                    all.data.extend(part.data);
                }
                Err(error) => {
                    result = Err(error.into());
                    break;
                }
            }
        }
        // What was registered before an error stays.
        if result.is_ok() || !all.data.is_empty() {
            match self.connection.output {
                Format::Json => console.json(&all)?,
                Format::Table => {
                    let known = (all.data.len() - all.registered) as u64;
                    let registered = counted(all.registered as u64, "artifact");
                    console.line(format_args!("registered {registered}; {known} known"))?;
                }
            }
        }
        result
    }

    fn request(&self, location: &Arc<str>, name: &str, size: Option<u64>) -> RegisterRequest {
        RegisterRequest {
            workflow: Some(self.workflow.clone().into()),
            location: location.clone(),
            name: name.into(),
            status: Some(self.status.as_str().into()),
            reuse: self.reuse.parse().ok(),
            run: self.by.run.clone(),
            size,
            depends_on: self.depends_on.iter().map(|id| id.as_str().into()).collect(),
            ..RegisterRequest::default()
        }
    }

    /// The location, and the names there with their sizes, in order.
    fn named(&self) -> Result<(Arc<str>, Sizes), CliError> {
        if !self.names.is_empty() {
            let names = self.names.iter().map(|name| (name.clone(), None)).collect();
            return Ok((self.location.as_str().into(), names));
        }
        let directory = Path::new(&self.location);
        let unreadable = |error| CliError::File { verb: "read", path: directory.to_owned(), error };
        // The path is the same from every working directory. Symbolic links in it are left as people know
        // them, unless it contains `..`, which depends on what they lead to: then all of them are resolved.
        let is_parent = |component| component == Component::ParentDir;
        let absolute = match directory.components().any(is_parent) {
            true => directory.canonicalize(),
            false => std::path::absolute(directory),
        };
        let absolute = absolute.map_err(unreadable)?;
        let Some(location) = absolute.to_str() else {
            return Err(CliError::Data(format!("{} is not UTF-8", absolute.display())));
        };
        let location = location.trim_end_matches('/');
        let location = if location.is_empty() { "/" } else { location };
        let mut files = BTreeMap::new();
        collect(directory, directory, self.recursive, &WildMatch::new(&self.glob), &mut files)?;
        Ok((location.into(), files))
    }
}

/// As many in one request as it may have, by number and by size.
fn batches(requests: impl IntoIterator<Item = RegisterRequest>) -> Vec<Vec<RegisterRequest>> {
    let (mut all, mut size) = (Vec::<Vec<RegisterRequest>>::new(), 0);
    for request in requests {
        // With the comma after it.
        let own = serde_json::to_vec(&request).map_or(0, |json| json.len() as u64 + 1);
        match all.last_mut() {
            Some(batch) if batch.len() < ARTIFACTS_AT_ONCE && size + own < ARTIFACTS_DOCUMENT_MAX => {
                batch.push(request);
                size += own;
            }
            _ => {
                all.push(vec![request]);
                size = own;
            }
        }
    }
    all
}

/// Collects the files below `root` whose names there match. Links count as what they lead to, except that
/// links to directories are not followed, and those to nothing are passed over.
fn collect(
    directory: &Path,
    root: &Path,
    recursive: bool,
    glob: &WildMatch,
    files: &mut Sizes,
) -> Result<(), CliError> {
    let failed = |path: PathBuf| move |error| CliError::File { verb: "read", path, error };
    for entry in std::fs::read_dir(directory).map_err(failed(directory.to_owned()))? {
        let entry = entry.map_err(failed(directory.to_owned()))?;
        let path = entry.path();
        if entry.file_type().map_err(failed(path.clone()))?.is_dir() {
            if recursive {
                collect(&path, root, recursive, glob, files)?;
            }
            continue;
        }
        let name = path.strip_prefix(root).expect("it was found below the root");
        if !glob.matches(&name.to_string_lossy()) {
            continue;
        }
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => {
                let Some(name) = name.to_str() else {
                    return Err(CliError::Data(format!("{} is not UTF-8", path.display())));
                };
                files.insert(name.to_owned(), Some(metadata.len()));
            }
            Ok(_) => {}
            // A link to nothing, or it was removed meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(path)(error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_to_the_limits_of_a_request_and_lose_nothing() {
        let request = |name: &str, depends_on: usize| RegisterRequest {
            location: "/in".into(),
            name: name.into(),
            depends_on: vec!["art_0199c9a0-0000-5000-8000-000000000000".into(); depends_on],
            ..RegisterRequest::default()
        };
        assert!(batches([]).is_empty());
        let sizes = |depends_on: usize| -> Vec<usize> {
            let requests = (0..2_500).map(|number| request(&number.to_string(), depends_on));
            let batches = batches(requests);
            let names: Vec<String> =
                batches.iter().flatten().map(|request| request.name.to_string()).collect();
            assert_eq!(names, (0..2_500).map(|number| number.to_string()).collect::<Vec<_>>());
            for batch in &batches {
                assert!(serde_json::to_vec(batch).unwrap().len() as u64 <= ARTIFACTS_DOCUMENT_MAX);
            }
            batches.iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(0), [1_000, 1_000, 500]);
        let many = sizes(100);
        assert!(
            many.len() > 3 && many.iter().all(|size| *size > 400 || size == many.last().unwrap()),
            "{many:?}"
        );
    }
}
