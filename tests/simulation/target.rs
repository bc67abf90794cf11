//! The target of replays and redrives, and what must never arrive there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures_util::FutureExt as _;
use warden::model::replay::{ItemProgress, Pace};
use warden::model::{ItemKey, ItemNumber, ReplayId};
use warden::store::Reads as _;
use warden::store::engine::memory::MemoryStore;

use crate::disk::Disk;
use crate::documents::ReadDocuments as _;
use crate::history::History;
use crate::items::Moment;

/// What replays that close what they sent are reached by.
pub const CLOSES: &str = "/close/";

/// How much of what a replay missed it may make up for, in seconds at its full rate.
const CATCH_UP: f64 = 0.05;

/// A payload that came.
pub struct Posted {
    pub key: ItemKey,
    pub webhook_id: String,
    /// The path it came to, which says who sent it: each replay has its own.
    pub path: String,
    pub body: Bytes,
}

/// A call by which an item was sent.
struct Call {
    began: Moment,
    ended: Option<Moment>,
    number: Option<ItemNumber>,
}

/// What is sent to one path. Each replay has its own.
#[derive(Default)]
struct Traffic {
    /// How fast it may come, if a replay sends it.
    pace: Option<Pace>,
    /// In the order in which they began, as far as this life of the daemon has made them.
    calls: Vec<Call>,
    /// When people had the replay go on, from which moment to which: with that its pace begins anew.
    resumed: Vec<(Moment, Option<Moment>)>,
}

/// Remembers what came.
pub struct Target {
    disk: Arc<Disk>,
    history: History,
    traffic: Mutex<BTreeMap<String, Traffic>>,
    /// By their paths what replays had finished for good.
    finished: Mutex<BTreeSet<(String, ItemNumber)>>,
    /// The id under which a replay sent an item.
    webhook_ids: Mutex<BTreeMap<(String, ItemNumber), String>>,
}

/// An item on its way, until this is dropped.
pub struct OnItsWay<'a> {
    target: &'a Target,
    path: String,
    /// Which of the calls to the path.
    index: usize,
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        let ended = self.target.history.moment();
        if let Some(call) =
            self.target.traffic().entry(self.path.clone()).or_default().calls.get_mut(self.index)
        {
            call.ended = Some(ended);
        }
    }
}

impl Target {
    pub fn new(disk: Arc<Disk>, history: History) -> Self {
        let (traffic, finished, webhook_ids) = Default::default();
        Self { disk, history, traffic, finished, webhook_ids }
    }

    fn traffic(&self) -> MutexGuard<'_, BTreeMap<String, Traffic>> {
        self.traffic.lock().expect("nothing panics under the lock")
    }

    /// A replay is asked for that sends to this path.
    pub fn expect(&self, path: &str, pace: Pace) {
        self.traffic().entry(path.to_owned()).or_default().pace = Some(pace);
    }

    /// People are about to have a replay go on; which time this is.
    pub fn resuming(&self, path: &str) -> usize {
        let began = self.history.moment();
        let mut traffic = self.traffic();
        let resumed = &mut traffic.entry(path.to_owned()).or_default().resumed;
        resumed.push((began, None));
        resumed.len() - 1
    }

    /// They were answered.
    pub fn resumed(&self, path: &str, index: usize) {
        let ended = self.history.moment();
        self.traffic().entry(path.to_owned()).or_default().resumed[index].1 = Some(ended);
    }

    /// An item is sent.
    pub fn send(&self, posted: &Posted) -> OnItsWay<'_> {
        let Posted { key, path, .. } = posted;
        let began = self.history.moment();
        let item = self.disk.durable().get(key.clone()).now_or_never().expect("memory never waits");
        let number = item.expect("memory never fails").map(|item| item.number);
        // A person who sends it on takes its lease from whoever is sending it.
        let sent_on = self.history.lock().sent_on.get(key).map(|moment| moment.order);
        let mut traffic = self.traffic();
        let is_on_its_way = |call: &Call| {
            let is_leased = sent_on.is_none_or(|sent_on| sent_on < call.began.order);
            call.ended.is_none() && call.number == number && is_leased
        };
        let twin = traffic.iter().find(|(_, traffic)| traffic.calls.iter().any(is_on_its_way));
        if let Some((other, _)) = twin.filter(|_| number.is_some()) {
            let (workflow, id) = (&key.workflow, &key.id);
            self.history.note(Err(format!("{workflow} {id} is on its way twice: to {other} and to {path}")));
        }
        let to_path = traffic.entry(path.clone()).or_default();
        to_path.calls.push(Call { began, ended: None, number });
        self.history.note(to_path.check().map_err(|wrong| format!("{path} {wrong}")));
        OnItsWay { target: self, path: path.clone(), index: to_path.calls.len() - 1 }
    }

    /// The daemon starts: nothing is on its way, and all that is sent again has its own pace.
    pub fn life_began(&self) {
        self.traffic().values_mut().for_each(|traffic| traffic.calls.clear());
        self.note_finished();
    }

    /// A payload arrives, whatever becomes of it.
    pub fn arrive(&self, posted: &Posted) {
        if let Err(wrong) = self.check(posted) {
            let Posted { key, path, .. } = posted;
            self.history.note(Err(format!("{} {} came to {path}{wrong}", key.workflow, key.id)));
        }
    }

    /// It is taken.
    pub fn take(&self, posted: &Posted) {
        if posted.path.starts_with(CLOSES) {
            // It is closed when the answer is noted, if it is.
            let moment = self.history.moment();
            self.history.lock().items.close(&posted.key, moment);
        }
    }

    fn check(&self, posted: &Posted) -> Result<(), String> {
        let Posted { key, webhook_id, path, body } = posted;
        let moment = self.history.moment();
        let item = self.disk.durable().get(key.clone()).now_or_never().expect("memory never waits");
        let seen = &mut *self.history.lock();
        if !seen.items.was_handed_in(key, body) {
            return Err(" with a payload that nobody handed in".into());
        }
        let Some(number) = item.expect("memory never fails").map(|item| item.number) else { return Ok(()) };
        if seen.leases.is_held(&seen.items, number, moment) {
            return Err(" while somebody else held it".into());
        }
        let place = (path.clone(), number);
        if self.finished.lock().expect("nothing panics under the lock").contains(&place) {
            return Err(" again, after the replay had finished it".into());
        }
        let mut webhook_ids = self.webhook_ids.lock().expect("nothing panics under the lock");
        let is_replay = !path.starts_with("/redrive");
        let first = webhook_ids.entry(place).or_insert_with(|| webhook_id.clone());
        if is_replay && first != webhook_id {
            return Err(format!(" as {first}, and then as {webhook_id}"));
        }
        Ok(())
    }

    /// Takes note of what is finished for good, when the daemon starts.
    fn note_finished(&self) {
        let store = self.disk.durable();
        let replays =
            store.replays().now_or_never().expect("memory never waits").expect("memory never fails");
        let mut finished = self.finished.lock().expect("nothing panics under the lock");
        for replay in replays {
            let (_, path) = replay.target.url.split_once(".test").expect("an address of ours");
            finished.extend(ended(store, &replay.id).map(|number| (path.to_owned(), number)));
        }
    }
}

impl Traffic {
    /// Whether the latest call is one too many: at once, or for the time that has passed.
    fn check(&self) -> Result<(), String> {
        let Some(Pace { concurrency, max_per_second, .. }) = &self.pace else { return Ok(()) };
        let at_once = self.calls.iter().filter(|call| call.ended.is_none()).count();
        if at_once > *concurrency {
            return Err(format!("is sent {at_once} items at once, and takes {concurrency}"));
        }
        let Some(last) = self.calls.last().map(|call| call.began) else { return Ok(()) };
        for (count, first) in (1u32..).zip(self.calls.iter().rev().map(|call| call.began)) {
            let since_first =
                |(_, ended): &&(Moment, Option<Moment>)| ended.is_none_or(|ended| ended.order > first.order);
            let resumed = self.resumed.iter().filter(since_first).count();
            // As many may have been begun before as may be on their way, and each resumption begins with one
            // more.
            let ahead = concurrency + 1 + resumed;
            let seconds = last.at.since(first.at).as_secs_f64() + CATCH_UP * (resumed + 1) as f64;
            let allowed = ahead as f64 + seconds * max_per_second;
            if f64::from(count) > allowed {
                let seconds = last.at.since(first.at).as_secs_f64();
                return Err(format!("was sent {count} items in {seconds} s, at {max_per_second} a second"));
            }
        }
        Ok(())
    }
}

fn ended(store: &MemoryStore, replay: &ReplayId) -> impl Iterator<Item = ItemNumber> {
    let chunk = |index| {
        let chunk = store.replay_chunk(replay.clone(), index).now_or_never().expect("memory never waits");
        chunk.expect("memory never fails")
    };
    let items = (0..).map_while(chunk).flat_map(|chunk| chunk.items);
    items.filter(|(_, progress)| *progress != ItemProgress::Pending).map(|(number, _)| number)
}
