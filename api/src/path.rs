//! The paths. A part in braces stands for a value, percent-encoded.

/// Whether the process lives.
pub const HEALTHZ: &str = "/healthz";
/// Whether the daemon is ready.
pub const READYZ: &str = "/readyz";
/// Figures for Prometheus.
pub const METRICS: &str = "/metrics";
/// The description of the API.
pub const OPENAPI: &str = "/openapi.json";

/// Create and close many items.
pub const BATCH: &str = "/v1/batch";
/// Items of all workflows.
pub const ITEMS: &str = "/v1/items";
/// Send many items back.
pub const ITEMS_RETRY: &str = "/v1/items/retry";
/// What a choice of items amounts to.
pub const ITEMS_SUMMARY: &str = "/v1/items/summary";
/// Items with their payloads.
pub const EXPORT: &str = "/v1/export";

/// Workflows.
pub const WORKFLOWS: &str = "/v1/workflows";
/// A workflow.
pub const WORKFLOW: &str = "/v1/workflows/{workflow}";
/// The figures of a workflow.
pub const WORKFLOW_STATS: &str = "/v1/workflows/{workflow}/stats";
/// The items of a workflow.
pub const WORKFLOW_ITEMS: &str = "/v1/workflows/{workflow}/items";
/// An item.
pub const ITEM: &str = "/v1/workflows/{workflow}/items/{id}";
/// The payload of an item.
pub const ITEM_PAYLOAD: &str = "/v1/workflows/{workflow}/items/{id}/payload";
/// The errors of an item.
pub const ITEM_ERRORS: &str = "/v1/workflows/{workflow}/items/{id}/errors";
/// Send an item back.
pub const ITEM_RETRY: &str = "/v1/workflows/{workflow}/items/{id}/retry";

/// Claim items.
pub const LEASES: &str = "/v1/leases";
/// Hold a lease for longer.
pub const LEASE_HEARTBEAT: &str = "/v1/leases/{id}/heartbeat";
/// Say that the step is done.
pub const LEASE_COMPLETE: &str = "/v1/leases/{id}/complete";
/// Say that the attempt failed.
pub const LEASE_FAIL: &str = "/v1/leases/{id}/fail";
/// Give the item back.
pub const LEASE_RELEASE: &str = "/v1/leases/{id}/release";

/// Incidents.
pub const INCIDENTS: &str = "/v1/incidents";
/// An incident.
pub const INCIDENT: &str = "/v1/incidents/{id}";
/// The deliveries of an incident.
pub const INCIDENT_DELIVERIES: &str = "/v1/incidents/{id}/deliveries";
/// Acknowledge an incident.
pub const INCIDENT_ACKNOWLEDGE: &str = "/v1/incidents/{id}/ack";
/// Snooze an incident.
pub const INCIDENT_SNOOZE: &str = "/v1/incidents/{id}/snooze";
/// Comment on an incident.
pub const INCIDENT_COMMENTS: &str = "/v1/incidents/{id}/comments";
/// Deliveries of all incidents.
pub const DELIVERIES: &str = "/v1/deliveries";
/// Send a delivery again.
pub const DELIVERY_RESEND: &str = "/v1/deliveries/{id}/resend";
/// Receivers.
pub const RECEIVERS: &str = "/v1/receivers";
/// Try a receiver out.
pub const RECEIVER_TEST: &str = "/v1/receivers/{name}/test";
/// Let everything go to a receiver that waits for it.
pub const RECEIVER_RESUME: &str = "/v1/receivers/{name}/resume";
/// Silences.
pub const SILENCES: &str = "/v1/silences";
/// A silence.
pub const SILENCE: &str = "/v1/silences/{id}";

/// Replays.
pub const REPLAYS: &str = "/v1/replays";
/// A replay.
pub const REPLAY: &str = "/v1/replays/{id}";
/// Pause a replay.
pub const REPLAY_PAUSE: &str = "/v1/replays/{id}/pause";
/// Have a replay go on.
pub const REPLAY_RESUME: &str = "/v1/replays/{id}/resume";
/// End a replay.
pub const REPLAY_CANCEL: &str = "/v1/replays/{id}/cancel";

/// The path with these values in place of its parts in braces, in their order, percent-encoded.
///
/// # Panics
/// When the path has fewer or more such parts.
pub fn fill(template: &str, values: &[&str]) -> String {
    let mut values = values.iter();
    let mut path = String::with_capacity(template.len());
    for part in template.split('/').skip(1) {
        path.push('/');
        if part.starts_with('{') {
            let value = values.next().unwrap_or_else(|| panic!("no value for {part} of {template}"));
            encode(value, &mut path);
        } else {
            path.push_str(part);
        }
    }
    assert!(values.next().is_none(), "more values than {template} has room for");
    path
}

/// Writes a text so that it may stand between slashes: what RFC 3986 leaves unreserved as it is, other bytes
/// as `%XX`.
fn encode(text: &str, path: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
            path.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_encoded_so_that_it_stays_one_part_of_its_path() {
        for (id, part) in [("file-1", "file-1"), ("a/b ä%", "a%2Fb%20%C3%A4%25"), ("x~_.", "x~_.")] {
            let path = fill(ITEM_PAYLOAD, &["uploads", id]);
            assert_eq!(path, format!("/v1/workflows/uploads/items/{part}/payload"));
        }
        assert_eq!(fill(LEASES, &[]), LEASES);
    }
}
