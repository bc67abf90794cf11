//! Names of workflows, items and steps, which are valid by construction; and checks of labels.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::limit::{ITEM_ID_MAX, LABEL_NAME_MAX, LABEL_VALUE_MAX, LABELS_MAX, LABELS_SIZE_MAX, NAME_MAX};
use crate::quote::quote;

/// The rule of [`is_name`], for messages.
pub const NAME_RULE: &str = "it takes 1 to 128 of A-Z a-z 0-9 . _ - and starts with a letter or digit";

/// Why a name is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Not `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`; with what it was for, such as `workflow`.
    Pattern(String, &'static str),
    /// An item id that is empty or too long, with its length in bytes.
    IdLength(usize),
    /// `.` or `..`, which clients remove from paths.
    IdDots(String),
    /// An item id with this control character.
    IdControl(u32),
}

impl fmt::Display for NameError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(text, what) => {
                write!(formatter, "{} is no valid {what} name: {NAME_RULE}", quote(text))
            }
            Self::IdLength(length) => {
                write!(formatter, "an item id is 1 to {ITEM_ID_MAX} bytes of UTF-8; this one has {length}")
            }
            Self::IdDots(text) => write!(
                formatter,
                "{} is no item id: in a path it means a directory, and clients resolve it before they ask",
                quote(text)
            ),
            Self::IdControl(character) => {
                write!(formatter, "an item id holds no control characters; this one has U+{character:04X}")
            }
        }
    }
}

impl std::error::Error for NameError {}

/// Whether a text is `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`, the rule for all names, also those without a type
/// here.
pub fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= NAME_MAX
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Validates a name.
            pub fn new(text: impl Into<Arc<str>>) -> Result<Self, NameError> {
                let text = text.into();
                let check: fn(&str) -> Result<(), NameError> = $check;
                check(&text)?;
                Ok(Self(text))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for Arc<str> {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, formatter)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(text).map_err(de::Error::custom)
            }
        }
    };
}

text_type!(
    /// The name of a workflow: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
    WorkflowName,
    |text| if is_name(text) { Ok(()) } else { Err(NameError::Pattern(text.into(), "workflow")) }
);

text_type!(
    /// The name of a job of a workflow: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
    JobName,
    |text| if is_name(text) { Ok(()) } else { Err(NameError::Pattern(text.into(), "job")) }
);

text_type!(
    /// The name of a step: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
    StepName,
    |text| if is_name(text) { Ok(()) } else { Err(NameError::Pattern(text.into(), "step")) }
);

text_type!(
    /// The id of an item within its workflow: 1 to 256 bytes of UTF-8 without control characters, not `.` or
    /// `..`.
    ItemId,
    |text| {
        if text.is_empty() || text.len() > ITEM_ID_MAX {
            return Err(NameError::IdLength(text.len()));
        }
        if matches!(text, "." | "..") {
            return Err(NameError::IdDots(text.into()));
        }
        match text.chars().find(|character| character.is_control()) {
            Some(character) => Err(NameError::IdControl(u32::from(character))),
            None => Ok(()),
        }
    }
);

#[cfg(feature = "schema")]
mod schema {
    use std::borrow::Cow;

    use utoipa::openapi::schema::{ObjectBuilder, Type};
    use utoipa::openapi::{RefOr, Schema};

    macro_rules! texts {
        ($($name:ident)*) => {$(
            impl utoipa::PartialSchema for super::$name {
                fn schema() -> RefOr<Schema> {
                    ObjectBuilder::new().schema_type(Type::String).into()
                }
            }

            impl utoipa::ToSchema for super::$name {
                fn name() -> Cow<'static, str> {
                    stringify!($name).into()
                }
            }
        )*};
    }

    texts! { WorkflowName JobName StepName ItemId }
}

/// The labels of an item: names and values to filter by.
pub type Labels = Arc<BTreeMap<String, String>>;

/// Why labels are invalid, as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelError(String);

impl fmt::Display for LabelError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for LabelError {}

/// Whether a label name is valid: 1 to 63 of `A-Z a-z 0-9 . _ - /`.
pub fn is_label_name(name: &str) -> bool {
    (1..=LABEL_NAME_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
}

/// Checks names, values, number and size of an item's labels. The message names the limit that is exceeded.
pub fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), LabelError> {
    let refuse = |message: String| Err(LabelError(message));
    if labels.len() > LABELS_MAX {
        return refuse(format!("an item carries at most {LABELS_MAX} labels; these are {}", labels.len()));
    }
    for (name, value) in labels {
        if !is_label_name(name) {
            return refuse(format!(
                "{} is no label name: it takes 1 to {LABEL_NAME_MAX} of A-Z a-z 0-9 . _ - /",
                quote(name)
            ));
        }
        if value.len() > LABEL_VALUE_MAX || value.chars().any(char::is_control) {
            return refuse(format!(
                "the value of label {name} is at most {LABEL_VALUE_MAX} bytes without control characters"
            ));
        }
    }
    let size: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > LABELS_SIZE_MAX {
        return refuse(format!(
            "all labels together take at most {LABELS_SIZE_MAX} bytes; these take {size}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_name_keeps_to_its_pattern() {
        for good in ["a", "uploads", "A.b_c-9", &"x".repeat(128)] {
            assert!(WorkflowName::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".a", "-a", "_a", "a b", "a/b", "ä", "a\n", "a\0", &"x".repeat(129)] {
            assert!(WorkflowName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_item_id_is_any_text_without_control_characters() {
        for good in ["../../etc/passwd", "a/b", "ä ö", "%2F", &"x".repeat(256)] {
            assert!(ItemId::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a\0b", "a\nb", "\u{7f}", &"x".repeat(257), &"ä".repeat(129)] {
            assert!(ItemId::new(bad).is_err(), "{bad:?}");
        }
    }
}
