//! The log filter: a level for everything, and levels for parts of the program.
//!
//! Parsed strictly. The filters of `tracing` take a misspelt level for a target, and then log nothing else: a
//! typo would silence the log.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use tracing::level_filters::LevelFilter;

/// From the quietest.
const LEVELS: &str = "off, error, warn, info, debug, trace";
/// Libraries that use `tracing`.
const LIBRARIES: [&str; 2] = ["h2", "hyper_util"];
/// The modules of this program.
const PARTS: [&str; 11] =
    ["app", "cli", "config", "http", "incident", "model", "notifier", "outbound", "store", "timer", "warden"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    /// The level of everything that matches no target.
    pub rest: LevelFilter,
    /// Module paths with levels. The longest match applies.
    pub targets: Vec<(String, LevelFilter)>,
}

impl FromStr for LogFilter {
    type Err = String;

    /// Parses `LEVEL`, or a list such as `info,warden::store=debug`. Without a level for the rest, that is
    /// `error`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mut rest, mut targets) = (None, Vec::new());
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                _ if part.is_empty() => {
                    return Err(format!(
                        "{text:?} has an empty entry: write a level ({LEVELS}), or levels for parts of the \
                         program after it, such as \"info,warden::store=debug\""
                    ));
                }
                None => {
                    let level = level(part)?;
                    if rest.replace(level).is_some() {
                        return Err(format!("{text:?} names two levels for everything"));
                    }
                }
                Some((target, text)) => {
                    let (target, level) = (target.trim(), level(text.trim())?);
                    is_target(target)?;
                    if targets.iter().any(|(known, _)| known == target) {
                        return Err(format!("{target:?} occurs twice"));
                    }
                    targets.push((target.to_owned(), level));
                }
            }
        }
        Ok(Self { rest: rest.unwrap_or(LevelFilter::ERROR), targets })
    }
}

fn level(text: &str) -> Result<LevelFilter, String> {
    // `tracing` would also parse numbers, which nobody expects.
    let level = text.parse().ok().filter(|_| text.starts_with(|first: char| first.is_ascii_alphabetic()));
    level.ok_or_else(|| format!("{text:?} is no level: write one of {LEVELS}"))
}

/// Checks that something is logged under this target.
fn is_target(target: &str) -> Result<(), String> {
    let mut names = target.split("::");
    let known = match (names.next(), names.next()) {
        (Some("warden"), part) => part.is_none_or(|part| PARTS.contains(&part)),
        (Some(library), _) => LIBRARIES.contains(&library),
        (None, _) => false,
    };
    if known && names.all(|name| !name.is_empty()) {
        return Ok(());
    }
    let (parts, libraries) = (PARTS.join(", "), LIBRARIES.join(", "));
    Err(format!(
        "nothing is logged under {target:?}: write warden, warden:: and one of {parts}, or one of {libraries}"
    ))
}

impl fmt::Display for LogFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.rest)?;
        self.targets.iter().try_for_each(|(target, level)| write!(formatter, ",{target}={level}"))
    }
}

impl<'de> Deserialize<'de> for LogFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Filter;

        impl Visitor<'_> for Filter {
            type Value = LogFilter;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "a level ({LEVELS}) or a filter such as \"info,warden::store=debug\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<LogFilter, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_in_any_case_and_levels_for_parts_of_the_program_are_read() {
        for (text, expected) in [
            ("info", "info"),
            ("WARN", "warn"),
            ("off", "off"),
            (" info , warden::store = debug ", "info,warden::store=debug"),
            ("warden=debug,h2=Trace", "error,warden=debug,h2=trace"),
            ("warden::store::engine::sled=trace,warn", "warn,warden::store::engine::sled=trace"),
        ] {
            assert_eq!(text.parse::<LogFilter>().unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_would_be_ignored_or_taken_for_something_else_is_refused_with_what_is_allowed() {
        for (text, words) in [
            ("", "has an empty entry"),
            ("warn,", "has an empty entry"),
            (",info", "has an empty entry"),
            ("warning", "\"warning\" is no level: write one of off, error, warn, info"),
            ("information", "is no level"),
            ("3", "\"3\" is no level"),
            ("warden", "\"warden\" is no level"),
            ("warden::store", "is no level"),
            ("info;warden=debug", "\"info;warden\""),
            ("info,debug", "two levels for everything"),
            ("info,warden::store=loud", "\"loud\" is no level"),
            ("info,warden::store=", "\"\" is no level"),
            ("info,foo=bar", "\"bar\" is no level"),
            ("info,foo=debug", "nothing is logged under \"foo\""),
            ("info,=debug", "nothing is logged under \"\""),
            ("info,warden::stroe=debug", "nothing is logged under \"warden::stroe\""),
            ("info,warden:store=debug", "nothing is logged under"),
            ("info,Warden=debug", "nothing is logged under \"Warden\""),
            ("info,warden::store::=debug", "nothing is logged under"),
            ("info,warden=info,warden=debug", "\"warden\" occurs twice"),
            ("[listen]=debug", "nothing is logged under"),
            ("info,warden[x{y=1}]=debug", "is no level"),
        ] {
            let error = text.parse::<LogFilter>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn the_parts_of_the_program_are_its_modules() {
        let modules = include_str!("../lib.rs").lines().filter_map(|line| line.strip_prefix("pub mod "));
        let modules: Vec<&str> =
            modules.map(|name| name.trim_end_matches(';')).filter(|name| *name != "fuzzing").collect();
        assert_eq!(modules, PARTS);
    }
}
