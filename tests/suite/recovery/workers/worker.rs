//! A worker, and what all of them have seen of the items.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::client;

pub const STEPS: [&str; 4] = ["fetch", "check", "store", "tell"];
/// While the daemon has nothing to do, or does not run.
const PAUSE: Duration = Duration::from_millis(20);
/// The patience with an answer of somebody who leaves.
const NO_PATIENCE: Duration = Duration::from_millis(1);

/// How workers behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habits {
    /// Every lease is ended by its holder.
    Faithful,
    /// One lease in ten is left to run out, is ended when it has, or is ended without waiting for the answer.
    Unfaithful,
}

impl Habits {
    fn ttl(self) -> Duration {
        Duration::from_secs(if self == Self::Faithful { 60 } else { 2 })
    }
}

/// What the workers have seen of one item.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The token of each lease, and the place of its step.
    pub leases: Vec<(u64, usize)>,
    /// How many runs their holders have begun to end.
    ended: usize,
    /// The places of the steps whose ends were acknowledged.
    pub done: Vec<usize>,
}

/// What all workers know.
pub struct Course {
    pub items: usize,
    /// Where the daemon is.
    url: watch::Sender<String>,
    seen: Mutex<HashMap<String, Seen>>,
    /// How many ends of steps were acknowledged.
    done: watch::Sender<usize>,
    /// How many leases were left to run out.
    pub vanished: AtomicUsize,
    /// How many were ended when others had the item.
    pub late: AtomicUsize,
}

impl Course {
    pub fn new(items: usize, url: String) -> Self {
        let (vanished, late) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (url, done) = (watch::Sender::new(url), watch::Sender::new(0));
        Self { items, url, seen: Mutex::default(), done, vanished, late }
    }

    /// The daemon is there from now on.
    pub fn moved_to(&self, url: String) {
        self.url.send_replace(url);
    }

    /// Waits until the ends of so many steps were acknowledged.
    pub async fn until_done(&self, count: usize) {
        self.done.subscribe().wait_for(|done| *done >= count).await.expect("it is not dropped");
    }

    /// What was seen of an item.
    pub fn of(&self, item: &Value) -> Seen {
        self.seen()[item["id"].as_str().expect("an id")].clone()
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.seen.lock().expect("no panic under the lock")
    }

    fn claimed(&self, lease: &Lease, habits: Habits) {
        let mut seen = self.seen();
        let seen = seen.entry(lease.item.clone()).or_default();
        if habits == Habits::Faithful {
            assert_eq!(seen.leases.len(), seen.ended, "somebody holds the item of {lease:?}: {seen:?}");
            assert_eq!(seen.ended, lease.step, "{lease:?} does not follow the step before: {seen:?}");
        }
        seen.leases.push((lease.token, lease.step));
    }

    /// A holder is about to end its run. Returns whether others have had the item since.
    fn ending(&self, lease: &Lease) -> bool {
        let mut seen = self.seen();
        let seen = seen.get_mut(&lease.item).expect("it was claimed");
        seen.ended += 1;
        seen.leases.iter().any(|(token, _)| *token > lease.token)
    }

    fn done(&self, lease: &Lease) {
        self.seen().get_mut(&lease.item).expect("it was claimed").done.push(lease.step);
        self.done.send_modify(|done| *done += 1);
    }
}

#[derive(Debug)]
struct Lease {
    id: String,
    item: String,
    token: u64,
    /// The place of the step.
    step: usize,
}

impl Lease {
    fn read(lease: &Value) -> Self {
        let step = lease["item"]["step"].as_str().expect("a step");
        Self {
            id: lease["id"].as_str().expect("an id").to_owned(),
            item: lease["item"]["id"].as_str().expect("an id").to_owned(),
            token: lease["token"].as_u64().expect("a number"),
            step: STEPS.iter().position(|name| *name == step).expect("one of the steps"),
        }
    }
}

pub struct Worker {
    number: usize,
    course: Arc<Course>,
    habits: Habits,
    http: reqwest::Client,
    /// How many leases it has had.
    turn: usize,
}

impl Worker {
    pub fn new(number: usize, course: Arc<Course>, habits: Habits) -> Self {
        // They do not all begin with the same.
        Self { number, course, habits, http: client(), turn: 7 * number }
    }

    /// Works until all items are closed.
    pub async fn work(mut self) {
        loop {
            let ttl = format!("{}s", self.habits.ttl().as_secs());
            let claim = json!({"workflows": ["uploads"], "states": ["open"], "max": 1 + self.turn % 3,
                "ttl": ttl, "worker": format!("w-{}", self.number), "payloads": false});
            let Some((status, answer)) = self.post("/v1/leases", &claim).await else { continue };
            assert_eq!(status, 200, "{answer}");
            let leases = answer["leases"].as_array().expect("a list");
            if leases.is_empty() {
                if self.all_are_closed().await {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
            let leases: Vec<Lease> = leases.iter().map(Lease::read).collect();
            leases.iter().for_each(|lease| self.course.claimed(lease, self.habits));
            for lease in leases {
                self.run(lease).await;
            }
        }
    }

    /// Runs a step.
    async fn run(&mut self, lease: Lease) {
        self.turn += 1;
        match (self.habits, self.turn % 30) {
            (Habits::Unfaithful, 0) => {
                self.course.vanished.fetch_add(1, Ordering::SeqCst);
            }
            (Habits::Unfaithful, 10) => {
                self.course.ending(&lease);
                let complete = self.complete(&lease);
                let _ = tokio::time::timeout(NO_PATIENCE, complete).await;
            }
            (Habits::Unfaithful, 20) => {
                tokio::time::sleep(self.habits.ttl() + PAUSE).await;
                self.end(lease).await;
            }
            _ => self.end(lease).await,
        }
    }

    /// Ends a run, and asks until it is known whether that was in time.
    async fn end(&self, lease: Lease) {
        let is_late = self.course.ending(&lease);
        let (status, answer) = loop {
            if let Some(answered) = self.complete(&lease).await {
                break answered;
            }
        };
        match status {
            200 => {
                assert!(!is_late, "others have had the item of {lease:?} since, and yet: {answer}");
                self.course.done(&lease);
            }
            409 if self.habits == Habits::Unfaithful => {
                assert!(answer["type"].as_str().is_some_and(|kind| kind.ends_with("lease-lost")), "{answer}");
                self.course.late.fetch_add(usize::from(is_late), Ordering::SeqCst);
            }
            _ => panic!("{status} to the end of {lease:?}: {answer}"),
        }
    }

    async fn complete(&self, lease: &Lease) -> Option<(u16, Value)> {
        self.post(&format!("/v1/leases/{}/complete", lease.id), &json!({})).await
    }

    async fn all_are_closed(&self) -> bool {
        let url = format!("{}/v1/workflows/uploads/stats", *self.course.url.borrow());
        let Some((status, stats)) = self.answer(self.http.get(url)).await else { return false };
        assert_eq!(status, 200, "{stats}");
        stats["closed"] == self.course.items
    }

    async fn post(&self, path: &str, document: &Value) -> Option<(u16, Value)> {
        let url = format!("{}{path}", *self.course.url.borrow());
        self.answer(self.http.post(url).json(document)).await
    }

    /// Nothing if the daemon was killed meanwhile.
    async fn answer(&self, request: reqwest::RequestBuilder) -> Option<(u16, Value)> {
        let answered = async {
            let response = request.send().await?;
            Ok::<_, reqwest::Error>((response.status().as_u16(), response.json().await?))
        };
        match answered.await {
            Ok(answered) => Some(answered),
            Err(error) if self.habits == Habits::Faithful => panic!("no answer: {error}"),
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                None
            }
        }
    }
}
