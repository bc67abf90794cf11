//! One attempt: a run of the command for the items that it is given, from their claim to their settlement.
//!
//! Invariants: a command runs only while the leases of its items hold; every item that was claimed is reported exactly
//! once, after the daemon was told or can be told no longer.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use warden_api::lease::ClaimedItem;
use warden_api::word::ItemState;

use super::batch;
use super::environment::variables;
use super::events::EventSender;
use super::keeper::{HeldLease, LostLease};
use super::leases::Backoff;
use super::leases::{LeaseClient, LeaseError};
use super::process::{CommandLine, Output, Process};
use super::process::{StopLevel, raise, reached};
use super::report::{Ending, Report};
use super::stdout::StdoutHandler;
use super::verdict::Settlement;
use super::verdict::{End, OnSuccess, Verdict};
use crate::model::Timestamp;

/// How many items of a batch are fetched or settled at once.
const AT_ONCE: usize = 8;

/// What is done for each item.
pub struct Work {
    /// Where the leases come from.
    pub leases: Arc<LeaseClient>,
    /// The command.
    pub line: CommandLine,
    /// Whether it takes several items at once, as lines of JSON.
    pub in_batches: bool,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// What becomes of an item that is done.
    pub on_success: OnSuccess,
    /// Where its stdout goes.
    pub output: Output,
    /// Who sees what it writes, where that is shown line by line.
    pub events: EventSender,
    /// The items that are done with their step, and not closed.
    pub advanced: AdvancedItems,
}

/// The items that this recovery may have brought to their next step, by workflow and id. With it their deadline has
/// moved, so that a claim may bring them again; and the command is not for that step.
#[derive(Debug, Default)]
pub struct AdvancedItems(Mutex<HashSet<(String, String)>>);

impl AdvancedItems {
    /// Whether this item is one of them.
    pub fn has(&self, lease: &ClaimedItem) -> bool {
        self.items().contains(&key(lease))
    }

    fn items(&self) -> MutexGuard<'_, HashSet<(String, String)>> {
        // What is in it is whole, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(lease: &ClaimedItem) -> (String, String) {
    (lease.item.workflow.to_string(), lease.item.id.to_string())
}

/// An attempt.
pub struct Attempt {
    work: Arc<Work>,
    held: Vec<HeldLease>,
    losses: mpsc::UnboundedReceiver<LostLease>,
    /// The leases that are lost, and why.
    lost: HashMap<String, String>,
    stop: watch::Receiver<StopLevel>,
    reports: mpsc::Sender<Report>,
}

impl Attempt {
    /// An attempt at items whose leases last until `expires`; from now on they are kept alive.
    pub fn at(
        leases: Vec<ClaimedItem>,
        expires: Timestamp,
        work: Arc<Work>,
        stop: watch::Receiver<StopLevel>,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let (tell, losses) = mpsc::unbounded_channel();
        let keep = |lease| HeldLease::keep(lease, expires, work.leases.clone(), tell.clone());
        let held = leases.into_iter().map(keep).collect();
        Self { work, held, losses, lost: HashMap::new(), stop, reports }
    }

    /// Makes it.
    ///
    /// # Errors
    /// When the command cannot be started; its items are given back.
    pub async fn run(mut self) -> io::Result<()> {
        let size = |held: &HeldLease| held.lease.item.payload.size;
        let bundles = batch::split(std::mem::take(&mut self.held), size, batch::BYTES_MAX);
        let mut failure = None;
        for bundle in bundles {
            if failure.is_some() || *self.stop.borrow() > StopLevel::Run {
                self.give_back(bundle, "not begun any more").await;
            } else if let Err(error) = self.recover(bundle).await {
                failure = Some(error);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Runs the command once, for all of these.
    async fn recover(&mut self, bundle: Vec<HeldLease>) -> io::Result<()> {
        let (bundle, payloads) = self.fetch(bundle).await;
        let Some(first) = bundle.first() else { return Ok(()) };
        let (variables, input) = if self.work.in_batches {
            let lines =
                bundle.iter().zip(&payloads).map(|(held, payload)| batch::encode(&held.lease, payload));
            (Vec::new(), lines.flatten().collect())
        } else {
            (variables(&first.lease), payloads.concat().into())
        };
        drop(payloads);
        let process = match Process::start(&self.work.line, &variables, self.work.output) {
            Ok(process) => process,
            Err(error) => {
                self.give_back(bundle, "the command cannot be run").await;
                return Err(error);
            }
        };
        let (end, said, stdout) = match self.supervise(process, input, &bundle).await {
            Ok(ended) => ended,
            Err(error) => {
                self.give_back(bundle, "how the command ended is not known").await;
                return Err(error);
            }
        };
        let verdict = |held: &HeldLease| self.verdict(held, &end, &said, &stdout);
        self.settle(bundle.into_iter().map(|held| (verdict(&held), held)).collect()).await;
        Ok(())
    }

    /// Gets the payloads. Items without one are settled, and are not among those that
    /// it gives.
    async fn fetch(&mut self, bundle: Vec<HeldLease>) -> (Vec<HeldLease>, Vec<Bytes>) {
        let leases = &self.work.leases;
        let fetching: Vec<_> = bundle.iter().map(|held| payload(leases, held)).collect();
        let fetched = stream::iter(fetching).buffered(AT_ONCE).collect();
        let payloads: Vec<Result<Bytes, Verdict>> = tokio::select! {
            fetched = fetched => fetched,
            _ = reached(&mut self.stop, StopLevel::Drain) => {
                self.give_back(bundle, "not begun any more").await;
                return (Vec::new(), Vec::new());
            }
        };
        // One that was lost while others were worked on must not be begun.
        while let Ok(loss) = self.losses.try_recv() {
            self.lost.insert(loss.lease, loss.reason);
        }
        let (mut ready, mut inputs, mut without) = (Vec::new(), Vec::new(), Vec::new());
        for (held, payload) in bundle.into_iter().zip(payloads) {
            let payload = match self.lost.get(&held.lease.id) {
                Some(reason) => Err(Verdict::Lost(reason.clone())),
                None => payload,
            };
            match payload {
                Ok(payload) => {
                    ready.push(held);
                    inputs.push(payload);
                }
                Err(verdict) => without.push((verdict, held)),
            }
        }
        self.settle(without).await;
        (ready, inputs)
    }

    /// Waits for the end of the command, and sees to it when its time is over, a lease is lost or somebody wants it.
    async fn supervise(
        &mut self,
        process: Process,
        input: Bytes,
        bundle: &[HeldLease],
    ) -> io::Result<(End, String, StdoutHandler)> {
        let (stop, stopping) = watch::channel(StopLevel::Run);
        let mut stdout = StdoutHandler::new(self.work.in_batches, self.work.events.clone());
        let (clock, timeout) = (self.work.leases.clone(), self.work.timeout);
        let mut timer = std::pin::pin!(async move {
            match timeout {
                Some(timeout) => clock.clock().sleep_until(clock.clock().now().after(timeout)).await,
                None => std::future::pending().await,
            }
        });
        let mut running = Box::pin(process.run(input, stopping, &mut stdout));
        let (mut end, mut heard) = (None, StopLevel::Drain);
        let mut asking = JoinSet::new();
        let (status, said) = loop {
            tokio::select! {
                ended = &mut running => break ended?,
                Some(loss) = self.losses.recv() => {
                    self.lost.insert(loss.lease.clone(), loss.reason.clone());
                    let lost = bundle.iter().find(|held| held.lease.id == loss.lease);
                    let all = bundle.iter().all(|held| self.lost.contains_key(&held.lease.id));
                    match lost.map(|held| held.lease.clone()) {
                        // Its batch may go on if it is closed: nobody else works on it.
                        Some(lease) if loss.denied && !all => {
                            let leases = self.work.leases.clone();
                            asking.spawn(async move { (leases.is_closed(&lease).await, loss.reason) });
                        }
                        Some(_) => {
                            end.get_or_insert(End::Lost(loss.reason));
                            raise(&stop, StopLevel::Kill);
                        }
                        None => {}
                    }
                }
                Some(Ok((is_closed, reason))) = asking.join_next() => {
                    if !is_closed {
                        end.get_or_insert(End::Lost(reason));
                        raise(&stop, StopLevel::Kill);
                    }
                }
                () = &mut timer, if end.is_none() => {
                    end = timeout.map(End::TimedOut);
                    raise(&stop, StopLevel::Terminate);
                }
                order = reached(&mut self.stop, stronger(heard)), if heard < StopLevel::Kill => {
                    end.get_or_insert(End::Interrupted);
                    raise(&stop, order);
                    heard = order;
                }
            }
        };
        drop(running);
        Ok((end.unwrap_or(End::Exited(status)), said.text(), stdout))
    }

    fn verdict(&self, held: &HeldLease, end: &End, said: &str, stdout: &StdoutHandler) -> Verdict {
        let item = &held.lease.item;
        let told =
            stdout.told.iter().rev().find(|told| *told.id == *item.id && *told.workflow == *item.workflow);
        let verdict = match (told, end) {
            (Some(told), _) => told.verdict(),
            (None, End::Lost(reason)) if !self.lost.contains_key(&held.lease.id) => {
                Verdict::Untried(format!("its batch was ended, because another item was lost: {reason}"))
            }
            (None, end) => match (Verdict::of(end, said), stdout.uncertainty()) {
                (Verdict::Done, Some(doubt)) => Verdict::Untried(doubt.to_owned()),
                // Not every program is ended by that; some fail when they write.
                (Verdict::Failed { .. }, _) if self.work.output.has_no_reader() => {
                    Verdict::Untried("nobody reads what its command writes".to_owned())
                }
                (verdict, _) => verdict,
            },
        };
        match self.lost.get(&held.lease.id) {
            // Whether that was because it is done is asked when it is settled.
            Some(reason) if verdict != Verdict::Done => Verdict::Lost(reason.clone()),
            _ => verdict,
        }
    }

    async fn give_back(&self, bundle: Vec<HeldLease>, reason: &str) {
        let untried = |held| (Verdict::Untried(reason.to_owned()), held);
        self.settle(bundle.into_iter().map(untried).collect()).await;
    }

    /// Tells the daemon what became of the items, and then those who run the attempts.
    async fn settle(&self, items: Vec<(Verdict, HeldLease)>) {
        let settled = stream::iter(items).map(|(verdict, held)| async move {
            let (ending, reason) = settle(&self.work, &held, &verdict).await;
            let item = held.lease.item;
            let report =
                Report { workflow: item.workflow.to_string(), id: item.id.to_string(), ending, reason };
            // Nobody listens any more only when it is all over.
            let _ = self.reports.send(report).await;
        });
        settled.buffer_unordered(AT_ONCE).collect::<()>().await;
    }
}

/// The next order that says more than this one.
fn stronger(order: StopLevel) -> StopLevel {
    if order < StopLevel::Terminate { StopLevel::Terminate } else { StopLevel::Kill }
}

/// The payload of a leased item, or what follows for it without one.
async fn payload(leases: &LeaseClient, held: &HeldLease) -> Result<Bytes, Verdict> {
    let (clock, mut backoff) = (leases.clock(), Backoff::new());
    loop {
        match leases.payload(&held.lease).await {
            Ok(payload) => return Ok(payload),
            Err(LeaseError::Lost(reason)) => return Err(Verdict::Lost(reason)),
            Err(LeaseError::Client(error)) if error.may_pass() && clock.now() < held.expires() => {
                clock.sleep_until(clock.now().after(backoff.wait(error.retry_after()))).await;
            }
            Err(LeaseError::Client(error)) => {
                return Err(Verdict::Untried(format!("its payload cannot be fetched: {error}")));
            }
        }
    }
}

/// Tells the daemon what became of an item, and gives how it ended and why it is not done.
async fn settle(work: &Work, held: &HeldLease, verdict: &Verdict) -> (Ending, String) {
    let Some(settlement) = verdict.settlement(work.on_success) else {
        return (Ending::Lost, verdict.reason());
    };
    // Noted before, since a claim may bring it as soon as the daemon has been told.
    let moves_on = settlement == Settlement::Complete { close: false };
    if moves_on {
        work.advanced.items().insert(key(&held.lease));
    }
    match work.leases.settle(&held.lease.id, &settlement, held.expires()).await {
        Ok(item) => {
            if moves_on && item.state == ItemState::Closed {
                work.advanced.items().remove(&key(&held.lease));
            }
            let ending = match verdict {
                Verdict::Done => Ending::Done,
                Verdict::Failed { .. } if item.state == ItemState::Failed => Ending::Failed,
                Verdict::Failed { .. } => Ending::Retry,
                Verdict::Untried(_) | Verdict::Lost(_) => Ending::Skipped,
            };
            (ending, verdict.reason())
        }
        // The command, or the pipeline that it has set going, may have closed the item itself.
        Err(LeaseError::Lost(_)) if *verdict == Verdict::Done && work.leases.is_closed(&held.lease).await => {
            (Ending::Done, String::new())
        }
        Err(LeaseError::Lost(reason)) => (Ending::Lost, reason),
        Err(LeaseError::Client(error)) => {
            (Ending::Lost, format!("the daemon could not be told what became of it: {error}"))
        }
    }
}

#[cfg(test)]
mod tests;
