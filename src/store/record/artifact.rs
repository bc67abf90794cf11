//! Records of artifacts. The id of an artifact is in its key.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::{RecordError, damaged, expect_version};
use crate::model::artifact::{ArtifactStatus, ArtifactUse, Bound, Facts, Status, Usage, Word};
use crate::model::{Artifact, ArtifactId, ItemId, ItemKey, ItemNumber, Timestamp, WorkflowName};

const ARTIFACT_V1: u8 = 1;

/// Version 1.
#[derive(Serialize, Deserialize)]
struct ArtifactRecordV1<'a> {
    number: ItemNumber,
    workflow: &'a str,
    location: &'a str,
    name: &'a str,
    reuse: ArtifactUse,
    run: Option<RunRecordV1<'a>>,
    #[serde(borrow)]
    status: StatusRecordV1<'a>,
    status_at: Timestamp,
    registered_at: Timestamp,
    loaded_at: Option<Timestamp>,
    facts: FactsRecordV1<'a>,
    depends_on: Vec<&'a str>,
    uses: Vec<UsageRecordV1<'a>>,
    version: u64,
}

#[derive(Serialize, Deserialize)]
struct RunRecordV1<'a> {
    workflow: &'a str,
    id: &'a str,
}

#[derive(Serialize, Deserialize)]
enum StatusRecordV1<'a> {
    Known(ArtifactStatus),
    Other(&'a str),
}

#[derive(Serialize, Deserialize)]
struct FactsRecordV1<'a> {
    alias: Option<&'a str>,
    size: Option<u64>,
    records_written: Option<u64>,
    records_read: Option<u64>,
    #[serde(borrow)]
    low: Option<BoundRecordV1<'a>>,
    high: Option<BoundRecordV1<'a>>,
    format: Option<&'a str>,
    compression: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
enum BoundRecordV1<'a> {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
}

#[derive(Serialize, Deserialize)]
struct UsageRecordV1<'a> {
    #[serde(borrow)]
    run: RunRecordV1<'a>,
    status: StatusRecordV1<'a>,
    at: Timestamp,
}

pub fn encode_artifact(artifact: &Artifact) -> Vec<u8> {
    let facts = &artifact.facts;
    let record = ArtifactRecordV1 {
        number: artifact.number,
        workflow: &artifact.workflow,
        location: &artifact.location,
        name: &artifact.name,
        reuse: artifact.reuse,
        run: artifact.run.as_ref().map(run),
        status: status(&artifact.status),
        status_at: artifact.status_at,
        registered_at: artifact.registered_at,
        loaded_at: artifact.loaded_at,
        facts: FactsRecordV1 {
            alias: facts.alias.as_deref(),
            size: facts.size,
            records_written: facts.records_written,
            records_read: facts.records_read,
            low: facts.low.as_ref().map(bound),
            high: facts.high.as_ref().map(bound),
            format: facts.format.as_deref(),
            compression: facts.compression.as_deref(),
        },
        depends_on: artifact.depends_on.iter().map(|id| &*id.0).collect(),
        uses: artifact.uses.iter().map(usage).collect(),
        version: artifact.version,
    };
    postcard::to_extend(&record, vec![ARTIFACT_V1])
        .expect("writing plain data into a growing buffer cannot fail")
}

fn run(run: &ItemKey) -> RunRecordV1<'_> {
    RunRecordV1 { workflow: &run.workflow, id: &run.id }
}

fn status(status: &Status) -> StatusRecordV1<'_> {
    match status {
        Word::Known(status) => StatusRecordV1::Known(*status),
        Word::Other(status) => StatusRecordV1::Other(status),
    }
}

fn bound(bound: &Bound) -> BoundRecordV1<'_> {
    match bound {
        Bound::Text(text) => BoundRecordV1::Text(text),
        Bound::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => BoundRecordV1::Unsigned(number),
            (None, Some(number)) => BoundRecordV1::Signed(number),
            (None, None) => BoundRecordV1::Float(number.as_f64().unwrap_or_default()),
        },
    }
}

fn usage(usage: &Usage) -> UsageRecordV1<'_> {
    UsageRecordV1 { run: run(&usage.run), status: status(&usage.status), at: usage.at }
}

/// Decodes the artifact with this id. Fails for a format that this version does not know.
pub fn decode_artifact(id: &ArtifactId, bytes: &[u8]) -> Result<Artifact, RecordError> {
    let body = expect_version(bytes, ARTIFACT_V1)?;
    let record: ArtifactRecordV1<'_> = postcard::from_bytes(body).map_err(damaged)?;
    let facts = record.facts;
    Ok(Artifact {
        id: id.clone(),
        number: record.number,
        workflow: WorkflowName::new(record.workflow).map_err(damaged)?,
        location: record.location.into(),
        name: record.name.into(),
        reuse: record.reuse,
        run: record.run.as_ref().map(decode_run).transpose()?,
        status: decode_status(&record.status),
        status_at: record.status_at,
        registered_at: record.registered_at,
        loaded_at: record.loaded_at,
        facts: Facts {
            alias: facts.alias.map(Arc::from),
            size: facts.size,
            records_written: facts.records_written,
            records_read: facts.records_read,
            low: facts.low.map(decode_bound).transpose()?,
            high: facts.high.map(decode_bound).transpose()?,
            format: facts.format.map(Arc::from),
            compression: facts.compression.map(Arc::from),
        },
        depends_on: record.depends_on.into_iter().map(|id| ArtifactId(id.into())).collect(),
        uses: record.uses.iter().map(decode_usage).collect::<Result<_, _>>()?,
        version: record.version,
    })
}

fn decode_run(record: &RunRecordV1<'_>) -> Result<ItemKey, RecordError> {
    let workflow = WorkflowName::new(record.workflow).map_err(damaged)?;
    Ok(ItemKey { workflow, id: ItemId::new(record.id).map_err(damaged)? })
}

fn decode_status(record: &StatusRecordV1<'_>) -> Status {
    match record {
        StatusRecordV1::Known(status) => Word::Known(*status),
        StatusRecordV1::Other(status) => Word::Other((*status).to_owned()),
    }
}

fn decode_bound(record: BoundRecordV1<'_>) -> Result<Bound, RecordError> {
    Ok(match record {
        BoundRecordV1::Text(text) => Bound::Text(text.into()),
        BoundRecordV1::Unsigned(number) => Bound::Number(number.into()),
        BoundRecordV1::Signed(number) => Bound::Number(number.into()),
        BoundRecordV1::Float(number) => {
            Bound::Number(Number::from_f64(number).ok_or_else(|| damaged("a bound is not finite"))?)
        }
    })
}

fn decode_usage(record: &UsageRecordV1<'_>) -> Result<Usage, RecordError> {
    Ok(Usage { run: decode_run(&record.run)?, status: decode_status(&record.status), at: record.at })
}
