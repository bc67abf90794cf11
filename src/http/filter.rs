//! Which items a document means: what claims and replays have in common.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wildmatch::WildMatch;

use super::Server;
use super::access::Access;
use super::problem::Problem;
use super::request;
use crate::model::item::check_labels;
use crate::model::replay::ReplayFilter;
use crate::model::{ItemFilter, ItemState, Timestamp};

/// Which items are meant, in a document. Every criterion that is given must hold.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct FilterDocument {
    /// Globs of workflow names, any of which may match; all of them if none is given.
    workflows: Vec<String>,
    /// `open`, `overdue` or `failed`, any of which may hold. If none is given a claim takes those that are overdue, a replay
    /// those that have failed as well.
    #[schema(value_type = Vec<String>)]
    states: Vec<ItemState>,
    /// Labels that must be there with exactly this value.
    labels: BTreeMap<String, String>,
    /// The current step.
    step: Option<String>,
    /// Created before this instant (RFC 3339).
    created_before: Option<String>,
    /// Created at or after this instant (RFC 3339).
    created_after: Option<String>,
    /// Due before this instant (RFC 3339).
    deadline_before: Option<String>,
    /// Due at or after this instant (RFC 3339).
    deadline_after: Option<String>,
}

impl FilterDocument {
    /// The filter that it stands for, for somebody with this access.
    ///
    /// # Errors
    /// When something in it cannot be read.
    pub fn read(self, server: &Server, access: &Access) -> Result<ItemFilter, Problem> {
        let clock = server.warden.clock();
        let instant = |name: &str, text: Option<String>| -> Result<Option<Timestamp>, Problem> {
            let instant = text.map(|text| request::instant(name, &text)).transpose()?;
            Ok(instant.map(|instant| clock.to_steady(instant)))
        };
        check_labels(&self.labels).map_err(|refusal| Problem::invalid(refusal.to_string()))?;
        // Not the failed ones by themselves: whoever claims on and on would get one that fails at once again and again.
        let states = recoverable(self.states, &[ItemState::Overdue])?;
        Ok(ItemFilter {
            workflows: self.workflows.iter().map(|glob| WildMatch::new(glob)).collect(),
            allowed: access.workflows(),
            unseen: false,
            states,
            labels: self.labels.into_iter().collect(),
            // Of another name there is no step, and whoever claims would wait for one in vain.
            step: self.step.map(request::step).transpose()?.map(|step| step.to_string()),
            created_after: instant("created_after", self.created_after)?,
            created_before: instant("created_before", self.created_before)?,
            deadline_after: instant("deadline_after", self.deadline_after)?,
            deadline_before: instant("deadline_before", self.deadline_before)?,
        })
    }

    /// The same as it is written, with instants of the wall clock.
    ///
    /// # Errors
    /// When something in it cannot be read.
    pub fn written(self) -> Result<ReplayFilter, Problem> {
        let instant = |name: &str, text: Option<String>| -> Result<Option<Timestamp>, Problem> {
            text.map(|text| request::instant(name, &text)).transpose()
        };
        let states = recoverable(self.states, &[ItemState::Overdue, ItemState::Failed])?;
        Ok(ReplayFilter {
            workflows: self.workflows.into_iter().map(Into::into).collect(),
            states,
            labels: self.labels,
            step: self.step.map(request::step).transpose()?,
            created_after: instant("created_after", self.created_after)?,
            created_before: instant("created_before", self.created_before)?,
            deadline_after: instant("deadline_after", self.deadline_after)?,
            deadline_before: instant("deadline_before", self.deadline_before)?,
        })
    }
}

/// The states that are named, or those that are meant if none is.
fn recoverable(named: Vec<ItemState>, meant: &[ItemState]) -> Result<Vec<ItemState>, Problem> {
    if !named.iter().all(|state| state.is_recoverable()) {
        let detail = "states are any of open, overdue and failed; of others there is nothing to recover";
        return Err(Problem::invalid(detail));
    }
    Ok(if named.is_empty() { meant.to_vec() } else { named })
}
