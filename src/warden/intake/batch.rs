//! Many changes in one request: one commit, an answer for each.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Asked, CreateItem, Done, Intake};
use crate::model::{CloseOutcome, ItemKey, WorkflowName};
use crate::store::{Command, Outcome};
use crate::warden::WardenError;

/// One of many changes that a client asks for together.
#[derive(Clone, Debug)]
pub enum BatchItem {
    /// Create.
    Create(Box<CreateItem>),
    /// Close.
    Close(ItemKey, CloseOutcome),
}

/// Requests as commands, and what is needed to answer them.
struct Prepared {
    commands: Vec<Command>,
    /// The workflows that were not there when they were made.
    unknown: BTreeSet<WorkflowName>,
    /// For each request why it fails already, or what it asks for.
    asked: Vec<Result<Asked, WardenError>>,
}

impl Intake {
    /// Carries out many changes at once: one commit, an answer for each, in order. What is wrong already stays wrong,
    /// and fails alone.
    ///
    /// # Errors
    /// When the store could do nothing at all.
    pub async fn batch(
        &self,
        requests: Vec<Result<BatchItem, WardenError>>,
    ) -> Result<Vec<Result<Done, WardenError>>, WardenError> {
        let Prepared { commands, unknown, asked } = self.prepare(requests);
        let outcomes = self.store.apply(commands).await?;
        Ok(self.answers(unknown, asked, outcomes))
    }

    /// Like [`Intake::batch`], but the changes are in line for the disk when this returns; what it returns waits for
    /// them. Changes that are submitted one after the other are committed in that order.
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
                self.tell_misspelt(&item.workflow);
            }
            done
        });
        answers.collect()
    }
}
