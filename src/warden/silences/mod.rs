//! Silences: made and ended by people, looked up by the alerting.
//!
//! They are kept in the store and held in memory as a whole; there are few. What is over is remembered as long as
//! resolved incidents are, and then forgotten by the sweep.

mod known;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use self::known::KnownSilences;
use super::checks::{check_comment, check_glob, check_person};
use super::{WardenError, Workflows};
use crate::model::item::LABEL_VALUE_MAX;
use crate::model::random::repeatable_id;
use crate::model::{
    Clock, ClockTime, IncidentKind, Random, Silence, SilenceId, SilenceStatus, Timestamp, quote,
};
use crate::store::{Command, DocumentId, Store, StoreError};

/// The most silences that are not over.
const SILENCES_MAX: usize = 1_000;
/// The most silences that are over and remembered; beyond it those that ended first are forgotten.
const EXPIRED_MAX: usize = 1_000;

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

/// See the module's documentation.
pub struct Silences {
    store: Arc<dyn Store>,
    known: Arc<KnownSilences>,
    workflows: Arc<Workflows>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// How long those that are over are remembered.
    history: Duration,
}

impl Silences {
    pub fn new(
        store: Arc<dyn Store>,
        known: Arc<KnownSilences>,
        workflows: Arc<Workflows>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        history: Duration,
    ) -> Self {
        Self { store, known, workflows, clock, random, history }
    }

    /// Makes a silence.
    ///
    /// # Errors
    /// When it could match nothing, holds at no time, is one too many, or the store refuses.
    pub async fn make(&self, request: MakeSilence) -> Result<Silence, WardenError> {
        let moment = self.clock.moment();
        let now = moment.now;
        let id = match &request.idempotency_key {
            Some(key) => SilenceId(repeatable_id("sil", &[key])),
            None => SilenceId(self.random.id("sil", now)),
        };
        if let Some(silence) = self.known.read().get(&id) {
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
        if self.known.read().values().filter(unfinished).count() >= SILENCES_MAX {
            return Err(WardenError::TooManySilences { limit: SILENCES_MAX });
        }
        self.forget(self.known.surplus(moment)).await?;
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
        self.put(silence).await
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
    pub async fn end(&self, id: &SilenceId) -> Result<Silence, WardenError> {
        let moment = self.clock.moment();
        let mut silence = self.get(id)?;
        match silence.status(moment) {
            SilenceStatus::Expired => return Ok(silence),
            SilenceStatus::Pending => silence.starts_at = moment.now.into(),
            SilenceStatus::Active => {}
        }
        silence.ends_at = moment.now.into();
        self.put(silence).await
    }

    async fn put(&self, silence: Silence) -> Result<Silence, WardenError> {
        self.store.apply(vec![Command::put(silence.clone())]).await?;
        let (id, workflow, author) = (&*silence.id.0, &*silence.workflow, &*silence.author);
        tracing::info!(silence = id, workflow, author, ends_at = %self.clock.moment().shown(silence.ends_at), "a silence was written");
        Ok(silence)
    }

    /// A silence.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, id: &SilenceId) -> Result<Silence, WardenError> {
        self.known.read().get(id).cloned().ok_or(WardenError::SilenceNotFound)
    }

    /// All silences that are remembered, by their ids.
    pub fn list(&self) -> Vec<Silence> {
        self.known.read().values().cloned().collect()
    }

    /// How many hold now.
    pub fn active(&self) -> usize {
        let moment = self.clock.moment();
        let holds = |silence: &&Silence| silence.status(moment) == SilenceStatus::Active;
        self.known.read().values().filter(holds).count()
    }

    /// Forgets the silences that have been over for as long as resolved incidents are remembered.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        self.forget(self.known.over_for(self.history, self.clock.moment())).await
    }

    async fn forget(&self, ids: Vec<SilenceId>) -> Result<(), StoreError> {
        for id in ids {
            self.store.apply(vec![Command::Remove(DocumentId::Silence(id))]).await?;
        }
        Ok(())
    }
}
