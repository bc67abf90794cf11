//! A daemon in the test process, with a virtual clock.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use warden::app::{Daemon, Surroundings};
use warden::config::{Config, ConfigFile, Definitions, Sources};
use warden::model::{Clock as _, ItemNumber, ManualClock, SeededRandom, Timestamp};
use warden::outbound::HttpOutbound;
use warden::store::Store;
use warden::store::engine::memory::MemoryStore;
use warden::store::engine::sled::{SledSettings, SledStore};

use super::{Answer, TestReceiver, ask, client, eventually, within_patience};

/// The instant at which the tests' clock starts: 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

enum Engine {
    Memory(MemoryStore),
    Sled(TempDir),
    Own(Box<dyn Fn() -> Arc<dyn Store> + Send + Sync>),
}

/// Says what a daemon for a test is like.
pub struct Builder {
    config: String,
    sled: bool,
    start: Timestamp,
    own: Option<Box<dyn Fn() -> Arc<dyn Store> + Send + Sync>>,
}

impl Builder {
    /// Adds lines of TOML to the configuration.
    pub fn config(mut self, toml: &str) -> Self {
        self.config.push_str(toml);
        self.config.push('\n');
        self
    }

    /// Adds a receiver of that name, and makes it the one that every workflow tells.
    pub fn receiver(self, receiver: &TestReceiver) -> Self {
        let url = receiver.url();
        self.config(&format!(
            "[alerting]\nreceivers = [\"oncall\"]\n[receivers.oncall]\nurl = \"{url}\"\nallow_private = true"
        ))
    }

    /// Starts the clock at this instant instead of [`START`].
    pub fn starting_at(mut self, instant: Timestamp) -> Self {
        self.start = instant;
        self
    }

    /// Stores on disk.
    pub fn on_sled(mut self) -> Self {
        self.sled = true;
        self
    }

    /// Stores in what this gives at each start.
    pub fn on(mut self, store: impl Fn() -> Arc<dyn Store> + Send + Sync + 'static) -> Self {
        self.own = Some(Box::new(store));
        self
    }

    /// Starts it.
    pub async fn start(self) -> TestDaemon {
        let engine = match self.own {
            Some(store) => Engine::Own(store),
            None if self.sled => Engine::Sled(tempfile::tempdir().expect("a temporary directory")),
            None => Engine::Memory(MemoryStore::new()),
        };
        let clock = ManualClock::new(self.start);
        let (config, daemon, file) = start(&self.config, &engine, &clock, 1).await;
        let http = client();
        TestDaemon { text: self.config, config, file, engine, clock, daemon: Some(daemon), http, starts: 1 }
    }
}

async fn start(
    text: &str,
    engine: &Engine,
    clock: &ManualClock,
    seed: u64,
) -> (Config, Daemon, Arc<Mutex<String>>) {
    let mut flags = vec![("server.listen".to_owned(), toml::Value::from("127.0.0.1:0"))];
    // Targets of tests are on this machine. A test that says where they may be is taken at its word.
    let written: toml::Table = text.parse().expect("TOML");
    let replay = written.get("replay").and_then(toml::Value::as_table);
    if replay.is_none_or(|replay| !replay.contains_key("allow_networks")) {
        let networks = ["127.0.0.0/8", "::1/128"].map(toml::Value::from).to_vec();
        flags.push(("replay.allow_networks".to_owned(), networks.into()));
    }
    // Requests that tests write by hand are for the host `warden`.
    let server = written.get("server").and_then(toml::Value::as_table);
    if server.is_none_or(|server| !server.contains_key("hosts")) && !written.contains_key("tokens") {
        flags.push(("server.hosts".to_owned(), vec![toml::Value::from("warden")].into()));
    }
    let load = move |text: &str, definitions| {
        let file = Some(ConfigFile::from_text("test.toml", text));
        Config::load(Sources { file, flags: flags.clone(), definitions, ..Sources::default() })
    };
    let config = load(text, Definitions::new())
        .unwrap_or_else(|error| panic!("the test's configuration is wrong:\n{error}"));
    let file = Arc::new(Mutex::new(text.to_owned()));
    let written = file.clone();
    let surroundings = Surroundings {
        clock: Arc::new(clock.clone()),
        random: Arc::new(SeededRandom::new(seed)),
        outbound: Arc::new(HttpOutbound::new().expect("outgoing calls can be made")),
        store: store(&config, engine, clock),
        configuration: Arc::new(move |definitions| load(&written.lock().expect("no panic"), definitions)),
    };
    let daemon = Daemon::start(&config, surroundings).await.expect("the daemon starts");
    (config, daemon, file)
}

fn store(config: &Config, engine: &Engine, clock: &ManualClock) -> Arc<dyn Store> {
    match engine {
        Engine::Memory(store) => Arc::new(store.reopened()),
        Engine::Own(store) => store(),
        Engine::Sled(directory) => {
            let settings = SledSettings {
                path: directory.path().join("data"),
                cache: 16 << 20,
                reserve: 1 << 20,
                size_max: None,
                payload_max: config.limits.payload_max,
                recent: 16 << 20,
                checkpoint: Duration::from_millis(50),
                on_damage: Default::default(),
                queue_max: config.limits.queue_max,
                queue_bytes_max: config.limits.buffered_max,
            };
            Arc::new(SledStore::open(&settings, Arc::new(clock.clone())).expect("the store opens"))
        }
    }
}

/// A daemon that runs in this process.
pub struct TestDaemon {
    text: String,
    config: Config,
    /// What it reads at a reload.
    file: Arc<Mutex<String>>,
    engine: Engine,
    clock: ManualClock,
    daemon: Option<Daemon>,
    http: reqwest::Client,
    starts: u64,
}

impl TestDaemon {
    /// A daemon with the defaults, in memory.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A daemon to be described.
    pub fn builder() -> Builder {
        Builder { config: String::new(), sled: false, start: START, own: None }
    }

    /// Its clock.
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// Moves its clock forward.
    pub fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    /// Where its data is, if it is on disk.
    pub fn data(&self) -> Option<PathBuf> {
        match &self.engine {
            Engine::Sled(directory) => Some(directory.path().join("data")),
            Engine::Memory(_) | Engine::Own(_) => None,
        }
    }

    /// Its address with a path.
    pub fn url(&self, path: &str) -> String {
        let address = self.daemon.as_ref().expect("it runs").address();
        format!("http://{address}{path}")
    }

    /// A request to it.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// Creates an item and expects it to be new.
    pub async fn create(
        &self,
        workflow: &str,
        id: &str,
        query: &str,
        payload: impl Into<reqwest::Body>,
    ) -> Value {
        let path = format!("/v1/workflows/{workflow}/items/{id}{query}");
        expect(self.request(Method::PUT, &path).body(payload), StatusCode::CREATED).await
    }

    /// Closes an item and expects that to go well.
    pub async fn close(&self, workflow: &str, id: &str) {
        let path = format!("/v1/workflows/{workflow}/items/{id}");
        let response = self.request(Method::DELETE, &path).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
    }

    /// Gets JSON and expects it to be there.
    pub async fn get(&self, path: &str) -> Value {
        expect(self.request(Method::GET, path), StatusCode::OK).await
    }

    /// Waits until that many incidents are open, and gives them, the newest first.
    pub async fn open_incidents(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} open incidents"), || async {
            let page = self.get("/v1/incidents?status=open").await;
            page["data"].as_array().filter(|incidents| incidents.len() == count).cloned()
        })
        .await
    }

    /// Lets seconds pass until it has swept twice: some of what is to be removed is found by one sweep, and
    /// removed by the next. The witness is a workflow that is used for a moment, so the configuration must
    /// have its closed item forgotten at once.
    pub async fn swept(&self) {
        for _ in 0..2 {
            self.create("brief", "a", "", "x").await;
            self.close("brief", "a").await;
            eventually("a sweep", || async {
                self.advance(Duration::from_secs(1));
                let found = self.response(Method::GET, "/v1/workflows/brief").await;
                (found.status() == StatusCode::NOT_FOUND).then_some(())
            })
            .await;
        }
    }

    /// Asks for something and holds the answer against the contract.
    pub async fn ask(&self, method: Method, path: &str) -> Answer {
        ask(self.request(method, path)).await
    }

    /// Sends something and holds the answer against the contract.
    pub async fn send(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        ask(self.request(method, path).body(body)).await
    }

    /// Sends a JSON document and holds the answer against the contract.
    pub async fn send_json(&self, method: Method, path: &str, document: Value) -> Answer {
        ask(self.request(method, path).json(&document)).await
    }

    /// Gets anything.
    pub async fn response(&self, method: Method, path: &str) -> Response {
        self.request(method, path).send().await.expect("an answer")
    }

    /// Stops it in good order and starts it again on the same data, at the same instant.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Stops it in good order and starts it again so much later.
    pub async fn restart_after(&mut self, downtime: Duration) {
        self.stop().await;
        self.advance(downtime);
        self.start_again().await;
    }

    /// Stops it in good order and starts it again when the machine was booted with a wall clock that shows
    /// this, which may lie back.
    pub async fn reboot(&mut self, wall: Timestamp) {
        self.stop().await;
        self.clock.reboot(wall);
        self.start_again().await;
    }

    /// Sets the wall clock so many milliseconds ahead of the steady one, and waits until the daemon goes by
    /// it.
    pub async fn set_wall_ahead(&self, millis: i64) {
        self.clock.set_wall_ahead(millis);
        let adopted = || async { (self.clock.wall_offset() == millis).then_some(()) };
        eventually("the wall clock's offset", adopted).await;
    }

    /// Stops it in good order and starts it again with another configuration.
    pub async fn restart_with(&mut self, toml: &str) {
        self.stop().await;
        self.text = toml.to_owned();
        self.start_again().await;
    }

    /// Changes its configuration file, which it does not notice.
    pub fn write_config(&mut self, toml: &str) {
        self.text = toml.to_owned();
        *self.file.lock().expect("no panic") = toml.to_owned();
    }

    /// Changes its configuration file, and has it put in force.
    pub async fn reload(&mut self, toml: &str) -> Value {
        self.write_config(toml);
        expect(self.request(Method::POST, "/v1/reload"), StatusCode::OK).await
    }

    /// Waits until it cannot go on, and gives the reason.
    pub async fn failure(&mut self) -> String {
        let daemon = self.daemon.as_mut().expect("it runs");
        within_patience("a failure", daemon.failed(|| {})).await.to_string()
    }

    /// Its store, opened anew, while it does not run.
    pub fn stored(&self) -> Arc<dyn Store> {
        store(&self.config, &self.engine, &self.clock)
    }

    /// What its store holds of the payload of an item, while it does not run.
    pub async fn stored_payload(&self, number: ItemNumber) -> Option<Bytes> {
        self.stored().payload(number, 0, usize::MAX >> 1).await.expect("the store can be read")
    }

    /// Starts it again after it was stopped.
    pub async fn start_again(&mut self) {
        self.starts += 1;
        let (config, daemon, file) = start(&self.text, &self.engine, &self.clock, self.starts).await;
        (self.config, self.file) = (config, file);
        self.daemon = Some(daemon);
    }

    /// Stops it in good order.
    pub async fn stop(&mut self) {
        self.daemon.take().expect("it runs").stop().await;
    }
}

/// Sends a request, expects a status, and reads the JSON that came.
pub async fn expect(request: RequestBuilder, status: StatusCode) -> Value {
    let response = request.send().await.expect("an answer");
    let found = response.status();
    let body = response.text().await.expect("a body");
    assert_eq!(found, status, "{body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
}
