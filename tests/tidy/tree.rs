//! The files that are checked: those that git tracks or would track; without git, all but what is built or
//! hidden.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::finding::Finding;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Data that tests read, whose bytes are theirs.
const DATA: [&str; 2] = ["fuzz/corpus/", "tests/fixtures/"];

/// All files by path relative to the root; `None` where one is not text.
pub struct Tree(BTreeMap<String, Option<String>>);

impl Tree {
    /// Read once for all tests.
    pub fn get() -> &'static Self {
        static TREE: OnceLock<Tree> = OnceLock::new();
        TREE.get_or_init(|| {
            let root = Path::new(ROOT);
            let paths = tracked(root).unwrap_or_else(|| {
                let mut paths = Vec::new();
                walk(root, "", &mut paths);
                paths
            });
            // One that git still tracks and that is removed already is not there.
            let files = paths.into_iter().filter_map(|path| {
                let bytes = fs::read(root.join(&path)).ok()?;
                Some((path, String::from_utf8(bytes).ok()))
            });
            Self(files.collect())
        })
    }

    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned()))).collect())
    }

    /// The text of a file that has to be there.
    pub fn text(&self, path: &str) -> &str {
        let text = self.0.get(path).and_then(Option::as_deref);
        text.unwrap_or_else(|| panic!("{path} is missing or no text"))
    }

    /// Whether there is such a file or folder.
    pub fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty()
            || self.0.contains_key(path)
            || self.0.range(folder.clone()..).next().is_some_and(|(path, _)| path.starts_with(&folder))
    }

    /// The text files, without the data of tests.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        let texts = self.0.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)));
        texts.filter(|(path, _)| !DATA.iter().any(|data| path.starts_with(data)))
    }

    /// What a rule finds in each of them.
    pub fn each(&self, rule: impl Fn(&str, &str) -> Vec<Finding>) -> Vec<Finding> {
        self.texts().flat_map(|(path, text)| rule(path, text)).collect()
    }
}

/// What git knows of: tracked files, and new ones that it does not ignore. `None` where this is no clone.
fn tracked(root: &Path) -> Option<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    // Set by a hook that runs the tests, it would have git look elsewhere.
    git.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_INDEX_FILE");
    let output = git.output().ok().filter(|output| output.status.success())?;
    let paths = String::from_utf8(output.stdout).ok()?;
    let paths: Vec<String> = paths.split_terminator('\0').map(str::to_owned).collect();
    paths.contains(&"Cargo.toml".to_owned()).then_some(paths)
}

fn walk(root: &Path, folder: &str, paths: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(root.join(folder)).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        match entry.file_type().unwrap() {
            kind if kind.is_dir() && !is_left_out(&path, &name) => walk(root, &path, paths),
            kind if kind.is_file() => paths.push(path),
            _ => {}
        }
    }
}

/// Folders that `.gitignore` names, and git's own.
fn is_left_out(path: &str, name: &str) -> bool {
    let built = ["data", "proptest-regressions", "fuzz/artifacts", "fuzz/coverage"];
    name == "target" || name == ".git" || built.contains(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_there_and_their_beginnings_are_not() {
        let tree = Tree::of(&[("docs/guides/a.md", ""), ("docs/guides-b.md", ""), ("x", "")]);
        for path in ["docs/guides/a.md", "docs/guides", "docs", "x", ""] {
            assert!(tree.has(path), "{path}");
        }
        for path in ["doc", "docs/guide", "docs/guides/b.md", "y"] {
            assert!(!tree.has(path), "{path}");
        }
    }

    #[test]
    fn a_walk_finds_what_git_finds() {
        let mut walked = Vec::new();
        walk(Path::new(ROOT), "", &mut walked);
        for (path, _) in Tree::get().texts() {
            assert!(walked.iter().any(|walked| walked == path), "{path}");
        }
        assert!(!walked.iter().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
    }

    #[test]
    fn the_data_of_tests_is_not_read_for_its_words() {
        let tree = Tree::of(&[("fuzz/corpus/a", "x"), ("tests/fixtures/b", "x"), ("tests/run", "x")]);
        assert_eq!(tree.texts().map(|(path, _)| path).collect::<Vec<_>>(), ["tests/run"]);
        assert!(tree.has("tests/fixtures/b"));
    }
}
