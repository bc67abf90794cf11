//! CloudEvents 1.0 in structured mode: the notification's data in an envelope.

use serde::Serialize;
use serde_json::json;

use super::{Rendered, base_url, post};
use crate::model::{DeliveryId, ItemSubject, Notification, Subject};

/// What an event is about, in the context attributes.
pub(super) trait Subjected: Serialize {
    fn subject(&self) -> String;
    fn url(&self) -> &str;
}

impl Subjected for Subject {
    fn subject(&self) -> String {
        self.id.to_string()
    }

    fn url(&self) -> &str {
        &self.url
    }
}

impl Subjected for ItemSubject {
    fn subject(&self) -> String {
        format!("{}/{}", self.workflow, self.id)
    }

    fn url(&self) -> &str {
        &self.url
    }
}

pub(super) fn render<S: Subjected>(notification: &Notification<S>, id: &DeliveryId) -> Rendered {
    let envelope = json!({
        "specversion": "1.0",
        "id": id.0,
        "source": base_url(notification.data.url()),
        "type": notification.event,
        "subject": notification.data.subject(),
        "time": notification.timestamp,
        "datacontenttype": "application/json",
        "data": notification.data,
    });
    post("application/cloudevents+json", &envelope)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::fixture::*;
    use super::*;
    use crate::notifier::Format;

    #[test]
    fn a_notification_is_an_event_with_its_data_as_it_is() {
        for (notification, event, time) in [
            (opened(), "incident.opened", "2026-01-01T00:14:00.000Z"),
            (resolved(), "incident.resolved", "2026-01-01T01:00:00.000Z"),
            (continued(), "incident.resolved", "2026-01-01T01:00:00.000Z"),
            (hostile(), "incident.opened", "2026-01-01T00:14:00.000Z"),
        ] {
            let standard: Value = serde_json::to_value(&notification).unwrap();
            let expected = json!({
                "specversion": "1.0",
                "id": "dlv_1",
                "source": "https://warden.example.com",
                "type": event,
                "subject": "inc_1",
                "time": time,
                "datacontenttype": "application/json",
                "data": standard["data"],
            });
            assert_eq!(document(&Format::CloudEvents, &notification), expected);
        }
        let rendered = rendered(&Format::CloudEvents, &opened());
        assert_eq!(rendered.headers["content-type"], "application/cloudevents+json");
    }

    #[test]
    fn the_source_is_the_address_at_which_the_daemon_was_when_it_told() {
        let mut notification = opened();
        notification.data.url = "https://example.com/v1/warden/v1/incidents/inc_1".to_owned();
        assert_eq!(document(&Format::CloudEvents, &notification)["source"], "https://example.com/v1/warden");
    }
}
