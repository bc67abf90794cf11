//! Connections: limits on heads, and HTTP/2.

use reqwest::Method;
use serde_json::json;

use super::item;
use crate::support::{TestDaemon, Wire, ask};

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let daemon = TestDaemon::builder().config("[limits]\nheader_max = \"8KiB\"").start().await;
    let many: String = (0..300).map(|number| format!("x-{number}: y\r\n")).collect();
    for (target, headers, status) in [
        ("/healthz", format!("x: {}\r\n", "y".repeat(10_000)), "431"),
        ("/healthz", many, "431"),
        (&*format!("/{}", "x".repeat(70_000)), String::new(), "414"),
    ] {
        let mut wire = Wire::open(&daemon).await;
        wire.send(format!("GET {target} HTTP/1.1\r\nhost: warden\r\n{headers}\r\n")).await;
        let said = wire.closed().await;
        assert!(said.starts_with("HTTP/1.1 4"), "{said}");
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status} ")) || said.starts_with("HTTP/1.1 431 "),
            "{said}"
        );
    }
    let fits = format!("x: {}\r\n", "y".repeat(6_000));
    let answer = Wire::open(&daemon).await.exchange(Method::GET, b"/healthz", &fits, b"").await;
    assert_eq!(answer.status, 200);
}

fn second_version() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .tls_certs_only([])
        .build()
        .expect("a client")
}

#[tokio::test]
async fn http_2_is_served_to_those_who_know_it() {
    let daemon = TestDaemon::builder().on_sled().config("[limits]\npayload_max = \"9MiB\"").start().await;
    let http = second_version();
    let request = |method: Method, path: &str| http.request(method, daemon.url(path));
    let payload = vec![b'x'; 9 << 20];
    let path = item("file-1");
    ask(request(Method::PUT, &path).body(payload.clone())).await.json(201);
    let response = request(Method::GET, &format!("{path}/payload")).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert!(response.bytes().await.unwrap() == payload);
    ask(request(Method::PATCH, &path).json(&json!({"deadline": "2h"}))).await.json(200);
    let line = json!({"op": "close", "workflow": "uploads", "id": "file-1"}).to_string();
    assert_eq!(ask(request(Method::POST, "/v1/batch").body(line)).await.lines(200)[0]["status"], 204);
    ask(request(Method::PUT, &path).body(payload)).await.refused(409, "item-closed");
    let gone = ask(request(Method::HEAD, &format!("{path}/payload"))).await;
    assert_eq!((gone.status, gone.body.len()), (410, 0));
}

#[tokio::test]
async fn http_2_hears_of_a_body_too_large() {
    let daemon = TestDaemon::start().await;
    let http = second_version();
    let large = http.put(daemon.url(&item("file-1"))).body(vec![b'x'; 2 << 20]);
    ask(large).await.refused(413, "payload-too-large");
    let pieces = (0..32).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 64 * 1024]));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    ask(http.put(daemon.url(&item("file-1"))).body(body)).await.refused(413, "payload-too-large");
    daemon.ask(Method::GET, &item("file-1")).await.refused(404, "item-not-found");
}

#[tokio::test]
async fn a_stream_that_breaks_off_stores_nothing() {
    let daemon = TestDaemon::start().await;
    let http = second_version();
    let broken = [Ok(b"hello".to_vec()), Err(std::io::Error::other("broken off"))];
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(broken));
    http.put(daemon.url(&item("file-1"))).body(body).send().await.expect_err("the client gave up");
    daemon.ask(Method::GET, &item("file-1")).await.refused(404, "item-not-found");
}
