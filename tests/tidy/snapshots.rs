//! Which snapshots no test compares with. Nothing else would notice one that a removed test left behind.

use crate::finding::Finding;
use crate::tree::Tree;

/// Snapshots whose test knows all of them.
const KNOWN: &str = "tests/suite/cli/transcripts/help/";

/// Snapshots whose name no Rust file beside their folder quotes.
pub fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, _) in tree.texts().filter(|(path, _)| !path.starts_with(KNOWN)) {
        let Some((folder, name)) = path.strip_suffix(".snap").and_then(|path| path.rsplit_once('/')) else {
            continue;
        };
        let beside = folder.rsplit_once('/').map_or("", |(beside, _)| beside);
        let quoted = format!("\"{name}\"");
        let mut sources = tree.texts().filter(|(path, _)| path.starts_with(beside) && path.ends_with(".rs"));
        if !sources.any(|(_, text)| text.contains(&quoted)) {
            findings.push(Finding::new(path, 0, format!("no test in {beside} compares with {quoted}")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_that_no_test_names_is_found() {
        let tree = Tree::of(&[
            ("tests/a/b.rs", "compare(\"kept\")"),
            ("tests/a/screens/kept.snap", ""),
            ("tests/a/screens/left.snap", ""),
            ("tests/c/d.rs", "compare(\"left\")"),
        ]);
        let paths: Vec<String> = findings(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["tests/a/screens/left.snap"]);
    }
}
