//! Words: values from fixed lists. Each list is defined once; filters, metrics, the OpenAPI description, the
//! command line and the store use it.
//!
//! Requests accept only these words. A response may have words of a later version: see [`Word`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A list of words.
pub trait Vocabulary: Copy + Sized + 'static {
    /// All words, in the order of the list.
    const WORDS: &'static [&'static str];

    /// The word on the wire.
    fn word(self) -> &'static str;

    /// Parses a word.
    fn of_word(text: &str) -> Option<Self>;
}

/// A text that is not in the list of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownWord(
    /// The words of the list.
    pub &'static [&'static str],
);

impl fmt::Display for UnknownWord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "it must be one of {}", self.0.join(", "))
    }
}

impl std::error::Error for UnknownWord {}

/// A word in a response: one of a list, or one that a later version added, which is shown as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word<T> {
    /// A word of the list.
    Known(T),
    /// Any other word.
    Other(String),
}

impl<T: Vocabulary> Word<T> {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(word) => word.word(),
            Self::Other(text) => text,
        }
    }

    /// The word, if it is in the list.
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(word) => Some(*word),
            Self::Other(_) => None,
        }
    }
}

impl<T: Vocabulary + PartialEq> PartialEq<T> for Word<T> {
    fn eq(&self, other: &T) -> bool {
        matches!(self, Self::Known(word) if word == other)
    }
}

impl<T> From<T> for Word<T> {
    fn from(word: T) -> Self {
        Self::Known(word)
    }
}

impl<T: Vocabulary> fmt::Display for Word<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl<T: Vocabulary> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, T: Vocabulary> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(std::marker::PhantomData<T>);

        impl<T: Vocabulary> de::Visitor<'_> for Text<T> {
            type Value = Word<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a word")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Word<T>, E> {
                Ok(T::of_word(text).map_or_else(|| Word::Other(text.to_owned()), Word::Known))
            }
        }

        deserializer.deserialize_str(Text(std::marker::PhantomData))
    }
}

// serde derives the forms of an enum: the word in text, its index in the binary form of the store. So words
// may be added only at the end of their list.
macro_rules! words {
    ($(
        #[doc = $description:literal] $(#[$attribute:meta])*
        $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }
    )+) => {$(
        #[doc = $description]
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All values, in the order of the list.
            pub const ALL: [Self; [$($word),+].len()] = [$(Self::$variant),+];

            /// All words, in the same order.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                schema::of_words(Self::WORDS, $description)
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }

        impl Vocabulary for $name {
            const WORDS: &'static [&'static str] = Self::WORDS;

            fn word(self) -> &'static str {
                self.as_str()
            }

            fn of_word(text: &str) -> Option<Self> {
                match text {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                Self::of_word(text).ok_or(UnknownWord(Self::WORDS))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.as_str())
            }
        }
    )+};
}

mod alert;
mod artifact;
mod run;

pub use self::alert::*;
pub use self::artifact::{ArtifactStatus, ArtifactUse};
pub use self::run::*;

words! {
    /// The state of an item at an instant.
    ItemState {
        /// Not closed and not late.
        Open = "open",
        /// Open and past its deadline.
        Overdue = "overdue",
        /// With a fatal error; a person has to act.
        Failed = "failed",
        /// Its workflow is on hold.
        Held = "held",
        /// Done, given up, or ended without success.
        Closed = "closed",
        /// Stopped at a step without an error, until it is repeated or retried. Its deadline runs.
        Interrupted = "interrupted",
    }

    /// How an item ended.
    #[derive(Default)]
    CloseOutcome {
        /// The work is done.
        #[default]
        Success = "success",
        /// The work was given up.
        Discarded = "discarded",
        /// The work ended without success.
        Failed = "failed",
    }

    /// How a run of a step ended.
    StepStatus {
        /// The step was completed.
        Done = "done",
        /// The step was left out, or an ignorable error occurred.
        Skipped = "skipped",
        /// The item stopped at the step.
        Interrupted = "interrupted",
    }

    /// What an ignorable error at a step does.
    #[derive(Default)]
    OnIgnorable {
        /// The item goes to its next step.
        #[default]
        Skip = "skip",
        /// The item is closed as failed, without an alert.
        End = "end",
    }

    /// How a progress document is changed.
    ProgressOperation {
        /// Replace the document.
        Set = "set",
        /// Replace or add members at the top level. A member that is null is kept as null.
        Assign = "assign",
        /// Merge nested objects, and remove members that are null (RFC 7396).
        Merge = "merge",
    }

    /// The order of a list of items.
    #[derive(Default)]
    ItemOrder {
        /// By creation.
        #[default]
        Created = "created",
        /// By deadline.
        Deadline = "deadline",
        /// Failed items, then interrupted, held, overdue, open and closed ones; each by deadline.
        Trouble = "trouble",
    }

    /// The status of a replay.
    ReplayStatus {
        /// It sends items.
        Running = "running",
        /// It waits for a person to resume it.
        Paused = "paused",
        /// All of its items are processed.
        Completed = "completed",
        /// A person ended it.
        Cancelled = "cancelled",
    }

    /// What happens to an item that the target of a replay accepted.
    #[derive(Default)]
    OnSuccess {
        /// Nothing: the target continues the work, and closes the item.
        #[default]
        Accept = "accept",
        /// The item is closed: the response means that the work is done.
        Close = "close",
    }

    /// What a token allows.
    Scope {
        /// Create and close items, report errors.
        Ingest = "ingest",
        /// Read everything but payloads.
        Read = "read",
        /// Claim items with their payloads, and complete or fail them.
        Work = "work",
        /// All of `work`, and payloads, retries, replays, silences, and actions on incidents.
        Recover = "recover",
        /// Everything.
        Admin = "admin",
    }

    /// The operation of a line in a batch.
    LineOperation {
        /// Create an item.
        Create = "create",
        /// Close an item.
        Close = "close",
        /// None: the end of an export, so that exports are valid batches.
        End = "end",
    }

    /// What defined a workflow.
    WorkflowSource {
        /// The configuration.
        Config = "config",
        /// A client, by `PUT /v1/workflows/{workflow}`.
        Api = "api",
        /// Its first item.
        FirstUse = "first_use",
    }

    /// Whether new items are accepted.
    StorageState {
        /// There is enough space.
        Ok = "ok",
        /// Creates are refused for lack of space; closes work.
        Full = "full",
    }
}

impl Scope {
    /// Whether this scope allows what `other` allows.
    pub fn includes(self, other: Self) -> bool {
        self == other || self == Self::Admin || (self == Self::Recover && other == Self::Work)
    }
}

impl ItemState {
    /// The states in which an item can be claimed or sent again.
    pub const RECOVERABLE: [Self; 3] = [Self::Open, Self::Overdue, Self::Failed];

    /// Whether an item in this state can be claimed or sent again.
    pub fn is_recoverable(self) -> bool {
        Self::RECOVERABLE.contains(&self)
    }
}

impl ReplayStatus {
    /// Whether it is completed or cancelled.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }
}

#[cfg(feature = "schema")]
mod schema {
    use utoipa::openapi::schema::{ObjectBuilder, Type};
    use utoipa::openapi::{RefOr, Schema};

    /// The schema of a list of words.
    pub fn of_words(words: &'static [&'static str], description: &str) -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(description.trim()))
            .enum_values(Some(words.iter().copied()))
            .into()
    }
}

#[cfg(test)]
mod tests;
