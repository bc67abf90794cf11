//! Where items are sent again, and what must never come there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt as _;
use warden::model::replay::ItemProgress;
use warden::model::{ItemKey, ItemNumber, ReplayId};
use warden::store::Store as _;
use warden::store::memory::MemoryStore;

use crate::disk::Disk;
use crate::history::History;

/// What replays that close what they sent are reached by.
pub const CLOSES: &str = "/close/";

/// A payload that came.
pub struct Posted {
    pub key: ItemKey,
    pub webhook_id: String,
    /// The path it came to, which says who sent it: each replay has its own.
    pub path: String,
    pub body: Bytes,
}

/// Remembers what came.
pub struct Target {
    disk: Arc<Disk>,
    history: History,
    /// By their paths what replays had finished for good.
    finished: Mutex<BTreeSet<(String, ItemNumber)>>,
    /// The id under which a replay sent an item.
    webhook_ids: Mutex<BTreeMap<(String, ItemNumber), String>>,
}

impl Target {
    pub fn new(disk: Arc<Disk>, history: History) -> Self {
        Self { disk, history, finished: Mutex::default(), webhook_ids: Mutex::default() }
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
    pub fn note_finished(&self) {
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

fn ended(store: &MemoryStore, replay: &ReplayId) -> impl Iterator<Item = ItemNumber> {
    let chunk = |index| {
        let chunk = store.replay_chunk(replay.clone(), index).now_or_never().expect("memory never waits");
        chunk.expect("memory never fails")
    };
    let items = (0..).map_while(chunk).flat_map(|chunk| chunk.items);
    items.filter(|(_, progress)| *progress != ItemProgress::Pending).map(|(number, _)| number)
}
