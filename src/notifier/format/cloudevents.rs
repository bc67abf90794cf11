//! CloudEvents 1.0 in structured mode: the notification's data in an envelope.

use serde_json::json;

use super::{Rendered, base_url, post};
use crate::model::{DeliveryId, Notification};

pub(super) fn render(notification: &Notification, id: &DeliveryId) -> Rendered {
    let envelope = json!({
        "specversion": "1.0",
        "id": id.0,
        "source": base_url(notification),
        "type": notification.event,
        "subject": notification.data.id,
        "time": notification.timestamp,
        "datacontenttype": "application/json",
        "data": notification.data,
    });
    post("application/cloudevents+json", &envelope)
}
