//! Words: the values of which there is a fixed list. Each list stands here once; filters, metrics, the
//! OpenAPI description, the command line and the store take it from here.
//!
//! A request takes none but these. In answers a word may be one that a later daemon added: see [`Word`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A list of words.
pub trait Vocabulary: Copy + Sized + 'static {
    /// All of them, in the order in which they are listed.
    const WORDS: &'static [&'static str];

    /// The word on the wire.
    fn word(self) -> &'static str;

    /// The one that is written like this.
    fn of_word(text: &str) -> Option<Self>;
}

/// A text that is none of the words that may stand in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownWord(
    /// The words that may.
    pub &'static [&'static str],
);

impl fmt::Display for UnknownWord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "it is none of {}", self.0.join(", "))
    }
}

impl std::error::Error for UnknownWord {}

/// A word of an answer: one of a list, or one that a later daemon added to it. It is shown as it came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word<T> {
    /// A word of the list.
    Known(T),
    /// Another one.
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

    /// The word, if it is one of the list.
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

// The derived forms of serde are those of an enumeration: a word in text, its place in the list in the
// compact binary form in which the daemon stores some. So a word may be added at the end of its list only.
macro_rules! words {
    ($(#[doc = $description:literal] $(#[$attribute:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ })+) => {$(
        #[doc = $description]
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All of them, in the order in which they are listed.
            pub const ALL: [Self; [$($word),+].len()] = [$(Self::$variant),+];

            /// Their words, in the same order.
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

words! {
    /// How an item stands at some instant.
    ItemState {
        /// Neither done nor late.
        Open = "open",
        /// Open, and past its deadline.
        Overdue = "overdue",
        /// A fatal error was reported; it waits for somebody to act.
        Failed = "failed",
        /// Its workflow is on hold.
        Held = "held",
        /// Done or given up.
        Closed = "closed",
    }

    /// How an item ended.
    #[derive(Default)]
    CloseOutcome {
        /// The work was done.
        #[default]
        Success = "success",
        /// The work was given up.
        Discarded = "discarded",
        /// The work ended without success.
        Failed = "failed",
    }

    /// How an item left a step.
    StepStatus {
        /// What was to be done there is done.
        Done = "done",
        /// It was left undone, because its error could be ignored.
        Skipped = "skipped",
    }

    /// The order of a list of items.
    #[derive(Default)]
    ItemOrder {
        /// As they were created.
        #[default]
        Created = "created",
        /// The earliest deadline first.
        Deadline = "deadline",
        /// Failed ones, then held, overdue, open and closed ones; of each the earliest deadline first.
        Trouble = "trouble",
    }

    /// What is wrong with the items of an incident.
    IncidentKind {
        /// They are open and past their deadline.
        Overdue = "overdue",
        /// A fatal error was reported about them.
        Failed = "failed",
        /// They should have been created and were not.
        Missed = "missed",
        /// Their workflow is on hold.
        Held = "held",
    }

    /// Whether there is still something wrong.
    IncidentStatus {
        /// There is.
        Open = "open",
        /// Nothing is left of it.
        Resolved = "resolved",
    }

    /// The order of a list of incidents.
    #[derive(Default)]
    IncidentOrder {
        /// The latest first.
        #[default]
        Newest = "newest",
        /// Open ones alone: the worst first, of those as bad the oldest.
        Severity = "severity",
    }

    /// How bad an incident is, the mildest first. The words are those of PagerDuty's events, which others
    /// share.
    Severity {
        /// Good to know.
        Info = "info",
        /// To be looked at in working hours.
        Warning = "warning",
        /// To be looked at soon.
        Error = "error",
        /// Somebody has to be woken.
        Critical = "critical",
    }

    /// What the next notification of an incident waits for.
    WaitingFor {
        /// The items that may still come: the time in which a new incident gathers.
        GroupWait = "group_wait",
        /// The least time between two notifications about growth.
        GroupInterval = "group_interval",
        /// It keeps ending and beginning again, and people are not told each time.
        Damping = "damping",
        /// The end of a silence.
        Silence = "silence",
        /// The end of a snooze.
        Snooze = "snooze",
        /// A receiver that cannot be reached, or asked to be left alone.
        Receiver = "receiver",
    }

    /// What people do about incidents.
    ActionWord {
        /// Somebody looks after it: it is not escalated any further.
        Acknowledge = "acknowledge",
        /// It is to be told again from some instant on.
        Snooze = "snooze",
        /// Somebody noted something.
        Comment = "comment",
    }

    /// What a notification says.
    Event {
        /// An incident opened.
        Opened = "incident.opened",
        /// It grew.
        Grown = "incident.grown",
        /// It is still open.
        Reminder = "incident.reminder",
        /// Nobody has acknowledged it for so long that others are told.
        Escalated = "incident.escalated",
        /// Somebody looks after it. Only for receivers that keep a state of their own and have a word for
        /// this.
        Acknowledged = "incident.acknowledged",
        /// Nothing is left of it.
        Resolved = "incident.resolved",
        /// No incident at all: somebody tries out whether the receiver can be reached.
        Test = "receiver.test",
    }

    /// How far a delivery has come.
    DeliveryStatus {
        /// It waits for its next attempt.
        Pending = "pending",
        /// The receiver answered 2xx.
        Delivered = "delivered",
        /// It was given up.
        Dead = "dead",
    }

    /// Where a silence stands in time.
    SilenceStatus {
        /// It has not begun.
        Pending = "pending",
        /// It holds.
        Active = "active",
        /// It is over.
        Expired = "expired",
    }

    /// Whether a receiver can be told anything.
    ReceiverState {
        /// Nothing is known against it.
        Ok = "ok",
        /// Its latest attempts failed, or it asked to be left alone for more than a minute.
        Failing = "failing",
        /// It said that it is gone: nothing is sent until somebody resumes it, a test succeeds, or the daemon
        /// is restarted.
        Paused = "paused",
    }

    /// The form of what a receiver is sent.
    ReceiverFormat {
        /// Standard Webhooks.
        Standard = "standard",
        /// Prometheus Alertmanager.
        Alertmanager = "alertmanager",
        /// PagerDuty.
        PagerDuty = "pagerduty",
        /// Slack.
        Slack = "slack",
        /// CloudEvents.
        CloudEvents = "cloudevents",
        /// What people write themselves.
        Template = "template",
    }

    /// Where a replay stands, in the order in which they may follow each other.
    ReplayStatus {
        /// It sends.
        Running = "running",
        /// It waits until somebody says that it is to go on.
        Paused = "paused",
        /// All of its items have ended.
        Completed = "completed",
        /// Somebody ended it.
        Cancelled = "cancelled",
    }

    /// What becomes of an item that the target of a replay took.
    #[derive(Default)]
    OnSuccess {
        /// Nothing: the work goes on there, and whoever does it closes the item.
        #[default]
        Accept = "accept",
        /// It is closed: the answer says that the work is done.
        Close = "close",
    }

    /// What a line of a batch asks for.
    LineOperation {
        /// To create an item.
        Create = "create",
        /// To close one.
        Close = "close",
        /// Nothing: it ends an export, so that an export can be handed in as it is.
        End = "end",
    }

    /// Where a workflow comes from.
    WorkflowSource {
        /// The configuration defines it.
        Config = "config",
        /// Its first item made it.
        FirstUse = "first_use",
    }

    /// Whether there is room for new items.
    StorageState {
        /// There is.
        Ok = "ok",
        /// Creates are refused for want of space, and closes go on.
        Full = "full",
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
    /// Whether nothing more is to come.
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
mod tests {
    use super::*;

    #[test]
    fn a_word_that_a_later_daemon_added_is_shown_as_it_came() {
        for (text, known) in [("\"overdue\"", Some(ItemState::Overdue)), ("\"interrupted\"", None)] {
            let word: Word<ItemState> = serde_json::from_str(text).unwrap();
            assert_eq!(word.known(), known);
            assert_eq!(serde_json::to_string(&word).unwrap(), text);
        }
    }

    #[test]
    fn a_request_takes_none_but_the_words_of_the_list() {
        assert!(serde_json::from_str::<ItemState>("\"interrupted\"").is_err());
        let refusal = "late".parse::<ItemState>().unwrap_err().to_string();
        assert_eq!(refusal, "it is none of open, overdue, failed, held, closed");
    }

    #[test]
    fn a_word_is_written_as_it_is_listed() {
        for event in Event::ALL {
            assert_eq!(serde_json::to_value(event).unwrap(), event.as_str());
            assert_eq!(event.as_str().parse(), Ok(event));
        }
    }
}
