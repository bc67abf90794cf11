//! Silences: made and ended by people, looked up by the alerting.
//!
//! They are kept in the store and held in memory as a whole; there are few. What is over is remembered as long as
//! resolved incidents are, and then forgotten by the sweep.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Warden, WardenError};
use crate::model::incident::{COMMENT_MAX, PERSON_MAX};
use crate::model::item::LABEL_VALUE_MAX;
use crate::model::{
    ClockTime, IncidentKey, IncidentKind, Moment, Silence, SilenceId, SilenceStatus, Timestamp, quote,
};
use crate::store::{Change, Command, Document, DocumentId, Observer, StoreError};

/// The most silences that are not over.
const SILENCES_MAX: usize = 1_000;
/// The most silences that are over and remembered; beyond it those that ended first are forgotten.
const EXPIRED_MAX: usize = 1_000;
/// The longest glob, in bytes: a workflow's name and a few wildcards.
const GLOB_MAX: usize = 256;

/// A silence to be made.
#[derive(Clone, Debug)]
pub struct MakeSilence {
    /// The workflows, as a glob.
    pub workflow: Arc<str>,
    /// The kind of incidents; nothing for all.
    pub kind: Option<IncidentKind>,
    /// What the labels of an incident's group must be.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// From when on; without it, from the moment it is made.
    pub starts_at: Option<Timestamp>,
    /// Until when.
    pub ends_at: Until,
    /// Who makes it.
    pub author: Arc<str>,
    /// Why.
    pub comment: Arc<str>,
    /// A repetition with the same key, by the same token, finds the first one.
    pub idempotency_key: Option<String>,
}

/// When a silence ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// So long after it begins.
    After(Duration),
    /// At this instant.
    At(Timestamp),
}

/// All silences that are remembered, fed by the store.
#[derive(Default)]
pub struct Silences {
    silences: RwLock<BTreeMap<SilenceId, Silence>>,
    changed: Notify,
}

impl Silences {
    /// Until when those hold that are for that incident at that moment; nothing if none is.
    pub(super) fn hold_until(&self, key: &IncidentKey, moment: Moment) -> Option<Timestamp> {
        let holds =
            |silence: &&Silence| silence.status(moment) == SilenceStatus::Active && silence.matches(key);
        self.read().values().filter(holds).map(|silence| moment.steady(silence.ends_at)).max()
    }

    /// The one that holds at that moment for all that there could be, and for the longest time.
    pub(super) fn for_all_at(&self, moment: Moment) -> Option<Silence> {
        let is_for_all = |silence: &&Silence| {
            let whatever = silence.kind.is_none() && silence.labels.is_empty();
            whatever && silence.workflow.bytes().all(|byte| byte == b'*')
        };
        let silences = self.read();
        let holding = silences.values().filter(|silence| silence.status(moment) == SilenceStatus::Active);
        holding.filter(is_for_all).max_by_key(|silence| moment.steady(silence.ends_at)).cloned()
    }

    /// When one begins or ends next, after that moment.
    pub(super) fn next_change(&self, moment: Moment) -> Timestamp {
        let silences = self.read();
        let instants = silences
            .values()
            .flat_map(|silence| [silence.starts_at, silence.ends_at])
            .map(|time| moment.steady(time));
        instants.filter(|instant| *instant > moment.now).min().unwrap_or(Timestamp::MAX)
    }

    /// Takes note that the wall clock was set: what stands on it begins and ends at another time.
    pub(super) fn clock_was_set(&self) {
        self.changed.notify_one();
    }

    /// Completes when one was made or ended by hand, or the wall clock was set, since the last time.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Those that have been over for that long.
    fn over_for(&self, duration: Duration, moment: Moment) -> Vec<SilenceId> {
        let over = |silence: &&Silence| moment.steady(silence.ends_at).after(duration) <= moment.now;
        self.read().values().filter(over).map(|silence| silence.id.clone()).collect()
    }

    /// Those that are over and too many to be remembered.
    fn surplus(&self, moment: Moment) -> Vec<SilenceId> {
        let silences = self.read();
        let expired = silences.values().filter(|silence| silence.status(moment) == SilenceStatus::Expired);
        let mut expired: Vec<_> =
            expired.map(|silence| (moment.steady(silence.ends_at), silence.id.clone())).collect();
        expired.sort();
        expired.truncate(expired.len().saturating_sub(EXPIRED_MAX));
        expired.into_iter().map(|(_, id)| id).collect()
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<SilenceId, Silence>> {
        self.silences.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<SilenceId, Silence>> {
        self.silences.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Silences {
    fn committed(&self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put(Document::Silence(silence)) => {
                    self.write().insert(silence.id.clone(), (**silence).clone());
                    self.changed.notify_one();
                }
                Change::Removed(DocumentId::Silence(id)) => drop(self.write().remove(id)),
                Change::Item { .. } | Change::Put(_) | Change::Removed(_) => {}
            }
        }
    }
}

impl Warden {
    /// Makes a silence.
    ///
    /// # Errors
    /// When it could match nothing, holds at no time, is one too many, or the store refuses.
    pub async fn make_silence(&self, request: MakeSilence) -> Result<Silence, WardenError> {
        let moment = self.clock.moment();
        let now = moment.now;
        let id = match &request.idempotency_key {
            Some(key) => SilenceId(super::items::repeatable_id("sil", &[key])),
            None => SilenceId(self.random.id("sil", now)),
        };
        if let Some(silence) = self.silences.read().get(&id) {
            return Ok(silence.clone());
        }
        self.check_matchers(&request)?;
        let starts_at = request.starts_at.map_or(now.into(), ClockTime::on_wall);
        let ends_at = match request.ends_at {
            Until::After(duration) => starts_at.after(duration),
            Until::At(instant) => ClockTime::on_wall(instant),
        };
        if moment.steady(ends_at) <= moment.steady(starts_at).max(now) {
            return Err(WardenError::Invalid("a silence has to end after it begins, and after now".into()));
        }
        check_person(&request.author)?;
        check_comment(&request.comment)?;
        let unfinished = |silence: &&Silence| silence.status(moment) != SilenceStatus::Expired;
        if self.silences.read().values().filter(unfinished).count() >= SILENCES_MAX {
            return Err(WardenError::TooManySilences { limit: SILENCES_MAX });
        }
        self.forget_silences(self.silences.surplus(moment)).await?;
        let silence = Silence {
            id,
            workflow: request.workflow,
            kind: request.kind,
            labels: request.labels,
            starts_at,
            ends_at,
            author: request.author,
            comment: request.comment,
            created_at: now,
        };
        self.keep_silence(silence).await
    }

    /// A silence that names what no incident can have would give a false sense of quiet.
    fn check_matchers(&self, request: &MakeSilence) -> Result<(), WardenError> {
        let invalid = |message: String| Err(WardenError::Invalid(message));
        let glob = &request.workflow;
        check_glob(glob)?;
        for (label, value) in &request.labels {
            if value.len() > LABEL_VALUE_MAX || value.chars().any(char::is_control) {
                return invalid(format!(
                    "no item has such a value of the label {}: it is at most {LABEL_VALUE_MAX} bytes \
                     without control characters",
                    quote(label)
                ));
            }
            if !self.workflows.are_split_by(glob, label) {
                return invalid(format!(
                    "no incident of {glob} has the label {}: none of these workflows is split by it; \
                     name it in group_by of the workflow, or leave it out to silence all of its incidents",
                    quote(label)
                ));
            }
        }
        Ok(())
    }

    /// Ends a silence now; one that is over stays as it is.
    ///
    /// # Errors
    /// When there is none, or the store refuses.
    pub async fn end_silence(&self, id: &SilenceId) -> Result<Silence, WardenError> {
        let moment = self.clock.moment();
        let mut silence = self.silence(id)?;
        match silence.status(moment) {
            SilenceStatus::Expired => return Ok(silence),
            SilenceStatus::Pending => silence.starts_at = moment.now.into(),
            SilenceStatus::Active => {}
        }
        silence.ends_at = moment.now.into();
        self.keep_silence(silence).await
    }

    async fn keep_silence(&self, silence: Silence) -> Result<Silence, WardenError> {
        self.store.apply(vec![Command::put(silence.clone())]).await?;
        let (id, workflow, author) = (&*silence.id.0, &*silence.workflow, &*silence.author);
        tracing::info!(silence = id, workflow, author, ends_at = %self.clock.moment().shown(silence.ends_at), "a silence was written");
        Ok(silence)
    }

    /// A silence.
    ///
    /// # Errors
    /// When there is none.
    pub fn silence(&self, id: &SilenceId) -> Result<Silence, WardenError> {
        self.silences.read().get(id).cloned().ok_or(WardenError::SilenceNotFound)
    }

    /// All silences that are remembered, by their ids.
    pub fn silences(&self) -> Vec<Silence> {
        self.silences.read().values().cloned().collect()
    }

    /// How many hold now.
    pub fn active_silences(&self) -> usize {
        let moment = self.clock.moment();
        let holds = |silence: &&Silence| silence.status(moment) == SilenceStatus::Active;
        self.silences.read().values().filter(holds).count()
    }

    /// Forgets the silences that have been over for as long as resolved incidents are remembered.
    pub(super) async fn sweep_silences(&self) -> Result<(), StoreError> {
        self.forget_silences(self.silences.over_for(self.settings.incident_history, self.clock.moment()))
            .await
    }

    async fn forget_silences(&self, ids: Vec<SilenceId>) -> Result<(), StoreError> {
        for id in ids {
            self.store.apply(vec![Command::Remove(DocumentId::Silence(id))]).await?;
        }
        Ok(())
    }
}

/// Checks a glob of workflows.
///
/// # Errors
/// When no workflow can have a name like that, or it is too long.
pub(super) fn check_glob(glob: &str) -> Result<(), WardenError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-*?".contains(&byte);
    if glob.is_empty() || glob.len() > GLOB_MAX || !glob.bytes().all(plain) {
        return Err(WardenError::Invalid(format!(
            "{} is no glob of workflows: it takes 1 to {GLOB_MAX} of A-Z a-z 0-9 . _ - * ?",
            quote(glob)
        )));
    }
    Ok(())
}

/// Checks the name of somebody who does something.
///
/// # Errors
/// When it is none.
pub(super) fn check_person(name: &str) -> Result<(), WardenError> {
    if name.is_empty() || name.len() > PERSON_MAX || name.chars().any(char::is_control) {
        return Err(WardenError::Invalid(format!(
            "whoever does this has a name of 1 to {PERSON_MAX} bytes without control characters"
        )));
    }
    Ok(())
}

/// Checks what somebody says to something.
///
/// # Errors
/// When it is too long.
pub(super) fn check_comment(comment: &str) -> Result<(), WardenError> {
    if comment.len() > COMMENT_MAX {
        let length = comment.len();
        return Err(WardenError::Invalid(format!(
            "a comment takes at most {COMMENT_MAX} bytes; this one has {length}"
        )));
    }
    // Each would take six bytes in the incident's record, whose size is bounded.
    if comment.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\t')) {
        return Err(WardenError::Invalid(
            "a comment holds no control characters but line breaks and tabs".into(),
        ));
    }
    Ok(())
}
