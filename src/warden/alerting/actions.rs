//! Actions of people on incidents: acknowledge, snooze, comment.
//!
//! They are executed by the loop that owns the incidents, so an action never races with a decision.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::Alerting;
use super::is_open;
use crate::model::{Action, ActionKind, Event, Incident, IncidentId, IncidentKey};
use crate::store::StoreError;
use crate::warden::WardenError;
use crate::warden::checks::{check_comment, check_person};

/// A week. A silence suits longer times.
pub const SNOOZE_MAX: Duration = Duration::from_secs(7 * 86_400);
/// The most actions queued for the loop.
const WAITING_MAX: usize = 64;

/// An action on an incident.
#[derive(Clone, Debug)]
pub enum IncidentAction {
    Acknowledge,
    /// Defer reminders and escalations for this long; zero ends a snooze.
    Snooze(Duration),
    Comment,
}

/// An action queued for the loop.
pub struct ActionRequest {
    incident: IncidentId,
    act: IncidentAction,
    by: Arc<str>,
    comment: Option<Arc<str>>,
    answer: oneshot::Sender<Result<Incident, WardenError>>,
}

pub type Actions = mpsc::Sender<ActionRequest>;

pub fn channel() -> (Actions, mpsc::Receiver<ActionRequest>) {
    mpsc::channel(WAITING_MAX)
}

impl Alerting {
    /// Executes an action in a person's name. An acknowledgement or comment that repeats the last action
    /// changes nothing. A resolved incident can only be commented on.
    pub async fn act(
        &self,
        incident: IncidentId,
        act: IncidentAction,
        by: Arc<str>,
        comment: Option<Arc<str>>,
    ) -> Result<Incident, WardenError> {
        check_person(&by)?;
        let says = comment.as_deref().unwrap_or_default();
        check_comment(says)?;
        if matches!(act, IncidentAction::Comment) && says.is_empty() {
            return Err(WardenError::Invalid("comment must not be empty".into()));
        }
        if matches!(act, IncidentAction::Snooze(duration) if duration > SNOOZE_MAX) {
            return Err(WardenError::Invalid("an incident can be snoozed for 7 days at most".into()));
        }
        let (answer, answered) = oneshot::channel();
        let request = ActionRequest { incident, act, by, comment, answer };
        let closing = || WardenError::Store(StoreError::Closing);
        self.actions.send(request).await.map_err(|_| closing())?;
        answered.await.map_err(|_| closing())?
    }

    /// Executes an action. Returns the incident's key if a new decision is due.
    pub(super) async fn carry_out(&self, request: ActionRequest) -> Result<Option<IncidentKey>, StoreError> {
        let ActionRequest { incident, act, by, comment, answer } = request;
        let known = match self.live.by_id(&incident) {
            Some(incident) => Ok(incident),
            None => self.incident(incident).await,
        };
        let key =
            known.as_ref().ok().filter(|incident| is_open(incident)).map(|incident| incident.key.clone());
        let result = match known {
            Ok(incident) => self.carry_out_on(incident, &act, by, comment).await,
            Err(error) => Err(error),
        };
        let fatal = match &result {
            Err(WardenError::Store(StoreError::Fatal(reason))) => Some(StoreError::Fatal(reason.clone())),
            _ => None,
        };
        // The caller may have disconnected.
        let _ = answer.send(result.map(|incident| self.shown(incident)));
        fatal.map_or(Ok(key), Err)
    }

    async fn carry_out_on(
        &self,
        mut incident: Incident,
        act: &IncidentAction,
        by: Arc<str>,
        comment: Option<Arc<str>>,
    ) -> Result<Incident, WardenError> {
        let now = self.clock.now();
        if incident.is_over() && !matches!(act, IncidentAction::Comment) {
            return Err(WardenError::IncidentResolved);
        }
        let kind = match act {
            IncidentAction::Acknowledge => ActionKind::Acknowledge,
            IncidentAction::Snooze(duration) => ActionKind::Snooze { until: now.after(*duration) },
            IncidentAction::Comment => ActionKind::Comment,
        };
        let action = Action { kind, by, at: now, comment };
        let said = |last: &Action| {
            (last.kind, &last.by, &last.comment) == (action.kind, &action.by, &action.comment)
        };
        let holds = kind != ActionKind::Acknowledge || incident.acknowledged;
        if holds && incident.actions.last().is_some_and(said) {
            return Ok(incident);
        }
        let (id, by) = (incident.id.0.clone(), action.by.clone());
        let was_acknowledged = incident.acknowledged;
        incident.record_action(action);
        let mut tell = None;
        if incident.acknowledged && !was_acknowledged {
            tell = Some(Event::Acknowledged);
        }
        let incident = self.commit_action(incident, tell, now).await?;
        tracing::info!(incident = %id, by = %by, action = ?kind, "incident action");
        Ok(incident)
    }
}
