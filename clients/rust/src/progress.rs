//! Progress documents without a worker: by the item, or by a lease that another process renews.

use reqwest::Method;
use reqwest::header::IF_MATCH;
use serde_json::{Map, Value};
use warden_api::lease::HeartbeatRequest;
use warden_api::step::ProgressChange;
use warden_api::word::{ProgressOperation, Vocabulary as _};
use warden_api::{StepName, path};

use crate::client::{Client, Query};
use crate::error::Error;
use crate::items::ItemHandle;

const MERGE_PATCH: &str = "application/merge-patch+json";

impl ItemHandle<'_> {
    /// The progress document of a step, or the one that all steps share; empty if nothing was saved.
    pub async fn progress(&self, step: Option<&str>) -> Result<Map<String, Value>, Error> {
        let path = self.progress_path(step)?;
        self.ask_at(Method::GET, &path, &Query::new(), |request| request).await
    }

    /// Changes the progress document of a step, or the one that all steps share, without a lease. Returns the
    /// changed document. With a version it is changed only if the item has that version, and the request is
    /// not repeated: its own success would look like a change by somebody else.
    pub async fn change_progress(
        &self,
        step: Option<&str>,
        op: ProgressOperation,
        value: &Map<String, Value>,
        if_version: Option<u64>,
    ) -> Result<Map<String, Value>, Error> {
        let path = self.progress_path(step)?;
        let (method, query) = match op {
            ProgressOperation::Set => (Method::PUT, Query::new()),
            op => (Method::PATCH, vec![("op", op.word().to_owned())]),
        };
        let with = |request: reqwest::RequestBuilder| match method {
            Method::PATCH => request.header(reqwest::header::CONTENT_TYPE, MERGE_PATCH).json(value),
            _ => request.json(value),
        };
        match if_version {
            None => self.ask_at(method.clone(), &path, &query, with).await,
            Some(version) => {
                let client = self.client();
                let request = with(client.request(method.clone(), &path, &query)?);
                let request = request.header(IF_MATCH, format!("\"{version}\""));
                Ok(client.send(request).await?.document().await?.1)
            }
        }
    }

    fn progress_path(&self, step: Option<&str>) -> Result<String, Error> {
        let (workflow, id) = self.key();
        Ok(match step {
            Some(step) => path::fill(path::STEP_PROGRESS, &[workflow, id, &StepName::new(step)?]),
            None => path::fill(path::ITEM_PROGRESS, &[workflow, id]),
        })
    }
}

impl Client {
    /// Changes a progress document as the holder of a lease, which another process renews. Refused once the
    /// lease is lost.
    pub async fn save_progress(&self, lease: &str, change: &ProgressChange) -> Result<(), Error> {
        let path = path::fill(path::LEASE_HEARTBEAT, &[lease]);
        let document =
            HeartbeatRequest { progress_change: Some(change.clone()), ..HeartbeatRequest::default() };
        self.repeat(|left| {
            let request = self.request(Method::POST, &path, &Query::new());
            let request = request.map(|request| request.json(&document).timeout(left));
            async move { self.send(request?).await.map(drop).map_err(Error::of_lease) }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scripted::{Reply, ScriptedDaemon};

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[tokio::test]
    async fn each_operation_has_its_request() {
        let replies = (0..4).map(|_| Reply::Document(json!({"a": 1})));
        let daemon = ScriptedDaemon::answering(replies).await;
        let client = Client::new(daemon.url(), None).unwrap();
        let item = client.item("etl", "a b").unwrap();
        let value = object(json!({"a": 1}));
        assert_eq!(item.progress(Some("load")).await.unwrap(), value);
        for op in [ProgressOperation::Set, ProgressOperation::Assign, ProgressOperation::Merge] {
            assert_eq!(item.change_progress(None, op, &value, None).await.unwrap(), value);
        }
        let items = "/v1/workflows/etl/items/a%20b";
        let lines: Vec<String> = daemon.requests().into_iter().map(|request| request.line).collect();
        let expected = [
            format!("GET {items}/steps/load/progress"),
            format!("PUT {items}/progress"),
            format!("PATCH {items}/progress?op=assign"),
            format!("PATCH {items}/progress?op=merge"),
        ];
        assert_eq!(lines, expected);
    }

    #[tokio::test]
    async fn a_change_of_a_certain_version_is_not_repeated() {
        let daemon =
            ScriptedDaemon::answering([Reply::Problem(503, "busy"), Reply::Problem(503, "busy")]).await;
        let client = Client::new(daemon.url(), None).unwrap();
        let item = client.item("etl", "a").unwrap();
        let change = item.change_progress(None, ProgressOperation::Set, &Map::new(), Some(3)).await;
        assert_eq!((change.unwrap_err().status(), daemon.requests().len()), (Some(503), 1));
    }

    #[tokio::test]
    async fn what_the_holder_of_a_lease_saves_goes_with_it_until_it_is_lost() {
        let replies = [Reply::Document(json!({})), Reply::Problem(409, "taken")];
        let daemon = ScriptedDaemon::answering(replies).await;
        let client = Client::new(daemon.url(), None).unwrap();
        let value = object(json!({"rows": 7}));
        let change = ProgressChange { op: ProgressOperation::Assign, value, of_step: true };
        client.save_progress("lse_a", &change).await.unwrap();
        let lost = client.save_progress("lse_a", &change).await.unwrap_err();
        assert!(matches!(&lost, Error::Lost(reason) if reason == "taken"), "{lost:?}");
        let request = daemon.requests().remove(0);
        assert_eq!(request.line, "POST /v1/leases/lse_a/heartbeat");
        assert_eq!(
            request.document["progress_change"],
            json!({"op": "assign", "value": {"rows": 7}, "of_step": true})
        );
    }
}
