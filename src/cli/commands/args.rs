//! Arguments that several commands take.

use std::collections::BTreeMap;

use clap::Args;
use clap::builder::PossibleValuesParser;
use warden_api::item::ItemFilter;
use warden_api::word::ItemState;

use super::error::CliError;
use crate::cli::daemon::client::Query;
use crate::model::{ItemId, NameError, WorkflowName};

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

/// Parses a label, `name:value`.
pub fn label(text: &str) -> Result<(String, String), String> {
    let label = text.split_once(':').map(|(name, value)| (name.to_owned(), value.to_owned()));
    label.ok_or_else(|| "a label is written name:value".to_owned())
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

/// Selects items. The daemon validates the values.
#[derive(Args)]
#[command(next_help_heading = "Which items")]
pub struct Filter {
    /// Only items of workflows whose name matches; repeatable
    #[arg(long = "workflow", value_name = "GLOB")]
    workflows: Vec<String>,
    /// Only items in this state; repeatable
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(ItemState::WORDS))]
    states: Vec<String>,
    /// Only items with this label; repeatable, items must have all of them
    #[arg(long = "label", value_name = "NAME:VALUE")]
    labels: Vec<String>,
    /// Only items at this step
    #[arg(long)]
    step: Option<String>,
    /// Only items created before this time, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    created_before: Option<String>,
    /// Only items created at this time or later
    #[arg(long, value_name = "TIME")]
    created_after: Option<String>,
    /// Only items due before this time
    #[arg(long, value_name = "TIME")]
    deadline_before: Option<String>,
    /// Only items due at this time or later
    #[arg(long, value_name = "TIME")]
    deadline_after: Option<String>,
}

impl Filter {
    pub fn names_states(&self) -> bool {
        !self.states.is_empty()
    }

    /// The filter as parameters of a query.
    pub fn query(&self) -> Query {
        let several = [("workflow", &self.workflows), ("state", &self.states), ("label", &self.labels)];
        let single = [
            ("step", &self.step),
            ("created_before", &self.created_before),
            ("created_after", &self.created_after),
            ("deadline_before", &self.deadline_before),
            ("deadline_after", &self.deadline_after),
        ];
        let several =
            several.into_iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        let single = single.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        several.chain(single).map(|(name, value)| (name, value.clone())).collect()
    }

    /// The filter as a document. Fails if a label has no colon or occurs twice.
    pub fn document(&self) -> Result<ItemFilter, CliError> {
        let mut labels = BTreeMap::new();
        for text in &self.labels {
            let (name, value) = label(text).map_err(CliError::Usage)?;
            if labels.insert(name, value).is_some() {
                return Err(CliError::Usage(format!("the label of {text} is given twice")));
            }
        }
        Ok(ItemFilter {
            workflows: self.workflows.clone(),
            states: self.states.iter().filter_map(|state| state.parse().ok()).collect(),
            labels,
            step: self.step.clone(),
            created_before: self.created_before.clone(),
            created_after: self.created_after.clone(),
            deadline_before: self.deadline_before.clone(),
            deadline_after: self.deadline_after.clone(),
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
        --created-before 1 --created-after 2 --deadline-before 3 --deadline-after 4";
        let query = Line::parse_from(flags.split_whitespace()).filter.query();
        let text: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = "workflow=a workflow=b* state=overdue state=failed label=k:v step=s created_before=1 \
                        created_after=2 deadline_before=3 deadline_after=4";
        assert_eq!(text.join(" "), expected);
        let document = Line::parse_from(flags.split_whitespace()).filter.document().unwrap();
        let expected = serde_json::json!({
            "workflows": ["a", "b*"], "states": ["overdue", "failed"], "labels": {"k": "v"}, "step": "s",
            "created_before": "1", "created_after": "2", "deadline_before": "3", "deadline_after": "4",
        });
        assert_eq!(serde_json::to_value(document).unwrap(), expected);
        assert!(Line::parse_from(["x"]).filter.document().unwrap() == ItemFilter::default());
    }

    #[test]
    fn a_label_that_cannot_be_asked_for_is_refused() {
        for flags in ["x --label k", "x --label k:v --label k:w"] {
            let filter = Line::parse_from(flags.split_whitespace()).filter;
            assert!(matches!(filter.document(), Err(CliError::Usage(_))), "{flags}");
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
