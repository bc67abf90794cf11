//! Checks of what receivers were sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use warden::model::notification::Notification;
use warden::model::{DeliveryId, Event, IncidentKey, WorkflowName};

/// What one receiver makes of what it heard.
#[derive(Default)]
pub struct Story {
    heard: BTreeSet<String>,
    /// For each incident whether it is open, as far as the receiver knows.
    pub incidents: BTreeMap<Arc<str>, (IncidentKey, bool)>,
    /// Ends that it heard of before it had heard of the incident in which the items are in trouble: which
    /// delivery, of which incident, and the other one.
    pub early: Vec<(DeliveryId, Arc<str>, Arc<str>)>,
}

impl Story {
    /// Takes a notification in; says what is wrong with it, if anything is.
    pub fn hear(&mut self, webhook_id: String, notification: Notification) -> Option<String> {
        // A repetition, which the receiver knows by its id.
        if !self.heard.insert(webhook_id.clone()) || notification.event == Event::Test {
            return None;
        }
        let subject = notification.data;
        let key = IncidentKey {
            workflow: WorkflowName::new(subject.workflow.clone()).expect("a workflow's name"),
            kind: subject.kind,
            group: subject.group,
        };
        let is_open = self.incidents.get(&subject.id).is_some_and(|(_, is_open)| *is_open);
        let event = notification.event;
        let wrong = match event {
            Event::Opened if is_open => Some("that an incident opened which it knew to be open"),
            Event::Resolved if !is_open => Some("the end of an incident that it did not know to be open"),
            Event::Grown | Event::Reminder if !is_open => {
                Some("news of an incident of which it knew nothing")
            }
            _ => None,
        };
        if let Some(other) = subject.continued_in.filter(|other| !self.incidents.contains_key(other)) {
            self.early.push((DeliveryId(webhook_id.into()), subject.id.clone(), other));
        }
        self.incidents.insert(subject.id.clone(), (key, event != Event::Resolved));
        wrong.map(|wrong| format!("{wrong}: {event:?} of {}", subject.id))
    }

    /// The open incidents of this key.
    pub fn open(&self, key: &IncidentKey) -> usize {
        self.incidents.values().filter(|(other, is_open)| *is_open && other == key).count()
    }
}
