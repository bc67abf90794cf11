//! What a token that is limited to some workflows sees and changes of others: nothing.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{ask_as, get_as, guarded, guarded_with};
use crate::support::{TestReceiver, eventually};

#[tokio::test]
async fn lists_hold_what_the_token_may_see() {
    let daemon = guarded().await;
    let only_uploads = |page: &Value, name: &str| {
        let data = page["data"].as_array().expect("a page");
        assert!(data.len() == 1 && data[0][name] == "uploads", "{page}");
    };
    for query in [
        "",
        "?workflow=*",
        "?workflow=reports&workflow=up*",
        "?state=overdue&order=deadline",
        "?order=deadline",
    ] {
        only_uploads(&get_as(&daemon, "limited", &format!("/v1/items{query}")).await.json(200), "workflow");
    }
    let none = get_as(&daemon, "limited", "/v1/items?workflow=reports").await.json(200);
    assert_eq!(none["data"], json!([]));
    only_uploads(&get_as(&daemon, "limited", "/v1/incidents").await.json(200), "workflow");
    only_uploads(&get_as(&daemon, "limited", "/v1/workflows").await.json(200), "name");
    let exported = get_as(&daemon, "limited", "/v1/export").await.lines(200);
    assert!(exported.len() == 1 && exported[0]["workflow"] == "uploads", "{exported:?}");
    let summary = get_as(&daemon, "limited", "/v1/items/summary").await.json(200);
    assert_eq!(summary["by_workflow"], json!({"uploads": 1}));
    let figures = get_as(&daemon, "limited", "/metrics").await;
    assert!(
        figures.text().contains("\"uploads\"") && !figures.text().contains("\"reports\""),
        "{}",
        figures.text()
    );
}

#[tokio::test]
async fn a_token_claims_and_holds_only_items_of_its_workflows() {
    let daemon = guarded().await;
    let claim = async |token: &'static str, document: Value| {
        let post = daemon.request(Method::POST, "/v1/leases").json(&document);
        ask_as(token, post).await.json(200)["leases"].as_array().expect("a list").clone()
    };
    assert_eq!(claim("limited", json!({"workflows": ["reports"]})).await, Vec::<Value>::new());
    let own = claim("limited", json!({"max": 10})).await;
    assert_eq!(own.len(), 1);
    assert_eq!(
        (&own[0]["item"]["workflow"], &own[0]["item"]["lease"]["worker"]),
        (&json!("uploads"), &json!("limited"))
    );
    let foreign = claim("admin", json!({"max": 10})).await;
    assert_eq!((foreign.len(), &foreign[0]["item"]["workflow"]), (1, &json!("reports")));
    let act = |token: &'static str, lease: &Value, act: &str| {
        let path = format!("/v1/leases/{}/{act}", lease["id"].as_str().expect("an id"));
        let document = if act == "fail" { r#"{"error":{"type":"x"}}"# } else { "" };
        ask_as(token, daemon.request(Method::POST, &path).body(document))
    };
    for what in ["heartbeat", "complete", "fail", "release"] {
        act("limited", &foreign[0], what).await.refused(409, "lease-lost");
        act("read", &own[0], what).await.refused(403, "forbidden");
    }
    act("limited", &own[0], "complete").await.json(200);
    act("work", &foreign[0], "release").await.json(200);
    let worked = claim("work", json!({"max": 10})).await;
    assert_eq!((worked.len(), &worked[0]["payload_base64"]), (1, &json!("aGVsbG8=")), "what is worked on");
    act("recover", &worked[0], "release").await.json(200);
}

#[tokio::test]
async fn figures_do_not_tell_whether_a_lease_is_of_an_item_of_another_workflow_or_of_none() {
    let daemon = guarded().await;
    let claim = daemon.request(Method::POST, "/v1/leases").json(&json!({"workflows": ["reports"]}));
    let foreign =
        ask_as("admin", claim).await.json(200)["leases"][0]["id"].as_str().expect("an id").to_owned();
    let nobodys = format!("lse_{}", "f".repeat(32));
    let lost = async || {
        let figures = get_as(&daemon, "limited", "/metrics").await;
        let of_lost = |line: &&str| line.starts_with("warden_leases_total") && line.contains("\"lost\"");
        figures.text().lines().find(of_lost).expect("the figure").to_owned()
    };
    for what in ["heartbeat", "complete", "fail", "release"] {
        let mut said = Vec::new();
        for lease in [&foreign, &nobodys] {
            let before = lost().await;
            let document = if what == "fail" { r#"{"error":{"type":"x"}}"# } else { "" };
            let post = daemon.request(Method::POST, &format!("/v1/leases/{lease}/{what}")).body(document);
            let detail = ask_as("limited", post).await.refused(409, "lease-lost");
            said.push((detail, lost().await != before));
        }
        assert_eq!(said[0], said[1], "{what}");
    }
}

#[tokio::test]
async fn a_token_sees_and_resends_only_the_deliveries_of_its_workflows() {
    let receiver = TestReceiver::start().await;
    let url = receiver.url();
    let daemon = guarded_with(&format!(
        "[alerting]\nreceivers = [\"oncall\"]\n[receivers.oncall]\nurl = \"{url}\"\nallow_private = true"
    ))
    .await;
    daemon.advance(Duration::from_secs(10));
    let sent = [receiver.next().await, receiver.next().await];
    let id_of = |workflow: &str| {
        let found = sent.iter().find(|received| received.json()["data"]["workflow"] == workflow);
        found.expect("a notification of each").header("webhook-id").to_owned()
    };
    let (own, foreign) = (id_of("uploads"), id_of("reports"));
    eventually("both on record", || async {
        let all = get_as(&daemon, "read", "/v1/deliveries?status=delivered").await.json(200);
        (all["data"].as_array().expect("a page").len() == 2).then_some(())
    })
    .await;
    let seen = get_as(&daemon, "limited", "/v1/deliveries").await.json(200);
    assert_eq!((seen["data"].as_array().unwrap().len(), &seen["data"][0]["id"]), (1, &json!(own)));
    let seen = get_as(&daemon, "limited", "/v1/deliveries?limit=1").await.json(200);
    assert_eq!(
        (&seen["data"][0]["id"], &seen["next_cursor"]),
        (&json!(own), &Value::Null),
        "no other follows"
    );
    let resend = |token: &'static str, id: &str| {
        ask_as(token, daemon.request(Method::POST, &format!("/v1/deliveries/{id}/resend")))
    };
    for token in ["read", "ingest", "recover", "limited"] {
        resend(token, &own).await.refused(403, "forbidden");
    }
    resend("deputy", &foreign).await.refused(404, "delivery-not-found");
    resend("deputy", "dlv_unknown").await.refused(404, "delivery-not-found");
    resend("deputy", &own).await.json(200);
    assert_eq!(receiver.next().await.header("webhook-id"), own);
    resend("admin", &foreign).await.json(200);
    assert_eq!(receiver.next().await.header("webhook-id"), foreign);
}

#[tokio::test]
async fn a_token_sees_only_the_silences_that_it_could_have_made() {
    let daemon = guarded().await;
    let silence = async |workflow: &str| {
        let document = json!({"workflow": workflow, "for": "1h", "comment": "maintenance"});
        let post = daemon.request(Method::POST, "/v1/silences").json(&document);
        ask_as("admin", post).await.json(201)["id"].as_str().unwrap().to_owned()
    };
    let own = [silence("uploads").await, silence("up*").await];
    let foreign = [silence("reports").await, silence("*").await, silence("u*").await];
    let seen = get_as(&daemon, "limited", "/v1/silences").await.json(200);
    let mut ids: Vec<&str> =
        seen["data"].as_array().unwrap().iter().map(|silence| silence["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    let mut expected = own.each_ref().map(String::as_str);
    expected.sort_unstable();
    assert_eq!(ids, expected);
    for id in &own {
        get_as(&daemon, "limited", &format!("/v1/silences/{id}")).await.json(200);
    }
    for id in &foreign {
        get_as(&daemon, "limited", &format!("/v1/silences/{id}")).await.refused(404, "silence-not-found");
        get_as(&daemon, "read", &format!("/v1/silences/{id}")).await.json(200);
    }
}

#[tokio::test]
async fn a_limited_token_neither_sees_what_receivers_answered_nor_has_them_told_anything() {
    let receiver = TestReceiver::start().await;
    receiver.usually(410, &[]);
    let daemon = guarded_with(&format!(
        "[alerting]\nreceivers = [\"oncall\"]\n[receivers.oncall]\nurl = \"{}\"\nallow_private = true\n\
         concurrency = 1",
        receiver.url()
    ))
    .await;
    daemon.advance(Duration::from_secs(10));
    eventually("a pause", || async {
        let page = get_as(&daemon, "read", "/v1/receivers").await.json(200);
        let found = &page["data"][0];
        (found["reason"].is_string() && found["last_attempt"].is_object()).then_some(())
    })
    .await;
    let page = get_as(&daemon, "limited", "/v1/receivers").await.json(200);
    let found = &page["data"][0];
    assert_eq!(
        (&found["state"], &found["reason"], &found["last_attempt"]),
        (&json!("paused"), &Value::Null, &Value::Null)
    );
    for action in ["test", "resume"] {
        let post = || daemon.request(Method::POST, &format!("/v1/receivers/oncall/{action}"));
        let detail = ask_as("deputy", post()).await.refused(403, "forbidden");
        assert!(detail.contains("deputy"), "{detail}");
        ask_as("admin", post()).await.json(200);
    }
}

#[tokio::test]
async fn a_limited_token_does_not_see_what_a_receiver_answered_to_a_delivery() {
    let receiver = TestReceiver::start().await;
    receiver.usually(500, &[]);
    receiver.saying("secret of the receiver");
    let url = receiver.url();
    let daemon = guarded_with(&format!(
        "[alerting]\nreceivers = [\"oncall\"]\n[receivers.oncall]\nurl = \"{url}\"\nallow_private = true"
    ))
    .await;
    daemon.advance(Duration::from_secs(10));
    let failed = eventually("a failed attempt", || async {
        let page = get_as(&daemon, "read", "/v1/deliveries").await.json(200);
        let data = page["data"].as_array().expect("a page");
        let failed = data.len() == 2 && data.iter().all(|delivery| delivery["attempts"][0].is_object());
        failed.then_some(page)
    });
    assert!(failed.await.to_string().contains("secret"));
    let page = get_as(&daemon, "limited", "/v1/deliveries").await.json(200);
    let attempt = &page["data"][0]["attempts"][0];
    assert_eq!((&attempt["error"], &attempt["answer"]), (&json!("it answered 500"), &Value::Null));
    let incident = page["data"][0]["incident"].as_str().expect("an id");
    let path = format!("/v1/incidents/{incident}/deliveries");
    assert!(!get_as(&daemon, "limited", &path).await.text().contains("secret"));
}

#[tokio::test]
async fn a_change_of_many_items_reaches_only_those_of_the_tokens_workflows() {
    let daemon = guarded().await;
    for (act, document) in
        [("extend", json!({"deadline": "1h"})), ("retry", json!({"after": "1h"})), ("cancel", json!({}))]
    {
        let path = format!("/v1/items/{act}?workflow=*&state=open&state=overdue");
        let request = daemon.request(Method::POST, &path);
        let request = if act == "cancel" { request } else { request.json(&document) };
        let answer = ask_as("deputy", request).await.json(200);
        assert_eq!(answer[if act == "retry" { "retried" } else { "changed" }], 1, "{act}");
        let other = get_as(&daemon, "admin", "/v1/workflows/reports/items/file-1").await.json(200);
        assert_eq!(other["version"], 1, "{act}");
    }
}
