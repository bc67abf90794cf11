//! Expectations: which workflows are to have items created when, and the loop that notices when they have not.
//!
//! What is counted lives in memory; the store tells of each creation in commit order. It is committed as soon as
//! something is missed or no longer missed, and otherwise once a minute: a crash forgets at most a minute of counting,
//! and since each count says to which item it went, that minute is counted again at the start from the items that the
//! store still holds. Only what was created and forgotten within it is lost.
//!
//! Something that is missed is committed before anybody is told, so a restart goes on with the same incident.

mod expected;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use self::expected::ExpectedWork;
use super::census::Census;
use super::pulse::Pulse;
use crate::model::{Clock, Group, IncidentKey, IncidentKind, Progress, Timestamp, WorkflowName};
use crate::store::{Command, Document, DocumentId, Store, StoreError};

/// How often what merely counts is committed. The wall clock is looked at as often.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// How long to wait after the store had no room for a commit.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How many workflows' progress is committed at once.
const SAVED_AT_ONCE: usize = 500;

/// See the module's documentation.
pub struct Expectations {
    store: Arc<dyn Store>,
    expected: Arc<ExpectedWork>,
    census: Arc<Census>,
    clock: Arc<dyn Clock>,
    pulse: Arc<Pulse>,
}

impl Expectations {
    pub fn new(
        store: Arc<dyn Store>,
        expected: Arc<ExpectedWork>,
        census: Arc<Census>,
        clock: Arc<dyn Clock>,
        pulse: Arc<Pulse>,
    ) -> Self {
        Self { store, expected, census, clock, pulse }
    }

    /// For when items of a workflow are expected next, by the wall clock; nothing where none are.
    pub fn next_expected_at(&self, workflow: &WorkflowName) -> Option<Timestamp> {
        self.expected.next_expected_at(workflow)
    }

    /// Notices until `stop` what was expected and did not come.
    pub async fn run(&self, stop: CancellationToken) {
        let mut save_at = self.clock.now();
        loop {
            let now = self.clock.now();
            self.pulse.turn(now);
            let touched = self.expected.look();
            let all = save_at <= now;
            match self.save_progress(all).await {
                Ok(()) if all => save_at = now.after(SAVE_EVERY),
                Ok(()) => {}
                Err(StoreError::Fatal(error)) => {
                    tracing::error!(%error, "what is expected of workflows could not be committed");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "what is expected of workflows could not be committed; trying again");
                    save_at = now.after(TRY_AGAIN);
                }
            }
            self.census.touch(touched.into_iter().map(missed_key));
            let look_at = self.expected.next_look().map_or(Timestamp::MAX, |look_at| look_at.min(save_at));
            self.pulse.turn(look_at);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.expected.turned.notified() => {}
                () = self.clock.sleep_until(look_at) => {}
            }
        }
        if let Err(error) = self.save_progress(true).await {
            tracing::warn!(%error, "what is expected of workflows could not be committed at the end");
        }
    }

    /// What the store has no room for is left for the next time, and what is obsolete for the next start.
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

fn missed_key(workflow: WorkflowName) -> IncidentKey {
    IncidentKey { workflow, kind: IncidentKind::Missed, group: Group::new() }
}
