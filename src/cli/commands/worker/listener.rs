//! Listens to what commands write to stdout: what they say of their items is kept, and all else is handed on.
//!
//! Invariant: what is not known to be all that a command said of its items never makes one of them done.

use bytes::Bytes;
use tokio::sync::watch;

use super::audience::Audience;
use super::batch::{self, Said, Told};

/// The listener to one run of the command.
pub struct Listener {
    /// Whether the command may say something of its items.
    in_batches: bool,
    /// What it said of them, in order.
    pub told: Vec<Told>,
    /// Whether it was heard to its end.
    pub heard_out: bool,
    /// Whether it seems to have said something of an item that cannot be read.
    garbled: bool,
    audience: Audience,
}

impl Listener {
    /// One that hands on to this audience what is not said of an item of a batch.
    pub fn new(in_batches: bool, audience: Audience) -> Self {
        Self { in_batches, told: Vec::new(), heard_out: false, garbled: false, audience }
    }

    /// Whether what is said may be of the items of a batch.
    pub fn in_batches(&self) -> bool {
        self.in_batches
    }

    /// Takes a line. It waits until whoever is to see it has room for it; in a batch only until the command has ended,
    /// since what is said of items must not wait behind it.
    pub async fn hear(&mut self, line: Bytes, ended: &mut watch::Receiver<bool>) {
        if !self.in_batches {
            return self.audience.line(line).await;
        }
        match batch::read(&line) {
            Said::Of(told) => return self.told.push(told),
            Said::Garbled => self.garbled = true,
            Said::Aside => {}
        }
        tokio::select! {
            biased;
            _ = ended.wait_for(|ended| *ended) => self.audience.line_if_there_is_room(line),
            () = self.audience.line(line.clone()) => {}
        }
    }

    /// Why an item of which nothing was heard may not be done although the command ended well, if there is a reason.
    pub fn doubt(&self) -> Option<&'static str> {
        if !self.in_batches {
            None
        } else if self.garbled {
            Some("the command wrote an outcome that is no JSON, which may be this item's")
        } else if !self.heard_out {
            Some("what the command left behind still holds its stdout, and may say more")
        } else {
            None
        }
    }
}
