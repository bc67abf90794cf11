//! Batches: many changes in one commit, an answer for each.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Asked, CreateItem, Done, Intake};
use crate::model::{CloseOutcome, ItemKey, WorkflowName};
use crate::store::{Command, Outcome};
use crate::warden::WardenError;

#[derive(Clone, Debug)]
pub enum BatchItem {
    Create(Box<CreateItem>),
    Close(ItemKey, CloseOutcome),
}

impl BatchItem {
    pub fn workflow(&self) -> &WorkflowName {
        match self {
            Self::Create(create) => &create.workflow,
            Self::Close(key, _) => &key.workflow,
        }
    }
}

/// The commands of a batch, and what is needed to answer it.
struct Prepared {
    commands: Vec<Command>,
    /// Workflows that did not exist when the commands were made.
    unknown: BTreeSet<WorkflowName>,
    /// For each request its error, or its type.
    asked: Vec<Result<Asked, WardenError>>,
}

impl Intake {
    /// Applies many changes in one commit and answers each, in order. Requests that are already errors are
    /// passed through; the others are not affected. Fails only when the store could apply nothing.
    pub async fn batch(
        &self,
        requests: Vec<Result<BatchItem, WardenError>>,
    ) -> Result<Vec<Result<Done, WardenError>>, WardenError> {
        let Prepared { commands, unknown, asked } = self.prepare(requests);
        let outcomes = self.store.apply(commands).await?;
        Ok(self.answers(unknown, asked, outcomes))
    }

    /// Like [`Intake::batch`], but the changes are queued for commit when this returns, and the future waits
    /// for the commit. Batches are committed in the order in which they were submitted.
    pub fn submit(
        intake: &Arc<Self>,
        requests: Vec<Result<BatchItem, WardenError>>,
    ) -> BoxFuture<'static, Result<Vec<Result<Done, WardenError>>, WardenError>> {
        let Prepared { commands, unknown, asked } = intake.prepare(requests);
        let committing = intake.store.submit(commands);
        let intake = intake.clone();
        Box::pin(async move { Ok(intake.answers(unknown, asked, committing.await?)) })
    }

    fn prepare(&self, requests: Vec<Result<BatchItem, WardenError>>) -> Prepared {
        let now = self.clock.now();
        let mut commands = Vec::with_capacity(requests.len());
        let mut unknown = BTreeSet::new();
        let asked = requests
            .into_iter()
            .map(|request| {
                let command = self.command(request?, now)?;
                let asked = Asked::of(&command);
                unknown.extend(self.workflow_made_by(&command).cloned());
                commands.push(command);
                Ok(asked)
            })
            .collect();
        Prepared { commands, unknown, asked }
    }

    fn answers(
        &self,
        mut unknown: BTreeSet<WorkflowName>,
        asked: Vec<Result<Asked, WardenError>>,
        outcomes: Vec<Outcome>,
    ) -> Vec<Result<Done, WardenError>> {
        let mut outcomes = outcomes.into_iter();
        let answers = asked.into_iter().map(|asked| {
            let done = self.done(asked?, outcomes.next().unwrap_or(Outcome::Unknown));
            if let Ok(Done::Created(item)) = &done
                && unknown.remove(&item.workflow)
            {
                self.warn_if_misspelt(&item.workflow);
            }
            done
        });
        answers.collect()
    }
}
