//! Settings that may be secrets: literal, `env:NAME` or `file:PATH`.
//!
//! A secret is never printed, and no message repeats a part of it: what is in the place of one secret by
//! mistake may be another.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::Read;

use bytesize::ByteSize;
use serde::de::{Deserialize, Deserializer, Error};
use toml::Value;

use super::environment::Environment;

/// In bytes; far more than a key, a URL or a token takes.
pub const SECRET_MAX: u64 = 4_096;

/// A text as written: literal, or a reference.
#[derive(Clone)]
pub struct Secret(String);

/// The origin of a text, for messages.
enum Place<'a> {
    Here,
    Variable(&'a str),
    File(&'a str),
}

impl Secret {
    pub fn is_reference(&self) -> bool {
        !matches!(self.place(), Place::Here)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Resolves the text, of at most `file_max` bytes if it is in a file.
    ///
    /// # Errors
    /// The variable or the file does not exist, is too large, or is no UTF-8.
    pub fn text(&self, environment: &Environment, file_max: u64) -> Result<String, String> {
        match self.place() {
            Place::Here => Ok(self.0.clone()),
            Place::Variable(name) => {
                let value = environment.get(name);
                let value = value.ok_or_else(|| format!("the environment variable {name} is not set"))?;
                let text = value.to_str();
                text.map(str::to_owned)
                    .ok_or_else(|| format!("the environment variable {name} holds no UTF-8 text"))
            }
            Place::File(path) => {
                let bytes = read_file(path, file_max)?;
                String::from_utf8(bytes).map_err(|_| format!("the file {path:?} holds no UTF-8 text"))
            }
        }
    }

    /// Resolves and parses the text, trimmed if it comes from a file. `what` names it in messages, such as
    /// `signing secret`.
    ///
    /// # Errors
    /// The text cannot be resolved, or `parse` refuses it. The error of `parse` must not repeat the text.
    pub fn parse<T, E: Display>(
        &self,
        environment: &Environment,
        what: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, String> {
        let text = self.text(environment, SECRET_MAX)?;
        match self.place() {
            Place::Here => {
                parse(&text).map_err(|error| format!("is no {what} (nor env:NAME, nor file:PATH): {error}"))
            }
            Place::Variable(name) => parse(&text)
                .map_err(|error| format!("the environment variable {name} holds no {what}: {error}")),
            Place::File(path) => {
                parse(text.trim()).map_err(|error| format!("the file {path:?} holds no {what}: {error}"))
            }
        }
    }

    fn place(&self) -> Place<'_> {
        if let Some(name) = self.0.strip_prefix("env:") {
            Place::Variable(name)
        } else if let Some(path) = self.0.strip_prefix("file:") {
            Place::File(path)
        } else {
            Place::Here
        }
    }
}

/// Reads a file of at most `bytes_max` bytes; the path may lead to an endless one. A text that is the content
/// of a file rather than a path is refused without repeating it, since it may be a key.
pub(super) fn read_file(path: &str, bytes_max: u64) -> Result<Vec<u8>, String> {
    if path.contains("-----BEGIN") || path.contains(['\n', '\r']) {
        return Err("must be the path of a file; this looks like the content of one".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read the file {path:?}: {error}"))?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("the file {path:?} is larger than {}", ByteSize(bytes_max)));
    }
    Ok(bytes)
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<hidden>")
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// Implemented by hand, because serde's messages repeat the value that they refuse.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            _ => Err(D::Error::custom("must be a text")),
        }
    }
}

/// The `secret` of a receiver: one, or a list of one or two during a rotation.
#[derive(Debug)]
pub(super) enum Secrets {
    One(Secret),
    List(Vec<Secret>),
}

impl<'de> Deserialize<'de> for Secrets {
    /// Implemented by hand, because serde's messages repeat the value that they refuse.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secret = |value| match value {
            Value::String(text) => Some(Secret(text)),
            _ => None,
        };
        let secrets = match Value::deserialize(deserializer)? {
            Value::Array(values) => values.into_iter().map(secret).collect::<Option<_>>().map(Self::List),
            value => secret(value).map(Self::One),
        };
        secrets.ok_or_else(|| D::Error::custom("must be a text or a list of one or two texts"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::SigningKey;
    use crate::outbound::signature::sign;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn resolve_in(text: &str, environment: &Environment) -> Result<SigningKey, String> {
        Secret(text.to_owned()).parse(environment, "signing secret", str::parse)
    }

    fn resolve(text: &str) -> Result<SigningKey, String> {
        resolve_in(text, &Environment::default())
    }

    #[test]
    fn a_secret_may_be_in_a_variable_or_in_a_file() {
        let signature = |key: SigningKey| sign(&[key], "dlv_1", 0, b"body");
        let expected = signature(resolve(SECRET).unwrap());

        let environment: Environment = [("HOOK", SECRET)].into_iter().collect();
        assert_eq!(signature(resolve_in("env:HOOK", &environment).unwrap()), expected);

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{SECRET}\n")).unwrap();
        assert_eq!(signature(resolve(&format!("file:{}", file.path().display())).unwrap()), expected);
    }

    #[test]
    fn a_secret_that_is_not_there_says_where_it_was_sought() {
        assert_eq!(resolve("env:HOOK").unwrap_err(), "the environment variable HOOK is not set");
        assert!(resolve("file:/nowhere/hook").unwrap_err().contains(r#"the file "/nowhere/hook""#));
        let endless = resolve("file:/dev/zero").unwrap_err();
        assert_eq!(endless, r#"the file "/dev/zero" is larger than 4.0 KiB"#);
    }

    #[test]
    fn the_contents_of_a_file_in_the_place_of_its_path_are_not_repeated() {
        for contents in ["-----BEGIN PRIVATE KEY-----c2VjcmV0", "c2VjcmV0\n", "c2VjcmV0\rc2VjcmV0"] {
            let errors =
                [read_file(contents, 10).unwrap_err(), resolve(&format!("file:{contents}")).unwrap_err()];
            for error in errors {
                assert!(error.contains("path") && !error.contains("c2VjcmV0"), "{error}");
            }
        }
    }

    #[test]
    fn a_secret_that_is_no_text_says_so() {
        use std::ffi::OsString;
        use std::os::unix::ffi::OsStringExt as _;
        let environment: Environment =
            [(OsString::from("HOOK"), OsString::from_vec(vec![0xFF]))].into_iter().collect();
        let error = resolve_in("env:HOOK", &environment).unwrap_err();
        assert_eq!(error, "the environment variable HOOK holds no UTF-8 text");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"\xFF").unwrap();
        let error = resolve(&format!("file:{}", file.path().display())).unwrap_err();
        assert!(error.ends_with("holds no UTF-8 text"), "{error}");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let shown = [
            format!("{:?}", Secret(SECRET.to_owned())),
            format!("{:?}", resolve(SECRET).unwrap()),
            resolve("whsec_MfKQ9r8G").unwrap_err(),
            resolve("MfKQ9r8G").unwrap_err(),
            resolve("whsec_MfKQ9r8G!").unwrap_err(),
        ];
        for shown in shown {
            assert!(!shown.contains("MfKQ9r8G"), "{shown}");
        }
    }
}
