//! What `warden run` reports of a run, and its delivery.
//!
//! Invariant: a delivery may be repeated, also after one that broke off anywhere. The client chooses the id
//! of the run, a run that is open is opened again without effect, an error has an idempotency key, and a
//! run that is closed was reported already.

use serde::{Deserialize, Serialize};
use serde_json::json;
use warden_api::Problem;
use warden_api::item::ErrorRequest;
use warden_api::limit::{ERROR_MESSAGE_MAX, ERROR_STACK_MAX};
use warden_api::run::RunRequest;
use warden_api::word::CloseOutcome;
use warden_client::{Client, Error as ClientError};

use crate::cli::commands::worker::tail::end_of;
use crate::model::Timestamp;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The URL of the warden that it is for.
    pub url: String,
    pub workflow: String,
    /// With an id.
    pub run: RunRequest,
    /// Whether the warden has confirmed that the run is open.
    pub is_open: bool,
    pub started_at: Timestamp,
    /// `None` if the command has not ended, or its end is unknown.
    pub end: Option<End>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct End {
    pub at: Timestamp,
    /// `None` if it succeeded.
    pub failure: Option<Failure>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// `exit 3`, `signal 9`, `min_time`, `not_started` or `run_lost`.
    pub kind: String,
    pub message: String,
    /// The end of the output.
    pub output: String,
    /// Of the command, as a shell shows it. `None` if its end is unknown.
    pub exit_code: Option<u8>,
    /// As many failures in a row alert nobody.
    pub tolerate: u32,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// The warden knows how the run ended.
    Told,
    /// The same; it failed and alerts nobody.
    Tolerated { failures: usize },
}

impl Report {
    pub fn id(&self) -> &str {
        self.run.id.as_deref().unwrap_or_default()
    }

    /// How the run ended, for people.
    pub fn ending(&self) -> &str {
        match &self.end {
            None => "unknown",
            Some(End { failure: None, .. }) => "success",
            Some(End { failure: Some(failure), .. }) => &failure.kind,
        }
    }

    /// Tells the warden. A report that is `late` says when the run ended.
    pub async fn deliver(&self, client: &Client, late: bool) -> Result<Delivered, ClientError> {
        if !self.is_open {
            let run = RunRequest { started_at: Some(self.started_at.to_string()), ..self.run.clone() };
            match client.runs(&self.workflow)?.open(&run).await {
                Err(error) if error.problem() == Some(Problem::ItemClosed) => return Ok(Delivered::Told),
                opened => drop(opened?),
            }
        }
        let at = self.end.as_ref().filter(|_| late || !self.is_open).map(|end| end.at.to_string());
        let told = match self.tell(client, at.as_deref()).await {
            // The clock of this machine may be ahead of the daemon's.
            Err(error) if at.is_some() && error.problem() == Some(Problem::InvalidRequest) => {
                self.tell(client, None).await
            }
            told => told,
        };
        match told {
            Err(error) if error.problem() == Some(Problem::ItemClosed) => Ok(Delivered::Told),
            told => told,
        }
    }

    async fn tell(&self, client: &Client, at: Option<&str>) -> Result<Delivered, ClientError> {
        let item = client.item(&self.workflow, self.id())?;
        let failure = match &self.end {
            Some(End { failure: None, .. }) => {
                item.close_at(CloseOutcome::Success, at).await?;
                return Ok(Delivered::Told);
            }
            Some(End { failure: Some(failure), .. }) => failure.clone(),
            None => Failure::lost(),
        };
        let tolerated = failure.tolerated(client, &self.workflow).await?;
        let key = format!("warden-run-{}", self.id());
        let error =
            ErrorRequest { fatal: tolerated.is_none(), at: at.map(str::to_owned), ..failure.document() };
        item.report_error(&error, &key).await?;
        match tolerated {
            None => Ok(Delivered::Told),
            Some(failures) => {
                item.close_at(CloseOutcome::Failed, at).await?;
                Ok(Delivered::Tolerated { failures })
            }
        }
    }
}

impl Failure {
    /// Of a run of which only the beginning is known.
    fn lost() -> Self {
        Self {
            kind: "run_lost".to_owned(),
            message: "`warden run` ended without a report: how the command ended is unknown".to_owned(),
            output: String::new(),
            exit_code: None,
            tolerate: 0,
        }
    }

    /// The failures in a row with this one, if so many alert nobody.
    async fn tolerated(&self, client: &Client, workflow: &str) -> Result<Option<usize>, ClientError> {
        if self.tolerate == 0 {
            return Ok(None);
        }
        let failures = match client.runs(workflow)?.status().await {
            Ok(status) => status.failures + 1,
            // A token that may not read: better told than not.
            Err(error) if error.status() == Some(403) => return Ok(None),
            Err(error) => return Err(error),
        };
        let most = usize::try_from(self.tolerate).unwrap_or(usize::MAX);
        Ok((failures <= most).then_some(failures))
    }

    fn document(&self) -> ErrorRequest {
        let output = end_of(&self.output, ERROR_STACK_MAX).to_owned();
        ErrorRequest {
            kind: self.kind.clone(),
            message: self.message[..self.message.floor_char_boundary(ERROR_MESSAGE_MAX)].to_owned(),
            data: self.exit_code.map(|code| json!({"exit_code": code})).unwrap_or_default(),
            stack: (!output.is_empty()).then_some(output),
            ..ErrorRequest::default()
        }
    }
}
