//! One attempt: a run of the command for one or several leased items, until their leases are settled.
//!
//! Invariants: the command runs only while its items are leased; every claimed item is reported exactly once,
//! after its lease was settled or the attempt to do so failed.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use warden_api::lease::ClaimedItem;
use warden_client::{HeldLease, LostLease};

use super::batch;
use super::environment::{daemon_variable, variables};
use super::process::{Process, StopLevel, raise, reached};
use super::report::Report;
use super::stdout::StdoutHandler;
use super::verdict::{End, Verdict};
use super::work::{Work, payload, settle};
use crate::model::Timestamp;

/// Payloads fetched, or leases settled, at once.
const AT_ONCE: usize = 8;

pub struct Attempt {
    work: Arc<Work>,
    held: Vec<HeldLease>,
    losses: mpsc::UnboundedReceiver<LostLease>,
    /// The reason, by lease id.
    lost: HashMap<String, String>,
    stop: watch::Receiver<StopLevel>,
    reports: mpsc::Sender<Report>,
}

impl Attempt {
    /// An attempt at items that are leased until `expires`, with heartbeats from now on.
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

    /// Fails if the command cannot be started; its items are released.
    pub async fn run(mut self) -> io::Result<()> {
        let size = |held: &HeldLease| held.lease.item.payload.size;
        let bundles = batch::split(std::mem::take(&mut self.held), size, batch::BYTES_MAX);
        let mut failure = None;
        for bundle in bundles {
            if failure.is_some() || *self.stop.borrow() > StopLevel::Run {
                self.give_back(bundle, "not begun").await;
            } else if let Err(error) = self.recover(bundle).await {
                failure = Some(error);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Runs the command once for all of these items.
    async fn recover(&mut self, bundle: Vec<HeldLease>) -> io::Result<()> {
        let (bundle, payloads) = self.fetch(bundle).await;
        let Some(first) = bundle.first() else { return Ok(()) };
        let (mut variables, input) = if self.work.in_batches {
            let lines =
                bundle.iter().zip(&payloads).map(|(held, payload)| batch::encode(&held.lease, payload));
            (Vec::new(), lines.flatten().collect())
        } else {
            (variables(&first.lease), payloads.concat().into())
        };
        drop(payloads);
        variables.push(daemon_variable(self.work.leases.client()));
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
                self.give_back(bundle, "the exit status is unknown").await;
                return Err(error);
            }
        };
        let verdict = |held: &HeldLease| self.verdict(held, &end, &said, &stdout);
        self.settle(bundle.into_iter().map(|held| (verdict(&held), held)).collect()).await;
        Ok(())
    }

    /// Fetches the payloads. Items without one are settled and not returned.
    async fn fetch(&mut self, bundle: Vec<HeldLease>) -> (Vec<HeldLease>, Vec<Bytes>) {
        let leases = &self.work.leases;
        let fetching: Vec<_> = bundle.iter().map(|held| payload(leases, held)).collect();
        let fetched = stream::iter(fetching).buffered(AT_ONCE).collect();
        let payloads: Vec<Result<Bytes, Verdict>> = tokio::select! {
            fetched = fetched => fetched,
            _ = reached(&mut self.stop, StopLevel::Drain) => {
                self.give_back(bundle, "not begun").await;
                return (Vec::new(), Vec::new());
            }
        };
        // The command must not begin for items that were lost meanwhile.
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

    /// Waits for the end of the command; ends it after the timeout, the loss of a lease, or an interruption.
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
                        // If the item is closed, nobody else works on it, and the batch may go on.
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
        let result = stdout
            .results
            .iter()
            .rev()
            .find(|result| *result.id == *item.id && *result.workflow == *item.workflow);
        let verdict = match (result, end) {
            (Some(result), _) => result.verdict(),
            (None, End::Lost(reason)) if !self.lost.contains_key(&held.lease.id) => {
                Verdict::Untried(format!("its batch was ended after the loss of another item: {reason}"))
            }
            (None, end) => match (Verdict::of(end, said), stdout.uncertainty()) {
                (Verdict::Done, Some(doubt)) => Verdict::Untried(doubt.to_owned()),
                // Some programs fail on a closed stdout instead of being ended by SIGPIPE.
                (Verdict::Failed { .. }, _) if self.work.output.has_no_reader() => {
                    Verdict::Untried("stdout was closed".to_owned())
                }
                (verdict, _) => verdict,
            },
        };
        match self.lost.get(&held.lease.id) {
            // Whether the lease was lost because the item is done is checked by `settle`.
            Some(reason) if verdict != Verdict::Done => Verdict::Lost(reason.clone()),
            _ => verdict,
        }
    }

    async fn give_back(&self, bundle: Vec<HeldLease>, reason: &str) {
        let untried = |held| (Verdict::Untried(reason.to_owned()), held);
        self.settle(bundle.into_iter().map(untried).collect()).await;
    }

    /// Settles the leases, and reports the results.
    async fn settle(&self, items: Vec<(Verdict, HeldLease)>) {
        let settled = stream::iter(items).map(|(verdict, held)| async move {
            let (ending, reason) = settle(&self.work, &held, &verdict).await;
            let item = held.lease.item;
            let report =
                Report { workflow: item.workflow.to_string(), id: item.id.to_string(), ending, reason };
            // The receiver is gone only at the end of the recovery.
            let _ = self.reports.send(report).await;
        });
        settled.buffer_unordered(AT_ONCE).collect::<()>().await;
    }
}

/// The next higher level that ends the command.
fn stronger(order: StopLevel) -> StopLevel {
    if order < StopLevel::Terminate { StopLevel::Terminate } else { StopLevel::Kill }
}

#[cfg(test)]
mod tests;
