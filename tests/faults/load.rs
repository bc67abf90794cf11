//! Load that records what was acknowledged: clients that create and close. After a fault the daemon's content
//! is compared with the record.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::{DaemonProcess, client};

/// How many questions are asked at once when the daemon is held to what it acknowledged.
const QUESTIONS: usize = 16;
/// One in so many open items is handed in again when the daemon is held to them.
const HANDED_IN_AGAIN: u64 = 5;
/// How many of the items that it was held to as closed before are looked at again, and handed in again, each
/// time. There may be far more of them than of all others; at the end all are looked at.
const CLOSED_AGAIN: [usize; 2] = [500, 50];

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
    /// Those that a daemon was held to as closed.
    closed: Arc<Mutex<Vec<u64>>>,
    next: Arc<AtomicU64>,
    creates: Arc<AtomicUsize>,
    closes: Arc<AtomicUsize>,
    refusals: Arc<AtomicUsize>,
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
    /// How many of the clients work in pairs: they close an item right after its create, but for one in nine,
    /// which stays.
    pub pairs: u64,
}

/// Clients at work.
pub struct Load {
    clients: JoinSet<()>,
    stop: Arc<AtomicBool>,
}

/// What became of an item.
struct Found {
    number: u64,
    /// Nothing: it is not there.
    now: Option<Known>,
    lost: Option<String>,
}

/// What a daemon was found to hold.
pub struct Holding {
    /// How many items are open.
    pub open: usize,
    /// What was acknowledged and is not so, in words.
    pub lost: Vec<String>,
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

fn is_open(state: &str) -> bool {
    matches!(state, "open" | "overdue")
}

impl Load {
    /// Waits until no client gets an answer any more.
    pub async fn ended(mut self) {
        while self.clients.join_next().await.is_some() {}
    }

    /// Has the clients finish what they are at.
    pub async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.ended().await;
    }
}

impl Memory {
    fn note(&self, number: u64, known: Known) {
        self.items.lock().expect("not poisoned").insert(number, known);
    }

    fn snapshot(&self) -> Vec<(u64, Known)> {
        self.items.lock().expect("not poisoned").iter().map(|(number, known)| (*number, *known)).collect()
    }

    /// How many creates were acknowledged so far.
    pub fn creates(&self) -> usize {
        self.creates.load(Ordering::Relaxed)
    }

    /// How many creates and closes were acknowledged so far.
    pub fn operations(&self) -> usize {
        self.creates() + self.closes.load(Ordering::Relaxed)
    }

    /// How many creates and closes were answered otherwise.
    pub fn refusals(&self) -> usize {
        self.refusals.load(Ordering::Relaxed)
    }

    /// Works on the daemon until it stops answering or the load is stopped.
    pub fn press(&self, daemon: &DaemonProcess, shape: Shape) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        let open = self.snapshot().into_iter().filter(|(_, known)| *known == Known::Created);
        let open: Vec<u64> = open.map(|(number, _)| number).collect();
        for seed in 0..shape.clients {
            let (memory, base, stop) = (self.clone(), daemon.url(""), stop.clone());
            let http = client();
            // What the last life left open is theirs.
            let mine = open.iter().copied().filter(|number| number % shape.clients == seed);
            let mine = if seed < shape.pairs { None } else { Some(mine.collect()) };
            clients.spawn(async move { memory.work(&http, &base, shape, mine, &stop).await });
        }
        Load { clients, stop }
    }

    /// Without items of its own to begin with, a client works in pairs.
    async fn work(&self, http: &Client, base: &str, shape: Shape, mine: Option<Vec<u64>>, stop: &AtomicBool) {
        let mut random = StdRng::from_rng(&mut rand::rng());
        let (pairs, mut mine) = (mine.is_none(), mine.unwrap_or_default());
        while !stop.load(Ordering::Relaxed) {
            let close = mine.len() > 20 || (!mine.is_empty() && (pairs || random.random_bool(0.45)));
            if close {
                let number = mine.swap_remove(random.random_range(0..mine.len()));
                self.note(number, Known::CloseSent);
                let Ok(response) = http.delete(format!("{base}{}", path(number))).send().await else {
                    return;
                };
                if response.status() == StatusCode::NO_CONTENT {
                    self.note(number, Known::Closed);
                    self.closes.fetch_add(1, Ordering::Relaxed);
                } else {
                    self.refusals.fetch_add(1, Ordering::Relaxed);
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
                    self.creates.fetch_add(1, Ordering::Relaxed);
                    mine.extend(Some(number).filter(|number| !pairs || number % 9 > 0));
                } else {
                    self.refusals.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Holds the daemon to what was acknowledged, and takes note of what became of the rest, so that the next
    /// round holds it to that as well. With `everything` that is all items; else only some of those that it
    /// was held to as closed before.
    pub async fn hold_to(&self, daemon: &DaemonProcess, shape: Shape, everything: bool) -> Holding {
        let again = self.some_closed(if everything { usize::MAX } else { CLOSED_AGAIN[0] });
        let again = again.into_iter().map(|number| (number, Known::Closed));
        let questions = self.snapshot().into_iter().chain(again);
        let questions = questions.map(|(number, known)| look(daemon, number, known, shape));
        let found: Vec<Found> = stream::iter(questions).buffer_unordered(QUESTIONS).collect().await;
        let mut holding = Holding { open: 0, lost: Vec::new() };
        let mut items = self.items.lock().expect("not poisoned");
        let mut closed = self.closed.lock().expect("not poisoned");
        for Found { number, now, lost } in found {
            holding.open += usize::from(now == Some(Known::Created));
            holding.lost.extend(lost);
            match now {
                Some(Known::Closed) => closed.extend(items.remove(&number).map(|_| number)),
                Some(known) => drop(items.insert(number, known)),
                None => drop(items.remove(&number)),
            }
        }
        holding
    }

    /// At most so many of the items that a daemon was held to as closed.
    fn some_closed(&self, most: usize) -> Vec<u64> {
        let closed = self.closed.lock().expect("not poisoned");
        closed.sample(&mut rand::rng(), most).copied().collect()
    }

    /// Hands some items in again, as a client does that did not hear the answer, and gives what was answered
    /// otherwise than it must be. Of an open item the same payload is welcome, and another one is not; nor is
    /// one that was closed.
    pub async fn hand_in_again(&self, daemon: &DaemonProcess, shape: Shape) -> Vec<String> {
        let open = self.snapshot().into_iter().filter(|(number, _)| number % HANDED_IN_AGAIN == 0);
        let closed = self.some_closed(CLOSED_AGAIN[1]).into_iter().map(|number| (number, Known::Closed));
        let questions = open.chain(closed).map(|(number, known)| async move {
            let mut wrong = Vec::new();
            let same = payload(number, shape.payload_max);
            let other = [&*same, b"another"].concat();
            let expected: &[(Vec<u8>, (u16, &str))] = match known {
                Known::Created => &[(same, (200, "")), (other, (409, "/problems/item-conflict"))],
                Known::Closed => &[(same, (409, "/problems/item-closed"))],
                Known::CreateSent | Known::CloseSent => &[],
            };
            for (body, (status, problem)) in expected {
                let put = daemon.request(Method::PUT, &path(number)).body(body.clone());
                let response = put.send().await.expect("an answer");
                let found = response.status();
                let said: Value = response.json().await.expect("JSON");
                if found.as_u16() != *status || said["type"].as_str().unwrap_or_default() != *problem {
                    wrong.push(format!("item-{number} ({known:?}) was handed in again: {found} {said}"));
                }
            }
            wrong
        });
        stream::iter(questions).buffer_unordered(QUESTIONS).collect::<Vec<_>>().await.concat()
    }
}

/// Looks for an item of which so much is known.
async fn look(daemon: &DaemonProcess, number: u64, known: Known, shape: Shape) -> Found {
    let response = daemon.request(Method::GET, &path(number)).send().await.expect("an answer");
    let status = response.status();
    let state = match status {
        StatusCode::OK => {
            let item: Value = response.json().await.expect("an item");
            item["state"].as_str().expect("a state").to_owned()
        }
        _ => String::new(),
    };
    let kept = match known {
        Known::Created => is_open(&state),
        Known::Closed => state == "closed",
        Known::CreateSent => status == StatusCode::NOT_FOUND || is_open(&state),
        // It is remembered, open or closed.
        Known::CloseSent => is_open(&state) || state == "closed",
    };
    let mut lost = (!kept).then(|| format!("item-{number} ({known:?}) is now {status} {state}"));
    let now = match state.as_str() {
        "closed" => Some(Known::Closed),
        state if is_open(state) => Some(Known::Created),
        _ => None,
    };
    if now == Some(Known::Created) {
        let response = daemon.request(Method::GET, &format!("{}/payload", path(number))).send().await;
        let response = response.expect("an answer");
        let status = response.status();
        let bytes = response.bytes().await.expect("a payload");
        if status != StatusCode::OK {
            lost =
                Some(format!("item-{number}: its payload is {status} {}", String::from_utf8_lossy(&bytes)));
        } else if bytes != payload(number, shape.payload_max) {
            lost = Some(format!("item-{number}: its payload came back changed ({} bytes)", bytes.len()));
        }
    }
    Found { number, now, lost }
}
