//! Every operation, with every scope and for other workflows.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{ask_as, get_as, guarded, guarded_with, item};
use crate::support::{Answer, TestDaemon, TestReceiver, eventually};

/// What each operation takes: method, path, body, scope.
const OPERATIONS: [(&str, &str, &str, &str); 78] = [
    ("PUT", "/v1/workflows/{workflow}/items/{id}", "hello", "ingest"),
    ("PATCH", "/v1/workflows/{workflow}/items/{id}", "{}", "ingest"),
    ("POST", "/v1/workflows/{workflow}/items", "hello", "ingest"),
    ("POST", "/v1/workflows/{workflow}/items/{id}/errors", r#"{"type":"io"}"#, "ingest"),
    ("POST", "/v1/batch", r#"{"op":"close","workflow":"uploads","id":"nobody"}"#, "ingest"),
    ("GET", "/v1/workflows/{workflow}/items/{id}", "", "read"),
    ("POST", "/v1/workflows/{workflow}/runs", "", "ingest"),
    ("GET", "/v1/workflows/{workflow}/runs/current", "", "ingest"),
    ("POST", "/v1/workflows/{workflow}/runs/current/close", "", "ingest"),
    ("POST", "/v1/workflows/{workflow}/runs/current/fail", "", "ingest"),
    ("GET", "/v1/workflows/{workflow}/params", "", "ingest"),
    ("GET", "/v1/workflows/{workflow}/runs", "", "read"),
    ("GET", "/v1/workflows/{workflow}/runs/status", "", "read"),
    ("GET", "/v1/workflows/{workflow}/windows", "", "read"),
    ("GET", "/v1/workflows/{workflow}/wait", "", "read"),
    ("GET", "/v1/wait", "", "read"),
    ("POST", "/v1/workflows/{workflow}/hold", "", "recover"),
    ("POST", "/v1/workflows/{workflow}/release", "", "recover"),
    ("GET", "/v1/items", "", "read"),
    ("GET", "/v1/items/summary", "", "read"),
    ("GET", "/v1/workflows", "", "read"),
    ("GET", "/v1/workflows/{workflow}", "", "read"),
    ("GET", "/v1/workflows/{workflow}/stats", "", "read"),
    ("GET", "/v1/incidents", "", "read"),
    ("GET", "/v1/incidents/{id}", "", "read"),
    ("GET", "/v1/incidents/{id}/deliveries", "", "read"),
    ("GET", "/v1/deliveries", "", "read"),
    ("GET", "/v1/receivers", "", "read"),
    ("GET", "/v1/silences", "", "read"),
    ("GET", "/v1/silences/{id}", "", "read"),
    ("GET", "/metrics", "", "read"),
    ("POST", "/v1/leases", r#"{"workflows":["nothing"]}"#, "work"),
    ("POST", "/v1/leases/{id}/heartbeat", "", "work"),
    ("POST", "/v1/leases/{id}/complete", "", "work"),
    ("POST", "/v1/leases/{id}/fail", r#"{"error":{"type":"x"}}"#, "work"),
    ("POST", "/v1/leases/{id}/release", "", "work"),
    ("POST", "/v1/workflows/{workflow}/items/{id}/steps/{step}", "", "work"),
    ("GET", "/v1/workflows/{workflow}/items/{id}/progress", "", "work"),
    ("PUT", "/v1/workflows/{workflow}/items/{id}/progress", "{}", "work"),
    ("PATCH", "/v1/workflows/{workflow}/items/{id}/progress", "{}", "work"),
    ("GET", "/v1/workflows/{workflow}/items/{id}/steps/{step}/progress", "", "work"),
    ("PUT", "/v1/workflows/{workflow}/items/{id}/steps/{step}/progress", "{}", "work"),
    ("PATCH", "/v1/workflows/{workflow}/items/{id}/steps/{step}/progress", "{}", "work"),
    ("GET", "/v1/workflows/{workflow}/items/{id}/payload", "", "recover"),
    ("POST", "/v1/workflows/{workflow}/items/{id}/retry", "", "recover"),
    ("POST", "/v1/workflows/{workflow}/items/{id}/cancel", "", "recover"),
    ("POST", "/v1/items/retry", "", "recover"),
    ("POST", "/v1/items/close", "", "recover"),
    ("POST", "/v1/items/cancel", "", "recover"),
    ("POST", "/v1/items/extend", r#"{"deadline":"1h"}"#, "recover"),
    ("GET", "/v1/export", "", "recover"),
    ("POST", "/v1/incidents/{id}/ack", "", "recover"),
    ("POST", "/v1/incidents/{id}/snooze", r#"{"for":"1h"}"#, "recover"),
    ("POST", "/v1/incidents/{id}/comments", r#"{"comment":"x"}"#, "recover"),
    ("POST", "/v1/silences", r#"{"workflow":"uploads","for":"1h"}"#, "recover"),
    ("DELETE", "/v1/silences/{id}", "", "recover"),
    ("GET", "/v1/replays", "", "recover"),
    ("POST", "/v1/replays", r#"{"target":{"url":"http://target.invalid/"},"dry_run":true}"#, "recover"),
    ("GET", "/v1/replays/{id}", "", "recover"),
    ("POST", "/v1/replays/{id}/pause", "", "recover"),
    ("POST", "/v1/replays/{id}/resume", "", "recover"),
    ("POST", "/v1/replays/{id}/cancel", "", "recover"),
    ("DELETE", "/v1/workflows/{workflow}", "", "admin"),
    ("PUT", "/v1/workflows/{workflow}", "{}", "admin"),
    ("POST", "/v1/reload", "", "admin"),
    ("POST", "/v1/deliveries/{id}/resend", "", "admin"),
    ("POST", "/v1/receivers/{name}/test", "", "admin"),
    ("POST", "/v1/receivers/{name}/resume", "", "admin"),
    ("GET", "/healthz", "", ""),
    ("GET", "/readyz", "", ""),
    ("GET", "/openapi.json", "", ""),
    ("POST", "/v1/artifacts", r#"{"workflow":"uploads","location":"/in","name":"a"}"#, "ingest"),
    ("PATCH", "/v1/artifacts/{id}", "{}", "ingest"),
    ("POST", "/v1/artifacts/status", r#"{"ids":["nobody"],"status":"ready"}"#, "ingest"),
    ("GET", "/v1/artifacts", "", "read"),
    ("GET", "/v1/artifacts/{id}", "", "read"),
    ("POST", "/v1/artifacts/claim", "{}", "work"),
    ("DELETE", "/v1/workflows/{workflow}/items/{id}", "", "ingest"),
];

/// A request for an operation, of this workflow if it is of one. What is known by an id is none that is
/// there.
fn asking(
    daemon: &TestDaemon,
    method: &str,
    path: &str,
    body: &'static str,
    workflow: &str,
) -> RequestBuilder {
    let id = if path.contains("{workflow}") {
        "file-1".to_owned()
    } else if path.contains("/leases/") {
        format!("lse_{}", "f".repeat(32))
    } else {
        "nobody".to_owned()
    };
    let path = path.replace("{workflow}", workflow).replace("{id}", &id).replace("{name}", "oncall");
    // A change of many items has to name workflows.
    let names = ["close", "cancel", "extend"].iter().any(|act| path == format!("/v1/items/{act}"));
    let query = match &*path {
        "/v1/wait" => "?workflow=uploads",
        _ if names => "?workflow=nothing",
        _ => "",
    };
    let path = format!("{}{query}", path.replace("{step}", "copy"));
    daemon.request(method.parse().expect("a method"), &path).body(body)
}

#[tokio::test]
async fn every_operation_takes_the_scope_that_it_says_and_no_other() {
    let daemon = guarded_with("[receivers.oncall]\nurl = \"http://127.0.0.1:1/\"").await;
    let description = daemon.ask(Method::GET, "/openapi.json").await.json(200);
    let paths = description["paths"].as_object().expect("paths");
    let described = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("methods").keys();
        methods.map(move |method| (method.to_uppercase(), path.clone()))
    });
    let mut described: Vec<_> = described.filter(|(method, _)| method != "PARAMETERS").collect();
    let mut known = OPERATIONS.map(|(method, path, ..)| (method.to_owned(), path.to_owned())).to_vec();
    described.sort();
    known.sort();
    assert_eq!(known, described);
    for (method, path, body, scope) in OPERATIONS {
        for token in ["ingest", "read", "work", "recover", "admin"] {
            let answer = ask_as(token, asking(&daemon, method, path, body, "uploads")).await;
            let place = format!("{token}: {method} {path}");
            let includes = scope.is_empty() || token == scope || (token, scope) == ("recover", "work");
            if includes || token == "admin" {
                let is_done = answer.status < 300 || matches!(answer.status, 404 | 409 | 422);
                assert!(is_done, "{place} -> {} {}", answer.status, answer.text());
            } else {
                let detail = answer.refused(403, "forbidden");
                assert!(detail.contains(token) && detail.contains(scope), "{place}: {detail}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_reaches_no_further_than_its_workflows() {
    let daemon = guarded().await;
    for workflow in ["reports", "unknown"] {
        for (method, path, body, _) in OPERATIONS.iter().filter(|(_, path, ..)| path.contains("{workflow}")) {
            let detail = ask_as("deputy", asking(&daemon, method, path, body, workflow))
                .await
                .refused(403, "forbidden");
            assert!(detail.contains("deputy"), "{method} {path}: {detail}");
        }
    }
    let path = "/v1/workflows/reports/items/file-1";
    assert_eq!(get_as(&daemon, "admin", path).await.json(200)["version"], 1);
    assert_eq!(get_as(&daemon, "limited", &item("file-1")).await.status, 200);
}

#[tokio::test]
async fn what_is_of_another_workflow_is_answered_like_what_is_not_there() {
    let receiver = TestReceiver::start().await;
    let url = receiver.url();
    let daemon = guarded_with(&format!(
        "[alerting]\nreceivers = [\"oncall\"]\n[receivers.oncall]\nurl = \"{url}\"\nallow_private = true"
    ))
    .await;
    daemon.advance(Duration::from_secs(10));
    let ids = eventually("a delivery that is on record", || async {
        let incidents = get_as(&daemon, "admin", "/v1/incidents?workflow=reports").await.json(200);
        let incident = incidents["data"][0]["id"].as_str()?.to_owned();
        let path = format!("/v1/incidents/{incident}/deliveries");
        let deliveries = get_as(&daemon, "admin", &path).await.json(200);
        let delivered = deliveries["data"][0]["status"] == "delivered";
        delivered.then(|| (incident, deliveries["data"][0]["id"].as_str().expect("an id").to_owned()))
    });
    let (incident, delivery) = ids.await;
    let make = async |path: &str, document: Value, status: u16| {
        ask_as("admin", daemon.request(Method::POST, path).json(&document)).await.json(status)
    };
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    let silence = make("/v1/silences", json!({"workflow": "reports", "for": "1h"}), 201).await;
    let document = json!({"filter": {"workflows": ["reports"], "step": "none"}, "target": {"url": url}});
    let replay = make("/v1/replays", document, 202).await;
    let document = json!({"workflow": "reports", "location": "/in", "name": "a"});
    let artifact = make("/v1/artifacts", document, 201).await;
    let claimed = make("/v1/leases", json!({"workflows": ["reports"]}), 200).await;
    for (kind, id) in [
        ("incidents", incident),
        ("deliveries", delivery),
        ("silences", text(&silence["id"])),
        ("replays", text(&replay["id"])),
        ("artifacts", text(&artifact["id"])),
        ("leases", text(&claimed["leases"][0]["id"])),
    ] {
        let absent = if kind == "leases" { format!("lse_{}", "f".repeat(32)) } else { "nobody".to_owned() };
        let prefix = format!("/v1/{kind}/{{id}}");
        let mut asked = 0;
        for (method, path, body, _) in OPERATIONS.iter().filter(|(_, path, ..)| path.starts_with(&prefix)) {
            // What is allowed to one who is not limited goes well, so that the id is known to be that of
            // something; it is asked last, since it may end it.
            let ask = async |token: &str, id: &str| {
                let method = method.parse().expect("a method");
                ask_as(token, daemon.request(method, &path.replace("{id}", id)).body(*body)).await
            };
            let (foreign, unknown) = (ask("deputy", &id).await, ask("deputy", &absent).await);
            let told = |answer: &Answer| {
                let mut problem = answer.json(answer.status);
                problem.as_object_mut().expect("a problem").remove("instance");
                (answer.status, problem, answer.header("retry-after").to_owned())
            };
            assert_eq!(told(&foreign), told(&unknown), "{method} {path}");
            assert!(matches!(foreign.status, 404 | 409), "{method} {path}: {}", foreign.status);
            assert!(!foreign.text().contains("reports"), "{}", foreign.text());
            asked += 1;
        }
        assert!(asked > 0, "{kind}");
        let path = match kind {
            "deliveries" => format!("/v1/deliveries/{id}/resend"),
            "leases" => format!("/v1/leases/{id}/release"),
            _ => format!("/v1/{kind}/{id}"),
        };
        let method = if path.split('/').count() == 4 { Method::GET } else { Method::POST };
        ask_as("admin", daemon.request(method, &path)).await.json(200);
    }
}
