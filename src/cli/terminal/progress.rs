//! The progress of a long command: a line on stderr that is removed at the end, if stderr is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// `total` is the expected number of items, if known.
    pub fn of_items(verb: &'static str, total: Option<u64>) -> Self {
        let template = match total {
            Some(_) => "{prefix} {bar:32} {human_pos} of {human_len} items, {per_sec}, {eta} left",
            None => "{prefix} {human_pos} items, {per_sec}",
        };
        Self::new(total, verb, template)
    }

    /// `total` is the expected number of bytes, if known.
    pub fn of_bytes(verb: &'static str, total: Option<u64>) -> Self {
        let template = match total {
            Some(_) => "{prefix} {bar:32} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            None => "{prefix} {bytes}, {bytes_per_sec}",
        };
        Self::new(total, verb, template)
    }

    fn new(total: Option<u64>, verb: &'static str, template: &str) -> Self {
        let style = ProgressStyle::with_template(template).expect("the template is well-formed");
        // Draws on stderr, if that is a terminal.
        let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
        Self { bar: bar.with_style(style).with_prefix(verb) }
    }

    pub fn advance(&self, count: u64) {
        self.bar.inc(count);
    }

    /// Sets the position.
    pub fn reach(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Prints something else without the line in between.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::{ProgressDrawTarget, TermLike};

    use super::*;

    /// Stores what was drawn last.
    #[derive(Clone, Debug, Default)]
    struct Screen(Arc<Mutex<String>>);

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            100
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            self.0.lock().unwrap().clear();
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_terminal_shows_how_far_it_is_and_then_nothing() {
        for (total, expected) in [(None, "exporting 1,234 items, "), (Some(5_000), " 1,234 of 5,000 items, ")]
        {
            let screen = Screen::default();
            let progress = Progress::of_items("exporting", total);
            progress.bar.set_draw_target(ProgressDrawTarget::term_like(Box::new(screen.clone())));
            progress.advance(1_234);
            progress.bar.force_draw();
            let shown = screen.0.lock().unwrap().clone();
            assert!(shown.contains(expected) && shown.starts_with("exporting "), "{shown}");
            drop(progress);
            assert_eq!(*screen.0.lock().unwrap(), "");
        }
    }
}
