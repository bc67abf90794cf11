//! Settles commands on runs, and keeps ledger and history up to date with every change of a run.
//!
//! Whether a run may begin is judged here, in commit order, so that two requests cannot both find that none
//! is open.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::events::Telling;
use super::items::{Before, update};
use super::{Detail, Outcome, Rows, documents};
use crate::model::item::{Item, RunEnd, RunEndKind};
use crate::model::run::{
    HeldFor, Hold, Judgement, LISTED_MAX, Lineage, ReleaseAs, RunRefusal, RunStatus, Window,
};
use crate::model::{
    CloseOutcome, Moment, Policy, Run, RunDetail, RunEntry, RunHistory, Timestamp, WorkflowName,
};
use crate::store::{Change, Document, DocumentId, DocumentSet};

/// What the creation of a run asks for, besides its item.
#[derive(Clone, Debug)]
pub struct RunCreation {
    /// Within the limits of [`crate::model::run`].
    pub lineage: Option<Lineage>,
    /// When it began without the warden.
    pub started_at: Option<Timestamp>,
    /// The window of a backfill.
    pub backfill: Option<Window>,
    pub policy: Arc<Policy>,
    pub now: Moment,
}

/// The most waiting runs that one command opens.
const OPENED_AT_ONCE: usize = 32;

/// What a new item becomes as a run, or why it cannot. Open runs that it supersedes are closed.
pub(super) fn begin<R: Rows>(
    creation: &RunCreation,
    workflow: &WorkflowName,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Result<(Run, RunDetail), Outcome>, R::Error> {
    let RunCreation { lineage, started_at, backfill, policy, now } = creation;
    if let Some(started_at) = *started_at {
        return Ok(Ok(let_in(creation, started_at, workflow, rows)?));
    }
    let mut history = history(workflow, rows)?;
    let others = required(policy, rows)?;
    let held = match history.judge(&policy.runs, |name| others.get(name), now.now) {
        Judgement::Refused(refusal) => {
            let refusal = Box::new(named(refusal, workflow, rows)?);
            return Ok(Err(Outcome::RunRefused(workflow.clone(), refusal)));
        }
        Judgement::Held(held) => {
            if held == HeldFor::Hold && history.hold.is_none() {
                history.hold = Some(Hold { since: now.now, by: None, comment: None });
                put(workflow, history.clone(), rows, changes)?;
            }
            Some(held)
        }
        Judgement::Begins { supersedes: false } => None,
        Judgement::Begins { supersedes: true } => {
            supersede(workflow, policy, now.now, rows, changes)?;
            None
        }
    };
    let params = held.is_none().then(|| {
        let watermarks = &history.watermarks;
        policy.runs.params_at(watermarks, *backfill, now.wall(now.now))
    });
    let (number, started_at) = (history.last_number + 1, held.is_none().then_some(now.now));
    let run = Run { number, held, started_at, ended_at: None };
    let params = params.filter(|params| *params != Default::default());
    let detail = RunDetail { params, backfill: *backfill, lineage: lineage.clone(), ..RunDetail::default() };
    Ok(Ok((run, detail)))
}

/// A run that is restored from elsewhere. It is not judged: it was let in there.
pub(super) fn restore<R: Rows>(
    creation: &RunCreation,
    workflow: &WorkflowName,
    rows: &mut R,
) -> Result<(Run, RunDetail), R::Error> {
    let_in(creation, creation.now.now, workflow, rows)
}

/// A run that has begun already. Of what it processes nothing is known, so it has no window.
fn let_in<R: Rows>(
    creation: &RunCreation,
    started_at: Timestamp,
    workflow: &WorkflowName,
    rows: &mut R,
) -> Result<(Run, RunDetail), R::Error> {
    let number = history(workflow, rows)?.last_number + 1;
    let run = Run { number, held: None, started_at: Some(started_at), ended_at: None };
    Ok((run, RunDetail { lineage: creation.lineage.clone(), ..RunDetail::default() }))
}

/// Whether runs of a workflow are open, held or waiting.
pub(super) fn has_unended<R: Rows>(workflow: &WorkflowName, rows: &mut R) -> Result<bool, R::Error> {
    Ok(history(workflow, rows)?.has_unended())
}

/// Takes a run off the list whose item or entry is lost, so that it stands in nobody's way. Possible only
/// after damage was accepted.
fn unlist<R: Rows>(
    workflow: &WorkflowName,
    number: u64,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<(), R::Error> {
    let mut history = history(workflow, rows)?;
    history.unlist(number);
    put(workflow, history, rows, changes)
}

/// Closes open runs as discarded, the newest first, as many as are listed: there are more only if the
/// workflow allowed any number before, and these are closed by the next ones.
fn supersede<R: Rows>(
    workflow: &WorkflowName,
    policy: &Policy,
    now: Timestamp,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<(), R::Error> {
    for _ in 0..LISTED_MAX {
        let Some(number) = history(workflow, rows)?.newest_open() else { return Ok(()) };
        let Some(mut item) = item_of(workflow, number, rows)? else {
            unlist(workflow, number, rows, changes)?;
            continue;
        };
        let before = Before::of(&item, telling(policy, now));
        item.close(policy.closing(CloseOutcome::Discarded, now));
        update(&item, before, Detail::Same, rows, changes)?;
    }
    Ok(())
}

/// Ends the newest open run of a workflow.
pub(super) fn end<R: Rows>(
    workflow: &WorkflowName,
    end: &RunEnd,
    policy: &Policy,
    now: Timestamp,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    let Some(number) = history(workflow, rows)?.newest_open() else { return Ok(Outcome::NoRunOpen) };
    let Some(mut item) = item_of(workflow, number, rows)? else {
        unlist(workflow, number, rows, changes)?;
        return Ok(Outcome::NoRunOpen);
    };
    let before = Before::of(&item, telling(policy, now));
    if let Err(refusal) = item.end_run(end, policy, now) {
        return Ok(Outcome::Refused(refusal));
    }
    update(&item, before, Detail::Changed, rows, changes)?;
    Ok(match end.kind {
        RunEndKind::Close(_) => Outcome::Closed(Box::new(item)),
        RunEndKind::Fail(_) => Outcome::Changed(Box::new(item)),
    })
}

/// Puts a workflow on hold.
pub(super) fn hold<R: Rows>(
    workflow: &WorkflowName,
    hold: Hold,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    let mut history = history(workflow, rows)?;
    history.hold = Some(hold);
    put(workflow, history, rows, changes)?;
    Ok(Outcome::Done)
}

/// Ends the hold of a workflow, and opens or closes the run that is held.
pub(super) fn release<R: Rows>(
    workflow: &WorkflowName,
    release_as: ReleaseAs,
    policy: &Policy,
    now: Moment,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    let stood = history(workflow, rows)?;
    let mut released = stood.clone();
    released.release();
    let held = released.held;
    if released != stood {
        put(workflow, released, rows, changes)?;
    }
    let item = match held {
        Some(number) => item_of(workflow, number, rows)?,
        None => None,
    };
    let Some(mut item) = item.filter(Item::is_held) else { return Ok(Outcome::Done) };
    let before = Before::of(&item, telling(policy, now.now));
    match release_as {
        ReleaseAs::Success => item.close(policy.closing(CloseOutcome::Success, now.now)),
        // It waits until it may: another run can be open, or a requirement unmet.
        ReleaseAs::Open if !open(&mut item, policy, now, rows)? => item.hold_for_requirements(),
        ReleaseAs::Open => {}
    }
    update(&item, before, Detail::Changed, rows, changes)?;
    Ok(Outcome::Done)
}

/// Opens the runs of a workflow that wait and may begin, the oldest first.
pub(super) fn open_waiting<R: Rows>(
    workflow: &WorkflowName,
    policy: &Policy,
    now: Moment,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    for _ in 0..OPENED_AT_ONCE {
        let oldest = history(workflow, rows)?.waiting.listed.first().copied();
        let Some(number) = oldest else { return Ok(Outcome::Done) };
        let Some(mut item) = item_of(workflow, number, rows)? else {
            unlist(workflow, number, rows, changes)?;
            continue;
        };
        let before = Before::of(&item, telling(policy, now.now));
        if !open(&mut item, policy, now, rows)? {
            return Ok(Outcome::Done);
        }
        update(&item, before, Detail::Changed, rows, changes)?;
    }
    Ok(Outcome::Partly)
}

/// Begins a held run if it may.
fn open<R: Rows>(item: &mut Item, policy: &Policy, now: Moment, rows: &mut R) -> Result<bool, R::Error> {
    let history = history(&item.workflow, rows)?;
    let others = required(policy, rows)?;
    if !history.may_open(&policy.runs, |name| others.get(name), now.now) {
        return Ok(false);
    }
    let backfill = item.detail().run.as_ref().and_then(|run| run.backfill);
    item.open_run(policy.runs.params_at(&history.watermarks, backfill, now.wall(now.now)), now);
    Ok(true)
}

fn telling(policy: &Policy, now: Timestamp) -> Telling {
    Telling { wanted: policy.events.wanted(), now }
}

/// Renews what the ledger keeps of a run, and the history of its workflow.
pub(super) fn follow<R: Rows>(
    workflow: &WorkflowName,
    before: Option<&RunEntry>,
    after: RunEntry,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<(), R::Error> {
    let stood = history(workflow, rows)?;
    let mut history = stood.clone();
    history.follow(before, &after);
    documents::put(Document::Run(workflow.clone(), Box::new(after)), rows, changes)?;
    if history.open.needs_listing() {
        let open = |entry: &RunEntry| entry.status == RunStatus::Open;
        let numbers = numbers(workflow, rows)?.into_iter().rev();
        history.open.list(listed(workflow, numbers, history.open.count, open, rows)?);
    }
    if history.waiting.needs_listing() {
        let waits = |entry: &RunEntry| entry.held == Some(HeldFor::Requirement);
        let numbers = numbers(workflow, rows)?.into_iter();
        history.waiting.list(listed(workflow, numbers, history.waiting.count, waits, rows)?);
    }
    if history == stood { Ok(()) } else { put(workflow, history, rows, changes) }
}

/// The numbers in the ledger, in order.
fn numbers<R: Rows>(workflow: &WorkflowName, rows: &mut R) -> Result<Vec<u64>, R::Error> {
    let number = |id: DocumentId| match id {
        DocumentId::Run(_, number) => Some(number),
        _ => None,
    };
    let ids = rows.ids(&DocumentSet::RunsOf(workflow.clone()), usize::MAX)?;
    Ok(ids.into_iter().filter_map(number).collect())
}

/// The runs among `numbers` that `is_wanted`, at most `count` and as many as are listed.
fn listed<R: Rows>(
    workflow: &WorkflowName,
    numbers: impl Iterator<Item = u64>,
    count: u64,
    is_wanted: impl Fn(&RunEntry) -> bool,
    rows: &mut R,
) -> Result<Vec<u64>, R::Error> {
    let most = usize::try_from(count).unwrap_or(usize::MAX).min(LISTED_MAX);
    let mut found = Vec::new();
    for number in numbers {
        if found.len() == most {
            break;
        }
        if entry(workflow, number, rows)?.is_some_and(|entry| is_wanted(&entry)) {
            found.push(number);
        }
    }
    Ok(found)
}

/// The histories of the workflows that this one requires.
fn required<R: Rows>(policy: &Policy, rows: &mut R) -> Result<BTreeMap<WorkflowName, RunHistory>, R::Error> {
    let names = policy.runs.requires.iter().map(|requirement| requirement.workflow.clone());
    names.map(|name| Ok((name.clone(), history(&name, rows)?))).collect()
}

/// The refusal with the id of the run that it is about.
fn named<R: Rows>(
    mut refusal: RunRefusal,
    workflow: &WorkflowName,
    rows: &mut R,
) -> Result<RunRefusal, R::Error> {
    if let RunRefusal::Open { number, item } | RunRefusal::OnHold { number, item } = &mut refusal {
        *item = entry(workflow, *number, rows)?.map(|entry| entry.item);
    }
    Ok(refusal)
}

fn item_of<R: Rows>(workflow: &WorkflowName, number: u64, rows: &mut R) -> Result<Option<Item>, R::Error> {
    match entry(workflow, number, rows)? {
        Some(entry) => rows.item(entry.item_number),
        None => Ok(None),
    }
}

fn entry<R: Rows>(workflow: &WorkflowName, number: u64, rows: &mut R) -> Result<Option<RunEntry>, R::Error> {
    let found = rows.document(&DocumentId::Run(workflow.clone(), number))?;
    Ok(found.and_then(|document| document.try_into().ok()))
}

fn history<R: Rows>(workflow: &WorkflowName, rows: &mut R) -> Result<RunHistory, R::Error> {
    let found = rows.document(&DocumentId::RunHistory(workflow.clone()))?;
    Ok(found.and_then(|document| document.try_into().ok()).unwrap_or_default())
}

fn put<R: Rows>(
    workflow: &WorkflowName,
    history: RunHistory,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<(), R::Error> {
    documents::put(Document::RunHistory(workflow.clone(), Box::new(history)), rows, changes)
}
