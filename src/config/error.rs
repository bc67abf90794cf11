//! What is wrong with a configuration: every problem, each with the place at fault.
//!
//! A message never repeats a value that may be a secret, and never a line of the file.

use std::fmt::{self, Write as _};

use super::origin::Origin;
use super::path::SettingPath;
use crate::model::text::Plain;

/// One thing that is wrong. Printed as `PLACE: SETTING: MESSAGE`.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Where the setting at fault was given.
    pub origin: Origin,
    /// The setting at fault; the root when it is the text as such.
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
        // A name, a key or a value that is repeated may hold a line break, and a problem is one line.
        write!(formatter, "{}", Plain(shown))
    }
}

/// Why there is no configuration. Printed with one problem on each line.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// Puts the problems into the order in which their places are read.
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|one, other| one.origin.cmp(&other.origin));
        Self { problems }
    }

    /// The problems: those in the file first, from top to bottom. Never empty.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}
