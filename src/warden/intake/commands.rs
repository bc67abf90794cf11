//! Validates requests and completes them into commands: id, deadline, digest, first step.

use std::collections::BTreeSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{BatchItem, CreateItem, Intake, RunTerms};
use crate::model::item::payload::{PayloadRefusal, content_encoding, content_type};
use crate::model::item::{Closing, STEPS_MAX, check_labels, check_progress, earlier};
use crate::model::run::{LINEAGE_NAMES_MAX, LINEAGE_SIZE_MAX, Window};
use crate::model::{
    CloseOutcome, ItemId, ItemKey, Moment, PayloadInfo, Policy, Step, StepName, Timestamp, WorkflowName,
};
use crate::store::{Command, Creation, RunCreation};
use crate::warden::WardenError;
use crate::warden::report::past;

impl Intake {
    pub(super) fn command(&self, request: BatchItem, now: Timestamp) -> Result<Command, WardenError> {
        match request {
            BatchItem::Create(create) => self.create_command(*create, now),
            BatchItem::Close(key, outcome) => {
                self.close_command(key, outcome, None, Moment { now, ..self.clock.moment() })
            }
        }
    }

    pub(super) fn create_command(&self, request: CreateItem, now: Timestamp) -> Result<Command, WardenError> {
        let policy = self.workflows.policy(&request.workflow);
        Ok(Command::Create(Box::new(self.creation(request, &policy, now)?)))
    }

    pub(super) fn close_command(
        &self,
        key: ItemKey,
        outcome: CloseOutcome,
        at: Option<Timestamp>,
        now: Moment,
    ) -> Result<Command, WardenError> {
        // If workflows are not created on first use, an unknown name is an error, unless the workflow was
        // removed from the configuration and still has items, which must be closable. The census is asked
        // last: the committing thread may lock it for a whole group.
        if let Err(unknown) = self.workflows.room_for(&key.workflow)
            && self.census.tally(&key.workflow).unclosed == 0
        {
            return Err(unknown);
        }
        let ended_at = at.map(|at| past(at, now)).transpose()?;
        let closing = self.workflows.policy(&key.workflow).closing(outcome, now.now);
        let closing = Closing { ended_at, ..closing };
        Ok(Command::Close { key, closing })
    }

    fn creation(
        &self,
        request: CreateItem,
        policy: &Arc<Policy>,
        now: Timestamp,
    ) -> Result<Creation, WardenError> {
        let size = request.payload.len() as u64;
        if size > self.payload_max {
            return Err(WardenError::PayloadTooLarge { limit: self.payload_max });
        }
        let invalid = |refusal: PayloadRefusal| WardenError::Invalid(refusal.to_string());
        let content_type = content_type(&request.content_type).map_err(invalid)?.into();
        let content_encoding = content_encoding(&request.content_encoding).map_err(invalid)?.map(Arc::from);
        check_labels(&request.labels).map_err(|refusal| WardenError::Invalid(refusal.to_string()))?;
        let is_closed = request.past.as_ref().is_some_and(|past| past.closed.is_some());
        check_steps(request.plan.steps.as_deref())?;
        check_progress(&request.plan.progress)
            .map_err(|refusal| WardenError::Invalid(refusal.to_string()))?;
        let steps = request.plan.steps.as_deref().unwrap_or(&policy.steps);
        let step = match request.step {
            // A closed item is restored as it was, and gets no step that it never entered.
            step if is_closed => step,
            None if request.past.is_some() => None,
            step => starting_step(step, steps, &request.workflow)?,
        };
        let gone = request.past.as_ref().and_then(|past| past.closed?.payload);
        let is_steady = request.past.as_ref().is_some_and(|past| past.is_deadline_steady);
        let restored = match request.past {
            Some(past) => Some(Box::new(self.restored(*past, gone.is_none(), policy, now)?)),
            None => None,
        };
        let moment = Moment { now, ..self.clock.moment() };
        let not_before = match request.plan.not_before {
            Some(at) => Some(moment.steady(at.resolve(moment)?)).filter(|at| now < *at),
            None => None,
        };
        let of_step =
            step.as_deref().and_then(|name| steps.iter().find(|step| &*step.name == name)?.deadline);
        let has_steps = !steps.is_empty();
        let (deadline, deadline_max) = match (request.deadline, &restored) {
            (Some(deadline), restored) => {
                let deadline = deadline.resolve(moment)?;
                let deadline = if is_steady { moment.steady(deadline).into() } else { deadline };
                let own = Some(deadline).filter(|_| has_steps && !is_closed);
                let of_step = of_step.filter(|_| restored.is_none()).map(|of_step| now.after(of_step).into());
                (of_step.map_or(deadline, |of_step| earlier(of_step, own, moment)), own)
            }
            (None, None) => {
                let began = not_before.unwrap_or(now);
                let of_workflow = began.after(policy.deadline).into();
                let own = Some(of_workflow).filter(|_| has_steps && policy.limits_steps);
                let of_step = of_step.map(|of_step| began.after(of_step).into());
                (of_step.map_or(of_workflow, |of_step| earlier(of_step, own, moment)), own)
            }
            (None, Some(restored)) => {
                let closed = restored.closed.map(|closed| closed.at);
                let began = restored.created_at.unwrap_or(now);
                (closed.unwrap_or_else(|| began.after(of_step.unwrap_or(policy.deadline))).into(), None)
            }
        };
        let run = run_creation(request.run, policy, moment)?;
        let idempotency_key = request.idempotency_key.map(|key| digest(key.as_bytes()));
        let id = match request.id {
            Some(id) => id,
            None => ItemId::new(self.random.uuid(now).to_string())?,
        };
        let (size, sha256) = match gone {
            Some(gone) => (gone.size, gone.sha256),
            None => (size, digest(&request.payload)),
        };
        let info = PayloadInfo { size, content_type, content_encoding, sha256 };
        // Last, so that an invalid request is reported as such and not as an unknown workflow. Restoring a
        // tombstone of an item that was never created does not create the workflow.
        let room = self.workflows.room_for(&request.workflow)?;
        let workflows_max =
            room.filter(|_| restored.as_ref().is_none_or(|restored| restored.created_at.is_some()));
        Ok(Creation {
            key: ItemKey { workflow: request.workflow, id },
            idempotency_key,
            created_at: now,
            deadline,
            labels: request.labels.into(),
            step,
            steps: request.plan.steps,
            progress: request.plan.progress,
            not_before,
            trace: request.trace,
            deadline_max,
            payload: request.payload,
            info,
            restored,
            run,
            workflows_max,
        })
    }
}

/// What makes the item a run, if the request or its workflow says so.
fn run_creation(
    terms: Option<RunTerms>,
    policy: &Arc<Policy>,
    now: Moment,
) -> Result<Option<Box<RunCreation>>, WardenError> {
    if terms.is_none() && !policy.runs.applies_to_items {
        return Ok(None);
    }
    let RunTerms { lineage, started_at, backfill } = terms.unwrap_or_default();
    let invalid = |message: String| Err(WardenError::Invalid(message));
    if let Some(lineage) = &lineage {
        let size = serde_json::to_vec(lineage).map_or(usize::MAX, |json| json.len());
        if size > LINEAGE_SIZE_MAX {
            return invalid(format!(
                "lineage takes {size} bytes of JSON; at most {LINEAGE_SIZE_MAX} are allowed"
            ));
        }
        for (what, names) in [("sources", &lineage.sources), ("targets", &lineage.targets)] {
            if names.len() > LINEAGE_NAMES_MAX {
                let count = names.len();
                return invalid(format!(
                    "lineage.{what} has {count} names; at most {LINEAGE_NAMES_MAX} are allowed"
                ));
            }
        }
    }
    if let Some(Window { from, to }) = backfill {
        if policy.runs.jobs.is_empty() {
            return invalid("from and to are for workflows with jobs, and this one has none".to_owned());
        }
        if from.is_none_or(|from| from >= to) {
            return invalid("a backfill must have from and to, and from must be before to".to_owned());
        }
    }
    if started_at.is_some() && backfill.is_some() {
        return invalid("a run that has begun already has no window: leave out from and to".to_owned());
    }
    // The client's clock may be ahead.
    let started_at = started_at.map(|at| past(at.min(now.wall(now.now)), now)).transpose()?;
    Ok(Some(Box::new(RunCreation { lineage, started_at, backfill, policy: policy.clone(), now })))
}

/// Checks the steps that an item is created with.
fn check_steps(steps: Option<&[Step]>) -> Result<(), WardenError> {
    let steps = steps.unwrap_or_default();
    if steps.len() > STEPS_MAX {
        let count = steps.len();
        let refusal = format!("the item has {count} steps of its own; at most {STEPS_MAX} are allowed");
        return Err(WardenError::Invalid(refusal));
    }
    let mut names = BTreeSet::new();
    match steps.iter().find(|step| !names.insert(&step.name)) {
        Some(step) => Err(WardenError::Invalid(format!("the step {} occurs twice", step.name))),
        None => Ok(()),
    }
}

/// The first step of an item: the requested one, which must exist if there are steps, or the first of them.
fn starting_step(
    asked: Option<StepName>,
    steps: &[Step],
    workflow: &WorkflowName,
) -> Result<Option<StepName>, WardenError> {
    match asked {
        None => Ok(steps.first().map(|step| step.name.clone())),
        Some(asked) if steps.is_empty() || steps.iter().any(|step| step.name == asked) => Ok(Some(asked)),
        Some(asked) => {
            let steps: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
            Err(WardenError::Invalid(format!(
                "the workflow {workflow} has no step {asked}; its steps are {}",
                steps.join(", ")
            )))
        }
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
