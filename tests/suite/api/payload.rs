//! Payloads: byte for byte, of every size, with type and digest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::item;
use crate::support::{Answer, TestDaemon, ask};

/// Bytes that look like nothing in particular, the same for the same length.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = length as u64 | 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn assert_is(answer: &Answer, payload: &[u8]) {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-length"), payload.len().to_string());
    let digest = Sha256::digest(payload);
    assert_eq!(answer.header("repr-digest"), format!("sha-256=:{}:", STANDARD.encode(digest)));
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(answer.header("etag"), format!("\"{hex}\""));
    assert!(answer.body == payload, "{} bytes came back otherwise", payload.len());
}

#[tokio::test]
async fn payloads_of_every_size_come_back_bit_for_bit() {
    let sizes = [0, 1, 1023, 1024, 65_535, 65_536, 65_537, 262_144, 262_145, 524_288, 1_048_575, 1_048_576];
    let mut daemon = TestDaemon::builder().on_sled().start().await;
    for size in sizes {
        let created = daemon.create("uploads", &size.to_string(), "", bytes(size)).await;
        assert_eq!(created["payload"]["size"], size);
    }
    for restarted in [false, true] {
        if restarted {
            daemon.restart().await;
        }
        for size in sizes {
            let path = format!("{}/payload", item(&size.to_string()));
            assert_is(&daemon.ask(Method::GET, &path).await, &bytes(size));
        }
    }
    let refused = daemon.send(Method::PUT, &item("larger"), bytes(1_048_577)).await;
    assert!(refused.refused(413, "payload-too-large").contains("1048576"));
    daemon.ask(Method::GET, &item("larger")).await.refused(404, "item-not-found");
}

#[tokio::test]
async fn a_raised_limit_lets_larger_payloads_in() {
    for builder in [TestDaemon::builder(), TestDaemon::builder().on_sled()] {
        let daemon = builder.config("[limits]\npayload_max = \"64MiB\"").start().await;
        let payload = [bytes(1024 * 1024).repeat(9), bytes(1)].concat();
        daemon.create("uploads", "large", "", payload.clone()).await;
        assert_is(&daemon.ask(Method::GET, &format!("{}/payload", item("large"))).await, &payload);
    }
}

#[tokio::test]
async fn the_largest_payload_of_all_comes_back() {
    let daemon = TestDaemon::builder().on_sled().config("[limits]\npayload_max = \"64MiB\"").start().await;
    let payload = bytes(1024 * 1024).repeat(64);
    daemon.create("uploads", "largest", "", payload.clone()).await;
    assert_is(&daemon.ask(Method::GET, &format!("{}/payload", item("largest"))).await, &payload);
    let larger = daemon.send(Method::PUT, &item("larger"), [&payload[..], b"x"].concat()).await;
    larger.refused(413, "payload-too-large");
}

#[tokio::test]
async fn a_payload_comes_back_with_the_content_type_it_came_with() {
    let daemon = TestDaemon::start().await;
    let longest = format!("text/x-{}", "y".repeat(248));
    for (id, content_type) in [
        ("a", "application/json"),
        ("b", "text/plain; charset=utf-8"),
        ("c", "multipart/form-data; boundary=\"----x\""),
        ("d", "nonsense"),
        ("e", &longest),
    ] {
        let put = daemon.request(Method::PUT, &item(id)).header("content-type", content_type).body("x");
        assert_eq!(ask(put).await.json(201)["payload"]["content_type"], content_type);
        let payload = daemon.ask(Method::GET, &format!("{}/payload", item(id))).await;
        assert_eq!(payload.header("content-type"), content_type);
        assert_eq!(payload.header("x-content-type-options"), "nosniff");
    }
    let untyped = daemon.create("uploads", "untyped", "", "x").await;
    assert_eq!(untyped["payload"]["content_type"], "application/octet-stream");
    for content_type in ["text/pläin", &format!("{longest}y")] {
        let put = daemon.request(Method::PUT, &item("x")).header("content-type", content_type).body("x");
        ask(put).await.refused(400, "invalid-request");
    }
}

#[tokio::test]
async fn the_head_of_a_payload_tells_all_but_the_bytes() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "", "hello").await;
    let path = format!("{}/payload", item("file-1"));
    let (whole, head) = (daemon.ask(Method::GET, &path).await, daemon.ask(Method::HEAD, &path).await);
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in ["content-length", "content-type", "etag", "repr-digest", "accept-ranges"] {
        assert_eq!(head.header(name), whole.header(name), "{name}");
    }
    let part = ask(daemon.request(Method::HEAD, &path).header("range", "bytes=0-0")).await;
    assert_eq!((part.status, part.header("content-length")), (200, "5"), "ranges are for GET alone");
    let item_head = daemon.ask(Method::HEAD, &item("file-1")).await;
    assert_eq!((item_head.status, item_head.header("etag")), (200, "\"1\""));
    assert_eq!(daemon.ask(Method::HEAD, &item("nobody")).await.status, 404);
    daemon.close("uploads", "file-1").await;
    assert_eq!(daemon.ask(Method::HEAD, &path).await.status, 410);
}

#[tokio::test]
async fn a_client_that_has_the_payload_is_not_sent_it_again() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "", "hello").await;
    let path = format!("{}/payload", item("file-1"));
    let tag = daemon.ask(Method::GET, &path).await.header("etag").to_owned();
    for condition in
        [tag.clone(), "*".into(), format!("W/{tag}"), format!("\"other\", {tag}"), format!("\"a,b\",{tag}")]
    {
        let answer = ask(daemon.request(Method::GET, &path).header("if-none-match", &condition)).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{condition}");
        assert_eq!(answer.header("etag"), tag);
    }
    let twice =
        daemon.request(Method::GET, &path).header("if-none-match", "\"other\"").header("if-none-match", &tag);
    assert_eq!(ask(twice).await.status, 304);
    for condition in ["\"other\"", "other", "W/\"other\"", &tag[1..]] {
        let answer = ask(daemon.request(Method::GET, &path).header("if-none-match", condition)).await;
        assert_eq!((answer.status, answer.text()), (200, "hello"), "{condition}");
    }
}

#[tokio::test]
async fn a_payload_comes_back_with_the_content_encoding_it_came_with_and_as_it_was_encoded() {
    let mut daemon = TestDaemon::builder().on_sled().start().await;
    let gzip = [&[0x1f, 0x8b, 8, 0][..], &bytes(300)].concat();
    let encodings = ["gzip", "br, GZip", "x-own", "gzip, identity"];
    for (id, encoding) in encodings.iter().enumerate() {
        let put = || {
            let request = daemon.request(Method::PUT, &item(&id.to_string()));
            request.header("content-type", "application/json").header("content-encoding", *encoding)
        };
        let created = ask(put().body(gzip.clone())).await.json(201);
        assert_eq!(created["payload"]["content_encoding"], *encoding);
        ask(put().body(gzip.clone())).await.json(200);
    }
    for restarted in [false, true] {
        if restarted {
            daemon.restart().await;
        }
        for (id, encoding) in encodings.iter().enumerate() {
            let path = format!("{}/payload", item(&id.to_string()));
            // Whatever a client would like to have.
            for accepted in ["identity", "gzip;q=0, *;q=0", "gzip"] {
                let whole = ask(daemon.request(Method::GET, &path).header("accept-encoding", accepted)).await;
                assert_is(&whole, &gzip);
                assert_eq!(
                    (whole.header("content-encoding"), whole.header("content-type")),
                    (*encoding, "application/json")
                );
            }
            let part = ask(daemon.request(Method::GET, &path).header("range", "bytes=2-5")).await;
            assert_eq!((part.status, part.header("content-encoding")), (206, *encoding));
            assert!(part.body == gzip[2..6]);
            let head = daemon.ask(Method::HEAD, &path).await;
            assert_eq!((head.header("content-encoding"), head.header("content-length")), (*encoding, "304"));
            assert_eq!(daemon.get(&item(&id.to_string())).await["payload"]["content_encoding"], *encoding);
        }
    }
}

#[tokio::test]
async fn no_content_encoding_is_none_and_another_one_is_another_payload() {
    let daemon = TestDaemon::start().await;
    let put = async |id: &str, encodings: &[&str]| {
        let request = daemon.request(Method::PUT, &item(id)).body("x");
        ask(encodings.iter().fold(request, |request, one| request.header("content-encoding", *one))).await
    };
    for (id, encodings) in
        [("a", &[][..]), ("b", &[""]), ("c", &["identity"]), ("d", &["Identity", "identity"])]
    {
        assert_eq!(put(id, encodings).await.json(201)["payload"]["content_encoding"], json!(null), "{id}");
        let payload = daemon.ask(Method::GET, &format!("{}/payload", item(id))).await;
        assert!(!payload.headers.contains_key("content-encoding"));
        assert_eq!(payload.text(), "x");
        put(id, &["gzip"]).await.refused(409, "item-conflict");
    }
    // A list may be spread over several headers.
    assert_eq!(put("two", &["br", "gzip"]).await.json(201)["payload"]["content_encoding"], "br, gzip");
    put("two", &["br, gzip"]).await.json(200);
    put("two", &["gzip"]).await.refused(409, "item-conflict");
    put("two", &[]).await.refused(409, "item-conflict");
    let longest = "x".repeat(127);
    put("longest", &[&longest]).await.json(201);
    for encoding in ["gz ip", "gzip;q=1", "gzip, \"br\"", &format!("{longest}x")] {
        let detail = put("refused", &[encoding]).await.refused(400, "invalid-request");
        assert!(detail.contains("content encoding"), "{detail}");
    }
    put("refused", &["gz\u{e4}p"]).await.refused(400, "invalid-request");
}

#[tokio::test]
async fn what_cannot_be_kept_as_it_is_said_is_refused() {
    let daemon = TestDaemon::start().await;
    let put = daemon.request(Method::PUT, &item("a")).header("content-type", "text/plain");
    let twice = ask(put.header("content-type", "text/html").body("x")).await;
    assert!(twice.refused(400, "invalid-request").contains("content-type occurs 2 times"));
    // What is read here, and not kept, is not decoded either.
    for (path, content_type) in [("/v1/batch", "application/x-ndjson"), ("/v1/leases", "application/json")] {
        let post = daemon.request(Method::POST, path).header("content-type", content_type);
        let answer = ask(post.header("content-encoding", "gzip").body(vec![0x1f, 0x8b])).await;
        assert!(answer.refused(415, "unsupported-encoding").contains("gzip"));
        assert_eq!(answer.header("accept-encoding"), "identity");
    }
}
