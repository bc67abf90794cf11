//! Claims: items are leased to those who ask for them.
//!
//! Which items may be claimed is found in the census and judged by the store, so that however many ask at once, none is
//! given to two. A claim that finds nothing may wait; it looks again when something has come or a lease has run out.
//!
//! A claim is no write that could be repeated: one whose answer is lost leaves its items to nobody until its time has run out.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::Recovery;
use super::leases::check_ttl;
use crate::model::lease::WORKER_MAX;
use crate::model::{Item, ItemFilter, ItemNumber, ItemState, Moment, Order, Position, ReplayId, Timestamp};
use crate::store::{Claim, Command, ListItems, Outcome, StoreError};
use crate::warden::census::{Place, Reservation, Wanted};
use crate::warden::{WardenError, redrives};

/// The most items that one claim gets.
pub const CLAIM_MAX: usize = 1000;
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
    /// Ends the wait: whoever claims is not there any more.
    pub gone: CancellationToken,
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

/// Claims that wait, and whether the census has open items that are not due.
pub struct Claims {
    open: Mutex<OpenItems>,
    /// That they were read, or could not be.
    open_read: Notify,
    /// Places for claims that wait.
    waiting: Semaphore,
    waiting_max: usize,
    /// Ends all waiting.
    closing: CancellationToken,
}

impl Claims {
    /// Nobody waits yet, and so many claims may wait at a time.
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
    ///
    /// # Errors
    /// When a limit is broken or the store refuses.
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
        // Beyond a number of them nobody waits: the places among the requests in flight are for others as well.
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
            let now = self.clock.moment();
            let items = self.store.items(numbers).await?;
            let fitting = items.iter().filter(|item| filter.admits(item, now));
            let fitting: Vec<Place> = fitting.map(|item| (now.steady(item.deadline), item.number)).collect();
            let reservation = self.census.reserve(&fitting, max);
            if !reservation.places.is_empty() || places.len() < bite || self.claims.closing.is_cancelled() {
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
        let now = self.clock.moment();
        let claim = |(_, number): &Place| {
            Command::Claim(Box::new(Claim {
                number: *number,
                filter: filter.clone(),
                worker: worker.clone(),
                expires_at: now.now.after(ttl),
                ignores_wait: false,
                now,
            }))
        };
        let outcomes = self.store.apply(reservation.places.iter().map(claim).collect()).await?;
        let mut claimed = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            if let Outcome::Changed(item) = outcome {
                claimed.push(*item);
            }
        }
        Ok(claimed)
    }

    /// Sees to it that the census knows of items that are not due. The first claim that asks for such ones has all items read
    /// once, whether it waits for that or goes away.
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
                    tracing::warn!(%error, "the items that are not due could not be read for those who claim them");
                    reading.census.drop_open();
                }
                *reading.claims.open() = if read.is_ok() { OpenItems::Kept } else { OpenItems::Unknown };
                // In the order in which they came to wait.
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
        let filter = ItemFilter { states: vec![ItemState::Open], ..ItemFilter::default() };
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

    /// How many claims wait.
    pub fn waiting_claims(&self) -> usize {
        self.claims.waiting_max.saturating_sub(self.claims.waiting.available_permits())
    }

    /// Has no claim wait any longer, nor any to come.
    pub fn stop_waiting(&self) {
        self.claims.closing.cancel();
    }
}

/// Where a claim goes on that passes over what these items come after.
pub fn place_after(claimed: &[Item], moment: Moment) -> Option<Position> {
    let place = |item: &Item| (moment.steady(item.deadline), item.number);
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
    if worker == redrives::WORKER || worker.starts_with(&format!("{}_", ReplayId::PREFIX)) {
        return refuse(format!("{worker} is what the warden calls itself; a worker has another name"));
    }
    check_ttl(ttl)
}
