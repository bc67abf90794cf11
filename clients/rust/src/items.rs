//! What an application does with one item: create it, read it, report on it, close it.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use warden_api::item::{ErrorReceipt, ErrorRequest, ItemAnswer, PatchRequest};
use warden_api::step::StepRequest;
use warden_api::word::{CloseOutcome, StepStatus, Vocabulary as _};
use warden_api::{Item, ItemId, StepName, WorkflowName, path};

use crate::client::{Client, Query};
use crate::error::Error;

impl Client {
    /// The item of this workflow and id, which need not exist yet. Fails if one of them is no valid name.
    pub fn item(&self, workflow: &str, id: &str) -> Result<ItemHandle<'_>, Error> {
        Ok(ItemHandle { client: self, workflow: WorkflowName::new(workflow)?, id: ItemId::new(id)? })
    }
}

/// An item to be created: its payload, and what is to be said of it.
#[derive(Clone, Debug)]
pub struct NewItem {
    payload: Bytes,
    content_type: String,
    content_encoding: Option<String>,
    query: Query,
}

impl NewItem {
    /// With a payload of bytes, `application/octet-stream`.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self {
            payload: payload.into(),
            content_type: "application/octet-stream".to_owned(),
            content_encoding: None,
            query: Query::new(),
        }
    }

    /// With a payload that is a JSON document. Fails if the value cannot be one.
    pub fn json(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self::new(serde_json::to_vec(value)?).content_type("application/json"))
    }

    /// The content type of the payload.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = content_type.into();
        self
    }

    /// The content codings that the payload has already, such as `gzip`.
    #[must_use]
    pub fn content_encoding(mut self, codings: impl Into<String>) -> Self {
        self.content_encoding = Some(codings.into());
        self
    }

    /// When the item must be closed: a duration from now such as `15m`, or an instant (RFC 3339). By default
    /// what the workflow says.
    #[must_use]
    pub fn deadline(self, deadline: impl Into<String>) -> Self {
        self.with("deadline", deadline.into())
    }

    /// Adds a label.
    #[must_use]
    pub fn label(self, name: &str, value: &str) -> Self {
        self.with("label", format!("{name}:{value}"))
    }

    /// Adds a step of the item's own. With one of its own it does not go through those of its workflow.
    #[must_use]
    pub fn step(self, name: impl Into<String>) -> Self {
        self.with("steps", name.into())
    }

    /// The step that it begins at; by default the first.
    #[must_use]
    pub fn begins_at(self, step: impl Into<String>) -> Self {
        self.with("step", step.into())
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.query.push((name, value));
        self
    }
}

/// The answer to a create.
#[derive(Clone, Debug, PartialEq)]
pub struct Created {
    /// False if the item was there already, open and with the same payload.
    pub is_new: bool,
    /// The item, or a receipt if the token may not read.
    pub answer: ItemAnswer,
}

/// An item of a daemon. Every method is one request, repeated while the daemon is away or overloaded.
#[derive(Clone, Debug)]
pub struct ItemHandle<'a> {
    client: &'a Client,
    workflow: WorkflowName,
    id: ItemId,
}

impl ItemHandle<'_> {
    /// Creates it. Succeeds also if it is open with the same payload.
    pub async fn create(&self, item: NewItem) -> Result<Created, Error> {
        let NewItem { payload, content_type, content_encoding, query } = item;
        self.client
            .repeat(|left| {
                let request = self.request(Method::PUT, path::ITEM, &query, left).map(|request| {
                    let request = request.header(CONTENT_TYPE, &content_type).body(payload.clone());
                    match &content_encoding {
                        Some(codings) => request.header(CONTENT_ENCODING, codings),
                        None => request,
                    }
                });
                async move {
                    let answer = self.client.send(request?).await?;
                    let is_new = answer.status() == 201;
                    Ok(Created { is_new, answer: answer.document().await?.1 })
                }
            })
            .await
    }

    /// Reads it.
    pub async fn get(&self) -> Result<Item, Error> {
        self.ask(Method::GET, path::ITEM, &Query::new(), |request| request).await
    }

    /// Reads its payload, the bytes as they were handed in.
    pub async fn payload(&self) -> Result<Bytes, Error> {
        self.client
            .repeat(|left| {
                let request = self.request(Method::GET, path::ITEM_PAYLOAD, &Query::new(), left);
                async move { self.client.send(request?).await?.bytes().await }
            })
            .await
    }

    /// Closes it. Succeeds also if it is closed already.
    pub async fn close(&self, outcome: CloseOutcome) -> Result<(), Error> {
        self.close_at(outcome, None).await
    }

    /// The same for a run that ended earlier, at an instant (RFC 3339).
    pub async fn close_at(&self, outcome: CloseOutcome, at: Option<&str>) -> Result<(), Error> {
        let mut query = vec![("outcome", outcome.word().to_owned())];
        query.extend(at.map(|at| ("at", at.to_owned())));
        self.client
            .repeat(|left| {
                let request = self.request(Method::DELETE, path::ITEM, &query, left);
                async move { self.client.send(request?).await.map(drop) }
            })
            .await
    }

    /// Changes its deadline, labels or progress.
    pub async fn change(&self, change: &PatchRequest) -> Result<ItemAnswer, Error> {
        self.ask(Method::PATCH, path::ITEM, &Query::new(), |request| request.json(change)).await
    }

    /// Reports an error; returns its id, which is also in the daemon's log. `key` names this report: a
    /// repetition with the same key, also by another process, reports nothing more.
    pub async fn report_error(&self, error: &ErrorRequest, key: &str) -> Result<ErrorReceipt, Error> {
        let with = |request: RequestBuilder| request.header("idempotency-key", key).json(error);
        self.ask(Method::POST, path::ITEM_ERRORS, &Query::new(), with).await
    }

    /// Reports on the step that it is at, without a lease. A report that was made before changes nothing.
    pub async fn report_step(&self, step: &str, report: &StepRequest) -> Result<ItemAnswer, Error> {
        let step = StepName::new(step)?;
        let path = path::fill(path::ITEM_STEP, &[&self.workflow, &self.id, &step]);
        self.ask_at(Method::POST, &path, &Query::new(), |request| request.json(report)).await
    }

    /// Reports that the step that it is at is done.
    pub async fn step_done(&self, step: &str) -> Result<ItemAnswer, Error> {
        let report = StepRequest { status: Some(StepStatus::Done), ..StepRequest::default() };
        self.report_step(step, &report).await
    }

    pub(crate) fn client(&self) -> &Client {
        self.client
    }

    pub(crate) fn key(&self) -> (&WorkflowName, &ItemId) {
        (&self.workflow, &self.id)
    }

    /// A request for a path of the item.
    fn request(
        &self,
        method: Method,
        template: &str,
        query: &Query,
        left: Duration,
    ) -> Result<RequestBuilder, Error> {
        let path = path::fill(template, &[&self.workflow, &self.id]);
        Ok(self.client.request(method, &path, query)?.timeout(left))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        template: &str,
        query: &Query,
        with: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, Error> {
        self.ask_at(method, &path::fill(template, &[&self.workflow, &self.id]), query, with).await
    }

    pub(crate) async fn ask_at<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &Query,
        with: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, Error> {
        self.client
            .repeat(|left| {
                let request = self.client.request(method.clone(), path, query);
                let request = request.map(|request| with(request.timeout(left)));
                async move { Ok(self.client.send(request?).await?.document().await?.1) }
            })
            .await
    }
}

#[cfg(test)]
mod tests;
