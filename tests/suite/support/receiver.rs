//! A receiver: a real HTTP server with scripted answers that records its requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::JoinHandle;

use super::within_patience;

/// A notification as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Received {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// What it says, such as `incident.opened`.
    pub fn event(&self) -> String {
        self.json()["type"].as_str().expect("a type").to_owned()
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text"))
    }
}

struct Shared {
    inbox: mpsc::UnboundedSender<Received>,
    answers: Mutex<VecDeque<(StatusCode, HeaderMap)>>,
    usual: Mutex<(StatusCode, HeaderMap)>,
    words: Mutex<&'static str>,
}

/// A receiver that listens.
pub struct TestReceiver {
    url: String,
    shared: Arc<Shared>,
    received: AsyncMutex<mpsc::UnboundedReceiver<Received>>,
    server: JoinHandle<()>,
}

impl TestReceiver {
    /// A receiver that answers 204 to everything.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let (inbox, received) = mpsc::unbounded_channel();
        let usual = Mutex::new((StatusCode::NO_CONTENT, HeaderMap::new()));
        let shared = Arc::new(Shared { inbox, answers: Mutex::default(), usual, words: Mutex::default() });
        let router = Router::new().fallback(take).with_state(shared.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("a server that serves");
        });
        Self { url, shared, received: AsyncMutex::new(received), server }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers every request like this from now on, unless it has an answer of its own.
    pub fn usually(&self, status: u16, headers: &[(&'static str, &'static str)]) {
        *self.shared.usual.lock().expect("not poisoned") = answer(status, headers);
    }

    /// Puts this into the body of every answer from now on.
    pub fn saying(&self, words: &'static str) {
        *self.shared.words.lock().expect("not poisoned") = words;
    }

    /// Answers the next request that has no answer yet like this, before it goes back to the usual one.
    pub fn answer(&self, status: u16, headers: &[(&'static str, &'static str)]) {
        self.shared.answers.lock().expect("not poisoned").push_back(answer(status, headers));
    }

    /// The next notification.
    pub async fn next(&self) -> Received {
        let mut received = self.received.lock().await;
        within_patience("a notification", received.recv()).await.expect("the receiver runs")
    }

    /// What has arrived and was not looked at yet.
    pub async fn arrived(&self) -> Vec<Received> {
        let mut received = self.received.lock().await;
        std::iter::from_fn(|| received.try_recv().ok()).collect()
    }
}

impl Drop for TestReceiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> (StatusCode, HeaderMap) {
    let status = StatusCode::from_u16(status).expect("a status");
    let headers = headers
        .iter()
        .map(|(name, value)| (name.parse().expect("a header name"), HeaderValue::from_static(value)))
        .collect();
    (status, headers)
}

async fn take(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let _ = shared.inbox.send(Received { method, uri, headers, body });
    let answer = shared.answers.lock().expect("not poisoned").pop_front();
    let (status, headers) = answer.unwrap_or_else(|| shared.usual.lock().expect("not poisoned").clone());
    let words = *shared.words.lock().expect("not poisoned");
    (status, headers, words).into_response()
}
