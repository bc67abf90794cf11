//! Who may do what.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::item;
use crate::support::{Answer, TestDaemon, TestReceiver, Wire, ask, eventually};

/// A daemon with a token of each scope, one limited to `up*`, and one that may do everything. A token is its name.
pub async fn guarded() -> TestDaemon {
    guarded_with("").await
}

/// The same with more of a configuration.
async fn guarded_with(config: &str) -> TestDaemon {
    let tokens = [
        ("ingest", "ingest", "*"),
        ("read", "read", "*"),
        ("recover", "recover", "*"),
        ("admin", "admin", "*"),
        ("limited", "ingest\", \"read\", \"recover", "up*"),
        ("deputy", "admin", "up*"),
    ];
    let token = |(name, scopes, glob): (&str, &str, &str)| {
        let sha256: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "[[tokens]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\nscopes = [\"{scopes}\"]\nworkflows = [\"{glob}\"]\n"
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
async fn a_token_allows_what_its_scopes_say() {
    let daemon = guarded_with("[receivers.oncall]\nurl = \"http://127.0.0.1:1/\"").await;
    let incident = get_as(&daemon, "read", "/v1/incidents").await.json(200)["data"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = item("file-1");
    let line = json!({"op": "close", "workflow": "uploads", "id": "nobody"}).to_string();
    let cases = [
        (Method::PUT, path.clone(), "hello".to_owned(), "ingest"),
        (Method::POST, "/v1/workflows/uploads/items".into(), "hello".into(), "ingest"),
        (Method::POST, "/v1/batch".into(), line, "ingest"),
        (Method::PATCH, path.clone(), "{}".into(), "ingest"),
        (Method::POST, format!("{path}/errors"), r#"{"type":"io"}"#.into(), "ingest"),
        (Method::GET, path.clone(), String::new(), "read"),
        (Method::GET, "/v1/items".into(), String::new(), "read"),
        (Method::GET, "/v1/items/summary".into(), String::new(), "read"),
        (Method::GET, "/v1/workflows".into(), String::new(), "read"),
        (Method::GET, "/v1/workflows/uploads".into(), String::new(), "read"),
        (Method::GET, "/v1/workflows/uploads/stats".into(), String::new(), "read"),
        (Method::GET, "/v1/incidents".into(), String::new(), "read"),
        (Method::GET, format!("/v1/incidents/{incident}"), String::new(), "read"),
        (Method::GET, format!("/v1/incidents/{incident}/deliveries"), String::new(), "read"),
        (Method::GET, "/v1/deliveries".into(), String::new(), "read"),
        (Method::GET, "/v1/receivers".into(), String::new(), "read"),
        (Method::POST, "/v1/receivers/oncall/test".into(), String::new(), "admin"),
        (Method::POST, "/v1/receivers/oncall/resume".into(), String::new(), "admin"),
        (Method::GET, "/metrics".into(), String::new(), "read"),
        (Method::GET, format!("{path}/payload"), String::new(), "recover"),
        (Method::GET, "/v1/export".into(), String::new(), "recover"),
        (Method::POST, "/v1/leases".into(), r#"{"workflows":["nothing"]}"#.into(), "recover"),
        (Method::POST, format!("{path}/retry"), String::new(), "recover"),
        (Method::POST, "/v1/items/retry".into(), String::new(), "recover"),
        (Method::DELETE, path.clone(), String::new(), "ingest"),
    ];
    for (method, path, body, scope) in cases {
        for token in ["ingest", "read", "recover", "admin"] {
            let answer = ask_as(token, daemon.request(method.clone(), &path).body(body.clone())).await;
            if token == scope || token == "admin" {
                assert!(answer.status < 300, "{token}: {method} {path} -> {}", answer.status);
            } else {
                let detail = answer.refused(403, "forbidden");
                assert!(detail.contains(token) && detail.contains(scope), "{method} {path}: {detail}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_reaches_no_further_than_its_workflows() {
    let daemon = guarded().await;
    let incidents = get_as(&daemon, "admin", "/v1/incidents").await.json(200);
    let of_reports =
        incidents["data"].as_array().unwrap().iter().find(|incident| incident["workflow"] == "reports");
    let incident = of_reports.unwrap()["id"].as_str().unwrap();
    let path = "/v1/workflows/reports/items/file-1";
    for (method, path) in [
        (Method::PUT, path.to_owned()),
        (Method::GET, path.to_owned()),
        (Method::GET, format!("{path}/payload")),
        (Method::PATCH, path.to_owned()),
        (Method::POST, format!("{path}/errors")),
        (Method::POST, format!("{path}/retry")),
        (Method::DELETE, path.to_owned()),
        (Method::POST, "/v1/workflows/reports/items".into()),
        (Method::GET, "/v1/workflows/reports".into()),
        (Method::GET, "/v1/workflows/reports/stats".into()),
        (Method::GET, "/v1/workflows/unknown".into()),
        (Method::GET, format!("/v1/incidents/{incident}")),
        (Method::GET, format!("/v1/incidents/{incident}/deliveries")),
    ] {
        let detail = ask_as("limited", daemon.request(method.clone(), &path)).await.refused(403, "forbidden");
        assert!(detail.contains("limited"), "{method} {path}: {detail}");
    }
    assert_eq!(get_as(&daemon, "admin", path).await.json(200)["version"], 1);
    assert_eq!(get_as(&daemon, "limited", &item("file-1")).await.status, 200);
}

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
        act("limited", &foreign[0], what).await.refused(403, "forbidden");
        act("read", &own[0], what).await.refused(403, "forbidden");
    }
    act("limited", &own[0], "complete").await.json(200);
    act("recover", &foreign[0], "release").await.json(200);
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
    let resend = |token: &'static str, id: &str| {
        ask_as(token, daemon.request(Method::POST, &format!("/v1/deliveries/{id}/resend")))
    };
    for token in ["read", "ingest", "recover", "limited"] {
        resend(token, &own).await.refused(403, "forbidden");
    }
    resend("deputy", &foreign).await.refused(403, "forbidden");
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
        get_as(&daemon, "limited", &format!("/v1/silences/{id}")).await.refused(403, "forbidden");
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
