//! The words of incidents, and of who is notified of what.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use super::schema;
use super::{UnknownWord, Vocabulary};

words! {
    /// The kind of trouble of an incident.
    IncidentKind {
        /// Items are open past their deadline.
        Overdue = "overdue",
        /// Items have a fatal error.
        Failed = "failed",
        /// Expected items were not created.
        Missed = "missed",
        /// The workflow is on hold.
        Held = "held",
    }

    /// Whether an incident is over.
    IncidentStatus {
        /// There is trouble.
        Open = "open",
        /// The trouble is over.
        Resolved = "resolved",
    }

    /// The order of a list of incidents.
    #[derive(Default)]
    IncidentOrder {
        /// The latest first.
        #[default]
        Newest = "newest",
        /// Open ones only: by severity, then the oldest first.
        Severity = "severity",
    }

    /// The severity of an incident, the lowest first. The words are those of PagerDuty's events.
    Severity {
        /// For information.
        Info = "info",
        /// To be handled in working hours.
        Warning = "warning",
        /// To be handled soon.
        Error = "error",
        /// To be handled at once.
        Critical = "critical",
    }

    /// What delays the next notification of an incident.
    WaitingFor {
        /// A new incident gathers items.
        GroupWait = "group_wait",
        /// The shortest time between two notifications of growth.
        GroupInterval = "group_interval",
        /// The incident flaps: it keeps resolving and reopening.
        Damping = "damping",
        /// A silence.
        Silence = "silence",
        /// A snooze.
        Snooze = "snooze",
        /// A receiver that fails or asked to wait.
        Receiver = "receiver",
    }

    /// Actions of people on incidents.
    ActionWord {
        /// The incident is being handled, and is not escalated any further.
        Acknowledge = "acknowledge",
        /// Notifications are paused until an instant.
        Snooze = "snooze",
        /// A comment.
        Comment = "comment",
    }

    /// The kinds of notifications.
    Event {
        /// An incident opened.
        Opened = "incident.opened",
        /// The incident grew.
        Grown = "incident.grown",
        /// The incident is still open.
        Reminder = "incident.reminder",
        /// Nobody acknowledged the incident, so that further receivers are notified.
        Escalated = "incident.escalated",
        /// A person acknowledged the incident. Only for receivers that keep a state of their own and know
        /// this word.
        Acknowledged = "incident.acknowledged",
        /// The incident is over.
        Resolved = "incident.resolved",
        /// A run began, or goes on after a failure.
        RunStarted = "run.started",
        /// A run ended with success.
        RunCompleted = "run.completed",
        /// A run failed.
        RunFailed = "run.failed",
        /// A run was discarded, as one that is superseded is.
        RunAborted = "run.aborted",
        /// A run has not ended by its deadline. If it ends later, that is told as well.
        RunOverdue = "run.overdue",
        /// An item was closed.
        ItemClosed = "item.closed",
        /// A test of the receiver, not about an incident.
        Test = "receiver.test",
    }

    /// The status of a delivery.
    DeliveryStatus {
        /// It waits for its next attempt.
        Pending = "pending",
        /// The receiver responded with 2xx.
        Delivered = "delivered",
        /// It is not attempted any more.
        Dead = "dead",
    }

    /// The status of a silence.
    SilenceStatus {
        /// Before its begin.
        Pending = "pending",
        /// In effect.
        Active = "active",
        /// Over.
        Expired = "expired",
    }

    /// The state of a receiver.
    ReceiverState {
        /// No failure is known.
        Ok = "ok",
        /// Its latest attempts failed, or it asked to wait for more than a minute.
        Failing = "failing",
        /// It responded that it is gone. Nothing is sent until a person resumes it, a test succeeds, or the
        /// daemon restarts.
        Paused = "paused",
    }

    /// The format of a receiver's notifications.
    ReceiverFormat {
        /// Standard Webhooks.
        Standard = "standard",
        /// Prometheus Alertmanager.
        Alertmanager = "alertmanager",
        /// PagerDuty.
        PagerDuty = "pagerduty",
        /// Slack.
        Slack = "slack",
        /// CloudEvents.
        CloudEvents = "cloudevents",
        /// OpenLineage.
        OpenLineage = "openlineage",
        /// A template in the configuration.
        Template = "template",
    }
}
