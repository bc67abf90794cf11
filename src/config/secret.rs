//! Signing secrets: written as `whsec_…`, `env:NAME` or `file:PATH`, kept as keys, shown as nothing.
//!
//! Neither a secret nor its key ever prints what it holds, and no message repeats any of it: what somebody put in the place of a secret
//! by mistake may be another secret.

use std::fmt;
use std::fs::File;
use std::io::Read;

use serde::de::{Deserialize, Deserializer, Error};
use toml::Value;

use super::environment::Environment;
use crate::notifier::SigningKey;

/// Far more than a secret takes, and a bound on a path that leads to something endless.
const FILE_BYTES_MAX: u64 = 4_096;

/// A secret as the configuration writes it: the thing itself, or where it is.
pub struct Secret(String);

impl Secret {
    /// Reads the variable or the file that it refers to, if it does, and decodes the key.
    ///
    /// # Errors
    ///
    /// Says what is wrong when the variable or the file is not there, or the text is not of the form.
    pub fn resolve(&self, environment: &Environment) -> Result<SigningKey, String> {
        if let Some(name) = self.0.strip_prefix("env:") {
            let value = environment.get(name);
            let value = value.ok_or_else(|| format!("the environment variable {name} is not set"))?;
            // What is not UTF-8 is no base64 either.
            let key = value.to_string_lossy().parse();
            key.map_err(|error| format!("the environment variable {name} holds no signing secret: {error}"))
        } else if let Some(path) = self.0.strip_prefix("file:") {
            let text = read(path).map_err(|error| format!("cannot read the file {path:?}: {error}"))?;
            let key = text.trim().parse();
            key.map_err(|error| format!("the file {path:?} holds no signing secret: {error}"))
        } else {
            let key = self.0.parse();
            key.map_err(|error| format!("is no signing secret (nor env:NAME, nor file:PATH): {error}"))
        }
    }
}

fn read(path: &str) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<hidden>")
    }
}

/// The `secret` of a receiver: one, or a list of one or two while it is rotated.
#[derive(Debug)]
pub(super) enum Secrets {
    One(Secret),
    List(Vec<Secret>),
}

impl<'de> Deserialize<'de> for Secrets {
    /// By hand, because serde's own messages repeat the value that they refuse.
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
    use crate::notifier::signature::sign;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn resolve(text: &str) -> Result<SigningKey, String> {
        Secret(text.to_owned()).resolve(&Environment::default())
    }

    #[test]
    fn a_secret_may_be_in_a_variable_or_in_a_file() {
        let signature = |key: SigningKey| sign(&[key], "dlv_1", 0, b"body");
        let expected = signature(resolve(SECRET).unwrap());

        let environment: Environment = [("HOOK", SECRET)].into_iter().collect();
        assert_eq!(signature(Secret("env:HOOK".into()).resolve(&environment).unwrap()), expected);

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{SECRET}\n")).unwrap();
        assert_eq!(signature(resolve(&format!("file:{}", file.path().display())).unwrap()), expected);
    }

    #[test]
    fn a_secret_that_is_not_there_says_where_it_was_sought() {
        assert_eq!(resolve("env:HOOK").unwrap_err(), "the environment variable HOOK is not set");
        assert!(resolve("file:/nowhere/hook").unwrap_err().contains(r#"the file "/nowhere/hook""#));
        let endless = resolve("file:/dev/zero").unwrap_err();
        assert!(endless.starts_with(r#"the file "/dev/zero" holds no signing secret: "#), "{endless}");
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
