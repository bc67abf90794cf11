//! What is seen of a recovery while it runs: on a terminal a bar, elsewhere a line now and then; and a line for each item
//! that is not done.
//!
//! All of it goes to stderr, and what cannot be written is not missed: a recovery must not end because nobody watches.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::report::{Ending, Report};
use super::summary::Summary;
use crate::cli::age::short;
use crate::cli::console::Console;
use crate::cli::table::shown;
use crate::model::Timestamp;

/// How often it is told how far it is where there is no terminal.
const TELLS_EVERY: Duration = Duration::from_secs(10);
/// How often a bar moves although nothing happens.
const TICKS_EVERY: Duration = Duration::from_millis(250);

/// What is seen.
pub struct Display<'a, 'b> {
    console: &'a mut Console<'b>,
    bar: Option<ProgressBar>,
    /// How many items there seem to be.
    total: Option<u64>,
    started: Timestamp,
    told: Timestamp,
}

impl<'a, 'b> Display<'a, 'b> {
    /// Begins to show; with a bar, if that is wanted.
    pub fn new(console: &'a mut Console<'b>, with_bar: bool, total: Option<u64>, now: Timestamp) -> Self {
        Self { console, bar: with_bar.then(|| bar(total)), total, started: now, told: now }
    }

    /// When there is something to show next although nothing happens.
    pub fn next(&self) -> Timestamp {
        self.told.after(if self.bar.is_some() { TICKS_EVERY } else { TELLS_EVERY })
    }

    /// How many items there seem to be.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Says something.
    pub fn note(&mut self, line: &str) {
        self.write(&[line.as_bytes(), b"\n"].concat());
    }

    /// Shows a line that a command wrote, as it is.
    pub fn line(&mut self, line: &[u8]) {
        self.write(&[line, b"\n"].concat());
    }

    /// Tells of an item that is not done, and moves on.
    pub fn report(&mut self, report: &Report, summary: &Summary) {
        if let Some(line) = told(report) {
            self.note(&line);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(summary.items());
            bar.set_message(message(summary));
        }
    }

    /// Shows how far it is, when it is time to.
    pub fn tick(&mut self, summary: &Summary, now: Timestamp) {
        if now < self.next() {
            return;
        }
        self.told = now;
        match &self.bar {
            Some(bar) => bar.tick(),
            None => self.note(&progress(summary, self.total, now.since(self.started))),
        }
    }

    /// Asks something that is answered on the same line. A bar is gone until [`Display::answered`].
    pub fn ask(&mut self, question: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let _ = write!(self.console.notes, "{question} [y/N] ").and_then(|()| self.console.notes.flush());
    }

    /// Goes on after a question. The time that the answer took does not count for the rate.
    pub fn answered(&mut self, summary: &Summary) {
        self.bar = self.bar.take().map(|_| {
            let bar = bar(self.total).with_position(summary.items());
            bar.reset_eta();
            bar
        });
    }

    /// Takes the bar away.
    pub fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut write = || {
            let _ = self.console.notes.write_all(bytes).and_then(|()| self.console.notes.flush());
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// A bar as long as there are items, or something that turns if that is not known.
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

/// The line about an item; none if it is done.
fn told(report: &Report) -> Option<String> {
    let Report { workflow, id, ending, reason } = report;
    let said = format!("{workflow}/{id} {}: {reason}", ending.as_str());
    (*ending != Ending::Done).then(|| shown(&said))
}

/// What a bar says besides how long it is.
fn message(summary: &Summary) -> String {
    let Summary { done, failed, to_be_retried, lost, .. } = summary;
    let others = [(*failed, "failed"), (*to_be_retried, "to be retried"), (*lost, "lost")];
    let others =
        others.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!(", {count} {word}"));
    format!("{done} done{}", others.collect::<String>())
}

/// How far it is, in one line.
fn progress(summary: &Summary, total: Option<u64>, elapsed: Duration) -> String {
    let items = summary.items();
    let rate = items as f64 / elapsed.as_secs_f64().max(0.001);
    let mut line = match total {
        Some(total) => format!("{items} of {total}: {}, {rate:.1}/s", message(summary)),
        None => format!("{items}: {}, {rate:.1}/s", message(summary)),
    };
    if let Some(left) = total.and_then(|total| total.checked_sub(items)).filter(|_| items > 0) {
        let left = Duration::try_from_secs_f64(left as f64 / rate).unwrap_or(Duration::MAX);
        line.push_str(&format!(", {} left", short(left)));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::report;
    use super::*;

    fn summary(done: u64, failed: u64) -> Summary {
        Summary { done, failed, ..Summary::default() }
    }

    #[test]
    fn an_item_that_is_not_done_is_told_in_one_line_that_steers_no_terminal() {
        let mut failed = report(Ending::Failed);
        failed.id = "a\nb".to_owned();
        assert_eq!(told(&failed).as_deref(), Some("uploads/a\\nb failed: exit 3: no"));
        assert_eq!(told(&report(Ending::Retry)).as_deref(), Some("uploads/a to be retried: exit 3: no"));
        assert_eq!(told(&report(Ending::Done)), None);
    }

    #[test]
    fn how_far_it_is_names_what_went_wrong_only_if_something_did() {
        let minute = Duration::from_secs(60);
        let line = progress(&summary(118, 2), Some(300), minute);
        assert_eq!(line, "120 of 300: 118 done, 2 failed, 2.0/s, 1m 30s left");
        assert_eq!(progress(&summary(6, 0), None, minute), "6: 6 done, 0.1/s");
        assert_eq!(progress(&summary(0, 0), Some(9), minute), "0 of 9: 0 done, 0.0/s");
        assert_eq!(progress(&summary(9, 0), Some(8), minute), "9 of 8: 9 done, 0.1/s");
    }

    #[test]
    fn where_there_is_no_terminal_it_is_told_now_and_then() {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let start = Timestamp::from_millis(1_767_225_600_000);
        let mut console = Console { out: &mut out, notes: &mut notes, now: start };
        let mut display = Display::new(&mut console, false, Some(4), start);
        display.tick(&summary(1, 0), start.after(TELLS_EVERY - Duration::from_millis(1)));
        display.tick(&summary(2, 0), start.after(TELLS_EVERY));
        display.tick(&summary(3, 0), start.after(TELLS_EVERY));
        display.report(&report(Ending::Failed), &summary(3, 1));
        let notes = String::from_utf8(notes).unwrap();
        assert_eq!(notes, "2 of 4: 2 done, 0.2/s, 10s left\nuploads/a failed: exit 3: no\n");
        assert!(out.is_empty());
    }
}
