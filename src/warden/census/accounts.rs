//! What became of the items of incidents: counted as they leave, in the order of the commits, and never written for each.
//!
//! The alerting commits the counts with the incident, and now and then besides. After a crash they are counted on from
//! what was committed: items that were closed or failed since say so themselves. As many as are missing then were under way
//! to the disk at that commit, had their deadline moved, or are told apart in another way than before.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::{WorkflowCensus, Workflows};
use crate::model::incident::group_of;
use crate::model::item::Status;
use crate::model::{
    Became, CloseOutcome, Group, Incident, IncidentKey, IncidentKind, Moment, Standing, Timestamp,
    WorkflowName,
};

/// What became of the items of one incident.
#[derive(Debug)]
struct Account {
    became: Became,
    /// The first that left did so then, or later.
    since: Timestamp,
    /// The group into which items were moved last.
    moved_into: Option<Group>,
}

/// What was committed of an incident that was open when the daemon ended.
#[derive(Debug)]
struct Committed {
    at: Timestamp,
    count: u64,
    became: Became,
    /// Items that left a little before that, and what they became: perhaps they were not counted yet.
    uncertain: Vec<(Timestamp, Status)>,
}

/// How long before a commit items may have been asked to leave that left after it.
const UNDER_WAY: Duration = Duration::from_secs(2);

/// The accounts of all incidents of which items have left. See the module's documentation.
pub(super) struct Accounts {
    accounts: HashMap<IncidentKey, Account>,
    /// While the items are read.
    committed: HashMap<IncidentKey, Committed>,
    policies: Arc<Workflows>,
}

impl Accounts {
    pub(super) fn new(policies: Arc<Workflows>) -> Self {
        Self { accounts: HashMap::new(), committed: HashMap::new(), policies }
    }

    /// What became of those that have left.
    pub(super) fn get(&self, key: &IncidentKey) -> Became {
        self.accounts.get(key).map_or_else(Became::default, |account| account.became)
    }

    /// Into which group items were moved last.
    pub(super) fn moved_into(&self, key: &IncidentKey) -> Option<IncidentKey> {
        let group = self.accounts.get(key)?.moved_into.clone()?;
        Some(IncidentKey { group, ..key.clone() })
    }

    pub(super) fn close(&mut self, key: &IncidentKey, told: &Became) {
        if let Some(account) = self.accounts.get_mut(key) {
            account.became = account.became.since(told);
            if account.became.total() == 0 {
                self.accounts.remove(key);
            }
        }
    }

    pub(super) fn drop(&mut self, key: &IncidentKey) {
        self.accounts.remove(key);
    }

    /// Takes note of how an item left its incident and came into another.
    pub(super) fn note(
        &mut self,
        before: Option<&Standing>,
        after: Option<&Standing>,
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
        // It had failed while it was overdue, and has not failed after all.
        if let (Some(before), Some(entered)) = (before, &entered)
            && before.status == Status::Failed
            && entered.kind == IncidentKind::Overdue
            && let Some(account) = self.accounts.get_mut(entered)
            && before.failed_at.is_some_and(|at| at >= account.since && at >= moment.steady(before.deadline))
        {
            account.became.failed = account.became.failed.saturating_sub(1);
        }
        let (Some(left), Some(after)) = (left, after) else { return };
        let at = after.failed_at.unwrap_or(moment.now).min(moment.now);
        self.leave(&left, entered, after.status, at);
    }

    /// Takes note that an item in this status left its incident, and came into another if any.
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
                account.became.moved += 1;
                account.moved_into = Some(entered.group);
            }
            _ => *fate(&mut account.became, left.kind, status) += 1,
        }
    }

    fn account(&mut self, key: &IncidentKey, since: Timestamp) -> &mut Account {
        let new = || Account { became: Became::default(), since, moved_into: None };
        self.accounts.entry(key.clone()).or_insert_with(new)
    }

    /// Goes on with what was committed of an open incident.
    pub(super) fn count_on(&mut self, incident: &Incident, now: Timestamp) {
        let (Some(became), Some(at)) = (incident.became, incident.counted_at) else { return };
        // Neither lies ahead unless the clock was set back.
        let (at, since) = (at.min(now), incident.began_at().min(now));
        let account = Account { became, since, moved_into: None };
        self.accounts.insert(incident.key.clone(), account);
        let committed = Committed { at, count: incident.count, became, uncertain: Vec::new() };
        self.committed.insert(incident.key.clone(), committed);
    }

    /// Counts an item that is read at the start, if it left an incident after that was last committed.
    fn recount(&mut self, item: &Standing, moment: Moment) {
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

    fn recount_as(&mut self, item: &Standing, kind: IncidentKind, at: Timestamp, status: Status) {
        let own = group_of(&item.labels, &self.policies.policy(&item.workflow).alerting.group_by);
        // It may have come when there were too many groups for its own.
        for group in [own, Group::new()] {
            let key = IncidentKey { workflow: item.workflow.clone(), kind, group };
            if let Some(committed) = self.committed.get_mut(&key) {
                if committed.at < at {
                    *fate(&mut self.account(&key, at).became, kind, status) += 1;
                } else if committed.at <= at.after(UNDER_WAY) {
                    committed.uncertain.push((at, status));
                }
                return;
            }
        }
    }

    /// All items have been read: what was there when the incident was committed and left no trace was moved.
    pub(super) fn recovered(&mut self, workflows: &BTreeMap<WorkflowName, WorkflowCensus>) {
        for (key, mut committed) in std::mem::take(&mut self.committed) {
            let groups = workflows.get(&key.workflow).and_then(|census| census.groups(key.kind));
            let there = groups.and_then(|groups| groups.get(&key.group)).map_or(0, |items| items.count());
            let elsewhere = groups.is_some_and(|groups| groups.fullest_but(&key.group).is_some());
            let account = self.account(&key, committed.at);
            let left = account.became.since(&committed.became).total();
            let mut missing = committed.count.saturating_sub(left + there);
            committed.uncertain.sort_unstable_by_key(|(at, _)| std::cmp::Reverse(*at));
            for (_, status) in committed.uncertain {
                if missing > 0 {
                    missing -= 1;
                    *fate(&mut account.became, key.kind, status) += 1;
                }
            }
            let Became { moved, extended, retried, .. } = &mut account.became;
            match key.kind {
                _ if elsewhere => *moved += missing,
                IncidentKind::Failed => *retried += missing,
                _ => *extended += missing,
            }
        }
    }
}

/// What an item became that left an incident of that kind and is in this status now.
fn fate(became: &mut Became, kind: IncidentKind, status: Status) -> &mut u64 {
    match (status, kind) {
        (Status::Closed { outcome: CloseOutcome::Success, .. }, _) => &mut became.closed,
        (Status::Closed { outcome: CloseOutcome::Discarded, .. }, _) => &mut became.discarded,
        (Status::Closed { outcome: CloseOutcome::Failed, .. }, _) => &mut became.failed,
        (Status::Failed, _) => &mut became.failed,
        (Status::Open, IncidentKind::Failed) => &mut became.retried,
        (Status::Open, _) => &mut became.extended,
    }
}
