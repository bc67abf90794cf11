//! Runs: the ledger of a workflow, windows, waiting, holds, and requests about them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::step::StepTerms;
use crate::time::WallTime;
use crate::word::{CloseOutcome, HeldFor, ReleaseAs, RunStatus, UnmetReason, Word};

/// Who ran what, from where to where. Names are the client's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Lineage {
    /// Such as `extract` or `load`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_type: Option<String>,
    /// Who or what started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// What it runs with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Where data comes from, such as `crm` or `crm.orders.id`; at most 128.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Where data goes; at most 128.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
}

impl Lineage {
    /// Reads it strictly, as requests are read.
    pub fn strict<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Strict {
            process_type: Option<String>,
            actor: Option<String>,
            tool: Option<String>,
            sources: Vec<String>,
            targets: Vec<String>,
        }

        let read = Option::<Strict>::deserialize(deserializer)?;
        Ok(read.map(|Strict { process_type, actor, tool, sources, targets }| Self {
            process_type,
            actor,
            tool,
            sources,
            targets,
        }))
    }
}

/// A request to open a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RunRequest {
    /// The id of its item; by default the server makes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The payload: a text as it is, any other JSON value as it is written here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub payload: Option<Box<RawValue>>,
    /// The payload in base64, instead of `payload`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_base64: Option<String>,
    /// The content type of the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// A duration from the beginning of the run, or an instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// Names and values to filter by.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Who runs what, from where to where.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "Lineage::strict")]
    pub lineage: Option<Lineage>,
    /// Its own steps; by default those of its workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepTerms>>,
    /// The initial progress document.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub progress: Map<String, Value>,
    /// It cannot be claimed before: a duration from now, or an instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// When it began, if it began before this request, for example while the warden was away: an instant.
    /// Such a run is let in whatever else is open, required or on hold. It has no parameters and no
    /// windows, and leaves the watermarks alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// With `to`: the window of a backfill, for every job. It leaves the watermarks alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The end of the window of a backfill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// A run as environment variables tell of it.
#[derive(Clone, Copy, Debug)]
pub struct RunEnvironment<'a> {
    /// The id of its item.
    pub id: &'a str,
    /// Its number, if that is known.
    pub number: Option<u64>,
    /// How far it has come.
    pub status: RunStatus,
    /// When it began, if it has.
    pub started_at: Option<WallTime>,
    /// As in its item: parameters that are `shared`, and those of its `jobs`. Null if there are none.
    pub params: &'a Value,
}

impl RunEnvironment<'_> {
    /// The variables by name: `WARDEN_RUN_ID`, `NUMBER`, `STATUS` and `STARTED_AT`, `WARDEN_SHARED_NAME`,
    /// `WARDEN_JOB_NAME_FROM`, `TO` and the other parameters of each job. What is unknown is empty. All or
    /// none: fails if two of them have the same name, or one cannot have its value.
    pub fn variables(&self) -> Result<BTreeMap<String, String>, VariableError> {
        let mut variables = BTreeMap::new();
        let mut set = |parts: &[&str], value: String| {
            let name = variable(parts);
            if value.contains('\0') {
                return Err(VariableError::ZeroByte(name));
            }
            match variables.insert(name.clone(), value) {
                None => Ok(()),
                Some(_) => Err(VariableError::Twice(name)),
            }
        };
        set(&["RUN", "ID"], self.id.to_owned())?;
        set(&["RUN", "NUMBER"], self.number.map(|number| number.to_string()).unwrap_or_default())?;
        set(&["RUN", "STATUS"], self.status.to_string())?;
        set(&["RUN", "STARTED_AT"], self.started_at.map(|at| at.to_string()).unwrap_or_default())?;
        for (name, value) in members(&self.params["shared"]) {
            set(&["SHARED", name], variable_value(value))?;
        }
        for (job, params) in members(&self.params["jobs"]) {
            for (name, value) in members(params) {
                set(&["JOB", job, name], variable_value(value))?;
            }
        }
        Ok(variables)
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Why parameters cannot be environment variables; with the name of the variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VariableError {
    /// Two parameters would be this variable.
    Twice(String),
    /// It would contain a zero byte.
    ZeroByte(String),
}

impl fmt::Display for VariableError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(name) => write!(formatter, "two parameters would be the variable {name}"),
            Self::ZeroByte(name) => {
                write!(formatter, "the variable {name} would contain a zero byte, which no variable can")
            }
        }
    }
}

impl std::error::Error for VariableError {}

/// The name of an environment variable for a parameter of a run: `WARDEN`, and these parts in capitals. No
/// parameter can be a variable that a shell or a loader goes by.
pub fn variable(parts: &[&str]) -> String {
    let mut name = "WARDEN".to_owned();
    for part in parts {
        name.push('_');
        name.extend(
            part.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }),
        );
    }
    name
}

/// The value of such a variable: a text as it is, nothing for null, and JSON for any other value.
pub fn variable_value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A request to end the open run of a workflow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct CloseRunRequest {
    /// How it ended; `success` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<CloseOutcome>,
    /// When it ended, if that is past.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Counts to set, such as records read and written.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = BTreeMap<String, i64>))]
    pub counts: BTreeMap<Arc<str>, i64>,
}

/// A request to fail the open run of a workflow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct FailRunRequest {
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RunErrorRequest>,
    /// When it ended, if that is past.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Counts to set, such as records read and written.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = BTreeMap<String, i64>))]
    pub counts: BTreeMap<Arc<str>, i64>,
}

/// The error that made a run fail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RunErrorRequest {
    /// A name chosen by the reporter; `run_failed` by default.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Further data.
    #[serde(skip_serializing_if = "Value::is_null")]
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub data: Value,
}

/// A run in the ledger of its workflow, which outlives its item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Run {
    /// 1 for the first run of the workflow, and so on.
    pub number: u64,
    /// The id of its item.
    pub id: String,
    /// How far it has come.
    #[cfg_attr(feature = "schema", schema(value_type = RunStatus))]
    pub status: Word<RunStatus>,
    /// Why it is held, if it is.
    #[cfg_attr(feature = "schema", schema(value_type = Option<HeldFor>))]
    pub held: Option<Word<HeldFor>>,
    /// When it was made.
    pub created_at: WallTime,
    /// When it began; null while it is held.
    pub started_at: Option<WallTime>,
    /// When it ended, as told if that was told.
    pub ended_at: Option<WallTime>,
    /// From its beginning to its end, in seconds.
    pub duration: Option<f64>,
    /// The windows of its jobs.
    pub windows: BTreeMap<String, Window>,
    /// Whether its request asked for a window, which left the watermarks alone.
    pub backfill: bool,
    /// Why it failed.
    pub error: Option<RunError>,
    /// Counts that were told, such as records read and written.
    pub counts: BTreeMap<Arc<str>, i64>,
    /// Who ran what, from where to where.
    pub lineage: Option<Lineage>,
}

/// A window of time: from `from`, inclusive, to `to`, exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Window {
    /// Null for everything before `to`.
    pub from: Option<WallTime>,
    /// The end.
    pub to: WallTime,
}

/// The error that made a run fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RunError {
    /// `err_` and a UUID; also in the log.
    pub id: Arc<str>,
    /// A name chosen by the reporter.
    #[serde(rename = "type")]
    pub kind: String,
    /// What went wrong.
    pub message: String,
}

/// What a workflow's runs have come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RunsStatus {
    /// The name of the workflow.
    pub workflow: String,
    /// The number of the latest run; 0 if there was none.
    pub last_number: u64,
    /// The open runs.
    pub open: u64,
    /// The runs that wait for their requirements.
    pub waiting: u64,
    /// The hold, if the workflow is on hold.
    pub hold: Option<Hold>,
    /// The runs that failed in a row.
    pub failures: usize,
    /// After so many failed runs in a row the workflow is on hold.
    pub hold_after: Option<u32>,
    /// When the latest successful run ended.
    pub last_success_at: Option<WallTime>,
    /// Where the next window of each job begins, before `reprocess` and `truncate`.
    pub watermarks: BTreeMap<String, WallTime>,
    /// The counts of all runs together.
    pub totals: BTreeMap<Arc<str>, i64>,
}

/// Why new runs of a workflow are held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Hold {
    /// Since when; null if the runs that failed in a row have held no run yet.
    pub since: Option<WallTime>,
    /// Who ordered it; null if too many runs failed in a row.
    pub by: Option<Arc<str>>,
    /// Why.
    pub comment: Option<Arc<str>>,
    /// The number of the run that is held.
    pub run: Option<u64>,
}

/// A request to put a workflow on hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct HoldWorkflowRequest {
    /// Who orders it; by default the name of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<Arc<str>>,
}

/// A request to end a hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ReleaseWorkflowRequest {
    /// What becomes of the held run; `open` by default.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub release_as: Option<ReleaseAs>,
}

/// What successful runs cover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Windows {
    /// By job.
    pub jobs: BTreeMap<String, Coverage>,
}

/// What the successful runs of a job cover.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Coverage {
    /// Adjacent and overlapping windows are joined.
    pub covered: Vec<Window>,
    /// What lies between them.
    pub gaps: Vec<Window>,
}

/// The workflows that a request waited for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Waited {
    /// The run that each workflow succeeded with.
    pub runs: Vec<WaitedRun>,
}

/// A run that satisfied a request that waited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct WaitedRun {
    /// The name of the workflow.
    pub workflow: String,
    /// The number of the run.
    pub number: u64,
    /// When it ended.
    pub ended_at: WallTime,
}

/// A required workflow whose latest run does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UnmetRequirement {
    /// The name of the workflow.
    pub workflow: String,
    /// Why its latest run does not count.
    #[cfg_attr(feature = "schema", schema(value_type = UnmetReason))]
    pub reason: Word<UnmetReason>,
    /// The number of that run.
    pub run: Option<u64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_is_told_in_variables_whole_or_not_at_all() {
        let variables = |params: Value| {
            let (number, status) = (Some(7), RunStatus::Open);
            RunEnvironment { id: "a", number, status, started_at: None, params: &params }.variables()
        };
        let jobs = json!({"b.c": {"from": null, "to": "2026-01-01T00:00:00.000Z"}});
        let told = variables(json!({"shared": {"env": "prod", "list": [1, 2]}, "jobs": jobs})).unwrap();
        let told: Vec<String> = told.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = [
            "WARDEN_JOB_B_C_FROM=",
            "WARDEN_JOB_B_C_TO=2026-01-01T00:00:00.000Z",
            "WARDEN_RUN_ID=a",
            "WARDEN_RUN_NUMBER=7",
            "WARDEN_RUN_STARTED_AT=",
            "WARDEN_RUN_STATUS=open",
            "WARDEN_SHARED_ENV=prod",
            "WARDEN_SHARED_LIST=[1,2]",
        ];
        assert_eq!(told, expected);
        assert_eq!(variables(Value::Null).unwrap().len(), 4);
        let twice = variables(json!({"shared": {"a-b": 1, "a_b": 2}}));
        assert_eq!(twice, Err(VariableError::Twice("WARDEN_SHARED_A_B".to_owned())));
        let zero_byte = variables(json!({"shared": {"note": "\0"}}));
        assert_eq!(zero_byte, Err(VariableError::ZeroByte("WARDEN_SHARED_NOTE".to_owned())));
    }
}
