//! The paths. A part in braces stands for a percent-encoded value.

macro_rules! paths {
    ($($(#[$doc:meta])* $name:ident = $path:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $path;)*

        /// All paths.
        pub const ALL: &[&str] = &[$($path),*];
    };
}

paths! {
    /// Liveness.
    HEALTHZ = "/healthz";
    /// Readiness.
    READYZ = "/readyz";
    /// Metrics for Prometheus.
    METRICS = "/metrics";
    /// The description of the API.
    OPENAPI = "/openapi.json";

    /// Read the configuration anew.
    RELOAD = "/v1/reload";

    /// Create and close many items.
    BATCH = "/v1/batch";
    /// The items of all workflows.
    ITEMS = "/v1/items";
    /// Retry many items.
    ITEMS_RETRY = "/v1/items/retry";
    /// Close many items.
    ITEMS_CLOSE = "/v1/items/close";
    /// Cancel many items.
    ITEMS_CANCEL = "/v1/items/cancel";
    /// Give many items a later deadline.
    ITEMS_EXTEND = "/v1/items/extend";
    /// Counts of selected items.
    ITEMS_SUMMARY = "/v1/items/summary";
    /// Items with their payloads.
    EXPORT = "/v1/export";

    /// Workflows.
    WORKFLOWS = "/v1/workflows";
    /// A workflow.
    WORKFLOW = "/v1/workflows/{workflow}";
    /// Counts of a workflow.
    WORKFLOW_STATS = "/v1/workflows/{workflow}/stats";
    /// The runs of a workflow.
    WORKFLOW_RUNS = "/v1/workflows/{workflow}/runs";
    /// The open run of a workflow.
    CURRENT_RUN = "/v1/workflows/{workflow}/runs/current";
    /// Close the open run.
    CURRENT_RUN_CLOSE = "/v1/workflows/{workflow}/runs/current/close";
    /// Fail the open run.
    CURRENT_RUN_FAIL = "/v1/workflows/{workflow}/runs/current/fail";
    /// What the runs of a workflow have come to.
    RUNS_STATUS = "/v1/workflows/{workflow}/runs/status";
    /// The parameters of a run.
    WORKFLOW_PARAMS = "/v1/workflows/{workflow}/params";
    /// What successful runs cover.
    WORKFLOW_WINDOWS = "/v1/workflows/{workflow}/windows";
    /// Wait for a workflow.
    WORKFLOW_WAIT = "/v1/workflows/{workflow}/wait";
    /// Wait for workflows.
    WAIT = "/v1/wait";
    /// Put a workflow on hold.
    WORKFLOW_HOLD = "/v1/workflows/{workflow}/hold";
    /// End a hold.
    WORKFLOW_RELEASE = "/v1/workflows/{workflow}/release";
    /// The items of a workflow.
    WORKFLOW_ITEMS = "/v1/workflows/{workflow}/items";
    /// An item.
    ITEM = "/v1/workflows/{workflow}/items/{id}";
    /// The payload of an item.
    ITEM_PAYLOAD = "/v1/workflows/{workflow}/items/{id}/payload";
    /// The errors of an item.
    ITEM_ERRORS = "/v1/workflows/{workflow}/items/{id}/errors";
    /// Retry an item.
    ITEM_RETRY = "/v1/workflows/{workflow}/items/{id}/retry";
    /// Cancel an item.
    ITEM_CANCEL = "/v1/workflows/{workflow}/items/{id}/cancel";
    /// The progress document that all steps of an item share.
    ITEM_PROGRESS = "/v1/workflows/{workflow}/items/{id}/progress";
    /// The progress document of a step.
    STEP_PROGRESS = "/v1/workflows/{workflow}/items/{id}/steps/{step}/progress";
    /// Report on the step that an item is at.
    ITEM_STEP = "/v1/workflows/{workflow}/items/{id}/steps/{step}";

    /// Claim items.
    LEASES = "/v1/leases";
    /// Renew a lease.
    LEASE_HEARTBEAT = "/v1/leases/{id}/heartbeat";
    /// Complete the step.
    LEASE_COMPLETE = "/v1/leases/{id}/complete";
    /// Report a failed attempt.
    LEASE_FAIL = "/v1/leases/{id}/fail";
    /// Release the item.
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
    /// Send a test.
    RECEIVER_TEST = "/v1/receivers/{name}/test";
    /// End a receiver's pause, and attempt what waits.
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
    /// Resume a replay.
    REPLAY_RESUME = "/v1/replays/{id}/resume";
    /// Cancel a replay.
    REPLAY_CANCEL = "/v1/replays/{id}/cancel";

    /// Artifacts.
    ARTIFACTS = "/v1/artifacts";
    /// Change many artifacts.
    ARTIFACTS_STATUS = "/v1/artifacts/status";
    /// Claim artifacts.
    ARTIFACTS_CLAIM = "/v1/artifacts/claim";
    /// An artifact.
    ARTIFACT = "/v1/artifacts/{id}";
}

/// Fills the parts in braces with these values, percent-encoded, in their order.
///
/// # Panics
/// If the number of values differs from the number of parts.
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

/// Percent-encodes a path segment: all bytes but the unreserved characters of RFC 3986.
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
