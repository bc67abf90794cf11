//! The channel from the work to its display.
//!
//! Invariant: heartbeats never wait for the display. A stopped terminal or a full pipe blocks only the
//! display and the commands that write to it. Messages that exceed the buffer are dropped.

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::report::{Counts, Ending, Report};
use crate::cli::terminal::table::escaped;

/// The events that are buffered.
const EVENTS_MAX: usize = 4_096;

#[derive(Debug)]
pub enum Event {
    /// A line for people.
    Message(String),
    /// A line of a command's stdout.
    Output(Bytes),
    /// A question whose answer is typed on the same line.
    Question(String),
    Answered,
}

#[derive(Clone, Debug)]
pub struct EventSender {
    events: mpsc::Sender<Event>,
    counts: watch::Sender<Counts>,
}

#[derive(Debug)]
pub struct EventReceiver {
    /// Ends with the recovery.
    pub events: mpsc::Receiver<Event>,
    counts: watch::Receiver<Counts>,
}

impl EventReceiver {
    /// The latest counts.
    pub fn counts(&mut self) -> Counts {
        // The guard must be dropped here, as it blocks the sender.
        *self.counts.borrow_and_update()
    }

    /// Waits for an event, or a change of the counts, which is `None`. Fails at the end of the recovery.
    pub async fn next(&mut self) -> Result<Option<Event>, Over> {
        tokio::select! {
            biased;
            event = self.events.recv() => event.map(Some).ok_or(Over),
            Ok(()) = self.counts.changed() => Ok(None),
        }
    }
}

#[derive(Debug)]
pub struct Over;

impl EventSender {
    pub fn new() -> (Self, EventReceiver) {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let (count, counts) = watch::channel(Counts::default());
        (Self { events: sender, counts: count }, EventReceiver { events, counts })
    }

    pub fn message(&self, line: String) {
        self.send(Event::Message(line));
    }

    /// Shows a line of a command's stdout. Waits until there is room.
    pub async fn output(&self, line: Bytes) {
        // The receiver is gone only at the end of the recovery.
        let _ = self.events.send(Event::Output(line)).await;
    }

    /// Shows a line of a command's stdout, or drops it if there is no room.
    pub fn try_output(&self, line: Bytes) {
        self.send(Event::Output(line));
    }

    /// Shows an item that is not done, and the new counts.
    pub fn report(&self, report: &Report, counts: Counts) {
        self.counts.send_replace(counts);
        if let Some(line) = describe(report) {
            self.message(line);
        }
    }

    pub fn ask(&self, question: String) {
        self.send(Event::Question(question));
    }

    pub fn answered(&self) {
        self.send(Event::Answered);
    }

    fn send(&self, event: Event) {
        // The buffer is full if nobody reads.
        let _ = self.events.try_send(event);
    }
}

/// `None` if the item is done.
fn describe(report: &Report) -> Option<String> {
    let Report { workflow, id, ending, reason } = report;
    let line = format!("{workflow}/{id} {}: {reason}", ending.as_str());
    (*ending != Ending::Done).then(|| escaped(&line))
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    #[test]
    fn an_item_that_is_not_done_is_told_in_one_line_that_steers_no_terminal() {
        let mut failed = report(Ending::Failed);
        failed.id = "a\nb".to_owned();
        assert_eq!(describe(&failed).as_deref(), Some("uploads/a\\nb failed: exit 3: no"));
        assert_eq!(describe(&report(Ending::Retry)).as_deref(), Some("uploads/a to be retried: exit 3: no"));
        assert_eq!(describe(&report(Ending::Done)), None);
    }

    #[test]
    fn nobody_waits_for_whoever_does_not_look() {
        let (events, mut received) = EventSender::new();
        let failed = report(Ending::Failed);
        for failures in 1..=10_000 {
            events.report(&failed, Counts { failed: failures, ..Counts::default() });
        }
        assert_eq!(received.counts().failed, 10_000);
        let kept = std::iter::from_fn(|| received.events.try_recv().ok()).count();
        assert_eq!(kept, EVENTS_MAX);
    }
}
