//! Artifacts: files that runs write or read.

use std::sync::Arc;

use serde::de::{DeserializeOwned, Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::time::WallTime;
use crate::word::{ArtifactStatus, ArtifactUse, Word};

/// A file that runs write or read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Artifact {
    /// `art_` and a UUID, which follows from workflow, location and name.
    pub id: Arc<str>,
    /// The workflow that it belongs to.
    pub workflow: Arc<str>,
    /// The directory or the prefix of a URL.
    pub location: Arc<str>,
    /// The name within the location; it may contain `/`.
    pub name: Arc<str>,
    /// Another name, for people.
    pub alias: Option<Arc<str>>,
    /// `initializing`, `ready`, `loading`, `loaded`, `archived`, `deleted`, `error`, or one that the
    /// configuration adds.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub status: Word<ArtifactStatus>,
    /// When it got this status.
    pub status_at: WallTime,
    /// When it was registered.
    pub registered_at: WallTime,
    /// When it was loaded for the first time.
    pub loaded_at: Option<WallTime>,
    /// How often it may be loaded, and how long it is kept.
    #[serde(rename = "use")]
    #[cfg_attr(feature = "schema", schema(value_type = ArtifactUse))]
    pub reuse: Word<ArtifactUse>,
    /// The run that registered it.
    pub run: Option<RunKey>,
    /// In bytes.
    pub size: Option<u64>,
    /// The records in it.
    pub records: Records,
    /// The least of the values that were reported as low.
    #[cfg_attr(feature = "schema", schema(value_type = Option<Bound>))]
    pub low: Option<Value>,
    /// The greatest of the values that were reported as high.
    #[cfg_attr(feature = "schema", schema(value_type = Option<Bound>))]
    pub high: Option<Value>,
    /// Such as `csv`.
    pub format: Option<Arc<str>>,
    /// Such as `gzip`.
    pub compression: Option<Arc<str>>,
    /// The ids of the artifacts that have to be loaded before it.
    pub depends_on: Vec<Arc<str>>,
    /// The runs that used it, the latest use last; at most 32.
    pub uses: Vec<Usage>,
    /// Incremented by every change.
    pub version: u64,
}

/// The item of a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RunKey {
    /// Its workflow.
    pub workflow: Arc<str>,
    /// Its id.
    pub id: Arc<str>,
}

/// A run in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum RunReference {
    /// The id of an item in the workflow of the artifact.
    Id(Arc<str>),
    /// An item of any workflow.
    #[serde(deserialize_with = "object")]
    Key(RunKey),
}

/// A number, or a text such as a date.
#[cfg(feature = "schema")]
#[derive(Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Bound {
    /// A number.
    Number(f64),
    /// A text of at most 256 bytes.
    Text(String),
}

/// Counts of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// Records that were written to it.
    #[serde(default)]
    pub written: Option<u64>,
    /// Records that were read from it.
    #[serde(default)]
    pub read: Option<u64>,
}

/// A use of an artifact by a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Usage {
    /// The run.
    pub run: RunKey,
    /// The status that it set last.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub status: Word<ArtifactStatus>,
    /// When it set that.
    pub at: WallTime,
}

/// An artifact, as an item that used it shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ArtifactSummary {
    /// Its id.
    pub id: Arc<str>,
    /// The directory or the prefix of a URL.
    pub location: Arc<str>,
    /// The name within the location.
    pub name: Arc<str>,
    /// Its status.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub status: Word<ArtifactStatus>,
}

/// Artifacts, in the order of the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Artifacts {
    /// The artifacts.
    pub data: Vec<Artifact>,
}

/// The response to a registration of several artifacts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RegisteredArtifacts {
    /// The artifacts, in the order of the request.
    pub data: Vec<Artifact>,
    /// How many of them are new. The others were known, and are unchanged.
    pub registered: usize,
}

/// The response to a registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Registered {
    /// Of several.
    Many(RegisteredArtifacts),
    /// Of one.
    One(Box<Artifact>),
}

/// A request to register an artifact. One that is known is not changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// The workflow that it belongs to; by default that of `run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Arc<str>>,
    /// The directory or the prefix of a URL; at most 1024 bytes.
    pub location: Arc<str>,
    /// The name within the location; at most 1024 bytes.
    pub name: Arc<str>,
    /// Another name, for people; at most 64 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Arc<str>>,
    /// `initializing` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Arc<str>>,
    /// `many` by default.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub reuse: Option<ArtifactUse>,
    /// The run that registers it; required for `use` `run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunReference>,
    /// In bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The records in it.
    #[serde(default, deserialize_with = "some_object", skip_serializing_if = "Option::is_none")]
    pub records: Option<Records>,
    /// The least value in it, such as a date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Bound>))]
    pub low: Option<Value>,
    /// The greatest value in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Bound>))]
    pub high: Option<Value>,
    /// Such as `csv`; at most 64 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Arc<str>>,
    /// Such as `gzip`; at most 64 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Arc<str>>,
    /// The ids of the artifacts that have to be loaded before it; at most 64, known ones or others of the
    /// same request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Arc<str>>,
}

/// The body of a registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum RegisterRequests {
    /// One artifact.
    One(Box<RegisterRequest>),
    /// Up to 1000 artifacts: all or none are registered.
    Many(Vec<RegisterRequest>),
}

/// A request to change an artifact. What it does not name is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeRequest {
    /// The next status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Arc<str>>,
    /// The run that changes it, which is noted in `uses`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunReference>,
    /// Another name, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Arc<str>>,
    /// In bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Counts that replace those before.
    #[serde(default, deserialize_with = "some_object", skip_serializing_if = "Option::is_none")]
    pub records: Option<Records>,
    /// Replaces `low` if it is less. Numbers, also in texts, compare by value and are less than other texts;
    /// those compare by bytes, as dates in ISO 8601 sort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Bound>))]
    pub low: Option<Value>,
    /// Replaces `high` if it is greater.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Bound>))]
    pub high: Option<Value>,
    /// Such as `csv`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Arc<str>>,
    /// Such as `gzip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Arc<str>>,
    /// Replaces the ids of the artifacts that have to be loaded before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<Vec<Arc<str>>>,
}

/// A request to change the status of many artifacts: of all or none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StatusRequest {
    /// Artifacts that get `status`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<Arc<str>>,
    /// The next status of `ids`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Arc<str>>,
    /// Artifacts that each get a status of their own.
    #[serde(default, deserialize_with = "objects", skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<StatusChange>,
    /// The run that changes them, which is noted in `uses`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunReference>,
}

/// The next status of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StatusChange {
    /// The artifact.
    pub id: Arc<str>,
    /// Its next status.
    pub status: Arc<str>,
}

/// A request to find artifacts and change their status in one step. Two claimants never get the same one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ArtifactClaimRequest {
    /// A glob over workflow names; by default all of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Arc<str>>,
    /// A glob over locations; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Arc<str>>,
    /// A glob over names; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// The status that they have; `ready` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Arc<str>>,
    /// The status that they get; `loading` by default, and another one than `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Arc<str>>,
    /// The most artifacts to claim; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<usize>,
    /// The run that claims them, which is noted in `uses`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunReference>,
}

// A list of values would be taken for the members of an object, in their order.

fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    member(Map::deserialize(deserializer)?)
}

fn some_object<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::<Map<String, Value>>::deserialize(deserializer)?.map(member).transpose()
}

fn objects<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Vec::<Map<String, Value>>::deserialize(deserializer)?.into_iter().map(member).collect()
}

fn member<T: DeserializeOwned, E: Error>(members: Map<String, Value>) -> Result<T, E> {
    serde_json::from_value(Value::Object(members)).map_err(E::custom)
}
