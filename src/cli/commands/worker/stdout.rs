//! Listens to what commands write to stdout: what they say of their items is kept, and all else is handed on.
//!
//! Invariant: what is not known to be all that a command said of its items never makes one of them done.

use bytes::Bytes;
use tokio::sync::watch;

use super::batch::{self, BatchLine, BatchResult};
use super::events::EventSender;

/// The stdout to one run of the command.
pub struct StdoutHandler {
    /// Whether the command may say something of its items.
    in_batches: bool,
    /// What it said of them, in order.
    pub told: Vec<BatchResult>,
    /// Whether it was heard to its end.
    pub reached_end: bool,
    /// Whether it seems to have said something of an item that cannot be read.
    has_malformed: bool,
    events: EventSender,
}

impl StdoutHandler {
    /// One that hands on to this events what is not said of an item of a batch.
    pub fn new(in_batches: bool, events: EventSender) -> Self {
        Self { in_batches, told: Vec::new(), reached_end: false, has_malformed: false, events }
    }

    /// Whether what is said may be of the items of a batch.
    pub fn in_batches(&self) -> bool {
        self.in_batches
    }

    /// Takes a line. It waits until whoever is to see it has room for it; in a batch only until the command has ended,
    /// since what is said of items must not wait behind it.
    pub async fn handle_line(&mut self, line: Bytes, ended: &mut watch::Receiver<bool>) {
        if !self.in_batches {
            return self.events.line(line).await;
        }
        match batch::parse(&line) {
            BatchLine::Result(told) => return self.told.push(told),
            BatchLine::Malformed => self.has_malformed = true,
            BatchLine::Other => {}
        }
        tokio::select! {
            biased;
            _ = ended.wait_for(|ended| *ended) => self.events.line_if_there_is_room(line),
            () = self.events.line(line.clone()) => {}
        }
    }

    /// Why an item of which nothing was heard may not be done although the command ended well, if there is a reason.
    pub fn uncertainty(&self) -> Option<&'static str> {
        if !self.in_batches {
            None
        } else if self.has_malformed {
            Some("the command wrote an outcome that is no JSON, which may be this item's")
        } else if !self.reached_end {
            Some("what the command left behind still holds its stdout, and may say more")
        } else {
            None
        }
    }
}
