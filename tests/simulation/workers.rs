//! Workers: they claim items, hold them, and report outcomes, unless they die first.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use warden::model::item::{StepOutcome, StepStatus};
use warden::model::{Clock, Item, ItemFilter, ItemNumber, ItemState, LeaseId};
use warden::warden::Recovery;
use warden::warden::recovery::ClaimItems;
use warden::warden::recovery::{CompleteStep, FailAttempt};

use crate::claimable::Claimed;
use crate::clients::{Client, refusal};
use crate::items::{Fate, Moment};
use crate::leases::Act;

/// What commits that are looked up and the steps in which time passes take together, for a claim that
/// something has come for.
const WAIT_SLACK: Duration = Duration::from_secs(15);

impl Client {
    /// Claims items, and does well or badly by them.
    pub async fn work(&self) {
        let began = self.history.moment();
        let states = match self.dice.below(3) {
            0 => vec![ItemState::Overdue],
            1 => vec![ItemState::Overdue, ItemState::Failed],
            _ => vec![ItemState::Open, ItemState::Overdue, ItemState::Failed],
        };
        let ttl = Duration::from_secs(1 + self.dice.below(90));
        let request = ClaimItems {
            filter: ItemFilter { states, ..ItemFilter::default() },
            after: None,
            max: 1 + self.dice.below(3) as usize,
            ttl,
            wait: Duration::from_secs(if self.dice.chance(300) { self.dice.below(30) } else { 0 }),
            worker: format!("worker-{}", self.dice.below(3)).into(),
            gone: CancellationToken::new(),
        };
        let Ok(items) = Recovery::claim(&self.warden.recovery, request).await else { return };
        let ended = self.history.moment();
        self.history.note(self.check_wait(&items, began));
        for item in items {
            let Some(lease) = item.work.lease.clone() else { continue };
            let id = LeaseId { item: item.number, token: lease.token };
            let Item { workflow, id: name, .. } = &item;
            self.history.tell(|| format!("claim of {workflow} {name} {id:?} until {}", lease.expires_at));
            let mut seen = self.history.lock();
            let seen = &mut *seen;
            let check = seen.leases.grant(&seen.items, item.key(), id, lease.expires_at, (began, ended));
            if let Err(wrong) = check {
                seen.fail(wrong);
            }
            tokio::spawn(self.clone().hold(item, id, ttl));
        }
    }

    /// A claim that waits asks for an item as soon as there is one, unless the disk or the clock has kept it.
    fn check_wait(&self, items: &[Item], began: Moment) -> Result<(), String> {
        let is_healthy = self.disk.healthy_since().is_some_and(|since| since.after(WAIT_SLACK) <= began.at);
        if !is_healthy || self.clock.jumped_at() >= began.at {
            return Ok(());
        }
        for item in items {
            let lease =
                item.work.lease.as_ref().map(|lease| LeaseId { item: item.number, token: lease.token });
            let claimed = lease.and_then(|lease| self.disk.claimable().claimed(lease));
            let Some(Claimed { since, asked_at }) = claimed else { continue };
            let since = since.max(began.at);
            if since.after(WAIT_SLACK) < asked_at {
                let ItemNumber(number) = item.number;
                return Err(format!(
                    "a claim waited until {asked_at} for item {number}, there since {since}"
                ));
            }
        }
        Ok(())
    }

    async fn hold(self, item: Item, lease: LeaseId, ttl: Duration) {
        for _ in 0..self.dice.below(3) {
            self.work_for(ttl).await;
            self.heartbeat(lease).await;
        }
        self.work_for(ttl).await;
        let act = *self.dice.pick(&[Act::Complete, Act::Complete, Act::Fail, Act::Release]);
        if self.dice.chance(100) {
            // It dies, and says nothing.
            return;
        }
        for _ in 0..1 + self.dice.below(2) {
            self.finish(&item, lease, act).await;
            self.pause(1000).await;
        }
    }

    /// Takes somewhat less than a lease holds, or more.
    async fn work_for(&self, ttl: Duration) {
        let longest = ttl.as_millis() as u64 * if self.dice.chance(150) { 3 } else { 1 };
        self.clock.sleep_until(self.clock.now().after(self.dice.millis(longest))).await;
    }

    async fn heartbeat(&self, lease: LeaseId) {
        let ttl = Duration::from_secs(5 + self.dice.below(60));
        let began = self.history.moment();
        let index = self.history.lock().leases.begin(lease, Act::Heartbeat, began.at.after(ttl), began);
        let result = self.warden.recovery.heartbeat(lease, Some(ttl), None).await;
        let ended = self.history.moment();
        let expires_at = result.as_ref().ok().and_then(|item| Some(item.work.lease.as_ref()?.expires_at));
        let fate = result.as_ref().map_or_else(refusal, |_| Fate::Done);
        self.history.tell(|| format!("heartbeat of {lease:?} until {expires_at:?}: {fate:?}"));
        let check = self.history.lock().leases.end(lease, index, fate, expires_at, ended);
        self.history.note(check);
        if expires_at.is_some_and(|expires_at| expires_at < began.at.after(ttl)) {
            self.history.note(Err(format!("a heartbeat of {lease:?} for {ttl:?} did not hold for so long")));
        }
    }

    async fn finish(&self, item: &Item, lease: LeaseId, act: Act) {
        let began = self.history.moment();
        let (index, closing) = {
            let seen = &mut *self.history.lock();
            let index = seen.leases.begin(lease, act, began.at, began);
            (index, (act != Act::Release).then(|| seen.items.close(&item.key(), began)))
        };
        let result = match act {
            Act::Complete => {
                let closes = self.dice.chance(300);
                let outcome = if closes { StepOutcome::plain(StepStatus::Done) } else { self.outcome() };
                self.warden.recovery.complete(lease, CompleteStep { outcome, closes, progress: None }).await
            }
            Act::Fail => {
                let (error, ignorable) = (self.error(self.dice.chance(200)), self.dice.chance(100));
                match self.warden.recovery.leased_item(lease, |_| true).await {
                    Ok(item) => {
                        let request = FailAttempt { error, ignorable, retry_after: None, progress: None };
                        self.warden.recovery.fail(lease, &item, request).await
                    }
                    Err(error) => Err(error),
                }
            }
            Act::Release | Act::Heartbeat => {
                self.warden.recovery.release(lease, self.dice.millis(20_000), None).await
            }
        };
        let ended = self.history.moment();
        let fate = result.as_ref().map_or_else(refusal, |_| Fate::Done);
        self.history.tell(|| {
            format!(
                "{act:?} of {lease:?}: {}",
                result.as_ref().map_or_else(ToString::to_string, |_| "done".into())
            )
        });
        let check = self.history.lock().leases.end(lease, index, fate, None, ended);
        self.history.note(check);
        if let Some(begun) = closing {
            let fate = match &result {
                // What was closed before is told again; by now there may be another item of its name.
                Ok(item) if item.closed.is_some_and(|closed| closed.at >= began.at) => Fate::Done,
                Ok(_) => Fate::Refused,
                Err(error) => refusal(error),
            };
            self.end(&begun, fate);
        }
    }
}
