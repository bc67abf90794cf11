//! Checks of resolved notifications: they report what became of the items, and follow the opening of the
//! incident in which the items are in trouble.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use warden::model::{
    Clock as _, ClockTime, DeliveryId, DeliveryStatus, Incident, IncidentId, IncidentKind, IncidentStatus,
    Item, ItemState, Timestamp,
};
use warden::store::Reads as _;
use warden::store::engine::memory::MemoryStore;

use crate::clock::SimulatedClock;
use crate::quiet::Quiet;
use crate::watch::{SLACK, incidents, items};
use crate::world::SPLIT_WORKFLOW;

/// For how long after it is looked at what an end says.
const LATELY: Duration = Duration::from_secs(30 * 60);

/// Looks at the ends that are stored.
pub struct Ends<'a> {
    pub store: &'a MemoryStore,
    pub quiet: &'a Quiet,
    pub clock: &'a SimulatedClock,
}

impl Ends<'_> {
    /// Looks at all that ended lately.
    pub fn look(&self) -> Result<(), String> {
        let now = self.clock.read().0;
        let all = incidents(self.store);
        let lately = |incident: &&Incident| incident.resolved_at.is_some_and(|at| at.after(LATELY) > now);
        let ended: Vec<&Incident> = all.iter().filter(lately).collect();
        if ended.is_empty() {
            return Ok(());
        }
        let items = items(self.store, now);
        for incident in ended {
            self.look_at(incident, &all, &items)?;
        }
        Ok(())
    }

    fn look_at(&self, ended: &Incident, all: &[Incident], items: &[Item]) -> Result<(), String> {
        let id = &ended.id.0;
        let Some(outcomes) = ended.outcomes else {
            return Err(format!("{id} does not say what became of its items"));
        };
        // The most that it held is that of all its lives.
        if ended.reopened_at.is_none() && outcomes.total() < ended.peak {
            return Err(format!("{id} held {} items, and says what became of {outcomes:?}", ended.peak));
        }
        if let Some(item) = items.iter().find(|item| self.has_failed_in(item, ended))
            && outcomes.failed == 0
        {
            return Err(format!("{id} does not say that {} has failed: {outcomes:?}", item.id));
        }
        let Some(continuation) = &ended.continued_in else { return Ok(()) };
        let Some(told_at) = ended.notified_at.filter(|_| !ended.told.is_empty()) else { return Ok(()) };
        let untold = |other: &&Incident| {
            other.id == continuation.incident
                && other.status == IncidentStatus::Open
                && other.first_notified_at.is_none()
                && other.began_at() <= told_at
        };
        match all.iter().find(untold) {
            Some(other) if !self.quiet.holds(&ended.key.workflow, told_at) => {
                Err(format!("{id} was told to be over before {} was told at all", other.id.0))
            }
            _ => Ok(()),
        }
    }

    /// Whether an item has failed that was overdue then, for so long that the daemon must have known.
    fn has_failed_in(&self, item: &Item, ended: &Incident) -> bool {
        let (Some(failed_at), Some(ended_at)) = (item.failed_at, ended.resolved_at) else { return false };
        let moment = self.clock.moment();
        let deadline = match item.deadline {
            ClockTime::Steady(deadline) => deadline,
            // Before the wall clock was set this deadline was at another time.
            on_wall @ ClockTime::Wall { .. } => moment.steady(on_wall).max(self.clock.adopted_at()),
        };
        ended.key.kind == IncidentKind::Overdue
            && *item.workflow == *ended.key.workflow
            // Its labels may have been changed since.
            && *item.workflow != *SPLIT_WORKFLOW
            && item.state(moment) == ItemState::Failed
            && ended.began_at() <= failed_at
            && failed_at <= ended_at
            && deadline.after(SLACK) <= failed_at
            && self.clock.jumped_at().after(SLACK) <= failed_at
    }

    /// Of an incident that was told by then a receiver hears before it hears of the end of the one that goes
    /// on in it.
    pub fn check_order(
        &self,
        receiver: &str,
        early: Vec<(DeliveryId, Arc<str>, Arc<str>)>,
    ) -> Result<(), String> {
        for (end, ended, other) in early {
            let told = self.store.deliveries(IncidentId(other.clone())).now_or_never();
            let told = told.expect("memory never waits").expect("memory never fails");
            let end = self.store.delivery(end).now_or_never().expect("memory never waits");
            let Some(end) = end.expect("memory never fails") else { continue };
            let is_first = |at: Timestamp| at <= end.created_at;
            let mut first =
                told.iter().filter(|told| &*told.receiver == receiver && is_first(told.created_at));
            if first.any(|told| told.status != DeliveryStatus::Dead) {
                return Err(format!("{receiver} heard the end of {ended} before it heard of {other}"));
            }
        }
        Ok(())
    }
}
