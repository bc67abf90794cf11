//! A daemon for unit tests with scripted responses, which records its requests.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use warden_api::item::ItemFilter;
use warden_api::word::ItemState;

use super::leases::{ClaimOptions, LeaseClient};
use crate::cli::daemon::client::Client;
use crate::model::{ManualClock, Timestamp};

/// The initial time of the clock.
pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// Of every lease.
pub const TTL: Duration = Duration::from_secs(60);

/// Of every item, unless the next response is 410. Requests for it are not recorded and need no response.
const PAYLOAD: &[u8] = b"\0\xff\n";

pub enum Reply {
    Document(Value),
    /// A problem with this status and detail.
    Problem(u16, &'static str),
    /// The connection breaks off within the response.
    BrokenOff,
    /// No response.
    Silence,
}

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    requests: Vec<(String, Value)>,
}

pub struct FakeDaemon {
    /// A client of this daemon, with a manual clock.
    pub leases: Arc<LeaseClient>,
    pub clock: ManualClock,
    script: Arc<Mutex<Script>>,
    heard: Arc<Notify>,
    _server: AbortOnDropHandle<()>,
}

impl FakeDaemon {
    /// Responds with these replies in order, then not at all.
    pub async fn answering(replies: impl IntoIterator<Item = Reply>) -> Self {
        let script =
            Arc::new(Mutex::new(Script { replies: replies.into_iter().collect(), requests: Vec::new() }));
        let heard = Arc::new(Notify::new());
        let router = Router::new().fallback(answer).with_state((script.clone(), heard.clone()));
        let stdout = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", stdout.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(stdout, router).await.unwrap() });
        let clock = ManualClock::new(START);
        let options = ClaimOptions {
            selection: ItemFilter { states: vec![ItemState::Overdue], ..ItemFilter::default() },
            ttl: TTL,
            worker: Some("host-1".to_owned()),
        };
        let leases = LeaseClient::new(Client::new(&url, None).unwrap(), Arc::new(clock.clone()), options);
        Self { leases: Arc::new(leases), clock, script, heard, _server: AbortOnDropHandle::new(server) }
    }

    /// The requests so far: method with path, and body.
    pub fn requests(&self) -> Vec<(String, Value)> {
        self.script.lock().unwrap().requests.clone()
    }

    /// Waits for this number of requests, and returns the last one.
    pub async fn nth_request(&self, times: usize) -> (String, Value) {
        let waiting = async {
            loop {
                let heard = self.heard.notified();
                if let Some(question) = self.requests().get(times - 1) {
                    return question.clone();
                }
                heard.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it is asked")
    }
}

type Shared = (Arc<Mutex<Script>>, Arc<Notify>);

async fn answer(State((script, heard)): State<Shared>, method: Method, uri: Uri, body: Bytes) -> Response {
    let document = serde_json::from_slice(&body).unwrap_or_default();
    let reply = {
        let mut script = script.lock().unwrap();
        let is_gone = matches!(script.replies.front(), Some(Reply::Problem(410, _)));
        if uri.path().ends_with("/payload") && !is_gone {
            return Bytes::from_static(PAYLOAD).into_response();
        }
        script.requests.push((format!("{method} {uri}"), document));
        script.replies.pop_front()
    };
    heard.notify_waiters();
    match reply.unwrap_or(Reply::Silence) {
        Reply::Document(document) => axum::Json(document).into_response(),
        Reply::Problem(status, detail) => {
            let document = json!({"status": status, "title": "A problem", "detail": detail}).to_string();
            let status = StatusCode::from_u16(status).unwrap();
            (status, [(header::CONTENT_TYPE, "application/problem+json")], document).into_response()
        }
        Reply::BrokenOff => {
            let end = Err::<Bytes, _>(io::Error::other("the test breaks off"));
            Response::new(Body::from_stream(futures_util::stream::iter([Ok(Bytes::from("{")), end])))
        }
        Reply::Silence => std::future::pending().await,
    }
}
