//! Load with a memory: clients that create and close, and write down what was acknowledged. After a fault the daemon is
//! held to it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use reqwest::{Client, Method, StatusCode};
use tokio::task::JoinSet;

use crate::support::{DaemonProcess, client};

/// How far an item is known to have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// The create was sent; nobody knows.
    CreateSent,
    /// The create was acknowledged.
    Created,
    /// The close was sent; nobody knows.
    CloseSent,
    /// The close was acknowledged.
    Closed,
}

/// What was asked and what was acknowledged, over all lives of a daemon.
#[derive(Clone, Default)]
pub struct Memory {
    items: Arc<Mutex<BTreeMap<u64, Known>>>,
    next: Arc<AtomicU64>,
}

/// What the load is like.
#[derive(Clone, Copy)]
pub struct Shape {
    /// How many clients work at once.
    pub clients: u64,
    /// The largest payload, in bytes. Most are far smaller.
    pub payload_max: usize,
    /// The deadline of the items.
    pub deadline: &'static str,
}

/// The workflow that the load works in.
pub const WORKFLOW: &str = "load";

/// The payload of an item: determined by its number, of a size anywhere from nothing to the largest.
fn payload(number: u64, max: usize) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(number);
    let size = match number % 8 {
        0 => 0,
        1 => random.random_range(0..=max),
        2 => random.random_range(0..=max.min(20_000)),
        _ => random.random_range(0..=max.min(2_000)),
    };
    let mut bytes = vec![0; size];
    random.fill_bytes(&mut bytes);
    bytes
}

fn path(number: u64) -> String {
    format!("/v1/workflows/{WORKFLOW}/items/item-{number}")
}

impl Memory {
    fn note(&self, number: u64, known: Known) {
        self.items.lock().expect("not poisoned").insert(number, known);
    }

    fn snapshot(&self) -> Vec<(u64, Known)> {
        self.items.lock().expect("not poisoned").iter().map(|(number, known)| (*number, *known)).collect()
    }

    /// How many creates were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.snapshot().iter().filter(|(_, known)| *known != Known::CreateSent).count()
    }

    /// Works on the daemon until it stops answering or `stop` is set.
    pub fn press(&self, daemon: &DaemonProcess, shape: Shape, stop: Arc<AtomicBool>) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for seed in 0..shape.clients {
            let (memory, base, stop) = (self.clone(), daemon.url(""), stop.clone());
            let http = client();
            clients.spawn(async move { memory.work(&http, &base, shape, seed, &stop).await });
        }
        clients
    }

    async fn work(&self, http: &Client, base: &str, shape: Shape, seed: u64, stop: &AtomicBool) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut mine: Vec<u64> = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let close = mine.len() > 20 || (!mine.is_empty() && random.random_bool(0.45));
            if close {
                let number = mine.swap_remove(random.random_range(0..mine.len()));
                self.note(number, Known::CloseSent);
                let Ok(response) = http.delete(format!("{base}{}", path(number))).send().await else {
                    return;
                };
                if response.status() == StatusCode::NO_CONTENT {
                    self.note(number, Known::Closed);
                }
            } else {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                self.note(number, Known::CreateSent);
                let url = format!("{base}{}?deadline={}", path(number), shape.deadline);
                let Ok(response) = http.put(url).body(payload(number, shape.payload_max)).send().await else {
                    return;
                };
                if response.status() == StatusCode::CREATED {
                    self.note(number, Known::Created);
                    mine.push(number);
                }
            }
        }
    }

    /// Holds the daemon to all that was acknowledged, and takes note of what became of the rest, so that the next round
    /// holds it to that as well. Returns how many items are open.
    pub async fn hold_to(&self, daemon: &DaemonProcess, shape: Shape) -> usize {
        let mut open = 0;
        for (number, known) in self.snapshot() {
            let response = daemon.request(Method::GET, &path(number)).send().await.expect("an answer");
            let found = response.status();
            let state = match found {
                StatusCode::OK => {
                    let item: serde_json::Value = response.json().await.expect("an item");
                    item["state"].as_str().expect("a state").to_owned()
                }
                _ => String::new(),
            };
            match known {
                Known::Created => assert!(
                    matches!(state.as_str(), "open" | "overdue"),
                    "item-{number} was acknowledged and not closed, and is now {found} {state}"
                ),
                Known::Closed => {
                    assert_eq!(
                        state, "closed",
                        "item-{number} was acknowledged as closed, and is now {found} {state}"
                    );
                }
                Known::CreateSent => assert!(
                    found == StatusCode::NOT_FOUND || matches!(state.as_str(), "open" | "overdue"),
                    "item-{number} was sent and is now {found} {state}"
                ),
                Known::CloseSent => {
                    assert_eq!(found, StatusCode::OK, "item-{number} is remembered, open or closed")
                }
            }
            match state.as_str() {
                "open" | "overdue" => {
                    open += 1;
                    self.note(number, Known::Created);
                    let bytes =
                        daemon.request(Method::GET, &format!("{}/payload", path(number))).send().await;
                    let bytes = bytes.expect("an answer").bytes().await.expect("a payload");
                    let expected = payload(number, shape.payload_max);
                    assert!(bytes == expected, "the payload of item-{number} came back changed");
                }
                "closed" => self.note(number, Known::Closed),
                _ => {
                    self.items.lock().expect("not poisoned").remove(&number);
                }
            }
        }
        open
    }
}
