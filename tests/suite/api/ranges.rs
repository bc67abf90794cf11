//! Ranges of payloads.

use reqwest::Method;

use super::item;
use crate::support::{Answer, TestDaemon, ask};

async fn part(daemon: &TestDaemon, id: &str, range: &str) -> Answer {
    ask(daemon.request(Method::GET, &format!("{}/payload", item(id))).header("range", range)).await
}

#[tokio::test]
async fn a_range_gets_exactly_that_part() {
    let daemon = TestDaemon::builder().on_sled().start().await;
    let payload: Vec<u8> = (0..600_000_u32).map(|number| (number % 251) as u8).collect();
    daemon.create("uploads", "file-1", "", payload.clone()).await;
    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=0-599999", 0, 600_000),
        ("bytes=0-999999", 0, 600_000),
        ("bytes=599999-", 599_999, 600_000),
        ("bytes=-1", 599_999, 600_000),
        ("bytes=-9999999", 0, 600_000),
        ("bytes=65535-65537", 65_535, 65_538),
        ("bytes=262143-524289", 262_143, 524_290),
    ] {
        let answer = part(&daemon, "file-1", range).await;
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {start}-{}/600000", end - 1), "{range}");
        assert_eq!(answer.header("content-length"), (end - start).to_string(), "{range}");
        assert!(answer.header("repr-digest").starts_with("sha-256=:"), "the digest is the whole's");
        assert!(answer.body == payload[start..end], "{range} came back otherwise");
    }
}

#[tokio::test]
async fn a_range_outside_is_refused_with_the_size() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "", "hello").await;
    daemon.create("uploads", "empty", "", "").await;
    for (id, range, size) in [
        ("file-1", "bytes=5-", 5),
        ("file-1", "bytes=99999999999999999999-", 5),
        ("file-1", "bytes=-0", 5),
        ("empty", "bytes=0-0", 0),
        ("empty", "bytes=-1", 0),
    ] {
        let answer = part(&daemon, id, range).await;
        answer.refused(416, "range-not-satisfiable");
        assert_eq!(answer.header("content-range"), format!("bytes */{size}"), "{id} {range}");
    }
}

#[tokio::test]
async fn a_range_that_is_none_gets_the_whole() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "", "hello").await;
    for range in ["bytes=4-2", "bytes=a-b", "lines=0-1", "bytes", "bytes=-", "bytes=0-1,3-4", ""] {
        let answer = part(&daemon, "file-1", range).await;
        assert_eq!((answer.status, answer.text()), (200, "hello"), "{range}");
    }
}

#[tokio::test]
async fn a_range_holds_only_for_the_representation_it_was_meant_for() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "", "hello").await;
    let path = format!("{}/payload", item("file-1"));
    let tag = daemon.ask(Method::GET, &path).await.header("etag").to_owned();
    for (condition, status, body) in [
        (tag.clone(), 206, "ell"),
        ("\"other\"".into(), 200, "hello"),
        (format!("W/{tag}"), 200, "hello"),
        ("Thu, 01 Jan 2026 00:00:00 GMT".into(), 200, "hello"),
    ] {
        let request =
            daemon.request(Method::GET, &path).header("range", "bytes=1-3").header("if-range", &condition);
        let answer = ask(request).await;
        assert_eq!((answer.status, answer.text()), (status, body), "{condition}");
    }
}
