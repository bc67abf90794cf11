//! The outcomes of the items of incidents: counted as items leave, in commit order, without a write for each.
//!
//! Alerting commits the counts with the incident and periodically. After a crash counting continues from
//! there: items that were closed or failed since then show it in their records. Any others that are missing
//! were in flight at that commit, got another deadline, or are grouped differently now.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::{WorkflowCensus, Workflows};
use crate::model::incident::group_of;
use crate::model::item::Status;
use crate::model::{
    CloseOutcome, Group, Incident, IncidentKey, IncidentKind, IndexedItem, Moment, OutcomeCounts, Timestamp,
    WorkflowName,
};

/// The outcomes of the items of one incident.
#[derive(Debug)]
struct Account {
    outcomes: OutcomeCounts,
    /// No item left before this instant.
    since: Timestamp,
    /// The group into which items moved last.
    moved_into: Option<Group>,
}

/// The committed counts of an incident that was open when the daemon ended.
#[derive(Debug)]
struct Committed {
    at: Timestamp,
    count: u64,
    outcomes: OutcomeCounts,
    /// Outcomes of items that left shortly before the commit, and may not be included in it.
    uncertain: Vec<(Timestamp, Status)>,
}

/// How long before a commit an item that left after it may have been in flight.
const UNDER_WAY: Duration = Duration::from_secs(2);

pub(super) struct Accounts {
    accounts: HashMap<IncidentKey, Account>,
    /// While the items are read at the start.
    committed: HashMap<IncidentKey, Committed>,
    policies: Arc<Workflows>,
}

impl Accounts {
    pub(super) fn new(policies: Arc<Workflows>) -> Self {
        Self { accounts: HashMap::new(), committed: HashMap::new(), policies }
    }

    pub(super) fn get(&self, key: &IncidentKey) -> OutcomeCounts {
        self.accounts.get(key).map_or_else(OutcomeCounts::default, |account| account.outcomes)
    }

    /// The incident of the group into which items moved last.
    pub(super) fn moved_into(&self, key: &IncidentKey) -> Option<IncidentKey> {
        let group = self.accounts.get(key)?.moved_into.clone()?;
        Some(IncidentKey { group, ..key.clone() })
    }

    pub(super) fn close(&mut self, key: &IncidentKey, told: &OutcomeCounts) {
        if let Some(account) = self.accounts.get_mut(key) {
            account.outcomes = account.outcomes.since(told);
            if account.outcomes.total() == 0 {
                self.accounts.remove(key);
            }
        }
    }

    pub(super) fn drop(&mut self, key: &IncidentKey) {
        self.accounts.remove(key);
    }

    /// Counts how an item left its incident and joined another.
    pub(super) fn note(
        &mut self,
        before: Option<&IndexedItem>,
        after: Option<&IndexedItem>,
        left: Option<IncidentKey>,
        entered: Option<IncidentKey>,
        moment: Moment,
    ) {
        if before.is_none() && left.is_none() {
            if let Some(after) = after.filter(|_| !self.committed.is_empty()) {
                self.recount(after, moment);
            }
            return;
        }
        if left == entered {
            return;
        }
        // A failure of an overdue item is undone.
        if let (Some(before), Some(entered)) = (before, &entered)
            && before.status == Status::Failed
            && entered.kind == IncidentKind::Overdue
            && let Some(account) = self.accounts.get_mut(entered)
            && before.failed_at.is_some_and(|at| at >= account.since && at >= moment.steady(before.deadline))
        {
            account.outcomes.failed = account.outcomes.failed.saturating_sub(1);
        }
        let (Some(left), Some(after)) = (left, after) else { return };
        let at = after.failed_at.unwrap_or(moment.now).min(moment.now);
        self.leave(&left, entered, after.status, at);
    }

    /// Counts that an item in this status left its incident, and joined another if `entered`.
    pub(super) fn leave(
        &mut self,
        left: &IncidentKey,
        entered: Option<IncidentKey>,
        status: Status,
        at: Timestamp,
    ) {
        if entered.as_ref() == Some(left) {
            return;
        }
        let account = self.account(left, at);
        match entered {
            Some(entered) if entered.kind == left.kind => {
                account.outcomes.moved += 1;
                account.moved_into = Some(entered.group);
            }
            _ => *fate(&mut account.outcomes, left.kind, status) += 1,
        }
    }

    fn account(&mut self, key: &IncidentKey, since: Timestamp) -> &mut Account {
        let new = || Account { outcomes: OutcomeCounts::default(), since, moved_into: None };
        self.accounts.entry(key.clone()).or_insert_with(new)
    }

    /// Continues from the committed counts of an open incident.
    pub(super) fn count_on(&mut self, incident: &Incident, now: Timestamp) {
        let (Some(outcomes), Some(at)) = (incident.outcomes, incident.counted_at) else { return };
        // Instants in the future are from before the clock was set back.
        let (at, since) = (at.min(now), incident.began_at().min(now));
        let account = Account { outcomes, since, moved_into: None };
        self.accounts.insert(incident.key.clone(), account);
        let committed = Committed { at, count: incident.count, outcomes, uncertain: Vec::new() };
        self.committed.insert(incident.key.clone(), committed);
    }

    /// Counts an item that is read at the start if it left an incident after the last commit of that.
    fn recount(&mut self, item: &IndexedItem, moment: Moment) {
        let deadline = moment.steady(item.deadline);
        let failed_late = item.failed_at.filter(|at| deadline <= *at);
        if let Some(at) = failed_late {
            self.recount_as(item, IncidentKind::Overdue, at, Status::Failed);
        }
        if let Status::Closed { at, .. } = item.status {
            if item.failed_at.is_some() {
                self.recount_as(item, IncidentKind::Failed, at, item.status);
            } else if item.created_at.is_some() && deadline <= at {
                self.recount_as(item, IncidentKind::Overdue, at, item.status);
            }
        }
    }

    fn recount_as(&mut self, item: &IndexedItem, kind: IncidentKind, at: Timestamp, status: Status) {
        let own = group_of(&item.labels, &self.policies.policy(&item.workflow).alerting.group_by);
        // If there were too many groups when it joined, it was in the one without labels.
        for group in [own, Group::new()] {
            let key = IncidentKey { workflow: item.workflow.clone(), kind, group };
            if let Some(committed) = self.committed.get_mut(&key) {
                if committed.at < at {
                    *fate(&mut self.account(&key, at).outcomes, kind, status) += 1;
                } else if committed.at <= at.after(UNDER_WAY) {
                    committed.uncertain.push((at, status));
                }
                return;
            }
        }
    }

    /// All items have been read: those that the incident had and that left no trace have moved.
    pub(super) fn recovered(&mut self, workflows: &BTreeMap<WorkflowName, WorkflowCensus>) {
        for (key, mut committed) in std::mem::take(&mut self.committed) {
            let groups = workflows.get(&key.workflow).and_then(|census| census.groups(key.kind));
            let there = groups.and_then(|groups| groups.get(&key.group)).map_or(0, |items| items.count());
            let elsewhere = groups.is_some_and(|groups| groups.fullest_but(&key.group).is_some());
            let account = self.account(&key, committed.at);
            let left = account.outcomes.since(&committed.outcomes).total();
            let mut missing = committed.count.saturating_sub(left + there);
            committed.uncertain.sort_unstable_by_key(|(at, _)| std::cmp::Reverse(*at));
            for (_, status) in committed.uncertain {
                if missing > 0 {
                    missing -= 1;
                    *fate(&mut account.outcomes, key.kind, status) += 1;
                }
            }
            let OutcomeCounts { moved, extended, retried, released, .. } = &mut account.outcomes;
            match key.kind {
                _ if elsewhere => *moved += missing,
                IncidentKind::Failed => *retried += missing,
                IncidentKind::Held => *released += missing,
                _ => *extended += missing,
            }
        }
    }
}

/// The outcome of an item that left an incident of this kind, by its status now.
fn fate(outcomes: &mut OutcomeCounts, kind: IncidentKind, status: Status) -> &mut u64 {
    match (status, kind) {
        (Status::Closed { outcome: CloseOutcome::Success, .. }, _) => &mut outcomes.closed,
        (Status::Closed { outcome: CloseOutcome::Discarded, .. }, _) => &mut outcomes.discarded,
        (Status::Closed { outcome: CloseOutcome::Failed, .. }, _) => &mut outcomes.failed,
        (Status::Failed, _) => &mut outcomes.failed,
        (Status::Open | Status::Held(_), IncidentKind::Held) => &mut outcomes.released,
        (Status::Open, IncidentKind::Failed) => &mut outcomes.retried,
        (Status::Open | Status::Held(_), _) => &mut outcomes.extended,
    }
}
