//! Which incident continues one that has no items left.

use super::Alerting;
use super::is_open;
use crate::incident::{Successor, is_awaited};
use crate::model::{Continuation, Group, Incident, IncidentKey, IncidentKind, OutcomeCounts, Timestamp};

impl Alerting {
    /// The incident that the items of this one have moved to, if any.
    pub(super) fn successor(
        &self,
        ended: &Incident,
        outcomes: &OutcomeCounts,
        now: Timestamp,
    ) -> Option<Successor> {
        let key = self.goes_on_under(&ended.key, outcomes)?;
        let Some(open) = self.live.get(&key).filter(is_open) else {
            return Some(Successor::Coming);
        };
        let is_awaited = self.in_circumstances(Some(&open), &key, now, |circumstances| {
            is_awaited(&open, ended, circumstances)
        });
        let continuation = Continuation { incident: open.id, kind: key.kind };
        Some(Successor::Open { continuation, is_awaited })
    }

    /// The incident whose opening is notified before the resolution of this one.
    pub(in crate::warden) fn awaited_by(&self, ending: &Incident) -> Option<Incident> {
        ending.ending_since?;
        let key = self.goes_on_under(&ending.key, &ending.outcomes.unwrap_or_default())?;
        self.live.get(&key).filter(|other| is_open(other) && other.ending_since.is_none())
    }

    fn goes_on_under(&self, key: &IncidentKey, outcomes: &OutcomeCounts) -> Option<IncidentKey> {
        let has_items = |key: &IncidentKey| self.count(key) > 0;
        let of_kind = |kind| {
            // Its own group, or the group of all items beyond the most groups counted separately.
            let groups = [key.group.clone(), Group::new()];
            let keys = groups.map(|group| IncidentKey { workflow: key.workflow.clone(), kind, group });
            keys.into_iter().find(has_items)
        };
        let beside = || self.census.beside(key).filter(|_| outcomes.moved > 0);
        match key.kind {
            IncidentKind::Overdue => {
                of_kind(IncidentKind::Failed).filter(|_| outcomes.failed > 0).or_else(beside)
            }
            IncidentKind::Failed => {
                of_kind(IncidentKind::Overdue).filter(|_| outcomes.retried > 0).or_else(beside)
            }
            // Items are created again, and some of them may be overdue or failed by now.
            IncidentKind::Missed => {
                let about_items = |other: &IncidentKey| {
                    other.workflow == key.workflow && other.kind != IncidentKind::Missed && has_items(other)
                };
                let others = self.live.keys().into_iter().filter(about_items);
                others.max_by_key(|other| self.count(other))
            }
            IncidentKind::Held => None,
        }
    }
}
