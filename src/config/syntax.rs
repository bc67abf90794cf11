//! Messages about invalid TOML, in the terms of all other problems.
//!
//! Never the parser's own `Display`: it prints the line at fault, which may contain a secret.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::origin::Lines;

/// Replaces a duplicate key while the first one is searched. No key is likely to have this name; if one has,
/// the line of the first is not named.
const PLACEHOLDER: &str = "\"\u{1F}the second\"";
const PLACEHOLDER_KEY: &str = "\u{1F}the second";

/// The parser's terms, and those of the other messages.
const WORDS: [(&str, &str); 10] = [
    ("string values must be quoted", "a text takes quotes"),
    ("literal string", "a text in quotes"),
    ("array table", "table of a list"),
    ("array", "list"),
    ("value of type string", "text"),
    ("value of type integer", "number"),
    ("value of type float", "number"),
    ("value of type boolean", "true or false"),
    ("value of type", "value:"),
    ("string", "text"),
];

/// The message for a parser error in this text.
pub(super) fn explain(error: &Error, text: &str, lines: &Lines<'_>) -> String {
    let message = error.message();
    if message == "duplicate key"
        && let Some(span) = error.span()
        && let Some(key) = text.get(span.clone())
    {
        let shown = key.trim().trim_matches(['"', '\'']);
        let second = lines.position(span.start).line;
        return match first_of(text, span) {
            Some(first) => {
                let first = lines.position(first).line;
                format!(
                    "`{shown}` is defined twice: in line {first} and in line {second}; remove one of them"
                )
            }
            None => format!("`{shown}` is defined a second time; remove one of them"),
        };
    }
    WORDS.iter().fold(message.to_owned(), |message, (from, to)| message.replace(from, to))
}

/// The position of the first occurrence of a key that is repeated at `second`.
fn first_of(text: &str, second: Range<usize>) -> Option<usize> {
    let alone = format!("{} = 0", &text[second.clone()]);
    let parsed = DeTable::parse(&alone).ok()?;
    let key = parsed.get_ref().keys().next()?.get_ref().clone().into_owned();
    let changed = format!("{}{PLACEHOLDER}{}", &text[..second.start], &text[second.end..]);
    // The text may have several duplicates, so it is parsed as far as possible.
    let (table, _) = DeTable::parse_recoverable(&changed);
    let first = first_in_table(table.get_ref(), &key)?;
    (first < second.start).then_some(first)
}

fn first_in_table(table: &DeTable<'_>, key: &str) -> Option<usize> {
    if table.contains_key(PLACEHOLDER_KEY) {
        return table.iter().find(|(name, _)| name.get_ref() == key).map(|(name, _)| name.span().start);
    }
    table.iter().find_map(|(_, value)| first_in_value(value, key))
}

fn first_in_value(value: &Spanned<DeValue<'_>>, key: &str) -> Option<usize> {
    match value.get_ref() {
        DeValue::Table(table) => first_in_table(table, key),
        DeValue::Array(elements) => elements.iter().find_map(|element| first_in_value(element, key)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(text: &str) -> String {
        explain(&DeTable::parse(text).err().unwrap(), text, &Lines::new(text))
    }

    #[test]
    fn a_key_that_is_there_twice_is_named_with_both_lines() {
        for (text, key, first, second) in [
            ("[a]\nx = 1\n\nx = 2", "x", 2, 4),
            ("[a]\nx = 1\n[b]\ny = 1\n[a]\ny = 1", "a", 1, 5),
            ("[a.b]\nx = 1\n[a.c]\n[a.b]\n", "b", 1, 4),
            ("[[a]]\nx = 1\n[[a]]\nx = 1\nx = 1", "x", 4, 5),
            ("a = { x = 1,\n  x = 2 }", "x", 1, 2),
            ("a.x = 1\na.y = 1\na.x = 2", "x", 1, 3),
            ("[a]\n\"x y\" = 1\n\"x y\" = 2", "x y", 2, 3),
            ("[a]\nx = 1\nx = 2\nx = 3", "x", 2, 3),
            ("[a]\nx = { z = 1 }\n[a.x]\nz = 1", "x", 2, 3),
        ] {
            let expected = format!("`{key}` is defined twice: in line {first} and in line {second}");
            let found = explained(text);
            assert!(found.starts_with(&expected), "{text}\nsays    {found}\ninstead {expected}");
        }
    }

    #[test]
    fn a_secret_beside_the_fault_is_not_repeated() {
        let found = explained("secret = \"whsec_MfKQ9r8G\nx = 1");
        assert!(!found.contains("MfKQ9r8G"), "{found}");
    }

    #[test]
    fn no_type_of_the_parser_is_named() {
        for text in [
            "x = 1\nx.y = 2",
            "x = [1]\nx.y = 2",
            "[[a",
            "[a",
            "x = [1 2]",
            "x = {a = 1 b = 2}",
            "x = \"a\"\nx.y = 1",
        ] {
            let found = explained(text);
            for word in ["array", "string", "integer", "type"] {
                assert!(!found.contains(word), "{text}: {found}");
            }
        }
    }
}
