//! Names: of workflows, items and steps. A value of these types is valid by construction.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::quote;

/// The longest name of a workflow or step, in bytes.
pub const NAME_MAX: usize = 128;
/// The longest item id, in bytes of UTF-8.
pub const ITEM_ID_MAX: usize = 256;

/// What [`is_name`] accepts, in words.
pub const NAME_RULE: &str = "it takes 1 to 128 of A-Z a-z 0-9 . _ - and starts with a letter or digit";

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A workflow or step name outside `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
    #[error("{text} is no valid {1} name: {NAME_RULE}", text = quote(.0))]
    Pattern(String, &'static str),
    /// An item id that is empty or too long.
    #[error("an item id is 1 to 256 bytes of UTF-8; this one has {0}")]
    IdLength(usize),
    /// An item id that clients take for a way through directories and leave out of the path.
    #[error("{} is no item id: in a path it means a directory, and clients resolve it before they ask", quote(.0))]
    IdDots(String),
    /// An item id that holds a control character.
    #[error("an item id holds no control characters; this one has U+{0:04X}")]
    IdControl(u32),
}

/// Whether `text` is `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`: the form of all names, also of those without a type here.
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
            /// Checks the text and takes it.
            ///
            /// # Errors
            /// When the text is no such name.
            pub fn new(text: impl Into<Arc<str>>) -> Result<Self, NameError> {
                let text = text.into();
                let check: fn(&str) -> Result<(), NameError> = $check;
                check(&text)?;
                Ok(Self(text))
            }

            /// The text.
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
    /// The name of a step; it follows the same pattern as a workflow's name.
    StepName,
    |text| if is_name(text) { Ok(()) } else { Err(NameError::Pattern(text.into(), "step")) }
);

text_type!(
    /// The id of an item within its workflow: 1 to 256 bytes of UTF-8 without control characters, and neither `.` nor `..`.
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
