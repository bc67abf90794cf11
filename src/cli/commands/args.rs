//! Arguments that several commands take.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use warden_api::WallTime;
use warden_api::item::ItemFilter;
use warden_api::name::{NAME_RULE, check_labels, is_name};
use warden_api::word::ItemState;
use warden_client::Query;

use super::error::CliError;
use crate::config::ConfigFile;
use crate::model::{DurationError, ItemId, NameError, StepName, Timestamp, WorkflowName, parse_duration};

/// One item.
#[derive(Args)]
pub struct ItemKey {
    /// The workflow of the item
    #[arg(value_parser = workflow)]
    pub workflow: WorkflowName,
    /// The id of the item within its workflow
    #[arg(value_parser = item_id)]
    pub id: ItemId,
}

/// Parses the name of a workflow.
pub fn workflow(text: &str) -> Result<WorkflowName, NameError> {
    WorkflowName::new(text)
}

/// Parses the id of an item.
pub fn item_id(text: &str) -> Result<ItemId, NameError> {
    ItemId::new(text)
}

/// Parses an id that the daemon generated, such as that of an incident. It needs no encoding in a path.
pub fn generated_id(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
        return Ok(text.to_owned());
    }
    Err("an id consists of letters, digits, _ and -, as in lists".to_owned())
}

/// Parses a duration.
pub fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| match error {
        DurationError::Form(..) => {
            "a duration is a number with a unit, or several, such as 90s, 15m, 2h or 1h 30m".to_owned()
        }
        error => error.to_string(),
    })
}

/// Parses an instant.
pub fn instant(text: &str) -> Result<Timestamp, &'static str> {
    Timestamp::parse(text)
        .map_err(|_| "an instant is written like 2026-01-31T12:00:00Z, or with +01:00 for Z")
}

/// Checks a deadline, which the daemon reads itself.
pub fn deadline(text: &str) -> Result<String, String> {
    match (parse_duration(text), instant(text)) {
        (Err(DurationError::Form(..)), Err(_)) => Err("a deadline is a duration such as 15m or 1h 30m, or \
            an instant such as 2026-01-31T12:00:00Z"
            .to_owned()),
        (Err(error), Err(_)) => Err(error.to_string()),
        _ => Ok(text.to_owned()),
    }
}

/// Checks a glob of workflows: with other characters it would match nothing.
pub fn glob(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-*?".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err("no workflow can match: names consist of A-Z a-z 0-9 . _ -, and * and ? stand for others")
}

/// Parses the name of a step.
pub fn step(text: &str) -> Result<StepName, NameError> {
    StepName::new(text)
}

/// Checks a name that has no type of its own.
pub fn name(text: &str) -> Result<String, String> {
    if is_name(text) { Ok(text.to_owned()) } else { Err(NAME_RULE.replacen("it", "a name", 1)) }
}

/// Parses a label, `name:value`.
pub fn label(text: &str) -> Result<(String, String), String> {
    let label = text.split_once(':').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let (name, value) = label.ok_or_else(|| "a label is written name:value".to_owned())?;
    check_labels(&BTreeMap::from([(name.clone(), value.clone())])).map_err(|error| error.to_string())?;
    Ok((name, value))
}

/// Labels by name. Fails if one is given twice.
pub fn labels(labels: &[(String, String)]) -> Result<BTreeMap<String, String>, CliError> {
    let mut named = BTreeMap::new();
    for (name, value) in labels {
        if named.insert(name.clone(), value.clone()).is_some() {
            return Err(CliError::Usage(format!("the label {name} is given twice")));
        }
    }
    Ok(named)
}

/// Parses a whole number.
pub fn whole_number(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "give a whole number, such as 20")
}

/// Parses a whole number that is not zero.
pub fn at_least_one(text: &str) -> Result<u64, &'static str> {
    whole_number(text).ok().filter(|number| *number > 0).ok_or("give a whole number from 1")
}

/// Reads a configuration file, whose path is its name in messages.
pub fn read_config(path: &Path) -> Result<ConfigFile, CliError> {
    let bytes =
        std::fs::read(path).map_err(|error| CliError::File { verb: "read", path: path.to_owned(), error })?;
    Ok(ConfigFile::from_bytes(path.display().to_string(), bytes)?)
}

/// The person who acts on an incident or creates a silence.
#[derive(Args)]
pub struct Person {
    /// Your name [default: the token's name]
    #[arg(long, visible_alias = "author", value_name = "NAME", env = "USER")]
    by: Option<String>,
}

impl Person {
    /// `None` leaves it to the daemon, which knows the token's name. An empty variable counts as unset.
    pub fn name(self) -> Option<String> {
        self.by.filter(|name| !name.is_empty())
    }
}

/// Selects items.
#[derive(Args)]
#[command(next_help_heading = "Which items")]
pub struct Filter {
    /// Only items of workflows whose name matches; repeatable
    #[arg(long = "workflow", value_name = "GLOB", value_parser = glob)]
    workflows: Vec<String>,
    /// Only items in this state; repeatable
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(ItemState::WORDS))]
    states: Vec<String>,
    /// Only items with this label; repeatable, items must have all of them
    #[arg(long = "label", value_name = "NAME:VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Only items at this step
    #[arg(long, value_parser = step)]
    step: Option<StepName>,
    /// Only items with at least so many retries at their step
    #[arg(long, value_name = "N")]
    step_retries_min: Option<u32>,
    /// Only items created before this time, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    created_before: Option<Timestamp>,
    /// Only items created at this time or later
    #[arg(long, value_name = "TIME", value_parser = instant)]
    created_after: Option<Timestamp>,
    /// Only items due before this time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    deadline_before: Option<Timestamp>,
    /// Only items due at this time or later
    #[arg(long, value_name = "TIME", value_parser = instant)]
    deadline_after: Option<Timestamp>,
}

impl Filter {
    pub fn names_states(&self) -> bool {
        !self.states.is_empty()
    }

    /// The filter as parameters of a query. Fails if a label is given twice, as [`Filter::document`] does.
    pub fn query(&self) -> Result<Query, CliError> {
        let document = self.document()?;
        let labels = document.labels.iter().map(|(name, value)| format!("{name}:{value}"));
        let workflows = document.workflows.into_iter().map(|glob| ("workflow", glob));
        let states = self.states.iter().map(|state| ("state", state.clone()));
        let single = [
            ("step", document.step),
            ("step_retries_min", document.step_retries_min.map(|least| least.to_string())),
            ("created_before", document.created_before),
            ("created_after", document.created_after),
            ("deadline_before", document.deadline_before),
            ("deadline_after", document.deadline_after),
        ];
        let single = single.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Ok(workflows.chain(states).chain(labels.map(|label| ("label", label))).chain(single).collect())
    }

    /// The filter as a document. Fails if a label is given twice.
    pub fn document(&self) -> Result<ItemFilter, CliError> {
        let instant = |instant: Option<Timestamp>| instant.map(|instant| WallTime::read(instant).to_string());
        Ok(ItemFilter {
            workflows: self.workflows.clone(),
            states: self.states.iter().filter_map(|state| state.parse().ok()).collect(),
            labels: labels(&self.labels)?,
            step: self.step.as_ref().map(ToString::to_string),
            step_retries_min: self.step_retries_min,
            created_before: instant(self.created_before),
            created_after: instant(self.created_after),
            deadline_before: instant(self.deadline_before),
            deadline_after: instant(self.deadline_after),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        filter: Filter,
    }

    #[test]
    fn every_flag_is_handed_on() {
        let flags = "x --workflow a --workflow b* --state overdue,failed --label k:v --step s \
        --step-retries-min 3 \
        --created-before 2026-01-01T00:00:00Z --created-after 2026-01-02T01:00:00+01:00 \
        --deadline-before 2026-01-03T00:00:00Z --deadline-after 2026-01-04T00:00:00Z";
        let filter = || Line::parse_from(flags.split_whitespace()).filter;
        let query = filter().query().unwrap();
        let text: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = "workflow=a workflow=b* state=overdue state=failed label=k:v step=s \
                        step_retries_min=3 \
                        created_before=2026-01-01T00:00:00.000Z created_after=2026-01-02T00:00:00.000Z \
                        deadline_before=2026-01-03T00:00:00.000Z deadline_after=2026-01-04T00:00:00.000Z";
        assert_eq!(text.join(" "), expected);
        let expected = serde_json::json!({
            "workflows": ["a", "b*"], "states": ["overdue", "failed"], "labels": {"k": "v"}, "step": "s",
            "step_retries_min": 3,
            "created_before": "2026-01-01T00:00:00.000Z", "created_after": "2026-01-02T00:00:00.000Z",
            "deadline_before": "2026-01-03T00:00:00.000Z", "deadline_after": "2026-01-04T00:00:00.000Z",
        });
        assert_eq!(serde_json::to_value(filter().document().unwrap()).unwrap(), expected);
        assert!(Line::parse_from(["x"]).filter.document().unwrap() == ItemFilter::default());
    }

    #[test]
    fn what_no_item_can_match_is_refused_at_once() {
        for flags in [
            "x --label k",
            "x --label k=v",
            "x --label ä:v",
            "x --workflow a/b",
            "x --workflow=",
            "x --step a/b",
            "x --created-before yesterday",
            "x --deadline-after 2026-01-31",
        ] {
            assert!(Line::try_parse_from(flags.split_whitespace()).is_err(), "{flags}");
        }
        let twice = Line::parse_from("x --label k:v --label k:w".split_whitespace()).filter;
        for error in [twice.document().err().unwrap(), twice.query().unwrap_err()] {
            assert_eq!(error.to_string(), "the label k is given twice");
        }
    }

    #[test]
    fn a_deadline_is_a_duration_or_an_instant() {
        for good in ["15m", "1h 30m", "2026-01-31T12:00:00Z"] {
            assert_eq!(deadline(good).unwrap(), good);
        }
        for bad in ["soon", "15", "", "2026-01-31", "11years"] {
            assert!(deadline(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_label_is_split_at_its_first_colon() {
        for (text, name, value) in
            [("region:eu", "region", "eu"), ("region:", "region", ""), ("time:12:30", "time", "12:30")]
        {
            assert_eq!(label(text).unwrap(), (name.to_owned(), value.to_owned()));
        }
        assert!(label("region").is_err());
    }

    #[test]
    fn a_generated_id_cannot_name_another_path() {
        assert!(generated_id("inc_0198c1d2").is_ok());
        for text in ["", ".", "..", "inc_1/ack", "inc_1?x", "inc_1#", "inc 1", "%2e%2e", "ä"] {
            assert!(generated_id(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_state_that_does_not_exist_is_refused_at_once() {
        assert!(Line::try_parse_from(["x", "--state", "late"]).is_err());
    }
}
