//! Receivers: the settings of each format, references to secrets, transports.

use std::path::Path;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::model::Severity;
use crate::notifier::Format;

/// Tables of receivers, each with the beginning of its only problem.
const FAULTS: &[(&str, &str)] = &[
    ("[receivers.oncall]\n", "1:12: receivers.oncall: `url` is missing"),
    (
        "[receivers.oncall]\nurl = \"mailto:a@b\"",
        "2:1: receivers.oncall.url: must begin with http:// or https://",
    ),
    ("[receivers.oncall]\nurl = \"oncall\"", "2:1: receivers.oncall.url: is not a URL"),
    ("[receivers.oncall]\nurl = 5", "2:1: receivers.oncall.url: must be a text"),
    ("[receivers.oncall]\nurl = \"http://u:p@x\"", "2:1: receivers.oncall.url: must not contain a user"),
    (
        "[receivers.oncall]\nurl = \"env:HOOK\"",
        "2:1: receivers.oncall.url: the environment variable HOOK is not set",
    ),
    (
        "[receivers.oncall]\nurl = \"env:NO_URL\"",
        "2:1: receivers.oncall.url: what it refers to is not a URL: relative URL without a base",
    ),
    (
        "[receivers.oncall]\nurl = \"file:/nowhere/url\"",
        "2:1: receivers.oncall.url: cannot read the file \"/nowhere/url\": No such file",
    ),
    (
        "[receivers.oncall]\nurl = \"http://x\"\nformat = \"teams\"",
        "3:1: receivers.oncall.format: must be \"standard\", \"alertmanager\", \"pagerduty\", \"slack\", \
         \"cloudevents\", \"openlineage\" or \"template\", but is",
    ),
    (
        "[receivers.oncall]\nurl = \"http://x\"\nmin_severity = \"bad\"",
        "3:1: receivers.oncall.min_severity: must be \"info\", \"warning\", \"error\" or \"critical\", but \
         is",
    ),
    (
        "[receivers.oncall]\nurl = \"http://x\"\nsecret = \"whsec_AAAA\"",
        "3:1: receivers.oncall.secret: is no signing secret (nor env:NAME, nor file:PATH): a signing key has \
         24",
    ),
    ("[receivers.oncall]\nurl = \"http://x\"\nsecret = []", "3:1: receivers.oncall.secret: holds 0 secrets"),
    (
        "[receivers.oncall]\nurl = \"http://x\"\nsecret = \"env:HOOK\"",
        "3:1: receivers.oncall.secret: the environment variable HOOK is not set",
    ),
    ("[receivers.\"on call\"]\nurl = \"http://x\"", "1:12: receivers.\"on call\": \"on call\" is no name"),
    (
        "[receivers.a]\nurl = \"http://x\"\nformat = \"slack\"\nsecret = \"env:SECRET\"",
        "4:1: receivers.a.secret: does nothing for a receiver of the format slack, only for: standard, \
         cloudevents",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nrouting_key = \"abc\"",
        "3:1: receivers.a.routing_key: does nothing for a receiver of the format standard, only for: \
         pagerduty",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nresend = \"1m\"",
        "3:1: receivers.a.resend: does nothing for a receiver of the format standard, only for: alertmanager",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nformat = \"alertmanager\"\nresend = \"2h\"",
        "4:1: receivers.a.resend: is 2h, but must be from 1s to 1h",
    ),
    (
        "[receiver_defaults]\nresend = \"100ms\"",
        "2:1: receiver_defaults.resend: is 100ms, but must be from 1s to 1h",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nbody = \"x\"",
        "3:1: receivers.a.body: does nothing for a receiver of the format standard, only for: template",
    ),
    (
        "[receivers.a]\nformat = \"pagerduty\"",
        "1:12: receivers.a: `routing_key` is missing: PagerDuty shows it",
    ),
    (
        "[receivers.a]\nformat = \"pagerduty\"\nrouting_key = \"two words\"",
        "3:1: receivers.a.routing_key: is no routing key (nor env:NAME, nor file:PATH): a routing key is one \
         word",
    ),
    (
        "[receivers.a]\nformat = \"template\"\nurl = \"http://x\"",
        "1:12: receivers.a: `body` is missing: the template",
    ),
    (
        "[receivers.a]\nformat = \"template\"\nurl = \"http://x\"\nbody = \"\"\"\n{\n{{ data.sumary }}\"\"\"",
        "4:1: receivers.a.body: the template of the body, line 2, cannot write incident.opened: undefined \
         value: `data.sumary` is undefined",
    ),
    (
        "[receivers.a]\nformat = \"template\"\nurl = \"http://x\"\nbody = \"{{ x\"",
        "4:1: receivers.a.body: the template of the body, line 1: syntax error: ",
    ),
    (
        "[receivers.a]\nformat = \"template\"\nurl = \"http://x\"\nbody = \"{}\"\nheaders = { X-Id = \"{{ id \
         }}\" }",
        "5:13: receivers.a.headers.X-Id: the template of the header x-id, line 1, cannot write \
         incident.opened: ",
    ),
    (
        "[receivers.a]\nformat = \"template\"\nurl = \"http://x\"\nbody = \"file:/nowhere/body\"",
        "4:1: receivers.a.body: cannot read the file \"/nowhere/body\"",
    ),
    (
        "[receivers.a]\nformat = \"template\"\nurl = \"http://x\"\nbody = \"file:/dev/zero\"",
        "4:1: receivers.a.body: the file \"/dev/zero\" is larger than 64.0 KiB",
    ),
    (
        "[receivers.a]\nformat = \"template\"\nurl = \"http://x\"\nbody = \"{}\"\nmethod = \"GET\"",
        "5:1: receivers.a.method: is \"GET\", but must be POST, PUT or PATCH",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\n[receivers.a.headers]\nHost = \"y\"",
        "4:1: receivers.a.headers.Host: the header host is set by the warden itself",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nheaders = { Webhook-Id = \"y\" }",
        "3:13: receivers.a.headers.Webhook-Id: the header webhook-id is set by the warden itself",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nheaders = { content-type = \"text/plain\" }",
        "3:13: receivers.a.headers.content-type: the header content-type is set by the warden itself",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nheaders = { \"X Y\" = \"z\" }",
        "3:13: receivers.a.headers.\"X Y\": \"X Y\" is no name of a header",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\n[receivers.a.headers]\nX-Y = \"1\"\nx-y = \"2\"",
        "5:1: receivers.a.headers.x-y: names the header x-y a second time",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nheaders = { X-Y = \"a\\nb\" }",
        "3:13: receivers.a.headers.X-Y: is no header value (nor env:NAME, nor file:PATH): it holds a line \
         break",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nheaders = { X-Y = \"env:HOOK\" }",
        "3:13: receivers.a.headers.X-Y: the environment variable HOOK is not set",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nheaders = { X-Y = 5 }",
        "3:13: receivers.a.headers.X-Y: must be a text",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nrate = \"fast\"",
        "3:1: receivers.a.rate: \"fast\" is no rate: it takes a number from 1 to 1000000 and s, m or h",
    ),
    ("[receiver_defaults]\nrate = \"0/s\"", "2:1: receiver_defaults.rate: \"0/s\" is no rate"),
    (
        "[receivers.a]\nurl = \"http://x\"\nallow_networks = [\"10.0.0.0/8\", \"10.20.0.1/16\"]",
        "3:33: receivers.a.allow_networks[1]: \"10.20.0.1/16\" is an address within a network: write \
         10.20.0.0/16",
    ),
    (
        "[receiver_defaults]\nallow_networks = [\"intranet\"]",
        "2:19: receiver_defaults.allow_networks[0]: \"intranet\" is no network, such as",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nca_file = \"/nowhere/ca.pem\"",
        "3:1: receivers.a.ca_file: cannot read the file \"/nowhere/ca.pem\"",
    ),
    (
        "[receiver_defaults]\nca_file = \"/dev/null\"",
        "2:1: receiver_defaults.ca_file: the file \"/dev/null\" holds no certificate in the PEM form",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nclient_certificate = \"/dev/null\"",
        "3:1: receivers.a.client_certificate: needs `client_key`",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nclient_key = \"/dev/null\"",
        "3:1: receivers.a.client_key: needs `client_certificate`",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nclient_certificate = \"/dev/null\"\nclient_key = \"/dev/null\"",
        "3:1: receivers.a.client_certificate: the file \"/dev/null\" holds no certificate",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nproxy = \"http://proxy:3128\"",
        "3:1: receivers.a.proxy: needs `allow_private = true`: a proxy resolves",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nallow_private = true\nproxy = \"socks5://proxy\"",
        "4:1: receivers.a.proxy: must begin with http:// or https://",
    ),
    (
        "[receiver_defaults]\nproxy = \"http://proxy:3128\"\n[receivers.a]\nurl = \"http://x\"",
        "3:12: receivers.a.proxy: needs `allow_private = true`",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nevents = []",
        "3:1: receivers.a.events: is empty, so the receiver would never be notified",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nevents = [\"incident\", \"run.complete\"]",
        "3:23: receivers.a.events[1]: \"run.complete\" is no event; did you mean \"run.completed\"?",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nevents = [\"incident.opened\"]",
        "3:11: receivers.a.events[0]: \"incident.opened\" is no event; there are: incident, run.started, \
         run.completed, run.failed, run.aborted, run.overdue, item.closed",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nevents = [\"incident\", \"incident\"]",
        "3:23: receivers.a.events[1]: names \"incident\" a second time",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nformat = \"alertmanager\"\nevents = [\"item.closed\"]",
        "4:11: receivers.a.events[0]: the format alertmanager takes only: incident",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nformat = \"openlineage\"\nevents = [\"incident\"]",
        "4:11: receivers.a.events[0]: the format openlineage takes only: run.started, run.completed",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nformat = \"openlineage\"\nnamespace = \"two words\"",
        "4:1: receivers.a.namespace: \"two words\" is no namespace: it takes 1 to 256 characters of",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nnamespace = \"warehouse\"",
        "3:1: receivers.a.namespace: does nothing for a receiver of the format standard",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nevents = [\"item.closed\"]\nmin_severity = \"error\"",
        "4:1: receivers.a.min_severity: does nothing for a receiver of events",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nevents = [\"item.closed\"]\n[alerting]\nfallback = [\"a\"]",
        "5:13: alerting.fallback[0]: the receiver \"a\" takes no incidents, only events of items",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\nmin_severity = \"critical\"\n[receivers.b]\nurl = \
         \"http://x\"\n[workflows.w]\nseverity = \"error\"\nreceivers = [\"a\"]\nescalate = [{ after = \
         \"1m\", receivers = [\"b\"] }]",
        "9:1: workflows.w.escalate: there is nothing to escalate: no receiver in `receivers` \
         accepts incidents of severity \"error\"",
    ),
];

fn sources(text: &str) -> Sources {
    let environment =
        [("NO_URL", "hook-s3cret"), ("SECRET", SECRET), ("SLACK", "https://hooks.slack.com/s3cret\n")];
    Sources { environment: environment.into_iter().collect(), ..file(text) }
}

#[test]
fn every_problem_of_a_receiver_names_its_line_and_setting_and_no_secret() {
    for (text, expected) in FAULTS {
        let found = problems(sources(text));
        assert_eq!(found.len(), 1, "{found:#?}\n{text}");
        let expected = format!("warden.toml:{expected}");
        assert!(found[0].starts_with(&expected), "\n{text}\nsays    {}\ninstead {expected}", found[0]);
        assert!(!found[0].contains("s3cret"), "{}", found[0]);
    }
}

#[test]
fn a_receiver_has_the_form_that_it_names_with_what_belongs_to_it() {
    let config = load(sources(
        "[receivers.a]\nurl = \"http://am:9093/x\"\nformat = \"alertmanager\"\nresend = \
         \"30s\"\n[receivers.b]\nformat = \"pagerduty\"\nrouting_key = \"abc\"\n[receivers.c]\nurl = \
         \"env:SLACK\"\nformat = \"slack\"\n[receivers.d]\nurl = \"http://x\"\nformat = \
         \"cloudevents\"\nsecret = \"env:SECRET\"\n[receivers.e]\nurl = \"http://x\"\nformat = \
         \"template\"\nbody = \"{{ type }}\"\nsecret = \"env:SECRET\"\n[receivers.f]\nurl = \
         \"http://am:9093/api/v2/alerts\"\nformat = \"alertmanager\"\n[receivers.g]\nurl = \"http://x\"\n",
    ));
    let found: Vec<(&str, &str)> = config
        .receivers
        .iter()
        .map(|receiver| (receiver.format.word().as_str(), receiver.url.url().as_str()))
        .collect();
    let expected = [
        ("alertmanager", "http://am:9093/x/api/v2/alerts"),
        ("pagerduty", "https://events.pagerduty.com/v2/enqueue"),
        ("slack", "https://hooks.slack.com/s3cret"),
        ("cloudevents", "http://x/"),
        ("template", "http://x/"),
        ("alertmanager", "http://am:9093/api/v2/alerts"),
        ("standard", "http://x/"),
    ];
    assert_eq!(found, expected);
    let resend: Vec<Option<u64>> =
        config.receivers.iter().map(|receiver| receiver.resend().map(|every| every.as_secs())).collect();
    assert_eq!(resend, [Some(30), None, None, None, None, Some(60), None]);
}

#[test]
fn a_receiver_takes_over_the_defaults_that_it_does_not_set() {
    let config = load(sources(
        "[receiver_defaults]\nformat = \"alertmanager\"\nmin_severity = \"error\"\nallow_networks = \
         [\"10.0.0.0/8\"]\ntimeout = \"5s\"\nconcurrency = 2\nrate = \"10/m\"\nresend = \
         \"2m\"\n[receivers.a]\nurl = \"http://x\"\n[receivers.b]\nurl = \"http://x\"\nformat = \
         \"slack\"\nmin_severity = \"info\"\nallow_networks = [\"fd00::1\"]\ntimeout = \"6s\"\nconcurrency = \
         3\nrate = \"\"",
    ));
    let [a, b] = &config.receivers[..] else { panic!("two receivers") };
    assert!(matches!(a.format, Format::Alertmanager { resend } if resend == Duration::from_secs(120)));
    assert_eq!(
        (a.min_severity, a.timeout, a.concurrency),
        (Some(Severity::Error), Duration::from_secs(5), 2)
    );
    assert_eq!(a.rate.unwrap().to_string(), "10/m");
    assert_eq!(a.transport.allow_networks, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!((b.min_severity, b.timeout, b.concurrency), (Some(Severity::Info), Duration::from_secs(6), 3));
    assert_eq!((b.rate, b.resend()), (None, None));
    assert_eq!(b.transport.allow_networks, ["fd00::1/128".parse().unwrap()]);
}

#[test]
fn a_header_is_written_there_or_somewhere_else_and_shown_nowhere() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "Bearer s3cret-b\n").unwrap();
    let text = format!(
        "[receivers.a]\nurl = \"http://x/s3cret-c\"\n[receivers.a.headers]\nX-Team = \"s3cret-a\"\nX-Key = \
         \"env:SECRET\"\nAuthorization = \"file:{}\"",
        file.path().display()
    );
    let config = load(sources(&text));
    let headers = &config.receivers[0].headers;
    assert_eq!(headers["x-team"], "s3cret-a");
    assert_eq!(headers["x-key"], SECRET);
    assert_eq!(headers["authorization"], "Bearer s3cret-b");
    let shown = format!("{config:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("whsec"), "{shown}");
}

#[test]
fn the_headers_of_a_template_are_templates_unless_they_are_written_somewhere_else() {
    let text = "[receivers.a]\nurl = \"http://x\"\nformat = \"template\"\nbody = \"{{ data.id }}\"\nmethod = \
                \"PATCH\"\nheaders = { Content-Type = \"text/{{ data.kind }}\", X-Key = \"env:BRACES\" }";
    let mut sources = file(text);
    sources.environment = [("BRACES", "{{ s3cret }}")].into_iter().collect();
    let config = load(sources);
    let receiver = &config.receivers[0];
    assert_eq!(receiver.headers["x-key"], "{{ s3cret }}");
    assert_eq!(receiver.headers.len(), 1);
    let shown = format!("{config:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn a_template_may_be_in_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{{ type }}\n\n{{ nothing }}").unwrap();
    let path = file.path().display();
    let text = format!("[receivers.a]\nurl = \"http://x\"\nformat = \"template\"\nbody = \"file:{path}\"");
    let found = problem(&text);
    let expected =
        "warden.toml:4:1: receivers.a.body: the template of the body, line 3, cannot write incident.opened: ";
    assert!(found.starts_with(expected), "{found}");
    std::fs::write(file.path(), "{{ type }}\n").unwrap();
    load(super::file(&text));
}

/// A certificate with its key in a directory, as `client.pem` and `client.key`.
pub fn certify(directory: &Path) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::default().self_signed(&key).unwrap().pem();
    std::fs::write(directory.join("client.pem"), &certificate).unwrap();
    std::fs::write(directory.join("ca.pem"), &certificate).unwrap();
    std::fs::write(directory.join("client.key"), key.serialize_pem()).unwrap();
}

#[test]
fn certificates_and_keys_are_checked_at_once() {
    let directory = tempfile::tempdir().unwrap();
    certify(directory.path());
    let path = directory.path().display();
    let text = format!(
        "[receivers.a]\nurl = \"https://x\"\nca_file = \"{path}/ca.pem\"\nclient_certificate = \
         \"{path}/client.pem\"\nclient_key = \"{path}/client.key\"\nallow_private = true\nproxy = \
         \"http://user:s3cret@proxy:3128\""
    );
    let config = load(file(&text));
    let transport = &config.receivers[0].transport;
    assert!(transport.roots.is_some() && transport.identity.is_some() && transport.proxy.is_some());
    let shown = format!("{config:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("BEGIN"), "{shown}");

    // With another certificate's key.
    std::fs::write(directory.path().join("client.key"), KeyPair::generate().unwrap().serialize_pem())
        .unwrap();
    let found = problem(&text);
    assert!(found.starts_with("warden.toml:4:1: receivers.a.client_certificate: the file"), "{found}");
    assert!(found.contains("cannot be used together with its key"), "{found}");
    // Without a key.
    std::fs::write(directory.path().join("client.key"), "").unwrap();
    let found = problem(&text);
    assert!(found.starts_with("warden.toml:5:1: receivers.a.client_key: the file"), "{found}");
    assert!(found.contains("holds no private key"), "{found}");
}

#[test]
fn what_is_empty_in_a_receiver_undoes_the_default() {
    let directory = tempfile::tempdir().unwrap();
    certify(directory.path());
    let config = load(file(&format!(
        "[receiver_defaults]\nca_file = \"{}/ca.pem\"\nallow_private = true\nproxy = \"http://proxy:3128\"\n\
         [receivers.a]\nurl = \"https://x\"\n\
         [receivers.b]\nurl = \"https://x\"\nca_file = \"\"\nproxy = \"\"",
        directory.path().display()
    )));
    let [a, b] = &config.receivers[..] else { panic!("two receivers") };
    assert!(a.transport.roots.is_some() && a.transport.proxy.is_some());
    assert!(b.transport.roots.is_none() && b.transport.proxy.is_none());
}

#[test]
fn a_receiver_is_left_out_where_incidents_are_milder_than_it_wants_to_hear_of() {
    let config = load(file(
        "[receivers.all]\nurl = \"http://x\"\n[receivers.pager]\nurl = \"http://x\"\nmin_severity = \
         \"critical\"\n[receivers.desk]\nurl = \"http://x\"\nmin_severity = \"error\"\n[alerting]\nreceivers \
         = [\"all\", \"pager\", \"desk\"]\nfallback = [\"pager\", \"all\"]\nescalate = [{ after = \"1m\", \
         receivers = [\"pager\"] }, { after = \"2m\", receivers = [\"desk\", \"pager\"] \
         }]\n[workflows.critical]\n[workflows.error]\nseverity = \"error\"\n[workflows.info]\nseverity = \
         \"info\"",
    ));
    let told = |name: &str| {
        let policy = &config.policies.configured[name].alerting;
        let levels: Vec<_> =
            policy.escalate.iter().map(|level| (level.after.as_secs(), level.receivers.join("+"))).collect();
        (policy.receivers.join("+"), levels, policy.fallback.join("+"))
    };
    let levels =
        |levels: &[(u64, &str)]| levels.iter().map(|(after, who)| (*after, (*who).to_owned())).collect();
    let all =
        ("all+pager+desk".to_owned(), levels(&[(60, "pager"), (120, "desk+pager")]), "pager+all".to_owned());
    assert_eq!(told("critical"), all);
    assert_eq!(told("error"), ("all+desk".to_owned(), levels(&[(120, "desk")]), "all".to_owned()));
    assert_eq!(told("info"), ("all".to_owned(), Vec::new(), "all".to_owned()));
    assert_eq!(config.policies.default.alerting, config.policies.configured["critical"].alerting);
}

#[test]
fn targets_of_replays_may_be_inside_but_not_where_clouds_keep_their_secrets() {
    use crate::outbound::guard::check_literal;
    let transport = load(Sources::default()).replay.transport;
    assert!(!transport.allow_private);
    let allows = |url: &str| check_literal(&url.parse().unwrap(), &transport.allow_networks).is_ok();
    for inside in ["10.9.8.7", "172.31.0.1", "192.168.1.1", "8.8.8.8"] {
        assert!(allows(&format!("http://{inside}/")), "{inside}");
    }
    for refused in [
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "0.0.0.0",
        "100.64.0.1",
        "[::ffff:169.254.169.254]",
    ] {
        assert!(!allows(&format!("http://{refused}/")), "{refused}");
    }
    let only_public = load(file("[replay]\nallow_networks = []\nallow_private = true\nitems_max = 7")).replay;
    assert!(only_public.transport.allow_networks.is_empty() && only_public.transport.allow_private);
    assert_eq!((only_public.items_max, only_public.running_max), (7, 16));
}
