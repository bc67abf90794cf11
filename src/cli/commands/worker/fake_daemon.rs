//! A stand-in for a daemon in unit tests: it answers as it is told, and remembers what it was asked.

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

/// When the clock of the tests starts.
pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// For how long the leases of the tests last.
pub const TTL: Duration = Duration::from_secs(60);

/// The payload of every item, unless the next answer is that it is gone. It is handed out without a word of it.
const PAYLOAD: &[u8] = b"\0\xff\n";

/// What is answered.
pub enum Reply {
    /// 200 with this document.
    Document(Value),
    /// This status with a problem that says this.
    Problem(u16, &'static str),
    /// The connection breaks off amid the answer.
    BrokenOff,
    /// Nothing, ever.
    Silence,
}

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    asked: Vec<(String, Value)>,
}

/// The stand-in.
pub struct FakeDaemon {
    /// The leases that asks it, with the clock in the test's hand.
    pub leases: Arc<LeaseClient>,
    /// That clock.
    pub clock: ManualClock,
    script: Arc<Mutex<Script>>,
    heard: Arc<Notify>,
    _server: AbortOnDropHandle<()>,
}

impl FakeDaemon {
    /// One that answers like this, one after the other.
    pub async fn answering(replies: impl IntoIterator<Item = Reply>) -> Self {
        let script =
            Arc::new(Mutex::new(Script { replies: replies.into_iter().collect(), asked: Vec::new() }));
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

    /// What it was asked so far: methods and paths, and documents.
    pub fn asked(&self) -> Vec<(String, Value)> {
        self.script.lock().unwrap().asked.clone()
    }

    /// Waits until it was asked so often, and gives the last question.
    pub async fn asked_times(&self, times: usize) -> (String, Value) {
        let waiting = async {
            loop {
                let heard = self.heard.notified();
                if let Some(question) = self.asked().get(times - 1) {
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
        script.asked.push((format!("{method} {uri}"), document));
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
