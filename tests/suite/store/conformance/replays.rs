//! Replays and the chunks of their selections.

use warden::model::replay::{
    CHUNK_ITEMS, FAILURES_KEPT, GLOBS_MAX, ItemProgress, REASON_MAX, REASONS_KEPT, ReplayFailure,
    TARGET_URL_MAX,
};
use warden::model::{ItemId, ItemNumber, Replay, ReplayChunk, ReplayId};
use warden::store::{Command, DocumentId, Outcome, REPLAY_CHUNKS_MAX};

use crate::store::documents::ReadDocuments as _;
use crate::store::engine::{Engine, on_every_engine};
use crate::store::sample::{replay, replay_chunk, replay_id, workflow};

on_every_engine! {
    a_replay_is_committed_together_with_the_chunks_that_changed,
    a_replay_is_there_when_its_document_is_and_its_chunks_before,
    a_replay_is_written_over_what_it_was,
    forgetting_a_replay_takes_its_chunks_and_no_others,
    forgetting_a_replay_of_many_chunks_takes_it_part_by_part_and_the_document_last,
    chunks_of_replays_that_were_never_made_can_be_forgotten,
    the_largest_replay_there_can_be_is_kept,
}

fn put(replay: Replay, chunks: Vec<ReplayChunk>) -> Command {
    Command::put_replay(replay, chunks)
}

fn lay(id: &str, chunks: Vec<ReplayChunk>) -> Command {
    Command::put_replay_chunks(&replay_id(id), chunks)
}

async fn a_replay_is_committed_together_with_the_chunks_that_changed(engine: Engine) {
    assert_eq!(engine.replays().await.unwrap(), []);
    let chunks: Vec<_> = (0..REPLAY_CHUNKS_MAX as u32).map(|index| replay_chunk(index, 256)).collect();
    assert_eq!(engine.one(put(replay("1"), chunks.clone())).await, Outcome::Done);
    engine.one(put(replay("0"), Vec::new())).await;
    let engine = engine.restarted();
    assert_eq!(engine.replays().await.unwrap(), [replay("0"), replay("1")]);
    for chunk in chunks {
        assert_eq!(engine.replay_chunk(replay_id("1"), chunk.index).await.unwrap(), Some(chunk));
    }
    assert_eq!(engine.replay_chunk(replay_id("1"), REPLAY_CHUNKS_MAX as u32).await.unwrap(), None);
    assert_eq!(engine.replay_chunk(replay_id("0"), 0).await.unwrap(), None);
}

async fn a_replay_is_there_when_its_document_is_and_its_chunks_before(engine: Engine) {
    for index in [0, 255, 256, u32::MAX] {
        assert_eq!(engine.one(lay("1", vec![replay_chunk(index, 3)])).await, Outcome::Done);
    }
    let engine = engine.restarted();
    assert_eq!(engine.replays().await.unwrap(), []);
    assert_eq!(engine.unmade_replays().await.unwrap(), [replay_id("1")]);
    engine.one(put(replay("1"), Vec::new())).await;
    assert_eq!(engine.replays().await.unwrap(), [replay("1")]);
    assert_eq!(engine.unmade_replays().await.unwrap(), []);
    for index in [0, 255, 256, u32::MAX] {
        let found = engine.replay_chunk(replay_id("1"), index).await.unwrap();
        assert_eq!(found, Some(replay_chunk(index, 3)));
    }
}

async fn a_replay_is_written_over_what_it_was(engine: Engine) {
    // Large, then small, then middling: nothing of the larger one may show through.
    for length in [30_000, 10, 6_000] {
        let changed = Replay { reason: Some("r".repeat(length).into()), ..replay("1") };
        let chunk = replay_chunk(0, (length % 257) as u64);
        engine.one(put(changed.clone(), vec![chunk.clone()])).await;
        assert_eq!(engine.replays().await.unwrap(), [changed]);
        assert_eq!(engine.replay_chunk(replay_id("1"), 0).await.unwrap(), Some(chunk));
    }
}

async fn forget(engine: &Engine, id: &str) -> u32 {
    for parts in 1..1000 {
        match engine.one(Command::Remove(DocumentId::Replay(replay_id(id)))).await {
            Outcome::Done => return parts,
            Outcome::Partly => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("it is never done");
}

async fn forgetting_a_replay_takes_its_chunks_and_no_others(engine: Engine) {
    for id in ["1", "10", "0"] {
        engine.one(put(replay(id), vec![replay_chunk(0, 2), replay_chunk(7, 9)])).await;
    }
    assert_eq!(forget(&engine, "1").await, 1);
    assert_eq!(forget(&engine, "never there").await, 1);
    let engine = engine.restarted();
    assert_eq!(engine.replays().await.unwrap(), [replay("0"), replay("10")]);
    for (id, left) in [("1", false), ("10", true), ("0", true)] {
        let chunk = engine.replay_chunk(replay_id(id), 7).await.unwrap();
        assert_eq!(chunk, left.then(|| replay_chunk(7, 9)), "{id}");
    }
    assert_eq!(engine.unmade_replays().await.unwrap(), []);
}

async fn forgetting_a_replay_of_many_chunks_takes_it_part_by_part_and_the_document_last(engine: Engine) {
    for index in 0..450 {
        engine.one(lay("1", vec![replay_chunk(index, 1)])).await;
    }
    engine.one(put(replay("1"), Vec::new())).await;
    let mut engine = engine;
    while engine.one(Command::Remove(DocumentId::Replay(replay_id("1")))).await == Outcome::Partly {
        engine = engine.restarted();
        assert_eq!(engine.replays().await.unwrap(), [replay("1")]);
        assert_eq!(engine.replay_chunk(replay_id("1"), 0).await.unwrap(), None);
    }
    assert_eq!(engine.replays().await.unwrap(), []);
    assert_eq!(engine.replay_chunk(replay_id("1"), 449).await.unwrap(), None);
    assert_eq!(engine.unmade_replays().await.unwrap(), []);
}

async fn chunks_of_replays_that_were_never_made_can_be_forgotten(engine: Engine) {
    for id in ["2", "1", "20", "3"] {
        for index in [0, u32::MAX] {
            engine.one(lay(id, vec![replay_chunk(index, 1)])).await;
        }
    }
    engine.one(put(replay("2"), Vec::new())).await;
    let engine = engine.restarted();
    let unmade: Vec<ReplayId> = ["1", "20", "3"].map(replay_id).to_vec();
    assert_eq!(engine.unmade_replays().await.unwrap(), unmade);
    for id in unmade {
        assert_eq!(engine.one(Command::Remove(DocumentId::Replay(id))).await, Outcome::Done);
    }
    assert_eq!(engine.unmade_replays().await.unwrap(), []);
    assert_eq!(engine.replay_chunk(replay_id("2"), 0).await.unwrap(), Some(replay_chunk(0, 1)));
}

async fn the_largest_replay_there_can_be_is_kept(engine: Engine) {
    // Each of these takes four bytes, or two when it is written into a document.
    let reason: std::sync::Arc<str> = "\u{10000}".repeat(REASON_MAX).into();
    let quotes = "\"".repeat(256);
    let failure = ReplayFailure {
        workflow: workflow(&"w".repeat(128)),
        id: ItemId::new(quotes.clone()).unwrap(),
        reason: reason.clone(),
        status: Some(599),
        at: crate::store::sample::at(0),
    };
    let reasons = (0..=REASONS_KEPT).map(|number| (format!("{number}{reason}").into(), u64::MAX));
    let mut largest = Replay {
        reason: Some(format!("the canary failed after {0} of {0} items: {reason}", u64::MAX).into()),
        name: quotes[..128].into(),
        failures: vec![failure; FAILURES_KEPT],
        failure_reasons: reasons.collect(),
        total: u64::MAX,
        ..replay("1")
    };
    largest.filter.workflows = vec!["*".repeat(256).into(); GLOBS_MAX];
    let label = |number: usize| (format!("{number:0>32}"), quotes[..32].to_owned());
    largest.filter.labels = (0..32).map(label).collect();
    largest.target.url = "u".repeat(TARGET_URL_MAX).into();
    let items = (0..CHUNK_ITEMS as u64).map(|back| (ItemNumber(u64::MAX - back), ItemProgress::Skipped));
    let full = |index| ReplayChunk { index, items: items.clone().collect() };
    let chunks: Vec<_> = (0..REPLAY_CHUNKS_MAX as u32).map(full).collect();
    assert_eq!(engine.one(put(largest.clone(), chunks.clone())).await, Outcome::Done);
    let engine = engine.restarted();
    assert!(engine.replays().await.unwrap() == [largest]);
    for chunk in chunks {
        assert!(engine.replay_chunk(replay_id("1"), chunk.index).await.unwrap() == Some(chunk));
    }
}
