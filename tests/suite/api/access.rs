//! Tokens, scopes, and workflow limits.

mod limited;
mod matrix;

use reqwest::{Method, RequestBuilder};
use sha2::{Digest, Sha256};

use super::item;
use crate::support::{Answer, TestDaemon, Wire, ask};

/// A daemon with a token of each scope, one limited to `up*`, and one that may do everything. A token is its
/// name.
pub async fn guarded() -> TestDaemon {
    guarded_with("").await
}

/// The same with more of a configuration.
pub async fn guarded_with(config: &str) -> TestDaemon {
    let tokens = [
        ("ingest", "ingest", "*"),
        ("read", "read", "*"),
        ("work", "work", "*"),
        ("recover", "recover", "*"),
        ("admin", "admin", "*"),
        ("limited", "ingest\", \"read\", \"recover", "up*"),
        ("deputy", "admin", "up*"),
    ];
    let token = |(name, scopes, glob): (&str, &str, &str)| {
        let sha256: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "[[tokens]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\nscopes = [\"{scopes}\"]\nworkflows = \
             [\"{glob}\"]\n"
        )
    };
    let config = format!("{config}\n{}", tokens.map(token).concat());
    let daemon = TestDaemon::builder().config(&config).start().await;
    for workflow in ["uploads", "reports"] {
        let put = daemon.request(Method::PUT, &format!("/v1/workflows/{workflow}/items/file-1?deadline=0s"));
        ask(put.bearer_auth("admin").body("hello")).await.json(201);
    }
    daemon
}

pub async fn ask_as(token: &str, request: RequestBuilder) -> Answer {
    ask(request.bearer_auth(token)).await
}

pub async fn get_as(daemon: &TestDaemon, token: &str, path: &str) -> Answer {
    ask_as(token, daemon.request(Method::GET, path)).await
}
#[tokio::test]
async fn without_a_known_token_only_the_open_paths_answer() {
    let daemon = guarded().await;
    for path in ["/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(daemon.ask(Method::GET, path).await.status, 200, "{path}");
    }
    for path in ["/v1/items", "/metrics", "/v1/batch", "/v1/nothing", "/", "/healthz/", &item("file-1")] {
        let answer = daemon.ask(Method::GET, path).await;
        answer.refused(401, "unauthorized");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{path}");
    }
    for header in [
        "",
        "Bearer",
        "Bearer ",
        "bearer unknown",
        "Bearer admin2",
        "Bearer Admin",
        "Basic YWRtaW4=",
        "admin",
        "Bearer ädmin",
    ] {
        let request = daemon.request(Method::GET, "/v1/items").header("authorization", header);
        ask(request).await.refused(401, "unauthorized");
    }
    for header in ["Bearer admin", "bearer admin", "BEARER  admin "] {
        let request = daemon.request(Method::GET, "/v1/items").header("authorization", header);
        assert_eq!(ask(request).await.status, 200, "{header}");
    }
}

#[tokio::test]
async fn a_line_of_a_batch_for_a_foreign_workflow_is_refused_alone() {
    let daemon = guarded().await;
    let line = |op: &str, workflow: &str| {
        format!(r#"{{"op":"{op}","workflow":"{workflow}","id":"file-2","payload":1}}"#)
    };
    let lines = [
        line("create", "uploads"),
        line("create", "reports"),
        line("close", "reports"),
        line("close", "uploads"),
    ];
    let batch = daemon.request(Method::POST, "/v1/batch").body(lines.join("\n"));
    let answers = ask_as("limited", batch).await.lines(200);
    let statuses: Vec<_> = answers.iter().map(|answer| answer["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 403, 403, 204]);
    assert_eq!(answers[1]["type"], "/problems/forbidden");
    get_as(&daemon, "admin", "/v1/workflows/reports/items/file-2").await.refused(404, "item-not-found");
}

#[tokio::test]
async fn a_client_without_a_token_hears_so_even_amid_its_body() {
    let daemon = guarded().await;
    let body = vec![b'x'; 32 << 20];
    let headers = format!("content-length: {}\r\n", body.len());
    let answer =
        Wire::open(&daemon).await.exchange(Method::PUT, item("file-2").as_bytes(), &headers, &body).await;
    answer.refused(401, "unauthorized");
}

#[tokio::test]
async fn whoever_may_not_act_on_incidents_is_told_so_whatever_they_send() {
    let daemon = guarded().await;
    for what in ["ack", "snooze", "comments"] {
        let request = daemon.request(Method::POST, &format!("/v1/incidents/inc_0/{what}"));
        ask_as("read", request.body("nonsense")).await.refused(403, "forbidden");
    }
}
