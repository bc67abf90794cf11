//! Which words do not belong here.

use crate::finding::Finding;

/// This file quotes what it forbids.
const SELF: &str = "tests/tidy/words.rs";

/// Phrases that a reader has to decode, each with what the field says instead.
const PHRASES: &[(&str, &str)] = &[
    ("amounts to", "counts, sums"),
    ("be it", "whether"),
    ("bites", "batches"),
    ("by heart", "in memory"),
    ("came of", "resulted from"),
    ("came to pass", "occurred"),
    ("come to pass", "occur"),
    ("comes of", "results from"),
    ("comes to pass", "occurs"),
    ("fall through to whoever", "say what is returned"),
    ("for want of", "without"),
    ("heard of", "was notified of"),
    ("hears of", "is notified of"),
    ("looked at and left", "tried and dropped"),
    ("nobody waits", "does not block"),
    ("nobody's while", "say which interval"),
    ("nothing is ever made", "is never created"),
    ("one's own", "your"),
    ("sees to it", "ensures"),
    ("slips of the pen", "typing errors"),
    ("taken for dead", "counts as hung"),
    ("the last word", "decides"),
    ("turned in a circle", "looped"),
    ("turns in a circle", "loops"),
    ("vouches", "confirms"),
    ("wakes nobody", "is not notified"),
    ("what there is of", "say what is listed or counted"),
];

/// Where [`PHRASES`] are not allowed.
const PLAIN: &[&str] =
    &["src/", "docs/", "config/", "deploy/", "api/", "README.md", "ARCHITECTURE.md", "CHANGELOG.md"];

/// Banned phrases, whatever their case and also across lines of a comment.
pub fn phrases(path: &str, text: &str) -> Vec<Finding> {
    if !PLAIN.iter().any(|plain| path.starts_with(plain)) {
        return Vec::new();
    }
    let words = words(text);
    let mut findings = Vec::new();
    for (phrase, instead) in PHRASES {
        let wanted: Vec<&str> = phrase.split(' ').collect();
        for window in words.windows(wanted.len()) {
            if window.iter().zip(&wanted).all(|((_, word), wanted)| word.eq_ignore_ascii_case(wanted)) {
                findings.push(Finding::new(path, window[0].0, format!("{phrase:?}; rather: {instead}")));
            }
        }
    }
    findings
}

/// The words with their lines, without punctuation around them and the signs that begin a comment.
fn words(text: &str) -> Vec<(usize, &str)> {
    let words =
        (1..).zip(text.lines()).flat_map(|(number, line)| line.split_whitespace().map(move |w| (number, w)));
    let bare = words.map(|(number, word)| (number, word.trim_matches(|c: char| !c.is_alphanumeric())));
    bare.filter(|(_, word)| !word.is_empty()).collect()
}

/// Em dashes.
pub fn em_dashes(path: &str, text: &str) -> Vec<Finding> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| line.contains('\u{2014}'));
    lines.map(|(line, _)| Finding::new(path, line, "an em dash; write two sentences, or a colon")).collect()
}

/// Paths of machines, and references that only those who wrote this could follow.
pub fn workplace(path: &str, text: &str) -> Vec<Finding> {
    if path == SELF {
        return Vec::new();
    }
    let lines = (1..).zip(text.lines()).filter_map(|(number, line)| Some((number, workplace_words(line)?)));
    lines
        .map(|(line, words)| Finding::new(path, line, format!("{words:?} means nothing elsewhere")))
        .collect()
}

/// Such words in a line. A session of a terminal or a browser is none of them, nor is an issue that an
/// address names.
fn workplace_words(line: &str) -> Option<String> {
    if line.contains("/work/") {
        return Some("/work/".into());
    }
    let words: Vec<&str> =
        line.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric())).collect();
    let found = words.windows(2).find(|pair| {
        let (first, second) = (pair[0].to_ascii_lowercase(), pair[1].to_ascii_lowercase());
        let of_issue = ["issue", "issues"].contains(&first.as_str());
        let of_session = ["session", "sessions"].contains(&second.as_str());
        let which = ["this", "another", "earlier", "next", "previous", "last", "parallel"];
        of_issue && !second.is_empty() && second.chars().all(|c| c.is_ascii_digit())
            || of_session && which.contains(&first.as_str())
    })?;
    Some(found.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_is_found_in_any_case_and_across_lines_of_a_comment() {
        let text = "// What it Amounts\n// to, counted.\n";
        assert_eq!(
            phrases("src/a.rs", text),
            [Finding::new("src/a.rs", 1, "\"amounts to\"; rather: counts, sums")]
        );
    }

    #[test]
    fn other_words_and_other_places_pass() {
        assert_eq!(phrases("src/a.rs", "// Maybe it amounts, too.\nlet bites_to = 1;"), []);
        assert_eq!(phrases("tests/a.rs", "// amounts to"), []);
    }

    #[test]
    fn an_em_dash_is_found_and_a_hyphen_is_not() {
        assert_eq!(
            em_dashes("a.md", "one - two\nthree \u{2014} four").iter().map(|f| f.line).collect::<Vec<_>>(),
            [2]
        );
    }

    #[test]
    fn words_of_the_workplace_are_found() {
        for line in ["see /work/notes.md", "// as issue 12 says", "(issues #7)", "by another session"] {
            assert_eq!(workplace("a.md", line).len(), 1, "{line}");
        }
    }

    #[test]
    fn words_of_the_field_pass() {
        for line in [
            "a terminal session that ends",
            "https://github.com/spacejam/sled/issues/1351",
            "the session cookie",
            "an issue of the kernel",
            "target/work",
        ] {
            assert_eq!(workplace("a.md", line), [], "{line}");
        }
    }
}
