//! Signing secrets: written as `whsec_…`, `env:NAME` or `file:PATH`, kept as keys, shown as nothing.
//!
//! Neither type ever prints what it holds, and no message repeats any of it: what somebody put in the place of a secret
//! by mistake may be another secret.

use std::fmt;
use std::fs::File;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT as BASE64;
use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};
use toml::Value;

use super::environment::Environment;

const HIDDEN: &str = "<hidden>";
const PREFIX: &str = "whsec_";
const FORM: &str = "must be whsec_ and the base64 of 24 to 64 bytes, or env:NAME, or file:PATH";
/// Far more than a secret takes, and a bound on a path that leads to something endless.
const FILE_BYTES_MAX: u64 = 4_096;

/// A secret as the configuration writes it: the thing itself, or where it is.
#[derive(Clone, PartialEq, Eq)]
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
            let key = value.to_str().and_then(SigningKey::decode);
            key.ok_or_else(|| {
                format!("the environment variable {name} must hold whsec_ and the base64 of 24 to 64 bytes")
            })
        } else if let Some(path) = self.0.strip_prefix("file:") {
            let text = read(path).map_err(|error| format!("cannot read the file {path:?}: {error}"))?;
            SigningKey::decode(text.trim())
                .ok_or_else(|| format!("the file {path:?} must hold whsec_ and the base64 of 24 to 64 bytes"))
        } else {
            SigningKey::decode(&self.0).ok_or_else(|| FORM.to_owned())
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
        formatter.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
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

/// The key that notifications are signed with: 24 to 64 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(Vec<u8>);

impl SigningKey {
    /// The bytes to give to HMAC-SHA256.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn decode(text: &str) -> Option<Self> {
        let key = BASE64.decode(text.strip_prefix(PREFIX)?).ok()?;
        (24..=64).contains(&key.len()).then_some(Self(key))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resolve(text: &str) -> Result<SigningKey, String> {
        Secret(text.to_owned()).resolve(&Environment::default())
    }

    proptest! {
        #[test]
        fn a_key_of_24_to_64_bytes_is_read_back_and_no_other(key in proptest::collection::vec(any::<u8>(), 0..100)) {
            let padded = format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(&key));
            let bare = padded.trim_end_matches('=');
            for text in [&padded, bare] {
                match resolve(text) {
                    Ok(found) => prop_assert_eq!(found.as_bytes(), &key[..]),
                    Err(_) => prop_assert!(!(24..=64).contains(&key.len())),
                }
            }
        }
    }

    #[test]
    fn a_secret_may_be_in_a_variable_or_in_a_file() {
        let text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let expected = resolve(text).unwrap();

        let environment: Environment = [("HOOK", text)].into_iter().collect();
        assert!(Secret("env:HOOK".into()).resolve(&environment).unwrap() == expected);

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{text}\n")).unwrap();
        assert!(resolve(&format!("file:{}", file.path().display())).unwrap() == expected);
    }

    #[test]
    fn a_secret_that_is_not_there_says_where_it_was_sought() {
        assert_eq!(resolve("env:HOOK").unwrap_err(), "the environment variable HOOK is not set");
        assert!(resolve("file:/nowhere/hook").unwrap_err().contains(r#"the file "/nowhere/hook""#));
        assert!(resolve("file:/dev/zero").unwrap_err().contains("must hold whsec_"));
    }

    #[test]
    fn a_secret_is_never_shown() {
        let text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let secret = Secret(text.to_owned());
        let key = resolve(text).unwrap();
        let shown = [
            format!("{secret:?}"),
            format!("{secret}"),
            serde_json::to_string(&secret).unwrap(),
            format!("{key:?}"),
            resolve("whsec_MfKQ9r8G").unwrap_err(),
        ];
        for shown in shown {
            assert!(!shown.contains("MfKQ9r8G"), "{shown}");
        }
    }
}
