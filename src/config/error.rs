//! All problems of a configuration, each with its origin.
//!
//! A message never repeats a value that may be a secret, nor a line of the file.

use std::fmt::{self, Write as _};

use super::origin::Origin;
use super::path::SettingPath;
use crate::model::text::Plain;

/// Printed as `ORIGIN: SETTING: MESSAGE`.
#[derive(Clone, Debug)]
pub struct Problem {
    pub origin: Origin,
    /// The root if the text as a whole is at fault.
    pub path: SettingPath,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, path, message } = self;
        let mut shown = format!("{origin}: ");
        if !path.is_root() {
            write!(shown, "{path}: ")?;
        }
        shown.push_str(message);
        // A repeated name, key or value may contain a line break, and a problem is one line.
        write!(formatter, "{}", Plain(shown))
    }
}

/// Printed with one problem on each line.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// Sorts the problems by origin.
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|one, other| one.origin.cmp(&other.origin));
        Self { problems }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Never empty. Those in the file come first, from top to bottom.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}
