//! Warnings about valid settings that are probably mistakes.

use super::*;
use crate::model::{WarningCode, WorkflowName};

const ONCALL: &str = "[receivers.oncall]\nurl = \"https://example.com\"\n";
/// Settings that cause no warning.
const SOUND: &str =
    "[receivers.oncall]\nurl = \"https://example.com\"\n[alerting]\nreceivers = [\"oncall\"]\n";

fn warnings(sources: Sources) -> Vec<String> {
    let warnings = load(sources).warnings;
    warnings.into_iter().map(|warning| format!("{}: {}", warning.code.as_str(), warning.message)).collect()
}

#[test]
fn a_configuration_by_which_people_are_told_has_no_warnings() {
    assert_eq!(warnings(file(SOUND)), [""; 0]);
    let overriding =
        "[workflow_defaults]\ncreate_on_first_use = false\n[workflows.a]\nreceivers = [\"oncall\"]\n";
    assert_eq!(warnings(file(&format!("{ONCALL}{overriding}"))), [""; 0]);
}

#[test]
fn who_tries_the_daemon_out_without_any_configuration_is_not_warned() {
    assert_eq!(warnings(Sources::default()), [""; 0]);
    assert_eq!(warnings(environment(&[("WARDEN_SERVER__LISTEN", "127.0.0.1:0")])), [""; 0]);
}

#[test]
fn each_way_to_tell_nobody_is_warned_of_with_its_place() {
    let token = format!("[[tokens]]\nname = \"a\"\nsha256 = \"{HASH}\"\nscopes = [\"read\"]\n");
    let cases: &[(String, &[&str])] = &[
        ("[server]\n".into(), &["no-receivers: warden.toml:1:1: receivers: there is none"]),
        (
            "[workflows.uploads]\nexpect = { every = \"1h\" }".into(),
            &["no-receivers: warden.toml:1:1: receivers: there is none"],
        ),
        (
            ONCALL.into(),
            &[
                "default-tells-nobody: alerting.receivers: is empty",
                "receiver-unused: warden.toml:1:12: receivers.oncall: no workflow uses it",
            ],
        ),
        (
            format!("{SOUND}[workflows.uploads]\nreceivers = []"),
            &["workflow-tells-nobody: warden.toml:5:12: workflows.uploads: nobody is notified when \
                 something is overdue"],
        ),
        (
            format!("{SOUND}[workflows.uploads]\nreceivers = []\nfallback = [\"oncall\"]"),
            &["workflow-tells-nobody: warden.toml:5:12: workflows.uploads: nobody is notified"],
        ),
        (
            format!("{SOUND}[workflows.nightly]\nreceivers = []\nexpect = {{ every = \"1h\" }}"),
            &["expectation-tells-nobody: warden.toml:5:12: workflows.nightly: nobody is notified when \
                 something is missed"],
        ),
        (
            format!("{SOUND}severity = \"info\"\n[receiver_defaults]\nmin_severity = \"error\""),
            &[
                "receiver-deaf: warden.toml:1:12: receivers.oncall.min_severity: the receiver is \
                 never notified: it accepts \"error\" and above, but nothing above \"info\"",
                "workflow-unheard: warden.toml:5:1: alerting.severity: nobody is notified",
            ],
        ),
        (
            format!(
                "{SOUND}[receivers.manager]\nurl = \"https://example.com\"\nmin_severity = \"critical\"\n\
                 [workflows.a]\nseverity = \"error\"\nreceivers = [\"manager\"]\n"
            ),
            &[
                "receiver-deaf: warden.toml:7:1: receivers.manager.min_severity: the receiver is never",
                "workflow-unheard: warden.toml:9:1: workflows.a.severity: nobody is notified",
            ],
        ),
        (
            format!(
                "{SOUND}[receivers.chain]\nurl = \"https://example.com\"\nevents = [\"run.completed\"]\n\
                 [workflows.a]\nreceivers = [\"chain\"]\n"
            ),
            &["workflow-tells-nobody: warden.toml:8:12: workflows.a: nobody is notified when something is \
               overdue or failed: none of its receivers takes incidents"],
        ),
        (
            format!("{SOUND}[workflow_defaults]\ncreate_on_first_use = false\n[workflows.a]\nreceivers = []"),
            &["receiver-unused", "workflow-tells-nobody"],
        ),
        (
            format!(
                "{SOUND}[workflow_defaults]\ncreate_on_first_use = false\n[workflows.uploads]\n{token}\
                 workflows = [\"up*\", \"reports\"]"
            ),
            &["token-without-workflows: warden.toml:12:21: tokens[0].workflows[1]: \"reports\" matches none"],
        ),
    ];
    for (text, expected) in cases {
        let found = warnings(file(text));
        let mut sorted = found.clone();
        sorted.sort();
        assert_eq!(sorted.len(), expected.len(), "{found:#?}\n{text}");
        for (found, expected) in sorted.iter().zip(*expected) {
            assert!(found.starts_with(expected), "\n{text}\nsays    {found}\ninstead {expected}");
        }
    }
}

#[test]
fn who_is_told_by_escalation_or_instead_of_others_is_in_use() {
    let manager = "[receivers.manager]\nurl = \"https://example.com\"\n";
    for uses in [
        "escalate = [{ after = \"1h\", receivers = [\"manager\"] }]",
        "fallback = [\"manager\"]",
        "[workflows.a]\nreceivers = [\"manager\"]",
    ] {
        assert_eq!(warnings(file(&format!("{SOUND}{uses}\n{manager}"))), [""; 0], "{uses}");
    }
    // A receiver that can get the incidents of a single workflow causes no warning.
    let severe = "min_severity = \"critical\"\n[workflows.a]\nreceivers = [\"oncall\", \"manager\"]";
    let text = format!("{SOUND}severity = \"error\"\n{manager}{severe}\nseverity = \"critical\"");
    assert_eq!(warnings(file(&text)), [""; 0]);
}

#[test]
fn an_address_that_will_be_refused_is_warned_of_unless_it_is_allowed() {
    let receiver = |url: &str, more: &str| {
        format!("[receivers.oncall]\nurl = {url:?}\n{more}\n[alerting]\nreceivers = [\"oncall\"]\n")
    };
    for (url, why) in [
        ("http://127.0.0.1:9000/secret", "127.0.0.1 (loopback)"),
        ("http://[::1]/", "::1 (loopback)"),
        ("http://10.1.2.3/", "10.1.2.3 (private)"),
        ("http://169.254.169.254/", "169.254.169.254 (link-local)"),
        ("http://2130706433/", "127.0.0.1 (loopback)"),
    ] {
        let found = warnings(file(&receiver(url, "")));
        assert_eq!(found.len(), 1, "{found:?}");
        let start = "address-not-allowed: warden.toml:2:1: receivers.oncall.url: calls are refused";
        assert!(found[0].starts_with(start) && found[0].contains(why), "{}", found[0]);
        assert!(found[0].contains("allow_private") && !found[0].contains("secret"), "{}", found[0]);
        assert_eq!(warnings(file(&receiver(url, "allow_private = true"))), [""; 0]);
    }
    let allowed = receiver("http://10.1.2.3/", "allow_networks = [\"10.0.0.0/8\"]");
    assert_eq!(warnings(file(&allowed)), [""; 0]);

    let others = "[heartbeat]\nurl = \"http://127.0.0.1/\"\n[replay]\nallow_networks = []\n\
                  [workflows.a]\nredrive = { url = \"http://127.0.0.2/\" }";
    let found = warnings(file(&format!("{SOUND}{others}")));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("address-not-allowed: warden.toml:6:1: heartbeat.url: "), "{}", found[0]);
    assert!(found[1].contains("warden.toml:10:13: workflows.a.redrive.url: "), "{}", found[1]);
}

#[test]
fn a_name_is_left_to_be_looked_up_unless_its_address_does_not_matter() {
    let hosts = |text: &str| -> Vec<String> {
        load(file(text)).destinations.iter().map(|destination| destination.endpoint().origin()).collect()
    };
    assert_eq!(hosts(SOUND), ["https://example.com"]);
    assert_eq!(hosts(&SOUND.replace("[alerting]", "allow_private = true\n[alerting]")), [""; 0]);
}

#[test]
fn a_variable_that_sets_nothing_is_warned_of_with_what_was_meant() {
    for (name, hint) in [
        ("WARDEN_SERVER_LISTEN", "did you mean WARDEN_SERVER__LISTEN?"),
        ("WARDEN_STORAGE_PAHT", "did you mean WARDEN_STORAGE__PATH?"),
        ("WARDEN_TOKNE", "did you mean WARDEN_TOKEN?"),
        ("WARDEN_URI", "did you mean WARDEN_URL?"),
        ("WARDEN__SERVER", "two underscores"),
        ("WARDEN_WORKFLOWS_UPLOADS_DEADLINE", "two underscores between the levels"),
    ] {
        let found = warnings(environment(&[(name, "x")]));
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        let start = format!("unknown-variable: environment variable {name}: sets nothing");
        assert!(found[0].starts_with(&start) && found[0].contains(hint), "{}", found[0]);
    }
}

#[test]
fn a_variable_that_somebody_else_needs_is_not_warned_of() {
    let mut sources = file(&SOUND.replace("\"https://example.com\"", "\"env:WARDEN_HOOK\""));
    let variables = [
        ("WARDEN_HOOK", "https://example.com"),
        ("WARDEN_URL", "http://elsewhere"),
        ("WARDEN_TOKEN", "wt_1"),
        ("WARDEN_CONFIG", "warden.toml"),
        ("WARDEN_ITEM_ID", "file-1"),
        ("WARDEN_LABEL_REGION", "eu"),
        ("WARDEN_LABEL_A__B", "eu"),
        ("WARDEN_SERVICE_HOST", "10.0.0.1"),
        ("WARDEN_SERVICE_PORT_HTTP", "8470"),
        ("WARDEN_PORT", "tcp://10.0.0.1:8470"),
        ("WARDEN_PORT_8470_TCP_ADDR", "10.0.0.1"),
        ("OTHER_THING", "x"),
    ];
    sources.environment = variables.into_iter().collect();
    assert_eq!(warnings(sources), [""; 0]);
}

#[test]
fn every_code_that_settings_can_have_is_tried_here() {
    let tried = include_str!("warnings.rs");
    for code in WarningCode::ALL {
        let of_data = matches!(
            code,
            WarningCode::WorkflowMisspelt | WarningCode::RequirementUnknown | WarningCode::AllSilenced
        );
        assert!(of_data || tried.contains(&format!("\"{}", code.as_str())), "{}", code.as_str());
    }
}

#[test]
fn a_workflow_that_a_file_and_a_client_define_is_that_of_the_file() {
    let definition = Arc::new(serde_json::from_str(r#"{"deadline": "5m"}"#).unwrap());
    let definitions: Definitions =
        ["uploads", "reports"].map(|name| (WorkflowName::new(name).unwrap(), Arc::clone(&definition))).into();
    let text = format!("{SOUND}[workflows.uploads]\ndeadline = \"9m\"");
    let config = load(Sources { definitions, ..file(&text) });
    let codes: Vec<&str> = config.warnings.iter().map(|warning| warning.code.as_str()).collect();
    assert_eq!(codes, ["workflow-defined-twice"]);
    let minutes = |name: &str| config.policies.policy(name).deadline.as_secs() / 60;
    assert_eq!((minutes("uploads"), minutes("reports")), (9, 5));
    assert_eq!(config.policies.defined, ["reports"].map(|name| WorkflowName::new(name).unwrap()).into());
    let without = config.with_definitions(Definitions::new()).unwrap();
    assert!(without.warnings.is_empty() && without.policies.defined.is_empty());
}
