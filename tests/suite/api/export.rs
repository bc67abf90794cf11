//! The export: everything needed to import the items elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use warden::store::StoreError;

use super::item;
use crate::support::interference::{InterferedStore, Interference};
use crate::support::{TestDaemon, ask, within_patience};

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
        let mut put = from.request(Method::PUT, &path).header("content-type", content_type);
        if id == "binary" {
            put = put.header("content-encoding", "x-own, br");
        }
        ask(put.body(payload.to_vec())).await.json(201);
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
        assert_eq!(copy.header("content-encoding"), if id == "binary" { "x-own, br" } else { "" }, "{id}");
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
    for query in ["limit=5", "state=late", "cursor=x", "end=yes"] {
        daemon.ask(Method::GET, &format!("/v1/export?{query}")).await.refused(400, "invalid-request");
    }
}

#[tokio::test]
async fn an_export_reaches_over_many_pages() {
    let daemon = TestDaemon::builder().on_sled().start().await;
    let create = |number: usize| {
        json!({"op": "create", "workflow": "uploads", "id": format!("{number:05}"),
            "payload": "x".repeat(300)})
    };
    let lines: String = (0..2500).map(|number| format!("{}\n", create(number))).collect();
    daemon.send(Method::POST, "/v1/batch", lines).await.lines(200);
    let exported = daemon.ask(Method::GET, "/v1/export").await.lines(200);
    let expected: Vec<Value> = (0..2500).map(|number| create(number)["id"].clone()).collect();
    assert_eq!(exported.iter().map(|line| line["id"].clone()).collect::<Vec<_>>(), expected);
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cursor(line: &Value) -> &str {
    line["cursor"].as_str().expect("a cursor")
}

#[tokio::test]
async fn the_cursor_of_any_line_goes_on_right_behind_it() {
    let daemon = TestDaemon::builder().on_sled().start().await;
    // Deadlines in another order than the items, many of them the same.
    let create = |number: usize| {
        let deadline = format!("{}m", number * 7 % 40);
        json!({"op": "create", "workflow": "uploads", "id": number.to_string(), "payload": "x",
            "deadline": deadline})
    };
    let lines: String = (0..1100).map(|number| format!("{}\n", create(number))).collect();
    daemon.send(Method::POST, "/v1/batch", lines).await.lines(200);
    // A page ends at each 500th, and there are items without a line.
    for id in ["0", "499", "500", "501", "700"] {
        daemon.close("uploads", id).await;
    }
    for order in ["created", "deadline"] {
        let whole = daemon.ask(Method::GET, &format!("/v1/export?order={order}")).await.lines(200);
        assert_eq!(whole.len(), 1095);
        for last in [0, 1, 250, 497, 498, 499, 500, 501, 996, 1093, 1094] {
            let query = format!("order={order}&cursor={}", cursor(&whole[last]));
            let rest = daemon.ask(Method::GET, &format!("/v1/export?{query}")).await.lines(200);
            assert!(rest == whole[last + 1..], "{order}, behind line {last}");
        }
    }
    // It is the cursor of the lists as well.
    let whole = daemon.ask(Method::GET, "/v1/export").await.lines(200);
    let listed = daemon.get(&format!("/v1/items?limit=1&cursor={}", cursor(&whole[200]))).await;
    assert_eq!(listed["data"][0]["id"], whole[201]["id"]);
}

#[tokio::test]
async fn an_end_says_how_many_lines_there_were_and_what_they_hash_to() {
    let daemon = TestDaemon::start().await;
    let empty = daemon.ask(Method::GET, "/v1/export?end=true").await;
    let end = json!({"op": "end", "lines": 0, "sha256": hex(Sha256::digest(b""))});
    assert_eq!(empty.lines(200), [end]);

    let lines: String = (0..1001)
        .map(|number| {
            let id = format!("{number:05}");
            format!(
                "{}\n",
                json!({"op": "create", "workflow": "uploads", "id": id, "payload": "é\n".repeat(700)})
            )
        })
        .collect();
    daemon.send(Method::POST, "/v1/batch", lines).await.lines(200);
    daemon.close("uploads", "00007").await;
    let plain = daemon.ask(Method::GET, "/v1/export?end=false").await.body;
    let sealed = daemon.ask(Method::GET, "/v1/export?end=true").await;
    let (lines, end) = sealed.body.split_at(plain.len());
    assert!(lines == plain, "an end changes nothing about the lines before it");
    let expected =
        format!("{{\"op\":\"end\",\"lines\":1000,\"sha256\":\"{}\"}}\n", hex(Sha256::digest(lines)));
    assert_eq!(std::str::from_utf8(end).unwrap(), expected);

    // Of a part it says what the part is.
    let half = sealed.lines(200)[499].clone();
    let rest = daemon.ask(Method::GET, &format!("/v1/export?end=true&cursor={}", cursor(&half))).await;
    assert_eq!(rest.lines(200).last().unwrap()["lines"], 500);
}

#[tokio::test]
async fn a_batch_takes_an_export_with_its_end_as_it_is() {
    let (from, to) = (TestDaemon::start().await, TestDaemon::start().await);
    from.create("uploads", "a", "?deadline=2h", "1").await;
    let exported = from.ask(Method::GET, "/v1/export?end=true").await.body;
    for status in [201, 200] {
        let answers = to.send(Method::POST, "/v1/batch", exported.clone()).await.lines(200);
        let of_item =
            json!({"status": status, "workflow": "uploads", "id": "a", "version": 1, "state": "open"});
        assert_eq!(answers, [of_item, json!({"status": 200})]);
    }
    // An end among other lines, and one that says nothing or other things, is passed over.
    let lines = "{\"op\":\"end\"}\n{\"op\":\"end\",\"lines\":7,\"sha256\":\"x\"}\n{\"op\":\"close\",\
                 \"workflow\":\"uploads\",\"id\":\"a\"}\n";
    let answers = to.send(Method::POST, "/v1/batch", lines).await.lines(200);
    let statuses: Vec<_> = answers.iter().map(|answer| answer["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 200, 204]);
    for (line, reason) in [
        ("{\"op\":\"create\",\"id\":\"b\",\"payload\":\"x\"}", "must have a workflow"),
        ("{\"op\":\"end\",\"sum\":1}", "sum"),
    ] {
        let answer = to.send(Method::POST, "/v1/batch", line).await.lines(200).remove(0);
        assert_eq!(answer["status"], 400);
        assert!(answer["detail"].as_str().unwrap().contains(reason), "{answer}");
    }
}

/// A store that gives out only so many more payloads.
struct Stingy {
    left: AtomicUsize,
}

impl Interference for Stingy {
    fn before_reading_payload(&self) -> Result<(), StoreError> {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(|_| ()).map_err(|_| StoreError::Fatal("the disk is broken".into()))
    }
}

#[tokio::test]
async fn an_export_that_fails_halfway_does_not_look_like_a_whole_one() {
    let stingy = Arc::new(Stingy { left: AtomicUsize::new(usize::MAX) });
    let daemon = TestDaemon::builder().on(InterferedStore::starts(&stingy)).start().await;
    for number in 0..20 {
        daemon.create("uploads", &number.to_string(), "?deadline=2h", "x".repeat(50_000)).await;
    }
    for query in ["", "?end=true"] {
        stingy.left.store(10, Ordering::Relaxed);
        let mut response = daemon.response(Method::GET, &format!("/v1/export{query}")).await;
        assert_eq!(response.status(), 200);
        let mut received = Vec::new();
        let error = within_patience("the answer to break off", async {
            loop {
                match response.chunk().await {
                    Ok(Some(bytes)) => received.extend_from_slice(&bytes),
                    Ok(None) => panic!("the answer came to a proper end after {} bytes", received.len()),
                    Err(error) => return error,
                }
            }
        });
        let error = error.await;
        assert!(error.is_body() || error.is_decode(), "{error:?}");
        // It can be gone on with after the last whole line; where the connection broke a line may be cut.
        let whole = received.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<Value> = received[..whole]
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert!(
            (1..=10).contains(&lines.len()) && lines.iter().all(|line| line["op"] == "create"),
            "{lines:?}"
        );
        stingy.left.store(usize::MAX, Ordering::Relaxed);
        let path = format!("/v1/export?cursor={}", cursor(&lines[lines.len() - 1]));
        assert_eq!(daemon.ask(Method::GET, &path).await.lines(200).len(), 20 - lines.len());
    }
}
