//! Where the links of documents lead: relative ones with their anchors, files in code spans, and documents
//! that other files name.

use std::collections::HashMap;

use crate::finding::Finding;
use crate::tree::Tree;

/// Relative links and files in code spans that are not there, and `docs/….md` in any file.
pub fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts() {
        if path.ends_with(".md") {
            for (line, target) in links(text) {
                if let Some(message) = dead(tree, path, target) {
                    findings.push(Finding::new(path, line, message));
                }
            }
            for (line, file) in files(text) {
                if !tree.has(file) && !tree.has(&format!("src/{file}")) {
                    findings.push(Finding::new(
                        path,
                        line,
                        format!("there is neither {file} nor src/{file}"),
                    ));
                }
            }
        } else if !path.starts_with("tests/tidy/") {
            for (line, named) in documents(text) {
                if !tree.has(named) {
                    findings.push(Finding::new(path, line, format!("there is no {named}")));
                }
            }
        }
    }
    findings
}

/// Why a link leads nowhere. Those with a scheme are not followed.
fn dead(tree: &Tree, from: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { from.to_owned() } else { resolve(from, file) };
    if !tree.has(&path) {
        return Some(format!("{target} leads nowhere: there is no {path}"));
    }
    if anchor.is_empty() || !path.ends_with(".md") {
        return None;
    }
    let known = anchors(tree.text(&path));
    (!known.iter().any(|known| known == anchor)).then(|| format!("{path} has no heading #{anchor}"))
}

/// A path relative to the root, of one relative to the folder of a document.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The lines that are prose: with their numbers, outside fenced code.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The targets of the links, `[text](target)` and `[name]: target`, outside code.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        for (at, _) in line.match_indices("](") {
            let in_code = line[..at].matches('`').count() % 2 == 1;
            let target = line[at + 2..].split([')', ' ']).next().unwrap_or_default();
            if !in_code && !target.is_empty() {
                links.push((number, target));
            }
        }
        let definition = line.strip_prefix('[').and_then(|line| line.split_once("]: "));
        links.extend(definition.map(|(_, target)| (number, target.trim())));
    }
    links
}

/// Folders of the root whose files and folders code spans name.
const FOLDERS: &[&str] = &["benches/", "config/", "deploy/", "docs/", "fuzz/", "src/", "tests/"];

/// The files and folders that code spans name: Rust files with a folder, and paths from the root.
fn files(text: &str) -> Vec<(usize, &str)> {
    let mut files = Vec::new();
    for (number, line) in prose(text) {
        for span in line.split('`').skip(1).step_by(2) {
            let is_path = span.chars().all(|c| c.is_alphanumeric() || ['/', '_', '-', '.'].contains(&c));
            let is_rust = span.contains('/') && span.ends_with(".rs");
            if is_path && (is_rust || FOLDERS.iter().any(|folder| span.starts_with(folder))) {
                files.push((number, span.trim_end_matches('/')));
            }
        }
    }
    files
}

/// The anchors of the headings, as GitHub makes them: lower case, without punctuation, hyphens for spaces,
/// and a number behind one that is there already.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let headings = prose(text).filter(|(_, line)| line.starts_with('#'));
    let titles = headings.filter_map(|(_, line)| line.trim_start_matches('#').strip_prefix(' '));
    titles
        .map(|title| {
            let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
            let anchor: String =
                kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect();
            let count = seen.entry(anchor.clone()).or_default();
            *count += 1;
            if *count == 1 { anchor } else { format!("{anchor}-{}", *count - 1) }
        })
        .collect()
}

/// Documents below `docs/` that a text names.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for (at, _) in line.match_indices("docs/") {
            let is_longer =
                line[..at].ends_with(|c: char| c.is_alphanumeric() || ['.', '/', '-'].contains(&c));
            let is_rooted = line[..at].ends_with("\"/");
            let end = line[at..].find(|c: char| !c.is_alphanumeric() && !['/', '-', '_', '.'].contains(&c));
            let named = line[at..end.map_or(line.len(), |end| at + end)].trim_end_matches('.');
            if (!is_longer || is_rooted) && named.ends_with(".md") {
                documents.push((number, named));
            }
        }
    }
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let findings = findings(&Tree::of(files)).into_iter();
        findings.map(|finding| format!("{}:{}: {}", finding.path, finding.line, finding.message)).collect()
    }

    #[test]
    fn a_link_to_what_is_not_there_is_found() {
        let document = "[a](b.md)\n\n[c](../d.md), [e](#nowhere) and\n[f]: g.md\n";
        assert_eq!(
            found(&[("docs/a.md", document)]),
            [
                "docs/a.md:1: b.md leads nowhere: there is no docs/b.md",
                "docs/a.md:3: ../d.md leads nowhere: there is no d.md",
                "docs/a.md:3: docs/a.md has no heading #nowhere",
                "docs/a.md:4: g.md leads nowhere: there is no docs/g.md",
            ]
        );
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let document = "# The *first* `part`, 1\n## Twice\n## Twice\n[a](guides/b.md#what-is-it), \
                        [c](guides/), [d](../src/lib.rs#L4), [e](#the-first-part-1), [f](#twice-1), \
                        [g](https://h/i)\n";
        let files = [("docs/a.md", document), ("docs/guides/b.md", "## What is it?"), ("src/lib.rs", "")];
        assert_eq!(found(&files), [""; 0]);
    }

    #[test]
    fn code_in_documents_has_no_links() {
        assert_eq!(found(&[("a.md", "`[a](b)`\n```sh\n[c](d)\n# e\n```\n")]), [""; 0]);
        assert_eq!(anchors("```sh\n# e\n```\n# f"), ["f"]);
    }

    #[test]
    fn files_in_code_spans_are_there() {
        let document = "`a/b.rs`, `src/a/`, `tests/c/`, `d.rs`, `docs/<name>`\n`a/e.rs` and `src/f.rs`\n";
        let files = [("g.md", document), ("src/a/b.rs", ""), ("tests/c/d.rs", "")];
        assert_eq!(
            found(&files),
            [
                "g.md:2: there is neither a/e.rs nor src/a/e.rs",
                "g.md:2: there is neither src/f.rs nor src/src/f.rs",
            ]
        );
    }

    #[test]
    fn a_document_that_a_file_names_is_there() {
        let code = "// See `docs/faults.md`.\n\"/docs/growth.md\"\n// https://a/docs/b.md, x-docs/c.md\n";
        let files = [("src/a.rs", code), ("docs/faults.md", "")];
        assert_eq!(found(&files), ["src/a.rs:2: there is no docs/growth.md"]);
    }
}
