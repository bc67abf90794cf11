//! Lists of items: filters, orders, and pages.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::item;
use crate::support::TestDaemon;

const MINUTE: Duration = Duration::from_secs(60);

fn ids(page: &Value) -> Vec<String> {
    let id = |item: &Value| item["id"].as_str().expect("an id").to_owned();
    page["data"].as_array().expect("a page").iter().map(id).collect()
}

/// A daemon with an item in each state.
async fn with_items() -> TestDaemon {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "late", "?deadline=5m&label=region:eu&step=copy", "1").await;
    daemon.advance(MINUTE);
    daemon.create("uploads", "open", "?deadline=2h&label=region:us&label=tier:gold&step=copy", "2").await;
    daemon.advance(MINUTE);
    daemon.create("reports", "failed", "?deadline=1h&label=region:eu&step=print", "3").await;
    let fatal = json!({"type": "io", "fatal": true});
    daemon.send_json(Method::POST, "/v1/workflows/reports/items/failed/errors", fatal).await.json(201);
    daemon.advance(MINUTE);
    daemon.create("reports-2", "closed", "?deadline=3h", "4").await;
    daemon.close("reports-2", "closed").await;
    daemon.advance(7 * MINUTE);
    daemon.open_incidents(2).await;
    daemon
}

#[tokio::test]
async fn a_list_holds_what_its_filters_ask_for() {
    let daemon = with_items().await;
    for (query, expected) in [
        ("", vec!["late", "open", "failed", "closed"]),
        ("?workflow=uploads", vec!["late", "open"]),
        ("?workflow=reports*", vec!["failed", "closed"]),
        ("?workflow=uploads&workflow=reports", vec!["late", "open", "failed"]),
        ("?workflow=nobody", vec![]),
        ("?state=open", vec!["open"]),
        ("?state=overdue", vec!["late"]),
        ("?state=overdue&state=failed", vec!["late", "failed"]),
        ("?state=closed", vec!["closed"]),
        ("?state=held", vec![]),
        ("?label=region:eu", vec!["late", "failed"]),
        ("?label=region:us&label=tier:gold", vec!["open"]),
        ("?label=region:eu&label=tier:gold", vec![]),
        ("?step=copy", vec!["late", "open"]),
        ("?created_after=2026-01-01T00:01:00Z", vec!["open", "failed", "closed"]),
        ("?created_before=2026-01-01T00:01:00Z", vec!["late"]),
        ("?created_after=2026-01-01T00:01:00Z&created_before=2026-01-01T00:02:30.5Z", vec!["open", "failed"]),
        ("?deadline_before=2026-01-01T01:02:00Z", vec!["late"]),
        ("?deadline_before=2026-01-01T02:02:00%2B01:00&state=failed", vec![]),
        ("?deadline_after=2026-01-01T01:02:00Z&workflow=re*", vec!["failed", "closed"]),
        ("?order=created", vec!["late", "open", "failed", "closed"]),
        ("?order=deadline", vec!["late", "failed", "open", "closed"]),
        ("?order=deadline&state=overdue", vec!["late"]),
    ] {
        let page = daemon.ask(Method::GET, &format!("/v1/items{query}")).await.json(200);
        assert_eq!(
            (ids(&page), &page["next_cursor"]),
            (expected.iter().map(ToString::to_string).collect(), &Value::Null),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_listed_item_is_the_item() {
    let daemon = with_items().await;
    let page = daemon.get("/v1/items?state=failed").await;
    assert_eq!(page["data"][0], daemon.get("/v1/workflows/reports/items/failed").await);
    let page = daemon.get("/v1/items?state=overdue&order=deadline").await;
    assert_eq!(page["data"][0], daemon.get(&item("late")).await);
}

#[tokio::test]
async fn a_question_that_cannot_be_read_is_refused_with_its_place() {
    let daemon = TestDaemon::start().await;
    for (query, place) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("limit=99999999999999999999999", "limit"),
        ("limit=10&limit=20", "limit"),
        ("cursor=", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=AAAA", "cursor"),
        ("cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk6MQ", "cursor"),
        ("state=late", "state"),
        ("state=", "state"),
        ("order=id", "order"),
        ("label=region", "label"),
        ("label=a:b&label=a:c", "label"),
        ("created_after=yesterday", "created_after"),
        ("created_before=2026-01-01", "created_before"),
        ("deadline_before=2026-01-01T00:00:00+01:00", "%2B"),
        ("deadline_after=2026-13-01T00:00:00Z", "deadline_after"),
        ("sort=id", "sort"),
        ("Limit=1", "Limit"),
        ("workflow=%FF", "UTF-8"),
    ] {
        let detail =
            daemon.ask(Method::GET, &format!("/v1/items?{query}")).await.refused(400, "invalid-request");
        assert!(detail.contains(place), "{query}: {detail}");
    }
}

#[tokio::test]
async fn a_page_holds_fifty_items_unless_it_is_asked_for_more_or_less() {
    let daemon = TestDaemon::start().await;
    let create = |number: usize| {
        json!({"op": "create", "workflow": "uploads", "id": format!("{number:04}"),
            "payload": 1})
    };
    let lines: String = (0..1001).map(|number| format!("{}\n", create(number))).collect();
    daemon.send(Method::POST, "/v1/batch", lines).await.lines(200);
    for (query, count) in [("", 50), ("?limit=1", 1), ("?limit=1000", 1000), ("?order=deadline", 50)] {
        let page = daemon.get(&format!("/v1/items{query}")).await;
        assert_eq!(ids(&page).len(), count, "{query}");
        assert!(page["next_cursor"].is_string(), "{query}");
    }
}

/// Pages through a list, and does something between any two pages.
async fn page_through(daemon: &TestDaemon, query: &str, mut between: impl AsyncFnMut(usize)) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    for number in 0.. {
        let page = daemon.ask(Method::GET, &format!("/v1/items?limit=3&{query}{cursor}")).await.json(200);
        assert!(ids(&page).len() <= 3);
        found.extend(ids(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        between(number).await;
    }
    found
}

#[tokio::test]
async fn paging_meets_every_item_once_while_others_come_and_go() {
    for query in ["workflow=uploads", "workflow=uploads&order=deadline", "state=overdue&order=deadline"] {
        for builder in [TestDaemon::builder(), TestDaemon::builder().on_sled()] {
            let daemon = builder.start().await;
            for number in 0..20 {
                // Deadlines run against the order of creation, and some are the same.
                let query = format!("?deadline={}m", 40 - number / 2);
                daemon.create("uploads", &format!("stays-{number}"), &query, "x").await;
                daemon.create("uploads", &format!("goes-{number}"), &query, "x").await;
            }
            daemon.advance(60 * MINUTE);
            daemon.open_incidents(1).await;
            let found = page_through(&daemon, query, async |number| {
                daemon.create("uploads", &format!("comes-{number}"), "?deadline=0s", "x").await;
                let goes = format!("goes-{}", number * 3 % 20);
                daemon.ask(Method::DELETE, &item(&goes)).await;
            })
            .await;
            let mut times = BTreeMap::new();
            for id in &found {
                *times.entry(id.as_str()).or_insert(0) += 1;
            }
            assert!(times.values().all(|times| *times == 1), "{query}: something came twice in {found:?}");
            for number in 0..20 {
                let id = format!("stays-{number}");
                assert!(times.contains_key(id.as_str()), "{query}: {id} is missing in {found:?}");
            }
        }
    }
}

#[tokio::test]
async fn every_list_comes_in_pages() {
    let daemon = TestDaemon::start().await;
    for number in 0..5 {
        daemon.create(&format!("w{number}"), "late", "?deadline=0s", "x").await;
    }
    daemon.open_incidents(5).await;
    for (path, name) in [("/v1/workflows", "name"), ("/v1/incidents", "id")] {
        let whole = daemon.ask(Method::GET, path).await.json(200);
        assert_eq!(whole["next_cursor"], Value::Null);
        let mut found = Vec::new();
        let mut cursor = String::new();
        for expected in [2, 2, 1] {
            let page = daemon.ask(Method::GET, &format!("{path}?limit=2{cursor}")).await.json(200);
            let data = page["data"].as_array().expect("a page");
            assert_eq!(data.len(), expected, "{path}");
            found.extend(data.iter().map(|entry| entry[name].clone()));
            cursor = format!("&cursor={}", page["next_cursor"].as_str().unwrap_or("none"));
        }
        assert!(cursor.ends_with("=none"), "{path}: the last page says so");
        let names = |page: &Value| -> Vec<Value> {
            page["data"].as_array().expect("a page").iter().map(|entry| entry[name].clone()).collect()
        };
        assert_eq!(found, names(&whole), "{path}");
        for query in ["limit=0", "limit=1001", "cursor=%00", "cursor=_", "limit=2&limit=2"] {
            daemon.ask(Method::GET, &format!("{path}?{query}")).await.refused(400, "invalid-request");
        }
    }
}

#[tokio::test]
async fn a_cursor_outlives_a_restart() {
    let mut daemon = TestDaemon::builder().on_sled().start().await;
    for id in ["a", "b", "c", "d"] {
        daemon.create("uploads", id, "", "x").await;
    }
    let first = daemon.get("/v1/items?limit=2").await;
    daemon.restart().await;
    let rest =
        daemon.get(&format!("/v1/items?limit=2&cursor={}", first["next_cursor"].as_str().unwrap())).await;
    assert_eq!((ids(&first), ids(&rest)), (vec!["a".into(), "b".into()], vec!["c".into(), "d".into()]));
    assert_eq!(rest["next_cursor"], Value::Null);
}
