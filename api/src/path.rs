//! The paths. A part in braces stands for a value, percent-encoded.

macro_rules! paths {
    ($($(#[$doc:meta])* $name:ident = $path:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $path;)*

        /// All of them.
        pub const ALL: &[&str] = &[$($path),*];
    };
}

paths! {
    /// Whether the process lives.
    HEALTHZ = "/healthz";
    /// Whether the daemon is ready.
    READYZ = "/readyz";
    /// Figures for Prometheus.
    METRICS = "/metrics";
    /// The description of the API.
    OPENAPI = "/openapi.json";

    /// Create and close many items.
    BATCH = "/v1/batch";
    /// Items of all workflows.
    ITEMS = "/v1/items";
    /// Send many items back.
    ITEMS_RETRY = "/v1/items/retry";
    /// What a choice of items amounts to.
    ITEMS_SUMMARY = "/v1/items/summary";
    /// Items with their payloads.
    EXPORT = "/v1/export";

    /// Workflows.
    WORKFLOWS = "/v1/workflows";
    /// A workflow.
    WORKFLOW = "/v1/workflows/{workflow}";
    /// The figures of a workflow.
    WORKFLOW_STATS = "/v1/workflows/{workflow}/stats";
    /// The items of a workflow.
    WORKFLOW_ITEMS = "/v1/workflows/{workflow}/items";
    /// An item.
    ITEM = "/v1/workflows/{workflow}/items/{id}";
    /// The payload of an item.
    ITEM_PAYLOAD = "/v1/workflows/{workflow}/items/{id}/payload";
    /// The errors of an item.
    ITEM_ERRORS = "/v1/workflows/{workflow}/items/{id}/errors";
    /// Send an item back.
    ITEM_RETRY = "/v1/workflows/{workflow}/items/{id}/retry";

    /// Claim items.
    LEASES = "/v1/leases";
    /// Hold a lease for longer.
    LEASE_HEARTBEAT = "/v1/leases/{id}/heartbeat";
    /// Say that the step is done.
    LEASE_COMPLETE = "/v1/leases/{id}/complete";
    /// Say that the attempt failed.
    LEASE_FAIL = "/v1/leases/{id}/fail";
    /// Give the item back.
    LEASE_RELEASE = "/v1/leases/{id}/release";

    /// Incidents.
    INCIDENTS = "/v1/incidents";
    /// An incident.
    INCIDENT = "/v1/incidents/{id}";
    /// The deliveries of an incident.
    INCIDENT_DELIVERIES = "/v1/incidents/{id}/deliveries";
    /// Acknowledge an incident.
    INCIDENT_ACKNOWLEDGE = "/v1/incidents/{id}/ack";
    /// Snooze an incident.
    INCIDENT_SNOOZE = "/v1/incidents/{id}/snooze";
    /// Comment on an incident.
    INCIDENT_COMMENTS = "/v1/incidents/{id}/comments";
    /// Deliveries of all incidents.
    DELIVERIES = "/v1/deliveries";
    /// Send a delivery again.
    DELIVERY_RESEND = "/v1/deliveries/{id}/resend";
    /// Receivers.
    RECEIVERS = "/v1/receivers";
    /// Try a receiver out.
    RECEIVER_TEST = "/v1/receivers/{name}/test";
    /// Let everything go to a receiver that waits for it.
    RECEIVER_RESUME = "/v1/receivers/{name}/resume";
    /// Silences.
    SILENCES = "/v1/silences";
    /// A silence.
    SILENCE = "/v1/silences/{id}";

    /// Replays.
    REPLAYS = "/v1/replays";
    /// A replay.
    REPLAY = "/v1/replays/{id}";
    /// Pause a replay.
    REPLAY_PAUSE = "/v1/replays/{id}/pause";
    /// Have a replay go on.
    REPLAY_RESUME = "/v1/replays/{id}/resume";
    /// End a replay.
    REPLAY_CANCEL = "/v1/replays/{id}/cancel";
}

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
