//! What somebody who misspelt a word may have meant.

use strsim::osa_distance;

/// The candidate that is most like `word`, if one is so much like it that it may be meant: one letter in four may be
/// wrong, missing, or swapped with the next. Case, and whether `_`, `-` or `.` joins words, count for nothing.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = plain(word);
    let most = word.chars().count().div_ceil(4);
    let distance = |candidate: &str| {
        let candidate = plain(candidate);
        // What differs by more in length alone need not be compared.
        let lengths = word.chars().count().abs_diff(candidate.chars().count());
        (lengths <= most).then(|| osa_distance(&word, &candidate)).filter(|distance| *distance <= most)
    };
    candidates
        .into_iter()
        .filter_map(|candidate| Some((distance(candidate)?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
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
    fn the_nearest_of_several_wins() {
        assert_eq!(nearest("upload", ["uploads2", "uploads", "reports"]), Some("uploads"));
    }
}
