//! Leases: items are claimed, held, and ended by their holders.
//!
//! Which items may be claimed is found in the census and judged by the store, so that however many ask at once, none is
//! given to two. A claim that finds nothing may wait; it looks again when something has come or a lease has run out.
//!
//! A claim is no write that could be repeated: one whose answer is lost leaves its items to nobody until its time has run out.
//!
//! Deliberately absent: anything that happens by itself when a lease runs out. The item may be claimed again, and that is
//! all there is to it.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::census::{Place, Reservation, Wanted};
use super::items::{ReportError, changed};
use super::{Warden, WardenError};
use crate::model::item::Merge;
use crate::model::lease::{Advance, AfterFailure, WORKER_MAX};
use crate::model::{
    CloseOutcome, Item, ItemFilter, ItemNumber, ItemState, LeaseAct, LeaseId, LeaseLost, Order, Position,
    Timestamp,
};
use crate::store::{Claim, Command, ListItems, Outcome, StoreError};

/// The most items that one claim gets.
pub const CLAIM_MAX: usize = 1000;
/// The shortest and the longest time for which a lease holds without a heartbeat.
pub const TTL: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
/// For how long a lease holds of which nothing else is said.
pub const TTL_DEFAULT: Duration = Duration::from_secs(60);
/// The longest time that a claim waits for something to come.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// How many items are looked up at once for a claim that names what only their records tell.
const BITE: usize = 512;
/// How many items are read at once when those that are not due are first asked for.
const OPEN_PAGE: usize = 1000;

/// What is asked of a claim.
#[derive(Clone, Debug)]
pub struct ClaimItems {
    /// Which items. States other than open, overdue and failed hold nothing that could be claimed.
    pub filter: ItemFilter,
    /// After which place in the order of deadlines.
    pub after: Option<Position>,
    /// How many at most.
    pub max: usize,
    /// For how long each is held unless a heartbeat comes.
    pub ttl: Duration,
    /// How long to wait if there is none.
    pub wait: Duration,
    /// Who claims.
    pub worker: Arc<str>,
}

/// What the holder of a lease says when the step is done.
#[derive(Clone, Debug, Default)]
pub struct CompleteStep {
    /// Whether the item is done, whatever steps are left.
    pub close: bool,
    /// A merge patch of the progress document.
    pub progress: Option<Merge<Map<String, Value>>>,
}

/// What the holder of a lease says when the attempt failed.
#[derive(Clone, Debug)]
pub struct FailAttempt {
    /// Why. Whether it is fatal follows from the workflow's policy.
    pub error: ReportError,
    /// Whether the step counts as done all the same.
    pub ignorable: bool,
    /// How long to wait for the next attempt, if not as the policy says.
    pub retry_after: Option<Duration>,
}

/// What became of leases since the start.
#[derive(Debug, Default)]
pub struct LeaseCounts {
    /// Items that were claimed.
    pub claimed: AtomicU64,
    /// Steps that were completed.
    pub completed: AtomicU64,
    /// Attempts that failed.
    pub failed: AtomicU64,
    /// Items that were given back.
    pub released: AtomicU64,
    /// Times that a holder was told that its lease holds no longer.
    pub lost: AtomicU64,
}

/// Whether the census knows of items that are not due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpenItems {
    /// Nobody has asked for such ones yet.
    Unknown,
    /// They are being read.
    BeingRead,
    /// It does.
    Kept,
}

/// What the service keeps for leases.
pub struct Leases {
    counts: LeaseCounts,
    open: watch::Sender<OpenItems>,
    /// Places for claims that wait.
    waiting: Semaphore,
    waiting_max: usize,
    /// Ends all waiting.
    closing: CancellationToken,
}

impl Leases {
    /// Nothing is leased yet, and so many claims may wait at a time.
    pub fn new(waiting_max: usize) -> Self {
        Self {
            counts: LeaseCounts::default(),
            open: watch::Sender::new(OpenItems::Unknown),
            waiting: Semaphore::new(waiting_max),
            waiting_max,
            closing: CancellationToken::new(),
        }
    }
}

impl Warden {
    /// Leases items to a worker, the earliest deadline first.
    ///
    /// # Errors
    /// When a limit is broken or the store refuses.
    pub async fn claim(warden: &Arc<Self>, request: ClaimItems) -> Result<Vec<Item>, WardenError> {
        let ClaimItems { max, ttl, wait, ref worker, .. } = request;
        check(max, ttl, wait, worker)?;
        if request.filter.states.contains(&ItemState::Open) {
            Self::keep_open(warden).await?;
        }
        warden.claim_or_wait(request).await
    }

    async fn claim_or_wait(&self, request: ClaimItems) -> Result<Vec<Item>, WardenError> {
        let ClaimItems { filter, after, max, ttl, wait, worker } = request;
        let filter = Arc::new(filter);
        let after = after.map(|position| (position.deadline, position.number));
        let until = self.clock.now().after(wait);
        // Beyond a number of them nobody waits: the places among the requests in flight are for others as well.
        let waits = if wait.is_zero() { None } else { self.leases.waiting.try_acquire().ok() };
        loop {
            let mut come = pin!(self.census.claimable_has_come());
            come.as_mut().enable();
            let claimed = self.claim_first(&filter, after, max, ttl, &worker).await?;
            let now = self.clock.now();
            if !claimed.is_empty() || waits.is_none() || now >= until {
                self.leases.counts.claimed.fetch_add(claimed.len() as u64, Ordering::Relaxed);
                return Ok(claimed);
            }
            tokio::select! {
                () = come => {}
                () = self.clock.sleep_until(until.min(self.census.next_free())) => {}
                () = self.leases.closing.cancelled() => return Ok(Vec::new()),
            }
        }
    }

    /// Claims the first items that there are after a place. What the store refuses, because it has changed a moment ago, is
    /// passed over: that there is nothing is said only when there is nothing behind it either.
    async fn claim_first(
        &self,
        filter: &Arc<ItemFilter>,
        mut after: Option<Place>,
        max: usize,
        ttl: Duration,
        worker: &Arc<str>,
    ) -> Result<Vec<Item>, WardenError> {
        loop {
            let reservation = self.reserve(filter, after, max).await?;
            let Some(last) = reservation.places.last().copied() else { return Ok(Vec::new()) };
            let claimed = self.claim_reserved(&reservation, filter, ttl, worker).await?;
            if !claimed.is_empty() {
                return Ok(claimed);
            }
            after = Some(last);
        }
    }

    /// Reserves items that are as the filter says, as far as can be known before the store is asked.
    async fn reserve(
        &self,
        filter: &ItemFilter,
        mut after: Option<Place>,
        max: usize,
    ) -> Result<Reservation<'_>, WardenError> {
        let wanted = Wanted {
            admits: &|workflow| filter.admits_workflow(workflow),
            states: &filter.states,
            step: filter.step.as_deref(),
        };
        if !filter.needs_record() {
            return Ok(self.census.reserve_first(&wanted, after, max));
        }
        // Looked up before they are reserved: what is not wanted stays there for others, and nobody is woken for it. All of them
        // if need be, but few at first: where a step is all that is asked for, nearly each of them is wanted.
        let mut bite = max.min(BITE);
        loop {
            let places = self.census.claimable(&wanted, after, bite);
            let numbers = places.iter().map(|(_, number)| *number).collect();
            let now = self.clock.now();
            let items = self.store.items(numbers).await?;
            let fitting = items.iter().filter(|item| filter.admits(item, now));
            let fitting: Vec<Place> = fitting.map(|item| (item.deadline, item.number)).collect();
            let reservation = self.census.reserve(&fitting, max);
            if !reservation.places.is_empty() || places.len() < bite || self.leases.closing.is_cancelled() {
                return Ok(reservation);
            }
            after = places.last().copied();
            bite = (2 * bite).min(BITE);
        }
    }

    async fn claim_reserved(
        &self,
        reservation: &Reservation<'_>,
        filter: &Arc<ItemFilter>,
        ttl: Duration,
        worker: &Arc<str>,
    ) -> Result<Vec<Item>, WardenError> {
        if reservation.places.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        let claim = |(_, number): &Place| {
            Command::Claim(Box::new(Claim {
                number: *number,
                filter: filter.clone(),
                worker: worker.clone(),
                expires_at: now.after(ttl),
                now,
            }))
        };
        let outcomes = self.store.apply(reservation.places.iter().map(claim).collect()).await?;
        let mut claimed = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            match outcome {
                Outcome::Changed(item) => claimed.push(*item),
                // What was claimed before the disk was full is the caller's.
                Outcome::StorageFull if claimed.is_empty() => return Err(WardenError::StorageFull),
                _ => {}
            }
        }
        Ok(claimed)
    }

    /// Sees to it that the census knows of items that are not due. The first claim that asks for such ones has all items read
    /// once, whether it waits for that or goes away.
    async fn keep_open(warden: &Arc<Self>) -> Result<(), WardenError> {
        let begins = warden.leases.open.send_if_modified(|open| {
            let begins = *open == OpenItems::Unknown;
            if begins {
                *open = OpenItems::BeingRead;
            }
            begins
        });
        if begins {
            let reading = warden.clone();
            tokio::spawn(async move {
                let read = reading.read_open().await;
                if let Err(error) = &read {
                    tracing::warn!(%error, "the items that are not due could not be read for those who claim them");
                    reading.census.drop_open();
                }
                reading.leases.open.send_replace(if read.is_ok() {
                    OpenItems::Kept
                } else {
                    OpenItems::Unknown
                });
            });
        }
        let mut open = warden.leases.open.subscribe();
        let known = open.wait_for(|open| *open != OpenItems::BeingRead).await.map(|open| *open);
        match known {
            Ok(OpenItems::Kept) => Ok(()),
            _ => Err(StoreError::Overloaded.into()),
        }
    }

    async fn read_open(&self) -> Result<(), StoreError> {
        self.census.keep_open();
        let filter = ItemFilter { states: vec![ItemState::Open], ..ItemFilter::default() };
        let (order, limit) = (Order::Created, OPEN_PAGE);
        let mut after = None;
        loop {
            let now = self.clock.now();
            let question = ListItems { filter: filter.clone(), order, after, limit, now };
            let page = self.store.list(question).await?;
            self.census.fill_open(&page.data);
            after = page.next;
            if after.is_none() {
                self.census.filled_open();
                return Ok(());
            }
        }
    }

    /// The item that was leased, whether the lease still holds or not.
    ///
    /// # Errors
    /// When it is forgotten, or the store cannot read.
    pub async fn leased_item(&self, lease: LeaseId) -> Result<Item, WardenError> {
        let item = self.store.items(vec![lease.item]).await?.pop();
        item.ok_or_else(|| self.lost(LeaseLost::Forgotten))
    }

    /// Holds a lease for longer: until `ttl` from now; without one for a minute, unless it holds for longer already.
    ///
    /// # Errors
    /// When the lease holds no longer, a limit is broken, or the store refuses.
    pub async fn heartbeat(
        &self,
        lease: LeaseId,
        ttl: Option<Duration>,
        progress: Option<Merge<Map<String, Value>>>,
    ) -> Result<Item, WardenError> {
        let now = self.clock.now();
        let (may_shorten, ttl) = (ttl.is_some(), ttl.unwrap_or(TTL_DEFAULT));
        check_ttl(ttl)?;
        let act = LeaseAct::Heartbeat { expires_at: now.after(ttl), may_shorten, progress };
        self.act_on_lease(lease, act, now).await
    }

    /// Takes note that the step is done of an item that was read by [`Warden::leased_item`]. After the last step it is closed.
    ///
    /// # Errors
    /// When the lease holds no longer, a limit is broken, or the store refuses.
    pub async fn complete(
        &self,
        lease: LeaseId,
        item: &Item,
        request: CompleteStep,
    ) -> Result<Item, WardenError> {
        let now = self.clock.now();
        let policy = self.workflows.policy(&item.workflow);
        let advance = if request.close {
            Advance::Close(policy.closing(CloseOutcome::Success, now))
        } else {
            policy.advance(item, now)
        };
        self.act_on_lease(lease, LeaseAct::Complete { advance, progress: request.progress }, now).await
    }

    /// Takes note that the attempt failed of an item that was read by [`Warden::leased_item`]. It is tried again as the
    /// workflow's policy says, or has failed.
    ///
    /// # Errors
    /// When the lease holds no longer, a limit is broken, or the store refuses.
    pub async fn fail(&self, lease: LeaseId, item: &Item, request: FailAttempt) -> Result<Item, WardenError> {
        let now = self.clock.now();
        let policy = self.workflows.policy(&item.workflow);
        let wait = policy.retry.wait_after(item.work.attempts, self.random.unit());
        let then = match wait {
            _ if request.ignorable => AfterFailure::Ignore(policy.advance(item, now)),
            Some(wait) if request.error.retryable => {
                AfterFailure::Retry(now.after(request.retry_after.unwrap_or(wait)))
            }
            _ => AfterFailure::GiveUp,
        };
        let error = Box::new(self.error(request.error, &item.key(), now)?);
        let (id, gives_up) = (error.id.clone(), then == AfterFailure::GiveUp);
        let item = self.act_on_lease(lease, LeaseAct::Fail { error, then }, now).await?;
        // Not when it was said before.
        if item.has_error(&id) {
            tracing::info!(workflow = %item.workflow, item = %item.id, error = %id, gives_up, "an attempt failed");
        }
        Ok(item)
    }

    /// Gives an item back unharmed; nobody else gets it for `delay`.
    ///
    /// # Errors
    /// When the lease holds no longer, or the store refuses.
    pub async fn release(&self, lease: LeaseId, delay: Duration) -> Result<Item, WardenError> {
        let now = self.clock.now();
        let retry_at = (!delay.is_zero()).then(|| now.after(delay));
        self.act_on_lease(lease, LeaseAct::Release { retry_at, counts: false }, now).await
    }

    async fn act_on_lease(&self, lease: LeaseId, act: LeaseAct, now: Timestamp) -> Result<Item, WardenError> {
        let counts = &self.leases.counts;
        let count = match act {
            LeaseAct::Heartbeat { .. } => None,
            LeaseAct::Complete { .. } => Some(&counts.completed),
            LeaseAct::Fail { .. } => Some(&counts.failed),
            LeaseAct::Release { .. } => Some(&counts.released),
        };
        match self.apply_one(Command::ActOnLease { lease, act, now }).await? {
            Outcome::LeaseLost(LeaseLost::Unknown) => Err(WardenError::LeaseNotFound),
            Outcome::LeaseLost(lost) => Err(self.lost(lost)),
            outcome => {
                let item = changed(outcome)?;
                count.map(|count| count.fetch_add(1, Ordering::Relaxed));
                Ok(item)
            }
        }
    }

    fn lost(&self, lost: LeaseLost) -> WardenError {
        self.leases.counts.lost.fetch_add(1, Ordering::Relaxed);
        WardenError::LeaseLost(lost)
    }

    /// What became of leases since the start.
    pub fn lease_counts(&self) -> &LeaseCounts {
        &self.leases.counts
    }

    /// How many claims wait.
    pub fn waiting_claims(&self) -> usize {
        self.leases.waiting_max.saturating_sub(self.leases.waiting.available_permits())
    }

    /// Has no claim wait any longer, nor any to come.
    pub fn stop_waiting(&self) {
        self.leases.closing.cancel();
    }
}

/// Where a claim goes on that passes over what these items come after.
pub fn place_after(claimed: &[Item]) -> Option<Position> {
    let place = |item: &Item| (item.deadline, item.number);
    let last: Option<(Timestamp, ItemNumber)> = claimed.iter().map(place).max();
    last.map(|(deadline, number)| Position { deadline, number })
}

fn check(max: usize, ttl: Duration, wait: Duration, worker: &str) -> Result<(), WardenError> {
    let refuse = |message: String| Err(WardenError::Invalid(message));
    if !(1..=CLAIM_MAX).contains(&max) {
        return refuse(format!("max is {max}; a claim gets 1 to {CLAIM_MAX} items"));
    }
    if wait > WAIT_MAX {
        return refuse(format!("a claim waits at most {}", humantime::format_duration(WAIT_MAX)));
    }
    if !(1..=WORKER_MAX).contains(&worker.len()) || worker.chars().any(char::is_control) {
        return refuse(format!("a worker's name is 1 to {WORKER_MAX} bytes without control characters"));
    }
    check_ttl(ttl)
}

fn check_ttl(ttl: Duration) -> Result<(), WardenError> {
    if TTL.contains(&ttl) {
        return Ok(());
    }
    let (least, most) = (humantime::format_duration(*TTL.start()), humantime::format_duration(*TTL.end()));
    Err(WardenError::Invalid(format!("ttl must be from {least} to {most}")))
}
