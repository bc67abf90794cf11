//! The stored format of replays: the fixtures in `tests/fixtures` stay readable.
//!
//! As for the other records (`record_format`), `cargo test --test suite seal -- --ignored` writes new ones.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any};
use proptest::test_runner::TestRunner;
use warden::model::replay::{OnSuccess, ReplayFilter, ReplayStatus};
use warden::model::{Replay, ReplayChunk};
use warden::store::record::{self, RecordError};

use super::fixture;
use super::sample::{at, replay, replay_chunk};

const FIXTURE: &str = "replays-format-1.txt";

/// One that has hardly begun: everything that may be missing is.
fn bare() -> Replay {
    let mut bare = Replay {
        name: "".into(),
        filter: ReplayFilter::default(),
        on_success: OnSuccess::Accept,
        status: ReplayStatus::Running,
        reason: None,
        started_at: None,
        failures: Vec::new(),
        ..replay("2")
    };
    bare.target.secret = None;
    bare.failure_reasons.clear();
    bare
}

fn ended() -> Replay {
    let mut ended = replay("3");
    ended.cancel(at(9));
    ended
}

/// What is written today.
fn records() -> String {
    let records = [
        ("paused", record::encode_document(&replay("1"))),
        ("bare", record::encode_document(&bare())),
        ("cancelled", record::encode_document(&ended())),
        ("chunk", record::encode_replay_chunk(&replay_chunk(3, 5))),
        ("empty_chunk", record::encode_replay_chunk(&replay_chunk(0, 0))),
    ];
    fixture::written(records)
}

#[test]
fn sealed_replays_of_format_1_are_read_as_what_was_written() {
    let sealed = fixture::sealed(FIXTURE);
    for (name, replay) in [("paused", replay("1")), ("bare", bare()), ("cancelled", ended())] {
        assert_eq!(record::decode_document(&sealed[name]), Ok(replay), "{name}");
    }
    assert_eq!(record::decode_replay_chunk(3, &sealed["chunk"]), Ok(replay_chunk(3, 5)));
    assert_eq!(record::decode_replay_chunk(0, &sealed["empty_chunk"]), Ok(replay_chunk(0, 0)));
}

#[test]
fn replays_as_they_are_written_today_are_of_format_1() {
    assert_eq!(records(), fixture::text(FIXTURE), "a changed format needs a number and a fixture of its own");
}

#[test]
fn a_replay_that_is_none_is_refused() {
    let chunk = &fixture::sealed(FIXTURE)["chunk"];
    for found in [0, 2, 255] {
        let mut bytes = chunk.clone();
        bytes[0] = found;
        assert_eq!(record::decode_replay_chunk(0, &bytes), Err(RecordError::Format(found)));
    }
    for length in 0..chunk.len() {
        assert!(record::decode_replay_chunk(0, &chunk[..length]).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn random_chunks_are_read_without_a_panic() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let read = |bytes: Vec<u8>| {
        if let Ok(chunk) = record::decode_replay_chunk(0, &bytes) {
            let written = record::encode_replay_chunk(&chunk);
            assert_eq!(record::decode_replay_chunk(0, &written), Ok::<ReplayChunk, _>(chunk));
        }
        let _ = record::decode_document::<Replay>(&bytes);
    };
    TestRunner::new(config)
        .run(&vec(any::<u8>(), 0..400), |mut bytes| {
            read(bytes.clone());
            bytes.insert(0, 1);
            read(bytes);
            Ok(())
        })
        .unwrap();
}

#[test]
#[ignore = "writes a new fixture; to be run by hand when the format changes"]
fn seal_replays_as_they_are_written_today() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replays-format.txt");
    std::fs::write(&target, records()).unwrap();
    println!("sealed in {}", target.display());
}
