//! What a command does, given what is there: the one place where preconditions are judged.
//!
//! Engines that read and decide by themselves hand their rows in as [`Rows`] and get the rules of the domain
//! from here, so that no two of them can differ. An engine that lets a server decide (SQL) would not use this;
//! the conformance suite holds it to the same answers.

use super::holdings::Holdings;
use super::{Change, Claim, Command, Creation, Outcome};
use crate::model::item::{Closing, Item};
use crate::model::lease::LeaseRefusal;
use crate::model::{
    ClockAnchor, Delivery, Incident, IncidentId, ItemKey, ItemNumber, LeaseAct, LeaseId, LeaseLost, Moment,
    Progress, Replay, ReplayChunk, ReplayId, Silence, SilenceId, Standing, Timestamp, Work, Workflow,
    WorkflowName,
};

/// Whether an item's progress, errors or steps have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    Changed,
    Same,
}

/// Rows as an engine has them: what was written shows in what is read next.
pub(super) trait Rows {
    /// What goes wrong below.
    type Error;

    /// The number that nobody has had yet.
    fn next_number(&mut self) -> Result<ItemNumber, Self::Error>;
    /// The item by its number.
    fn item(&mut self, number: ItemNumber) -> Result<Option<Item>, Self::Error>;
    /// The number that clients' name for an item stands for.
    fn number(&mut self, key: &ItemKey) -> Result<Option<ItemNumber>, Self::Error>;
    /// The number that was made under an `Idempotency-Key`.
    fn number_by_idempotency_key(
        &mut self,
        workflow: &WorkflowName,
        digest: &[u8; 32],
    ) -> Result<Option<ItemNumber>, Self::Error>;
    /// Adds an item with its names, and its payload if it has one.
    fn insert_item(&mut self, item: &Item, payload: Option<bytes::Bytes>) -> Result<(), Self::Error>;
    /// Writes a changed item over the old one; its detail, which may be large, only where that has changed.
    fn update_item(&mut self, item: &Item, detail: Detail) -> Result<(), Self::Error>;
    /// Removes an item's payload, if it is there.
    fn remove_payload(&mut self, item: &Item) -> Result<(), Self::Error>;
    /// Removes an item with its names; its payload is gone already.
    fn remove_item(&mut self, item: &Item) -> Result<(), Self::Error>;
    /// What there is of each workflow, which is kept up to date here.
    fn holdings(&mut self) -> &mut Holdings;
    /// Writes a workflow.
    fn put_workflow(&mut self, workflow: &Workflow) -> Result<(), Self::Error>;
    /// Removes a workflow, if it is there.
    fn remove_workflow(&mut self, name: &WorkflowName) -> Result<(), Self::Error>;
    /// Writes an incident.
    fn put_incident(&mut self, incident: &Incident) -> Result<(), Self::Error>;
    /// Writes a delivery.
    fn put_delivery(&mut self, delivery: &Delivery) -> Result<(), Self::Error>;
    /// Writes a silence.
    fn put_silence(&mut self, silence: &Silence) -> Result<(), Self::Error>;
    /// Removes a silence, if it is there.
    fn remove_silence(&mut self, id: &SilenceId) -> Result<(), Self::Error>;
    /// Writes the instant of a probe over that of the last one.
    fn put_probe(&mut self, at: Timestamp) -> Result<(), Self::Error>;
    /// Writes what ties steady time to the wall clock over what was written before.
    fn put_clock(&mut self, anchor: &ClockAnchor) -> Result<(), Self::Error>;
    /// Removes some of an incident's deliveries, or the incident when none is left; whether it is gone.
    fn remove_incident(&mut self, id: &IncidentId) -> Result<bool, Self::Error>;
    /// Writes how far what is expected of a workflow has come to pass.
    fn put_progress(&mut self, workflow: &WorkflowName, progress: &Progress) -> Result<(), Self::Error>;
    /// Removes it, if it is there.
    fn remove_progress(&mut self, workflow: &WorkflowName) -> Result<(), Self::Error>;
    /// Writes a replay.
    fn put_replay(&mut self, replay: &Replay) -> Result<(), Self::Error>;
    /// Writes a chunk of a replay.
    fn put_replay_chunk(&mut self, replay: &ReplayId, chunk: &ReplayChunk) -> Result<(), Self::Error>;
    /// Removes some of a replay's chunks, or the replay when none is left; whether it is gone.
    fn remove_replay(&mut self, id: &ReplayId) -> Result<bool, Self::Error>;
}

/// How much more space a command may need than it frees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Hardly any. Such ones go on while the disk is full.
    None,
    /// What is said of an item that is there: progress, labels, an error. Such ones are refused when the disk is nearly used
    /// up.
    Detail,
    /// New items, and the selections of replays. Such ones are the first to be refused.
    Items,
}

impl Command {
    /// How much more space it may need than it frees.
    pub fn growth(&self) -> Growth {
        match self {
            Self::Create(_) | Self::PutReplayChunks { .. } => Growth::Items,
            Self::Report { .. } => Growth::Detail,
            Self::Patch { patch, .. } if patch.labels.is_some() || patch.progress.is_some() => Growth::Detail,
            Self::ActOnLease { act, .. } if act.grows() => Growth::Detail,
            _ => Growth::None,
        }
    }
}

/// Carries one command out on the rows and notes what changed.
pub(super) fn settle<R: Rows>(
    command: Command,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    match command {
        Command::Create(creation) => create(*creation, rows, changes),
        Command::Close { key, closing } => close(key, closing, rows, changes),
        Command::Patch { key, patch, if_version, now } => change(&key, now, rows, changes, |item| {
            if if_version.is_some_and(|version| version != item.version) {
                return Err(Outcome::VersionMismatch(item.version));
            }
            item.patch(&patch).map_err(Outcome::Refused)
        }),
        Command::Report { key, error } => change(&key, error.at, rows, changes, |item| {
            if item.has_error(&error.id) {
                return Err(Outcome::Changed(Box::new(item.clone())));
            }
            item.report(*error).map_err(Outcome::Refused)
        }),
        Command::Claim(claim) => lease_out(*claim, rows, changes),
        Command::ActOnLease { lease, act, now } => act_on_lease(lease, act, now, rows, changes),
        Command::Retry { key, now } => change(&key, now, rows, changes, |item| {
            if item.retry() { Ok(()) } else { Err(Outcome::Changed(Box::new(item.clone()))) }
        }),
        Command::Forget(number) => {
            if let Some(item) = closed_item(number, rows)? {
                forget(&item, rows, changes)?;
            }
            Ok(Outcome::Done)
        }
        Command::DropPayload(number) => {
            if let Some(mut item) = closed_item(number, rows)?
                && item.stored_payload().is_some()
            {
                let before = item.standing();
                rows.remove_payload(&item)?;
                if let Some(closed) = &mut item.closed {
                    closed.payload_until = closed.at;
                }
                rows.update_item(&item, Detail::Same)?;
                note(changes, Some(before), Some(&item));
            }
            Ok(Outcome::Done)
        }
        Command::ForgetWorkflow(name) => forget_workflow(name, rows, changes),
        Command::CommitIncident { incident, deliveries } => {
            rows.put_incident(&incident)?;
            rows.holdings().put_incident(&incident);
            for delivery in &deliveries {
                rows.put_delivery(delivery)?;
            }
            Ok(Outcome::Done)
        }
        Command::RecordDelivery(delivery) => rows.put_delivery(&delivery).map(|()| Outcome::Done),
        Command::PutSilence(silence) => rows.put_silence(&silence).map(|()| Outcome::Done),
        Command::ForgetSilence(id) => rows.remove_silence(&id).map(|()| Outcome::Done),
        Command::Probe(at) => rows.put_probe(at).map(|()| Outcome::Done),
        Command::PutClock(anchor) => rows.put_clock(&anchor).map(|()| Outcome::Done),
        Command::ForgetIncident(id) => {
            if !rows.remove_incident(&id)? {
                return Ok(Outcome::Partly);
            }
            rows.holdings().remove_incident(&id);
            Ok(Outcome::Done)
        }
        Command::PutProgress { workflow, progress } => {
            rows.put_progress(&workflow, &progress).map(|()| Outcome::Done)
        }
        Command::ForgetProgress(workflow) => rows.remove_progress(&workflow).map(|()| Outcome::Done),
        Command::PutReplayChunks { replay, chunks } => {
            put_chunks(&replay, &chunks, rows).map(|()| Outcome::Done)
        }
        Command::PutReplay { replay, chunks } => {
            rows.put_replay(&replay)?;
            put_chunks(&replay.id, &chunks, rows).map(|()| Outcome::Done)
        }
        Command::ForgetReplay(id) => {
            Ok(if rows.remove_replay(&id)? { Outcome::Done } else { Outcome::Partly })
        }
    }
}

fn create<R: Rows>(creation: Creation, rows: &mut R, changes: &mut Vec<Change>) -> Result<Outcome, R::Error> {
    let now = creation.created_at;
    let by_idempotency_key = match &creation.idempotency_key {
        Some(digest) => rows.number_by_idempotency_key(&creation.key.workflow, digest)?,
        None => None,
    };
    let existing = match by_idempotency_key {
        Some(number) => remembered(number, now, rows, changes)?,
        None => None,
    };
    // Also after a stale idempotency key: another item may have the id.
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
    let is_first_use = creation.notes_workflow.is_some() && !rows.holdings().is_noted(workflow);
    if is_first_use && creation.notes_workflow.is_some_and(|most| rows.holdings().noted() >= most) {
        return Ok(Outcome::TooManyWorkflows(creation.key.workflow));
    }
    let made = is_first_use.then(|| Workflow { name: workflow.clone(), created_at: now });
    let (item, payload) = new_item(creation, rows.next_number()?);
    rows.insert_item(&item, payload)?;
    rows.holdings().add_items(&item.workflow, 1);
    if let Some(workflow) = made {
        // After the item: an engine may begin a new batch for that, and no name is to be there without what made it.
        rows.put_workflow(&workflow)?;
        rows.holdings().note(&workflow.name);
        changes.push(Change::WorkflowNoted(workflow));
    }
    note(changes, None, Some(&item));
    Ok(Outcome::Created(Box::new(item)))
}

/// Judged here, so that no item can come between the judgement and the end of the name.
fn forget_workflow<R: Rows>(
    name: WorkflowName,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    if rows.holdings().is_in_use(&name) {
        return Ok(Outcome::WorkflowInUse);
    }
    if rows.holdings().is_noted(&name) {
        rows.remove_workflow(&name)?;
        rows.holdings().forget(&name);
        changes.push(Change::WorkflowForgotten(name));
    }
    Ok(Outcome::Done)
}

/// What a creation comes to whose item is there.
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

/// The item that a creation makes, and the bytes that are kept of its payload.
fn new_item(creation: Creation, number: ItemNumber) -> (Item, Option<bytes::Bytes>) {
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
        detail: None,
    };
    if let Some(restored) = creation.restored {
        let accepted_at = restored.created_at;
        item.payload = item.payload.filter(|_| accepted_at.is_some());
        item.created_at = accepted_at.or(restored.closed.map(|closed| closed.at)).unwrap_or(now);
        item.failed_at = restored.failed_at;
        item.closed = restored.closed;
        item.step_entered_at = restored.step_entered_at;
        item.work.attempts = restored.attempts;
        item.work.retry_at = restored.retry_at;
        item.detail = restored.detail;
    }
    let payload = item.stored_payload().is_some().then_some(creation.payload);
    (item, payload)
}

fn close<R: Rows>(
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
            note(changes, None, Some(&tombstone));
            Ok(Outcome::Unknown)
        }
        // Nobody ever created it: the answer stays the same however often the close is repeated.
        Some(item) if item.payload.is_none() => Ok(Outcome::Unknown),
        Some(item) if item.closed.is_some() => Ok(Outcome::AlreadyClosed(Box::new(item))),
        Some(mut item) => {
            let before = item.standing();
            item.close(closing);
            update(&item, before, Detail::Same, rows, changes)?;
            Ok(Outcome::Closed(Box::new(item)))
        }
    }
}

fn lease_out<R: Rows>(claim: Claim, rows: &mut R, changes: &mut Vec<Change>) -> Result<Outcome, R::Error> {
    let Claim { number, filter, worker, expires_at, ignores_wait, now } = claim;
    let is_free = |item: &Item| match ignores_wait {
        true => item.closed.is_none() && item.work.running(now.now).is_none(),
        false => item.is_claimable(now.now),
    };
    let found = rows.item(number)?.filter(|item| is_free(item) && filter.admits(item, now));
    let Some(mut item) = found else { return Ok(Outcome::NotClaimable) };
    let before = item.standing();
    // From the numbers of the items, which grow for ever, across restarts as well.
    item.claim(rows.next_number()?.0, worker, expires_at);
    update(&item, before, Detail::Same, rows, changes)?;
    Ok(Outcome::Changed(Box::new(item)))
}

fn act_on_lease<R: Rows>(
    lease: LeaseId,
    act: LeaseAct,
    now: Moment,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    let Some(mut item) = remembered(lease.item, now.now, rows, changes)? else {
        return Ok(Outcome::LeaseLost(LeaseLost::Forgotten));
    };
    let before = item.standing();
    let detail = if act.adds_detail() { Detail::Changed } else { Detail::Same };
    match item.act(lease.token, act, now) {
        Ok(()) => update(&item, before, detail, rows, changes)?,
        Err(LeaseRefusal::Repeated) => {}
        Err(LeaseRefusal::Lost(lost)) => return Ok(Outcome::LeaseLost(lost)),
        Err(LeaseRefusal::Item(refusal)) => return Ok(Outcome::Refused(refusal)),
    }
    Ok(Outcome::Changed(Box::new(item)))
}

/// Writes a changed item. If it was closed by the change, its payload goes, unless it is to outlive the close.
fn update<R: Rows>(
    item: &Item,
    before: Standing,
    detail: Detail,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<(), R::Error> {
    if item.closed.is_some() && item.stored_payload().is_none() {
        rows.remove_payload(item)?;
    }
    rows.update_item(item, detail)?;
    note(changes, Some(before), Some(item));
    Ok(())
}

fn put_chunks<R: Rows>(replay: &ReplayId, chunks: &[ReplayChunk], rows: &mut R) -> Result<(), R::Error> {
    chunks.iter().try_for_each(|chunk| rows.put_replay_chunk(replay, chunk))
}

/// Changes an open item, unless `transition` gives another outcome.
fn change<R: Rows>(
    key: &ItemKey,
    now: Timestamp,
    rows: &mut R,
    changes: &mut Vec<Change>,
    transition: impl FnOnce(&mut Item) -> Result<(), Outcome>,
) -> Result<Outcome, R::Error> {
    match find(key, now, rows, changes)? {
        None => Ok(Outcome::Unknown),
        Some(item) if item.payload.is_none() => Ok(Outcome::Unknown),
        Some(item) if item.closed.is_some() => Ok(Outcome::AlreadyClosed(Box::new(item))),
        Some(mut item) => {
            let before = item.standing();
            if let Err(refusal) = transition(&mut item) {
                return Ok(refusal);
            }
            update(&item, before, Detail::Changed, rows, changes)?;
            Ok(Outcome::Changed(Box::new(item)))
        }
    }
}

/// The item by its key, if it is remembered.
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

/// The item by its number, if it is remembered; one whose retention has run out is forgotten here and now.
fn remembered<R: Rows>(
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

fn closed_item<R: Rows>(number: ItemNumber, rows: &mut R) -> Result<Option<Item>, R::Error> {
    Ok(rows.item(number)?.filter(|item| item.closed.is_some()))
}

fn forget<R: Rows>(item: &Item, rows: &mut R, changes: &mut Vec<Change>) -> Result<(), R::Error> {
    if item.stored_payload().is_some() {
        rows.remove_payload(item)?;
    }
    rows.remove_item(item)?;
    rows.holdings().remove_item(&item.workflow);
    note(changes, Some(item.standing()), None);
    Ok(())
}

fn note(changes: &mut Vec<Change>, before: Option<Standing>, after: Option<&Item>) {
    changes.push(Change::Item { before, after: after.map(Item::standing) });
}
