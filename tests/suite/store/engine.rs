//! The engines under test, behind one handle that can restart them.

use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use warden::model::{IndexedItem, Item, ManualClock, Timestamp};
use warden::store::engine::memory::MemoryStore;
use warden::store::engine::sled::{OpenError, SledSettings, SledStore};
use warden::store::{Change, Command, Document, Health as _, Observer, OnDamage, Outcome, Store};

use super::sample::key;

/// A fresh engine, gone with all that it holds when this is.
pub enum Engine {
    Sled { store: Box<SledStore>, directory: TempDir },
    Memory(MemoryStore),
}

impl Engine {
    pub fn sled() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::Sled { store: Box::new(open(directory.path()).unwrap()), directory }
    }

    pub fn memory() -> Self {
        Self::Memory(MemoryStore::new())
    }

    /// Ends the engine and opens what it left behind.
    pub fn restarted(self) -> Self {
        match self {
            Self::Sled { store, directory } => {
                drop(store);
                Self::Sled { store: Box::new(open(directory.path()).unwrap()), directory }
            }
            Self::Memory(store) => Self::Memory(store.reopened()),
        }
    }

    pub async fn one(&self, command: Command) -> Outcome {
        let mut outcomes = self.all(vec![command]).await;
        outcomes.pop().unwrap()
    }

    pub async fn all(&self, commands: Vec<Command>) -> Vec<Outcome> {
        let expected = commands.len();
        let outcomes = self.apply(commands).await.unwrap();
        assert_eq!(outcomes.len(), expected, "an outcome for each command");
        outcomes
    }

    /// The item of the sample workflow with this id.
    pub async fn item(&self, id: &str) -> Option<Item> {
        self.get(key(id)).await.unwrap()
    }

    /// The whole payload of that item, if it is there.
    pub async fn whole_payload(&self, item: &Item) -> Option<bytes::Bytes> {
        self.payload(item.number, 0, usize::MAX).await.unwrap()
    }

    /// Attaches an observer that writes everything down.
    pub fn observed(&self) -> Arc<Notes> {
        let notes = Arc::new(Notes::default());
        self.attach(notes.clone()).unwrap();
        notes
    }
}

impl Deref for Engine {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Sled { store, .. } => &**store,
            Self::Memory(store) => store,
        }
    }
}

/// Opens the engine with a disk as the daemon would, with nothing kept back.
pub fn open(path: &Path) -> Result<SledStore, OpenError> {
    open_keeping(path, 0)
}

/// The same with so many bytes kept back.
pub fn open_keeping(path: &Path, reserve: u64) -> Result<SledStore, OpenError> {
    open_on_damage(path, reserve, OnDamage::Refuse)
}

/// The same, going on with what can be read where the data are damaged if so asked for.
pub fn open_on_damage(path: &Path, reserve: u64, on_damage: OnDamage) -> Result<SledStore, OpenError> {
    open_with(path, |settings| (settings.reserve, settings.on_damage) = (reserve, on_damage))
}

/// The engine with other settings than most tests have.
pub fn open_with(path: &Path, change: impl FnOnce(&mut SledSettings)) -> Result<SledStore, OpenError> {
    let mut settings = SledSettings {
        path: path.to_owned(),
        cache: 64 * 1024 * 1024,
        reserve: 0,
        // So that databases are small, and many.
        size_max: Some(800 << 20),
        payload_max: 8 << 20,
        recent: 16 << 20,
        checkpoint: Duration::from_millis(20),
        on_damage: OnDamage::Refuse,
        queue_max: 100_000,
        queue_bytes_max: 1 << 30,
    };
    change(&mut settings);
    SledStore::open(&settings, Arc::new(ManualClock::new(Timestamp::from_millis(1))))
}

/// Waits until nothing is left to be moved or cleared away.
pub async fn idle(store: &SledStore) {
    while !store.status().settled {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The newest database in a data directory whose engine was closed, past the engine.
pub fn database(path: &Path) -> sled::Db {
    let generations = std::fs::read_dir(path.join("generations")).unwrap();
    let newest = generations.map(|entry| entry.unwrap().path()).max().unwrap();
    let conf = std::fs::read(newest.join("conf")).unwrap();
    let conf = String::from_utf8_lossy(&conf);
    let size = conf.lines().find_map(|line| line.strip_prefix("segment_size: ")).unwrap();
    let config = sled::Config::default().path(newest).segment_size(size.parse().unwrap());
    // Its own threads let go of its file an instant after it was closed.
    for _ in 0..10_000 {
        match config.open() {
            Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                std::thread::sleep(Duration::from_millis(1));
            }
            database => return database.unwrap(),
        }
    }
    panic!("somebody holds the database in {}", path.display());
}

/// An observer that writes down what it is told.
#[derive(Default)]
pub struct Notes(Mutex<Vec<Change>>);

impl Observer for Notes {
    fn committed(&self, changes: &[Change]) {
        self.0.lock().unwrap().extend_from_slice(changes);
    }
}

impl Notes {
    pub fn changes(&self) -> Vec<Change> {
        self.0.lock().unwrap().clone()
    }

    /// What was told of documents, by id. Fails where a removal is told of one that is not there, or the
    /// making of a workflow that is.
    pub fn documents(&self) -> Vec<Document> {
        let mut documents = std::collections::BTreeMap::new();
        for change in self.changes() {
            match change {
                Change::Item { .. } | Change::Step { .. } => {}
                Change::Put(document) => {
                    let is_workflow = matches!(document, Document::Workflow(_));
                    let before = documents.insert(document.id(), document);
                    assert!(before.is_none() || !is_workflow, "{before:?} was there");
                }
                Change::Removed(id) => assert!(documents.remove(&id).is_some(), "{id:?}"),
            }
        }
        documents.into_values().collect()
    }

    /// What the changes add up to, by number. Fails where a change does not follow from those before it.
    pub fn indexed_items(&self) -> Vec<IndexedItem> {
        let mut indexed_items = std::collections::BTreeMap::new();
        for change in self.changes() {
            let Change::Item { before, after } = change else { continue };
            let number = before.as_ref().or(after.as_ref()).unwrap().number;
            assert_eq!(indexed_items.remove(&number), before, "what was before");
            if let Some(after) = after {
                assert_eq!(after.number, number);
                indexed_items.insert(number, after);
            }
        }
        indexed_items.into_values().collect()
    }
}

/// Makes a test of each sentence for each engine.
macro_rules! on_every_engine {
    ($($sentence:ident),* $(,)?) => {
        mod sled {
            use crate::store::engine::Engine;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $sentence() {
                    super::$sentence(Engine::sled()).await;
                }
            )*
        }
        mod memory {
            use crate::store::engine::Engine;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $sentence() {
                    super::$sentence(Engine::memory()).await;
                }
            )*
        }
    };
}
pub(super) use on_every_engine;
