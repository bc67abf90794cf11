//! Claims: leasing items to workers.
//!
//! Candidates are found in the census and judged by the store, so concurrent claims never get the same item.
//! A claim that finds nothing may wait (long polling); it tries again when an item becomes claimable or a
//! lease expires.
//!
//! A claim is not idempotent: if its response is lost, its items stay leased until the ttl has passed.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use warden_api::limit::CLAIM_MAX;

use super::Recovery;
use super::leases::check_ttl;
use crate::model::item::WORKER_MAX;
use crate::model::{Item, ItemFilter, ItemNumber, ItemState, Moment, Order, Position, ReplayId, Timestamp};
use crate::store::{Claim, Command, ListItems, Outcome, StoreError};
use crate::warden::census::{Place, Reservation, Wanted};
use crate::warden::report::log_exhausted;
use crate::warden::{WardenError, redrives};

/// The longest wait of a claim.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// The most items read at once for a filter that the census cannot judge.
const BATCH: usize = 512;
/// The page size when items that are not due are read for the first time.
const OPEN_PAGE: usize = 1000;

#[derive(Clone, Debug)]
pub struct ClaimItems {
    /// Only open, overdue and failed items can be claimed; other states match nothing.
    pub filter: ItemFilter,
    /// Only items after this position in the order of deadlines.
    pub after: Option<Position>,
    /// The most items to lease.
    pub max: usize,
    /// The lease expires after this time without a heartbeat.
    pub ttl: Duration,
    /// How long to wait if no item is claimable.
    pub wait: Duration,
    pub worker: Arc<str>,
    /// Ends the wait: the client has disconnected.
    pub gone: CancellationToken,
}

/// Whether the census also indexes claimable items that are not due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpenItems {
    /// No claim has asked for them yet.
    Unknown,
    BeingRead,
    Kept,
}

/// Waiting claims, and whether the census indexes items that are not due.
pub struct Claims {
    open: Mutex<OpenItems>,
    /// Notified when reading ended, successfully or not.
    open_read: Notify,
    /// One permit for each claim that may wait.
    waiting: Semaphore,
    waiting_max: usize,
    /// Ends all waits.
    closing: CancellationToken,
}

impl Claims {
    /// `waiting_max` is the most claims that may wait at a time.
    pub fn new(waiting_max: usize) -> Self {
        Self {
            open: Mutex::new(OpenItems::Unknown),
            open_read: Notify::new(),
            waiting: Semaphore::new(waiting_max),
            waiting_max,
            closing: CancellationToken::new(),
        }
    }

    fn open(&self) -> MutexGuard<'_, OpenItems> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recovery {
    /// Leases items to a worker, the earliest deadline first.
    pub async fn claim(recovery: &Arc<Self>, request: ClaimItems) -> Result<Vec<Item>, WardenError> {
        let ClaimItems { max, ttl, wait, ref worker, .. } = request;
        check(max, ttl, wait, worker)?;
        if request.filter.states.contains(&ItemState::Open) {
            Self::keep_open(recovery).await?;
        }
        recovery.claim_or_wait(request).await
    }

    async fn claim_or_wait(&self, request: ClaimItems) -> Result<Vec<Item>, WardenError> {
        let ClaimItems { filter, after, max, ttl, wait, worker, gone } = request;
        let filter = Arc::new(filter);
        let after = after.map(|position| (position.deadline, position.number));
        let until = self.clock.now().after(wait);
        // At the limit a claim does not wait: requests in flight are needed for others as well.
        let waits = if wait.is_zero() { None } else { self.claims.waiting.try_acquire().ok() };
        loop {
            let mut come = pin!(self.census.claimable_has_come());
            come.as_mut().enable();
            let claimed = self.claim_first(&filter, after, max, ttl, &worker).await?;
            let now = self.clock.now();
            if !claimed.is_empty() || waits.is_none() || now >= until {
                self.counts.claimed.fetch_add(claimed.len() as u64, Ordering::Relaxed);
                return Ok(claimed);
            }
            tokio::select! {
                biased;
                () = come => {}
                () = self.clock.sleep_until(until.min(self.census.next_free())) => {}
                () = self.claims.closing.cancelled() => return Ok(Vec::new()),
                () = gone.cancelled() => return Ok(Vec::new()),
            }
        }
    }

    /// Leases the first items after a position. Items that the store refuses, because they have just changed,
    /// are skipped. The result is empty only if there is no candidate left.
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

    /// Reserves items that match the filter, as far as that is known before the store judges them.
    async fn reserve(
        &self,
        filter: &ItemFilter,
        mut after: Option<Place>,
        max: usize,
    ) -> Result<Reservation<'_>, WardenError> {
        if let Some(key) = &filter.item {
            let item = self.store.get(key.clone()).await?;
            let now = self.clock.moment();
            let fitting = item.filter(|item| filter.admits(item, now));
            let place = fitting.map(|item| (now.steady(item.deadline), item.number));
            let place = place.filter(|place| after.is_none_or(|after| *place > after));
            return Ok(self.census.reserve(place.as_slice(), max));
        }
        let at_step = |step: &str| filter.admits_step(Some(step));
        let wanted = Wanted {
            admits: &|workflow| filter.admits_workflow(workflow),
            states: &filter.states,
            step: if filter.names_steps() { Some(&at_step) } else { None },
        };
        if !filter.needs_record() {
            return Ok(self.census.reserve_first(&wanted, after, max));
        }
        // Read before they are reserved, so that items that do not match stay available and no waiting claim
        // is notified for nothing. The first batch is small: if the filter names only a step, nearly every
        // item matches.
        let mut batch = max.min(BATCH);
        loop {
            let places = self.census.claimable(&wanted, after, batch);
            let numbers = places.iter().map(|(_, number)| *number).collect();
            let now = self.clock.moment();
            let items = self.store.items(numbers).await?;
            let fitting = items.iter().filter(|item| filter.admits(item, now));
            let fitting: Vec<Place> = fitting.map(|item| (now.steady(item.deadline), item.number)).collect();
            let reservation = self.census.reserve(&fitting, max);
            if !reservation.places.is_empty() || places.len() < batch || self.claims.closing.is_cancelled() {
                return Ok(reservation);
            }
            after = places.last().copied();
            batch = (2 * batch).min(BATCH);
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
        let now = self.clock.moment();
        let claim = |(_, number): &Place| {
            Command::Claim(Box::new(Claim {
                number: *number,
                filter: filter.clone(),
                worker: worker.clone(),
                expires_at: now.now.after(ttl),
                ignores_wait: false,
                policies: self.workflows.clone(),
                now,
            }))
        };
        let outcomes = self.store.apply(reservation.places.iter().map(claim).collect()).await?;
        let mut claimed = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            match outcome {
                Outcome::Changed(item) => claimed.push(*item),
                Outcome::Exhausted(item) => log_exhausted(&item),
                _ => {}
            }
        }
        Ok(claimed)
    }

    /// Ensures that the census indexes items that are not due. The first claim that asks for them starts one
    /// scan of all items, which continues even if the claim is cancelled.
    async fn keep_open(recovery: &Arc<Self>) -> Result<(), WardenError> {
        let claims = &recovery.claims;
        let begins = {
            let mut open = claims.open();
            let begins = *open == OpenItems::Unknown;
            if begins {
                *open = OpenItems::BeingRead;
            }
            begins
        };
        if begins {
            let reading = recovery.clone();
            tokio::spawn(async move {
                let read = reading.read_open().await;
                if let Err(error) = &read {
                    tracing::warn!(%error, "claims of items that are not due fail: they could not be read");
                    reading.census.drop_open();
                }
                *reading.claims.open() = if read.is_ok() { OpenItems::Kept } else { OpenItems::Unknown };
                // Waiters are notified in the order in which they arrived.
                reading.claims.open_read.notify_waiters();
            });
        }
        loop {
            let mut read = pin!(claims.open_read.notified());
            read.as_mut().enable();
            let known = *claims.open();
            match known {
                OpenItems::Kept => return Ok(()),
                OpenItems::Unknown => return Err(StoreError::Overloaded.into()),
                OpenItems::BeingRead => read.await,
            }
        }
    }

    async fn read_open(&self) -> Result<(), StoreError> {
        self.census.keep_open();
        let states = vec![ItemState::Open, ItemState::Interrupted];
        let filter = ItemFilter { states, ..ItemFilter::default() };
        let (order, limit) = (Order::Created, OPEN_PAGE);
        let mut after = None;
        loop {
            let now = self.clock.moment();
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

    pub fn waiting_claims(&self) -> usize {
        self.claims.waiting_max.saturating_sub(self.claims.waiting.available_permits())
    }

    /// Ends all waits, now and in future.
    pub fn stop_waiting(&self) {
        self.claims.closing.cancel();
    }
}

/// The position after which a claim continues once it has these items.
pub fn place_after(claimed: &[Item], moment: Moment) -> Option<Position> {
    let place = |item: &Item| (moment.steady(item.deadline), item.number);
    let last: Option<(Timestamp, ItemNumber)> = claimed.iter().map(place).max();
    last.map(|(deadline, number)| Position { deadline, number })
}

fn check(max: usize, ttl: Duration, wait: Duration, worker: &str) -> Result<(), WardenError> {
    let refuse = |message: String| Err(WardenError::Invalid(message));
    if !(1..=CLAIM_MAX).contains(&max) {
        return refuse(format!("max is {max}; it must be 1 to {CLAIM_MAX}"));
    }
    if wait > WAIT_MAX {
        return refuse(format!("wait must be at most {}", humantime::format_duration(WAIT_MAX)));
    }
    if !(1..=WORKER_MAX).contains(&worker.len()) || worker.chars().any(char::is_control) {
        return refuse(format!("worker must be 1 to {WORKER_MAX} bytes without control characters"));
    }
    if worker == redrives::WORKER || worker.starts_with(&format!("{}_", ReplayId::PREFIX)) {
        return refuse(format!("the worker name {worker} is reserved for the warden; use another one"));
    }
    check_ttl(ttl)
}
