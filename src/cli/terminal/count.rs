//! Counts of nouns: `1 item`, `2 deliveries`.

/// The number with the noun, whose singular this is.
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {}", plural(noun)) }
}

pub fn plural(noun: &str) -> String {
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noun_is_in_the_plural_unless_there_is_exactly_one() {
        for (count, noun, text) in [
            (0, "item", "0 items"),
            (1, "item", "1 item"),
            (2, "item", "2 items"),
            (3, "delivery", "3 deliveries"),
            (4, "replay", "4 replays"),
        ] {
            assert_eq!(counted(count, noun), text);
        }
    }
}
