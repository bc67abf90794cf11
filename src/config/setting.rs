//! Settings as written, each with its [`Origin`], and the rule by which layers are merged.
//!
//! Tables are merged; a value or a list is replaced as a whole. A layer must not turn a table into a value or
//! vice versa. The meaning of settings is not known here.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use toml::Value;
use toml::de::{DeTable, DeValue};

use super::error::Problem;
use super::origin::{Lines, Origin, Position};
use super::path::{Segment, SettingPath};
use super::syntax;

/// A value with its origin.
#[derive(Clone)]
pub struct Setting {
    pub origin: Origin,
    pub content: Content,
}

/// A `Scalar` is never an array or a table.
#[derive(Clone)]
pub enum Content {
    Scalar(Value),
    List(Vec<Setting>),
    Table(BTreeMap<String, Setting>),
}

impl Setting {
    /// Parses a TOML text; `origin` makes the origin of a position in it.
    pub fn parse(text: &str, origin: impl Fn(Option<Position>) -> Origin) -> Result<Self, Problem> {
        let lines = Lines::new(text);
        match DeTable::parse(text) {
            Ok(table) => Self::from_table(table.get_ref(), 0, &|offset| origin(Some(lines.position(offset)))),
            Err(error) => {
                let position = error.span().map(|span| lines.position(span.start));
                Err(at_root(origin(position), syntax::explain(&error, text, &lines)))
            }
        }
    }

    /// Parses a single TOML value; `None` if it is invalid.
    pub fn parse_value(text: &str, origin: &Origin) -> Option<Self> {
        let value = DeValue::parse(text).ok()?;
        Self::from_parsed(value.get_ref(), 0, &|_| origin.clone()).ok()
    }

    /// A setting from a value that was not parsed from text.
    pub fn from_value(value: Value, origin: &Origin) -> Self {
        let content = match value {
            Value::Array(elements) => {
                Content::List(elements.into_iter().map(|element| Self::from_value(element, origin)).collect())
            }
            Value::Table(entries) => Content::Table(
                entries.into_iter().map(|(key, value)| (key, Self::from_value(value, origin))).collect(),
            ),
            scalar => Content::Scalar(scalar),
        };
        Self { origin: origin.clone(), content }
    }

    /// A setting from JSON. The error is a message, and the path below this setting that it is about.
    pub fn from_json(
        value: &serde_json::Value,
        origin: &Origin,
        path: &SettingPath,
    ) -> Result<Self, (SettingPath, String)> {
        use serde_json::Value as Json;
        let content = match value {
            Json::Null => {
                return Err((path.clone(), "has no value; leave it out for its default".to_owned()));
            }
            Json::Bool(value) => Content::Scalar(Value::Boolean(*value)),
            Json::Number(number) => Content::Scalar(match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => Value::Integer(number),
                (None, Some(number)) => Value::Float(number),
                (None, None) => return Err((path.clone(), "the number is too large".to_owned())),
            }),
            Json::String(text) => Content::Scalar(Value::String(text.clone())),
            Json::Array(elements) => {
                let element = |(index, element)| Self::from_json(element, origin, &path.index(index));
                Content::List(elements.iter().enumerate().map(element).collect::<Result<_, _>>()?)
            }
            Json::Object(entries) => Content::Table(Self::table_from_json(entries, origin, path)?),
        };
        Ok(Self { origin: origin.clone(), content })
    }

    /// The entries of a table from JSON.
    pub fn table_from_json(
        entries: &serde_json::Map<String, serde_json::Value>,
        origin: &Origin,
        path: &SettingPath,
    ) -> Result<BTreeMap<String, Self>, (SettingPath, String)> {
        let entry = |(key, value): (&String, &serde_json::Value)| {
            Ok((key.clone(), Self::from_json(value, origin, &path.key(key))?))
        };
        entries.iter().map(entry).collect()
    }

    /// As JSON; dates are texts.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.content {
            Content::Scalar(Value::String(text)) => text.as_str().into(),
            Content::Scalar(Value::Integer(number)) => (*number).into(),
            Content::Scalar(Value::Float(number)) => (*number).into(),
            Content::Scalar(Value::Boolean(value)) => (*value).into(),
            Content::Scalar(other) => other.to_string().into(),
            Content::List(elements) => elements.iter().map(Self::to_json).collect(),
            Content::Table(entries) => {
                entries.iter().map(|(key, setting)| (key.clone(), setting.to_json())).collect()
            }
        }
    }

    /// Wraps this setting in tables; the outermost of `keys` comes first.
    pub fn below(self, keys: &[String]) -> Self {
        keys.iter().rev().fold(self, |inner, key| Self {
            origin: inner.origin.clone(),
            content: Content::Table(BTreeMap::from([(key.clone(), inner)])),
        })
    }

    /// Merges a later layer into this one.
    pub fn merge(&mut self, over: Self, path: &SettingPath, problems: &mut Vec<Problem>) {
        match (&mut self.content, over.content) {
            (Content::Table(below), Content::Table(entries)) => {
                if self.origin.is_defaults() {
                    self.origin = over.origin;
                }
                for (key, setting) in entries {
                    match below.entry(key) {
                        Entry::Vacant(place) => {
                            place.insert(setting);
                        }
                        Entry::Occupied(place) => {
                            let path = path.key(place.key());
                            place.into_mut().merge(setting, &path, problems);
                        }
                    }
                }
            }
            (Content::Table(below), _) => {
                let keys = below.keys().cloned().collect::<Vec<_>>().join(", ");
                let message = format!("is a table and takes no value itself; it holds: {keys}");
                problems.push(Problem { origin: over.origin, path: path.clone(), message });
            }
            (_, Content::Table(_)) => {
                let message = "takes a value and is not a table".to_owned();
                problems.push(Problem { origin: over.origin, path: path.clone(), message });
            }
            (content, replacement) => {
                *content = replacement;
                self.origin = over.origin;
            }
        }
    }

    /// Calls `visit` with each value and list below this setting, and its keys.
    pub fn for_each(&self, keys: &mut Vec<String>, visit: &mut impl FnMut(&[String], &Self)) {
        match &self.content {
            Content::Table(entries) => {
                for (key, setting) in entries {
                    keys.push(key.clone());
                    setting.for_each(keys, visit);
                    keys.pop();
                }
            }
            Content::List(elements) => {
                visit(keys, self);
                elements.iter().for_each(|element| element.for_each(keys, visit));
            }
            Content::Scalar(_) => visit(keys, self),
        }
    }

    /// The entry with this key.
    pub fn entry(&self, key: &str) -> Option<&Self> {
        match &self.content {
            Content::Table(entries) => entries.get(key),
            _ => None,
        }
    }

    /// The entry with this key, or the first that differs from it in case only.
    pub fn entry_in_any_case(&self, key: &str) -> Option<(&str, &Self)> {
        let Content::Table(entries) = &self.content else { return None };
        let found = entries
            .get_key_value(key)
            .or_else(|| entries.iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(key)));
        found.map(|(key, setting)| (key.as_str(), setting))
    }

    /// The origin of the setting at `path`, or of the nearest existing one above it.
    pub fn origin_of(&self, path: &SettingPath) -> &Origin {
        let mut nearest = self;
        for segment in path.segments() {
            match nearest.child(segment) {
                Some(child) => nearest = child,
                None => break,
            }
        }
        &nearest.origin
    }

    /// Replaces the setting at `path` by that of `defaults`, if there is one. A list is replaced as a whole,
    /// so that the indexes of its elements stay valid. Returns false if there was nothing but a default.
    pub fn put_back(&mut self, path: &SettingPath, defaults: &Self) -> bool {
        let keys: Vec<&String> = path
            .segments()
            .iter()
            .map_while(|segment| match segment {
                Segment::Key(key) => Some(key),
                Segment::Index(_) => None,
            })
            .collect();
        let Some((last, above)) = keys.split_last() else { return false };

        let mut table = Some(self);
        let mut default = Some(defaults);
        for key in above {
            table = table.and_then(|table| table.entries_mut()?.get_mut(*key));
            default = default.and_then(|table| table.child(&Segment::Key((*key).clone())));
        }
        let default = default.and_then(|table| table.child(&Segment::Key((*last).clone())));
        let Some(entries) = table.and_then(Self::entries_mut) else { return false };
        let taken = entries.remove(*last);
        if let Some(default) = default {
            entries.insert((*last).clone(), default.clone());
        }
        taken.is_some_and(|taken| !taken.origin.is_defaults())
    }

    fn child(&self, segment: &Segment) -> Option<&Self> {
        match (&self.content, segment) {
            (Content::Table(entries), Segment::Key(key)) => entries.get(key),
            (Content::List(elements), Segment::Index(index)) => elements.get(*index),
            _ => None,
        }
    }

    fn entries_mut(&mut self) -> Option<&mut BTreeMap<String, Self>> {
        match &mut self.content {
            Content::Table(entries) => Some(entries),
            _ => None,
        }
    }

    fn from_table(
        table: &DeTable<'_>,
        offset: usize,
        origin: &impl Fn(usize) -> Origin,
    ) -> Result<Self, Problem> {
        let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
            let name: &std::borrow::Cow<'_, str> = key.get_ref();
            // The key's position, since a value may begin on a later line.
            Self::from_parsed(value.get_ref(), key.span().start, origin)
                .map(|setting| (name.clone().into_owned(), setting))
        };
        let entries = table.iter().map(entry).collect::<Result<_, _>>()?;
        Ok(Self { origin: origin(offset), content: Content::Table(entries) })
    }

    fn from_parsed(
        value: &DeValue<'_>,
        offset: usize,
        origin: &impl Fn(usize) -> Origin,
    ) -> Result<Self, Problem> {
        let scalar = match value {
            DeValue::Table(table) => return Self::from_table(table, offset, origin),
            DeValue::Array(elements) => {
                let elements = elements
                    .iter()
                    .map(|element| Self::from_parsed(element.get_ref(), element.span().start, origin));
                let content = Content::List(elements.collect::<Result<_, _>>()?);
                return Ok(Self { origin: origin(offset), content });
            }
            DeValue::String(text) => Some(Value::String(text.clone().into_owned())),
            DeValue::Integer(number) => {
                i64::from_str_radix(number.as_str(), number.radix()).ok().map(Value::Integer)
            }
            DeValue::Float(number) => number.as_str().parse().ok().map(Value::Float),
            DeValue::Boolean(value) => Some(Value::Boolean(*value)),
            DeValue::Datetime(value) => Some(Value::Datetime(*value)),
        };
        match scalar {
            Some(value) => Ok(Self { origin: origin(offset), content: Content::Scalar(value) }),
            None => Err(at_root(origin(offset), "the number is too large".to_owned())),
        }
    }
}

fn at_root(origin: Origin, message: String) -> Problem {
    Problem { origin, path: SettingPath::default(), message }
}
