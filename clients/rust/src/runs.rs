//! Runs of a workflow: opened and ended by its name, their ledger, windows, holds, and waiting for them.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use warden_api::item::ItemAnswer;
use warden_api::run::{
    CloseRunRequest, FailRunRequest, HoldWorkflowRequest, ReleaseWorkflowRequest, RunRequest, RunsStatus,
    Waited, Windows,
};
use warden_api::word::{DateStyle, ParamsFormat};
use warden_api::{WorkflowName, path};

use crate::client::{Client, Query};
use crate::error::Error;

/// How much later than its own timeout a request that waits is given up.
const SLACK: Duration = Duration::from_secs(15);

/// Which runs a request waits for.
#[derive(Clone, Debug, Default)]
pub struct AwaitedRuns {
    /// The workflows; 1 to 32.
    pub workflows: Vec<WorkflowName>,
    /// When the latest run of each must have ended at the earliest: `today`, or an instant (RFC 3339).
    pub since: Option<String>,
    /// Where `today` is: a time zone of the IANA database, such as `Europe/Berlin`. UTC by default.
    pub timezone: Option<String>,
    /// An instant that the successful runs of every job must cover.
    pub covers: Option<String>,
    /// A failed run ends the wait with the problem `run-failed`.
    pub fail_fast: bool,
}

/// Which parameters, and how they are written.
#[derive(Clone, Debug, Default)]
pub struct ParamsRequest {
    /// The id of the run; by default the latest that has begun.
    pub run: Option<String>,
    /// JSON by default.
    pub format: Option<ParamsFormat>,
    /// How `infa` writes instants.
    pub dates: Option<DateStyle>,
}

/// The runs of a workflow.
#[derive(Clone, Debug)]
pub struct RunsHandle<'a> {
    client: &'a Client,
    workflow: WorkflowName,
}

impl Client {
    /// The runs of this workflow. Fails if that is no valid name.
    pub fn runs(&self, workflow: &str) -> Result<RunsHandle<'_>, Error> {
        Ok(RunsHandle { client: self, workflow: WorkflowName::new(workflow)? })
    }

    /// Waits until the latest run of each workflow has succeeded, for at most `timeout`, which the daemon
    /// limits to 60 s: repeat it for longer waits. `None` if they have not. Sent once.
    pub async fn wait_for_runs(
        &self,
        awaited: &AwaitedRuns,
        timeout: Duration,
    ) -> Result<Option<Waited>, Error> {
        let AwaitedRuns { workflows, since, timezone, covers, fail_fast } = awaited;
        let mut query: Query = workflows.iter().map(|name| ("workflow", name.to_string())).collect();
        let named = [("since", since), ("timezone", timezone), ("covers", covers)];
        query.extend(named.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
        query.push(("timeout", format!("{}ms", timeout.as_millis())));
        query.extend(fail_fast.then(|| ("fail_fast", "true".to_owned())));
        let request = self.request(Method::GET, path::WAIT, &query)?.timeout(timeout + SLACK);
        let answer = self.send(request).await?;
        if answer.status() == 204 { Ok(None) } else { Ok(Some(answer.document().await?.1)) }
    }
}

impl RunsHandle<'_> {
    /// Opens a run. One with an id may be opened again, with the same effect, and the request is repeated;
    /// one without is sent once, as each request would open a run.
    pub async fn open(&self, run: &RunRequest) -> Result<ItemAnswer, Error> {
        self.ask(run.id.is_some(), Method::POST, path::WORKFLOW_RUNS, Query::new(), |request| {
            request.json(run)
        })
        .await
    }

    /// The newest open run. Fails with the problem `no-run-open` if there is none.
    pub async fn current(&self) -> Result<ItemAnswer, Error> {
        self.ask(true, Method::GET, path::CURRENT_RUN, Query::new(), |request| request).await
    }

    /// Closes the newest open run. Sent once: a repetition could close another one.
    pub async fn close_current(&self, end: &CloseRunRequest) -> Result<ItemAnswer, Error> {
        self.ask(false, Method::POST, path::CURRENT_RUN_CLOSE, Query::new(), |request| request.json(end))
            .await
    }

    /// Fails the newest open run. Sent once: a repetition could fail another one.
    pub async fn fail_current(&self, end: &FailRunRequest) -> Result<ItemAnswer, Error> {
        self.ask(false, Method::POST, path::CURRENT_RUN_FAIL, Query::new(), |request| request.json(end)).await
    }

    /// What its runs have come to.
    pub async fn status(&self) -> Result<RunsStatus, Error> {
        self.ask(true, Method::GET, path::RUNS_STATUS, Query::new(), |request| request).await
    }

    /// The parameters of a run, as the daemon writes them.
    pub async fn params(&self, which: &ParamsRequest) -> Result<Bytes, Error> {
        let named = [
            ("run", which.run.clone()),
            ("format", which.format.map(|format| format.to_string())),
            ("dates", which.dates.map(|dates| dates.to_string())),
        ];
        let query: Query = named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let path = path::fill(path::WORKFLOW_PARAMS, &[&self.workflow]);
        self.client
            .repeat(|left| {
                let request = self.client.request(Method::GET, &path, &query);
                async move { self.client.send(request?.timeout(left)).await?.bytes().await }
            })
            .await
    }

    /// Which intervals its successful runs cover, between two instants (RFC 3339) if these are given.
    pub async fn windows(&self, since: Option<String>, until: Option<String>) -> Result<Windows, Error> {
        let query = [("since", since), ("until", until)];
        let query = query.into_iter().filter_map(|(name, at)| Some((name, at?))).collect();
        self.ask(true, Method::GET, path::WORKFLOW_WINDOWS, query, |request| request).await
    }

    /// Puts the workflow on hold.
    pub async fn hold(&self, hold: &HoldWorkflowRequest) -> Result<RunsStatus, Error> {
        self.ask(true, Method::POST, path::WORKFLOW_HOLD, Query::new(), |request| request.json(hold)).await
    }

    /// Ends the hold of the workflow.
    pub async fn release(&self, release: &ReleaseWorkflowRequest) -> Result<RunsStatus, Error> {
        self.ask(true, Method::POST, path::WORKFLOW_RELEASE, Query::new(), |request| request.json(release))
            .await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        may_repeat: bool,
        method: Method,
        template: &str,
        query: Query,
        with: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, Error> {
        let path = path::fill(template, &[&self.workflow]);
        let once = |left: Duration| {
            let request = self.client.request(method.clone(), &path, &query);
            let request = request.map(|request| with(request.timeout(left)));
            async move { Ok(self.client.send(request?).await?.document().await?.1) }
        };
        if may_repeat { self.client.repeat(once).await } else { once(self.client.patience()).await }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scripted::{Reply, ScriptedDaemon, item_document};

    #[tokio::test]
    async fn only_a_run_with_an_id_is_opened_again_when_the_answer_is_lost() {
        let replies = [
            Reply::Problem(503, "busy"),
            Reply::Problem(503, "busy"),
            Reply::Created(item_document("a", "open")),
        ];
        let daemon = ScriptedDaemon::answering(replies).await;
        let client = Client::new(daemon.url(), None).unwrap();
        let runs = client.runs("nightly").unwrap();
        let refused = runs.open(&RunRequest::default()).await.unwrap_err();
        assert_eq!((refused.status(), daemon.requests().len()), (Some(503), 1));
        let run = RunRequest { id: Some("a".to_owned()), ..RunRequest::default() };
        runs.open(&run).await.unwrap();
        let requests = daemon.requests();
        assert_eq!(requests.len(), 3);
        assert_eq!(requests[2].line, "POST /v1/workflows/nightly/runs");
        assert_eq!(requests[2].document, json!({"id": "a"}));
    }

    #[tokio::test]
    async fn the_open_run_is_shown_as_far_as_the_token_may_see_it() {
        let receipt = json!({"workflow": "nightly", "id": "b", "state": "open",
            "deadline": "2026-01-01T01:00:00.000Z", "version": 1});
        let replies = [Reply::Document(item_document("a", "open")), Reply::Document(receipt)];
        let daemon = ScriptedDaemon::answering(replies).await;
        let client = Client::new(daemon.url(), None).unwrap();
        let runs = client.runs("nightly").unwrap();
        assert!(matches!(runs.current().await.unwrap(), ItemAnswer::Item(item) if &*item.id == "a"));
        assert!(matches!(runs.current().await.unwrap(), ItemAnswer::Receipt(receipt) if &*receipt.id == "b"));
        assert_eq!(daemon.requests()[0].line, "GET /v1/workflows/nightly/runs/current");
    }

    #[tokio::test]
    async fn a_request_that_waits_names_each_workflow_and_says_whether_they_have_succeeded() {
        let waited = json!({"runs": [
            {"workflow": "a", "number": 3, "ended_at": "2026-01-01T00:00:00.000Z"}]});
        let daemon = ScriptedDaemon::answering([Reply::Document(waited)]).await;
        let client = Client::new(daemon.url(), None).unwrap();
        let workflows = ["a", "b"].map(|name| WorkflowName::new(name).unwrap()).to_vec();
        let (since, timezone) = (Some("today".to_owned()), Some("Europe/Berlin".to_owned()));
        let awaited = AwaitedRuns { workflows, since, timezone, fail_fast: true, ..AwaitedRuns::default() };
        let waited = client.wait_for_runs(&awaited, Duration::from_secs(60)).await.unwrap();
        assert_eq!(waited.unwrap().runs[0].number, 3);
        let expected = "GET /v1/wait?workflow=a&workflow=b&since=today&timezone=Europe%2FBerlin&\
                        timeout=60000ms&fail_fast=true";
        assert_eq!(daemon.requests()[0].line, expected);
    }
}
