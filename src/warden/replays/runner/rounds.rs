//! The commits of a replay: rounds, in each of which goes what has gathered during the last.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Answer, Runner};
use crate::model::ItemNumber;
use crate::model::item::Closing;
use crate::model::lease::Advance;
use crate::model::{LeaseAct, LeaseLost};
use crate::store::{Command, Outcome, REPLAY_CHUNKS_MAX, StoreError};

/// How long the loop waits before it tries a commit again that the store had no room for.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// What came of a commit.
pub(super) type Committed = Result<Vec<Outcome>, StoreError>;

/// A commit, and who waits for it.
pub(super) struct Round {
    pub(super) commands: Vec<Command>,
    waiting: Vec<Answer>,
}

impl Runner {
    /// Begins the next commit if there is anything to be committed.
    pub(super) fn commit(&mut self) -> Option<BoxFuture<'static, Committed>> {
        if self.round.is_none() {
            self.round = self.next_round();
        } else if self.warden.clock.now() < self.again_at {
            return None;
        }
        let round = self.round.as_ref()?;
        Some(self.warden.store.submit(round.commands.clone()))
    }

    /// Puts together what is to be committed next, if there is anything.
    pub(super) fn next_round(&mut self) -> Option<Round> {
        if !self.changed && self.lease_ends.is_empty() {
            return None;
        }
        let mut commands = std::mem::take(&mut self.lease_ends);
        if std::mem::take(&mut self.changed) {
            let chunks = self.line.take_changes(REPLAY_CHUNKS_MAX);
            let mut state = self.live.lock();
            state.replay.chunks_done = self.line.done();
            commands.push(Command::PutReplay { replay: Box::new(state.replay.clone()), chunks });
        }
        Some(Round { commands, waiting: std::mem::take(&mut self.waiting) })
    }

    /// Takes note of what became of the commit that was under way.
    pub(super) async fn committed(&mut self, committed: Committed) -> Result<(), StoreError> {
        match committed {
            Ok(outcomes) => {
                let Some(round) = self.round.take() else { return Ok(()) };
                for answer in round.waiting {
                    // Whoever asked may have gone.
                    let _ = answer.send(Ok(()));
                }
                self.close_after_all(round.commands.iter().zip(outcomes)).await
            }
            Err(StoreError::Overloaded) => {
                self.again_at = self.warden.clock.now().after(TRY_AGAIN);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Closes the items whose leases ran out before it could be noted that their work is done, as it may happen when the
    /// machine slept meanwhile: the target has said so, whoever holds them by now.
    async fn close_after_all(
        &mut self,
        settled: impl Iterator<Item = (&Command, Outcome)>,
    ) -> Result<(), StoreError> {
        for (number, closing) in settled.filter_map(unclosed) {
            let items = self.warden.store.items(vec![number]).await?;
            let closes = items.into_iter().map(|item| Command::Close { key: item.key(), closing });
            self.lease_ends.extend(closes);
        }
        Ok(())
    }
}

/// The item that should have been closed by its lease, and how, where the lease had run out by then.
fn unclosed((command, outcome): (&Command, Outcome)) -> Option<(ItemNumber, Closing)> {
    let Outcome::LeaseLost(LeaseLost::Expired(_) | LeaseLost::Taken) = outcome else { return None };
    match command {
        Command::ActOnLease {
            lease,
            act: LeaseAct::Complete { advance: Advance::Close(closing), .. },
            ..
        } => Some((lease.item, *closing)),
        _ => None,
    }
}
