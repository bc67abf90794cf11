//! Standard Webhooks: the stored text, byte for byte. The other headers come with the signature.

use bytes::Bytes;
use reqwest::Method;

use super::{Rendered, content_type_of};

pub(super) fn render(stored: &str) -> Rendered {
    Rendered {
        method: Method::POST,
        headers: content_type_of("application/json"),
        body: Bytes::copy_from_slice(stored.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{DeliveryId, Timestamp};
    use crate::notifier::Format;

    #[test]
    fn what_is_stored_is_sent_byte_for_byte() {
        // Also a text that is no notification of this version: another version may have stored it.
        for stored in [r#"{"type":"incident.opened",  "data":{"ä":"\u00e4"}}"#, "{}", ""] {
            let rendered =
                Format::Standard.render(stored, &DeliveryId("dlv_1".into()), Timestamp::default()).unwrap();
            assert_eq!(rendered.body, stored);
            assert_eq!(rendered.headers["content-type"], "application/json");
            assert_eq!(rendered.headers.len(), 1);
        }
    }
}
