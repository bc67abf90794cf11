//! One run of a handler, until its lease is settled.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use warden_api::lease::ClaimedItem;
use warden_api::word::{ItemState, StepStatus};
use warden_api::{Item, Timestamp};

use super::failure::{Reaction, StepError};
use super::job::Job;
use super::outcome::{Outcome, skip};
use super::report::{Ending, Event, Report};
use super::{Handler, Unknown, Worker};
use crate::error::Error;
use crate::keeper::{HeldLease, LostLease};
use crate::leases::{Leases, Settlement};

/// What the runs of a worker have in common.
pub(super) struct Work {
    pub worker: Worker,
    pub leases: Arc<Leases>,
    /// The worker is stopping.
    pub stop: CancellationToken,
    /// Nothing may run any longer.
    pub abandon: CancellationToken,
}

/// Runs the handler for a claimed item, settles its lease and tells of it.
pub(super) async fn attempt(work: Arc<Work>, lease: ClaimedItem, expires: Timestamp) {
    let (tell, losses) = mpsc::unbounded_channel();
    let held = HeldLease::keep(lease, expires, work.leases.clone(), tell);
    let job = Job::new(held, work.leases.clone(), work.stop.clone());
    work.worker.tell(Event::Begun(job.item()));
    let result = match (work.worker.handlers.get(job.step()), job.item().step.is_some()) {
        (Some(handler), _) => supervise(handler, &job, losses, &work.abandon).await,
        (None, true) if work.worker.unknown == Unknown::Skip => {
            Ok(skip(format!("no worker has a handler for the step {}", job.step())))
        }
        // Nobody else is to find it at once, and this worker neither.
        (None, _) => Err(Failure::Step(
            StepError::released("there is no handler for where the item is").after(work.worker.ttl),
        )),
    };
    let report = settle(&work.leases, &job, result).await;
    drop(job);
    work.worker.tell(Event::Ended(&report));
    let closed = report.item.filter(|item| item.state == ItemState::Closed);
    if let (Some(item), Some(on_close)) = (closed, &work.worker.on_close) {
        // A panic in it concerns nobody else.
        let _ = AbortOnDropHandle::new(tokio::spawn(on_close(*item))).await;
    }
}

enum Failure {
    Step(StepError),
    Lost(String),
}

/// Runs the handler, until it ends, the lease is lost, or nothing may run any longer.
async fn supervise(
    handler: &Handler,
    job: &Job,
    mut losses: mpsc::UnboundedReceiver<LostLease>,
    abandon: &CancellationToken,
) -> Result<Outcome, Failure> {
    let mut running = AbortOnDropHandle::new(tokio::spawn(handler(job.clone())));
    let cancelled = tokio::select! {
        biased;
        ended = &mut running => return match ended {
            Ok(result) => result.map_err(Failure::Step),
            Err(error) => Err(Failure::Step(match error.try_into_panic() {
                Ok(panic) => StepError::panicked(&*panic),
                Err(_) => StepError::released("the runtime is shutting down"),
            })),
        },
        Some(loss) = losses.recv() => Failure::Lost(loss.reason),
        () = abandon.cancelled() => Failure::Step(StepError::released("the worker was stopped")),
    };
    running.abort();
    // It is given back only once it does not run any more.
    let _ = running.await;
    Err(cancelled)
}

async fn settle(leases: &Leases, job: &Job, result: Result<Outcome, Failure>) -> Report {
    let held = job.held();
    let (settlement, reaction, message) = match result {
        Ok(outcome) => {
            let status = outcome.status();
            let request = outcome.into_request();
            let message = request.message.as_deref().unwrap_or_default().to_owned();
            (Settlement::Complete(request), Err(status), message)
        }
        Err(Failure::Step(error)) => {
            let (reaction, message) = (error.reaction(), error.message().to_owned());
            (error.into_settlement(), Ok(reaction), message)
        }
        Err(Failure::Lost(reason)) => return report(job, Ending::Lost, reason, None),
    };
    match leases.settle(&held.lease.id, &settlement, held.expires()).await {
        Ok(item) => report(job, ending(reaction, &item), message, Some(item)),
        Err(Error::Lost(reason)) => report(job, Ending::Lost, reason, None),
        // It must not look as if nothing had happened: what the daemon refuses fails the item.
        Err(error) if !error.is_transient() && !matches!(settlement, Settlement::Release(_)) => {
            let message = format!("its result was refused: {error}");
            let refused = StepError::described(Reaction::Fail, "result-refused", &message).into_settlement();
            match leases.settle(&held.lease.id, &refused, held.expires()).await {
                Ok(item) => report(job, Ending::Failed, message, Some(item)),
                Err(error) => report(job, Ending::Lost, error.to_string(), None),
            }
        }
        Err(error) => {
            let message = format!("its result could not be reported: {error}");
            report(job, Ending::Lost, message, None)
        }
    }
}

fn ending(reaction: Result<Reaction, StepStatus>, item: &Item) -> Ending {
    match reaction {
        Err(StepStatus::Skipped) => Ending::Skipped,
        Err(StepStatus::Interrupted) => Ending::Interrupted,
        Err(_) => Ending::Done,
        Ok(Reaction::Release) => Ending::Released,
        Ok(Reaction::Ignore) => Ending::Ignored,
        Ok(_) if item.state == ItemState::Failed => Ending::Failed,
        Ok(_) => Ending::Retried,
    }
}

fn report(job: &Job, ending: Ending, message: String, item: Option<Item>) -> Report {
    let of = job.item();
    Report {
        workflow: of.workflow.clone(),
        id: of.id.clone(),
        step: of.step.clone(),
        ending,
        message,
        item: item.map(Box::new),
    }
}
