//! Incidents, and the outbox of their deliveries.

use warden::model::{Attempt, Delivery, DeliveryId, DeliveryStatus, Incident, IncidentStatus};
use warden::store::{Command, DELIVERIES_MAX, DELIVERIES_SCAN_MAX, DocumentId, ListDeliveries, Outcome};

use crate::store::documents::ReadDocuments as _;
use crate::store::engine::{Engine, on_every_engine};
use crate::store::sample::{at, delivery, incident, incident_id, silence};

on_every_engine! {
    an_incident_is_committed_together_with_its_deliveries,
    an_incident_is_committed_over_what_it_was,
    incidents_come_newest_first_in_pages,
    deliveries_of_an_incident_come_oldest_first,
    the_outbox_holds_only_what_is_pending_oldest_first,
    a_delivery_is_found_by_its_id,
    deliveries_of_all_incidents_come_newest_first_in_pages,
    a_page_of_deliveries_ends_after_so_many_were_looked_at,
    a_large_delivery_is_kept_whole_through_all_its_attempts,
    forgetting_an_incident_takes_its_deliveries_and_no_others,
    forgetting_an_incident_part_by_part_leaves_the_rest_readable,
    forgetting_an_unknown_incident_is_done_at_once,
    the_largest_delivery_there_can_be_is_kept,
    silences_are_kept_changed_and_forgotten,
}

fn commit(incident: Incident, deliveries: Vec<Delivery>) -> Command {
    Command::put_incident(incident, deliveries)
}

fn record(delivery: &Delivery) -> Command {
    Command::put(delivery.clone())
}

async fn the_largest_delivery_there_can_be_is_kept(engine: Engine) {
    // Each byte takes two when it is written into a document.
    let body: std::sync::Arc<str> = "\\".repeat(19_000).into();
    let untried = |index: usize| Delivery {
        body: body.clone(),
        attempts: Vec::new(),
        ..delivery("1", &format!("{index:02}"))
    };
    let untried: Vec<Delivery> = (0..DELIVERIES_MAX).map(untried).collect();
    engine.one(commit(incident("1"), untried.clone())).await;
    let mut tried = untried[0].clone();
    for index in 0..12 {
        let answer = Some("\"".repeat(2048));
        let error = Some("ü".repeat(300));
        let attempt = Attempt { at: at(index), status: Some(500), latency_ms: 1, error, answer };
        tried.record(attempt, DeliveryStatus::Pending, at(10));
        engine.one(record(&tried)).await;
    }
    let engine = engine.restarted();
    let kept = engine.deliveries(incident_id("1")).await.unwrap();
    assert!(kept[0] == tried && kept[1..] == untried[1..]);
}

async fn silences_are_kept_changed_and_forgotten(engine: Engine) {
    assert_eq!(engine.silences().await.unwrap(), []);
    for id in ["b", "a"] {
        assert_eq!(engine.one(Command::put(silence(id))).await, Outcome::Done);
    }
    let ended = warden::model::Silence { ends_at: at(12).into(), ..silence("a") };
    engine.one(Command::put(ended.clone())).await;
    let engine = engine.restarted();
    assert_eq!(engine.silences().await.unwrap(), [ended, silence("b")]);
    for id in ["a", "never there"] {
        assert_eq!(engine.one(Command::Remove(DocumentId::Silence(silence(id).id))).await, Outcome::Done);
    }
    let engine = engine.restarted();
    assert_eq!(engine.silences().await.unwrap(), [silence("b")]);
}

async fn an_incident_is_committed_together_with_its_deliveries(engine: Engine) {
    assert_eq!(engine.incident(incident_id("1")).await.unwrap(), None);
    let deliveries: Vec<_> = (0..DELIVERIES_MAX).map(|index| delivery("1", &format!("{index:02}"))).collect();
    assert_eq!(engine.one(commit(incident("1"), deliveries.clone())).await, Outcome::Done);
    let engine = engine.restarted();
    assert_eq!(engine.incident(incident_id("1")).await.unwrap(), Some(incident("1")));
    assert_eq!(engine.deliveries(incident_id("1")).await.unwrap(), deliveries);
}

async fn an_incident_is_committed_over_what_it_was(engine: Engine) {
    let steps = |count: u64| (0..count).map(|index| (format!("step-{index}").into(), index)).collect();
    // Large, then small, then middling: nothing of the larger one may show through.
    for count in [1000, 2, 300, 0] {
        let grown = Incident { by_step: steps(count), count, ..incident("1") };
        engine.one(commit(grown.clone(), Vec::new())).await;
        assert_eq!(engine.incident(incident_id("1")).await.unwrap(), Some(grown.clone()));
        assert_eq!(engine.incidents(None, 10).await.unwrap(), [grown]);
    }
    let resolved = Incident { status: IncidentStatus::Resolved, resolved_at: Some(at(99)), ..incident("1") };
    engine.one(commit(resolved.clone(), vec![delivery("1", "9")])).await;
    let engine = engine.restarted();
    assert_eq!(engine.incidents(None, 10).await.unwrap(), [resolved]);
    assert_eq!(engine.deliveries(incident_id("1")).await.unwrap(), [delivery("1", "9")]);
}

async fn incidents_come_newest_first_in_pages(engine: Engine) {
    // The large ones are kept in several pieces, and must count once all the same.
    let large = |id: &str| Incident {
        by_step: (0..1000).map(|index| (format!("step-{index}").into(), index)).collect(),
        ..incident(id)
    };
    for id in ["3", "1", "2", "20", "4"] {
        let incident = if id == "2" { large(id) } else { incident(id) };
        engine.one(commit(incident, Vec::new())).await;
    }
    for limit in 1..=6 {
        let mut found = Vec::new();
        let mut before = None;
        loop {
            let page = engine.incidents(before, limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            before = Some(last.id.clone());
            found.extend(page);
        }
        let ids: Vec<&str> = found.iter().map(|incident| &*incident.id.0).collect();
        assert_eq!(ids, ["inc_4", "inc_3", "inc_20", "inc_2", "inc_1"], "pages of {limit}");
        assert_eq!(found[3], large("2"));
    }
}

async fn deliveries_of_an_incident_come_oldest_first(engine: Engine) {
    for id in ["1", "10", "2"] {
        engine.one(commit(incident(id), Vec::new())).await;
    }
    for id in ["b", "c", "a", "ab"] {
        engine.one(record(&delivery("1", id))).await;
    }
    engine.one(record(&delivery("10", "x"))).await;
    let expected = ["a", "ab", "b", "c"].map(|id| delivery("1", id));
    assert_eq!(engine.deliveries(incident_id("1")).await.unwrap(), expected);
    assert_eq!(engine.deliveries(incident_id("10")).await.unwrap(), [delivery("10", "x")]);
    assert_eq!(engine.deliveries(incident_id("2")).await.unwrap(), []);
}

async fn the_outbox_holds_only_what_is_pending_oldest_first(engine: Engine) {
    let first = delivery("2", "1");
    let second = delivery("1", "2");
    let dead = Delivery { status: DeliveryStatus::Dead, ..delivery("1", "3") };
    let delivered = Delivery { status: DeliveryStatus::Delivered, ..delivery("2", "4") };
    engine.one(commit(incident("1"), vec![second.clone(), dead.clone()])).await;
    engine.one(commit(incident("2"), vec![delivered, first.clone()])).await;
    let engine = engine.restarted();
    assert_eq!(engine.outbox().await.unwrap(), [first.clone(), second.clone()]);

    let mut done = first;
    let attempt = Attempt { at: at(9), status: Some(204), latency_ms: 3, error: None, answer: None };
    done.record(attempt, DeliveryStatus::Delivered, at(9));
    assert_eq!(engine.one(record(&done)).await, Outcome::Done);
    assert_eq!(engine.outbox().await.unwrap(), [second]);
    // Sent once more by hand.
    let again = Delivery { status: DeliveryStatus::Pending, ..dead };
    engine.one(record(&again)).await;
    assert_eq!(engine.outbox().await.unwrap().last(), Some(&again));
}

async fn a_delivery_is_found_by_its_id(engine: Engine) {
    let found = |id: &str| engine.delivery(DeliveryId(id.into()));
    assert_eq!(found("dlv_1").await.unwrap(), None);
    let large = Delivery { body: "b".repeat(20_000).into(), ..delivery("2", "11") };
    engine.one(commit(incident("1"), vec![delivery("1", "1"), delivery("1", "12")])).await;
    engine.one(commit(incident("2"), vec![large.clone()])).await;
    assert_eq!(found("dlv_1").await.unwrap(), Some(delivery("1", "1")));
    assert_eq!(found("dlv_11").await.unwrap(), Some(large));
    assert_eq!(found("dlv_12").await.unwrap(), Some(delivery("1", "12")));
    for id in ["", "1", "dlv_", "dlv_2", "inc_1"] {
        assert_eq!(found(id).await.unwrap(), None, "{id:?}");
    }
    let done = Delivery { status: DeliveryStatus::Dead, ..delivery("1", "12") };
    engine.one(record(&done)).await;
    assert_eq!(found("dlv_12").await.unwrap(), Some(done));
    engine.one(Command::Remove(DocumentId::Incident(incident_id("1")))).await;
    assert_eq!(found("dlv_12").await.unwrap(), None);
}

async fn deliveries_of_all_incidents_come_newest_first_in_pages(engine: Engine) {
    let mut all = Vec::new();
    for number in 0..12_usize {
        // Older and newer ones of each incident, some in several pieces.
        let (incident, id) = ((number % 3).to_string(), format!("{number:02}"));
        let status =
            [DeliveryStatus::Pending, DeliveryStatus::Delivered, DeliveryStatus::Dead][number / 2 % 3];
        let receiver = if number % 2 == 0 { "oncall" } else { "chat" };
        let body = "b".repeat(number * 1_000);
        all.push(Delivery {
            status,
            receiver: receiver.into(),
            body: body.into(),
            ..delivery(&incident, &id)
        });
    }
    for delivery in &all {
        engine.one(record(delivery)).await;
    }
    all.reverse();
    let engine = engine.restarted();
    for status in [None, Some(DeliveryStatus::Pending), Some(DeliveryStatus::Dead)] {
        for receiver in [None, Some("chat"), Some("nobody")] {
            let admits = |delivery: &&Delivery| {
                status.is_none_or(|status| delivery.status == status)
                    && receiver.is_none_or(|receiver| &*delivery.receiver == receiver)
            };
            let expected: Vec<Delivery> = all.iter().filter(admits).cloned().collect();
            for limit in [1, 2, 5, 100] {
                let mut found = Vec::new();
                let mut before = None;
                loop {
                    let question =
                        ListDeliveries { status, receiver: receiver.map(Into::into), before, limit };
                    let page = engine.list_deliveries(question).await.unwrap();
                    assert!(page.data.len() <= limit);
                    found.extend(page.data);
                    before = page.next;
                    if before.is_none() {
                        break;
                    }
                }
                assert_eq!(found, expected, "{status:?} to {receiver:?} in pages of {limit}");
            }
        }
    }
    let before = Some(DeliveryId("dlv_055".into()));
    let question = ListDeliveries { before, limit: 2, ..ListDeliveries::default() };
    let page = engine.list_deliveries(question).await.unwrap();
    assert_eq!(page.data, all[6..8], "a cursor need not be there any more");
}

async fn a_page_of_deliveries_ends_after_so_many_were_looked_at(engine: Engine) {
    let count = DELIVERIES_SCAN_MAX + 3;
    let dead = Delivery { status: DeliveryStatus::Dead, ..delivery("1", "00000") };
    let mut commands = vec![record(&dead)];
    commands.extend((1..count).map(|number| record(&delivery("1", &format!("{number:05}")))));
    engine.all(commands).await;
    let question = |before| ListDeliveries {
        status: Some(DeliveryStatus::Dead),
        before,
        limit: 10,
        ..ListDeliveries::default()
    };
    let first = engine.list_deliveries(question(None)).await.unwrap();
    assert_eq!(first.data, []);
    assert_eq!(first.next, Some(DeliveryId("dlv_00003".into())));
    let second = engine.list_deliveries(question(first.next)).await.unwrap();
    assert_eq!((second.data, second.next), (vec![dead], None));
}

async fn a_large_delivery_is_kept_whole_through_all_its_attempts(engine: Engine) {
    let mut large = Delivery { body: "b".repeat(20_000).into(), ..delivery("1", "1") };
    engine.one(commit(incident("1"), vec![large.clone(), delivery("1", "2")])).await;
    for index in 0..15 {
        let error = Some("e".repeat(index * 61));
        let attempt = Attempt { at: at(index as i64), status: None, latency_ms: 1, error, answer: None };
        large.record(attempt, DeliveryStatus::Pending, at(10));
        engine.one(record(&large)).await;
        assert_eq!(engine.outbox().await.unwrap(), [large.clone(), delivery("1", "2")]);
    }
    let engine = engine.restarted();
    assert_eq!(engine.deliveries(incident_id("1")).await.unwrap(), [large, delivery("1", "2")]);
}

async fn forget(engine: &Engine, id: &str) -> u32 {
    for parts in 1..1000 {
        match engine.one(Command::Remove(DocumentId::Incident(incident_id(id)))).await {
            Outcome::Done => return parts,
            Outcome::Partly => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("it is never done");
}

async fn forgetting_an_incident_takes_its_deliveries_and_no_others(engine: Engine) {
    for id in ["1", "10", "0"] {
        engine.one(commit(incident(id), vec![delivery(id, "a"), delivery(id, "b")])).await;
    }
    assert_eq!(forget(&engine, "1").await, 1);
    let engine = engine.restarted();
    assert_eq!(engine.incident(incident_id("1")).await.unwrap(), None);
    assert_eq!(engine.deliveries(incident_id("1")).await.unwrap(), []);
    assert_eq!(engine.incidents(None, 10).await.unwrap(), [incident("10"), incident("0")]);
    assert_eq!(engine.outbox().await.unwrap().len(), 4);
}

async fn forgetting_an_incident_part_by_part_leaves_the_rest_readable(engine: Engine) {
    engine.one(commit(incident("1"), Vec::new())).await;
    let mut expected = Vec::new();
    for index in 0..150 {
        // Some take one piece, some five.
        let size = if index % 3 == 0 { 10 } else { 19_000 };
        expected.push(Delivery { body: "b".repeat(size).into(), ..delivery("1", &format!("{index:03}")) });
    }
    engine.all(expected.iter().map(record).collect()).await;
    let mut engine = engine;
    loop {
        let outcome = engine.one(Command::Remove(DocumentId::Incident(incident_id("1")))).await;
        engine = engine.restarted();
        let left = engine.deliveries(incident_id("1")).await.unwrap();
        assert_eq!(left, expected[expected.len() - left.len()..], "whole deliveries go, the oldest first");
        assert_eq!(engine.outbox().await.unwrap(), left);
        assert!(left.len() < expected.len());
        expected = left;
        if outcome == Outcome::Done {
            break;
        }
        assert_eq!(outcome, Outcome::Partly);
        assert_eq!(engine.incidents(None, 10).await.unwrap(), [incident("1")], "the incident goes last");
    }
    assert!(expected.is_empty());
    assert_eq!(engine.incidents(None, 10).await.unwrap(), []);
}

async fn forgetting_an_unknown_incident_is_done_at_once(engine: Engine) {
    assert_eq!(forget(&engine, "1").await, 1);
}
