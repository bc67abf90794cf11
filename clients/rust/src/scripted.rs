//! A daemon with scripted answers, which records what it is asked, and a clock that is set by hand. For tests
//! of this crate and of programs that use it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;
use warden_api::Timestamp;

use crate::clock::Clock;

/// The initial time of a [`ManualClock`]: 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Of every item, unless the next answer is 410. Requests for it are not recorded and take no answer.
pub const PAYLOAD: &[u8] = b"\0\xff\n";

/// An answer of the script.
pub enum Reply {
    /// 200 with this JSON.
    Document(Value),
    /// 201 with this JSON.
    Created(Value),
    /// A problem with this status and detail.
    Problem(u16, &'static str),
    /// A problem with this status, and this `Retry-After` in seconds.
    RetryAfter(u16, u64),
    /// The connection breaks off within the response.
    BrokenOff,
    /// No response.
    Silence,
}

/// A request that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The method and the path with its query, such as `GET /v1/items?limit=1`.
    pub line: String,
    /// The body, null if it is no JSON.
    pub document: Value,
}

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    requests: Vec<Request>,
}

type Shared = (Arc<Mutex<Script>>, Arc<Notify>);

/// A daemon on the loopback interface, until it is dropped.
pub struct ScriptedDaemon {
    url: String,
    script: Arc<Mutex<Script>>,
    heard: Arc<Notify>,
    _server: AbortOnDropHandle<()>,
}

impl ScriptedDaemon {
    /// Responds with these answers in order, then not at all.
    ///
    /// # Panics
    /// If no port can be opened.
    pub async fn answering(replies: impl IntoIterator<Item = Reply>) -> Self {
        let script = Script { replies: replies.into_iter().collect(), requests: Vec::new() };
        let (script, heard) = (Arc::new(Mutex::new(script)), Arc::new(Notify::new()));
        let router = Router::new().fallback(answer).with_state((script.clone(), heard.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, script, heard, _server: AbortOnDropHandle::new(server) }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.script).requests.clone()
    }

    /// Waits for this number of requests, and returns the last of them.
    ///
    /// # Panics
    /// If it does not come within 30 s.
    pub async fn nth_request(&self, number: usize) -> Request {
        let waiting = async {
            loop {
                let heard = self.heard.notified();
                if let Some(request) = self.requests().get(number - 1) {
                    return request.clone();
                }
                heard.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it is asked")
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State((script, heard)): State<Shared>, method: Method, uri: Uri, body: Bytes) -> Response {
    let document = serde_json::from_slice(&body).unwrap_or_default();
    let reply = {
        let mut script = lock(&script);
        let is_gone = matches!(script.replies.front(), Some(Reply::Problem(410, _)));
        if uri.path().ends_with("/payload") && !is_gone {
            return Bytes::from_static(PAYLOAD).into_response();
        }
        script.requests.push(Request { line: format!("{method} {uri}"), document });
        script.replies.pop_front()
    };
    heard.notify_waiters();
    let problem = |status: u16, detail: &str| {
        let document = json!({"status": status, "title": "A problem", "detail": detail}).to_string();
        let status = StatusCode::from_u16(status).expect("a status");
        (status, [(header::CONTENT_TYPE, "application/problem+json")], document).into_response()
    };
    match reply.unwrap_or(Reply::Silence) {
        Reply::Document(document) => axum::Json(document).into_response(),
        Reply::Created(document) => (StatusCode::CREATED, axum::Json(document)).into_response(),
        Reply::Problem(status, detail) => problem(status, detail),
        Reply::RetryAfter(status, seconds) => {
            let mut response = problem(status, "busy");
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            response
        }
        Reply::BrokenOff => {
            let end = Err::<Bytes, _>(io::Error::other("the script breaks off"));
            Response::new(Body::from_stream(futures_util::stream::iter([Ok(Bytes::from("{")), end])))
        }
        Reply::Silence => std::future::pending().await,
    }
}

/// A clock that only moves when it is told to. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock(watch::Sender<Timestamp>);

impl ManualClock {
    /// A clock at [`START`].
    pub fn new() -> Self {
        Self(watch::Sender::new(START))
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now = now.after(by));
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()> {
        let mut told = self.0.subscribe();
        // Keeps the clock alive.
        let clock = self.clone();
        Box::pin(async move {
            let _ = told.wait_for(|now| *now >= instant).await;
            drop(clock);
        })
    }
}

/// A claimed item of the workflow `uploads` at the step `copy`, under the lease `lse_ID`.
pub fn lease_document(id: &str) -> Value {
    json!({
        "id": format!("lse_{id}"), "token": 7, "attempt": 2, "expires_at": "2026-01-01T00:01:00.000Z",
        "item": item_document(id, "open"), "payload_base64": null,
    })
}

/// An item of the workflow `uploads` at the step `copy`, in this state.
pub fn item_document(id: &str, state: &str) -> Value {
    json!({
        "workflow": "uploads", "id": id, "state": state, "created_at": "2026-01-01T00:00:00.000Z",
        "deadline": "2026-01-01T01:00:00.000Z", "overdue_since": null, "closed_at": null, "outcome": null,
        "labels": {"region": "eu"}, "step": "copy", "step_entered_at": "2026-01-01T00:00:00.000Z",
        "step_attempts": 2, "steps": [], "progress": {"seen": 1}, "errors": [], "artifacts": [],
        "params": null, "lease": null, "retry_at": null, "incident": null,
        "payload": {"size": 3, "content_type": "text/plain", "content_encoding": null, "sha256": "00"},
        "version": 1,
    })
}
