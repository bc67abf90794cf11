//! `warden demo`: the idea in under a minute, with the real daemon.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use clap::Args;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::error::CliError;
use crate::app::{Daemon, Surroundings};
use crate::cli::terminal::console::Console;
use crate::config::{Config, ConfigFile, Sources};
use crate::outbound::install_crypto_provider;
use crate::store::OnDamage;

/// The longest wait for a notification; far longer than usual.
const PATIENCE: Duration = Duration::from_secs(30);

/// Show a pipeline that loses an item, the alert, and the recovery
///
/// The demo starts a daemon on a free port with a temporary store, a receiver of notifications, and a
/// pipeline of two steps. It removes everything at the end.
#[derive(Args)]
pub struct Demo {}

impl Demo {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let directory = Scratch::new()?;
        let (hook, mut notifications) = receive().await?;
        let config = config(&directory, &hook)?;
        let unchanged = config.clone();
        let read = Arc::new(move |definitions| unchanged.with_definitions(definitions));
        let surroundings = Surroundings::real(&config, OnDamage::Refuse, read)?;
        let daemon = Daemon::start(&config, surroundings).await?;
        let mut stage = Stage { console, base: format!("http://{}", daemon.address()), http: client()? };
        let played = stage.play(&mut notifications).await;
        daemon.stop().await;
        played
    }
}

/// A directory that is removed at the end.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> Result<Self, CliError> {
        let path = std::env::temp_dir().join(format!("warden-demo-{}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The system removes leftover temporary directories.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(directory: &Scratch, hook: &str) -> Result<Config, CliError> {
    let text = format!(
        r#"
        [server]
        listen = "127.0.0.1:0"
        [storage]
        path = {path:?}
        [receivers.oncall]
        url = "{hook}"
        allow_private = true
        [workflows.uploads]
        deadline = "3s"
        steps = ["copy", "backup"]
        receivers = ["oncall"]
        group_wait = "0s"
        "#,
        path = directory.0.join("data"),
    );
    let file = Some(ConfigFile::from_text("the demonstration's configuration", text));
    Ok(Config::load(Sources { file, ..Sources::default() })?)
}

fn client() -> Result<Client, CliError> {
    install_crypto_provider();
    let client = Client::builder().no_proxy().tls_certs_only([]).build();
    client.map_err(|error| CliError::Start(error.to_string()))
}

/// Starts a receiver; returns its URL and what it receives.
async fn receive() -> Result<(String, mpsc::UnboundedReceiver<Value>), CliError> {
    async fn take(State(inbox): State<mpsc::UnboundedSender<Value>>, body: Bytes) {
        let _ = inbox.send(serde_json::from_slice(&body).unwrap_or_default());
    }
    let (inbox, notifications) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = Router::new().fallback(take).with_state(inbox);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((format!("http://{address}/hook"), notifications))
}

struct Stage<'a, 'b> {
    console: &'a mut Console<'b>,
    base: String,
    http: Client,
}

impl Stage<'_, '_> {
    fn say(&mut self, line: &str) -> Result<(), CliError> {
        writeln!(self.console.out, "{line}")?;
        Ok(self.console.out.flush()?)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: String,
        expected: StatusCode,
    ) -> Result<Bytes, CliError> {
        let failed = |what: String| CliError::Start(format!("{method} {path}: {what}"));
        let request = self.http.request(method.clone(), format!("{}{path}", self.base)).body(body);
        // The responses are not used.
        let request = request.header("prefer", "return=minimal");
        let response = request.send().await.map_err(|error| failed(error.to_string()))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| failed(error.to_string()))?;
        if status == expected { Ok(bytes) } else { Err(failed(format!("answered {status}"))) }
    }

    async fn play(&mut self, notifications: &mut mpsc::UnboundedReceiver<Value>) -> Result<(), CliError> {
        self.say(&format!(
            "A warden listens on {}. Five files are to be copied, then backed up.\n",
            self.base
        ))?;
        for number in 1..=5 {
            let path = format!("/v1/workflows/uploads/items/file-{number}");
            let payload = format!(r#"{{"file": "holiday-{number}.jpg", "owner": 42}}"#);
            self.ask(Method::PUT, &path, payload, StatusCode::CREATED).await?;
            if number == 3 {
                self.say(
                    "  file-3  created ... the copy server is scaled down while its request hangs. \
                Nothing errors.",
                )?;
            } else {
                self.ask(Method::DELETE, &path, String::new(), StatusCode::NO_CONTENT).await?;
                self.say(&format!("  file-{number}  created, copied, backed up, deleted"))?;
            }
        }
        self.say("\nWhoever looks at the pipeline sees nothing wrong. Its deadline is 3 seconds ...\n")?;
        let opened = expect(notifications, "incident.opened").await?;
        let item = opened["data"]["items"][0]["id"].as_str().unwrap_or("?").to_owned();
        self.say("The warden's webhook to the person on call:")?;
        self.say(&format!("  {}: {}", text(&opened["type"]), text(&opened["data"]["summary"])))?;
        self.say(&format!("  payload: {}\n", text(&opened["data"]["items"][0]["payload_url"])))?;

        let path = format!("/v1/workflows/uploads/items/{item}");
        let payload =
            self.ask(Method::GET, &format!("{path}/payload"), String::new(), StatusCode::OK).await?;
        self.say(&format!("The stored copy of {item} comes back, byte for byte:"))?;
        self.say(&format!("  {}\n", String::from_utf8_lossy(&payload)))?;
        self.say(&format!("It is copied and backed up after all, and {item} is deleted."))?;
        self.ask(Method::DELETE, &path, String::new(), StatusCode::NO_CONTENT).await?;
        let resolved = expect(notifications, "incident.resolved").await?;
        self.say(&format!("  {}: {}\n", text(&resolved["type"]), text(&resolved["data"]["summary"])))?;
        self.say("That is all there is to it. Start your own with `warden serve`.")
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

async fn expect(notifications: &mut mpsc::UnboundedReceiver<Value>, event: &str) -> Result<Value, CliError> {
    match tokio::time::timeout(PATIENCE, notifications.recv()).await {
        Ok(Some(notification)) if notification["type"] == event => Ok(notification),
        Ok(other) => Err(CliError::Start(format!("{event} was due, and this came: {other:?}"))),
        Err(_) => Err(CliError::Start(format!("{event} did not come within {PATIENCE:?}"))),
    }
}
