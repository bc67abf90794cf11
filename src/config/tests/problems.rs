//! What is wrong, and where: the line, the variable or the flag.

mod daemon;
mod workflows;

use proptest::prelude::*;
use toml::Value;

use super::*;
use crate::config::setting::{Content, Setting};

#[test]
fn every_problem_names_its_line_and_setting() {
    for (text, expected) in daemon::FAULTS.iter().chain(workflows::FAULTS) {
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
        ("WARDEN_SERVER__LISTNE", "127.0.0.1:1", "server.listne: is not a setting; did you mean `listen`?"),
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
    let text = "[workflows.a]\ndeadline = \"0s\"\nreceivers = [\"x\"]\n[server]\nlisten = \
                \"0.0.0.0:1\"\n[limits]\npayload_max = 0";
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
    let text = "[server]\nlisten = 1\nlistne = 2\n[receivers.a]\nurl = 5\n[workflows.a]\nsteps = [1, \
                2]\ndeadline = 3\n[log]\nformat = 4";
    let lines: Vec<String> =
        problems(file(text)).iter().map(|l| l.split(':').nth(1).unwrap().to_owned()).collect();
    assert_eq!(lines, ["2", "3", "5", "7", "8", "10"]);
}

#[test]
fn a_file_that_is_no_text_is_named() {
    let bytes = b"[server]\n# caf\xE9\n".to_vec();
    let garbled = ConfigFile::from_bytes("warden.toml", bytes).err().unwrap().to_string();
    assert_eq!(garbled, "warden.toml:2:6: is not UTF-8 text");
}

#[test]
fn what_cannot_be_read_hides_no_other_problem() {
    let text = "[workflows.a]\ndeadlin = \"15m\"\nretention = \"0s\"\n[workflows.b]\nreceivers = \
                [\"nobody\"]\n[receivers.c]\nurl = \"nowhere\"";
    let lines = |text: &str| -> Vec<String> {
        problems(file(text)).iter().map(|line| line.split(':').nth(1).unwrap().to_owned()).collect()
    };
    assert_eq!(lines(text), ["2", "5", "7"]);
    // What others depend on may be their only problem.
    assert_eq!(lines("[receivers]\nc = 5\n[workflows.b]\nreceivers = [\"c\"]"), ["2"]);
    assert_eq!(lines("[recievers.c]\nurl = \"x\"\n[workflows.b]\nreceivers = [\"c\"]"), ["1"]);
    assert_eq!(lines("[server]\nlisten = \"0.0.0.0:1\"\n[[tokens]]\nname = 5"), ["4"]);
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

/// The settings of the compiled-in file: table and key.
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

/// Pieces of TOML in random order.
const TEXT: &str = "(\\[?\\[?(server|tokens|workflows\\.a|receivers)\\]?\\]?\
                    |[a-z=.\"\\[\\]{},# 0-9é]{0,12}|\n){0,12}";

proptest! {
    #[test]
    fn whatever_setting_is_wrong_and_wherever_its_line_is_named(
        (table, key) in proptest::sample::select(settings()),
        above in 0usize..20,
        // No setting accepts such a table, and none is a list of lists.
        wrong in proptest::sample::select(vec!["{ x = 1 }", "[[]]"]),
    ) {
        let text = format!("{}[{table}]\n# here\n{key} = {wrong}\n", "# above\n".repeat(above));
        let found = problems(file(&text));
        let place = format!("warden.toml:{}:1: {table}.{key}", above + 3);
        prop_assert_eq!(found.len(), 1);
        // In a list the element is at fault.
        let element = format!("warden.toml:{}:{}: {table}.{key}[0]", above + 3, key.len() + 5);
        // In a table the entry is at fault.
        let entry = format!("warden.toml:{}:{}: {table}.{key}.x", above + 3, key.len() + 6);
        let places = [place, element, entry];
        prop_assert!(places.iter().any(|place| found[0].starts_with(place)), "{}", found[0]);
    }

    #[test]
    fn no_text_makes_it_panic(text in TEXT) {
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
fn a_parameter_that_json_cannot_express_is_refused_instead_of_being_lost() {
    for value in ["inf", "-inf", "nan", "[1, { deep = nan }]"] {
        let found = problem(&format!("[workflows.a]\nparams = {{ limit = {value} }}"));
        assert!(found.contains("workflows.a.params.limit: has a number"), "{found}");
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
