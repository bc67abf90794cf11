//! Settles commands on items: create, close, change, forget.

use std::sync::Arc;

use bytes::Bytes;

use super::events::{self, Telling};
use super::runs::{self, RunCreation};
use super::{Detail, Outcome, Rows, artifacts, documents};
use crate::model::item::{
    Closing, Course, Item, ProgressChange, Progression, StepError, StepOutcome, StepRefusal,
};
use crate::model::{
    ClockTime, IndexedItem, ItemKey, ItemNumber, Labels, Moment, PayloadInfo, Policies, Restored, RunEntry,
    Step, StepName, Timestamp, TraceContext, Work, Workflow,
};
use crate::store::Change;

/// A request to create an item.
#[derive(Clone, Debug)]
pub struct Creation {
    pub key: ItemKey,
    /// The digest of the client's `Idempotency-Key`: a second creation with the same key finds the first
    /// item, whatever its id.
    pub idempotency_key: Option<[u8; 32]>,
    pub created_at: Timestamp,
    pub deadline: ClockTime,
    /// Within the limits of [`crate::model::item`].
    pub labels: Labels,
    pub step: Option<StepName>,
    /// Its own steps; `None` for those of its workflow.
    pub steps: Option<Vec<Step>>,
    /// Shared by all steps.
    pub progress: serde_json::Map<String, serde_json::Value>,
    /// It cannot be claimed before.
    pub not_before: Option<Timestamp>,
    /// The trace of the request.
    pub trace: Option<Box<TraceContext>>,
    /// The deadline that no step's exceeds.
    pub deadline_max: Option<ClockTime>,
    /// A buffer of its own: an engine may keep it, and with it the whole buffer that it is a part of.
    pub payload: Bytes,
    /// Must match the payload, unless that was removed when the item was closed.
    pub info: PayloadInfo,
    /// The history of an imported item.
    pub restored: Option<Box<Restored>>,
    /// If it is a run of its workflow.
    pub run: Option<Box<RunCreation>>,
    /// If this create may also create its workflow: the limit of workflows created on first use.
    pub workflows_max: Option<usize>,
}

pub(super) fn create<R: Rows>(
    creation: Creation,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    let now = creation.created_at;
    let by_idempotency_key = match &creation.idempotency_key {
        Some(digest) => rows.number_by_idempotency_key(&creation.key.workflow, digest)?,
        None => None,
    };
    let existing = match by_idempotency_key {
        Some(number) => remembered(number, now, rows, changes)?,
        None => None,
    };
    // Also after an outdated idempotency key: another item may have the id.
    let existing = match existing {
        Some(item) => Some(item),
        None => find(&creation.key, now, rows, changes)?,
    };
    if let Some(existing) = existing {
        return Ok(found(&creation, Box::new(existing)));
    }
    let closed = creation.restored.as_ref().and_then(|restored| restored.closed);
    if closed.is_some_and(|closed| closed.record_until <= now) {
        return Ok(Outcome::Done);
    }
    let workflow = &creation.key.workflow;
    let is_first_use = creation.workflows_max.is_some() && !rows.holdings().has_workflow(workflow);
    if is_first_use && creation.workflows_max.is_some_and(|most| rows.holdings().workflow_count() >= most) {
        return Ok(Outcome::TooManyWorkflows(creation.key.workflow));
    }
    let made = is_first_use.then(|| Workflow { name: workflow.clone(), created_at: now, definition: None });
    let is_imported = creation.restored.is_some();
    let run = match &creation.run {
        // What is closed ran elsewhere.
        Some(_) if closed.is_some() => None,
        Some(run) if is_imported => Some(runs::restore(run, workflow, rows)?),
        Some(run) => match runs::begin(run, workflow, rows, changes)? {
            Ok(begun) => Some(begun),
            Err(refused) => return Ok(refused),
        },
        None => None,
    };
    let wanted = creation.run.as_ref().filter(|_| !is_imported).map(|run| run.policy.events.wanted());
    let (mut item, payload) = new_item(creation, rows.next_number()?);
    if let Some((run, detail)) = run {
        item.begin_run(run, detail);
    }
    rows.insert_item(&item, payload)?;
    rows.holdings().add_items(&item.workflow, 1);
    if let Some(workflow) = made {
        // After the item: an engine may begin a new batch for it, and there must be no workflow without its
        // first item.
        documents::put(workflow.into(), rows, changes)?;
    }
    push_new(changes, &item, is_imported);
    if let Some(entry) = item.run_entry() {
        runs::follow(&item.workflow, None, entry, rows, changes)?;
    }
    if let Some(wanted) = wanted {
        events::tell_new(&item, Telling { wanted, now }, rows, changes)?;
    }
    Ok(Outcome::Created(Box::new(item)))
}

/// The outcome if the item exists.
fn found(creation: &Creation, existing: Box<Item>) -> Outcome {
    let restored = creation.restored.as_ref();
    let payload = restored.map_or(Some(&creation.info), |restored| restored.payload(&creation.info));
    let is_same = existing.payload.as_ref() == payload;
    match (existing.closed, restored.and_then(|restored| restored.closed)) {
        (Some(there), Some(asked)) if is_same && there.outcome == asked.outcome => Outcome::Exists(existing),
        (Some(_), _) => Outcome::AlreadyClosed(existing),
        (None, None) if is_same => Outcome::Exists(existing),
        (None, _) => Outcome::Conflict(existing),
    }
}

/// The new item, and its payload as far as it is kept.
fn new_item(creation: Creation, number: ItemNumber) -> (Item, Option<Bytes>) {
    let now = creation.created_at;
    let mut item = Item {
        number,
        workflow: creation.key.workflow,
        id: creation.key.id,
        created_at: now,
        deadline: creation.deadline,
        failed_at: None,
        closed: None,
        labels: creation.labels,
        step: creation.step,
        step_entered_at: now,
        payload: Some(creation.info),
        idempotency_key: creation.idempotency_key,
        version: 1,
        work: Work::default(),
        course: Course {
            not_before: creation.not_before,
            deadline_max: creation.deadline_max,
            ..Course::default()
        },
        run: None,
        trace: creation.trace,
        detail: None,
    };
    if creation.steps.is_some() || !creation.progress.is_empty() {
        let detail = item.detail.get_or_insert_default();
        detail.own_steps = creation.steps;
        detail.progress = creation.progress;
    }
    if let Some(restored) = creation.restored {
        let accepted_at = restored.created_at;
        item.payload = item.payload.filter(|_| accepted_at.is_some());
        item.created_at = accepted_at.or(restored.closed.map(|closed| closed.at)).unwrap_or(now);
        item.failed_at = restored.failed_at;
        item.closed = restored.closed;
        item.step_entered_at = restored.step_entered_at;
        item.work.attempts = restored.attempts;
        item.work.retry_at = restored.retry_at;
        let own_steps = item.detail.take().and_then(|detail| detail.own_steps);
        item.detail = restored.detail;
        if own_steps.is_some() {
            item.detail.get_or_insert_default().own_steps = own_steps;
        }
        let Course { not_before, .. } = item.course;
        let deadline_max = restored.course.deadline_max.or(item.course.deadline_max);
        item.course = Course { not_before, deadline_max, ..restored.course };
    }
    let payload = item.stored_payload().is_some().then_some(creation.payload);
    (item, payload)
}

pub(super) fn close<R: Rows>(
    key: ItemKey,
    closing: Closing,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    match find(&key, closing.at, rows, changes)? {
        None => {
            let tombstone = Item::tombstone(rows.next_number()?, key, closing);
            rows.insert_item(&tombstone, None)?;
            rows.holdings().add_items(&tombstone.workflow, 1);
            push_new(changes, &tombstone, false);
            Ok(Outcome::Unknown)
        }
        // It was never created: repeating the close has the same outcome.
        Some(item) if item.payload.is_none() => Ok(Outcome::Unknown),
        Some(item) if item.closed.is_some() => Ok(Outcome::AlreadyClosed(Box::new(item))),
        Some(mut item) => {
            let before = Before::of(&item, Telling { wanted: closing.events, now: closing.at });
            item.close(closing);
            update(&item, before, Detail::Same, rows, changes)?;
            Ok(Outcome::Closed(Box::new(item)))
        }
    }
}

/// Writes a changed item. If the change closed it, its payload is removed unless it is kept after the close.
pub(super) fn update<R: Rows>(
    item: &Item,
    before: Before,
    detail: Detail,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<(), R::Error> {
    if item.closed.is_some() && item.stored_payload().is_none() {
        rows.remove_payload(item)?;
    }
    rows.update_item(item, detail)?;
    push_change(changes, Some(before.indexed.clone()), &before.progression, item);
    if let Some(entry) = item.run_entry().filter(|entry| before.run.as_ref() != Some(entry)) {
        runs::follow(&item.workflow, before.run.as_ref(), entry, rows, changes)?;
    }
    events::tell_change(&before, item, rows, changes)
}

/// Changes an open item, unless `transition` returns another outcome.
pub(super) fn change<R: Rows>(
    key: &ItemKey,
    telling: Telling,
    rows: &mut R,
    changes: &mut Vec<Change>,
    transition: impl FnOnce(&mut Item) -> Result<(), Outcome>,
) -> Result<Outcome, R::Error> {
    match find(key, telling.now, rows, changes)? {
        None => Ok(Outcome::Unknown),
        Some(item) if item.payload.is_none() => Ok(Outcome::Unknown),
        Some(item) if item.closed.is_some() => Ok(Outcome::AlreadyClosed(Box::new(item))),
        Some(mut item) => {
            let before = Before::of(&item, telling);
            if let Err(refusal) = transition(&mut item) {
                return Ok(refusal);
            }
            update(&item, before, Detail::Changed, rows, changes)?;
            Ok(Outcome::Changed(Box::new(item)))
        }
    }
}

/// The result of a run of a step, reported without a lease.
#[derive(Clone, Debug)]
pub struct StepReport {
    pub key: ItemKey,
    pub step: StepName,
    pub outcome: StepOutcome,
    pub progress: Option<ProgressChange>,
    pub policies: Arc<dyn Policies>,
    pub now: Moment,
}

pub(super) fn report_step<R: Rows>(
    report: StepReport,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    let StepReport { key, step, outcome, progress, policies, now } = report;
    let policy = policies.policy_of(&key.workflow);
    let telling = Telling { wanted: policy.events.wanted(), now: now.now };
    let settled = change(&key, telling, rows, changes, |item| {
        match item.report_step(&step, outcome.clone(), progress, &policy, now) {
            Ok(()) => Ok(()),
            Err(StepError::Step(StepRefusal::Repeated)) => Err(Outcome::Changed(Box::new(item.clone()))),
            Err(error) => Err(error.into()),
        }
    })?;
    // The report that ended the last step closed the item.
    Ok(match settled {
        Outcome::AlreadyClosed(item)
            if item.check_step(&step, &outcome, &policy, now.now) == Err(StepRefusal::Repeated) =>
        {
            Outcome::Changed(item)
        }
        settled => settled,
    })
}

/// The item with this key, if it is within its retention.
fn find<R: Rows>(
    key: &ItemKey,
    now: Timestamp,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Option<Item>, R::Error> {
    match rows.number(key)? {
        Some(number) => remembered(number, now, rows, changes),
        None => Ok(None),
    }
}

/// The item with this number, if it is within its retention; otherwise its record is removed now.
pub(super) fn remembered<R: Rows>(
    number: ItemNumber,
    now: Timestamp,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Option<Item>, R::Error> {
    let Some(item) = rows.item(number)? else { return Ok(None) };
    if item.is_remembered(now) {
        return Ok(Some(item));
    }
    forget(&item, rows, changes)?;
    Ok(None)
}

pub(super) fn forget_closed<R: Rows>(
    number: ItemNumber,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    if let Some(item) = closed_item(number, rows)? {
        forget(&item, rows, changes)?;
    }
    Ok(Outcome::Done)
}

pub(super) fn drop_payload<R: Rows>(
    number: ItemNumber,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    let Some(mut item) = closed_item(number, rows)? else { return Ok(Outcome::Done) };
    if item.stored_payload().is_none() {
        return Ok(Outcome::Done);
    }
    let before = Before::of(&item, Telling::NOTHING);
    rows.remove_payload(&item)?;
    if let Some(closed) = &mut item.closed {
        closed.payload_until = closed.at;
    }
    rows.update_item(&item, Detail::Same)?;
    push_change(changes, Some(before.indexed), &before.progression, &item);
    Ok(Outcome::Done)
}

fn closed_item<R: Rows>(number: ItemNumber, rows: &mut R) -> Result<Option<Item>, R::Error> {
    Ok(rows.item(number)?.filter(|item| item.closed.is_some()))
}

fn forget<R: Rows>(item: &Item, rows: &mut R, changes: &mut Vec<Change>) -> Result<(), R::Error> {
    if item.stored_payload().is_some() {
        rows.remove_payload(item)?;
    }
    rows.remove_item(item)?;
    rows.holdings().remove_item(&item.workflow);
    changes.push(Change::Item { before: Some(item.indexed()), after: None });
    artifacts::remove_of_run(&item.key(), rows, changes)
}

/// An item before a change.
pub(super) struct Before {
    pub(super) indexed: IndexedItem,
    progression: Progression,
    pub(super) run: Option<RunEntry>,
    pub(super) telling: Telling,
}

impl Before {
    /// `telling` is what receivers ask for of the change.
    pub(super) fn of(item: &Item, telling: Telling) -> Self {
        Self { indexed: item.indexed(), progression: item.progression(), run: item.run_entry(), telling }
    }
}

/// Feeds a new item. What an imported one went through elsewhere is not counted here.
fn push_new(changes: &mut Vec<Change>, item: &Item, is_imported: bool) {
    let since = if is_imported { item.progression() } else { Progression::default() };
    push_change(changes, None, &since, item);
}

/// Feeds a new or changed item, and what happened at its steps since.
fn push_change(changes: &mut Vec<Change>, before: Option<IndexedItem>, since: &Progression, after: &Item) {
    changes.push(Change::Item { before, after: Some(after.indexed()) });
    let event = |event| Change::Step { workflow: after.workflow.clone(), event };
    changes.extend(after.step_events_since(since).into_iter().map(event));
}
