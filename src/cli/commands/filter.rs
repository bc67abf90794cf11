//! The flags that choose items, for lists and exports.

use std::collections::BTreeMap;

use clap::Args;
use clap::builder::PossibleValuesParser;
use warden_api::item::ItemFilter;
use warden_api::word::ItemState;

use super::error::CliError;
use super::label;
use crate::cli::daemon::client::Query;

/// Which items. What the values mean is the daemon's business: they are handed on as they are.
#[derive(Args)]
#[command(next_help_heading = "Which items")]
pub struct Filter {
    /// Of workflows whose name matches; repeatable
    #[arg(long = "workflow", value_name = "GLOB")]
    workflows: Vec<String>,
    /// In this state; repeatable
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(ItemState::WORDS))]
    states: Vec<String>,
    /// With this label; repeatable, and then with all of them
    #[arg(long = "label", value_name = "NAME:VALUE")]
    labels: Vec<String>,
    /// At this step
    #[arg(long)]
    step: Option<String>,
    /// Created before this instant, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    created_before: Option<String>,
    /// Created at this instant or later
    #[arg(long, value_name = "TIME")]
    created_after: Option<String>,
    /// Due before this instant
    #[arg(long, value_name = "TIME")]
    deadline_before: Option<String>,
    /// Due at this instant or later
    #[arg(long, value_name = "TIME")]
    deadline_after: Option<String>,
}

impl Filter {
    /// Whether they say in which states.
    pub fn names_states(&self) -> bool {
        !self.states.is_empty()
    }

    /// The parameters that say the same to the daemon.
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

    /// The document that says the same where the daemon takes one. What nobody asked for is left out.
    ///
    /// # Errors
    /// When a label has no colon, or stands twice.
    pub fn document(&self) -> Result<ItemFilter, CliError> {
        let mut labels = BTreeMap::new();
        for text in &self.labels {
            let (name, value) = label::read(text).map_err(CliError::Usage)?;
            if labels.insert(name, value).is_some() {
                return Err(CliError::Usage(format!("the label of {text} stands twice")));
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
        let flags = "x --workflow a --workflow b* --state overdue,failed --label k:v --step s --created-before 1 \
                     --created-after 2 --deadline-before 3 --deadline-after 4";
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
    fn a_state_that_does_not_exist_is_refused_at_once() {
        assert!(Line::try_parse_from(["x", "--state", "late"]).is_err());
    }
}
