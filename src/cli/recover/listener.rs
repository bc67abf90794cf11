//! Listens to what commands write to stdout: what they say of their items is kept, and all else is handed on.

use bytes::Bytes;

use super::audience::Audience;
use super::batch::{self, Told};

/// The listener to one run of the command.
pub struct Listener {
    /// Whether the command may say something of its items.
    in_batches: bool,
    /// What it said of them, in order.
    pub told: Vec<Told>,
    audience: Audience,
}

impl Listener {
    /// One that hands on to this audience what is not said of an item of a batch.
    pub fn new(in_batches: bool, audience: Audience) -> Self {
        Self { in_batches, told: Vec::new(), audience }
    }

    /// Takes a line. It waits until whoever is to see it has room for it.
    pub async fn hear(&mut self, line: Bytes) {
        match batch::read(&line).filter(|_| self.in_batches) {
            Some(told) => self.told.push(told),
            None => self.audience.line(line).await,
        }
    }
}
