//! Settles commands on leases: claims, and requests of holders.

use std::sync::Arc;

use super::events::Telling;
use super::items::{Before, remembered, update};
use super::{Detail, Outcome, Rows};
use crate::model::item::{Item, LeaseRefusal};
use crate::model::{ItemFilter, ItemNumber, LeaseCommand, LeaseId, LeaseLost, Moment, Policies, Timestamp};
use crate::store::Change;

/// A request to lease an item.
#[derive(Clone, Debug)]
pub struct Claim {
    pub number: ItemNumber,
    /// The item must match it.
    pub filter: Arc<ItemFilter>,
    /// At most [`crate::model::item::WORKER_MAX`] bytes.
    pub worker: Arc<str>,
    pub expires_at: Timestamp,
    /// Whether an item that waits for a retry can be claimed too.
    pub ignores_wait: bool,
    pub policies: Arc<dyn Policies>,
    pub now: Moment,
}

pub(super) fn claim<R: Rows>(
    claim: Claim,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    let Claim { number, filter, worker, expires_at, ignores_wait, policies, now } = claim;
    let is_free = |item: &Item| match ignores_wait {
        true => item.closed.is_none() && !item.is_held() && item.work.running(now.now).is_none(),
        false => item.is_claimable(now.now),
    };
    let found = rows.item(number)?.filter(|item| is_free(item) && filter.admits(item, now));
    let Some(mut item) = found else { return Ok(Outcome::NotClaimable) };
    let policy = policies.policy_of(&item.workflow);
    let before = Before::of(&item, Telling { wanted: policy.events.wanted(), now: now.now });
    if item.fail_if_lost(&policy, now) {
        update(&item, before, Detail::Changed, rows, changes)?;
        return Ok(Outcome::Exhausted(Box::new(item)));
    }
    // Item numbers grow across restarts, so that they serve as fencing tokens.
    item.claim(rows.next_number()?.0, worker, expires_at);
    update(&item, before, Detail::Same, rows, changes)?;
    Ok(Outcome::Changed(Box::new(item)))
}

pub(super) fn act<R: Rows>(
    lease: LeaseId,
    act: LeaseCommand,
    policies: &dyn Policies,
    now: Moment,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    let Some(mut item) = remembered(lease.item, now.now, rows, changes)? else {
        return Ok(Outcome::LeaseLost(LeaseLost::Forgotten));
    };
    let policy = policies.policy_of(&item.workflow);
    let before = Before::of(&item, Telling { wanted: policy.events.wanted(), now: now.now });
    let detail = if act.adds_detail() { Detail::Changed } else { Detail::Same };
    match item.act(lease.token, act, &policy, now) {
        Ok(()) => update(&item, before, detail, rows, changes)?,
        Err(LeaseRefusal::Repeated) => {}
        Err(LeaseRefusal::Lost(lost)) => return Ok(Outcome::LeaseLost(lost)),
        Err(LeaseRefusal::Item(refusal)) => return Ok(Outcome::Refused(refusal)),
    }
    Ok(Outcome::Changed(Box::new(item)))
}
