//! The export: everything that is needed to hand the items in again elsewhere.

use reqwest::Method;
use serde_json::{Value, json};

use super::item;
use crate::support::{TestDaemon, ask};

#[tokio::test]
async fn what_is_exported_is_taken_in_by_a_batch_bit_for_bit() {
    let (from, to) = (TestDaemon::builder().on_sled().start().await, TestDaemon::start().await);
    let every_byte: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    // Each of these takes two or six bytes in a JSON string.
    let much_escaped = "\"\\\n\u{1}".repeat(256 * 1024).into_bytes();
    let payloads: [(&str, &str, &[u8]); 7] = [
        ("empty", "application/x-nothing", b""),
        ("text", "text/plain; charset=utf-8", "h\u{e9}llo \u{1f980}\r\n\0 ".as_bytes()),
        ("json", "application/json", b"{ \"a\" : 1.0e+2 }\n"),
        ("binary", "application/octet-stream", &every_byte),
        ("half", "text/plain", b"\xc3"),
        ("escaped", "text/x-escaped; q=\"\\\"\"", &much_escaped),
        ("a%2Fb%20%22", "text/plain", b"x"),
    ];
    for (id, content_type, payload) in payloads {
        let path = format!("{}?deadline=2h&label=region:eu%22&step=copy", item(id));
        let put =
            from.request(Method::PUT, &path).header("content-type", content_type).body(payload.to_vec());
        ask(put).await.json(201);
    }
    from.create("uploads", "closed", "", "x").await;
    from.close("uploads", "closed").await;

    let exported = from.ask(Method::GET, "/v1/export").await;
    assert_eq!(exported.lines(200).len(), payloads.len(), "what is closed is not handed out");
    let answers = to.send(Method::POST, "/v1/batch", exported.body.clone()).await.lines(200);
    assert!(answers.iter().all(|answer| answer["status"] == 201), "{answers:?}");
    for (id, content_type, payload) in payloads {
        let copy = to.ask(Method::GET, &format!("{}/payload", item(id))).await;
        assert_eq!((copy.status, copy.header("content-type")), (200, content_type), "{id}");
        assert!(copy.body == payload, "{id} came out otherwise");
        let (original, copy) = (from.get(&item(id)).await, to.get(&item(id)).await);
        for field in ["id", "workflow", "deadline", "labels", "step", "payload"] {
            assert_eq!(original[field], copy[field], "{field} of {id}");
        }
    }
    let again = to.send(Method::POST, "/v1/batch", exported.body).await.lines(200);
    assert!(again.iter().all(|answer| answer["status"] == 200), "{again:?}");
}

#[tokio::test]
async fn an_export_follows_the_filters_of_a_list() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "a", "?deadline=2h&label=region:eu", "1").await;
    daemon.create("uploads", "b", "?deadline=1h&label=region:us", "2").await;
    daemon.create("reports", "c", "?deadline=1s&label=region:eu", "3").await;
    let export = async |query: &str| -> Vec<String> {
        let lines = daemon.ask(Method::GET, &format!("/v1/export?{query}")).await.lines(200);
        lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(export("").await, ["a", "b", "c"]);
    assert_eq!(export("order=deadline").await, ["c", "b", "a"]);
    assert_eq!(export("workflow=up*").await, ["a", "b"]);
    assert_eq!(export("label=region:eu").await, ["a", "c"]);
    daemon.advance(std::time::Duration::from_secs(1));
    assert_eq!(export("state=overdue").await, ["c"]);
    assert!(export("workflow=nobody").await.is_empty());
    let cursor = daemon.get("/v1/items?limit=1").await["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(export(&format!("cursor={cursor}")).await, ["b", "c"]);
    for query in ["limit=5", "state=late", "cursor=x"] {
        daemon.ask(Method::GET, &format!("/v1/export?{query}")).await.refused(400, "invalid-request");
    }
}

#[tokio::test]
async fn an_export_reaches_over_many_pages() {
    let daemon = TestDaemon::builder().on_sled().start().await;
    let create = |number: usize| json!({"op": "create", "workflow": "uploads", "id": format!("{number:05}"), "payload": "x".repeat(300)});
    let lines: String = (0..2500).map(|number| format!("{}\n", create(number))).collect();
    daemon.send(Method::POST, "/v1/batch", lines).await.lines(200);
    let exported = daemon.ask(Method::GET, "/v1/export").await.lines(200);
    let expected: Vec<Value> = (0..2500).map(|number| create(number)["id"].clone()).collect();
    assert_eq!(exported.iter().map(|line| line["id"].clone()).collect::<Vec<_>>(), expected);
}
