//! Claiming.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{depending, names, patch, ready};
use crate::support::TestDaemon;

async fn claim(daemon: &TestDaemon, document: Value) -> Value {
    daemon.send_json(Method::POST, "/v1/artifacts/claim", document).await.json(200)
}

#[tokio::test]
async fn two_claimants_never_get_the_same_artifact() {
    let daemon = TestDaemon::builder().on_sled().start().await;
    let all: Vec<String> = (0..200).map(|number| format!("{number:03}")).collect();
    ready(&daemon, &all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let claims = (0..12).map(|number| {
        let daemon = &daemon;
        async move {
            let mut own: Vec<String> = Vec::new();
            loop {
                let run = json!({"workflow": "etl", "id": format!("run-{number}")});
                let claimed = names(&claim(daemon, json!({"name": "*", "max": 7, "run": run})).await);
                if claimed.is_empty() {
                    return own;
                }
                own.extend(claimed);
            }
        }
    });
    let claimed: Vec<String> = join_all(claims).await.concat();
    assert_eq!(claimed.len(), 200);
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>(), all.into_iter().collect());
}

#[tokio::test]
async fn a_claim_takes_the_oldest_that_match_and_passes_over_what_has_to_wait() {
    let daemon = TestDaemon::start().await;
    let ids = ready(&daemon, &["a", "b"]).await;
    depending(&daemon, "waits", &[&ids[0]]).await;
    ready(&daemon, &["c", "d"]).await;
    patch(&daemon, &ids[0], json!({"status": "error"})).await.json(200);
    let first = claim(&daemon, json!({"location": "/in", "run": "run-1"})).await;
    assert_eq!(names(&first), ["b"], "one, if nothing else is said");
    assert_eq!(
        (&first["data"][0]["status"], &first["data"][0]["uses"][0]["run"]["id"]),
        (&json!("loading"), &json!("run-1"))
    );
    assert_eq!(names(&claim(&daemon, json!({"workflow": "etl", "max": 2})).await), ["c", "d"]);
    assert_eq!(names(&claim(&daemon, json!({"max": 2})).await), [""; 0]);
    let to = json!({"status": "loading", "to": "loaded", "name": "?", "max": 10});
    assert_eq!(names(&claim(&daemon, to).await), ["b", "c", "d"]);
    patch(&daemon, &ids[0], json!({"status": "ready"})).await.json(200);
    assert_eq!(names(&claim(&daemon, json!({"max": 9})).await), ["a", "waits"], "along with it");
}

#[tokio::test]
async fn a_claim_that_would_change_nothing_is_refused() {
    let daemon = TestDaemon::start().await;
    for (document, says) in [
        (json!({"to": "ready"}), "both ready"),
        (json!({"max": 0}), "1 to 1000"),
        (json!({"max": 1001}), "1 to 1000"),
        (json!({"states": ["ready"]}), "unknown field"),
    ] {
        let refused = daemon.send_json(Method::POST, "/v1/artifacts/claim", document).await;
        assert!(refused.refused(400, "invalid-request").contains(says));
    }
    let refused = daemon.send_json(Method::POST, "/v1/artifacts/claim", json!({"to": "taken"})).await;
    refused.refused(422, "artifact-status-unknown");
}
