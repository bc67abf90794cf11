//! Whoever watches a recovery, as the recovery tells them things.
//!
//! Invariant: nothing that keeps leases alive ever waits for whoever watches. A terminal that is stopped, or a pipe that
//! nobody reads, holds up what is shown and the commands that write to it, and no more. What is not looked at for long is
//! not kept.

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::report::{Ending, Report};
use crate::cli::commands::worker::report::Counts;
use crate::cli::terminal::table::shown;

/// How much that is not looked at yet is kept.
const KEPT: usize = 4_096;

/// What they are told.
#[derive(Debug)]
pub enum Event {
    /// A line.
    Message(String),
    /// A line that a command wrote.
    Output(Bytes),
    /// A question, to be answered on the same line.
    Question(String),
    /// The question was answered.
    Answered,
}

/// The side of those who tell.
#[derive(Clone, Debug)]
pub struct EventSender {
    said: mpsc::Sender<Event>,
    counts: watch::Sender<Counts>,
}

/// The side of those who watch.
#[derive(Debug)]
pub struct EventReceiver {
    /// What is said; it ends with the recovery.
    pub said: mpsc::Receiver<Event>,
    counts: watch::Receiver<Counts>,
}

impl EventReceiver {
    /// How far it is.
    pub fn counts(&mut self) -> Counts {
        // The guard must not outlive this: whoever counts would wait for it.
        *self.counts.borrow_and_update()
    }

    /// Waits for what is said next; nothing when it is how far it is that has changed, and an end when all is over.
    pub async fn next(&mut self) -> Result<Option<Event>, Over> {
        tokio::select! {
            biased;
            said = self.said.recv() => said.map(Some).ok_or(Over),
            Ok(()) = self.counts.changed() => Ok(None),
        }
    }
}

/// The recovery is over.
#[derive(Debug)]
pub struct Over;

impl EventSender {
    /// An events, and the place from which it watches.
    pub fn new() -> (Self, EventReceiver) {
        let (say, said) = mpsc::channel(KEPT);
        let (count, counts) = watch::channel(Counts::default());
        (Self { said: say, counts: count }, EventReceiver { said, counts })
    }

    /// Says something.
    pub fn note(&self, line: String) {
        self.say(Event::Message(line));
    }

    /// Hands on a line that a command wrote. It waits until there is room for it.
    pub async fn line(&self, line: Bytes) {
        // Nobody watches any more only when it is all over.
        let _ = self.said.send(Event::Output(line)).await;
    }

    /// Hands on a line that a command wrote, unless there is no room for it.
    pub fn line_if_there_is_room(&self, line: Bytes) {
        self.say(Event::Output(line));
    }

    /// Tells what became of an item, and how far it is with it.
    pub fn report(&self, report: &Report, counts: Counts) {
        self.counts.send_replace(counts);
        if let Some(line) = told(report) {
            self.note(line);
        }
    }

    /// Asks something.
    pub fn ask(&self, question: String) {
        self.say(Event::Question(question));
    }

    /// Says that the question was answered.
    pub fn answered(&self) {
        self.say(Event::Answered);
    }

    fn say(&self, said: Event) {
        // There is no room if nobody has looked for long.
        let _ = self.said.try_send(said);
    }
}

/// The line about an item; none if it is done.
fn told(report: &Report) -> Option<String> {
    let Report { workflow, id, ending, reason } = report;
    let said = format!("{workflow}/{id} {}: {reason}", ending.as_str());
    (*ending != Ending::Done).then(|| shown(&said))
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    #[test]
    fn an_item_that_is_not_done_is_told_in_one_line_that_steers_no_terminal() {
        let mut failed = report(Ending::Failed);
        failed.id = "a\nb".to_owned();
        assert_eq!(told(&failed).as_deref(), Some("uploads/a\\nb failed: exit 3: no"));
        assert_eq!(told(&report(Ending::Retry)).as_deref(), Some("uploads/a to be retried: exit 3: no"));
        assert_eq!(told(&report(Ending::Done)), None);
    }

    #[test]
    fn nobody_waits_for_whoever_does_not_look() {
        let (events, mut received) = EventSender::new();
        let failed = report(Ending::Failed);
        for failures in 1..=10_000 {
            events.report(&failed, Counts { failed: failures, ..Counts::default() });
        }
        assert_eq!(received.counts().failed, 10_000);
        let kept = std::iter::from_fn(|| received.said.try_recv().ok()).count();
        assert_eq!(kept, KEPT);
    }
}
