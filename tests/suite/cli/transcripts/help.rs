//! `--help` of every command. The commands are those that the help lists.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Transcript, compare};
use crate::support::redaction::redacted;

/// The names of the commands that a help lists.
fn listed(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let rows = lines.take_while(|line| !line.is_empty());
    // Further lines of a description begin further right.
    let names = rows.filter_map(|row| row.strip_prefix("  ")?.split_whitespace().next().zip(Some(row)));
    let names = names.filter(|(name, row)| row.find(name) == Some(2)).map(|(name, _)| name.to_owned());
    names.filter(|name| name != "help").collect()
}

/// All commands with their helps: `warden`, and `warden replay start` as well as `warden replay`.
pub async fn all() -> Vec<(String, String)> {
    let mut helps = Vec::new();
    let mut left = vec!["warden".to_owned()];
    while let Some(command) = left.pop() {
        let help = Transcript::new().enter_alone(&format!("env -u WARDEN_URL {command} --help")).await.done();
        left.extend(listed(&help).into_iter().map(|name| format!("{command} {name}")));
        helps.push((command, help));
    }
    helps
}

#[tokio::test]
async fn a_help_fits_a_narrow_terminal() {
    let help = Transcript::new().enter_alone("COLUMNS=60 warden items --help").await.done();
    assert!(help.lines().all(|line| line.chars().count() <= 60), "{help}");
}

#[tokio::test]
async fn every_command_has_its_help() {
    let mut named = BTreeSet::new();
    for (command, help) in all().await {
        let name = command.replace(' ', "-");
        // clap breaks no usage line.
        let mut lines = help.lines().filter(|line| !line.starts_with("Usage: "));
        assert!(lines.all(|line| line.chars().count() <= 100), "{command} is wider than 100 columns");
        compare("help", &name, &redacted(&help));
        named.insert(format!("{name}.snap"));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/cli/transcripts/help");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let files: BTreeSet<String> = files.map(|name| name.into_string().unwrap()).collect();
    let stale: Vec<_> = files.difference(&named).filter(|name| name.ends_with(".snap")).collect();
    assert!(stale.is_empty(), "there is no such command: {stale:?}");
}
