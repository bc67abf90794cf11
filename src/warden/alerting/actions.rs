//! What people do about incidents: acknowledge, snooze, comment.
//!
//! They ask from outside, and the loop that owns the incidents does it, so that no action crosses a decision.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::Alerting;
use super::is_open;
use crate::model::{Action, ActionKind, Event, Incident, IncidentId, IncidentKey};
use crate::store::StoreError;
use crate::warden::WardenError;
use crate::warden::checks::{check_comment, check_person};

/// The longest snooze: a week. What is to be quiet for longer deserves a silence, or an end.
pub const SNOOZE_MAX: Duration = Duration::from_secs(7 * 86_400);
/// How many actions may wait for the loop.
const WAITING_MAX: usize = 64;

/// What somebody wants to do about an incident.
#[derive(Clone, Debug)]
pub enum Act {
    /// Look after it.
    Acknowledge,
    /// Have it told again after that long; zero ends a snooze.
    Snooze(Duration),
    /// Say something.
    Comment,
}

/// An action on its way to the loop.
pub struct ActionRequest {
    incident: IncidentId,
    act: Act,
    by: Arc<str>,
    comment: Option<Arc<str>>,
    answer: oneshot::Sender<Result<Incident, WardenError>>,
}

/// Where actions are handed in.
pub type Actions = mpsc::Sender<ActionRequest>;

/// Where the loop takes them, and where they are handed in.
pub fn channel() -> (Actions, mpsc::Receiver<ActionRequest>) {
    mpsc::channel(WAITING_MAX)
}

impl Alerting {
    /// Does something about an incident in somebody's name. An acknowledgement or comment that says again what was said
    /// last changes nothing.
    ///
    /// # Errors
    /// When there is no such incident, it is resolved (it can still be commented on), a limit is broken, or the store
    /// refuses.
    pub async fn act(
        &self,
        incident: IncidentId,
        act: Act,
        by: Arc<str>,
        comment: Option<Arc<str>>,
    ) -> Result<Incident, WardenError> {
        check_person(&by)?;
        let says = comment.as_deref().unwrap_or_default();
        check_comment(says)?;
        if matches!(act, Act::Comment) && says.is_empty() {
            return Err(WardenError::Invalid("a comment has to say something".into()));
        }
        if matches!(act, Act::Snooze(duration) if duration > SNOOZE_MAX) {
            return Err(WardenError::Invalid("an incident can be snoozed for 7 days at most".into()));
        }
        let (answer, answered) = oneshot::channel();
        let request = ActionRequest { incident, act, by, comment, answer };
        let closing = || WardenError::Store(StoreError::Closing);
        self.actions.send(request).await.map_err(|_| closing())?;
        answered.await.map_err(|_| closing())?
    }

    /// Carries an action out. Returns the incident's key if it is to be decided about again.
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
        // Whoever asked may have gone.
        let _ = answer.send(result.map(|incident| self.shown(incident)));
        fatal.map_or(Ok(key), Err)
    }

    async fn carry_out_on(
        &self,
        mut incident: Incident,
        act: &Act,
        by: Arc<str>,
        comment: Option<Arc<str>>,
    ) -> Result<Incident, WardenError> {
        let now = self.clock.now();
        if incident.is_over() && !matches!(act, Act::Comment) {
            return Err(WardenError::IncidentResolved);
        }
        let kind = match act {
            Act::Acknowledge => ActionKind::Acknowledge,
            Act::Snooze(duration) => ActionKind::Snooze { until: now.after(*duration) },
            Act::Comment => ActionKind::Comment,
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
        incident.act(action);
        let mut tell = None;
        if incident.acknowledged && !was_acknowledged {
            tell = Some(Event::Acknowledged);
        }
        let incident = self.commit_action(incident, tell, now).await?;
        tracing::info!(incident = %id, by = %by, action = ?kind, "somebody acted on an incident");
        Ok(incident)
    }
}
