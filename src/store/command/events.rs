//! Writes the events that receivers ask for, beside the changes that they tell of, and turns them into
//! deliveries.

use super::items::Before;
use super::{Detail, Outcome, Rows, documents};
use crate::model::item::{Item, Status};
use crate::model::run::{RunStatus, Window};
use crate::model::{Delivery, Event, EventSet, ItemEvent, ItemNumber, Moment, Policies, RunEntry, Timestamp};
use crate::store::{Change, Document, DocumentId};

/// The most events that wait for their deliveries. Further ones are not written: closes must not fill a disk
/// that has no room for deliveries.
pub const EVENTS_MAX: usize = 20_000;

/// What receivers ask for, and when the change is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Telling {
    pub(super) wanted: EventSet,
    pub(super) now: Timestamp,
}

impl Telling {
    /// Of a change that is nobody's to be told.
    pub(super) const NOTHING: Self = Self { wanted: EventSet::NONE, now: Timestamp::MIN };
}

/// Writes the events of a new item.
pub(super) fn tell_new<R: Rows>(
    item: &Item,
    telling: Telling,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<(), R::Error> {
    let event = item.run_entry().and_then(|run| of_run(None, run.status));
    tell(item, event, telling, rows, changes)
}

/// Writes the events of a change.
pub(super) fn tell_change<R: Rows>(
    before: &Before,
    item: &Item,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<(), R::Error> {
    let Before { indexed, run, telling, .. } = before;
    if telling.wanted.is_empty() {
        return Ok(());
    }
    let status = run.as_ref().map(|run| run.status);
    let of_run = item.run_entry().and_then(|run| of_run(status, run.status));
    let closed = item.closed.is_some() && !matches!(indexed.status, Status::Closed { .. });
    let events = of_run.into_iter().chain(closed.then_some(Event::ItemClosed));
    events.into_iter().try_for_each(|event| tell(item, Some(event), *telling, rows, changes))
}

/// Takes note that a run is overdue, once for each deadline, and writes that event.
pub(super) fn note_overdue<R: Rows>(
    number: ItemNumber,
    policies: &dyn Policies,
    now: Moment,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    let Some(mut item) = rows.item(number)? else { return Ok(Outcome::Done) };
    let telling = Telling { wanted: policies.policy_of(&item.workflow).events.wanted(), now: now.now };
    if !telling.wanted.contains(Event::RunOverdue) || !item.note_overdue(now) {
        return Ok(Outcome::Done);
    }
    rows.update_item(&item, Detail::Changed)?;
    tell(&item, Some(Event::RunOverdue), telling, rows, changes)?;
    Ok(Outcome::Done)
}

/// Replaces an event by its deliveries. Nothing is written if it is gone.
pub(super) fn deliver<R: Rows>(
    number: u64,
    deliveries: Vec<Delivery>,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    if documents::remove_one(DocumentId::Event(number), rows, changes)? {
        deliveries.into_iter().try_for_each(|delivery| documents::put(delivery.into(), rows, changes))?;
    }
    Ok(Outcome::Done)
}

fn of_run(before: Option<RunStatus>, after: RunStatus) -> Option<Event> {
    match after {
        _ if before == Some(after) => None,
        RunStatus::Held => None,
        RunStatus::Open => Some(Event::RunStarted),
        RunStatus::Success => Some(Event::RunCompleted),
        RunStatus::Failed => Some(Event::RunFailed),
        RunStatus::Discarded => Some(Event::RunAborted),
    }
}

fn tell<R: Rows>(
    item: &Item,
    event: Option<Event>,
    telling: Telling,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<(), R::Error> {
    let Some(event) = event.filter(|event| telling.wanted.contains(*event)) else { return Ok(()) };
    if rows.holdings().event_count() >= EVENTS_MAX {
        return Ok(());
    }
    let number = rows.next_number()?.0;
    let mut run = item.run_entry();
    let params = run.as_mut().and_then(|run| run.params.take());
    let windows = params.iter().flat_map(|params| params.jobs.values()).map(|job| job.window);
    let happened_at = match (event, &run) {
        (Event::RunCompleted | Event::RunFailed | Event::RunAborted, Some(run)) => run.ended_at,
        // One that goes on after a failure started earlier, but is told now.
        (Event::RunStarted, Some(run)) => run.started_at.filter(|_| item.version == 1),
        _ => None,
    };
    let event = ItemEvent {
        number,
        event,
        at: happened_at.unwrap_or(telling.now),
        item: item.number,
        key: item.key(),
        created_at: item.created_at,
        deadline: item.deadline,
        labels: item.labels.clone(),
        outcome: item.closed.map(|closed| closed.outcome),
        run: run.map(Box::<RunEntry>::new),
        window: windows.reduce(covering),
    };
    documents::put(Document::Event(Box::new(event)), rows, changes)
}

/// The window from the earlier beginning to the later end.
fn covering(left: Window, right: Window) -> Window {
    let from = left.from.zip(right.from).map(|(left, right)| left.min(right));
    Window { from, to: left.to.max(right.to) }
}
