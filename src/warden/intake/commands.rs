//! Validates requests and completes them into commands: id, deadline, digest, first step.

use sha2::{Digest, Sha256};

use super::{BatchItem, CreateItem, Deadline, Intake};
use crate::model::item::check_labels;
use crate::model::item::payload::{PayloadRefusal, content_encoding, content_type};
use crate::model::workflow::DEADLINE_MAX;
use crate::model::{
    ClockTime, CloseOutcome, ItemId, ItemKey, PayloadInfo, Policy, StepName, Timestamp, WorkflowName,
};
use crate::store::{Command, Creation};
use crate::warden::WardenError;
use std::sync::Arc;

impl Intake {
    pub(super) fn command(&self, request: BatchItem, now: Timestamp) -> Result<Command, WardenError> {
        match request {
            BatchItem::Create(create) => self.create_command(*create, now),
            BatchItem::Close(key, outcome) => self.close_command(key, outcome, now),
        }
    }

    pub(super) fn create_command(&self, request: CreateItem, now: Timestamp) -> Result<Command, WardenError> {
        let policy = self.workflows.policy(&request.workflow);
        Ok(Command::Create(Box::new(self.creation(request, policy, now)?)))
    }

    pub(super) fn close_command(
        &self,
        key: ItemKey,
        outcome: CloseOutcome,
        now: Timestamp,
    ) -> Result<Command, WardenError> {
        // If workflows are not created on first use, an unknown name is an error, unless the workflow was
        // removed from the configuration and still has items, which must be closable. The census is asked
        // last: the committing thread may lock it for a whole group.
        if let Err(unknown) = self.workflows.room_for(&key.workflow)
            && self.census.tally(&key.workflow).unclosed == 0
        {
            return Err(unknown);
        }
        let closing = self.workflows.policy(&key.workflow).closing(outcome, now);
        Ok(Command::Close { key, closing })
    }

    fn creation(
        &self,
        request: CreateItem,
        policy: &Policy,
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
        let step = match request.step {
            // A closed item is restored as it was, and gets no step that it never entered.
            step if is_closed => step,
            None if request.past.is_some() => None,
            step => starting_step(step, policy, &request.workflow)?,
        };
        let gone = request.past.as_ref().and_then(|past| past.closed?.payload);
        let is_steady = request.past.as_ref().is_some_and(|past| past.is_deadline_steady);
        let restored = match request.past {
            Some(past) => Some(Box::new(self.restored(*past, gone.is_none(), policy, now)?)),
            None => None,
        };
        let deadline = match (request.deadline, &restored) {
            (Some(deadline), _) => {
                let deadline = self.deadline(deadline, now)?;
                if is_steady { self.clock.moment().steady(deadline).into() } else { deadline }
            }
            (None, None) => now.after(policy.deadline_at(step.as_deref())).into(),
            (None, Some(restored)) => {
                let closed = restored.closed.map(|closed| closed.at);
                let began = restored.created_at.unwrap_or(now);
                closed.unwrap_or_else(|| began.after(policy.deadline_at(step.as_deref()))).into()
            }
        };
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
            payload: request.payload,
            info,
            restored,
            workflows_max,
        })
    }

    pub(super) fn deadline(&self, deadline: Deadline, now: Timestamp) -> Result<ClockTime, WardenError> {
        let time = match deadline {
            Deadline::In(duration) => now.after(duration).into(),
            Deadline::At(instant) => ClockTime::on_wall(instant),
        };
        if self.clock.moment().steady(time) > now.after(DEADLINE_MAX) {
            return Err(WardenError::Invalid("the deadline is more than ten years from now".into()));
        }
        Ok(time)
    }
}

/// The first step of an item: the requested one, which must exist if the workflow has steps, or the
/// workflow's first.
fn starting_step(
    asked: Option<StepName>,
    policy: &Policy,
    workflow: &WorkflowName,
) -> Result<Option<StepName>, WardenError> {
    match asked {
        None => Ok(policy.steps.first().map(|step| step.name.clone())),
        Some(step) if policy.steps.is_empty() || policy.step(&step).is_some() => Ok(Some(step)),
        Some(step) => {
            let steps: Vec<&str> = policy.steps.iter().map(|step| step.name.as_str()).collect();
            Err(WardenError::Invalid(format!(
                "the workflow {workflow} has no step {step}; its steps are {}",
                steps.join(", ")
            )))
        }
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
