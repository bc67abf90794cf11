//! The progress documents of an item as files that its command reads and writes.
//!
//! What the command writes is saved with the lease, as the library does it: a worker that lost the lease
//! saves nothing. A file that does not hold a JSON object while the command runs is half written; at its end
//! it is an error, as the work would otherwise look saved.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::time::MissedTickBehavior;
use warden_client::worker::{Job, Progress, StepError};
use warden_client::{CancellationToken, Error as ClientError};

use super::command::untried;
use crate::cli::commands::worker::environment::{PROGRESS_FILE, SHARED_PROGRESS_FILE};

/// The documents of one run, in a directory that only this user can read, until this is dropped.
pub struct ProgressFiles {
    _directory: TempDir,
    step: Document,
    shared: Document,
}

struct Document {
    variable: &'static str,
    path: PathBuf,
    /// As it was when the run began.
    begun: Map<String, Value>,
    saved: Map<String, Value>,
}

impl ProgressFiles {
    /// # Errors
    /// The files cannot be written, which releases the item, or the daemon does not give the documents.
    pub async fn write(job: &Job) -> Result<Self, StepError> {
        let (step, shared) = (job.progress().get().await?, job.shared().get().await?);
        let files = Self::write_documents(step, shared).await;
        files.map_err(|error| untried("its progress cannot be written to a file", &error))
    }

    async fn write_documents(step: Map<String, Value>, shared: Map<String, Value>) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("warden-").tempdir()?;
        let path = |name: &str| directory.path().join(name);
        Ok(Self {
            step: Document::write(PROGRESS_FILE, path("step.json"), step).await?,
            shared: Document::write(SHARED_PROGRESS_FILE, path("shared.json"), shared).await?,
            _directory: directory,
        })
    }

    /// Where they are, for the command.
    pub fn variables(&self) -> [(String, String); 2] {
        [&self.step, &self.shared]
            .map(|document| (document.variable.to_owned(), document.path.display().to_string()))
    }

    /// Saves what has changed, at this interval, until it is over. A save that has begun is finished: one
    /// that is cut off could arrive after the last one.
    pub async fn keep_saving(&mut self, job: &Job, every: Duration, over: &CancellationToken) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while over.run_until_cancelled(ticks.tick()).await.is_some() {
            self.save(job).await;
        }
    }

    /// Saves what has changed. What is half written or refused is left for later.
    async fn save(&mut self, job: &Job) {
        for (document, progress) in [(&mut self.step, job.progress()), (&mut self.shared, job.shared())] {
            if let Ok(Some(changed)) = document.changed().await {
                let _ = document.save(changed, progress).await;
            }
        }
    }

    /// Whether a document has changed since the run began, by its file or by `warden progress`. What the
    /// files hold is saved before.
    pub async fn have_gone_on(&mut self, job: &Job) -> bool {
        self.save(job).await;
        for (document, progress) in [(&self.step, job.progress()), (&self.shared, job.shared())] {
            if progress.read_again().await.is_ok_and(|now| now != document.begun) {
                return true;
            }
        }
        false
    }

    /// Saves what has changed, for the last time. An error of one document does not keep the other from being
    /// saved.
    ///
    /// # Errors
    /// The first one: a file holds no JSON object, the daemon refuses it, or the lease is lost.
    pub async fn finish(mut self, job: &Job) -> Result<(), StepError> {
        let step = self.step.finish(job.progress()).await;
        let shared = self.shared.finish(job.shared()).await;
        step.and(shared)
    }
}

impl Document {
    async fn write(variable: &'static str, path: PathBuf, saved: Map<String, Value>) -> io::Result<Self> {
        let mut text = serde_json::to_vec(&saved)?;
        text.push(b'\n');
        tokio::fs::write(&path, text).await?;
        Ok(Self { variable, path, begun: saved.clone(), saved })
    }

    /// What the file holds, if that is not saved yet. One that was removed has not changed.
    async fn changed(&self) -> io::Result<Option<Map<String, Value>>> {
        let text = match tokio::fs::read(&self.path).await {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let document: Map<String, Value> = serde_json::from_slice(&text)?;
        Ok((document != self.saved).then_some(document))
    }

    async fn finish(&mut self, progress: Progress<'_>) -> Result<(), StepError> {
        let fatal = |what: String| StepError::fatal(what).kind("progress");
        let changed = self.changed().await.map_err(|error| {
            fatal(format!("the file in {} cannot be saved as progress: {error}", self.variable))
        })?;
        let Some(changed) = changed else { return Ok(()) };
        match self.save(changed, progress).await {
            Err(error) if error.is_transient() || matches!(error, ClientError::Lost(_)) => Err(error.into()),
            saved => saved.map_err(|error| fatal(format!("the progress was refused: {error}"))),
        }
    }

    async fn save(&mut self, changed: Map<String, Value>, progress: Progress<'_>) -> Result<(), ClientError> {
        progress.set(&changed).await?;
        self.saved = changed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[tokio::test]
    async fn only_what_a_command_changed_is_to_be_saved() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("step.json");
        let document =
            Document::write(PROGRESS_FILE, path.clone(), object(json!({"rows": 1}))).await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"rows\":1}\n");
        assert_eq!(document.changed().await.unwrap(), None);
        std::fs::write(&path, "{ \"rows\" : 1 }").unwrap();
        assert_eq!(document.changed().await.unwrap(), None);
        std::fs::write(&path, "{\"rows\": 2}").unwrap();
        assert_eq!(document.changed().await.unwrap(), Some(object(json!({"rows": 2}))));
        for half in ["", "{\"rows\": 2", "[1]"] {
            std::fs::write(&path, half).unwrap();
            assert!(document.changed().await.is_err(), "{half:?}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(document.changed().await.unwrap(), None);
    }
}
