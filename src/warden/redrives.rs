//! Redrives: overdue items are automatically posted to a URL where their work starts again.
//!
//! One loop for each workflow with redrives; all begin anew when the configuration is reloaded, and the
//! former ones end with the answers that they wait for. Due items are found in the census and judged by the
//! store, as for any claim. The loop leases an item as worker [`WORKER`] while it posts it, and then waits as
//! the policy says before the next attempt. An interrupted attempt counts.
//!
//! Deliberately absent: giving up. An item without attempts left stays overdue, and its incident has been
//! notified.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Workflows;
use super::census::Census;
use super::context::Context;
use super::handoff::{Backoff, Handoff, LEASE_MARGIN, Leasing, Posted, Sending, Target};
use crate::model::item::AfterFailure;
use crate::model::random::repeatable_id;
use crate::model::{
    Clock, Item, ItemFilter, ItemNumber, ItemState, LeaseCommand, Redrive, Timestamp, WorkflowName,
};
use crate::outbound::{Endpoint, Rate, RateLimiter, SigningKey, Transport};
use crate::store::{Claim, StoreError, Writes};

/// The worker name of the leases.
pub const WORKER: &str = "redrive";
/// The most items of a workflow in flight.
const AT_ONCE: usize = 16;
/// The timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The pause after a commit was rejected.
const STUCK_WAIT: Duration = Duration::from_secs(1);
/// The back-off of an item after 429 or 503 without `Retry-After`.
const BUSY_WAIT: Duration = Duration::from_secs(1);
/// The pause when the disk is full.
const FULL_WAIT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct RedriveTarget {
    pub url: Endpoint,
    /// One signature for each.
    pub keys: Vec<SigningKey>,
    pub rate: Rate,
}

/// Counters since the start.
#[derive(Debug, Default)]
pub struct RedriveCounts {
    /// Answered with 2xx.
    pub taken: AtomicU64,
    /// Answered otherwise, except 429 and 503, or not answered.
    pub failed: AtomicU64,
}

/// The result for an item.
enum Redriven {
    Posted,
    /// Not posted: it was leased by somebody else, or closed.
    Unposted,
    /// 429 or 503.
    Busy(Option<Duration>),
    Full,
}

pub struct Redrives {
    store: Arc<dyn Writes>,
    handoff: Arc<Handoff>,
    census: Arc<Census>,
    workflows: Arc<Workflows>,
    clock: Arc<dyn Clock>,
    transport: Arc<Transport>,
    targets: watch::Sender<Targets>,
    counts: RedriveCounts,
}

/// By workflow.
pub type Targets = Arc<BTreeMap<WorkflowName, RedriveTarget>>;

/// Whether the loop of a workflow ended in order, rather than failed.
type EndedWell = bool;

impl Redrives {
    pub(super) fn new(
        context: &Context,
        handoff: Arc<Handoff>,
        transport: Arc<Transport>,
        targets: Targets,
    ) -> Self {
        let Context { store, workflows, census, clock, .. } = context.clone();
        let (targets, counts) = (watch::Sender::new(targets), RedriveCounts::default());
        Self { store, handoff, census, workflows, clock, transport, targets, counts }
    }

    /// Replaces the targets. The policies of their workflows are in force already.
    pub(super) fn adopt(&self, targets: Targets) {
        self.targets.send_replace(targets);
    }

    /// Redrives overdue items until `stop`. Ends before that only if a loop fails.
    pub(super) async fn run(redrives: Arc<Self>, stop: CancellationToken) {
        let mut targets = redrives.targets.subscribe();
        let mut running: JoinSet<EndedWell> = JoinSet::new();
        loop {
            let in_force = targets.borrow_and_update().clone();
            let replaced = CancellationToken::new();
            for (workflow, target) in &*in_force {
                let (redrives, workflow, target) = (redrives.clone(), workflow.clone(), target.clone());
                let (replaced, stop) = (replaced.clone(), stop.clone());
                running.spawn(async move { redrives.redrive(workflow, target, replaced, stop).await });
            }
            let changed = loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break false,
                    changed = targets.changed() => break changed.is_ok(),
                    Some(ended) = running.join_next() => if !ended.unwrap_or(false) {
                        return;
                    },
                }
            };
            if !changed {
                while running.join_next().await.is_some() {}
                return;
            }
            replaced.cancel();
        }
    }

    /// Redrives a workflow's overdue items until its target is replaced, or `stop`.
    async fn redrive(
        &self,
        workflow: WorkflowName,
        target: RedriveTarget,
        replaced: CancellationToken,
        stop: CancellationToken,
    ) -> EndedWell {
        // Replaced already.
        let Some(policy) = self.workflows.policy(&workflow).redrive.clone() else { return true };
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
        let (mut limiter, mut backoff) = (RateLimiter::new(rate), Backoff::default());
        let (mut taken, mut in_flight) = (HashSet::new(), FuturesUnordered::new());
        loop {
            if replaced.is_cancelled() && in_flight.is_empty() {
                return true;
            }
            let next = loop {
                if replaced.is_cancelled() || taken.len() >= AT_ONCE.min(backoff.room()) {
                    break Timestamp::MAX;
                }
                let (now, free_at) = (self.clock.now(), limiter.free_at().max(backoff.until()));
                if free_at > now {
                    break free_at;
                }
                match self.census.redrivable(&workflow, &taken, now) {
                    Ok(number) => {
                        limiter.note(now);
                        taken.insert(number);
                        in_flight.push(send(number));
                    }
                    Err(due_at) => break due_at,
                }
            };
            let (number, redriven) = tokio::select! {
                biased;
                () = stop.cancelled() => return true,
                () = replaced.cancelled(), if !replaced.is_cancelled() => continue,
                Some(ended) = in_flight.next() => ended,
                () = sooner.notified() => continue,
                () = self.clock.sleep_until(next) => continue,
            };
            taken.remove(&number);
            let now = self.clock.now();
            match redriven {
                Ok(Redriven::Posted) => backoff.free(now),
                Ok(Redriven::Unposted) => {}
                Ok(Redriven::Busy(wait)) => {
                    backoff.busy(wait, now);
                    let until = self.clock.moment().wall(backoff.until());
                    tracing::info!(%workflow, %until, "the redrive target is overloaded; backing off");
                }
                Ok(Redriven::Full) => backoff.pause(FULL_WAIT, now),
                Err(StoreError::Overloaded) => backoff.pause(STUCK_WAIT, now),
                Err(StoreError::Closing) => return true,
                Err(error) => {
                    tracing::error!(%workflow, %error, "the store failed; redrives stop");
                    return false;
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
        let claim = Claim {
            number,
            filter,
            worker: WORKER.into(),
            expires_at,
            ignores_wait: false,
            policies: self.workflows.clone(),
            now,
        };
        let leased = match self.handoff.lease(None, claim).await? {
            Leasing::Leased(leased) => leased,
            Leasing::StorageFull => return Ok(Redriven::Full),
            Leasing::Refused => return Ok(Redriven::Unposted),
        };
        // A new id for each attempt: a target ignores an id that it has already processed.
        let token = leased.lease.token;
        let id = repeatable_id("msg", &[WORKER, &number.0.to_string(), &token.to_string()]);
        let sending = self.handoff.post(target, &id, &leased.item, || true).await?;
        let now = self.clock.now();
        let (act, redriven) = match sending {
            Sending::Gone => return Ok(Redriven::Unposted),
            Sending::Late => (LeaseCommand::release(), Redriven::Unposted),
            Sending::Posted(Posted::Taken) => {
                self.counts.taken.fetch_add(1, Ordering::Relaxed);
                let retry_at = Some(now.after(policy.after));
                (LeaseCommand::Release { retry_at, counts: true, progress: None }, Redriven::Posted)
            }
            Sending::Posted(Posted::Busy { wait, .. }) => {
                // Behind the others, so that an item which is never accepted does not block them.
                let retry_at = Some(now.after(wait.unwrap_or(BUSY_WAIT)));
                (LeaseCommand::Release { retry_at, counts: false, progress: None }, Redriven::Busy(wait))
            }
            Sending::Posted(Posted::Refused { status, counts_as, reason }) => {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                let Item { workflow, id, work, .. } = &*leased.item;
                let attempt = work.attempts;
                tracing::info!(%workflow, item = %id, attempt, %reason, "redrive failed");
                let message = format!("redrive attempt {attempt} failed: {counts_as}");
                let data = serde_json::json!({"status": status});
                let error = Box::new(self.handoff.error(WORKER, message, data, now));
                (
                    LeaseCommand::Fail {
                        error,
                        then: AfterFailure::RetryAt(now.after(policy.after)),
                        progress: None,
                    },
                    Redriven::Posted,
                )
            }
        };
        // If this cannot be committed the lease expires, and the attempt has counted.
        self.store.apply_one(leased.act(act, self.clock.moment())).await?;
        Ok(redriven)
    }

    pub fn counts(&self) -> &RedriveCounts {
        &self.counts
    }
}
