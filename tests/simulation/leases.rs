//! Who was told to hold which item, and whether that is consistent.

use std::collections::BTreeMap;

use warden::model::{ItemKey, ItemNumber, LeaseId, Timestamp};

use crate::items::{Fate, Items, Moment};

/// What the holder of a lease did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Heartbeat,
    Complete,
    Fail,
    Release,
}

#[derive(Debug)]
struct Said {
    act: Act,
    began: Moment,
    ended: Option<Moment>,
    fate: Fate,
    /// After a heartbeat: until when it holds.
    expires_at: Timestamp,
}

#[derive(Debug)]
struct Grant {
    key: ItemKey,
    began: Moment,
    ended: Moment,
    expires_at: Timestamp,
    /// When somebody without the lease moved the item to another step, which ends it.
    withdrawn: Option<Moment>,
    said: Vec<Said>,
}

impl Grant {
    /// Whether its holder, or somebody who moved the item, may have ended it by then.
    fn may_have_ended_by(&self, moment: Moment) -> bool {
        if self.withdrawn.is_some_and(|withdrawn| withdrawn.order < moment.order) {
            return true;
        }
        let ends = |said: &&Said| said.act != Act::Heartbeat && said.fate != Fate::Refused;
        self.said.iter().filter(ends).any(|said| said.began.order < moment.order)
    }

    /// Until when it is certain to have held, whatever was asked for and not answered by then: a heartbeat
    /// may also shorten a lease.
    fn held_until(&self, moment: Moment) -> Timestamp {
        let heartbeats =
            self.said.iter().filter(|said| said.act == Act::Heartbeat && said.fate != Fate::Refused);
        heartbeats.filter(|said| said.began.order < moment.order).fold(self.expires_at, |held, said| {
            let is_known =
                said.fate == Fate::Done && said.ended.is_some_and(|ended| ended.order < moment.order);
            if is_known { said.expires_at } else { held.min(said.expires_at) }
        })
    }

    /// From when on it is certain to hold no longer, as far as was asked for by then.
    fn lost_from(&self, moment: Moment) -> Timestamp {
        let asked = |said: &&Said| {
            said.act == Act::Heartbeat && said.fate != Fate::Refused && said.began.order < moment.order
        };
        self.said.iter().filter(asked).map(|said| said.expires_at).fold(self.expires_at, Timestamp::max)
    }
}

/// The history of all leases.
#[derive(Default)]
pub struct Leases {
    grants: BTreeMap<(ItemNumber, u64), Grant>,
    /// The tokens that were seen, and when.
    seen: Vec<(Moment, u64)>,
    /// Those that were withdrawn before their claims were answered.
    withdrawn: BTreeMap<(ItemNumber, u64), Moment>,
}

impl Leases {
    /// A claim was answered with this lease.
    pub fn grant(
        &mut self,
        items: &Items,
        key: ItemKey,
        lease: LeaseId,
        expires_at: Timestamp,
        (began, ended): (Moment, Moment),
    ) -> Result<(), String> {
        let LeaseId { item, token } = lease;
        let older =
            self.seen.iter().filter(|(seen, _)| seen.order < began.order).map(|(_, token)| *token).max();
        if older.is_some_and(|older| older >= token) {
            return Err(format!("the token {token} was given out after {}", older.unwrap_or_default()));
        }
        self.seen.push((ended, token));
        let withdrawn = self.withdrawn.remove(&(item, token));
        let grant = Grant { key, began, ended, expires_at, withdrawn, said: Vec::new() };
        if self.grants.insert((item, token), grant).is_some() {
            return Err(format!("the token {token} was given out twice for item {}", item.0));
        }
        let of_item = self.grants.range((item, 0)..=(item, u64::MAX));
        let mut of_item = of_item.map(|((_, token), grant)| (*token, grant)).collect::<Vec<_>>();
        of_item.sort_by_key(|(token, _)| *token);
        let position = of_item.iter().position(|(other, _)| *other == token).expect("it was inserted");
        let neighbours = [position.checked_sub(1), Some(position)].into_iter().flatten();
        for index in neighbours {
            let [(first_token, first), (second_token, second)] =
                &of_item[index..of_item.len().min(index + 2)]
            else {
                continue;
            };
            let held = first.held_until(second.ended) > second.ended.latest;
            let may_be_closed = items.may_be_closed(&first.key, first.began, second.ended);
            if held && !first.may_have_ended_by(second.ended) && !may_be_closed {
                return Err(format!(
                    "item {} is leased to two: token {first_token} until {} and token {second_token} at {}",
                    item.0,
                    first.held_until(second.ended),
                    second.ended.at
                ));
            }
        }
        Ok(())
    }

    /// Somebody without the lease moved the item to another step.
    pub fn withdraw(&mut self, lease: LeaseId, at: Moment) {
        let key = (lease.item, lease.token);
        match self.grants.get_mut(&key) {
            Some(grant) => grant.withdrawn = Some(at),
            None => drop(self.withdrawn.insert(key, at)),
        }
    }

    /// The holder does something.
    pub fn begin(&mut self, lease: LeaseId, act: Act, expires_at: Timestamp, began: Moment) -> usize {
        let said =
            &mut self.grants.get_mut(&(lease.item, lease.token)).expect("a lease that was given out").said;
        said.push(Said { act, began, ended: None, fate: Fate::Unknown, expires_at });
        said.len() - 1
    }

    /// It was answered.
    pub fn end(
        &mut self,
        lease: LeaseId,
        index: usize,
        fate: Fate,
        expires_at: Option<Timestamp>,
        ended: Moment,
    ) -> Result<(), String> {
        let key = (lease.item, lease.token);
        let grant = self.grants.get_mut(&key).expect("a lease that was given out");
        let said = &mut grant.said[index];
        (said.fate, said.ended) = (fate, (fate != Fate::Unknown).then_some(ended));
        if let Some(expires_at) = expires_at {
            said.expires_at = expires_at;
        }
        let (act, began) = (said.act, said.began);
        if fate != Fate::Done {
            return Ok(());
        }
        let grant = &self.grants[&key];
        let repeats =
            |other: &Said| other.act == act && other.fate != Fate::Refused && other.began.order < began.order;
        if act != Act::Heartbeat && grant.said.iter().take(index).any(repeats) {
            return Ok(());
        }
        let newer = self.grants.range((lease.item, lease.token + 1)..=(lease.item, u64::MAX));
        if newer.into_iter().any(|(_, newer)| newer.ended.order < began.order) {
            return Err(format!(
                "{act:?} was taken of token {}, which another holder has followed",
                lease.token
            ));
        }
        let lost_from = grant.lost_from(began);
        if began.at >= lost_from {
            return Err(format!(
                "{act:?} was taken of token {} at {}, which ended at {lost_from}",
                lease.token, began.at
            ));
        }
        Ok(())
    }

    /// Whether it is certain that somebody holds the item at this moment.
    pub fn is_held(&self, items: &Items, item: ItemNumber, moment: Moment) -> bool {
        let of_item = self.grants.range((item, 0)..=(item, u64::MAX));
        let holds = |grant: &Grant| {
            grant.ended.order < moment.order
                && grant.held_until(moment) > moment.latest
                && !grant.may_have_ended_by(moment)
                && !items.may_be_closed(&grant.key, grant.began, moment)
        };
        let last = of_item.max_by_key(|((_, token), _)| *token);
        last.is_some_and(|(_, grant)| holds(grant))
    }
}
