//! How long lines and files are, and what files are called.

use std::path::Path;

use crate::finding::Finding;

const COLUMNS: usize = 110;
const LINES: usize = 500;

/// Documents that have to stay short.
const SHORT_DOCUMENTS: &[(&str, usize)] = &[("README.md", 120), ("ARCHITECTURE.md", 150)];

/// Names that say nothing of what a module holds.
const EMPTY_NAMES: &[&str] = &[
    "common",
    "helper",
    "helpers",
    "manager",
    "managers",
    "misc",
    "shared",
    "stuff",
    "util",
    "utils",
    "utilities",
];

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

/// Lines over 110 columns: in Rust all, in Markdown prose, in TOML comments. What cannot be broken may be
/// longer: one word, a row of a table, a line with a link, a raw string that begins in this line, and in
/// Markdown code.
pub fn long_lines(path: &str, text: &str) -> Vec<Finding> {
    let (rust, markdown) = (has_extension(path, "rs"), has_extension(path, "md"));
    let toml = has_extension(path, "toml");
    let mut fenced = false;
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        fenced ^= markdown && line.trim_start().starts_with("```");
        let applies =
            rust || markdown && !fenced && !line.starts_with("    ") || toml && line.starts_with("# ");
        let columns = line.chars().count();
        if applies && columns > COLUMNS && !is_unbreakable(line, markdown) {
            findings.push(Finding::new(path, number, format!("{columns} columns, {COLUMNS} at most")));
        }
    }
    findings
}

fn is_unbreakable(line: &str, markdown: bool) -> bool {
    let words = line.trim_start().trim_start_matches(['/', '!', '#', '-', '*']).trim();
    let is_row = words.starts_with('|');
    let is_one_word = !words.contains(char::is_whitespace);
    let has_link = line.contains("://") || markdown && line.contains("](");
    let is_raw = !markdown && (line.contains("r#\"") || line.contains("r\""));
    is_row || is_one_word || has_link || is_raw
}

/// Rust files over 500 lines, and documents over their limits.
pub fn long_files(path: &str, text: &str) -> Vec<Finding> {
    let document = SHORT_DOCUMENTS.iter().find(|(document, _)| *document == path).map(|(_, most)| *most);
    let lines = text.lines().count();
    let most = document.or_else(|| has_extension(path, "rs").then_some(LINES));
    let excess = most.filter(|most| lines > *most);
    excess.map(|most| Finding::new(path, 0, format!("{lines} lines, {most} at most"))).into_iter().collect()
}

/// Rust files in whose path a name says nothing.
pub fn empty_names(path: &str, _text: &str) -> Vec<Finding> {
    let Some(path_without_end) = path.strip_suffix(".rs") else { return Vec::new() };
    let names = path_without_end.split('/').filter(|name| EMPTY_NAMES.contains(name));
    names.map(|name| Finding::new(path, 0, format!("{name:?} says nothing of what it holds"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(path: &str, text: &str) -> Vec<usize> {
        long_lines(path, text).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_line_may_have_110_columns_and_no_more() {
        let fits = format!("{} {}", "a".repeat(50), "ä".repeat(59));
        assert_eq!(long("a.rs", &format!("{fits}\n{fits}.\n// {fits}\n")), [2, 3]);
    }

    #[test]
    fn what_cannot_be_broken_may_be_longer() {
        let words = "word ".repeat(30);
        for line in [
            format!("//! | {words} |"),
            format!("// https://example.com/ {words}"),
            format!("        \"{}\"", "a".repeat(120)),
            format!("let json = r#\"{words}\"#;"),
        ] {
            assert_eq!(long("a.rs", &line), [0; 0], "{line}");
        }
    }

    #[test]
    fn of_documents_and_configuration_only_prose_is_measured() {
        let words = "word ".repeat(30);
        let document =
            format!("{words}\n\n    {words}\n```sh\n{words}\n```\n| {words} |\n[a](b) {words}\n{words}");
        assert_eq!(long("a.md", &document), [1, 9]);
        assert_eq!(long("a.toml", &format!("# {words}\n#key = \"{words}\"\nkey = \"{words}\"")), [1]);
        assert_eq!(long("a.sh", &words), [0; 0]);
    }

    #[test]
    fn a_rust_file_may_have_500_lines_and_no_more() {
        assert_eq!(long_files("a.rs", &"\n".repeat(500)), []);
        assert_eq!(long_files("a.rs", &"\n".repeat(501)).len(), 1);
        assert_eq!(long_files("a.md", &"\n".repeat(501)), []);
    }

    #[test]
    fn the_first_documents_stay_short() {
        assert_eq!(long_files("README.md", &"\n".repeat(120)), []);
        assert_eq!(long_files("README.md", &"\n".repeat(121)).len(), 1);
    }

    #[test]
    fn a_name_that_says_nothing_is_found_as_file_and_as_folder() {
        assert_eq!(empty_names("src/utils.rs", "").len(), 1);
        assert_eq!(empty_names("src/helpers/a.rs", "").len(), 1);
        assert_eq!(empty_names("src/alertmanager.rs", ""), []);
        assert_eq!(empty_names("docs/common.md", ""), []);
    }
}
