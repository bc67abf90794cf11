//! Claims: leasing items to workers.
//!
//! Candidates are found in the census and judged by the store, so concurrent claims never get the same item.
//! A claim that finds nothing may wait (long polling); it tries again when an item becomes claimable or a
//! lease expires.
//!
//! A claim is not idempotent: if its response is lost, its items stay leased until the ttl has passed.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use warden_api::limit::CLAIM_MAX;

use super::Recovery;
use super::leases::check_ttl;
use crate::model::item::WORKER_MAX;
use crate::model::{Item, ItemFilter, ItemNumber, ItemState, Moment, Position, ReplayId, Timestamp};
use crate::store::{Claim, Command, Outcome};
use crate::warden::census::{Place, Reservation, Wanted};
use crate::warden::report::log_exhausted;
use crate::warden::{WardenError, redrives};

/// The longest wait of a claim.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// The most items read at once for a filter that the census cannot judge.
const BATCH: usize = 512;
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

/// Waiting claims.
pub struct Claims {
    /// One permit for each claim that may wait.
    waiting: Semaphore,
    waiting_max: usize,
    /// Ends all waits.
    closing: CancellationToken,
}

impl Claims {
    /// `waiting_max` is the most claims that may wait at a time.
    pub fn new(waiting_max: usize) -> Self {
        Self { waiting: Semaphore::new(waiting_max), waiting_max, closing: CancellationToken::new() }
    }
}

impl Recovery {
    /// Leases items to a worker, the earliest deadline first.
    pub async fn claim(&self, request: ClaimItems) -> Result<Vec<Item>, WardenError> {
        let ClaimItems { filter, after, max, ttl, wait, worker, gone } = request;
        check(max, ttl, wait, &worker)?;
        let wants_open = filter.states.contains(&ItemState::Open);
        let filter = Arc::new(filter);
        let after = after.map(|position| (position.deadline, position.number));
        let until = self.clock.now().after(wait);
        // At the limit a claim does not wait: requests in flight are needed for others as well.
        let waits = if wait.is_zero() { None } else { self.claims.waiting.try_acquire().ok() };
        loop {
            let mut come = pin!(self.census.claimable_has_come(wants_open));
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
            let place = |item: &Item| (now.steady(item.deadline), item.number);
            let is_after = |item: &Item| after.is_none_or(|after| place(item) > after);
            let fitting = item.filter(|item| filter.admits(item, now) && is_after(item));
            return Ok(match fitting {
                Some(item) => self.census.reserve_item(&item),
                None => self.census.reserve(&[], max),
            });
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
            let mut candidates = self.census.claimable(&wanted, after, batch);
            let last = candidates.last().map(|candidate| candidate.place);
            let is_last = candidates.len() < batch;
            let now = self.clock.moment();
            let items =
                self.store.items(candidates.iter().map(|candidate| candidate.place.1).collect()).await?;
            let fitting = items.iter().filter(|item| filter.admits(item, now));
            let fitting: HashSet<ItemNumber> = fitting.map(|item| item.number).collect();
            candidates.retain(|candidate| fitting.contains(&candidate.place.1));
            let reservation = self.census.reserve(&candidates, max);
            if !reservation.places.is_empty() || is_last || self.claims.closing.is_cancelled() {
                return Ok(reservation);
            }
            after = last;
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
