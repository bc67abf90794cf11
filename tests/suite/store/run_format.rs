//! The stored forms of runs: the fixture in `tests/fixtures` stays readable.
//!
//! When a form changes, `cargo test --test suite seal_runs -- --ignored` writes a fixture of the new one into
//! cargo's directory for temporary files; add it to the old ones, which stay.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, json};
use warden::model::item::ItemDetail;
use warden::model::run::{
    Ended, HeldFor, Hold, JobParams, Lineage, Run, RunError, RunParams, RunStatus, Truncate, Window,
};
use warden::model::{Item, ItemId, ItemNumber, JobName, RunDetail, RunEntry, RunHistory, Timestamp};
use warden::store::record;

use super::fixture;
use super::record_format::{items, traced_items};
use super::sample::{at, object};

const FIXTURE: &str = "runs-format-1.txt";

fn job(name: &str) -> JobName {
    JobName::new(name).unwrap()
}

fn detail() -> RunDetail {
    let window = Window { from: Some(Timestamp::parse("1776-07-04T23:59:00Z").unwrap()), to: at(0) };
    let first = JobParams {
        window,
        params: object(json!({"param1": "hello", "list": [1, null, 2.5]})),
        reprocess: Duration::from_secs(7200),
        truncate: Some(Truncate::Day),
        section: Some("folder.WF:wf1.ST:s_job2".into()),
    };
    let plain = JobParams {
        window: Window { from: None, to: at(0) },
        params: Map::new(),
        reprocess: Duration::ZERO,
        truncate: None,
        section: None,
    };
    RunDetail {
        params: Some(RunParams {
            shared: object(json!({"env": "prod"})),
            jobs: [(job("job1"), plain), (job("job2"), first)].into(),
        }),
        backfill: Some(window),
        lineage: Some(Lineage {
            process_type: Some("load".into()),
            actor: Some("cron".into()),
            tool: Some("spark".into()),
            sources: vec!["crm".into(), "shop".into()],
            targets: vec!["dwh".into()],
        }),
        counts: [("read".into(), 10), ("written".into(), -9)].into(),
        told_overdue: None,
    }
}

fn entry() -> RunEntry {
    let RunDetail { params, backfill, lineage, counts, .. } = detail();
    RunEntry {
        number: 42,
        item: ItemId::new("nightly-42").unwrap(),
        item_number: ItemNumber(7),
        status: RunStatus::Failed,
        held: None,
        created_at: at(0),
        started_at: Some(at(10)),
        ended_at: Some(at(90_000)),
        error: Some(RunError {
            id: "err_1".into(),
            kind: "Data Error".into(),
            message: "a row is odd".into(),
        }),
        params,
        backfill,
        lineage,
        counts,
    }
}

/// As small as an entry can be.
fn waiting() -> RunEntry {
    RunEntry {
        number: 1,
        status: RunStatus::Held,
        held: Some(HeldFor::Requirement),
        started_at: None,
        ended_at: None,
        error: None,
        params: None,
        backfill: None,
        lineage: None,
        counts: BTreeMap::new(),
        ..entry()
    }
}

fn history() -> RunHistory {
    let ended = |number, status| Ended { number, status, at: at(60_000) };
    let mut history = RunHistory {
        last_number: 42,
        held: Some(41),
        ended: vec![ended(39, RunStatus::Success), ended(40, RunStatus::Failed)],
        last_success: Some(ended(39, RunStatus::Success)),
        failures: [40].into(),
        watermarks: [(job("job2"), at(0))].into(),
        hold: Some(Hold { since: at(61_000), by: Some("ada".into()), comment: Some("the disk".into()) }),
        totals: [("read".into(), 420)].into(),
        ..RunHistory::default()
    };
    (history.open.listed, history.open.count) = ([38, 42].into(), 2);
    (history.waiting.listed, history.waiting.count) = ([37].into(), 100);
    history
}

fn run_items() -> [(&'static str, Item); 2] {
    let [(_, plain), ..] = items();
    let [.., (_, longest)] = traced_items();
    let run = Run { number: 1, held: Some(HeldFor::Hold), started_at: None, ended_at: None };
    let held = Item { run: Some(run), ..plain };
    let run = Run { number: u64::MAX, held: None, started_at: Some(at(10)), ended_at: Some(Timestamp::MAX) };
    [("held", held), ("longest-run", Item { run: Some(run), ..longest })]
}

fn documents() -> [(&'static str, Vec<u8>); 5] {
    let of_item = ItemDetail { run: Some(Box::new(detail())), ..ItemDetail::default() };
    [
        ("entry", record::encode_document(&entry())),
        ("waiting", record::encode_document(&waiting())),
        ("history", record::encode_document(&history())),
        ("no-history", record::encode_document(&RunHistory::default())),
        ("detail", record::encode_document(&of_item)),
    ]
}

fn written() -> String {
    let items = run_items().map(|(name, item)| (name, record::encode_item(&item)));
    fixture::written(items.into_iter().chain(documents()))
}

#[test]
fn sealed_runs_are_read_as_what_was_written() {
    let sealed = fixture::sealed(FIXTURE);
    for (name, item) in run_items() {
        assert_eq!(record::decode_item(item.number, &sealed[name]), Ok(item), "{name}");
    }
    assert_eq!(record::decode_document(&sealed["entry"]), Ok(entry()));
    assert_eq!(record::decode_document(&sealed["waiting"]), Ok(waiting()));
    assert_eq!(record::decode_document(&sealed["history"]), Ok(history()));
    assert_eq!(record::decode_document(&sealed["no-history"]), Ok(RunHistory::default()));
    let of_item: ItemDetail = record::decode_document(&sealed["detail"]).unwrap();
    assert_eq!(of_item.run, Some(Box::new(detail())));
}

#[test]
fn runs_are_written_as_they_are_sealed() {
    assert_eq!(written(), fixture::text(FIXTURE), "a changed form needs a fixture of its own");
}

#[test]
fn a_record_of_a_run_cut_short_is_refused() {
    for (name, item) in run_items() {
        let bytes = record::encode_item(&item);
        for length in 0..bytes.len() {
            assert!(record::decode_item(item.number, &bytes[..length]).is_err(), "{name} cut to {length}");
        }
    }
}

#[test]
#[ignore = "writes a new fixture; to be run by hand when a form changes"]
fn seal_runs() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("runs-format.txt");
    std::fs::write(&target, written()).unwrap();
    println!("sealed in {}", target.display());
}
