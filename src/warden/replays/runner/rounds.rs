//! The commits of a replay, one at a time. Each contains the results that arrived during the one before.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Answer, Runner};
use crate::store::{Command, Outcome, REPLAY_CHUNKS_MAX, StoreError};

/// The pause before a rejected commit is retried.
const TRY_AGAIN: Duration = Duration::from_millis(200);

pub(super) type Committed = Result<Vec<Outcome>, StoreError>;

/// A commit and the callers that wait for it.
pub(super) struct Round {
    pub(super) commands: Vec<Command>,
    waiting: Vec<Answer>,
}

impl Runner {
    /// Starts the next commit if there is anything to commit.
    pub(super) fn commit(&mut self) -> Option<BoxFuture<'static, Committed>> {
        if self.round.is_none() {
            self.round = self.next_round();
        } else if self.replays.clock.now() < self.again_at {
            return None;
        }
        let round = self.round.as_ref()?;
        Some(self.replays.store.submit(round.commands.clone()))
    }

    pub(super) fn next_round(&mut self) -> Option<Round> {
        if !self.changed && self.lease_ends.is_empty() {
            return None;
        }
        let mut commands = std::mem::take(&mut self.lease_ends);
        if std::mem::take(&mut self.changed) {
            let chunks = self.line.take_changes(REPLAY_CHUNKS_MAX);
            let mut state = self.live.lock();
            state.replay.chunks_done = self.line.done();
            commands.push(Command::put_replay(state.replay.clone(), chunks));
        }
        Some(Round { commands, waiting: std::mem::take(&mut self.waiting) })
    }

    pub(super) fn committed(&mut self, committed: Committed) -> Result<(), StoreError> {
        match committed {
            Ok(_) => {
                let Some(round) = self.round.take() else { return Ok(()) };
                for answer in round.waiting {
                    // The caller may have disconnected.
                    let _ = answer.send(Ok(()));
                }
                Ok(())
            }
            Err(StoreError::Overloaded) => {
                self.again_at = self.replays.clock.now().after(TRY_AGAIN);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
