//! The settings of a workflow's runs: `params`, `jobs`, `single`, `requires`, `hold_after`, `runs_retention`,
//! `runs_max`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::checks::Checks;
use super::duration;
use super::path::SettingPath;
use crate::model::run::window::WindowPolicy;
use crate::model::run::{
    HOLD_AFTER_MAX, JOBS_MAX, JobPolicy, PARAMS_SIZE_MAX, REQUIRES_MAX, Requirement, Single, Truncate, Unmet,
};
use crate::model::{JobName, RunPolicy, Timestamp, WorkflowName, Zone};

/// The longest name of a parameter, and of a section.
const PARAM_NAME_MAX: usize = 128;

/// `[workflows.NAME.jobs.NAME]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WrittenJob {
    #[serde(deserialize_with = "duration::optional")]
    reprocess: Option<Duration>,
    truncate: Option<Truncate>,
    timezone: Option<String>,
    initial_from: Option<String>,
    section: Option<Arc<str>>,
    params: Map<String, Value>,
}

/// An entry of `requires` as written: the name of a workflow, or a table.
#[derive(Debug)]
pub struct WrittenRequirement {
    workflow: String,
    within: Option<Duration>,
    otherwise: Unmet,
}

/// The settings of runs as written.
#[derive(Debug, Default)]
pub struct WrittenRuns {
    pub params: Option<Map<String, Value>>,
    pub jobs: Option<BTreeMap<String, WrittenJob>>,
    pub single: Option<Single>,
    pub requires: Option<Vec<WrittenRequirement>>,
    pub hold_after: Option<u32>,
    pub runs_retention: Option<Duration>,
    pub runs_max: Option<u64>,
}

impl WrittenRuns {
    /// Checks the settings of the workflow whose table is at `table`, and fills in the rest from `base`.
    pub(super) fn resolve(
        self,
        checks: &mut Checks<'_>,
        table: &SettingPath,
        name: &str,
        base: &RunPolicy,
    ) -> RunPolicy {
        let applies_to_items = self.params.is_some()
            || self.jobs.is_some()
            || self.single.is_some()
            || self.requires.is_some()
            || self.hold_after.is_some();
        if let Some(after) = self.hold_after {
            checks.within(&table.key("hold_after"), after, 1..=HOLD_AFTER_MAX, |after| after);
        }
        if let Some(retention) = self.runs_retention {
            checks.more_than_zero(&table.key("runs_retention"), retention);
        }
        let params = self.params.unwrap_or_default();
        check_params(checks, &table.key("params"), &params);
        let at_jobs = table.key("jobs");
        let written = self.jobs.unwrap_or_default();
        if written.len() > JOBS_MAX {
            checks.problem(&at_jobs, format!("has {} jobs, but must have at most {JOBS_MAX}", written.len()));
        }
        let mut jobs = BTreeMap::new();
        for (job, written) in written {
            let path = at_jobs.key(&job);
            let policy = written.resolve(checks, &path);
            match JobName::new(job) {
                Ok(job) => drop(jobs.insert(job, policy)),
                Err(error) => checks.problem(&path, error.to_string()),
            }
        }
        check_size(checks, table, &params, &jobs);
        let requires =
            resolve_requires(checks, &table.key("requires"), name, self.requires.unwrap_or_default());
        RunPolicy {
            applies_to_items,
            single: self.single.unwrap_or(base.single),
            requires,
            hold_after: self.hold_after,
            params,
            jobs,
            retention: self.runs_retention.unwrap_or(base.retention),
            retention_max: self.runs_max.unwrap_or(base.retention_max),
        }
    }
}

impl WrittenJob {
    fn resolve(self, checks: &mut Checks<'_>, path: &SettingPath) -> JobPolicy {
        let Self { reprocess, truncate, timezone, initial_from, section, params } = self;
        if timezone.is_some() && truncate.is_none() {
            checks.problem(&path.key("timezone"), "has an effect only together with `truncate`");
        }
        let utc = || "UTC".parse::<Zone>().expect("UTC is a time zone");
        let zone = timezone.map(|name| name.parse::<Zone>().map_err(|_| name));
        let zone = match zone {
            Some(Ok(zone)) => zone,
            Some(Err(name)) => {
                let message = format!("{name:?} is no time zone of the IANA database, such as Europe/Berlin");
                checks.problem(&path.key("timezone"), message);
                utc()
            }
            None => utc(),
        };
        let initial_from = initial_from.and_then(|text| match Timestamp::parse(&text) {
            Ok(instant) => Some(instant),
            Err(error) => {
                let message =
                    format!("{text:?} is no instant such as 2016-01-01T23:59:00Z (RFC 3339): {error}");
                checks.problem(&path.key("initial_from"), message);
                None
            }
        });
        if let Some(section) = &section
            && (section.is_empty()
                || section.len() > 2 * PARAM_NAME_MAX
                || section.chars().any(|c| c.is_control() || matches!(c, '[' | ']')))
        {
            let most = 2 * PARAM_NAME_MAX;
            let message = format!("must be 1 to {most} bytes without control characters and brackets");
            checks.problem(&path.key("section"), message);
        }
        let at_params = path.key("params");
        check_params(checks, &at_params, &params);
        for reserved in ["from", "to"] {
            if params.contains_key(reserved) {
                let message = "is computed for each run, so that no parameter can have this name";
                checks.problem(&at_params.key(reserved), message);
            }
        }
        let window = WindowPolicy { reprocess: reprocess.unwrap_or_default(), truncate, zone, initial_from };
        JobPolicy { window, params, section }
    }
}

fn check_params(checks: &mut Checks<'_>, path: &SettingPath, params: &Map<String, Value>) {
    for (name, value) in params {
        if has_null(value) {
            let message = "has a number that JSON cannot express: inf or nan";
            checks.problem(&path.key(name), message);
        }
        if name.is_empty() || name.len() > PARAM_NAME_MAX || name.chars().any(|c| c.is_control() || c == '=')
        {
            let message =
                format!("a parameter's name is 1 to {PARAM_NAME_MAX} bytes without = and control characters");
            checks.problem(&path.key(name), message);
        }
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(elements) => elements.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn check_size(
    checks: &mut Checks<'_>,
    table: &SettingPath,
    params: &Map<String, Value>,
    jobs: &BTreeMap<JobName, JobPolicy>,
) {
    let all = jobs.values().map(|job| &job.params).chain([params]);
    let size: usize = all.map(|params| serde_json::to_vec(params).map_or(0, |json| json.len())).sum();
    if size > PARAMS_SIZE_MAX {
        let message = format!("the parameters take {size} bytes of JSON, but at most {PARAMS_SIZE_MAX}");
        checks.problem(&table.key("params"), message);
    }
}

fn resolve_requires(
    checks: &mut Checks<'_>,
    path: &SettingPath,
    name: &str,
    written: Vec<WrittenRequirement>,
) -> Vec<Requirement> {
    if written.len() > REQUIRES_MAX {
        checks.problem(path, format!("names {} workflows, but at most {REQUIRES_MAX}", written.len()));
    }
    let mut requires: Vec<Requirement> = Vec::with_capacity(written.len());
    for (index, WrittenRequirement { workflow, within, otherwise }) in written.into_iter().enumerate() {
        let path = path.index(index);
        if let Some(within) = within {
            checks.more_than_zero(&path.key("within"), within);
        }
        match WorkflowName::new(workflow) {
            Err(error) => checks.problem(&path, error.to_string()),
            Ok(workflow) if &*workflow == name => {
                checks.problem(&path, "a workflow cannot require itself; see `single` for one run at a time");
            }
            Ok(workflow) if requires.iter().any(|earlier| earlier.workflow == workflow) => {
                checks.problem(&path, format!("names the workflow {workflow} a second time"));
            }
            Ok(workflow) => requires.push(Requirement { workflow, within, otherwise }),
        }
    }
    requires
}

/// Workflows that require each other in a circle could never run again once one of them has failed.
pub(super) fn check_circles<'a>(
    checks: &mut Checks<'_>,
    policies: impl IntoIterator<Item = (&'a WorkflowName, &'a RunPolicy)>,
) {
    let requires: BTreeMap<&WorkflowName, Vec<&WorkflowName>> = policies
        .into_iter()
        .map(|(name, policy)| (name, policy.requires.iter().map(|required| &required.workflow).collect()))
        .collect();
    for name in requires.keys() {
        let mut seen = std::collections::BTreeSet::new();
        let mut next: Vec<&WorkflowName> = requires[name].clone();
        while let Some(required) = next.pop() {
            if required == *name {
                let path = SettingPath::dotted("workflows").key(name).key("requires");
                checks.problem(&path, "leads back to this workflow; no workflow can require itself");
                break;
            }
            if seen.insert(required) {
                next.extend(requires.get(required).into_iter().flatten());
            }
        }
    }
}

impl<'de> Deserialize<'de> for WrittenRequirement {
    /// Implemented by hand, because the error of an untagged enumeration says only that nothing matched.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            workflow: String,
            #[serde(default, deserialize_with = "duration::optional")]
            within: Option<Duration>,
            #[serde(default, rename = "else")]
            otherwise: Unmet,
        }

        struct Requirement;

        impl<'de> Visitor<'de> for Requirement {
            type Value = WrittenRequirement;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(
                    r#"the name of a workflow, or a table such as { workflow = "load", within = "12h" }"#,
                )
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<WrittenRequirement, E> {
                let workflow = name.to_owned();
                Ok(WrittenRequirement { workflow, within: None, otherwise: Unmet::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WrittenRequirement, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                let Table { workflow, within, otherwise } = table;
                Ok(WrittenRequirement { workflow, within, otherwise })
            }
        }

        deserializer.deserialize_any(Requirement)
    }
}
