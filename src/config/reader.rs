//! Deserializes settings, with error messages in the terms of TOML: text, number, list, table, true or false.
//!
//! serde's own messages name Rust's types. [`Fault`] is built from the parts of those messages, so that
//! nothing is parsed back.

use std::fmt::{self, Display};

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use toml::Value;

use super::setting::{Content, Setting};
use crate::model::{nearest, quote};

#[derive(Clone, Copy)]
pub struct Reader<'a>(pub &'a Setting);

/// Why a setting cannot be deserialized: one line, without the origin.
#[derive(Debug)]
pub struct Fault(String);

impl Reader<'_> {
    fn unexpected(&self) -> Unexpected<'_> {
        match &self.0.content {
            Content::Scalar(Value::String(text)) => Unexpected::Str(text),
            Content::Scalar(Value::Integer(number)) => Unexpected::Signed(*number),
            Content::Scalar(Value::Float(number)) => Unexpected::Float(*number),
            Content::Scalar(Value::Boolean(value)) => Unexpected::Bool(*value),
            Content::Scalar(_) => Unexpected::Other("a date or a time, which takes quotes here"),
            Content::List(_) => Unexpected::Seq,
            Content::Table(_) => Unexpected::Map,
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.content {
            Content::Scalar(Value::String(text)) => visitor.visit_str(text),
            Content::Scalar(Value::Integer(number)) => visitor.visit_i64(*number),
            Content::Scalar(Value::Float(number)) => visitor.visit_f64(*number),
            Content::Scalar(Value::Boolean(value)) => visitor.visit_bool(*value),
            Content::Scalar(_) => Err(Fault::invalid_type(self.unexpected(), &visitor)),
            Content::List(elements) => visitor.visit_seq(SeqDeserializer::new(elements.iter().map(Reader))),
            Content::Table(entries) => {
                let entries = entries.iter().map(|(key, setting)| (key.as_str(), Reader(setting)));
                visitor.visit_map(MapDeserializer::new(entries))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.0.content {
            Content::Scalar(Value::String(text)) => visitor.visit_enum(StrDeserializer::<Fault>::new(text)),
            _ => Err(Fault(format!("must be {}, but is {}", one_of(variants), found(self.unexpected())))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl IntoDeserializer<'_, Fault> for Reader<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

impl Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("must be {}, but is {}", wanted(expected), found(unexpected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self(format!("must be {}, but holds {length}", wanted(expected)))
    }

    fn unknown_variant(variant: &str, variants: &'static [&'static str]) -> Self {
        let meant = nearest(variant, variants.iter().copied());
        let hint = meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
        Self(format!("must be {}, but is {}{hint}", one_of(variants), quote(variant)))
    }

    fn unknown_field(field: &str, fields: &'static [&'static str]) -> Self {
        let meant = nearest(field, fields.iter().copied());
        let hint = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
        let stop = if hint.is_empty() { "." } else { "" };
        Self(format!("is not a setting{hint}{stop} The settings here are: {}", fields.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self(format!("`{field}` is missing"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self(format!("`{field}` is defined twice"))
    }
}

/// What serde expected, without the names of Rust's types.
fn wanted(expected: &dyn Expected) -> String {
    let words = expected.to_string();
    match words.as_str() {
        "a boolean" => "true or false",
        "a string" | "str" => "a text",
        "path string" => "the text of a path",
        "a sequence" => "a list",
        "a map" => "a table",
        "f32" | "f64" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not below 0 and not too large",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number that is not too large",
        words if words.starts_with("struct ") => "a table",
        _ => return words,
    }
    .to_owned()
}

fn found(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(number) => format!("the number {number}"),
        Unexpected::Signed(number) => format!("the number {number}"),
        Unexpected::Float(number) => format!("the number {number}"),
        Unexpected::Str(text) => format!("the text {}", quote(text)),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        Unexpected::Other(what) => what.to_owned(),
        _ => "something else".to_owned(),
    }
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.as_slice() {
        [words @ .., last] if !words.is_empty() => format!("{} or {last}", words.join(", ")),
        words => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::super::origin::Origin;
    use super::*;

    fn fault<T: for<'de> Deserialize<'de>>(text: &str) -> String {
        let setting = Setting::parse_value(text, &Origin::CommandLine).unwrap();
        T::deserialize(Reader(&setting)).err().unwrap().to_string()
    }

    #[test]
    fn what_is_wrong_is_said_without_the_names_of_types() {
        assert_eq!(
            fault::<usize>("\"5\""),
            "must be a whole number, not below 0 and not too large, but is the text \"5\""
        );
        assert_eq!(
            fault::<u8>("300"),
            "must be a whole number, not below 0 and not too large, but is the number 300"
        );
        assert_eq!(fault::<i8>("300"), "must be a whole number that is not too large, but is the number 300");
        assert_eq!(fault::<f64>("true"), "must be a number, but is true");
        assert_eq!(fault::<bool>("1"), "must be true or false, but is the number 1");
        assert_eq!(fault::<String>("[]"), "must be a text, but is a list");
        assert_eq!(
            fault::<String>("2026-01-01"),
            "must be a text, but is a date or a time, which takes quotes here"
        );
        assert_eq!(fault::<Vec<String>>("{}"), "must be a list, but is a table");
        assert_eq!(fault::<BTreeMap<String, u8>>("1.5"), "must be a table, but is the number 1.5");
        assert_eq!(fault::<std::path::PathBuf>("1"), "must be the text of a path, but is the number 1");
        let long = fault::<bool>(&format!("{:?}", "x".repeat(1_000)));
        let cut = format!("is the text \"{}\"… (1000 bytes in all)", "x".repeat(128));
        assert!(long.ends_with(&cut), "{long}");
    }
}
