//! What is wrong, and where: the line, the variable or the flag.

use proptest::prelude::*;
use toml::Value;

use super::*;
use crate::config::setting::{Content, Setting};

/// A file, and what the one problem in it is said to be.
const FAULTS: &[(&str, &str)] = &[
    ("[server]\n\nlisten 1", "warden.toml:3:8: "),
    (
        "[server]\nlisten = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"",
        "warden.toml:3:1: `listen` is there twice: in line 2 and again in line 3",
    ),
    (
        "\nserver = 5",
        "warden.toml:2:1: server: is a table and takes no value itself; it holds: cors_origins, external_url, hosts, listen",
    ),
    ("[server.listen]\nx = 1", "warden.toml:1:9: server.listen: takes a value and is no table"),
    (
        "[sever]\n",
        "warden.toml:1:2: sever: is no setting; did you mean `server`? Those here are: server, storage",
    ),
    (
        "[server]\n  listne = 1",
        "warden.toml:2:3: server.listne: is no setting; did you mean `listen`? Those here are: listen, external_url",
    ),
    (
        "[server]\nlisten = \"elsewhere:1\"",
        "warden.toml:2:1: server.listen: must be an IP address and a port",
    ),
    (
        "[server]\nexternal_url = \"ftp://x\"",
        "warden.toml:2:1: server.external_url: must begin with http:// or https://",
    ),
    (
        "[server]\nexternal_url = \"http://x/?a\"",
        "warden.toml:2:1: server.external_url: must end with its path",
    ),
    (
        "[server]\nhosts = [\"warden.example\", \"Warden.Example:80\"]",
        "warden.toml:2:28: server.hosts[1]: \"Warden.Example:80\" must be a host alone, without a port, in lower case: write warden.example",
    ),
    (
        "[server]\nhosts = [\"::1\"]",
        "warden.toml:2:10: server.hosts[0]: \"::1\" must be a host alone, without a port, in lower case: write [::1]",
    ),
    ("[server]\nhosts = [\"*\"]", "warden.toml:2:10: server.hosts[0]: \"*\" is no host: name each"),
    ("[server]\nhosts = [\"a@b\"]", "warden.toml:2:10: server.hosts[0]: \"a@b\" is no host, such as"),
    (
        "[server]\ncors_origins = [\"https://ops.example\"]",
        "warden.toml:2:1: server.cors_origins: takes [[tokens]]: without them every page there",
    ),
    (
        "[server]\nshutdown_timeout = \"0s\"",
        "warden.toml:2:1: server.shutdown_timeout: must be more than zero",
    ),
    (
        "storage.engine = \"postgres\"",
        "warden.toml:1:9: storage.engine: must be \"sled\" or \"memory\", but is \"postgres\"",
    ),
    ("storage.path = \"\"", "warden.toml:1:9: storage.path: is empty"),
    ("storage.cache = 1", "warden.toml:1:9: storage.cache: is 1 B, but must be from 1.0 MiB"),
    ("storage.stall_timeout = \"10ms\"", "warden.toml:1:9: storage.stall_timeout: must be at least 1s"),
    (
        "[workflows.a]\nredrive = { url = \"ftp://x\" }",
        "warden.toml:2:13: workflows.a.redrive.url: must begin with http:// or https://",
    ),
    (
        "[workflows.a]\nredrive = { url = \"http://x\", after = \"0s\" }",
        "warden.toml:2:31: workflows.a.redrive.after: must be more than zero",
    ),
    (
        "[workflows.a]\nredrive = { url = \"http://x\", rate = \"fast\" }",
        "warden.toml:2:31: workflows.a.redrive.rate: \"fast\" is no rate",
    ),
    (
        "[workflows.a]\nredrive = { url = \"http://x\", max_attempts = 0 }",
        "warden.toml:2:31: workflows.a.redrive.max_attempts: is 0, but must be from 1 to 1000",
    ),
    (
        "[workflows.a]\nredrive = { url = \"http://x\", secret = \"env:GONE\" }",
        "warden.toml:2:31: workflows.a.redrive.secret: the environment variable GONE is not set",
    ),
    ("[workflows.a]\nredrive = { after = \"1m\" }", "warden.toml:2:1: workflows.a.redrive: `url` is missing"),
    (
        "[workflow_defaults]\nredrive = { rate = \"0/s\" }",
        "warden.toml:2:13: workflow_defaults.redrive.rate: \"0/s\" is no rate",
    ),
    ("[replay]\nrunning_max = 0", "warden.toml:2:1: replay.running_max: is 0, but must be from 1 to 1000"),
    ("[replay]\nitems_max = 0", "warden.toml:2:1: replay.items_max: is 0, but must be from 1 to 100000000"),
    (
        "[replay]\nallow_networks = [\"10.0.0.0/8\", \"10.1.2.3/8\"]",
        "warden.toml:2:33: replay.allow_networks[1]: \"10.1.2.3/8\" is an address within a network: write 10.0.0.0/8",
    ),
    (
        "[replay]\nca_file = \"/nowhere/ca.pem\"",
        "warden.toml:2:1: replay.ca_file: cannot read the file \"/nowhere/ca.pem\": No such file",
    ),
    (
        "[replay]\nallow = true",
        "warden.toml:2:1: replay.allow: is no setting. Those here are: allow_networks",
    ),
    (
        "[limits]\npayload_max = \"65MiB\"",
        "warden.toml:2:1: limits.payload_max: is 65.0 MiB, but must be from 1 B to 64.0 MiB",
    ),
    ("[limits]\npayload_max = 0", "warden.toml:2:1: limits.payload_max: is 0 B, but must be"),
    ("[limits]\npayload_max = -1", "warden.toml:2:1: limits.payload_max: -1 is not a size"),
    ("[limits]\npayload_max = \"1XB\"", "warden.toml:2:1: limits.payload_max: \"1XB\" is not a size"),
    (
        "[limits]\nbatch_max = \"1KiB\"",
        "warden.toml:2:1: limits.batch_max: is 1.0 KiB, but must be from 1.0 MiB",
    ),
    (
        "[limits]\nheader_max = \"1KiB\"",
        "warden.toml:2:1: limits.header_max: is 1.0 KiB, but must be from 8.0 KiB",
    ),
    ("[limits]\nqueue_max = 0", "warden.toml:2:1: limits.queue_max: is 0, but must be from 1"),
    (
        "[limits]\nworkflows_max = 1\n[workflows.a]\n[workflows.b]",
        "warden.toml:2:1: limits.workflows_max: is 1, but the configuration defines 2",
    ),
    ("[limits]\nqueue_max = 99999999999999999999", "warden.toml:2:1: the number is too large"),
    ("[log]\nlevel = \"warden=loud\"", "warden.toml:2:1: log.level: \"loud\" is no level: write one of off"),
    ("[log]\nlevel = \"warning\"", "warden.toml:2:1: log.level: \"warning\" is no level: write one of off"),
    ("[log]\nlevel = 3", "warden.toml:2:1: log.level: must be a level (off"),
    ("[log]\nformat = \"xml\"", "warden.toml:2:1: log.format: must be \"text\" or \"json\", but is \"xml\""),
    ("[alerting]\ngroup_wait = 10", "warden.toml:2:1: alerting.group_wait: must be a duration with its unit"),
    (
        "[alerting]\ngroup_interval = \"0s\"",
        "warden.toml:2:1: alerting.group_interval: must be more than zero",
    ),
    (
        "[alerting]\nflapping_after = 21",
        "warden.toml:2:1: alerting.flapping_after: is 21, but must be at most 20",
    ),
    (
        "[workflows.a]\nflapping_window = \"0s\"",
        "warden.toml:2:1: workflows.a.flapping_window: must be more than zero",
    ),
    (
        "[alerting]\ngrow_factor = nan",
        "warden.toml:2:1: alerting.grow_factor: is NaN, but must be more than 1",
    ),
    (
        "[alerting]\nseverity = \"very bad\"",
        "warden.toml:2:1: alerting.severity: must be \"info\", \"warning\", \"error\" or \"critical\", but is",
    ),
    (
        "[alerting]\nreceivers = [\n  \"oncall\"\n]",
        "warden.toml:3:3: alerting.receivers[0]: there is no receiver \"oncall\"; none is defined",
    ),
    (
        "[workflow_defaults]\ndeadline = \"0s\"",
        "warden.toml:2:1: workflow_defaults.deadline: must be more than zero",
    ),
    (
        "[workflow_defaults]\ndeadline = \"11years\"",
        "warden.toml:2:1: workflow_defaults.deadline: \"11years\" is too long",
    ),
    (
        "[workflow_defaults]\nkeep_payload = \"2days\"",
        "warden.toml:2:1: workflow_defaults.keep_payload: payloads would be kept for 2days",
    ),
    (
        "[receiver_defaults]\nconcurrency = 0",
        "warden.toml:2:1: receiver_defaults.concurrency: is 0, but must be",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\n[receivers.b]\nurl = \"http://x\"\n[workflows.uploads]\nreceivers = [\"a\", \"c\"]",
        "warden.toml:6:19: workflows.uploads.receivers[1]: there is no receiver \"c\"; defined are: a, b",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\n[workflows.uploads]\nreceivers = [\"a\", \"a\"]",
        "warden.toml:4:19: workflows.uploads.receivers[1]: names the receiver \"a\" a second time",
    ),
    ("[workflows.\"a/b\"]\n", "warden.toml:1:12: workflows.\"a/b\": \"a/b\" is no valid workflow name"),
    ("[server]\n\"a\\nb\" = 1", "warden.toml:2:1: server.\"a\\nb\": is no setting"),
    ("workflows = 5", "warden.toml:1:1: workflows: must be a table, but is the number 5"),
    ("[workflows.a]\ndeadline = \"0s\"", "warden.toml:2:1: workflows.a.deadline: must be more than zero"),
    (
        "[workflows.a]\ndeadline = \"15\"",
        "warden.toml:2:1: workflows.a.deadline: \"15\" is not a duration: time unit needed",
    ),
    (
        "[workflows.a]\nkeep_payload = \"25h\"",
        "warden.toml:2:1: workflows.a.keep_payload: payloads would be kept for 1day 1h",
    ),
    (
        "[workflow_defaults]\nkeep_payload = \"1h\"\n[workflows.a]\nretention = \"1m\"",
        "warden.toml:4:1: workflows.a.retention: payloads",
    ),
    (
        "[workflows.a]\nretention_max = -1",
        "warden.toml:2:1: workflows.a.retention_max: must be a whole number, not below 0 and not too large, but is the number -1",
    ),
    (
        "[workflows.a]\nretry = { max = 1001 }",
        "warden.toml:2:11: workflows.a.retry.max: is 1001, but must be from 0 to 1000",
    ),
    (
        "[workflows.a]\nretry = { backoff = \"10m..10s\" }",
        "warden.toml:2:11: workflows.a.retry.backoff: \"10m..10s\" is no backoff",
    ),
    (
        "[workflow_defaults]\nretry = { jitter = 1.5 }",
        "warden.toml:2:11: workflow_defaults.retry.jitter: is 1.5, but must be from 0 to 1",
    ),
    ("[workflows.a]\nrunbook_url = \"wiki\"", "warden.toml:2:1: workflows.a.runbook_url: is not a URL"),
    (
        "[workflows.a]\nsteps = [\"copy\",\n\"copy\"]",
        "warden.toml:3:1: workflows.a.steps[1]: names the step \"copy\" a second time",
    ),
    ("[workflows.a]\nsteps = [\"\"]", "warden.toml:2:10: workflows.a.steps[0]: \"\" is no valid step name"),
    ("[workflows.a]\nsteps = [5]", "warden.toml:2:10: workflows.a.steps[0]: must be the name of a step"),
    (
        "[workflows.a]\nsteps = [\n{ name = \"copy\", dead = 1 }]",
        "warden.toml:3:18: workflows.a.steps[0].dead: is no setting. Those here are: name, deadline",
    ),
    (
        "[workflows.a]\nsteps = [{ name = \"copy\", deadline = \"0s\" }]",
        "warden.toml:2:27: workflows.a.steps[0].deadline: must be more",
    ),
    (
        "[workflows.a]\nexpect = {}",
        "warden.toml:2:1: workflows.a.expect: says neither by `cron` nor by `every`",
    ),
    (
        "[workflows.a]\nexpect = \"@daily\"",
        "warden.toml:2:1: workflows.a.expect: must be a table, but is the text",
    ),
    (
        "[workflows.a]\nexpect = { cron = \"@daily\", every = \"1h\" }",
        "warden.toml:2:1: workflows.a.expect: holds both",
    ),
    (
        "[workflows.a]\nexpect = { cron = \"0 2 * *\", grace = \"1m\" }",
        "warden.toml:2:12: workflows.a.expect.cron: \"0 2 * *\" is no cron pattern: it takes 5 fields",
    ),
    (
        "[workflows.a.expect]\ncron = \"0 0 30 2 *\"\ngrace = \"1m\"",
        "warden.toml:2:1: workflows.a.expect.cron: \"0 0 30 2 *\" never comes to pass",
    ),
    (
        "[workflows.a]\nexpect = { cron = \"@daily\", grace = \"1m\", timezone = \"CEST\" }",
        "warden.toml:2:43: workflows.a.expect.timezone: there is no time zone \"CEST\"",
    ),
    (
        "[workflows.a]\nexpect = { every = \"1h\", timezone = \"UTC\" }",
        "warden.toml:2:26: workflows.a.expect.timezone: is of use only together with `cron`",
    ),
    ("[workflows.a]\nexpect = { cron = \"@daily\" }", "warden.toml:2:1: workflows.a.expect: needs a `grace`"),
    (
        "[workflows.a]\nexpect = { cron = \"@daily\", grace = \"0s\" }",
        "warden.toml:2:29: workflows.a.expect.grace: must be more than zero",
    ),
    (
        "[workflows.a]\nexpect = { every = \"0s\" }",
        "warden.toml:2:12: workflows.a.expect.every: must be at least 1s",
    ),
    (
        "[workflows.a]\nexpect = { every = \"1h\", min_items = 0 }",
        "warden.toml:2:26: workflows.a.expect.min_items: must be more than zero",
    ),
    (
        "[workflows.a]\nexpect = { every = \"1h\", items = 2 }",
        "warden.toml:2:26: workflows.a.expect.items: is no setting. Those here are: cron",
    ),
    (
        "[workflow_defaults]\nexpect = { every = \"1h\" }",
        "warden.toml:2:1: workflow_defaults.expect: is no setting",
    ),
    ("[tokens]\nname = \"a\"", "warden.toml:1:2: tokens: must be a list, but is a table"),
];

#[test]
fn every_problem_names_its_line_and_setting() {
    for (text, expected) in FAULTS {
        let found = problem(text);
        assert!(found.starts_with(expected), "\n{text}\nsays    {found}\ninstead {expected}");
    }
}

#[test]
fn beyond_loopback_needs_a_token() {
    let token = format!("[[tokens]]\nname = \"a\"\nsha256 = \"{HASH}\"\nscopes = [\"admin\"]");
    for address in ["0.0.0.0:8470", "192.168.0.1:0", "[::]:8470"] {
        let server = format!("[server]\nlisten = \"{address}\"\n");
        let problem = problem(&server);
        assert!(problem.starts_with("warden.toml:2:1: server.listen: "), "{problem}");
        assert!(problem.contains("refuses to bind elsewhere without tokens"), "{problem}");
        load(file(&format!("{server}{token}")));
    }
    for address in ["127.0.0.1:0", "127.1.2.3:8470", "[::1]:8470", "[::ffff:127.0.0.1]:8470"] {
        load(file(&format!("[server]\nlisten = \"{address}\"\n")));
    }
}

#[test]
fn a_workflow_has_no_more_receivers_than_one_commit_can_tell() {
    let receivers = |count: usize| (0..count).map(|n| format!("r{n}")).collect::<Vec<_>>();
    let tables: String =
        receivers(33).iter().map(|name| format!("[receivers.{name}]\nurl = \"http://x\"\n")).collect();
    let text = |count| format!("[workflows.a]\nreceivers = {:?}\n{tables}", receivers(count));
    load(file(&text(32)));
    let expected =
        "warden.toml:2:1: workflows.a.receivers: names 33 receivers, but a workflow has at most 32";
    assert_eq!(problem(&text(33)), expected);
}

#[test]
fn a_url_is_short_enough_to_stand_in_a_notification() {
    let text = |length: usize| {
        let url = format!("http://x/{}", "a".repeat(length - 9));
        format!("[workflows.a]\nrunbook_url = {url:?}\n[server]\nexternal_url = {url:?}\n")
    };
    load(file(&text(2048)));
    let problems = problems(file(&text(2049)));
    assert_eq!(
        problems,
        [
            "warden.toml:2:1: workflows.a.runbook_url: is 2049 bytes long, but must be at most 2048",
            "warden.toml:4:1: server.external_url: is 2049 bytes long, but must be at most 2048",
        ]
    );
}

#[test]
fn a_problem_of_a_token_names_the_token_at_fault() {
    let good = format!("[[tokens]]\nname = \"a\"\nsha256 = \"{HASH}\"\nscopes = [\"read\"]\n");
    let other = HASH.replace('9', "8");
    let faults = [
        (
            format!("name = \"a\"\nsha256 = \"{other}\"\nscopes = [\"read\"]"),
            "6:1: tokens[1].name: a second token",
        ),
        (
            format!("name = \"b\"\nsha256 = \"{HASH}\"\nscopes = [\"read\"]"),
            "7:1: tokens[1].sha256: is the same token as \"a\"",
        ),
        (
            "name = \"b\"\nsha256 = \"abc\"\nscopes = [\"read\"]".to_owned(),
            "7:1: tokens[1].sha256: must be 64 hexadecimal",
        ),
        (format!("name = \"b\"\nsha256 = \"{other}\"\nscopes = []"), "8:1: tokens[1].scopes: allows nothing"),
        (
            format!("name = \"b\"\nsha256 = \"{other}\"\nscopes = [\"read\", \"write\"]"),
            "8:19: tokens[1].scopes[1]: must be \"ingest\", \"read\", \"work\", \"recover\"",
        ),
        (format!("name = \"b\"\nsha256 = \"{other}\""), "5:1: tokens[1]: `scopes` is missing"),
        (
            format!(
                "name = \"b\"\nsha256 = \"{other}\"\nscopes = [\"read\"]\nworkflows = [\"*\", \"a[12]\"]"
            ),
            "9:19: tokens[1].workflows[1]: \"a[12]\" can match no workflow",
        ),
        (
            format!("name = \"b\"\nsha256 = \"{other}\"\nscopes = [\"read\"]\nworkflows = []"),
            "9:1: tokens[1].workflows: allows no",
        ),
    ];
    for (text, expected) in faults {
        let found = problem(&format!("{good}[[tokens]]\n{text}"));
        assert!(found.starts_with(&format!("warden.toml:{expected}")), "{found}\n{expected}");
    }
}

#[test]
fn a_problem_in_the_environment_names_the_variable() {
    let expected = [
        ("WARDEN_LIMITS__PAYLOAD_MAX", "65MiB", "limits.payload_max: is 65.0 MiB"),
        ("WARDEN_SERVER__LISTEN", "nowhere", "server.listen: must be an IP address"),
        ("WARDEN_SERVER__LISTNE", "127.0.0.1:1", "server.listne: is no setting; did you mean `listen`?"),
        ("WARDEN_SERVER__LISTEN__PORT", "1", "server.listen: takes a value"),
        ("WARDEN_ALERTING__RECEIVERS", "[\"oncall\"]", "alerting.receivers[0]: there is no receiver"),
        ("WARDEN_WORKFLOWS__A__DEADLINE", "0s", "workflows.a.deadline: must be more than zero"),
        ("WARDEN_TOKENS__0", "x", "tokens: must be a list, but is a table"),
        ("WARDEN_A__B__C__D", "x", "names 4 levels"),
    ];
    for (name, value, message) in expected {
        let found = problems(environment(&[(name, value)]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("environment variable {name}: {message}")), "{}", found[0]);
    }
}

#[test]
fn a_variable_that_is_not_utf_8_is_named() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let environment = [(OsString::from("WARDEN_STORAGE__PATH"), OsString::from_vec(vec![0xFF]))];
    let found = problems(Sources { environment: environment.into_iter().collect(), ..Sources::default() });
    assert_eq!(found, ["environment variable WARDEN_STORAGE__PATH: the value is not UTF-8"]);
}

#[test]
fn a_problem_of_a_flag_names_the_command_line() {
    let flags = vec![("server.listen".to_owned(), Value::from("0.0.0.0:1"))];
    let found = problems(Sources { flags, ..Sources::default() });
    assert!(found[0].starts_with("command line: server.listen: 0.0.0.0:1 is not a loopback"), "{}", found[0]);
}

#[test]
fn all_problems_are_told_at_once_from_top_to_bottom() {
    let text = "[workflows.a]\ndeadline = \"0s\"\nreceivers = [\"x\"]\n[server]\nlisten = \"0.0.0.0:1\"\n[limits]\npayload_max = 0";
    let mut sources = file(text);
    sources.environment = [("WARDEN_LIMITS__QUEUE_MAX", "0")].into_iter().collect();
    let found = problems(sources);
    let places: Vec<&str> = found.iter().map(|line| line.split(": ").next().unwrap()).collect();
    let expected = [
        "warden.toml:2:1",
        "warden.toml:3:14",
        "warden.toml:5:1",
        "warden.toml:7:1",
        "environment variable WARDEN_LIMITS__QUEUE_MAX",
    ];
    assert_eq!(places, expected);
}

#[test]
fn all_that_cannot_be_read_is_told_at_once() {
    let text = "[server]\nlisten = 1\nlistne = 2\n[receivers.a]\nurl = 5\n[workflows.a]\nsteps = [1, 2]\ndeadline = 3\n[log]\nformat = 4";
    let lines: Vec<String> =
        problems(file(text)).iter().map(|l| l.split(':').nth(1).unwrap().to_owned()).collect();
    assert_eq!(lines, ["2", "3", "5", "7", "8", "10"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = ConfigFile::read("/nowhere/warden.toml".as_ref()).err().unwrap().to_string();
    assert!(missing.starts_with("/nowhere/warden.toml: cannot read this file: No such file"), "{missing}");

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"[server]\n# caf\xE9\n").unwrap();
    let name = file.path().display().to_string();
    let garbled = ConfigFile::read(file.path()).err().unwrap().to_string();
    assert_eq!(garbled, format!("{name}:2:6: is not UTF-8 text"));
}

#[test]
fn a_secret_is_shown_by_neither_the_configuration_nor_an_error() {
    let receiver = format!("[receivers.oncall]\nurl = \"https://example.com\"\nsecret = \"{SECRET}\"\n");
    let shown = format!("{:?}", load(file(&receiver)));
    assert!(shown.contains("SigningKey(…)") && !shown.contains("MfKQ9r8G"), "{shown}");

    let spoilt = [
        receiver.replace(&format!("{SECRET}\""), SECRET),
        receiver.replace("secret = ", "secret = 5 "),
        receiver.replace(SECRET, &SECRET.replace('_', "-")),
        receiver.replace(&format!("\"{SECRET}\""), &format!("{{ key = \"{SECRET}\" }}")),
        format!("{receiver}[[tokens]]\nname = \"a\"\nsha256 = \"{SECRET}\"\nscopes = [\"read\"]"),
    ];
    for text in spoilt {
        let error = Config::load(file(&text)).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("MfKQ9r8G"), "{shown}");
    }
}

/// Each setting of the compiled-in file: its table and its key.
fn settings() -> Vec<(String, String)> {
    let Content::Table(tables) = source::defaults().content else { panic!("the root is a table") };
    let keys = |setting: Setting| match setting.content {
        Content::Table(entries) => entries.into_keys().collect::<Vec<_>>(),
        _ => panic!("the root holds tables only"),
    };
    let settings =
        tables.into_iter().flat_map(|(table, s)| keys(s).into_iter().map(move |key| (table.clone(), key)));
    settings.collect()
}

proptest! {
    #[test]
    fn whatever_setting_is_wrong_and_wherever_its_line_is_named(
        (table, key) in proptest::sample::select(settings()),
        above in 0usize..20,
        // No setting takes such a table, and none is a list of lists.
        wrong in proptest::sample::select(vec!["{ x = 1 }", "[[]]"]),
    ) {
        let text = format!("{}[{table}]\n# here\n{key} = {wrong}\n", "# above\n".repeat(above));
        let found = problems(file(&text));
        let place = format!("warden.toml:{}:1: {table}.{key}", above + 3);
        prop_assert_eq!(found.len(), 1);
        // Of a list it is the element that is wrong.
        let element = format!("warden.toml:{}:{}: {table}.{key}[0]", above + 3, key.len() + 5);
        // Of a table it is the entry.
        let entry = format!("warden.toml:{}:{}: {table}.{key}.x", above + 3, key.len() + 6);
        let places = [place, element, entry];
        prop_assert!(places.iter().any(|place| found[0].starts_with(place)), "{}", found[0]);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(\\[?\\[?(server|tokens|workflows\\.a|receivers)\\]?\\]?|[a-z=.\"\\[\\]{},# 0-9é]{0,12}|\n){0,12}") {
        if let Err(error) = Config::load(file(&text)) {
            prop_assert!(!error.problems().is_empty());
        }
    }

    #[test]
    fn no_variable_makes_it_panic(name in "[A-Z_]{0,20}", value in any::<String>()) {
        drop(Config::load(environment(&[(&format!("WARDEN_{name}__X"), &value)])));
    }
}

#[test]
fn a_text_nested_beyond_reason_is_refused() {
    let table = format!("\n[{}]", ["a"; 9_999].join("."));
    assert_eq!(problem(&table), "warden.toml: recursion limit");
    let list = format!("\na = {}", "[".repeat(9_999));
    assert!(problem(&list).contains("recursion depth"), "{}", problem(&list));
}

#[test]
fn a_problem_with_a_variable_of_an_odd_name_is_one_line() {
    let problems = problems(environment(&[("WARDEN_SERVER__A\nB__C__D", "1"), ("WARDEN_A\t__B", "1")]));
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems.iter().any(|problem| problem.contains("WARDEN_SERVER__A\\nB__C__D: names 4 levels")));
    assert!(problems.iter().any(|problem| problem.contains("WARDEN_A\\t__B")));
}
