//! Requests to a daemon, answered by a status and JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{DaemonProcess, client};

/// The workflow that the items are of.
const WORKFLOW: &str = "volumes";

/// A status, and what was said with it: nothing where that is no JSON.
pub type Answer = (u64, Value);

/// Where a daemon is asked. It outlives the daemon, which then answers nothing.
pub struct Desk {
    http: Client,
    base: String,
}

fn item(number: u64) -> String {
    format!("/v1/workflows/{WORKFLOW}/items/{number}")
}

async fn ask(request: RequestBuilder) -> Result<Answer, String> {
    let response = request.send().await.map_err(|error| format!("{error:?}"))?;
    let status = response.status().as_u16().into();
    if status == 507 && !response.headers().contains_key("retry-after") {
        return Err("a 507 does not say when to try again".into());
    }
    let bytes = response.bytes().await.map_err(|error| format!("{error:?}"))?;
    Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
}

impl Desk {
    /// That of this daemon.
    pub fn of(daemon: &DaemonProcess) -> Self {
        Self { http: client(), base: daemon.url("") }
    }

    /// Creates an item.
    pub async fn create(&self, number: u64, payload: Vec<u8>) -> Result<Answer, String> {
        ask(self.http.put(format!("{}{}", self.base, item(number))).body(payload)).await
    }

    /// Creates some by one request; an answer for each.
    pub async fn create_batch(
        &self,
        items: impl Iterator<Item = (u64, Vec<u8>)>,
    ) -> Result<Vec<Answer>, String> {
        let lines = items.map(|(number, payload)| {
            let payload = STANDARD.encode(payload);
            json!({"op": "create", "workflow": WORKFLOW, "id": number.to_string(), "payload_base64": payload})
        });
        self.batch(lines).await
    }

    /// Closes an item.
    pub async fn close(&self, number: u64) -> Result<Answer, String> {
        ask(self.http.delete(format!("{}{}", self.base, item(number)))).await
    }

    /// Closes some by one request; an answer for each.
    pub async fn close_batch(&self, numbers: &[u64]) -> Result<Vec<Answer>, String> {
        let line = |number: &u64| json!({"op": "close", "workflow": WORKFLOW, "id": number.to_string()});
        self.batch(numbers.iter().map(line)).await
    }

    async fn batch(&self, lines: impl Iterator<Item = Value>) -> Result<Vec<Answer>, String> {
        let lines: Vec<String> = lines.map(|line| format!("{line}\n")).collect();
        let post = self.http.post(format!("{}/v1/batch", self.base));
        let post = post.header("content-type", "application/x-ndjson").body(lines.concat());
        let response = post.send().await.map_err(|error| format!("{error:?}"))?;
        let status = response.status();
        let text = response.text().await.map_err(|error| format!("{error:?}"))?;
        let said = |line: &str| -> Value { serde_json::from_str(line).unwrap_or_default() };
        let answers: Vec<Value> = text.lines().map(said).collect();
        if !status.is_success() || answers.len() != lines.len() {
            return Err(format!("a batch of {} lines was answered with {status} {text}", lines.len()));
        }
        Ok(answers.into_iter().map(|said| (said["status"].as_u64().unwrap_or_default(), said)).collect())
    }

    /// Gives an item more time.
    pub async fn extend(&self, number: u64) -> Result<Answer, String> {
        let patch = json!({"deadline": "48h"});
        ask(self.http.patch(format!("{}{}", self.base, item(number))).json(&patch)).await
    }

    /// Says how far an item is.
    pub async fn report(&self, number: u64) -> Result<Answer, String> {
        let patch = json!({"progress": {"seen": number}});
        ask(self.http.patch(format!("{}{}", self.base, item(number))).json(&patch)).await
    }

    /// An item.
    pub async fn item(&self, number: u64) -> Result<Answer, String> {
        ask(self.http.get(format!("{}{}", self.base, item(number)))).await
    }

    /// The payload of an item, with the status.
    pub async fn payload(&self, number: u64) -> Result<(u64, Vec<u8>), String> {
        let get = self.http.get(format!("{}{}/payload", self.base, item(number))).send();
        let response = get.await.map_err(|error| format!("{error:?}"))?;
        let status = response.status().as_u16().into();
        let bytes = response.bytes().await.map_err(|error| format!("{error:?}"))?;
        Ok((status, bytes.into()))
    }

    /// The figures of the workflow.
    pub async fn stats(&self) -> Result<Value, String> {
        let stats = self.http.get(format!("{}/v1/workflows/{WORKFLOW}/stats", self.base));
        Ok(ask(stats).await?.1)
    }
}
