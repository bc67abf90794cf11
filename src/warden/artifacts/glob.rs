//! Globs over locations and names of artifacts.

use wildmatch::WildMatch;

/// `*` stands for any characters, also `/`, and `?` for one. A text without either stands for itself.
#[derive(Clone, Debug)]
pub struct Glob {
    /// What every match begins with.
    prefix: String,
    /// `None` if only the prefix itself matches.
    pattern: Option<WildMatch>,
    length: usize,
}

impl Glob {
    pub fn new(text: &str) -> Self {
        let prefix = text.split(['*', '?']).next().unwrap_or_default();
        let is_plain = prefix.len() == text.len();
        let pattern = (!is_plain).then(|| WildMatch::new(text));
        Self { prefix: prefix.to_owned(), pattern, length: text.len() }
    }

    /// In bytes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// An upper estimate of the time for matching a text, in units of that for an ordinary name. It grows
    /// with both lengths.
    pub fn cost(&self, text: &str) -> usize {
        if self.pattern.is_some() { self.length * text.len() / 1024 } else { 0 }
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether a text with this beginning can match: those of an exact glob sort first.
    pub fn is_in_range(&self, text: &str) -> bool {
        if self.pattern.is_none() { text == self.prefix } else { text.starts_with(&self.prefix) }
    }

    pub fn matches(&self, text: &str) -> bool {
        match &self.pattern {
            None => text == self.prefix,
            Some(pattern) => text.starts_with(&self.prefix) && pattern.matches(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_begins_with_what_comes_before_its_first_wildcard() {
        for (glob, prefix, matching, other) in [
            ("a.csv", "a.csv", "a.csv", "a.csv.gz"),
            ("2026-*/a?.csv", "2026-", "2026-01/x/ab.csv", "2025-01/ab.csv"),
            ("*my_file*", "", "in/my_file.csv", "in/myXfile.csv"),
            ("a?", "a", "ab", "a"),
        ] {
            let compiled = Glob::new(glob);
            assert_eq!(compiled.prefix(), prefix);
            assert!(compiled.matches(matching) && !compiled.matches(other), "{glob}");
            assert!(compiled.is_in_range(matching), "{glob}");
        }
    }
}
