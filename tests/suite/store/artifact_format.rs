//! The stored format of artifacts: the fixture in `tests/fixtures` stays readable.
//!
//! As for the other records (`record_format`), `cargo test --test suite seal_artifacts -- --ignored` writes a
//! new one.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any};
use proptest::test_runner::TestRunner;
use warden::model::artifact::{ArtifactStatus, ArtifactUse, Bound, Facts, Status, Usage};
use warden::model::{Artifact, ItemNumber};
use warden::store::record::{self, RecordError};

use super::fixture;
use super::sample::{artifact_id, at, key, key_in, new_artifact};

const FIXTURE: &str = "artifacts-format-1.txt";

fn bare() -> Artifact {
    Artifact::new(new_artifact("bare"), ItemNumber(7), at(0))
}

/// Everything that may be missing is there.
fn full() -> Artifact {
    Artifact {
        reuse: ArtifactUse::Run,
        run: Some(key("run 1")),
        status: Status::Other("checked".into()),
        status_at: at(9),
        loaded_at: Some(at(5)),
        facts: Facts {
            alias: Some("yesterday's".into()),
            size: Some(u64::MAX),
            records_written: Some(10),
            records_read: Some(0),
            low: Some(Bound::Number((-3).into())),
            high: Some(Bound::Text("2026-01-31".into())),
            format: Some("csv".into()),
            compression: Some("gzip".into()),
        },
        depends_on: vec![artifact_id("bare"), artifact_id("ä/b")],
        uses: vec![
            Usage { run: key("run 1"), status: ArtifactStatus::Loaded.into(), at: at(5) },
            Usage { run: key_in("exports", "2"), status: Status::Other("checked".into()), at: at(9) },
        ],
        version: 12,
        ..Artifact::new(new_artifact("full"), ItemNumber(8), at(1))
    }
}

fn once() -> Artifact {
    let facts = Facts {
        low: Some(Bound::Number(serde_json::Number::from_f64(0.25).unwrap())),
        high: Some(Bound::Number(u64::MAX.into())),
        ..Facts::default()
    };
    let reuse = ArtifactUse::Once;
    Artifact { reuse, facts, ..Artifact::new(new_artifact("once"), ItemNumber(9), at(2)) }
}

fn samples() -> [(&'static str, Artifact); 3] {
    [("bare", bare()), ("full", full()), ("once", once())]
}

/// What is written today.
fn records() -> String {
    fixture::written(samples().map(|(name, artifact)| (name, record::encode_artifact(&artifact))))
}

#[test]
fn sealed_artifacts_of_format_1_are_read_as_what_was_written() {
    let sealed = fixture::sealed(FIXTURE);
    for (name, artifact) in samples() {
        assert_eq!(record::decode_artifact(&artifact.id, &sealed[name]), Ok(artifact), "{name}");
    }
}

#[test]
fn artifacts_as_they_are_written_today_are_of_format_1() {
    assert_eq!(records(), fixture::text(FIXTURE), "a changed format needs a number and a fixture of its own");
}

#[test]
fn an_artifact_that_is_none_is_refused() {
    let id = artifact_id("full");
    let full = &fixture::sealed(FIXTURE)["full"];
    for found in [0, 2, 255] {
        let mut bytes = full.clone();
        bytes[0] = found;
        assert_eq!(record::decode_artifact(&id, &bytes), Err(RecordError::Format(found)));
    }
    for length in 0..full.len() {
        assert!(record::decode_artifact(&id, &full[..length]).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn artifacts_with_a_changed_byte_are_read_without_a_panic() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let sealed: Vec<Vec<u8>> = fixture::sealed(FIXTURE).into_values().collect();
    let id = artifact_id("full");
    let read = |bytes: &[u8]| {
        if let Ok(artifact) = record::decode_artifact(&id, bytes) {
            let written = record::encode_artifact(&artifact);
            assert_eq!(record::decode_artifact(&id, &written), Ok(artifact));
        }
    };
    TestRunner::new(config)
        .run(
            &(any::<proptest::sample::Index>(), any::<proptest::sample::Index>(), vec(any::<u8>(), 1..4)),
            |by| {
                let mut bytes = by.0.get(&sealed).clone();
                let place = 1 + by.1.index(bytes.len() - 1);
                let end = (place + by.2.len()).min(bytes.len());
                bytes[place..end].copy_from_slice(&by.2[..end - place]);
                read(&bytes);
                Ok(())
            },
        )
        .unwrap();
}

#[test]
#[ignore = "writes a new fixture; to be run by hand when the format changes"]
fn seal_artifacts_as_they_are_written_today() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("artifacts-format.txt");
    std::fs::write(&target, records()).unwrap();
    println!("sealed in {}", target.display());
}
