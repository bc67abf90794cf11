//! Random stories: an engine and a simple model get the same commands and must agree on everything.
//!
//! `PROPTEST_CASES` is the number of stories for each engine.

mod artifact_story;
mod artifacts;
mod changes;
mod comparing;
mod model;
mod story;

use std::sync::Arc;

use proptest::prelude::ProptestConfig;
use proptest::test_runner::TestRunner;
use warden::model::{IndexedItem, Item, Moment, Order, Timestamp};
use warden::store::ListItems;

use self::changes::indexed;
use self::model::{Model, UNKNOWN, UNKNOWN_TOKEN};
use self::story::{KEYS, Turn};
use crate::store::documents::ReadDocuments as _;
use crate::store::engine::{Engine, Notes};
use crate::store::sample::{at, everything};

#[test]
fn random_stories_end_on_sled_as_in_the_model() {
    tell(24, Engine::sled);
}

#[test]
fn random_stories_end_in_memory_as_in_the_model() {
    tell(256, Engine::memory);
}

fn tell(cases: u32, engine: fn() -> Engine) {
    let cases = std::env::var("PROPTEST_CASES").map_or(cases, |cases| cases.parse().unwrap());
    // The shortest failing story is printed; it becomes a test of its own rather than a file of seeds.
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    TestRunner::new(config)
        .run(&story::stories(), |story| {
            runtime.block_on(Telling::begin(engine()).tell(story));
            Ok(())
        })
        .unwrap();
}

/// A story that is being told.
struct Telling {
    engine: Engine,
    notes: Arc<Notes>,
    model: Model,
    now: Timestamp,
}

impl Telling {
    fn begin(engine: Engine) -> Self {
        Self { notes: engine.observed(), engine, model: Model::default(), now: at(0) }
    }

    async fn tell(mut self, story: Vec<Turn>) {
        for turn in story {
            match turn {
                Turn::Apply(actions) => {
                    let commands: Vec<_> =
                        actions.iter().map(|action| action.command(&self.model, self.now)).collect();
                    let outcomes = self.engine.all(commands.clone()).await;
                    for (command, outcome) in commands.iter().zip(outcomes) {
                        if self.model.takes_what_is_said_of_a_workflow(command, &outcome) {
                            continue;
                        }
                        let expected = self.model.apply(command, self.now);
                        assert_eq!(
                            model::without_unknown_numbers(outcome, &expected),
                            expected,
                            "{command:?}"
                        );
                    }
                    self.compare_items().await;
                }
                Turn::Wait(time) => {
                    self.now = self.now.after(time);
                    self.model.forget_what_ran_out(self.now);
                }
                Turn::Restart => {
                    self.engine = self.engine.restarted();
                    let notes = self.engine.observed();
                    assert_eq!(
                        notes.indexed_items(),
                        self.notes.indexed_items(),
                        "indexed items across a restart"
                    );
                    assert_eq!(notes.documents(), self.notes.documents(), "documents across a restart");
                    self.notes = notes;
                    self.compare_items().await;
                }
            }
        }
        self.engine = self.engine.restarted();
        self.notes = self.engine.observed();
        self.compare_items().await;
        self.compare_lists().await;
        self.compare_indexed_items();
        self.compare_incidents().await;
        self.compare_replays().await;
    }

    /// Every key there is, with its payload. The model learns the numbers that it could not know.
    async fn compare_items(&mut self) {
        for key in KEYS.iter().map(story::key) {
            let found = self.engine.get(key.clone()).await.unwrap();
            let found = found.filter(|item| model::is_remembered(item, self.now));
            let expected = self.model.entry(&key);
            if let (Some(found), Some(expected)) = (&found, expected)
                && expected.item.number == UNKNOWN
            {
                self.model.learn(&key, found.number);
            }
            let token = |item: &Item| item.work.lease.as_ref().map(|lease| lease.token);
            if let (Some(token), Some(UNKNOWN_TOKEN)) =
                (found.as_ref().and_then(token), self.model.entry(&key).and_then(|entry| token(&entry.item)))
            {
                self.model.learn_token(&key, token);
            }
            let expected = self.model.entry(&key);
            assert_eq!(found.as_ref(), expected.map(|entry| &entry.item), "{key:?}");
            if let Some(expected) = expected {
                let payload = self.engine.whole_payload(&expected.item).await;
                assert!(payload == expected.payload, "the payload of {key:?}");
            }
        }
    }

    async fn compare_lists(&self) {
        let place: [(Order, fn(&Item) -> (Timestamp, u64)); 2] = [
            (Order::Created, |item| (at(0), item.number.0)),
            (Order::Deadline, |item| (Moment::from(at(0)).steady(item.deadline), item.number.0)),
        ];
        for (order, place) in place {
            let mut found = Vec::new();
            let mut question = ListItems { order, now: self.now.into(), ..everything(3) };
            loop {
                let page = self.engine.list(question.clone()).await.unwrap();
                found.extend(page.data);
                question.after = page.next;
                if question.after.is_none() {
                    break;
                }
            }
            let mut expected: Vec<Item> =
                self.model.items().filter(|item| item.payload.is_some()).cloned().collect();
            expected.sort_by_key(place);
            assert_eq!(found, expected, "listed by {order:?}");
        }
    }

    fn compare_indexed_items(&self) {
        let mut expected: Vec<IndexedItem> = self.model.items().map(indexed).collect();
        expected.sort_by_key(|indexed| indexed.number);
        let mut found = self.notes.indexed_items();
        found.retain(|indexed| comparing::counts(indexed, self.now));
        assert_eq!(found, expected);
    }

    async fn compare_replays(&self) {
        assert_eq!(self.engine.replays().await.unwrap(), self.model.replays());
        assert_eq!(self.engine.unmade_replays().await.unwrap(), self.model.unmade_replays());
        for id in story::replay_ids() {
            for index in 0..story::CHUNKS {
                let found = self.engine.replay_chunk(id.clone(), index).await.unwrap();
                assert_eq!(found, self.model.replay_chunk(&id, index), "chunk {index} of {id:?}");
            }
        }
    }

    async fn compare_incidents(&self) {
        let incidents = self.engine.incidents(None, 100).await.unwrap();
        assert_eq!(incidents, self.model.incidents());
        for id in story::incident_ids() {
            assert_eq!(self.engine.deliveries(id.clone()).await.unwrap(), self.model.deliveries(&id));
        }
        assert_eq!(self.engine.outbox().await.unwrap(), self.model.outbox());
        assert_eq!(self.engine.workflows().await.unwrap(), self.model.workflows());
        let told = self.notes.documents().into_iter().map(artifacts::unnumbered_document);
        assert_eq!(told.collect::<Vec<_>>(), self.model.told());
        assert_eq!(self.engine.progresses().await.unwrap(), self.model.progresses());
        assert_eq!(self.engine.clock().await.unwrap(), self.model.clock());
        assert_eq!(self.engine.silences().await.unwrap(), self.model.silences());
    }
}
