//! OpenLineage 2-0-2: a run event for each event of a run, so that a catalog learns of the ends that the run
//! itself did not tell.
//!
//! Invariants:
//!
//! * All events of a run have one `runId`: the id of its item if that is a UUID, otherwise one derived from
//!   workflow, number and id.
//! * Every event names all sources and targets again: a consumer takes an event without them for a job that
//!   has none.
//!
//! Deliberately absent: RUNNING events, which nobody needs whom START and the end reach.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use super::{Rendered, base_url, post};
use crate::model::{Event, ItemNotification, RunSubject};

/// What an event is judged by. The specification names it for version 2-0-2.
const SCHEMA_URL: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
/// The namespace that the specification has for local files.
const FILE: &str = "file";

/// The rule of [`is_namespace`].
pub const NAMESPACE_RULE: &str = "1 to 256 characters of A-Z a-z 0-9 : ; = / _ - . @ +";

/// Whether a text can be a namespace. The characters are those that Marquez accepts.
pub fn is_namespace(text: &str) -> bool {
    let is_taken = |byte: u8| byte.is_ascii_alphanumeric() || b":;=/_-.@+".contains(&byte);
    (1..=256).contains(&text.len()) && text.bytes().all(is_taken)
}

/// The event of a run. A test of the receiver is one that neither begins nor ends anything.
pub(super) fn render(notification: &ItemNotification, namespace: &str) -> Rendered {
    let data = &notification.data;
    let producer = base_url(&data.url);
    let run = data.run.as_deref();
    let lineage = run.and_then(|run| run.lineage.as_ref());
    let datasets = |names: Option<&Vec<String>>| -> Vec<Value> {
        let dataset = |text: &String| {
            let (namespace, name) = dataset(text, namespace);
            json!({ "namespace": namespace, "name": name })
        };
        names.into_iter().flatten().map(dataset).collect()
    };
    post(
        "application/json",
        &json!({
            "eventType": event_type(notification.event),
            "eventTime": notification.timestamp,
            "run": {
                "runId": run_id(&data.workflow, run.map_or(0, |run| run.number), &data.id),
                "facets": run_facets(notification, run, producer),
            },
            "job": {
                "namespace": namespace,
                "name": data.workflow,
                "facets": {
                    "jobType": facet(producer, "2-0-4", "JobTypeJobFacet", json!({
                        "processingType": "BATCH",
                        "integration": "PROCESS_WARDEN",
                        "jobType": "RUN",
                    })),
                },
            },
            "inputs": datasets(lineage.map(|lineage| &lineage.sources)),
            "outputs": datasets(lineage.map(|lineage| &lineage.targets)),
            "producer": producer,
            "schemaURL": SCHEMA_URL,
        }),
    )
}

const fn event_type(event: Event) -> &'static str {
    match event {
        Event::RunStarted => "START",
        Event::RunCompleted => "COMPLETE",
        // A run that is overdue may have died without a word. If it ends after all, that is told as well.
        Event::RunFailed | Event::RunOverdue => "FAIL",
        Event::RunAborted => "ABORT",
        _ => "OTHER",
    }
}

fn run_facets(
    notification: &ItemNotification,
    run: Option<&RunSubject>,
    producer: &str,
) -> Map<String, Value> {
    let mut facets = Map::new();
    let from = run.and_then(|run| run.window).and_then(|window| window.from.map(|from| (from, window.to)));
    if let Some((from, to)) = from {
        let fields = json!({ "nominalStartTime": from, "nominalEndTime": to });
        facets.insert("nominalTime".into(), facet(producer, "1-0-1", "NominalTimeRunFacet", fields));
    }
    let message = match notification.event {
        Event::RunFailed => run.and_then(|run| run.error.as_ref()).map(|error| error.message.as_str()),
        Event::RunOverdue => Some(notification.data.summary.as_str()),
        _ => None,
    };
    if let Some(message) = message {
        let fields = json!({ "message": message, "programmingLanguage": "unknown" });
        facets.insert("errorMessage".into(), facet(producer, "1-0-1", "ErrorMessageRunFacet", fields));
    }
    let labels = &notification.data.labels;
    if !labels.is_empty() {
        let tag = |(name, value)| json!({ "key": name, "value": value, "source": "PROCESS_WARDEN" });
        let tags: Vec<Value> = labels.iter().map(tag).collect();
        facets.insert("tags".into(), facet(producer, "1-0-0", "TagsRunFacet", json!({ "tags": tags })));
    }
    facets
}

/// A facet with the two members that each has.
fn facet(producer: &str, version: &str, name: &str, mut fields: Value) -> Value {
    fields["_producer"] = producer.into();
    fields["_schemaURL"] =
        format!("https://openlineage.io/spec/facets/{version}/{name}.json#/$defs/{name}").into();
    fields
}

fn run_id(workflow: &str, number: u64, id: &str) -> Uuid {
    // Only in the usual form, so that ids which differ in form alone are not one run.
    let own = Uuid::try_parse(id).ok().filter(|own| own.hyphenated().to_string() == id);
    own.unwrap_or_else(|| {
        let digest = Sha256::new().chain_update(format!("{workflow}\0{number}\0{id}")).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Builder::from_custom_bytes(bytes).into_uuid()
    })
}

/// The namespace and name of a source or target. URIs and absolute paths are split as the specification
/// names datasets; anything else is a name in the job's namespace.
fn dataset<'a>(text: &'a str, namespace: &'a str) -> (Cow<'a, str>, Cow<'a, str>) {
    if text.starts_with('/') {
        return (FILE.into(), text.into());
    }
    let Some((scheme, rest)) = text.split_once("://") else { return (namespace.into(), text.into()) };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let of = match (scheme, authority) {
        (FILE, "") => FILE.to_owned(),
        _ => format!("{scheme}://{authority}"),
    };
    if scheme.is_empty() || !is_namespace(&of) || (authority.is_empty() && scheme != FILE) {
        return (namespace.into(), text.into());
    }
    let name = if scheme == FILE { path } else { path.trim_start_matches('/') };
    (of.into(), if name.is_empty() { "/".into() } else { name.into() })
}

#[cfg(test)]
mod tests;
