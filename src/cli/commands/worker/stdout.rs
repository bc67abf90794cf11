//! Handles the lines of a command's stdout: results of items are stored, everything else is displayed.
//!
//! Invariant: unless all results of a batch are known, none of its items is done by the exit code.

use bytes::Bytes;
use tokio::sync::watch;

use super::batch::{self, BatchLine, BatchResult};
use super::events::EventSender;

/// Handles stdout of one run of the command.
pub struct StdoutHandler {
    in_batches: bool,
    /// In the order of the output.
    pub results: Vec<BatchResult>,
    /// Whether stdout was read to its end.
    pub reached_end: bool,
    /// Whether a line looked like a result but is not valid.
    has_malformed: bool,
    events: EventSender,
}

impl StdoutHandler {
    pub fn new(in_batches: bool, events: EventSender) -> Self {
        Self { in_batches, results: Vec::new(), reached_end: false, has_malformed: false, events }
    }

    /// Whether lines may be results.
    pub fn in_batches(&self) -> bool {
        self.in_batches
    }

    /// Handles a line. Waits for the display; in a batch only until the command has ended, so that results
    /// are not delayed.
    pub async fn handle_line(&mut self, line: Bytes, ended: &mut watch::Receiver<bool>) {
        if !self.in_batches {
            return self.events.output(line).await;
        }
        match batch::parse(&line) {
            BatchLine::Result(result) => return self.results.push(result),
            BatchLine::Malformed => self.has_malformed = true,
            BatchLine::Other => {}
        }
        tokio::select! {
            biased;
            _ = ended.wait_for(|ended| *ended) => self.events.try_output(line),
            () = self.events.output(line.clone()) => {}
        }
    }

    /// Why an item without a result may not be done although the exit code is 0.
    pub fn uncertainty(&self) -> Option<&'static str> {
        if !self.in_batches {
            None
        } else if self.has_malformed {
            Some("the command wrote a result that is not valid JSON, possibly for this item")
        } else if !self.reached_end {
            Some("a process that the command left behind holds stdout, and may report more")
        } else {
            None
        }
    }
}
