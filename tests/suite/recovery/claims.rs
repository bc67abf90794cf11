//! What a claim returns.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::json;

use super::{claim, claim_one, ids, item};
use crate::support::{TestDaemon, ask, eventually};

/// Overdue ones of two workflows and steps, with deadlines in another order than they were created in; a
/// failed one; and one that is not due.
async fn troubled() -> TestDaemon {
    let daemon = TestDaemon::start().await;
    for (workflow, id, query) in [
        ("uploads", "late", "?deadline=2026-01-01T00:00:00Z&step=copy&label=region:eu"),
        ("uploads", "latest", "?deadline=2025-12-30T00:00:00Z&step=backup&label=region:us"),
        ("exports", "later", "?deadline=2025-12-31T00:00:00Z&step=copy"),
        ("uploads", "failed", "?deadline=1h&step=copy"),
        ("uploads", "open", "?deadline=2h&step=copy&label=region:eu"),
    ] {
        daemon.create(workflow, id, query, id).await;
    }
    let fatal = json!({"type": "Broken", "fatal": true});
    let errors = "/v1/workflows/uploads/items/failed/errors";
    daemon.send_json(Method::POST, errors, fatal).await.json(201);
    daemon
}

#[tokio::test]
async fn the_earliest_deadline_is_handed_out_first_with_its_payload() {
    let daemon = troubled().await;
    let leases =
        claim(&daemon, json!({"max": 10, "ttl": "90s", "worker": "host-1", "states": ["failed", "overdue"]}))
            .await;
    assert_eq!(ids(&leases), ["latest", "later", "late", "failed"]);
    let lease = &leases[0];
    assert_eq!(lease["payload_base64"], STANDARD.encode("latest"));
    assert_eq!((&lease["attempt"], &lease["expires_at"]), (&json!(1), &json!("2026-01-01T00:01:30.000Z")));
    let shown = item(&daemon, "latest").await;
    assert_eq!(shown, lease["item"]);
    let expected = json!({"id": lease["id"], "token": lease["token"], "attempt": 1, "worker": "host-1",
        "expires_at": "2026-01-01T00:01:30.000Z"});
    assert_eq!((&shown["lease"], &shown["step_attempts"]), (&expected, &json!(1)));
}

#[tokio::test]
async fn a_claim_may_name_several_steps_or_one_item() {
    let daemon = troubled().await;
    daemon.create("uploads", "plain", "?deadline=0s", "x").await;
    let both = json!({"steps": ["backup", "copy"], "max": 10, "states": ["overdue", "open"]});
    assert_eq!(ids(&claim(&daemon, both).await), ["latest", "later", "late", "open"]);
    let one =
        |id: &str| json!({"workflows": ["uploads"], "id": id, "max": 10, "states": ["failed", "overdue"]});
    assert_eq!(ids(&claim(&daemon, one("failed")).await), ["failed"]);
    for id in ["failed", "later", "open", "gone"] {
        assert!(claim(&daemon, one(id)).await.is_empty(), "{id} is leased, elsewhere or not there");
    }
    for refused in [
        json!({"id": "failed"}),
        json!({"id": "failed", "workflows": ["up*"]}),
        json!({"id": "failed", "workflows": ["uploads", "exports"]}),
        json!({"id": "", "workflows": ["uploads"]}),
        json!({"steps": ["a b"]}),
        json!({"steps": vec!["a"; 65]}),
    ] {
        daemon.send_json(Method::POST, "/v1/leases", refused).await.refused(400, "invalid-request");
    }
}

#[tokio::test]
async fn a_claim_says_how_the_payload_is_encoded_and_hands_it_out_as_it_is() {
    let daemon = TestDaemon::start().await;
    let put = daemon.request(Method::PUT, "/v1/workflows/uploads/items/a?deadline=0s");
    ask(put.header("content-encoding", "gzip").body(vec![0x1f, 0x8b, 8, 0])).await.json(201);
    let lease = claim_one(&daemon).await;
    assert_eq!(lease["item"]["payload"]["content_encoding"], "gzip");
    assert_eq!(lease["payload_base64"], "H4sIAA==");
}

#[tokio::test]
async fn the_tokens_of_leases_grow_with_each_claim() {
    let daemon = troubled().await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let leases = claim(&daemon, json!({"max": 10, "ttl": "1s"})).await;
        tokens.extend(leases.iter().map(|lease| lease["token"].as_u64().unwrap()));
        daemon.advance(Duration::from_secs(1));
    }
    assert_eq!(tokens.len(), 9);
    assert!(tokens.windows(2).all(|pair| pair[0] < pair[1]), "{tokens:?}");
}

#[tokio::test]
async fn a_claim_may_name_workflows_states_labels_a_step_and_bounds() {
    for (document, expected) in [
        (json!({}), vec!["latest", "later", "late"]),
        (json!({"workflows": ["exp*"]}), vec!["later"]),
        (
            json!({"workflows": ["exports", "uploads"], "states": ["overdue"]}),
            vec!["latest", "later", "late"],
        ),
        (json!({"states": ["failed"]}), vec!["failed"]),
        (json!({"states": ["open"]}), vec!["open"]),
        (json!({"states": ["open", "overdue"], "step": "copy"}), vec!["later", "late", "open"]),
        (json!({"labels": {"region": "eu"}}), vec!["late"]),
        (json!({"states": ["overdue", "open"], "labels": {"region": "eu"}}), vec!["late", "open"]),
        (json!({"labels": {"region": "asia"}}), vec![]),
        (json!({"deadline_before": "2026-01-01T00:00:00Z"}), vec!["latest", "later"]),
        (json!({"deadline_after": "2025-12-31T00:00:00Z", "states": ["overdue"]}), vec!["later", "late"]),
        (json!({"created_after": "2026-01-01T00:00:01Z"}), vec![]),
    ] {
        let daemon = troubled().await;
        let mut claims = document.clone();
        claims["max"] = json!(10);
        assert_eq!(ids(&claim(&daemon, claims).await), expected, "{document}");
    }
}

#[tokio::test]
async fn a_claim_gets_one_item_unless_it_asks_for_more_and_no_payload_if_it_wants_none() {
    let daemon = troubled().await;
    let leases = claim(&daemon, json!({"payloads": false})).await;
    assert_eq!(ids(&leases), ["latest"]);
    assert_eq!(leases[0]["payload_base64"], json!(null));
    assert_eq!(leases[0]["item"]["lease"]["worker"], "anonymous");
    let answer = ask(daemon.request(Method::POST, "/v1/leases")).await.json(200);
    assert_eq!(answer["leases"].as_array().unwrap().len(), 1, "no body is a claim as well");
}

#[tokio::test]
async fn a_run_that_hands_its_cursor_on_gets_each_item_once() {
    let daemon = troubled().await;
    let mut seen = Vec::new();
    let mut cursor = json!(null);
    loop {
        let document = json!({"cursor": cursor, "max": 2, "states": ["overdue", "failed"]});
        let answer = daemon.send_json(Method::POST, "/v1/leases", document).await.json(200);
        let leases = answer["leases"].as_array().unwrap().clone();
        if leases.is_empty() {
            assert_eq!(answer["next_cursor"], json!(null));
            break;
        }
        cursor = answer["next_cursor"].clone();
        for lease in &leases {
            super::act(&daemon, lease, "release", json!({})).await.json(200);
        }
        seen.extend(ids(&leases).into_iter().map(str::to_owned));
    }
    assert_eq!(seen, ["latest", "later", "late", "failed"]);
}

#[tokio::test]
async fn what_is_not_due_is_found_whenever_it_came() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "before", "?deadline=2h", "x").await;
    let open = || json!({"states": ["open"], "max": 10, "ttl": "1h"});
    assert_eq!(ids(&claim(&daemon, open()).await), ["before"]);
    daemon.create("uploads", "after", "?deadline=1h", "x").await;
    daemon.create("uploads", "closed", "?deadline=1h", "x").await;
    daemon.close("uploads", "closed").await;
    assert_eq!(ids(&claim(&daemon, open()).await), ["after"]);
    // It falls overdue while it is held, and is claimed as such when the lease has run out.
    daemon.advance(Duration::from_secs(3600));
    eventually("the item to be overdue", || async {
        let page = daemon.get("/v1/workflows/uploads/stats").await;
        (page["overdue"] == 1).then_some(())
    })
    .await;
    assert_eq!(ids(&claim(&daemon, open()).await), ["before"]);
    assert_eq!(ids(&claim(&daemon, json!({})).await), ["after"]);
}

#[tokio::test]
async fn a_claim_that_says_something_impossible_is_refused() {
    let daemon = troubled().await;
    for (document, said) in [
        (json!({"max": 0}), "max is 0"),
        (json!({"max": 1001}), "1 to 1000"),
        (json!({"max": -1}), "invalid value"),
        (json!({"ttl": "999ms"}), "ttl must be 1s to 1day"),
        (json!({"ttl": "25h"}), "ttl must be"),
        (json!({"ttl": "soon"}), "ttl"),
        (json!({"wait": "61s"}), "at most 1m"),
        (json!({"worker": ""}), "worker"),
        (json!({"worker": "a\nb"}), "worker"),
        (json!({"worker": "rpl_1"}), "reserved"),
        (json!({"worker": "redrive"}), "reserved"),
        (json!({"states": ["late"]}), "unknown variant `late`"),
        (json!({"states": ["closed"]}), "cannot be recovered"),
        (json!({"labels": {"bad name": "x"}}), "label"),
        (json!({"step": "no step"}), "no valid step name"),
        (json!({"deadline_before": "tomorrow"}), "deadline_before"),
        (json!({"cursor": "%%%"}), "cursor"),
        (json!({"wrokflows": ["uploads"]}), "wrokflows"),
    ] {
        let answer = daemon.send_json(Method::POST, "/v1/leases", document.clone()).await;
        let detail = answer.refused(400, "invalid-request");
        assert!(detail.contains(said), "{document}: {detail}");
    }
    assert_eq!(claim(&daemon, json!({"max": 10})).await.len(), 3, "nothing was claimed by any of them");
}

#[tokio::test]
async fn a_large_payload_comes_back_as_it_was_handed_in() {
    let daemon = TestDaemon::builder().on_sled().start().await;
    let payload: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
    let put = daemon.request(Method::PUT, "/v1/workflows/uploads/items/large?deadline=0s");
    ask(put.body(payload.clone())).await.json(201);
    let lease = claim_one(&daemon).await;
    assert!(STANDARD.decode(lease["payload_base64"].as_str().unwrap()).unwrap() == payload);
}
