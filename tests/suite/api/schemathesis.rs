//! Schemathesis generates requests from the description of the API and checks the answers of the real daemon:
//! no failure of the daemon, no undeclared status, type or schema, nothing accepted that is invalid, nothing
//! refused that is valid, no way around the token.
//!
//! `SCHEMATHESIS_EXAMPLES` is the maximum number of generated requests for each operation, 5 by default,
//! besides those at the limits of the description; `SCHEMATHESIS_SEED` is their seed.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::support::{DaemonProcess, TestReceiver, ask, eventually};

/// Its SHA-256 is in the configuration.
const TOKEN: &str = "test";

const CONFIG: &str = r#"
[[tokens]]
name = "schemathesis"
sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
scopes = ["admin"]
workflows = ["*"]
[replay]
allow_private = true
[alerting]
group_wait = "0s"
receivers = ["oncall"]
[receivers.oncall]
allow_private = true
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_answers_as_it_describes_whatever_it_is_asked() {
    let receiver = TestReceiver::start().await;
    let directory = tempfile::tempdir().unwrap();
    let config = format!("{CONFIG}url = \"{}\"\n", receiver.url());
    std::fs::write(directory.path().join("warden.toml"), config).unwrap();
    let daemon = DaemonProcess::on(directory.path());
    fill(&daemon, receiver.url()).await;

    // It leaves traces where it is run, and finds the hooks from there.
    for file in ["schemathesis.toml", "hooks.py"] {
        std::fs::copy(root().join("tests/schemathesis").join(file), directory.path().join(file)).unwrap();
    }
    let output = tokio::process::Command::new(program())
        .args([
            "--config-file=schemathesis.toml",
            "run",
            &daemon.url("/openapi.json"),
            "--checks=all",
            "--continue-on-failure",
            "--no-color",
        ])
        .args(["--generation-database=none", "--request-timeout=30"])
        .arg(format!("--max-examples={}", setting("SCHEMATHESIS_EXAMPLES", "5")))
        .arg(format!("--seed={}", setting("SCHEMATHESIS_SEED", "1")))
        .arg(format!("--header=Authorization: Bearer {TOKEN}"))
        .env("REPLAY_TARGET", receiver.url())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap_or_else(|error| panic!("{}: {error}; tests/run installs it", program().display()));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Tested: ") && said.contains("Stateful"), "it tried everything: {said}");

    assert_eq!(ask(daemon.request(Method::GET, "/readyz")).await.status, 200);
    let log = std::fs::read_to_string(DaemonProcess::log(directory.path())).unwrap();
    assert!(!log.contains("panicked"), "{log}");
}

/// Where tests/run puts it.
fn program() -> PathBuf {
    root().join("target/schemathesis/bin/schemathesis")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

fn request(daemon: &DaemonProcess, method: Method, path: &str) -> RequestBuilder {
    daemon.request(method, path).bearer_auth(TOKEN)
}

/// Gives the daemon one of everything.
async fn fill(daemon: &DaemonProcess, target: &str) {
    for (id, deadline) in
        [("overdue", "0s"), ("failed", "0s"), ("leased", "0s"), ("open", "1h"), ("closed", "1h")]
    {
        let path = format!("/v1/workflows/uploads/items/{id}?deadline={deadline}&label=region:eu&step=copy");
        assert_eq!(ask(request(daemon, Method::PUT, &path).body("hello")).await.status, 201);
    }
    let close = request(daemon, Method::DELETE, "/v1/workflows/uploads/items/closed");
    assert_eq!(ask(close).await.status, 204);
    let posts = [
        (
            "/v1/workflows/uploads/items/failed/errors",
            json!({"type": "host", "fatal": true, "data": [1]}),
            201,
        ),
        ("/v1/leases", json!({"states": ["overdue"], "max": 1}), 200),
        ("/v1/silences", json!({"workflow": "other*", "for": "1h"}), 201),
        ("/v1/replays", json!({"filter": {"workflows": ["uploads"]}, "target": {"url": target}}), 202),
    ];
    for (path, document, status) in posts {
        assert_eq!(ask(request(daemon, Method::POST, path).json(&document)).await.status, status, "{path}");
    }
    eventually("a delivery", || async {
        let page = ask(request(daemon, Method::GET, "/v1/deliveries?status=delivered")).await.json(200);
        page["data"].as_array().filter(|deliveries| !deliveries.is_empty()).map(|_| ())
    })
    .await;
}
