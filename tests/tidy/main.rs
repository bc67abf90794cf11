//! What can be checked of the tree by reading it: sizes, layers, links, settings, snapshots and words.
//!
//! A rule is a pure function from a file, or from all of them, to findings. It has its unit tests beside it.
//! Paths that do not keep a rule yet are in [`NOT_YET`], which fails once it names a path that does.
//!
//! Deliberately absent: what rustfmt, clippy, rustdoc and cargo-deny check.

#![allow(clippy::unwrap_used, reason = "in a test a panic is an answer")]

mod finding;
mod layers;
mod links;
mod not_yet;
mod settings;
mod sizes;
mod snapshots;
mod tree;
mod words;

use finding::Finding;
use not_yet::NOT_YET;
use tree::Tree;

/// Fails with every finding of a rule, but for those under the paths that do not keep it yet.
fn check(rule: &str, findings: Vec<Finding>) {
    let exempt: &[&str] = NOT_YET.iter().find(|(name, _)| *name == rule).map_or(&[], |(_, paths)| paths);
    let report = finding::report(rule, &findings, exempt);
    assert!(report.is_empty(), "{report}");
}

#[test]
fn lines_are_at_most_110_columns() {
    check("columns", Tree::get().each(sizes::long_lines));
}

#[test]
fn files_are_short() {
    check("lines", Tree::get().each(sizes::long_files));
}

#[test]
fn modules_are_named_after_what_they_hold() {
    check("modules", Tree::get().each(sizes::empty_names));
}

#[test]
fn a_layer_uses_only_those_below_it() {
    check("layers", layers::findings(Tree::get()));
}

#[test]
fn an_engine_is_named_by_app_and_tests_alone() {
    check("reserved", Tree::get().each(layers::reserved));
}

#[test]
fn links_in_documents_lead_somewhere() {
    check("links", links::findings(Tree::get()));
}

#[test]
fn every_snapshot_is_compared_with() {
    check("snapshots", snapshots::findings(Tree::get()));
}

#[test]
fn the_reference_names_the_settings_of_the_configuration_with_their_defaults() {
    let tree = Tree::get();
    let file = settings::of_configuration(tree.text("config/warden.toml"));
    check("settings", settings::differences(&file, tree.text(settings::REFERENCE)));
}

#[test]
fn words_are_plain() {
    check("phrases", Tree::get().each(words::phrases));
}

#[test]
fn there_are_no_em_dashes() {
    check("em dashes", Tree::get().each(words::em_dashes));
}

#[test]
fn nothing_speaks_of_where_it_was_written() {
    check("workplace", Tree::get().each(words::workplace));
}

#[test]
fn what_is_not_clean_yet_names_rules_that_exist() {
    let rules = [
        "columns",
        "lines",
        "modules",
        "layers",
        "links",
        "settings",
        "phrases",
        "em dashes",
        "workplace",
        "snapshots",
    ];
    for (name, paths) in NOT_YET {
        assert!(rules.contains(name), "{name} is no rule");
        assert!(!paths.is_empty(), "{name} has no paths left: remove it");
    }
}
