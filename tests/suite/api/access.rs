//! Tokens, scopes, and workflow limits.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::item;
use crate::support::{Answer, TestDaemon, TestReceiver, Wire, ask, eventually};

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

/// What each operation takes: method, path, body, scope.
const OPERATIONS: [(&str, &str, &str, &str); 55] = [
    ("PUT", "/v1/workflows/{workflow}/items/{id}", "hello", "ingest"),
    ("PATCH", "/v1/workflows/{workflow}/items/{id}", "{}", "ingest"),
    ("POST", "/v1/workflows/{workflow}/items", "hello", "ingest"),
    ("POST", "/v1/workflows/{workflow}/items/{id}/errors", r#"{"type":"io"}"#, "ingest"),
    ("POST", "/v1/batch", r#"{"op":"close","workflow":"uploads","id":"nobody"}"#, "ingest"),
    ("GET", "/v1/workflows/{workflow}/items/{id}", "", "read"),
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
    ("POST", "/v1/deliveries/{id}/resend", "", "admin"),
    ("POST", "/v1/receivers/{name}/test", "", "admin"),
    ("POST", "/v1/receivers/{name}/resume", "", "admin"),
    ("GET", "/healthz", "", ""),
    ("GET", "/readyz", "", ""),
    ("GET", "/openapi.json", "", ""),
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
    let path = path.replace("{step}", "copy");
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
    let claimed = make("/v1/leases", json!({"workflows": ["reports"]}), 200).await;
    for (kind, id) in [
        ("incidents", incident),
        ("deliveries", delivery),
        ("silences", text(&silence["id"])),
        ("replays", text(&replay["id"])),
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
