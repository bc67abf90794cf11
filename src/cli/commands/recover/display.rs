//! The display of a running recovery: a progress bar on a terminal, otherwise a line now and then; and a line
//! for each item that is not done.
//!
//! All output goes to stderr, and write errors are ignored: a recovery must not end because nobody watches.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::cli::commands::worker::events::{Event, EventReceiver, Over};
use crate::cli::commands::worker::report::Counts;
use crate::cli::terminal::age::short;
use crate::cli::terminal::console::Console;
use crate::model::{Clock, Timestamp};

/// Without a terminal.
const PRINT_INTERVAL: Duration = Duration::from_secs(10);
/// So that the bar is seen to be alive.
const TICK_INTERVAL: Duration = Duration::from_millis(200);

pub struct Display<'a, 'b> {
    console: &'a mut Console<'b>,
    bar: Option<ProgressBar>,
    /// The expected number of items.
    total: Option<u64>,
    started: Timestamp,
    printed_at: Timestamp,
}

impl<'a, 'b> Display<'a, 'b> {
    pub fn new(console: &'a mut Console<'b>, with_bar: bool, total: Option<u64>, now: Timestamp) -> Self {
        Self { console, bar: with_bar.then(|| bar(total)), total, started: now, printed_at: now }
    }

    /// Shows events until the recovery ends.
    pub async fn watch(mut self, mut received: EventReceiver, clock: &dyn Clock) {
        loop {
            let said = tokio::select! {
                said = received.next() => said,
                () = clock.sleep_until(self.next()) => Ok(None),
            };
            let counts = received.counts();
            match said {
                Ok(Some(said)) => self.show(said, counts),
                Ok(None) => self.update_bar(counts),
                Err(Over) => break,
            }
            self.tick(counts, clock.now());
        }
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    fn show(&mut self, said: Event, counts: Counts) {
        match said {
            Event::Message(line) => self.write(&[line.as_bytes(), b"\n"].concat()),
            Event::Output(line) => self.write(&[&line[..], b"\n"].concat()),
            Event::Question(question) => {
                // It is drawn again after the answer.
                if let Some(bar) = &self.bar {
                    bar.finish_and_clear();
                }
                let _ = write!(self.console.err, "{question} [y/N] ").and_then(|()| self.console.err.flush());
            }
            Event::Answered => {
                self.bar = self.bar.take().map(|_| {
                    let bar = bar(self.total).with_position(counts.items()).with_message(message(counts));
                    bar.reset_eta();
                    bar
                });
            }
        }
    }

    /// The next regular update.
    fn next(&self) -> Timestamp {
        self.printed_at.after(if self.bar.is_some() { TICK_INTERVAL } else { PRINT_INTERVAL })
    }

    /// Shows the progress, if it is due.
    fn tick(&mut self, counts: Counts, now: Timestamp) {
        if now < self.next() {
            return;
        }
        self.printed_at = now;
        match &self.bar {
            Some(bar) if bar.is_finished() => {}
            Some(bar) => bar.tick(),
            None => {
                let line = progress(counts, self.total, now.since(self.started));
                self.write(&[line.as_bytes(), b"\n"].concat());
            }
        }
    }

    /// Draws the bar, unless it was drawn just now or a question is open.
    fn update_bar(&self, counts: Counts) {
        if let Some(bar) = self.bar.as_ref().filter(|bar| !bar.is_finished()) {
            bar.set_message(message(counts));
            bar.set_position(counts.items());
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut write = || {
            let _ = self.console.err.write_all(bytes).and_then(|()| self.console.err.flush());
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// A spinner, if the total is unknown.
fn bar(total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => "{bar:30} {pos}/{len}  {msg}  {rate}{left}",
        None => "{spinner} {msg}  {rate}",
    };
    let rate = |state: &ProgressState, text: &mut dyn Write| {
        if state.pos() > 0 {
            let _ = write!(text, "{:.1}/s", state.per_sec());
        }
    };
    let left = |state: &ProgressState, text: &mut dyn Write| {
        if state.pos() > 0 {
            let _ = write!(text, ", {} left", short(state.eta()));
        }
    };
    let style = ProgressStyle::with_template(template).expect("the template is one");
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    bar.with_style(style.with_key("rate", rate).with_key("left", left))
}

/// The counts.
fn message(counts: Counts) -> String {
    let Counts { done, failed, to_be_retried, lost, .. } = counts;
    let others = [(failed, "failed"), (to_be_retried, "to be retried"), (lost, "lost")];
    let others =
        others.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!(", {count} {word}"));
    format!("{done} done{}", others.collect::<String>())
}

/// The progress in one line.
fn progress(counts: Counts, total: Option<u64>, elapsed: Duration) -> String {
    let items = counts.items();
    let rate = items as f64 / elapsed.as_secs_f64().max(0.001);
    let mut line = match total {
        Some(total) => format!("{items} of {total}: {}, {rate:.1}/s", message(counts)),
        None => format!("{items}: {}, {rate:.1}/s", message(counts)),
    };
    if let Some(left) = total.and_then(|total| total.checked_sub(items)).filter(|_| items > 0) {
        let left = Duration::try_from_secs_f64(left as f64 / rate).unwrap_or(Duration::MAX);
        line.push_str(&format!(", {} left", short(left)));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(done: u64, failed: u64) -> Counts {
        Counts { done, failed, ..Counts::default() }
    }

    #[test]
    fn how_far_it_is_names_what_went_wrong_only_if_something_did() {
        let minute = Duration::from_secs(60);
        let line = progress(counts(118, 2), Some(300), minute);
        assert_eq!(line, "120 of 300: 118 done, 2 failed, 2.0/s, 1m 30s left");
        assert_eq!(progress(counts(6, 0), None, minute), "6: 6 done, 0.1/s");
        assert_eq!(progress(counts(0, 0), Some(9), minute), "0 of 9: 0 done, 0.0/s");
        assert_eq!(progress(counts(9, 0), Some(8), minute), "9 of 8: 9 done, 0.1/s");
    }

    #[test]
    fn where_there_is_no_terminal_progress_is_printed_now_and_then() {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let start = Timestamp::from_millis(1_767_225_600_000);
        let mut console = Console { out: &mut out, err: &mut notes, now: start };
        let mut display = Display::new(&mut console, false, Some(4), start);
        display.tick(counts(1, 0), start.after(PRINT_INTERVAL - Duration::from_millis(1)));
        display.show(Event::Output("aside".into()), counts(1, 0));
        display.tick(counts(2, 0), start.after(PRINT_INTERVAL));
        display.tick(counts(3, 0), start.after(PRINT_INTERVAL));
        display.show(Event::Message("that is it".to_owned()), counts(3, 0));
        let notes = String::from_utf8(notes).unwrap();
        assert_eq!(notes, "aside\n2 of 4: 2 done, 0.2/s, 10s left\nthat is it\n");
        assert!(out.is_empty());
    }
}
