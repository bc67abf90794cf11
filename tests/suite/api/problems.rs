//! The reference of problems: an entry for each type, and none besides.

use warden_api::Problem;

const REFERENCE: &str = include_str!("../../../docs/reference/problems.md");

/// The entries: heading and text.
fn entries() -> Vec<(&'static str, &'static str)> {
    let parts = REFERENCE.split("\n## ").skip(1);
    parts.map(|part| part.split_once("\n\n").expect("a heading and a text")).collect()
}

#[test]
fn every_type_of_problem_has_an_entry_and_no_entry_is_without_a_type() {
    let mut types: Vec<&str> = Problem::ALL.iter().map(|problem| problem.slug()).collect();
    types.sort_unstable();
    let headings: Vec<&str> = entries().iter().map(|(heading, _)| *heading).collect();
    assert_eq!(headings, types, "docs/reference/problems.md, in the order of the words");
}

#[test]
fn an_entry_says_with_which_status_it_comes_what_it_means_and_what_to_do() {
    for (heading, text) in entries() {
        let problem = Problem::of_slug(heading).unwrap_or_else(|| panic!("{heading}"));
        let parts: Vec<&str> = text.trim().split("\n\n").collect();
        let [first, meaning, remedy] = parts[..] else { panic!("{heading}: {parts:?}") };
        assert_eq!(first, format!("{}: {}.", problem.status(), problem.title()), "{heading}");
        assert!(!meaning.is_empty() && remedy.starts_with("**What to do:** "), "{heading}: {remedy}");
    }
}
