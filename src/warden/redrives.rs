//! Redriving: overdue items of the workflows that ask for it are sent to where their work begins, by themselves.
//!
//! One loop for each such workflow. What is due is found in the census and judged by the store, as for any claim; the loop
//! holds the lease of an item while it posts it, as worker [`WORKER`], and then leaves it alone for as long as the policy
//! says. An attempt that was interrupted counts as one.
//!
//! Deliberately absent: giving up. Who has had all attempts stays overdue, and people have been told of it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::Workflows;
use super::census::Census;
use super::handoff::{Handoff, Hold, LEASE_MARGIN, Leasing, Posted, Sending, Target};
use crate::model::lease::AfterFailure;
use crate::model::random::repeatable_id;
use crate::model::{
    Clock, Item, ItemFilter, ItemNumber, ItemState, LeaseAct, Redrive, Timestamp, WorkflowName,
};
use crate::outbound::{Endpoint, Rate, RateLimiter, SigningKey, Transport};
use crate::store::{Claim, Store, StoreError};

/// In whose name items are leased meanwhile.
pub const WORKER: &str = "redrive";
/// How many items of a workflow are on their way at a time at most.
const AT_ONCE: usize = 16;
/// How long the target may take for one item.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long nothing is sent when the store has no room.
const STUCK_WAIT: Duration = Duration::from_secs(1);
/// How long an item waits that a target had no room for, unless the target says so.
const BUSY_WAIT: Duration = Duration::from_secs(1);
/// How long nothing is sent when the disk is full.
const FULL_WAIT: Duration = Duration::from_secs(10);

/// Where the overdue items of a workflow are sent.
#[derive(Clone, Debug)]
pub struct RedriveTarget {
    /// Where to.
    pub url: Endpoint,
    /// What signs them; a signature for each.
    pub keys: Vec<SigningKey>,
    /// How many at most.
    pub rate: Rate,
}

/// What became of redriven items since the start.
#[derive(Debug, Default)]
pub struct RedriveCounts {
    /// Posts that were answered with 2xx.
    pub taken: AtomicU64,
    /// Posts that were not, but for those that are to come later.
    pub failed: AtomicU64,
}

/// What became of an item.
enum Redriven {
    /// It was posted.
    Posted,
    /// It was not: somebody came before, or it is closed.
    Unposted,
    /// The target has no room.
    Busy(Option<Duration>),
    /// The disk is full.
    Full,
}

/// Sends overdue items to their targets by itself. See the module's documentation.
pub struct Redrives {
    store: Arc<dyn Store>,
    handoff: Arc<Handoff>,
    census: Arc<Census>,
    workflows: Arc<Workflows>,
    clock: Arc<dyn Clock>,
    /// How targets are reached.
    transport: Arc<Transport>,
    counts: RedriveCounts,
}

impl Redrives {
    pub fn new(
        store: Arc<dyn Store>,
        handoff: Arc<Handoff>,
        census: Arc<Census>,
        workflows: Arc<Workflows>,
        clock: Arc<dyn Clock>,
        transport: Arc<Transport>,
    ) -> Self {
        Self { store, handoff, census, workflows, clock, transport, counts: RedriveCounts::default() }
    }

    /// Sends a workflow's overdue items until `stop`.
    pub async fn run(&self, workflow: WorkflowName, target: RedriveTarget, stop: CancellationToken) {
        let Some(policy) = self.workflows.policy(&workflow).redrive.clone() else { return };
        let RedriveTarget { url, keys, rate } = target;
        let transport = self.transport.clone();
        let target =
            Target { name: format!("redrive of {workflow}").into(), url, keys, timeout: TIMEOUT, transport };
        let filter = Arc::new(ItemFilter { states: vec![ItemState::Overdue], ..ItemFilter::default() });
        let sooner = self.census.redrivable_sooner(&workflow);
        let send = |number: ItemNumber| {
            let (target, filter, policy) = (&target, &filter, &policy);
            async move { (number, self.redrive_one(number, target, filter.clone(), policy).await) }
        };
        let (mut limiter, mut hold) = (RateLimiter::new(rate), Hold::default());
        let (mut taken, mut on_their_way) = (HashSet::new(), FuturesUnordered::new());
        loop {
            let next = loop {
                if taken.len() >= AT_ONCE.min(hold.room()) {
                    break Timestamp::MAX;
                }
                let (now, free_at) = (self.clock.now(), limiter.free_at().max(hold.until()));
                if free_at > now {
                    break free_at;
                }
                match self.census.redrivable(&workflow, &taken, now) {
                    Ok(number) => {
                        limiter.note(now);
                        taken.insert(number);
                        on_their_way.push(send(number));
                    }
                    Err(due_at) => break due_at,
                }
            };
            let (number, redriven) = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(ended) = on_their_way.next() => ended,
                () = sooner.notified() => continue,
                () = self.clock.sleep_until(next) => continue,
            };
            taken.remove(&number);
            let now = self.clock.now();
            match redriven {
                Ok(Redriven::Posted) => hold.free(now),
                Ok(Redriven::Unposted) => {}
                Ok(Redriven::Busy(wait)) => {
                    hold.busy(wait, now);
                    let until = self.clock.moment().wall(hold.until());
                    tracing::info!(%workflow, %until, "the target of redriven items has no room; waiting");
                }
                Ok(Redriven::Full) => hold.stuck(FULL_WAIT, now),
                Err(StoreError::Overloaded) => hold.stuck(STUCK_WAIT, now),
                Err(StoreError::Closing) => return,
                Err(error) => {
                    tracing::error!(%workflow, %error, "overdue items could not be sent again");
                    return;
                }
            }
        }
    }

    async fn redrive_one(
        &self,
        number: ItemNumber,
        target: &Target,
        filter: Arc<ItemFilter>,
        policy: &Redrive,
    ) -> Result<Redriven, StoreError> {
        let now = self.clock.moment();
        let expires_at = now.now.after(TIMEOUT + LEASE_MARGIN);
        let claim = Claim { number, filter, worker: WORKER.into(), expires_at, ignores_wait: false, now };
        let leased = match self.handoff.lease(None, claim).await? {
            Leasing::Leased(leased) => leased,
            Leasing::StorageFull => return Ok(Redriven::Full),
            Leasing::Refused => return Ok(Redriven::Unposted),
        };
        // Another one for each attempt: a target that knows the id would take it for a repetition, and do nothing.
        let token = leased.lease.token;
        let id = repeatable_id("msg", &[WORKER, &number.0.to_string(), &token.to_string()]);
        let sending = self.handoff.post(target, &id, &leased.item, || true).await?;
        let now = self.clock.now();
        let (act, redriven) = match sending {
            Sending::Gone => return Ok(Redriven::Unposted),
            Sending::Late => (LeaseAct::Release { retry_at: None, counts: false }, Redriven::Unposted),
            Sending::Posted(Posted::Taken) => {
                self.counts.taken.fetch_add(1, Ordering::Relaxed);
                let retry_at = Some(now.after(policy.after));
                (LeaseAct::Release { retry_at, counts: true }, Redriven::Posted)
            }
            Sending::Posted(Posted::Busy { wait, .. }) => {
                // Behind the others, so that one which is never taken does not keep them back.
                let retry_at = Some(now.after(wait.unwrap_or(BUSY_WAIT)));
                (LeaseAct::Release { retry_at, counts: false }, Redriven::Busy(wait))
            }
            Sending::Posted(Posted::Refused { status, counts_as, reason }) => {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                let Item { workflow, id, work, .. } = &*leased.item;
                let attempt = work.attempts;
                tracing::info!(%workflow, item = %id, attempt, "a redriven item did not get through: {reason}");
                let message = format!("attempt {attempt} to redrive it did not get through: {counts_as}");
                let data = serde_json::json!({"status": status});
                let error = Box::new(self.handoff.error(WORKER, message, data, now));
                (
                    LeaseAct::Fail { error, then: AfterFailure::Retry(now.after(policy.after)) },
                    Redriven::Posted,
                )
            }
        };
        // When this cannot be committed the lease runs out by itself, and the attempt has counted.
        self.store.apply_one(leased.act(act, self.clock.moment())).await?;
        Ok(redriven)
    }

    /// What became of redriven items since the start.
    pub fn counts(&self) -> &RedriveCounts {
        &self.counts
    }
}
