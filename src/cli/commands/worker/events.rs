//! The channel from the work to its display.
//!
//! Invariant: heartbeats never wait for the display. A stopped terminal or a full pipe blocks only the
//! display and the commands that write to it. Messages that exceed the buffer are dropped.

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

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

/// How far the work is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The items, or the runs of steps, that have ended.
    pub ended: u64,
    /// How they ended, for people.
    pub text: String,
}

#[derive(Clone, Debug)]
pub struct EventSender {
    events: mpsc::Sender<Event>,
    standing: watch::Sender<Standing>,
}

#[derive(Debug)]
pub struct EventReceiver {
    /// Ends with the work.
    pub events: mpsc::Receiver<Event>,
    standing: watch::Receiver<Standing>,
}

impl EventReceiver {
    /// The latest standing.
    pub fn standing(&mut self) -> Standing {
        // The guard must be dropped here, as it blocks the sender.
        self.standing.borrow_and_update().clone()
    }

    /// Waits for an event, or a change of the standing, which is `None`. Fails at the end of the work.
    pub async fn next(&mut self) -> Result<Option<Event>, Over> {
        tokio::select! {
            biased;
            event = self.events.recv() => event.map(Some).ok_or(Over),
            Ok(()) = self.standing.changed() => Ok(None),
        }
    }
}

#[derive(Debug)]
pub struct Over;

impl EventSender {
    pub fn new() -> (Self, EventReceiver) {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let (told, standing) = watch::channel(Standing::default());
        (Self { events: sender, standing: told }, EventReceiver { events, standing })
    }

    pub fn message(&self, line: String) {
        self.send(Event::Message(line));
    }

    /// Shows a line of a command's stdout. Waits until there is room.
    pub async fn output(&self, line: Bytes) {
        // The receiver is gone only at the end of the work.
        let _ = self.events.send(Event::Output(line)).await;
    }

    /// Shows a line of a command's stdout, or drops it if there is no room.
    pub fn try_output(&self, line: Bytes) {
        self.send(Event::Output(line));
    }

    /// Shows a line for what has ended, if there is something to say, and the new standing.
    pub fn report(&self, line: Option<String>, standing: Standing) {
        self.standing.send_replace(standing);
        if let Some(line) = line {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_whoever_does_not_look() {
        let (events, mut received) = EventSender::new();
        for ended in 1..=10_000 {
            events.report(Some("failed".to_owned()), Standing { ended, text: String::new() });
        }
        assert_eq!(received.standing().ended, 10_000);
        let kept = std::iter::from_fn(|| received.events.try_recv().ok()).count();
        assert_eq!(kept, EVENTS_MAX);
    }
}
