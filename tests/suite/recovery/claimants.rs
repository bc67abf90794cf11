//! Two hundred concurrent claimants: no item has two holders, also when leases expire.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestDaemon, ask, client};

const CLAIMANTS: usize = 200;
const ITEMS: usize = 2_000;

/// Something that a claimant did, with the places in the order of all events before which and after which it
/// happened.
#[derive(Clone, Debug)]
struct Held {
    item: String,
    token: u64,
    /// Taken before the answer to the claim was seen: the item is held from some moment after this on at the
    /// latest...
    claimed: usize,
    /// ... and until some moment before this, at which the request to end it was sent.
    ending: usize,
    end: &'static str,
}

/// Claims items and ends the leases, some by completing, some by failing for a moment, some by giving them
/// back; until everything is closed.
async fn work(
    url: String,
    number: usize,
    order: Arc<AtomicUsize>,
    history: Arc<Mutex<Vec<Held>>>,
    closed: Arc<AtomicUsize>,
) {
    let http = client();
    let post = async |path: String, document: Value| {
        let response = http.post(format!("{url}{path}")).json(&document).send().await.expect("an answer");
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.expect("JSON"))
    };
    let mut turn = number;
    while closed.load(Ordering::SeqCst) < ITEMS {
        let claim =
            json!({"max": 1 + turn % 7, "ttl": "60s", "worker": format!("w-{number}"), "payloads": false});
        let (status, answer) = post("/v1/leases".into(), claim).await;
        assert_eq!(status, 200, "{answer}");
        let claimed = order.fetch_add(1, Ordering::SeqCst);
        let leases = answer["leases"].as_array().expect("a list").clone();
        if leases.is_empty() {
            tokio::task::yield_now().await;
        }
        for lease in leases {
            turn += 1;
            let (id, item) = (lease["id"].as_str().unwrap(), lease["item"]["id"].as_str().unwrap());
            let (end, document) = match turn % 5 {
                0 => ("release", json!({})),
                1 => ("fail", json!({"error": {"type": "x", "retryable": true}, "retry_after": "0s"})),
                _ => ("complete", json!({})),
            };
            let ending = order.fetch_add(1, Ordering::SeqCst);
            let held =
                Held { item: item.to_owned(), token: lease["token"].as_u64().unwrap(), claimed, ending, end };
            history.lock().unwrap().push(held);
            let (status, answer) = post(format!("/v1/leases/{id}/{end}"), document).await;
            assert_eq!(status, 200, "{answer}");
            if end == "complete" {
                closed.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_claimants_never_hold_one_item_twice() {
    let config = "[workflow_defaults]\nretry = { max = 1000 }";
    let daemon = TestDaemon::builder().config(config).on_sled().start().await;
    let line = |number: usize| {
        json!({"op": "create", "workflow": format!("w{}", number % 3), "id": number.to_string(),
            "payload": "x",
            "deadline": "0s"})
        .to_string()
    };
    let lines: Vec<String> = (0..ITEMS).map(line).collect();
    daemon.send(Method::POST, "/v1/batch", lines.join("\n")).await.lines(200);

    let (order, closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let history = Arc::new(Mutex::new(Vec::new()));
    let claimants: Vec<_> = (0..CLAIMANTS)
        .map(|number| {
            tokio::spawn(work(daemon.url(""), number, order.clone(), history.clone(), closed.clone()))
        })
        .collect();
    for claimant in claimants {
        tokio::time::timeout(Duration::from_secs(240), claimant).await.expect("in time").expect("no panic");
    }

    let history = history.lock().unwrap().clone();
    let mut by_item: HashMap<&str, Vec<&Held>> = HashMap::new();
    for held in &history {
        by_item.entry(&held.item).or_default().push(held);
    }
    assert_eq!(by_item.len(), ITEMS);
    for (item, mut leases) in by_item {
        leases.sort_by_key(|held| held.token);
        let completed = leases.iter().filter(|held| held.end == "complete").count();
        assert_eq!(completed, 1, "{item} is completed once: {leases:?}");
        assert_eq!(leases.last().unwrap().end, "complete", "{item}: nothing follows its end");
        for pair in leases.windows(2) {
            // Whoever came later saw its claim only after the one before had begun to let go.
            assert!(pair[0].ending < pair[1].claimed, "{item} is held by two: {pair:?}");
        }
    }
    let tokens: std::collections::HashSet<u64> = history.iter().map(|held| held.token).collect();
    assert_eq!(tokens.len(), history.len(), "no token is given twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_out_is_claimed_by_one_of_many_who_wait_for_it() {
    let daemon = Arc::new(TestDaemon::builder().on_sled().start().await);
    for number in 0..100 {
        daemon.create("uploads", &number.to_string(), "?deadline=0s", "x").await;
    }
    let mut last_tokens: HashMap<String, u64> = HashMap::new();
    for _ in 0..10 {
        let claimants = (0..50).map(|number| {
            let request = daemon.request(Method::POST, "/v1/leases");
            let claim = json!({"max": 1 + number % 4, "ttl": "10s", "payloads": false});
            tokio::spawn(async move { ask(request.json(&claim)).await.json(200)["leases"].clone() })
        });
        let claimants: Vec<_> = claimants.collect();
        let mut tokens: HashMap<String, u64> = HashMap::new();
        for claimant in claimants {
            for lease in claimant.await.expect("no panic").as_array().expect("a list") {
                let item = lease["item"]["id"].as_str().expect("an id").to_owned();
                let token = lease["token"].as_u64().expect("a token");
                assert!(last_tokens.get(&item).is_none_or(|last| *last < token), "tokens of one item grow");
                assert_eq!(tokens.insert(item, token), None, "it is claimed by two");
            }
        }
        assert_eq!(tokens.len(), 100, "125 were asked for");
        last_tokens = tokens;
        daemon.advance(Duration::from_secs(10));
    }
}
