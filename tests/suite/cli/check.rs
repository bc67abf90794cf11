//! `warden check`: problems and warnings of a configuration.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::process;

fn check(arguments: &[&str], file: &Path, prepare: impl FnOnce(&mut Command)) -> (i32, String, String) {
    let mut command = process::binary();
    command.arg("check").args(arguments).arg(file);
    prepare(&mut command);
    let Output { status, stdout, stderr } = command.output().expect("the binary can be run");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn written(directory: &tempfile::TempDir, text: &str) -> std::path::PathBuf {
    let file = directory.path().join("warden.toml");
    std::fs::write(&file, text).unwrap();
    file
}

const TELLING_NOBODY: &str = "[receivers.oncall]\nurl = \"http://127.0.0.1:9/\"\n[workflows.uploads]\n";

#[test]
fn what_is_probably_not_meant_is_warned_of_and_fails_only_when_asked_to_be_strict() {
    let directory = tempfile::tempdir().unwrap();
    let file = written(&directory, TELLING_NOBODY);
    let (code, out, notes) = check(&[], &file, |_| {});
    assert_eq!(code, 0, "{notes}");
    assert!(out.starts_with(&format!("{}: ok\n", file.display())), "{out}");
    let lines: Vec<&str> = notes.lines().collect();
    let place = format!("warning: {}", file.display());
    for (line, (start, code)) in lines.iter().zip([
        ("warning: alerting.receivers: ".to_owned(), "default-tells-nobody"),
        (format!("{place}:1:12: receivers.oncall: "), "receiver-unused"),
        (format!("{place}:2:1: receivers.oncall.url: calls are refused"), "address-not-allowed"),
        (format!("{place}:3:12: workflows.uploads: nobody is notified"), "workflow-tells-nobody"),
    ]) {
        assert!(line.starts_with(&start) && line.ends_with(&format!(" ({code})")), "{line}\n{start}");
    }
    assert_eq!(lines.len(), 4, "{notes}");

    let (code, _, strict) = check(&["--strict"], &file, |_| {});
    assert_eq!(code, 65);
    let last = strict.strip_prefix(&notes).unwrap_or_else(|| panic!("{strict}"));
    assert!(last.starts_with("warden: there are 4 warnings"), "{last}");

    let sound = "[receivers.oncall]\nurl = \"http://127.0.0.1:9/\"\nallow_private = true\n\
                 [alerting]\nreceivers = [\"oncall\"]\n";
    let (code, _, notes) = check(&["--strict"], &written(&directory, sound), |_| {});
    assert_eq!((code, &*notes), (0, ""));
}

#[test]
fn a_name_that_leads_to_a_private_address_is_looked_up() {
    let directory = tempfile::tempdir().unwrap();
    let text = "[receivers.oncall]\nurl = \"http://localhost:9/\"\n[alerting]\nreceivers = [\"oncall\"]\n";
    let (code, _, notes) = check(&["--strict"], &written(&directory, text), |_| {});
    assert_eq!(code, 65, "{notes}");
    assert!(notes.contains("receivers.oncall.url: calls are refused: `localhost` leads to "), "{notes}");
}

#[test]
fn a_variable_with_one_underscore_is_warned_of() {
    let directory = tempfile::tempdir().unwrap();
    let text = "[receivers.oncall]\nurl = \"http://10.0.0.1/\"\nallow_private = true\n\
                [alerting]\nreceivers = [\"oncall\"]\n";
    let file = written(&directory, text);
    let (code, _, notes) = check(&[], &file, |command| {
        command
            .env("WARDEN_SERVER_LISTEN", "127.0.0.1:1")
            .env("WARDEN_URL", "http://x")
            .env("WARDEN_TOKEN", "x");
    });
    assert_eq!(code, 0);
    assert_eq!(
        notes,
        "warning: environment variable WARDEN_SERVER_LISTEN: sets nothing; did you mean \
         WARDEN_SERVER__LISTEN? (unknown-variable)\n"
    );
}

#[test]
fn the_help_lists_the_warnings() {
    let output = process::binary().args(["check", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("receiver-unused") && help.contains("workflow-misspelt"), "{help}");
}
