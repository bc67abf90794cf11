//! YAML as settings: the same values that TOML has, with the position of each key.
//!
//! Scalars are those of the core schema of YAML 1.2: `yes` and `1:30` are texts. Deliberately absent:
//! aliases, merge keys and tags, by which a small text can become a large or a foreign value, and several
//! documents.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use toml::Value;

use super::error::Problem;
use super::origin::{Origin, Position};
use super::path::SettingPath;
use super::setting::{Content, Setting};

/// How deep lists and tables may be nested.
const DEPTH_MAX: usize = 32;

/// A fault, and where it is.
type Fault = (Option<Position>, String);

/// Parses a text; `origin` makes the origin of a position in it. An empty text is an empty table.
pub(super) fn parse(text: &str, origin: impl Fn(Option<Position>) -> Origin) -> Result<Setting, Problem> {
    let mut reader = Reader { events: Parser::new_from_str(text), origin: &origin };
    reader.document().map_err(|(position, message)| {
        let (origin, path) = (origin(position), SettingPath::default());
        Problem { origin, path, message }
    })
}

struct Reader<'t, O> {
    events: Parser<'t, StrInput<'t>>,
    origin: &'t O,
}

impl<O: Fn(Option<Position>) -> Origin> Reader<'_, O> {
    fn next(&mut self) -> Result<(Event<'_>, Span), Fault> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, span)),
            Some(Err(error)) => Err(scan_fault(&error)),
            None => Err((None, "ends early".to_owned())),
        }
    }

    fn document(&mut self) -> Result<Setting, Fault> {
        let mut document = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) if document.is_some() => {
                    let message = "holds several documents; put each workflow into a file of its own, or all \
                                   under `workflows`";
                    return Err((Some(position(span)), message.to_owned()));
                }
                Event::DocumentStart(_) => document = Some(self.value(0)?),
                _ => {}
            }
        }
        let empty = || self.setting(None, Content::Table([].into()));
        // A document without content is one empty scalar.
        Ok(match document {
            Some((Some(setting), _)) => setting,
            Some((None, _)) | None => empty(),
        })
    }

    /// The next value, `None` for null, and where it begins.
    fn value(&mut self, depth: usize) -> Result<(Option<Setting>, Position), Fault> {
        let (event, span) = self.next()?;
        let at = position(span);
        if depth > DEPTH_MAX {
            return Err((Some(at), format!("is nested more than {DEPTH_MAX} levels deep")));
        }
        if has_tag(&event) {
            return Err((Some(at), "has a tag (!…), which is not supported".to_owned()));
        }
        let content = match event {
            Event::Scalar(text, style, ..) => match scalar(&text, style) {
                Some(value) => Content::Scalar(value),
                None => return Ok((None, at)),
            },
            Event::SequenceStart(..) => Content::List(self.list(depth)?),
            Event::MappingStart(..) => return Ok((Some(self.table(at, depth)?), at)),
            Event::Alias(_) => {
                let message = "is an alias (*…), which is not supported: write the value out";
                return Err((Some(at), message.to_owned()));
            }
            _ => return Err((Some(at), "has no value".to_owned())),
        };
        Ok((Some(self.setting(Some(at), content)), at))
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Setting>, Fault> {
        let mut elements = Vec::new();
        loop {
            if let Some(Ok((Event::SequenceEnd, _))) = self.events.peek() {
                self.next()?;
                return Ok(elements);
            }
            let (element, at) = self.value(depth + 1)?;
            elements.push(element.ok_or_else(|| (Some(at), "is an element without a value".to_owned()))?);
        }
    }

    fn table(&mut self, began: Position, depth: usize) -> Result<Setting, Fault> {
        let mut entries = std::collections::BTreeMap::<String, Setting>::new();
        loop {
            let (event, span) = self.next()?;
            let at = position(span);
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(key, ScalarStyle::Plain, ..) if key == "<<" => {
                    return Err((Some(at), "`<<` is not supported: write the values out".to_owned()));
                }
                Event::Scalar(key, ..) => key.into_owned(),
                _ => return Err((Some(at), "is no key: keys are names".to_owned())),
            };
            let (value, _) = self.value(depth + 1)?;
            let Some(mut value) = value else {
                return Err((Some(at), format!("`{key}` has no value; leave it out for its default")));
            };
            // The key's position, since a value may begin on a later line.
            value.origin = (self.origin)(Some(at));
            if let Some(first) = entries.get(&key) {
                let first = first.origin.line().unwrap_or_default();
                let message = format!(
                    "`{key}` is defined twice: in line {first} and in line {}; remove one of them",
                    at.line
                );
                return Err((Some(at), message));
            }
            entries.insert(key, value);
        }
        Ok(self.setting(Some(began), Content::Table(entries)))
    }

    fn setting(&self, at: Option<Position>, content: Content) -> Setting {
        Setting { origin: (self.origin)(at), content }
    }
}

fn has_tag(event: &Event<'_>) -> bool {
    match event {
        Event::Scalar(_, _, _, tag) | Event::SequenceStart(_, tag) | Event::MappingStart(_, tag) => {
            tag.is_some()
        }
        _ => false,
    }
}

fn position(span: Span) -> Position {
    Position { line: span.start.line().max(1), column: span.start.col() + 1 }
}

fn scan_fault(error: &ScanError) -> Fault {
    let marker = error.marker();
    let position = Position { line: marker.line().max(1), column: marker.col() + 1 };
    (Some(position), format!("is no valid YAML: {}", error.info()))
}

/// A scalar of the core schema; `None` for null.
fn scalar(text: &str, style: ScalarStyle) -> Option<Value> {
    if style != ScalarStyle::Plain {
        return Some(Value::String(text.to_owned()));
    }
    let digits = text.strip_prefix('+').unwrap_or(text);
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => return None,
        "true" | "True" | "TRUE" => Value::Boolean(true),
        "false" | "False" | "FALSE" => Value::Boolean(false),
        _ if is_number(digits) => match (digits.parse::<i64>(), digits.parse::<f64>()) {
            (Ok(number), _) => Value::Integer(number),
            (Err(_), Ok(number)) if number.is_finite() => Value::Float(number),
            _ => Value::String(text.to_owned()),
        },
        _ => Value::String(text.to_owned()),
    })
}

/// Whether a text consists of what decimal numbers consist of, so that `inf` and `nan` are texts.
fn is_number(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    text.bytes().all(is_part) && text.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Setting, String> {
        let origin = |position| Origin::File("w.yaml".into(), position);
        parse(text, origin).map_err(|problem| problem.to_string())
    }

    fn toml_of(setting: &Setting) -> Value {
        match &setting.content {
            Content::Scalar(value) => value.clone(),
            Content::List(elements) => Value::Array(elements.iter().map(toml_of).collect()),
            Content::Table(entries) => {
                Value::Table(entries.iter().map(|(key, setting)| (key.clone(), toml_of(setting))).collect())
            }
        }
    }

    #[test]
    fn a_text_in_yaml_is_the_same_as_in_toml() {
        let yaml = r#"
            # a workflow
            deadline: 15m
            retention_max: 1000
            grow_factor: 1.5
            yes: yes
            at: 1:30
            quoted: "5"
            neg: -3
            huge: 1e999
            big: 9223372036854775808
            steps:
              - copy
              - name: backup
                deadline: 5m
            expect: { every: 1h, ok: true }
            text: |
              two
              lines
            "#;
        let toml = r#"
            deadline = "15m"
            retention_max = 1000
            grow_factor = 1.5
            yes = "yes"
            at = "1:30"
            quoted = "5"
            neg = -3
            huge = "1e999"
            big = 9223372036854775808.0
            steps = ["copy", { name = "backup", deadline = "5m" }]
            expect = { every = "1h", ok = true }
            text = "two\nlines\n"
            "#;
        let expected: Value = toml::from_str(toml).unwrap();
        assert_eq!(toml_of(&parsed(yaml).unwrap_or_else(|problem| panic!("{problem}"))), expected);
        for empty in ["", "\n", "# nothing\n", "---\n", "{}", "~"] {
            assert_eq!(toml_of(&parsed(empty).unwrap()), Value::Table(toml::Table::new()), "{empty:?}");
        }
    }

    #[test]
    fn every_fault_names_its_line() {
        let deep = format!("a: {}", "[".repeat(40) + &"]".repeat(40));
        for (text, expected) in [
            ("a: 1\nb:\na: 2", "w.yaml:2:1: `b` has no value; leave it out for its default"),
            ("a: 1\nb: 2\na: 3", "w.yaml:3:1: `a` is defined twice: in line 1 and in line 3"),
            ("a: &x 1\nb: *x", "w.yaml:2:4: is an alias"),
            ("a: 1\nb:\n  <<: { c: 1 }", "w.yaml:3:3: `<<` is not supported"),
            ("a: !!str 5", "w.yaml:1:"),
            ("a: [1, ]\nb: [~]", "w.yaml:2:5: is an element without a value"),
            ("a: 1\n---\nb: 2", "w.yaml:2:1: holds several documents"),
            ("[a]: 1", "w.yaml:1:1: is no key"),
            ("a: 1\n b: 2", "w.yaml:2:"),
            ("a: \"x", "w.yaml:1:"),
            ("a: x: y", "w.yaml:1:"),
            ("a: @x", "w.yaml:1:"),
            (&deep, "w.yaml:1:"),
        ] {
            let found = parsed(text).err().unwrap_or_else(|| panic!("{text} is accepted"));
            assert!(found.starts_with(expected), "\n{text}\nsays    {found}\ninstead {expected}");
        }
    }

    #[test]
    fn a_value_beside_the_fault_is_not_repeated() {
        for text in ["secret: \"whsec_MfKQ9r8G\nx: 1", "secret: whsec_MfKQ9r8G: x", "- whsec_MfKQ9r8G\nb: 1"]
        {
            let found = parsed(text).err().unwrap_or_else(|| panic!("{text} is accepted"));
            assert!(!found.contains("MfKQ9r8G"), "{found}");
        }
    }
}
