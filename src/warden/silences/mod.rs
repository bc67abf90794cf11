//! Silences: created and ended by people, read by alerting.
//!
//! All are stored, and held in memory. Expired ones have the retention of resolved incidents.

mod known;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use self::known::KnownSilences;
use super::checks::{check_comment, check_glob, check_person};
use super::context::Context;
use super::{WardenError, Workflows};
use crate::model::item::LABEL_VALUE_MAX;
use crate::model::random::repeatable_id;
use crate::model::{
    Clock, ClockTime, IncidentKind, Random, Silence, SilenceId, SilenceStatus, Timestamp, quote,
};
use crate::store::{Command, DocumentId, StoreError, Writes};

/// The most pending and active silences.
const SILENCES_MAX: usize = 1_000;
/// The most expired silences that are kept. Beyond that those that ended first are removed.
const EXPIRED_MAX: usize = 1_000;

#[derive(Clone, Debug)]
pub struct MakeSilence {
    /// A glob.
    pub workflow: Arc<str>,
    /// `None` matches all kinds.
    pub kind: Option<IncidentKind>,
    /// The labels that the group of an incident must have.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// The default is now.
    pub starts_at: Option<Timestamp>,
    pub ends_at: Until,
    pub author: Arc<str>,
    pub comment: Arc<str>,
    /// The same key from the same token returns the first silence.
    pub idempotency_key: Option<String>,
}

#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// Relative to the start.
    After(Duration),
    At(Timestamp),
}

pub struct Silences {
    store: Arc<dyn Writes>,
    known: Arc<KnownSilences>,
    workflows: Arc<Workflows>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Silences {
    pub(super) fn new(context: &Context, known: Arc<KnownSilences>) -> Self {
        let Context { store, workflows, clock, random, .. } = context.clone();
        Self { store, known, workflows, clock, random }
    }

    /// Creates a silence. Fails if it can match no incident, is never active, or there are too many.
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

    /// A silence that can match no incident would be mistaken for one that works.
    fn check_matchers(&self, request: &MakeSilence) -> Result<(), WardenError> {
        let invalid = |message: String| Err(WardenError::Invalid(message));
        let glob = &request.workflow;
        check_glob(glob)?;
        for (label, value) in &request.labels {
            if value.len() > LABEL_VALUE_MAX || value.chars().any(char::is_control) {
                return invalid(format!(
                    "the value of the label {} cannot match: values are at most {LABEL_VALUE_MAX} bytes \
                     without control characters",
                    quote(label)
                ));
            }
            if !self.workflows.are_split_by(glob, label) {
                return invalid(format!(
                    "the label {} cannot match: no workflow of {glob} has it in group_by; \
                     add it there, or leave it out to silence all incidents of the workflow",
                    quote(label)
                ));
            }
        }
        Ok(())
    }

    /// Ends a silence now. An expired one is not changed.
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
        let ends_at = self.clock.moment().shown(silence.ends_at);
        tracing::info!(silence = id, workflow, author, %ends_at, "silence created or ended");
        Ok(silence)
    }

    pub fn get(&self, id: &SilenceId) -> Result<Silence, WardenError> {
        self.known.read().get(id).cloned().ok_or(WardenError::SilenceNotFound)
    }

    /// All silences, also expired ones, by id.
    pub fn list(&self) -> Vec<Silence> {
        self.known.read().values().cloned().collect()
    }

    pub fn active(&self) -> usize {
        let moment = self.clock.moment();
        let holds = |silence: &&Silence| silence.status(moment) == SilenceStatus::Active;
        self.known.read().values().filter(holds).count()
    }

    /// Removes the silences whose retention has ended.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        self.forget(self.known.over_for(self.workflows.incident_history(), self.clock.moment())).await
    }

    async fn forget(&self, ids: Vec<SilenceId>) -> Result<(), StoreError> {
        for id in ids {
            self.store.apply(vec![Command::Remove(DocumentId::Silence(id))]).await?;
        }
        Ok(())
    }
}
