//! The lines (NDJSON) of batches and exports, and the response to each line of a batch.
//!
//! Lines are read strictly, as requests are. The lines of an export are valid in a batch.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::name::Labels;
use crate::problem::ProblemDocument;
use crate::quote::quote;
use crate::step::StepTerms;
use crate::word::{ItemState, LineOperation, StepStatus, Word};

/// A line of a batch or an export. `B` holds base64: as text, or as bytes for a writer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "B: Deserialize<'de>"))]
pub struct Line<'a, B = Text<'a>> {
    /// The operation.
    pub op: LineOperation,
    /// Where an export resumes after this line. Ignored in a batch.
    #[serde(default, deserialize_with = "whatever", skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The name of the workflow.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Cow<'a, str>>,
    /// The id of the item; without it, a create generates one.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// The content type of the payload.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<Cow<'a, str>>,
    /// The content codings of the payload, such as `gzip`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<Cow<'a, str>>,
    /// A duration from now, or an instant (RFC 3339); in an export an instant.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Cow<'a, str>>,
    /// Names and values to filter by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LineLabels>,
    /// The steps that the item has of its own: names, or objects with terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_steps: Option<Vec<StepTerms>>,
    /// The item cannot be claimed before: a duration from now, or an instant (RFC 3339).
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Cow<'a, str>>,
    /// The trace that the item belongs to (W3C Trace Context). What is malformed is ignored.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Cow<'a, str>>,
    /// The vendors' part of the trace context.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<Cow<'a, str>>,
    /// The step at which the item begins, or is.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Cow<'a, str>>,
    /// The state of the item. This and the following fields are the history of the item elsewhere, which
    /// needs the scope `admin`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Cow<'a, str>>,
    /// When it was created; left out if it was closed before it was created.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Cow<'a, str>>,
    /// When it entered its step, if later than its creation.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub step_entered_at: Option<Cow<'a, str>>,
    /// When it failed.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Cow<'a, str>>,
    /// `duration` if the deadline was given as one, so that it does not move when the wall clock is set;
    /// otherwise `instant`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub deadline_from: Option<Cow<'a, str>>,
    /// When it was closed.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Cow<'a, str>>,
    /// How it ended, or for a close, how it ends.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Cow<'a, str>>,
    /// The claims at its step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_attempts: Option<u32>,
    /// When it can be claimed again.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Cow<'a, str>>,
    /// Where it is on its course, if there is more to say than its step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub course: Option<Box<LineCourse>>,
    /// The runs of its steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<LineStep>>,
    /// Its progress document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Cow<'a, Map<String, Value>>>,
    /// The errors that it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<LineError>>,
    /// The size of a payload that was removed, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_size: Option<u64>,
    /// The SHA-256 of a payload that was removed, in hexadecimal.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub payload_sha256: Option<Cow<'a, str>>,
    /// The payload: the text of a string, or any other JSON as it is written.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<LinePayload<'a>>,
    /// The payload in base64. A create has this or `payload`.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub payload_base64: Option<B>,
    /// For a create, as the header `Idempotency-Key` of a single one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// For an end: the number of lines before it. Ignored in a batch.
    #[serde(default, deserialize_with = "whatever", skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
    /// For an end: the SHA-256 of all bytes before it, in hexadecimal. Ignored in a batch.
    #[serde(default, deserialize_with = "whatever", skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

fn none<B>() -> Option<B> {
    None
}

/// Reads any JSON; `None` if it has another type.
fn whatever<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let value = <&'de RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(value.get()).ok())
}

impl<B> Line<'_, B> {
    /// A line with this operation and nothing else.
    pub const fn new(op: LineOperation) -> Self {
        Self {
            op,
            cursor: None,
            workflow: None,
            id: None,
            content_type: None,
            content_encoding: None,
            deadline: None,
            labels: None,
            own_steps: None,
            not_before: None,
            traceparent: None,
            tracestate: None,
            step: None,
            state: None,
            created_at: None,
            step_entered_at: None,
            failed_at: None,
            deadline_from: None,
            closed_at: None,
            outcome: None,
            step_attempts: None,
            retry_at: None,
            course: None,
            steps: None,
            progress: None,
            errors: None,
            payload_size: None,
            payload_sha256: None,
            payload: None,
            payload_base64: None,
            idempotency_key: None,
            lines: None,
            sha256: None,
        }
    }
}

/// A text, borrowed from its line if it has no escapes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(
    /// The text.
    #[serde(borrow)]
    pub Cow<'a, str>,
);

/// The payload in a line.
#[derive(Clone, Copy, Debug)]
pub enum LinePayload<'a> {
    /// As it is written in the line.
    Json(&'a RawValue),
    /// A text, for writing.
    Text(&'a str),
}

impl Serialize for LinePayload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Json(value) => value.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for LinePayload<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(Self::Json)
    }
}

/// Labels in a line. Duplicate names are refused, as no value would be right.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct LineLabels(
    /// The labels.
    pub Labels,
);

impl<'de> Deserialize<'de> for LineLabels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = LineLabels;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<LineLabels, A::Error> {
                let mut labels = BTreeMap::new();
                while let Some((name, value)) = members.next_entry::<String, String>()? {
                    if labels.contains_key(&name) {
                        let problem = format_args!("the label {} is given twice", quote(&name));
                        return Err(de::Error::custom(problem));
                    }
                    labels.insert(name, value);
                }
                Ok(LineLabels(labels.into()))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// Where an item is on its course, apart from its step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LineCourse {
    /// The retryable errors at its step.
    pub retries: u32,
    /// The leases that ran out at its step.
    pub losses: u32,
    /// When it was interrupted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupted_at: Option<String>,
    /// When its step is repeated, if it was interrupted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupted_until: Option<String>,
    /// The step to which it comes back after it has gone through earlier ones again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<Arc<str>>,
    /// The steps that are to run again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repetitions: Vec<LineRepetition>,
    /// The progress documents of single steps.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub step_progress: BTreeMap<Arc<str>, Map<String, Value>>,
    /// The deadline that no step's exceeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_max: Option<String>,
}

/// A step that is to run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineRepetition {
    /// The name of the step; left out if the item has no steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Arc<str>>,
    /// The runs that ended with a request to repeat the step.
    pub runs: u32,
    /// When it is due; left out if it is not to run again by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
}

/// A run of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineStep {
    /// The name of the step.
    pub name: Arc<str>,
    /// How the run ended.
    pub status: StepStatus,
    /// When the run ended.
    pub at: String,
    /// The message that was reported with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Arc<str>>,
    /// When the item had entered the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered_at: Option<String>,
    /// The claims at the step until then.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
}

const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A reported error of an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineError {
    /// `err_` and a UUID.
    pub id: Arc<str>,
    /// A name chosen by the reporter.
    #[serde(rename = "type")]
    pub kind: String,
    /// The reporter's description.
    #[serde(default)]
    pub message: String,
    /// Whether a retry may succeed.
    #[serde(default)]
    pub retryable: bool,
    /// Whether it made the item fail.
    #[serde(default)]
    pub fatal: bool,
    /// The step at which the item was.
    #[serde(default)]
    pub step: Option<Arc<str>>,
    /// When it was reported.
    pub at: String,
    /// Further data of the reporter.
    #[serde(default)]
    pub data: Value,
    /// The stack trace that was reported with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
}

/// The last line of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Always [`LineOperation::End`].
    pub op: LineOperation,
    /// The number of lines before it.
    pub lines: u64,
    /// The SHA-256 of all bytes before it, in hexadecimal.
    pub sha256: String,
}

/// The response to a line of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LineAnswer<'a> {
    /// The line was refused.
    Refused(LineProblem<'a>),
    /// The line was executed.
    Done(LineDone<'a>),
}

impl LineAnswer<'_> {
    /// The HTTP status that the same request on its own would have.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Refused(line) => line.problem.status,
            Self::Done(line) => line.status,
        }
    }
}

/// The response to a line that was executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineDone<'a> {
    /// The HTTP status that the same request on its own would have.
    pub status: u16,
    /// The workflow in the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Cow<'a, str>>,
    /// The id of the item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// The version of the item, for a create.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The state of the item, for a create.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Word<ItemState>>,
}

/// The response to a line that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineProblem<'a> {
    /// The number of the line, from 1.
    pub line: usize,
    /// The workflow in the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Cow<'a, str>>,
    /// The id in the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// The reason.
    #[serde(flatten)]
    pub problem: ProblemDocument<'a>,
}
