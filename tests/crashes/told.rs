//! The report of the killed process to its parent: a line for each event, in order.

use std::fmt;

use crate::story::Story;

/// A thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The store is open, and everything can be done with it.
    Opened,
    /// A submitter is about to submit its next request.
    Submits(usize),
    /// The oldest pending request of a submitter was carried out, of which this is known.
    Done(usize, Vec<u64>),
    /// What was pending of a submitter is lost. Only the watching process says so.
    Lost(usize),
    /// What was recent went into a generation.
    Checkpoint,
    /// Something is not as it must be.
    Wrong(String),
}

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened => write!(formatter, "opened"),
            Self::Submits(submitter) => write!(formatter, "submits {submitter}"),
            Self::Done(submitter, facts) => {
                write!(formatter, "done {submitter}")?;
                facts.iter().try_for_each(|fact| write!(formatter, " {fact}"))
            }
            Self::Lost(submitter) => write!(formatter, "lost {submitter}"),
            Self::Checkpoint => write!(formatter, "checkpoint"),
            Self::Wrong(what) => write!(formatter, "wrong {}", what.replace('\n', " ")),
        }
    }
}

impl Told {
    /// Out of a line.
    pub fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut numbers = rest.split(' ').map(str::parse::<u64>);
        Some(match word {
            "opened" => Self::Opened,
            "submits" => Self::Submits(rest.parse().ok()?),
            "done" => {
                let submitter = numbers.next()?.ok()?;
                Self::Done(usize::try_from(submitter).ok()?, numbers.collect::<Result<_, _>>().ok()?)
            }
            "lost" => Self::Lost(rest.parse().ok()?),
            "checkpoint" => Self::Checkpoint,
            "wrong" => Self::Wrong(rest.to_owned()),
            _ => return None,
        })
    }

    /// Has it happen in the stories.
    pub fn happen(&self, stories: &mut [Story]) {
        match self {
            Self::Submits(submitter) => drop(stories[*submitter].submit().number),
            Self::Done(submitter, facts) => drop(stories[*submitter].settle(facts)),
            Self::Lost(submitter) => stories[*submitter].lose(),
            Self::Opened | Self::Checkpoint | Self::Wrong(_) => {}
        }
    }
}
