//! Sending one item of a replay: lease, post, and the consequences of the response.
//!
//! An item that cannot be leased is skipped: it is closed, or somebody else works on it. The commands that
//! end the lease are returned, to be committed together with the result for the item.

use std::sync::Arc;
use std::time::Duration;

use super::Replays;
use crate::model::item::{AfterFailure, LeaseEnd, StepOutcome, StepStatus};
use crate::model::random::repeatable_id;
use crate::model::replay::{ItemEnd, OnSuccess, ReplayFailure};
use crate::model::{CloseOutcome, ItemFilter, ItemKey, ItemNumber, LeaseCommand, LeaseId, Moment, ReplayId};
use crate::store::{Claim, Command, StoreError};
use crate::warden::handoff::{LEASE_MARGIN, Leased, Leasing, Posted, Sending, Target};

/// How often a claim is tried when others win.
const CLAIMS_MAX: u32 = 3;
pub struct Courier {
    /// Also the worker name of the leases.
    pub replay: ReplayId,
    pub target: Target,
    /// What to do with accepted items.
    pub on_success: OnSuccess,
}

/// The result for an item.
pub enum Sent {
    /// Posted and ended. The commands end the lease and close the item if configured.
    Ended(ItemEnd, Vec<Command>),
    /// Ended without having been posted.
    Unposted(ItemEnd),
    /// 429 or 503. The command releases the item.
    Busy {
        key: ItemKey,
        what: Arc<str>,
        /// From `Retry-After`.
        wait: Option<Duration>,
        release: Command,
    },
    /// Not posted, because preparation took too long or the replay was paused. The command releases the item.
    Late(Command),
    /// Not posted, because of the store.
    Stuck(StuckReason),
}

pub enum StuckReason {
    Full,
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
    /// Sends one item unless `may_still` returns false when everything is ready.
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
                let message = format!("replay {} failed: {counts_as}", self.replay.0);
                let data = serde_json::json!({"replay": self.replay.0, "status": status});
                let error = Box::new(replays.handoff.error("replay", message, data, now.now));
                let fail = leased.act(
                    LeaseCommand::Fail { error, then: AfterFailure::RetryAt(now.now), progress: None },
                    now,
                );
                let (workflow, id) = (leased.item.workflow, leased.item.id);
                let failure = ReplayFailure { workflow, id, reason, status, at: now.now };
                Sent::Ended(ItemEnd::Failed { failure, counts_as }, vec![fail])
            }
        })
    }

    /// Leases the item, or returns how it ended if it cannot be leased.
    async fn claim(&self, replays: &Replays, number: ItemNumber) -> Result<Claimed, StuckReason> {
        let mut before = None;
        for _ in 0..CLAIMS_MAX {
            match replays.handoff.lease(before.take(), self.claiming(replays, number)).await? {
                Leasing::Leased(leased) => return Ok(Claimed::Leased(leased)),
                Leasing::StorageFull => return Err(StuckReason::Full),
                Leasing::Refused => {}
            }
            let now = replays.clock.moment();
            let Some(item) = replays.store.items(vec![number]).await?.pop() else { break };
            let is_ours = |worker: &str| worker == &*self.replay.0;
            let last = item.work.lease.as_ref().filter(|lease| is_ours(&lease.worker));
            if item.closed.is_some() {
                // By this replay, before an interruption: the result was not committed.
                let was_done = last.is_some_and(|lease| lease.ended == Some(LeaseEnd::Completed));
                return Ok(Claimed::Ended(if was_done { ItemEnd::Succeeded } else { ItemEnd::Skipped }));
            }
            before = match item.work.running(now.now) {
                // Left by an interruption of this replay: whether the target accepted it is unknown.
                Some(lease) if is_ours(&lease.worker) => {
                    let lease = LeaseId { item: number, token: lease.token };
                    let act = LeaseCommand::release();
                    Some(Command::ActOnLease { lease, act, policies: replays.workflows.clone(), now })
                }
                Some(_) => return Ok(Claimed::Ended(ItemEnd::Skipped)),
                None => None,
            };
        }
        Ok(Claimed::Ended(ItemEnd::Skipped))
    }

    fn claiming(&self, replays: &Replays, number: ItemNumber) -> Claim {
        let now = replays.clock.moment();
        Claim {
            number,
            // The item was selected; it only has to be open still.
            filter: Arc::new(ItemFilter::default()),
            worker: self.replay.0.clone(),
            expires_at: now.now.after(self.target.timeout + LEASE_MARGIN),
            // A replay ignores the back-off of workers.
            ignores_wait: true,
            policies: replays.workflows.clone(),
            now,
        }
    }

    /// The commands for an accepted item. The close is repeated without the lease: the target has done the
    /// work, whoever holds the lease by now.
    fn after_success(&self, replays: &Replays, leased: &Leased, now: Moment) -> Vec<Command> {
        let policy = replays.workflows.policy(&leased.item.workflow);
        match self.on_success {
            OnSuccess::Accept => {
                // The workflow must not give it to a worker again while the target works on it.
                let retry_at = policy.redrive.as_ref().map(|redrive| now.now.after(redrive.after));
                vec![leased.act(LeaseCommand::Release { retry_at, counts: true, progress: None }, now)]
            }
            OnSuccess::Close => {
                let closing = policy.closing(CloseOutcome::Success, now.now);
                let complete = LeaseCommand::Complete {
                    outcome: StepOutcome::plain(StepStatus::Done),
                    closes: true,
                    progress: None,
                };
                vec![leased.act(complete, now), Command::Close { key: leased.item.key(), closing }]
            }
        }
    }
}

/// The same for every attempt to post this item in this replay.
fn webhook_id(replay: &ReplayId, number: ItemNumber) -> Arc<str> {
    repeatable_id("msg", &[&replay.0, &number.0.to_string()])
}
