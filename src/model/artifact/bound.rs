//! The least and greatest values in an artifact: numbers or texts.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::{Number, Value};

/// Numbers, also those in texts, compare by value and are less than all other texts. Those compare byte by
/// byte, so that dates in ISO 8601 sort by time.
#[derive(Clone, Debug)]
pub enum Bound {
    Number(Number),
    Text(Arc<str>),
}

/// What is compared. Integers are compared exactly where floating-point numbers are the same.
#[derive(Clone, Copy)]
enum Rank<'a> {
    Number(f64, i128),
    Text(&'a str),
}

impl Bound {
    /// `None` for anything else than a number or a text.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => Some(Self::Number(number.clone())),
            Value::String(text) => Some(Self::Text(text.as_str().into())),
            _ => None,
        }
    }

    fn rank(&self) -> Rank<'_> {
        match self {
            Self::Number(number) => {
                let value = number.as_f64().unwrap_or_default();
                Rank::Number(value, number.as_i128().unwrap_or(value as i128))
            }
            Self::Text(text) => number_in(text).unwrap_or(Rank::Text(text)),
        }
    }
}

/// The number that a text is, if it is a decimal one.
fn number_in(text: &str) -> Option<Rank<'static>> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number: f64 = text.parse().ok().filter(|number: &f64| is_decimal && number.is_finite())?;
    Some(Rank::Number(number, text.parse().unwrap_or(number as i128)))
}

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.rank(), other.rank()) {
            (Rank::Number(left, exact_left), Rank::Number(right, exact_right)) => {
                // Zero is the same with either sign.
                (left + 0.0).total_cmp(&(right + 0.0)).then(exact_left.cmp(&exact_right))
            }
            (Rank::Number(..), Rank::Text(_)) => Ordering::Less,
            (Rank::Text(_), Rank::Number(..)) => Ordering::Greater,
            (Rank::Text(left), Rank::Text(right)) => left.cmp(right),
        }
    }
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Bound {}

impl From<Bound> for Value {
    fn from(bound: Bound) -> Self {
        match bound {
            Bound::Number(number) => Self::Number(number),
            Bound::Text(text) => Self::String((*text).to_owned()),
        }
    }
}
