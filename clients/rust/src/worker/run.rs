//! The loop of a worker: claims items while there is room, runs their handlers, and comes to an end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use warden_api::Timestamp;
use warden_api::item::ItemFilter;
use warden_api::lease::{ClaimRequest, Claimed};

use super::attempt::{Work, attempt};
use super::report::Event;
use super::{Unknown, Worker};
use crate::backoff::Backoff;
use crate::error::Error;
use crate::leases::Leases;

/// The longest wait of one claim. At most a third of a lease, whose time begins before the wait.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// The items of one claim. Their payloads come with it, and have to arrive within the leases.
const CLAIMED_MAX: usize = 8;
/// Before the next claim if the daemon did not let one wait, because too many do.
const UNASKED_PAUSE: Duration = Duration::from_secs(1);
/// How long released items may take to be given back.
const SETTLE_TIME: Duration = Duration::from_secs(5);

pub(super) async fn run(worker: Worker, stop: CancellationToken) -> Result<(), Error> {
    if worker.handlers.is_empty() && worker.unknown == Unknown::Leave {
        return Err(Error::Address("the worker has no handler, so there is nothing to do".to_owned()));
    }
    let leases = Arc::new(Leases::new(worker.client.clone(), worker.ttl));
    let (left, abandon) = (worker.max.unwrap_or(u64::MAX), CancellationToken::new());
    let work = Arc::new(Work { worker, leases, stop, abandon });
    let mut run = Run { work, running: JoinSet::new(), left, failing: None };
    let result = run.claim_and_work().await;
    run.finish().await;
    result
}

struct Run {
    work: Arc<Work>,
    running: JoinSet<()>,
    /// The handlers that may still begin.
    left: u64,
    /// The waits since the first of the latest failed claims.
    failing: Option<Backoff>,
}

/// What a claim came to.
enum Claim {
    Made(Claimed, Timestamp),
    Failed(Error),
    Stopped,
}

impl Run {
    async fn claim_and_work(&mut self) -> Result<(), Error> {
        while self.left > 0 && !self.work.stop.is_cancelled() {
            while self.running.try_join_next().is_some() {}
            let slots = self.work.worker.concurrency.saturating_sub(self.running.len());
            if slots == 0 {
                self.pause(None).await;
                continue;
            }
            let asked = self.now();
            match self.claim(slots).await {
                Claim::Stopped => break,
                Claim::Made(claimed, expires) => {
                    if self.failing.take().is_some() {
                        self.work.worker.tell(Event::Resumed);
                    }
                    match (claimed.leases.is_empty(), self.work.worker.until_empty) {
                        (true, true) if self.running.is_empty() => break,
                        // What runs may free an item for its next step.
                        (true, true) => self.pause(None).await,
                        (true, false) if self.now().since(asked) < self.wait() / 2 => {
                            self.pause(Some(UNASKED_PAUSE)).await;
                        }
                        _ => {}
                    }
                    for lease in claimed.leases {
                        self.left = self.left.saturating_sub(1);
                        self.running.spawn(attempt(self.work.clone(), lease, expires));
                    }
                }
                Claim::Failed(error) if error.is_transient() => {
                    let wait = self.failing.get_or_insert_default().wait(error.retry_after());
                    self.work.worker.tell(Event::Waiting(&error, wait));
                    self.pause(Some(wait)).await;
                }
                Claim::Failed(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn claim(&mut self, slots: usize) -> Claim {
        let worker = &self.work.worker;
        let room = usize::try_from(self.left).unwrap_or(usize::MAX);
        let steps: BTreeSet<&String> = match worker.unknown {
            Unknown::Leave => worker.handlers.keys().collect(),
            Unknown::Skip => BTreeSet::new(),
        };
        let request = ClaimRequest {
            filter: ItemFilter {
                workflows: vec![worker.workflow.clone()],
                states: worker.states.clone(),
                ..ItemFilter::default()
            },
            steps: steps.into_iter().cloned().collect(),
            id: worker.item.clone(),
            // With their payloads, as a token for workers may not ask for those otherwise.
            max: slots.min(room).min(CLAIMED_MAX),
            worker: worker.name.as_deref().map(Into::into),
            ..ClaimRequest::default()
        };
        tokio::select! {
            biased;
            // An answer that is on its way is lost; its items are free again when their leases expire.
            () = self.work.stop.cancelled() => Claim::Stopped,
            claimed = self.work.leases.claim(request, self.wait()) => match claimed {
                Ok((claimed, expires)) => Claim::Made(claimed, expires),
                Err(error) => Claim::Failed(error),
            },
        }
    }

    /// How long a claim waits if there is nothing.
    fn wait(&self) -> Duration {
        let worker = &self.work.worker;
        if worker.until_empty { Duration::ZERO } else { WAIT_MAX.min(worker.ttl / 3) }
    }

    fn now(&self) -> Timestamp {
        self.work.leases.clock().now()
    }

    /// Waits for the end of a handler, for the stop, or for this time; without one not for ever if nothing
    /// runs.
    async fn pause(&mut self, wait: Option<Duration>) {
        let clock = self.work.leases.clock();
        let over = async {
            match wait {
                Some(wait) => clock.sleep_until(clock.now().after(wait)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.work.stop.cancelled() => {}
            () = over => {}
            Some(_) = self.running.join_next(), if wait.is_none() => {}
        }
    }

    /// Waits for what runs: without an end until the stop, then for the grace; then it is given back.
    async fn finish(&mut self) {
        tokio::select! {
            () = until_over(&mut self.running) => return,
            () = self.work.stop.cancelled() => {}
        }
        let clock = self.work.leases.clock();
        tokio::select! {
            () = until_over(&mut self.running) => return,
            () = clock.sleep_until(clock.now().after(self.work.worker.grace)) => {}
        }
        self.work.abandon.cancel();
        tokio::select! {
            () = until_over(&mut self.running) => {}
            () = clock.sleep_until(clock.now().after(SETTLE_TIME)) => {}
        }
    }
}

async fn until_over(running: &mut JoinSet<()>) {
    while running.join_next().await.is_some() {}
}
