//! Expectations: when items of a workflow must be created, and the loop that detects missed starts.
//!
//! Counts are kept in memory, fed by the store in commit order. They are committed when a start is missed or
//! made up for, and otherwise once a minute. After a crash the last minute is counted again from the stored
//! items, since a count says which item it includes. Only items created and removed within that minute are
//! lost.
//!
//! A missed start is committed before it is notified, so a restart continues the same incident.

mod expected;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use self::expected::ExpectedWork;
use super::context::Context;
use super::pulse::Pulse;
use crate::model::{Clock, Progress, Timestamp, WorkflowName};
use crate::store::{Command, Document, DocumentId, StoreError, Writes};

/// How often counts are committed, and the wall clock is checked.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// The pause before a rejected commit is retried.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// The most workflows whose progress is committed at once.
const SAVED_AT_ONCE: usize = 500;

pub struct Expectations {
    store: Arc<dyn Writes>,
    expected: Arc<ExpectedWork>,
    clock: Arc<dyn Clock>,
    pulse: Arc<Pulse>,
}

impl Expectations {
    pub fn new(context: &Context, expected: Arc<ExpectedWork>) -> Self {
        let Context { store, clock, .. } = context.clone();
        Self { store, expected, clock, pulse: Arc::default() }
    }

    pub fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// The next expected start, by the wall clock; `None` without an expectation.
    pub fn next_expected_at(&self, workflow: &WorkflowName) -> Option<Timestamp> {
        self.expected.next_expected_at(workflow)
    }

    /// Detects missed starts until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let mut save_at = self.clock.now();
        loop {
            let now = self.clock.now();
            self.pulse.turn(now);
            let touched = self.expected.evaluate();
            let all = save_at <= now;
            match self.save_progress(all).await {
                Ok(()) if all => save_at = now.after(SAVE_EVERY),
                Ok(()) => {}
                Err(StoreError::Fatal(error)) => {
                    tracing::error!(%error, "the progress of expectations could not be committed");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "the progress of expectations could not be committed; retrying");
                    save_at = now.after(TRY_AGAIN);
                }
            }
            self.expected.report(touched);
            let next = self.expected.next_evaluation();
            let evaluate_at = next.map_or(Timestamp::MAX, |next| next.min(save_at));
            self.pulse.turn(evaluate_at);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.expected.flipped.notified() => {}
                () = self.clock.sleep_until(evaluate_at) => {}
            }
        }
        if let Err(error) = self.save_progress(true).await {
            tracing::warn!(%error, "the progress of expectations could not be committed at shutdown");
        }
    }

    /// Obsolete progress that could not be removed is removed after the next start.
    async fn save_progress(&self, all: bool) -> Result<(), StoreError> {
        let obsolete = self.expected.take_obsolete();
        if !obsolete.is_empty() {
            self.store
                .apply(obsolete.into_iter().map(DocumentId::Progress).map(Command::Remove).collect())
                .await?;
        }
        for unsaved in self.expected.unsaved(all).chunks(SAVED_AT_ONCE) {
            let put = |(workflow, progress): &(WorkflowName, Progress)| {
                Command::put(Document::Progress(workflow.clone(), Box::new(progress.clone())))
            };
            self.store.apply(unsaved.iter().map(put).collect()).await?;
        }
        Ok(())
    }
}
