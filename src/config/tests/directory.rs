//! Workflows from a directory.

use super::*;

/// A directory with these files.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn from(directory: &tempfile::TempDir, more: &str) -> Sources {
    file(&format!("[workflows_from]\npath = {:?}\n{more}", directory.path()))
}

/// The problems, without the path of the directory.
fn problems_in(directory: &tempfile::TempDir, more: &str) -> Vec<String> {
    let path = format!("{}/", directory.path().display());
    problems(from(directory, more)).into_iter().map(|problem| problem.replace(&path, "")).collect()
}

#[test]
fn a_file_is_a_workflow_or_holds_several() {
    let directory = directory(&[
        ("uploads.toml", "deadline = \"5m\"\nsteps = [\"copy\"]"),
        ("nightly.yaml", "expect:\n  cron: 0 2 * * *\n  grace: 30m\nreceivers: [oncall]\n"),
        ("reports.yml", "deadline: 2h"),
        ("plain.toml", ""),
        ("empty.yaml", "# by the defaults\n"),
        ("several.toml", "[workflows.a]\ndeadline = \"1m\"\n[workflows.b]"),
        ("more.yaml", "workflows:\n  c: { deadline: 3m }\n  d: {}\n"),
        (".hidden.toml", "not = [TOML"),
        ("README.md", "words"),
        ("uploads.toml~", "not = [TOML"),
    ]);
    std::fs::create_dir(directory.path().join("below.toml")).unwrap();
    let pipe = directory.path().join("pipe.yaml");
    assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
    let more = "[workflow_defaults]\ndeadline = \"10m\"\n[receivers.oncall]\nurl = \"http://x\"\n\
                [workflows.main]";
    let config = load(from(&directory, more));
    let deadlines: Vec<(&str, u64)> = config
        .policies
        .configured
        .iter()
        .map(|(name, policy)| (&**name, policy.deadline.as_secs() / 60))
        .collect();
    let expected = [
        ("a", 1),
        ("b", 10),
        ("c", 3),
        ("d", 10),
        ("empty", 10),
        ("main", 10),
        ("nightly", 10),
        ("plain", 10),
        ("reports", 120),
        ("uploads", 5),
    ];
    assert_eq!(deadlines, expected);
    assert!(config.policies.configured["nightly"].expect.is_some());
    assert_eq!(config.policies.configured["nightly"].alerting.receivers, ["oncall".into()]);
}

#[test]
fn a_problem_names_the_file_of_the_directory_and_its_line() {
    let directory = directory(&[
        ("a.toml", "deadline = \"5m\"\ndeadlin = \"5m\""),
        ("b.yaml", "deadline: 0s\nretention_max: many\n"),
        ("d.toml", "deadline = 5m"),
        ("e.yaml", "deadline: 5m\ndeadline: 6m"),
        ("f.yaml", "- a\n- b\n"),
        ("g.toml", "deadline = \"5m\"\n[workflows.h]"),
    ]);
    let found = problems_in(&directory, "");
    let expected = [
        "a.toml:2:1: workflows.a.deadlin: is not a setting; did you mean `deadline`?",
        "b.yaml:2:1: workflows.b.retention_max: must be",
        "d.toml:1:",
        "e.yaml:2:1: `deadline` is defined twice: in line 1 and in line 2",
        "f.yaml:1:1: is no table of settings",
        "g.toml:1:1: `deadline` is beside `workflows`",
    ];
    compare(&found, &expected);
}

#[test]
fn a_wrong_value_names_the_file_of_the_directory_and_its_line() {
    let directory = directory(&[
        ("b.yaml", "retention: 1h\ndeadline: 0s\n"),
        ("c.yaml", "steps:\n  - copy\n  - copy\n"),
        ("no name.toml", ""),
    ]);
    let expected = [
        "b.yaml:2:1: workflows.b.deadline: must be more than zero",
        "c.yaml:3:5: workflows.c.steps[1]: names the step \"copy\" a second time",
        "no name.toml:1:1: workflows.\"no name\": ",
    ];
    compare(&problems_in(&directory, ""), &expected);
}

#[track_caller]
fn compare(found: &[String], expected: &[&str]) {
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "says    {found}\ninstead {expected}");
    }
}

#[test]
fn a_workflow_is_defined_in_one_place() {
    let directory = directory(&[
        ("uploads.toml", "deadline = \"5m\""),
        ("uploads.yaml", "deadline: 6m"),
        ("z.toml", "[workflows.main]\n[workflows.reports]\n"),
        ("reports.yaml", "deadline: 6m"),
    ]);
    let found = problems_in(&directory, "[workflows.main]");
    let expected = [
        "uploads.yaml:1:1: workflows.uploads: is defined twice: here and in uploads.toml:1:1; remove",
        "z.toml:1:12: workflows.main: is defined twice: here and in warden.toml:3:12; remove",
        "z.toml:2:12: workflows.reports: is defined twice: here and in reports.yaml:1:1; remove",
    ];
    compare(&found, &expected);
}

#[test]
fn a_directory_that_is_not_there_is_named_where_it_is_set() {
    let found = problem("[workflows_from]\npath = \"/nowhere/workflows\"");
    let expected =
        "warden.toml:2:1: workflows_from.path: the directory \"/nowhere/workflows\" cannot be read: ";
    assert!(found.starts_with(expected), "{found}");
    let found = problems(environment(&[("WARDEN_WORKFLOWS_FROM__PATH", "/nowhere")]));
    assert!(found[0].starts_with("environment variable WARDEN_WORKFLOWS_FROM__PATH: workflows_from.path: "));
}

#[test]
fn a_variable_changes_a_workflow_of_the_directory() {
    let directory = directory(&[("EU-Uploads.yaml", "deadline: 5m\nretention: 1h")]);
    let variables = [("WARDEN_WORKFLOWS__EU-UPLOADS__DEADLINE", "7m")];
    let sources = Sources { environment: variables.into_iter().collect(), ..from(&directory, "") };
    let config = load(sources);
    let policy = &config.policies.configured["EU-Uploads"];
    let minutes = |minutes: u64| std::time::Duration::from_secs(60 * minutes);
    assert_eq!((policy.deadline, policy.retention), (minutes(7), minutes(60)));
}
