//! All that a store holds, as text for a snapshot.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, LazyLock};

use regex::{Captures, Regex};
use sha2::{Digest, Sha256};
use warden::model::Timestamp;
use warden::store::{Change, Document, DocumentId, DocumentSet, ListDocuments, Store};

use super::engine::Notes;
use super::fixture::hex;

/// The sets of all documents but the two that are alone of their kind.
const SETS: [DocumentSet; 7] = [
    DocumentSet::Workflows,
    DocumentSet::Progress,
    DocumentSet::Silences,
    DocumentSet::Incidents,
    DocumentSet::Deliveries,
    DocumentSet::Replays,
    DocumentSet::Chunks,
];

/// Items with their payloads, documents in the order of their ids, and what a fresh observer is told. The
/// store must not have an observer yet.
pub async fn rendered(store: &dyn Store) -> String {
    let notes = Arc::new(Notes::default());
    store.attach(notes.clone()).unwrap();
    let mut text = String::from("ITEMS\n");
    // Lists leave out the records of items that were closed and never created.
    let numbers = notes.indexed_items().iter().map(|indexed| indexed.number).collect();
    for item in store.items(numbers).await.unwrap() {
        let payload = match store.payload(item.number, 0, usize::MAX >> 1).await.unwrap() {
            Some(payload) => format!("SHA-256 {}", hex(&Sha256::digest(&payload))),
            None => "none".to_owned(),
        };
        let _ = writeln!(text, "\n{}stored payload: {payload}", shown(&item));
    }
    text.push_str("\nDOCUMENTS\n");
    let mut documents = Vec::new();
    for set in SETS {
        documents.extend(store.documents(ListDocuments::all(set)).await.unwrap());
    }
    assert!(documents.is_sorted_by_key(Document::id), "{documents:?}");
    for id in [DocumentId::Clock, DocumentId::HealthCheck] {
        documents.extend(store.document(id).await.unwrap());
    }
    for document in &documents {
        let _ = write!(text, "\n{}", shown(document));
    }
    text.push_str("\nFEED\n");
    for change in notes.changes() {
        if let Change::Put(document) = &change {
            assert!(documents.contains(document), "it is told as it is stored: {document:?}");
            let _ = write!(text, "\nput {}", shown(&document.id()));
        } else {
            let _ = write!(text, "\n{}", shown(&change));
        }
    }
    text
}

static WRAPPED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(\w+)\(\n\s+([^\n]*),\n\s*\)").unwrap());
static PAIR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\(\n\s+([^\n]*),\n\s+([^\n]*),\n\s*\)").unwrap());
static DIGEST: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[\n((?:\s+[0-9]+,\n){32})\s+\]").unwrap());
static INSTANT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"Timestamp\((-?[0-9]+)\)").unwrap());
static NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(?:Some|\w+Name|\w+Id|ItemNumber)\(([^()\n]*)\)").unwrap());
static NOTHING: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^\s+\w+: (?:None|\{\}|\[\]|Null|Object \{\}),\n").unwrap());

/// What `Debug` says, with instants and digests as people write them, and without what is absent or empty.
fn shown(value: &impl Debug) -> String {
    let mut text = format!("{value:#?}\n").replace("\\\"", "\"");
    text = DIGEST.replace_all(&text, digest).into_owned();
    for pattern in [&WRAPPED, &WRAPPED, &WRAPPED] {
        text = pattern.replace_all(&text, "$1($2)").into_owned();
    }
    text = PAIR.replace_all(&text, "($1, $2)").into_owned();
    text = INSTANT.replace_all(&text, instant).into_owned();
    for pattern in [&NAME, &NAME, &NAME] {
        text = pattern.replace_all(&text, "$1").into_owned();
    }
    unwrapped(&NOTHING.replace_all(&text, ""))
}

/// The same without the names of tuples around a structure: its lines move to the left.
fn unwrapped(text: &str) -> String {
    let mut result = String::new();
    // Where the tuples began that are open.
    let mut open: Vec<usize> = Vec::new();
    for line in text.lines() {
        let content = line.trim_start();
        let begin = line.len() - content.len();
        if open.last() == Some(&begin) && content.starts_with(')') {
            open.pop();
            continue;
        }
        if result.is_empty() || result.ends_with('\n') {
            result.push_str(&line[(4 * open.len()).min(begin)..begin]);
        }
        match content.strip_suffix('(') {
            Some(content) => {
                result.push_str(content.trim_end_matches(char::is_alphanumeric));
                open.push(begin);
            }
            None => {
                result.push_str(content);
                result.push('\n');
            }
        }
    }
    result.replace("\n},\n", "\n}\n")
}

fn digest(found: &Captures<'_>) -> String {
    let bytes = found[1].split(',').filter_map(|byte| byte.trim().parse::<u8>().ok());
    hex(&bytes.collect::<Vec<u8>>())
}

fn instant(found: &Captures<'_>) -> String {
    found[1].parse().map_or_else(|_| found[0].to_owned(), |millis| Timestamp::from_millis(millis).to_string())
}
