//! The parameters of a run in the formats of those who read them: JSON, YAML, a shell, Informatica.
//!
//! Every format has all parameters, sorted by name. What cannot be written in a format without changing its
//! meaning, such as a line break in a parameter file, is refused.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use warden_api::run::{RunEnvironment, variable_value};
use warden_api::word::{DateStyle, ParamsFormat, RunStatus, Truncate};

use super::problem::Problem;
use super::view;
use crate::model::run::{JobParams, RunParams};
use crate::model::{Moment, RunEntry, Timestamp, quote};

/// The content type and the text.
pub fn rendered(
    entry: &RunEntry,
    format: ParamsFormat,
    dates: DateStyle,
    moment: Moment,
) -> Result<(&'static str, String), Problem> {
    Ok(match format {
        ParamsFormat::Json => ("application/json", document(entry, moment).to_string()),
        ParamsFormat::Yaml => {
            let text = serde_saphyr::to_string(&document(entry, moment)).map_err(|error| {
                Problem::invalid(format!("the parameters cannot be written as YAML: {error}"))
            })?;
            ("application/yaml", text)
        }
        ParamsFormat::Env => ("text/plain; charset=utf-8", environment(entry, moment)?),
        ParamsFormat::Infa => ("text/plain; charset=utf-8", informatica(entry, dates, moment)?),
    })
}

fn document(entry: &RunEntry, moment: Moment) -> Value {
    let params = view::params(&entry.params.clone().unwrap_or_default());
    let started_at = entry.started_at.map(|at| view::told(at, moment));
    json!({
        "run": entry.item,
        "number": entry.number,
        "status": entry.status,
        "started_at": started_at,
        "shared": params["shared"],
        "jobs": params["jobs"],
    })
}

/// Assignments that `eval` of any POSIX shell reads.
fn environment(entry: &RunEntry, moment: Moment) -> Result<String, Problem> {
    let params = view::params(&entry.params.clone().unwrap_or_default());
    let run = RunEnvironment {
        id: &entry.item,
        number: Some(entry.number),
        status: entry.status,
        started_at: entry.started_at.map(|at| view::told(at, moment)),
        params: &params,
    };
    let variables = run
        .variables()
        .map_err(|error| Problem::invalid(format!("{error}; change the parameters, or use format=json")))?;
    let mut text = String::new();
    for (name, value) in variables {
        let _ = writeln!(text, "{name}='{}'", value.replace('\'', "'\\''"));
    }
    Ok(text)
}

/// A parameter file of Informatica PowerCenter, with the names that Batchy gives: a section of shared
/// parameters, and one for each job.
fn informatica(entry: &RunEntry, dates: DateStyle, moment: Moment) -> Result<String, Problem> {
    let RunParams { shared, jobs } = entry.params.clone().unwrap_or_default();
    let mut text = String::new();
    if !shared.is_empty() {
        section(&mut text, "Global", pythonic(shared))?;
    }
    let date = |at: Option<Timestamp>| at.map_or_else(|| "None".to_owned(), |at| date(at, dates));
    let steady = |at: Option<Timestamp>| date(at.map(|at| moment.wall(at)));
    // As Batchy tells it: a run that is held is not open, and one given up has failed.
    let status = match entry.status {
        RunStatus::Open | RunStatus::Held => "open",
        RunStatus::Success => "success",
        RunStatus::Failed | RunStatus::Discarded => "failed",
    };
    for (job, params) in jobs {
        let JobParams { window, params, reprocess, truncate, section: named } = params;
        let mut fields: BTreeMap<String, String> = pythonic(params);
        let own = [
            ("batch_end", steady(entry.ended_at)),
            ("batch_id", entry.item.to_string()),
            ("batch_start", steady(entry.started_at)),
            ("from_date", date(window.from)),
            ("status", status.to_owned()),
            ("to_date", date(Some(window.to))),
        ];
        fields.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value)));
        if !reprocess.is_zero() {
            fields.insert("reprocess_hours".to_owned(), (reprocess.as_secs_f64() / 3600.0).to_string());
        }
        if truncate == Some(Truncate::Day) {
            fields.insert("trunc_start".to_owned(), "True".to_owned());
        }
        section(&mut text, named.as_deref().unwrap_or(&job), fields)?;
    }
    Ok(text)
}

fn section(text: &mut String, name: &str, fields: BTreeMap<String, String>) -> Result<(), Problem> {
    let _ = writeln!(text, "\n[{name}]");
    for (key, value) in fields {
        // PowerCenter takes the rest of the line as the value, and knows no quotes.
        if value.contains(['\n', '\r']) {
            return Err(Problem::invalid(format!(
                "the parameter {} of {} has a line break, which a parameter file cannot hold",
                quote(&key),
                quote(name)
            )));
        }
        let _ = writeln!(text, "$${key}={value}");
    }
    Ok(())
}

/// As Python writes them.
fn pythonic(params: Map<String, Value>) -> BTreeMap<String, String> {
    let value = |value: Value| match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        other => variable_value(&other),
    };
    params.into_iter().map(|(name, found)| (name, value(found))).collect()
}

fn date(at: Timestamp, dates: DateStyle) -> String {
    let Some(instant) = DateTime::<Utc>::from_timestamp_millis(at.as_millis()) else { return at.to_string() };
    let format = match dates {
        DateStyle::Iso if at.as_millis() % 1000 == 0 => "%Y-%m-%d %H:%M:%S",
        DateStyle::Iso => "%Y-%m-%d %H:%M:%S%.6f",
        DateStyle::PowerCenter => "%m/%d/%Y %H:%M:%S",
    };
    instant.format(format).to_string()
}
