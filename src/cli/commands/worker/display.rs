//! The display of running work: a progress bar on a terminal, otherwise a line now and then; and a line
//! for each item that is not done.
//!
//! All output goes to stderr, and write errors are ignored: the work must not end because nobody watches.

use std::fmt::Write;
use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::events::{Event, EventReceiver, Over, Standing};
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
    /// What was printed last, if nothing is printed again.
    printed: Option<Standing>,
    started: Timestamp,
    printed_at: Timestamp,
}

impl<'a, 'b> Display<'a, 'b> {
    pub fn new(console: &'a mut Console<'b>, with_bar: bool, total: Option<u64>, now: Timestamp) -> Self {
        Self {
            console,
            bar: with_bar.then(|| bar(total)),
            total,
            printed: None,
            started: now,
            printed_at: now,
        }
    }

    /// Without a terminal, nothing is printed while nothing happens.
    pub fn quiet(mut self) -> Self {
        self.printed = Some(Standing::default());
        self
    }

    /// Shows events until the work ends.
    pub async fn watch(mut self, mut received: EventReceiver, clock: &dyn Clock) {
        loop {
            let said = tokio::select! {
                said = received.next() => said,
                () = clock.sleep_until(self.next()) => Ok(None),
            };
            let standing = received.standing();
            match said {
                Ok(Some(said)) => self.show(said, &standing),
                Ok(None) => self.update_bar(&standing),
                Err(Over) => break,
            }
            self.tick(&standing, clock.now());
        }
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    fn show(&mut self, said: Event, standing: &Standing) {
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
                    let bar =
                        bar(self.total).with_position(standing.ended).with_message(standing.text.clone());
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
    fn tick(&mut self, standing: &Standing, now: Timestamp) {
        if now < self.next() {
            return;
        }
        self.printed_at = now;
        match &self.bar {
            Some(bar) if bar.is_finished() => {}
            Some(bar) => bar.tick(),
            None if self.printed.as_ref() == Some(standing) => {}
            None => {
                self.printed = self.printed.take().map(|_| standing.clone());
                let line = progress(standing, self.total, now.since(self.started));
                self.write(&[line.as_bytes(), b"\n"].concat());
            }
        }
    }

    /// Draws the bar, unless it was drawn just now or a question is open.
    fn update_bar(&self, standing: &Standing) {
        if let Some(bar) = self.bar.as_ref().filter(|bar| !bar.is_finished()) {
            bar.set_message(standing.text.clone());
            bar.set_position(standing.ended);
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

/// Whether progress is shown as a bar.
pub fn shows_bar() -> bool {
    stderr().is_terminal()
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

/// The progress in one line.
fn progress(standing: &Standing, total: Option<u64>, elapsed: Duration) -> String {
    let Standing { ended: items, text } = standing;
    let items = *items;
    let rate = items as f64 / elapsed.as_secs_f64().max(0.001);
    let mut line = match total {
        Some(total) => format!("{items} of {total}: {text}, {rate:.1}/s"),
        None => format!("{items}: {text}, {rate:.1}/s"),
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

    fn standing(ended: u64) -> Standing {
        Standing { ended, text: format!("{ended} done") }
    }

    #[test]
    fn how_far_it_is_is_told_with_the_rate_and_the_time_that_is_left() {
        let minute = Duration::from_secs(60);
        let line = progress(&standing(120), Some(300), minute);
        assert_eq!(line, "120 of 300: 120 done, 2.0/s, 1m 30s left");
        assert_eq!(progress(&standing(6), None, minute), "6: 6 done, 0.1/s");
        assert_eq!(progress(&standing(0), Some(9), minute), "0 of 9: 0 done, 0.0/s");
        assert_eq!(progress(&standing(9), Some(8), minute), "9 of 8: 9 done, 0.1/s");
    }

    #[test]
    fn where_there_is_no_terminal_progress_is_printed_now_and_then() {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let start = Timestamp::from_millis(1_767_225_600_000);
        let mut console = Console { out: &mut out, err: &mut notes, now: start };
        let mut display = Display::new(&mut console, false, Some(4), start);
        display.tick(&standing(1), start.after(PRINT_INTERVAL - Duration::from_millis(1)));
        display.show(Event::Output("aside".into()), &standing(1));
        display.tick(&standing(2), start.after(PRINT_INTERVAL));
        display.tick(&standing(3), start.after(PRINT_INTERVAL));
        display.show(Event::Message("that is it".to_owned()), &standing(3));
        let notes = String::from_utf8(notes).unwrap();
        assert_eq!(notes, "aside\n2 of 4: 2 done, 0.2/s, 10s left\nthat is it\n");
        assert!(out.is_empty());
    }

    #[test]
    fn a_quiet_display_prints_only_what_is_new() {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let start = Timestamp::from_millis(1_767_225_600_000);
        let mut console = Console { out: &mut out, err: &mut notes, now: start };
        let mut display = Display::new(&mut console, false, None, start).quiet();
        for (tick, ended) in [(1, 0), (2, 5), (3, 5), (4, 6)] {
            let standing = if ended == 0 { Standing::default() } else { standing(ended) };
            display.tick(&standing, start.after(PRINT_INTERVAL * tick));
        }
        assert_eq!(String::from_utf8(notes).unwrap(), "5: 5 done, 0.2/s\n6: 6 done, 0.1/s\n");
    }
}
