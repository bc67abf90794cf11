//! The log of the daemon on stderr, as text or JSON, one line for each event.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{FormatFields, debug_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

use crate::cli::commands::error::CliError;
use crate::config::{LogFilter, LogFormat, LogSettings};
use crate::model::text::Plain;

/// Starts the log of this process, which includes panics. Fails the second time.
pub fn start(settings: &LogSettings) -> Result<(), CliError> {
    let log = registry().with(targets(&settings.level));
    let layer = fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    match settings.format {
        LogFormat::Text => log.with(layer.fmt_fields(fields())).try_init(),
        LogFormat::Json => log.with(layer.json().flatten_event(true)).try_init(),
    }
    .map_err(|error| CliError::Start(format!("the log: {error}")))?;
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    Ok(())
}

fn targets(filter: &LogFilter) -> Targets {
    Targets::new().with_targets(filter.targets.iter().cloned()).with_default(filter.rest)
}

/// Formats fields as text. Values may come from outside, so control characters are escaped: they could forge
/// log lines or control the terminal.
fn fields() -> impl for<'writer> FormatFields<'writer> + 'static {
    debug_fn(|writer, field, value| match field.name() {
        "message" => write!(writer, "{:?}", Plain(value)),
        name if writer.has_ansi_escapes() => {
            write!(writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{:?}", Plain(value))
        }
        name => write!(writer, "{name}={:?}", Plain(value)),
    })
    .delimited(" ")
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// Stores the log.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Kept {
        type Writer = Self;
        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn logged(format: LogFormat, ansi: bool, log: impl FnOnce()) -> String {
        let kept = Kept::default();
        let layer = fmt::layer().without_time().with_writer(kept.clone()).with_ansi(ansi);
        let all = registry().with(targets(&"info".parse().unwrap()));
        match format {
            LogFormat::Text => tracing::subscriber::with_default(all.with(layer.fmt_fields(fields())), log),
            LogFormat::Json => {
                tracing::subscriber::with_default(all.with(layer.json().flatten_event(true)), log);
            }
        }
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    /// Logs an event with text from outside in each kind of value.
    fn injected() {
        let outside = "x\r\n2026 ERROR forged\u{1b}[2J\u{9b}1m";
        let error = io::Error::other(outside);
        tracing::warn!(text = outside, shown = %outside, debugged = ?outside, %error, number = 3,
        "said {outside}");
    }

    #[test]
    fn what_comes_from_outside_forges_no_line_and_steers_no_terminal() {
        let forged = r"x\r\n2026 ERROR forged\u{1b}[2J\u{9b}1m";
        let expected = format!(
            " WARN warden::cli::commands::serve::logging::tests: said {forged} text=\"{forged}\" \
             shown={forged} debugged=\"{forged}\" error={forged} number=3\n"
        );
        assert_eq!(logged(LogFormat::Text, false, injected), expected);
        let coloured = logged(LogFormat::Text, true, injected);
        assert_eq!(coloured.matches('\n').count(), 1);
        assert!(coloured.contains(r"forged\u{1b}[2J") && !coloured.contains("\u{1b}[2J"), "{coloured:?}");
        let line = logged(LogFormat::Json, false, injected);
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let document: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(document["shown"], "x\r\n2026 ERROR forged\u{1b}[2J\u{9b}1m");
    }

    #[test]
    fn what_is_below_the_level_is_not_logged() {
        let text = logged(LogFormat::Text, false, || {
            tracing::debug!("too fine");
            tracing::info!("just right");
        });
        assert_eq!(text, " INFO warden::cli::commands::serve::logging::tests: just right\n");
    }
}
