//! What a command may do to the course of an item through its steps.

use futures_util::FutureExt as _;
use warden::model::item::{AfterFailure, LeaseEnd, StepStatus};
use warden::model::{Item, ItemState, LeaseCommand, LeaseId, Timestamp};
use warden::store::engine::memory::MemoryStore;
use warden::store::{Command, Outcome, Reads as _};

/// The item of a command on a step or a lease, before it is executed.
pub fn before(store: &MemoryStore, command: &Command) -> Option<Item> {
    let by_number = |number| {
        let items = store.items(vec![number]).now_or_never().expect("memory never waits");
        items.expect("memory never fails").pop()
    };
    let by_key = |key: &warden::model::ItemKey| {
        store.get(key.clone()).now_or_never().expect("memory never waits").expect("memory never fails")
    };
    match command {
        Command::Claim(claim) => by_number(claim.number),
        Command::ActOnLease { lease, .. } => by_number(lease.item),
        Command::ReportStep(report) => by_key(&report.key),
        Command::Retry { key, .. } => by_key(key),
        _ => None,
    }
}

/// The lease that ended because somebody else moved the item to another step.
pub fn withdrawn(before: &Item, outcome: &Outcome) -> Option<LeaseId> {
    let Outcome::Changed(after) = outcome else { return None };
    let lease = after.work.lease.as_ref().filter(|lease| lease.ended == Some(LeaseEnd::Withdrawn))?;
    let was_running =
        before.work.lease.as_ref().is_some_and(|it| it.token == lease.token && it.ended.is_none());
    was_running.then_some(LeaseId { item: after.number, token: lease.token })
}

/// What is wrong with what became of it.
pub fn check(before: &Item, command: &Command, outcome: &Outcome) -> Result<(), String> {
    let Outcome::Changed(after) = outcome else { return Ok(()) };
    let wrong = |what: &str| Err(format!("{}/{} {what}", before.workflow, before.id));
    if after.version == before.version {
        return Ok(());
    }
    if let Command::Claim(claim) = command {
        let now = claim.now.now;
        let until = before.course.interruption.map(|it| it.until.unwrap_or(Timestamp::MAX));
        if !claim.ignores_wait && until.is_some_and(|until| until > now) {
            return wrong("was claimed while it was interrupted");
        }
        if !claim.ignores_wait && before.course.not_before.is_some_and(|at| at > now) {
            return wrong("was claimed before its time");
        }
        let states = &claim.filter.states;
        if before.failed_at.is_some() && !states.is_empty() && !states.contains(&ItemState::Failed) {
            return wrong("was given to a worker after it failed");
        }
    }
    let outcome = match command {
        Command::ActOnLease { act: LeaseCommand::Complete { outcome, closes: false, .. }, .. } => {
            Some(outcome)
        }
        Command::ReportStep(report) => Some(&report.outcome),
        _ => None,
    };
    if let Some(outcome) = outcome.filter(|outcome| outcome.status == StepStatus::Interrupted) {
        let until = after.course.interruption.and_then(|interruption| interruption.until);
        if until.is_some() && until != outcome.repeat.map(|repeat| repeat.due) {
            return wrong("is repeated at another time than was asked for");
        }
    }
    let is_over = |status| matches!(status, StepStatus::Done | StepStatus::Skipped);
    let ends_step = match command {
        Command::ActOnLease { act: LeaseCommand::Complete { outcome, .. }, .. } => is_over(outcome.status),
        Command::ReportStep(report) => is_over(report.outcome.status),
        _ => false,
    };
    if ends_step && after.closed.is_none() && after.step == before.step {
        return wrong("is at the step again that it completed");
    }
    let Item { work, course, .. } = &**after;
    if after.step != before.step && (work.attempts, course.retries, course.losses) != (0, 0, 0) {
        return wrong("took its counters to another step");
    }
    if let Command::ActOnLease { act: LeaseCommand::Fail { error, then, .. }, .. } = command
        && matches!(then, AfterFailure::ByPolicy { ignorable: false, .. })
        && !error.retryable
        && after.failed_at.is_none()
    {
        return wrong("goes on after a fatal error");
    }
    Ok(())
}
