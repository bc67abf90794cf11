//! Item filters in JSON documents, as in claims and replays.

use warden_api::item::ItemFilter;
use warden_api::limit::STEPS_MAX;
use wildmatch::WildMatch;

use super::problem::Problem;
use super::{question, request};
use crate::model::item::check_labels;
use crate::model::replay::ReplayFilter;
use crate::model::{self, Clock, ItemId, ItemKey, ItemState, Timestamp, WorkflowName};
use crate::warden::WardenError;

/// Parses a filter, not yet limited to the workflows of the token.
pub fn read(filter: ItemFilter, clock: &dyn Clock) -> Result<model::ItemFilter, Problem> {
    let instant = |name: &str, text: Option<String>| -> Result<Option<Timestamp>, Problem> {
        let instant = text.map(|text| request::instant(name, &text)).transpose()?;
        Ok(instant.map(|instant| clock.to_steady(instant)))
    };
    check_labels(&filter.labels).map_err(|refusal| Problem::invalid(refusal.to_string()))?;
    // Failed items only on request: a worker that claims in a loop would get an item that fails at once again
    // and again.
    let states = recoverable(filter.states, &[ItemState::Overdue])?;
    Ok(model::ItemFilter {
        workflows: filter.workflows.iter().map(|glob| WildMatch::new(glob)).collect(),
        allowed: Vec::new(),
        unseen: false,
        states,
        labels: filter.labels.into_iter().collect(),
        // An invalid step name would match nothing, and the claim would wait in vain.
        step: filter.step.map(request::step).transpose()?.map(|step| step.to_string()),
        steps: Vec::new(),
        item: None,
        step_retries_min: filter.step_retries_min.map(question::check_retries).transpose()?,
        created_after: instant("created_after", filter.created_after)?,
        created_before: instant("created_before", filter.created_before)?,
        deadline_after: instant("deadline_after", filter.deadline_after)?,
        deadline_before: instant("deadline_before", filter.deadline_before)?,
    })
}

/// Parses the filter of a claim, which may also name steps and one item.
pub fn of_claim(
    filter: ItemFilter,
    steps: Vec<String>,
    id: Option<String>,
    clock: &dyn Clock,
) -> Result<model::ItemFilter, Problem> {
    if steps.len() > STEPS_MAX {
        return Err(Problem::invalid(format!("steps has {} names; at most {STEPS_MAX}", steps.len())));
    }
    let steps = steps.into_iter().map(|step| Ok(request::step(step)?.to_string()));
    let steps = steps.collect::<Result<_, Problem>>()?;
    let item = match (id, &filter.workflows[..]) {
        (None, _) => None,
        (Some(id), [workflow]) => Some(ItemKey {
            workflow: WorkflowName::new(&**workflow).map_err(WardenError::from)?,
            id: ItemId::new(id).map_err(WardenError::from)?,
        }),
        (Some(_), _) => return Err(Problem::invalid("id needs workflows with the name of its workflow")),
    };
    Ok(model::ItemFilter { steps, item, ..read(filter, clock)? })
}

/// Parses a filter for storage, with instants of the wall clock.
pub fn written(filter: ItemFilter) -> Result<ReplayFilter, Problem> {
    let instant = |name: &str, text: Option<String>| -> Result<Option<Timestamp>, Problem> {
        text.map(|text| request::instant(name, &text)).transpose()
    };
    let states = recoverable(filter.states, &[ItemState::Overdue, ItemState::Failed])?;
    Ok(ReplayFilter {
        workflows: filter.workflows.into_iter().map(Into::into).collect(),
        states,
        labels: filter.labels,
        step: filter.step.map(request::step).transpose()?,
        step_retries_min: filter.step_retries_min.map(question::check_retries).transpose()?,
        created_after: instant("created_after", filter.created_after)?,
        created_before: instant("created_before", filter.created_before)?,
        deadline_after: instant("deadline_after", filter.deadline_after)?,
        deadline_before: instant("deadline_before", filter.deadline_before)?,
    })
}

/// The states of a filter, or the default.
fn recoverable(named: Vec<ItemState>, meant: &[ItemState]) -> Result<Vec<ItemState>, Problem> {
    if !named.iter().all(|state| state.is_recoverable()) {
        let words = ItemState::RECOVERABLE.map(ItemState::as_str).join(", ");
        return Err(Problem::invalid(format!(
            "states may contain only {words}; items in other states cannot be recovered"
        )));
    }
    Ok(if named.is_empty() { meant.to_vec() } else { named })
}
