//! What receivers are told of runs: every change of how a run stands, and every close, once and in order.

use std::collections::{BTreeMap, BTreeSet};

use warden::model::run::RunStatus;
use warden::model::{ClockTime, Delivery, Event, ItemEvent, Timestamp, Topic};
use warden::store::{Command, Document, DocumentSet, ListDocuments, Outcome, of_kind};

use super::model::Model;
use crate::store::engine::Engine;
use crate::store::sample::delivery;

/// How each run stands, by the id of its item, and whether that is closed.
pub type Standings = BTreeMap<String, (RunStatus, bool)>;

#[derive(Default)]
pub struct Told {
    /// The largest number that an event had.
    last: u64,
    /// The events that have no deliveries yet.
    untold: BTreeSet<u64>,
    delivered: usize,
    /// The deadlines that runs were told to have missed.
    missed: BTreeSet<(String, i64)>,
}

/// The instant of a deadline that is a duration.
pub fn steady(deadline: ClockTime) -> Timestamp {
    match deadline {
        ClockTime::Steady(deadline) => deadline,
        ClockTime::Wall { .. } => panic!("these stories have durations"),
    }
}

fn expected(before: &Standings, after: &Standings) -> BTreeSet<(String, Event)> {
    let mut expected = BTreeSet::new();
    for (id, (status, is_closed)) in after {
        let stood = before.get(id);
        let event = match status {
            RunStatus::Held => None,
            RunStatus::Open => Some(Event::RunStarted),
            RunStatus::Success => Some(Event::RunCompleted),
            RunStatus::Failed => Some(Event::RunFailed),
            RunStatus::Discarded => Some(Event::RunAborted),
        };
        let has_changed = stood.is_none_or(|(stood, _)| stood != status);
        expected.extend(event.filter(|_| has_changed).map(|event| (id.clone(), event)));
        if *is_closed && stood.is_none_or(|(_, was_closed)| !was_closed) {
            expected.insert((id.clone(), Event::ItemClosed));
        }
    }
    expected
}

impl Told {
    /// Compares what was written since the last call with what has happened to the runs.
    pub async fn compare(&mut self, engine: &Engine, before: &Standings, model: &Model) {
        let events = stored(engine).await;
        let numbers: BTreeSet<u64> = events.iter().map(|event| event.number).collect();
        let new: Vec<&ItemEvent> = events.iter().filter(|event| event.number > self.last).collect();
        let found: Vec<(String, Event)> =
            new.iter().map(|event| (event.key.id.to_string(), event.event)).collect();
        let found_once: BTreeSet<_> = found.iter().cloned().collect();
        assert_eq!(found.len(), found_once.len(), "something was told twice: {found:?}");
        assert_eq!(found_once, expected(before, &model.standings()));
        for event in &new {
            let run = event.run.as_ref().expect("all items are runs");
            assert!(run.params.is_none() && run.item == event.key.id);
        }
        self.last = self.last.max(numbers.last().copied().unwrap_or_default());
        self.untold.extend(new.iter().map(|event| event.number));
        assert_eq!(numbers, self.untold, "an event is there until it has deliveries");
    }

    /// Has a run noted as overdue.
    pub async fn note_overdue(&mut self, engine: &Engine, command: Command, is_due: Option<(String, i64)>) {
        assert_eq!(engine.one(command).await, Outcome::Done);
        let new: Vec<ItemEvent> =
            stored(engine).await.into_iter().filter(|event| event.number > self.last).collect();
        let is_news = is_due.is_some_and(|due| self.missed.insert(due));
        assert_eq!(new.len(), usize::from(is_news), "it is told once for each deadline");
        for event in new {
            assert_eq!(event.event, Event::RunOverdue);
            self.last = event.number;
            self.untold.insert(event.number);
        }
    }

    /// Replaces all events by a delivery each, and tries to do it again.
    pub async fn deliver(&mut self, engine: &Engine) {
        for event in stored(engine).await {
            let delivery = Delivery {
                topic: Topic::Item(event.item),
                item: Some(event.key),
                event: event.event,
                ..delivery("none", &event.number.to_string())
            };
            for _ in 0..2 {
                let deliveries = vec![delivery.clone()];
                let tell = Command::TellEvent { number: event.number, deliveries };
                assert_eq!(engine.one(tell).await, Outcome::Done);
            }
            self.untold.remove(&event.number);
            self.delivered += 1;
        }
        let all = engine.documents(ListDocuments::all(DocumentSet::Deliveries)).await.unwrap();
        let found = of_kind::<Delivery>(all);
        assert_eq!(found.len(), self.delivered);
        assert!(found.iter().all(|delivery| delivery.incident().is_none() && delivery.item.is_some()));
        assert!(stored(engine).await.is_empty());
    }
}

async fn stored(engine: &Engine) -> Vec<ItemEvent> {
    let documents: Vec<Document> = engine.documents(ListDocuments::all(DocumentSet::Events)).await.unwrap();
    of_kind(documents)
}
