//! The lines of batches and exports (NDJSON): what each asks for, what an export says of an item, and what
//! became of a line.
//!
//! A line is read strictly, as a request is. An export writes lines that a batch takes.

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
use crate::word::{ItemState, LineOperation, StepStatus, Word};

/// A line of a batch or an export. `B` is how its base64 is held: as text, or as whoever writes it has the
/// bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "B: Deserialize<'de>"))]
pub struct Line<'a, B = Text<'a>> {
    /// What it asks for.
    pub op: LineOperation,
    /// Where the export goes on behind this line. A batch passes over it, whatever it is.
    #[serde(default, deserialize_with = "whatever", skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The workflow of the item.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Cow<'a, str>>,
    /// The id of the item; a create may leave it to the daemon.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// The content type of the payload.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<Cow<'a, str>>,
    /// The content codings that were applied to the payload, such as `gzip`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<Cow<'a, str>>,
    /// A duration from now, or an RFC 3339 instant; in an export an instant.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Cow<'a, str>>,
    /// Names and values to find the item by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LineLabels>,
    /// The step at which it begins, or is.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Cow<'a, str>>,
    /// How the item stood. This and what follows say what it has been through elsewhere; that takes the scope
    /// `admin`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Cow<'a, str>>,
    /// When it was created there; left out of an item that was closed before anybody created it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Cow<'a, str>>,
    /// When it came to its step, if not when it was created.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub step_entered_at: Option<Cow<'a, str>>,
    /// When it failed.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Cow<'a, str>>,
    /// `duration` where the deadline was asked for as one, and does not move when a wall clock is set; else
    /// `instant`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub deadline_from: Option<Cow<'a, str>>,
    /// When it was closed.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Cow<'a, str>>,
    /// How it ended; of a close, how it ends.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Cow<'a, str>>,
    /// How often it was claimed at its step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_attempts: Option<u32>,
    /// Before when it is not to be claimed.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Cow<'a, str>>,
    /// The steps that are behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<LineStep>>,
    /// Its progress document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Cow<'a, Map<String, Value>>>,
    /// The errors that it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<LineError>>,
    /// The size of a payload that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_size: Option<u64>,
    /// The SHA-256 of a payload that is gone, in hexadecimal.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub payload_sha256: Option<Cow<'a, str>>,
    /// The payload: of a string its text, of any other JSON the JSON as it is written.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<LinePayload<'a>>,
    /// The payload in base64. A create has one of the two.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub payload_base64: Option<B>,
    /// What the header `Idempotency-Key` is to a create of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Of an end: how many lines were before it. A batch passes over it, whatever it is.
    #[serde(default, deserialize_with = "whatever", skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
    /// Of an end: the SHA-256 of all bytes before it, in hexadecimal. A batch passes over it, whatever it is.
    #[serde(default, deserialize_with = "whatever", skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

fn none<B>() -> Option<B> {
    None
}

/// Reads a member that may be any JSON; nothing if it is none of the kind.
fn whatever<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let value = <&'de RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(value.get()).ok())
}

impl<B> Line<'_, B> {
    /// A line that asks for this and says nothing else.
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

/// A text that is borrowed from its line where it has no escapes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(
    /// The text.
    #[serde(borrow)]
    pub Cow<'a, str>,
);

/// A payload in a line.
#[derive(Clone, Copy, Debug)]
pub enum LinePayload<'a> {
    /// As it stands in the line.
    Json(&'a RawValue),
    /// A text that is to be written.
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

/// Labels as a line has them. One that stands twice has no value that is right, so it is refused.
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
                        let problem = format_args!("the label {} stands twice", quote(&name));
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

/// A step that is behind an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineStep {
    /// The step.
    pub name: Arc<str>,
    /// How the item left it.
    pub status: StepStatus,
    /// When.
    pub at: String,
}

/// An error that was reported about an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineError {
    /// Its id.
    pub id: Arc<str>,
    /// The reporter's name for this sort of error.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened.
    #[serde(default)]
    pub message: String,
    /// Whether trying again may help.
    #[serde(default)]
    pub retryable: bool,
    /// Whether the item has failed by it.
    #[serde(default)]
    pub fatal: bool,
    /// The step at which the item was.
    #[serde(default)]
    pub step: Option<Arc<str>>,
    /// When it was reported.
    pub at: String,
    /// Whatever else was kept.
    #[serde(default)]
    pub data: Value,
}

/// The line that ends an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// That it is one.
    pub op: LineOperation,
    /// How many lines were before it.
    pub lines: u64,
    /// The SHA-256 of all bytes before it, in hexadecimal.
    pub sha256: String,
}

/// What became of a line of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LineAnswer<'a> {
    /// It was refused.
    Refused(LineProblem<'a>),
    /// It is done.
    Done(LineDone<'a>),
}

impl LineAnswer<'_> {
    /// The HTTP status with which a request of its own would have been answered.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Refused(line) => line.problem.status,
            Self::Done(line) => line.status,
        }
    }
}

/// What became of a line that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineDone<'a> {
    /// The HTTP status with which a request of its own would have been answered.
    pub status: u16,
    /// The workflow that it named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Cow<'a, str>>,
    /// The id of the item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// The version of the item, of a create.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// How the item stands, of a create.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Word<ItemState>>,
}

/// What became of a line that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineProblem<'a> {
    /// The number of the line, from 1.
    pub line: usize,
    /// The workflow that it named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Cow<'a, str>>,
    /// The id that it named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// Why.
    #[serde(flatten)]
    pub problem: ProblemDocument<'a>,
}
