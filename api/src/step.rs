//! Steps: their terms, reports of their runs, and progress documents.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

use crate::word::{OnIgnorable, ProgressOperation, StepStatus};

/// A step that an item is created with: its name alone, or with terms of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StepTerms {
    /// 1 to 128 characters of A-Z a-z 0-9 . _ -.
    pub name: String,
    /// The deadline of the item from entering the step, such as `5m`; never later than the item's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// Retries after retryable errors; by default those of the workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<StepRetry>,
    /// How many leases may run out at the step before the item fails: a number, or `unlimited`; by default as
    /// many as the workflow says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub max_losses: Option<Limit>,
    /// What an ignorable error does; by default `skip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_ignorable: Option<OnIgnorable>,
}

/// The retries of a step. What is left out is the workflow's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StepRetry {
    /// The most retries: a number, or `unlimited`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub max: Option<Limit>,
    /// The first wait and the longest, such as `10s..10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<String>,
    /// The largest random part added to a wait, as a fraction from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<f64>,
}

/// A number, or `"unlimited"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(
    /// `None` if it is unlimited.
    pub Option<u32>,
);

impl Serialize for Limit {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(number) => serializer.serialize_u32(number),
            None => serializer.serialize_str(UNLIMITED),
        }
    }
}

const UNLIMITED: &str = "unlimited";

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Limit;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a number, or \"unlimited\"")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Limit, E> {
                let number = u32::try_from(number);
                let too_large = |_| E::custom(format!("a number from 0 to {}, or \"unlimited\"", u32::MAX));
                number.map(|number| Limit(Some(number))).map_err(too_large)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Limit, E> {
                self.visit_u64(u64::try_from(number).unwrap_or(u64::MAX))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Limit, E> {
                match text {
                    UNLIMITED => Ok(Limit(None)),
                    // Variables of the environment are texts.
                    text => match text.parse() {
                        Ok(number) => Ok(Limit(Some(number))),
                        Err(_) => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                    },
                }
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl<'de> Deserialize<'de> for StepTerms {
    /// Implemented by hand, because the error of an untagged enumeration says only that nothing matched.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            name: String,
            #[serde(default)]
            deadline: Option<String>,
            #[serde(default)]
            retry: Option<StepRetry>,
            #[serde(default)]
            max_losses: Option<Limit>,
            #[serde(default)]
            on_ignorable: Option<OnIgnorable>,
        }

        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = StepTerms;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("the name of a step, or an object with its name and terms")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<StepTerms, E> {
                Ok(StepTerms { name: name.to_owned(), ..StepTerms::default() })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<StepTerms, A::Error> {
                let table = Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let Table { name, deadline, retry, max_losses, on_ignorable } = table;
                Ok(StepTerms { name, deadline, retry, max_losses, on_ignorable })
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// A report on the step that an item is at, without a lease.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct StepRequest {
    /// How the run ended; by default `done`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<StepStatus>,
    /// A message for the history; at most 512 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Arc<str>>,
    /// A request to run the step again, after `done` or `interrupted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<RepeatRequest>,
    /// A change of a progress document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_change: Option<ProgressChange>,
}

/// A request of a person to send an item on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RetryRequest {
    /// The step to go on from; by default the one that it is at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How long nobody can claim it, such as `30m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The instant (RFC 3339) before which nobody can claim it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// When a step runs again. Without `after` and `at` it is due at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RepeatRequest {
    /// A duration from now, such as `30m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// An instant (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The most runs in all, this one included; by default any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

/// A change of a progress document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ProgressChange {
    /// How the value changes the document.
    pub op: ProgressOperation,
    /// The whole document, or its changed members.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub value: Map<String, Value>,
    /// Whether it is the document of the current step instead of the one that all steps share.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_step: bool,
}
