//! What the warden says of a run that it opened.

use std::time::Duration;

use serde_json::Value;
use warden_api::item::ItemAnswer;
use warden_api::run::{variable, variable_value};

use super::super::open::Opened;
use super::super::spool::report::Report;
use crate::model::Timestamp;

/// A run that was opened.
pub struct Begun {
    pub variables: Vec<(String, String)>,
    /// The deadline, and how long it is from now.
    pub deadline: Option<(String, Duration)>,
}

impl Begun {
    pub fn of(opened: &Opened, answer: &ItemAnswer, report: &Report, now: Timestamp) -> Self {
        Self { variables: variables(opened, answer, report), deadline: left(answer, now) }
    }
}

/// The deadline of a run, and how long it is from its beginning.
fn left(answer: &ItemAnswer, now: Timestamp) -> Option<(String, Duration)> {
    let (deadline, since) = match answer {
        ItemAnswer::Item(item) => {
            (item.deadline, Timestamp::from(item.started_at.unwrap_or(item.created_at)))
        }
        // By the clock of this machine, as the daemon does not tell its own.
        ItemAnswer::Receipt(receipt) => (receipt.deadline?, now),
    };
    Some((deadline.to_string(), Timestamp::from(deadline).since(since)))
}

/// What `warden params --format env` prints.
fn variables(opened: &Opened, answer: &ItemAnswer, report: &Report) -> Vec<(String, String)> {
    let started_at = match answer {
        ItemAnswer::Item(item) => item.started_at.map(|at| at.to_string()),
        ItemAnswer::Receipt(_) => Some(report.started_at.to_string()),
    };
    let mut all = vec![
        (variable(&["RUN", "ID"]), opened.id.clone()),
        (variable(&["RUN", "NUMBER"]), opened.number.map(|number| number.to_string()).unwrap_or_default()),
        (variable(&["RUN", "STARTED_AT"]), started_at.unwrap_or_default()),
        (variable(&["RUN", "STATUS"]), "open".to_owned()),
    ];
    let members = |value: &Value| value.as_object().cloned().unwrap_or_default();
    for (name, value) in members(&opened.params["shared"]) {
        all.push((variable(&["SHARED", &name]), variable_value(&value)));
    }
    for (job, params) in members(&opened.params["jobs"]) {
        for (name, value) in members(&params) {
            all.push((variable(&["JOB", &job, &name]), variable_value(&value)));
        }
    }
    all
}
