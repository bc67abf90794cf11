//! A delivery as the daemon shows it, as far as people are shown it.

use serde::Deserialize;

use super::age::relative;
use crate::model::Timestamp;

/// A delivery. Fields that a later daemon adds are passed over.
#[derive(Clone, Debug, Deserialize)]
pub struct Delivery {
    /// Its id.
    pub id: String,
    /// What it tells about.
    pub incident: String,
    /// Where it goes.
    pub receiver: String,
    /// What it says.
    pub event: String,
    /// How far it has come.
    pub status: String,
    /// When it was decided.
    pub created_at: Timestamp,
    /// How often it was tried.
    pub attempts_made: u32,
    /// The latest tries, oldest first.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
}

/// One try.
#[derive(Clone, Debug, Deserialize)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// What went wrong, if anything did.
    pub error: Option<String>,
}

impl Delivery {
    /// What became of it last.
    pub fn latest(&self, now: Timestamp) -> String {
        match self.attempts.last() {
            None => "not tried yet".to_owned(),
            Some(Attempt { at, error: None }) => format!("delivered {}", relative(*at, now)),
            Some(Attempt { at, error: Some(error) }) => format!("{}: {error}", relative(*at, now)),
        }
    }
}
