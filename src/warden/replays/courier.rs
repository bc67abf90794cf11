//! One item of a replay on its way: leased, posted, and what follows from the answer.
//!
//! The lease keeps everybody else from working on the item meanwhile. Whoever it cannot be had from is not waited for: the
//! item is closed, or somebody else works on it. What ends the lease is not done here but handed back, to be committed
//! together with how the item ended.

use std::sync::Arc;
use std::time::Duration;

use super::Replays;
use crate::model::lease::{Advance, AfterFailure, LeaseEnd};
use crate::model::random::repeatable_id;
use crate::model::replay::{ItemEnd, OnSuccess, ReplayFailure};
use crate::model::{CloseOutcome, ItemFilter, ItemKey, ItemNumber, LeaseAct, LeaseId, Moment, ReplayId};
use crate::store::{Claim, Command, StoreError};
use crate::warden::handoff::{LEASE_MARGIN, Leased, Leasing, Posted, Sending, Target};

/// How often a claim is tried that others come before.
const CLAIMS_MAX: u32 = 3;
/// What a replay sends its items with.
pub struct Courier {
    /// The replay, in whose name they are leased.
    pub replay: ReplayId,
    /// Where they go.
    pub target: Target,
    /// What becomes of those that were taken.
    pub on_success: OnSuccess,
}

/// What became of an item.
pub enum Sent {
    /// It was posted and has ended. The commands end its lease, and close it if it is to be.
    Ended(ItemEnd, Vec<Command>),
    /// It has ended without having been posted.
    Unposted(ItemEnd),
    /// The target has no room. The command gives the item back.
    Busy {
        /// The item.
        key: ItemKey,
        /// What it answered.
        what: Arc<str>,
        /// How long it wants to be left alone, if it says so.
        wait: Option<Duration>,
        /// The command.
        release: Command,
    },
    /// It took so long to get ready that the item is better given back, or the replay was paused meanwhile. The command does
    /// so.
    Late(Command),
    /// The store could not do its part; it was not posted.
    Stuck(StuckReason),
}

/// Why the store could not do its part.
pub enum StuckReason {
    /// The disk is full.
    Full,
    /// Something else.
    Store(StoreError),
}

impl From<StoreError> for StuckReason {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

enum Claimed {
    Leased(Leased),
    Ended(ItemEnd),
}

impl Courier {
    /// Sends one item, if it still may when all is ready for it.
    pub async fn send(&self, replays: &Replays, number: ItemNumber, may_still: impl Fn() -> bool) -> Sent {
        match self.try_send(replays, number, may_still).await {
            Ok(sent) => sent,
            Err(reason) => Sent::Stuck(reason),
        }
    }

    async fn try_send(
        &self,
        replays: &Replays,
        number: ItemNumber,
        may_still: impl Fn() -> bool,
    ) -> Result<Sent, StuckReason> {
        let leased = match self.claim(replays, number).await? {
            Claimed::Leased(leased) => leased,
            Claimed::Ended(end) => return Ok(Sent::Unposted(end)),
        };
        let id = webhook_id(&self.replay, number);
        let posted = match replays.handoff.post(&self.target, &id, &leased.item, may_still).await? {
            Sending::Posted(posted) => posted,
            Sending::Gone => return Ok(Sent::Unposted(ItemEnd::Skipped)),
            Sending::Late => return Ok(Sent::Late(leased.release(replays.clock.moment()))),
        };
        let now = replays.clock.moment();
        Ok(match posted {
            Posted::Taken => Sent::Ended(ItemEnd::Succeeded, self.after_success(replays, &leased, now)),
            Posted::Busy { what, wait } => {
                Sent::Busy { key: leased.item.key(), what, wait, release: leased.release(now) }
            }
            Posted::Refused { status, counts_as, reason } => {
                let message = format!("the replay {} did not get it through: {counts_as}", self.replay.0);
                let data = serde_json::json!({"replay": self.replay.0, "status": status});
                let error = Box::new(replays.handoff.error("replay", message, data, now.now));
                let fail = leased.act(LeaseAct::Fail { error, then: AfterFailure::Retry(now.now) }, now);
                let (workflow, id) = (leased.item.workflow, leased.item.id);
                let failure = ReplayFailure { workflow, id, reason, status, at: now.now };
                Sent::Ended(ItemEnd::Failed { failure, counts_as }, vec![fail])
            }
        })
    }

    /// Leases the item, or says how it ended where that cannot be.
    async fn claim(&self, replays: &Replays, number: ItemNumber) -> Result<Claimed, StuckReason> {
        let mut before = None;
        for _ in 0..CLAIMS_MAX {
            match replays.handoff.lease(before.take(), self.claiming(replays.clock.moment(), number)).await? {
                Leasing::Leased(leased) => return Ok(Claimed::Leased(leased)),
                Leasing::StorageFull => return Err(StuckReason::Full),
                Leasing::Refused => {}
            }
            let now = replays.clock.moment();
            let Some(item) = replays.store.items(vec![number]).await?.pop() else { break };
            let is_ours = |worker: &str| worker == &*self.replay.0;
            let last = item.work.lease.as_ref().filter(|lease| is_ours(&lease.worker));
            if item.closed.is_some() {
                // By this replay, before it was interrupted: its answer was never stored.
                let was_done = last.is_some_and(|lease| lease.ended == Some(LeaseEnd::Completed));
                return Ok(Claimed::Ended(if was_done { ItemEnd::Succeeded } else { ItemEnd::Skipped }));
            }
            before = match item.work.running(now.now) {
                // Left behind when this replay was interrupted: it is not known whether the target took it.
                Some(lease) if is_ours(&lease.worker) => {
                    let lease = LeaseId { item: number, token: lease.token };
                    let act = LeaseAct::Release { retry_at: None, counts: false };
                    Some(Command::ActOnLease { lease, act, now })
                }
                Some(_) => return Ok(Claimed::Ended(ItemEnd::Skipped)),
                None => None,
            };
        }
        Ok(Claimed::Ended(ItemEnd::Skipped))
    }

    fn claiming(&self, now: Moment, number: ItemNumber) -> Claim {
        Claim {
            number,
            // It was selected; what has become of it since does not matter, unless it was closed.
            filter: Arc::new(ItemFilter::default()),
            worker: self.replay.0.clone(),
            expires_at: now.now.after(self.target.timeout + LEASE_MARGIN),
            // Whoever asks for a replay does not want to wait for the next attempt of others.
            ignores_wait: true,
            now,
        }
    }

    /// What follows for an item that the target took. That it is closed is said a second time without the lease: the target
    /// has done its work, whoever holds the item by now.
    fn after_success(&self, replays: &Replays, leased: &Leased, now: Moment) -> Vec<Command> {
        let policy = replays.workflows.policy(&leased.item.workflow);
        match self.on_success {
            OnSuccess::Accept => {
                // What works on it now is not to get it once more from the workflow itself.
                let retry_at = policy.redrive.as_ref().map(|redrive| now.now.after(redrive.after));
                vec![leased.act(LeaseAct::Release { retry_at, counts: true }, now)]
            }
            OnSuccess::Close => {
                let closing = policy.closing(CloseOutcome::Success, now.now);
                let complete = LeaseAct::Complete { advance: Advance::Close(closing), progress: None };
                vec![leased.act(complete, now), Command::Close { key: leased.item.key(), closing }]
            }
        }
    }
}

/// The id that every attempt to post this item in this replay has.
fn webhook_id(replay: &ReplayId, number: ItemNumber) -> Arc<str> {
    repeatable_id("msg", &[&replay.0, &number.0.to_string()])
}
