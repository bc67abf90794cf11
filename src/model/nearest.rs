//! Suggestions for misspelt words.

use strsim::osa_distance;

/// The candidate most similar to `word`, if it is similar enough: one letter in four may be wrong, missing,
/// or swapped with the next. Case and the characters `_`, `-` and `.` are ignored.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = plain(word);
    let most = word.chars().count().div_ceil(4);
    let distance = |candidate: &str| {
        let candidate = plain(candidate);
        // A larger difference in length is already too much.
        let lengths = word.chars().count().abs_diff(candidate.chars().count());
        (lengths <= most).then(|| osa_distance(&word, &candidate)).filter(|distance| *distance <= most)
    };
    candidates
        .into_iter()
        .filter_map(|candidate| Some((distance(candidate)?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The name that `name` is probably a misspelling of. Names are compared word by word; short words and those
/// with digits must be equal: `uploads-eu` is not `uploads-us`, and `orders-1` is not `orders-2`.
pub fn misspelling_of<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let words = words_of(name);
    let edits = |other: &str| {
        let others = words_of(other);
        if words.len() != others.len() {
            return (words.concat() == others.concat()).then_some(1);
        }
        words.iter().zip(&others).map(|(word, other)| edits_between(word, other)).sum()
    };
    names
        .into_iter()
        .filter(|other| *other != name)
        .filter_map(|other| Some((edits(other)?, other)))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, other)| other)
}

fn words_of(name: &str) -> Vec<String> {
    name.split(['-', '_', '.']).map(str::to_ascii_lowercase).collect()
}

/// The edit distance, unless it is too large or involves a digit.
fn edits_between(word: &str, other: &str) -> Option<usize> {
    if word == other {
        return Some(0);
    }
    let has_digits = |word: &str| word.contains(|c: char| c.is_ascii_digit());
    let most = word.chars().count().max(other.chars().count()) / 4;
    if has_digits(word) || has_digits(other) || word.len().abs_diff(other.len()) > most {
        return None;
    }
    Some(osa_distance(word, other)).filter(|edits| *edits <= most)
}

fn plain(word: &str) -> String {
    word.chars().map(|c| if matches!(c, '-' | '.') { '_' } else { c.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearly_the_same_is_taken_for_what_was_meant() {
        let candidates = ["listen", "external_url", "shutdown_timeout"];
        for (word, meant) in [
            ("listne", Some("listen")),
            ("Listen", Some("listen")),
            ("external-url", Some("external_url")),
            ("shutdowntimeout", Some("shutdown_timeout")),
            ("port", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, candidates), meant, "{word}");
        }
    }

    #[test]
    fn a_misspelt_name_is_told_from_one_that_is_meant_to_be_another() {
        let names = ["uploads-eu", "uploads", "orders-1", "nightly_report"];
        for (name, meant) in [
            ("uplaods", Some("uploads")),
            ("upload", Some("uploads")),
            ("Uploads", Some("uploads")),
            ("uploads_eu", Some("uploads-eu")),
            ("uploadseu", Some("uploads-eu")),
            ("uplods-eu", Some("uploads-eu")),
            ("nightly-reports", Some("nightly_report")),
            ("uploads", None),
            ("uploads-us", None),
            ("orders-2", None),
            ("orders", None),
            ("reports", None),
            ("eu", None),
        ] {
            assert_eq!(
                misspelling_of(name, names.into_iter().filter(|other| *other != name)),
                meant,
                "{name}"
            );
        }
    }

    #[test]
    fn the_nearest_of_several_wins() {
        assert_eq!(nearest("upload", ["uploads2", "uploads", "reports"]), Some("uploads"));
    }
}
