//! The environment variables that describe an item to the command.

use warden_api::Item;
use warden_api::lease::ClaimedItem;
use warden_client::Client;

use super::file_name::file_name;

const LABEL_PREFIX: &str = "WARDEN_LABEL_";
/// The progress document of the step, as a file that the command may change.
pub const PROGRESS_FILE: &str = "WARDEN_PROGRESS_FILE";
/// The same for the document that all steps share.
pub const SHARED_PROGRESS_FILE: &str = "WARDEN_SHARED_PROGRESS_FILE";
/// How a closed item ended.
pub const OUTCOME: &str = "WARDEN_OUTCOME";
/// Variables that only some commands get.
const OCCASIONAL: [&str; 3] = [PROGRESS_FILE, SHARED_PROGRESS_FILE, OUTCOME];
/// The trace of the item, if it has one, by the names under which OpenTelemetry hands it to a process.
const TRACE: [&str; 2] = ["TRACEPARENT", "TRACESTATE"];
/// The other variables, in the order of their values.
const NAMES: [&str; 9] = [
    "WARDEN_WORKFLOW",
    "WARDEN_ITEM_ID",
    "WARDEN_ITEM_FILE",
    "WARDEN_STEP",
    "WARDEN_ATTEMPT",
    "WARDEN_LEASE",
    "WARDEN_CONTENT_TYPE",
    "WARDEN_CONTENT_ENCODING",
    "WARDEN_LABELS",
];

/// Whether a variable describes an item.
pub fn is_item_variable(name: &[u8]) -> bool {
    let mut own = NAMES.iter().chain(&OCCASIONAL).chain(&TRACE);
    name.starts_with(LABEL_PREFIX.as_bytes()) || own.any(|own| own.as_bytes() == name)
}

/// If several labels map to one variable, the last in the order of their names wins. `WARDEN_LABELS` has all
/// of them as a JSON object.
pub fn variables(lease: &ClaimedItem) -> Vec<(String, String)> {
    described(&lease.item, &lease.attempt.to_string(), &lease.id)
}

/// The same for an item that is not leased, with its outcome.
pub fn closed_variables(item: &Item) -> Vec<(String, String)> {
    let outcome = item.outcome.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut variables = described(item, "", "");
    variables.push((OUTCOME.to_owned(), outcome));
    variables
}

/// The URL of the daemon, for a `warden` that the command starts.
pub fn daemon_variable(client: &Client) -> (String, String) {
    ("WARDEN_URL".to_owned(), client.base().to_owned())
}

fn described(item: &Item, attempt: &str, lease: &str) -> Vec<(String, String)> {
    let own = [
        item.workflow.to_string(),
        item.id.to_string(),
        file_name(&item.workflow, &item.id),
        item.step.as_deref().unwrap_or_default().to_owned(),
        attempt.to_owned(),
        lease.to_owned(),
        item.payload.content_type.to_string(),
        item.payload.content_encoding.as_deref().unwrap_or_default().to_owned(),
        serde_json::to_string(&item.labels).expect("texts can be written as JSON"),
    ];
    let labels = item.labels.iter().map(|(name, value)| (label_variable(name), value.clone()));
    let own = NAMES.map(str::to_owned).into_iter().zip(own);
    let trace = TRACE.into_iter().zip([&item.traceparent, &item.tracestate]);
    let trace = trace.filter_map(|(name, value)| Some((name.to_owned(), value.as_ref()?.to_string())));
    own.chain(labels).chain(trace).collect()
}

fn label_variable(name: &str) -> String {
    let letter =
        |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    name.chars()
        .fold(LABEL_PREFIX.to_owned(), |variable, character| variable + &letter(character).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::sample::lease;

    #[test]
    fn a_daemon_that_a_command_starts_takes_none_of_it_for_a_setting() {
        let variables = variables(&lease("uploads", "file-1"));
        for name in variables.iter().map(|(name, _)| name.as_str()).chain(OCCASIONAL) {
            assert!(crate::config::Environment::is_known(name), "{name}");
        }
    }

    #[test]
    fn a_command_is_told_all_that_identifies_its_item_and_its_labels() {
        let text: Vec<String> = variables(&lease("uploads", "a/ä b"))
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let expected = [
            "WARDEN_WORKFLOW=uploads",
            "WARDEN_ITEM_ID=a/ä b",
            &format!("WARDEN_ITEM_FILE={}", file_name("uploads", "a/ä b")),
            "WARDEN_STEP=copy",
            "WARDEN_ATTEMPT=2",
            "WARDEN_LEASE=lse_a/ä b",
            "WARDEN_CONTENT_TYPE=text/plain",
            "WARDEN_CONTENT_ENCODING=gzip",
            "WARDEN_LABELS={\"cost.center/a\":\"12\",\"region\":\"eu\"}",
            "WARDEN_LABEL_COST_CENTER_A=12",
            "WARDEN_LABEL_REGION=eu",
        ];
        assert_eq!(text, expected);
    }

    #[test]
    fn what_a_command_is_told_of_its_item_is_known_by_its_name() {
        assert!(variables(&lease("uploads", "a")).iter().all(|(name, _)| is_item_variable(name.as_bytes())));
        assert!(!is_item_variable(b"WARDEN_URL") && !is_item_variable(b"WARDEN_TOKEN"));
    }

    #[test]
    fn a_command_gets_the_trace_of_its_item_and_never_that_of_another() {
        let mut lease = lease("uploads", "a");
        let is_trace = |(name, _): &(String, String)| TRACE.contains(&name.as_str());
        assert!(!variables(&lease).iter().any(is_trace));
        lease.item.traceparent = Some("00-1-2-01".into());
        let expected = [("TRACEPARENT".to_owned(), "00-1-2-01".to_owned())];
        assert_eq!(variables(&lease).into_iter().filter(is_trace).collect::<Vec<_>>(), expected);
        assert!(TRACE.iter().all(|name| is_item_variable(name.as_bytes())));
    }

    #[test]
    fn a_command_for_a_closed_item_is_told_how_it_ended() {
        let closed = crate::cli::commands::sample::item(serde_json::json!({"outcome": "success"}));
        let variables = closed_variables(&closed);
        for (name, value) in
            [("WARDEN_OUTCOME", "success"), ("WARDEN_ITEM_ID", "file-123"), ("WARDEN_LEASE", "")]
        {
            assert!(variables.contains(&(name.to_owned(), value.to_owned())), "{name}");
        }
    }

    #[test]
    fn what_an_item_does_not_have_is_empty_and_not_that_of_another() {
        let mut lease = lease("uploads", "a");
        lease.item.step = None;
        lease.item.payload.content_encoding = None;
        let variables = variables(&lease);
        for name in ["WARDEN_STEP", "WARDEN_CONTENT_ENCODING"] {
            assert!(variables.contains(&(name.to_owned(), String::new())), "{name}");
        }
    }
}
