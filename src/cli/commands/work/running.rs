//! A worker that runs until it ends or a signal ends it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use warden_client::worker::{Event, Worker};
use warden_client::{CancellationToken, Error as ClientError};

use super::tally::{Tally, line};
use crate::cli::commands::worker::events::EventSender;
use crate::cli::commands::worker::process::{Output, StopLevel, raise};
use crate::cli::daemon::wording::worded;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::signals::Signals;
use crate::model::{Clock as _, SystemClock};

/// How long the library waits for commands that were ended, and for their leases to be settled.
pub const ENDING: Duration = Duration::from_secs(10);
/// The longest wait after the third signal.
const QUIT_TIME: Duration = Duration::from_secs(1);

pub struct Outcome {
    pub tally: Tally,
    pub took: Duration,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// Whether it ended because nobody reads the output of its commands.
    pub unread: bool,
    pub result: Result<(), ClientError>,
}

impl Outcome {
    /// Prints the document of `--output json`.
    pub fn print(&self, console: &mut Console<'_>) -> io::Result<()> {
        console.json(&self.tally.document(self.took))
    }
}

/// Runs the worker. The first signal lets its commands finish within `grace`, the second ends them, the third
/// everything. Without a reader of `output` it claims nothing more: its commands would only be stopped.
///
/// # Errors
/// Signals cannot be handled.
pub async fn run(
    worker: Worker,
    stop: watch::Sender<StopLevel>,
    grace: Duration,
    events: EventSender,
    output: Output,
) -> io::Result<Outcome> {
    let (mut signals, clock) = (Signals::listen()?, SystemClock::new());
    let begun = clock.now();
    let tally = Arc::new(Mutex::new(Tally::default()));
    let token = CancellationToken::new();
    let unread = CancellationToken::new();
    let told = told(events.clone(), tally.clone());
    let worker = worker.on_event({
        let (token, unread) = (token.clone(), unread.clone());
        move |event| {
            told(event);
            if output.has_no_reader() {
                unread.cancel();
                token.cancel();
            }
        }
    });
    let mut working = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(worker.run(token.clone())));
    let (mut received, mut next) = (0, None);
    let result = loop {
        let time = async {
            match next {
                Some(next) => clock.sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = &mut working => match ended {
                Ok(result) => break result,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            () = signals.next() => received += 1,
            () = time => received += 1,
        }
        next = match received {
            1 => {
                token.cancel();
                let grace_text = humantime::format_duration(grace);
                events.message(format!(
                    "claiming no more items; what runs may finish within {grace_text}, signal again to end it"
                ));
                Some(clock.now().after(grace))
            }
            2 => {
                raise(&stop, StopLevel::Terminate);
                events.message("ending what still runs; signal again to quit at once".to_owned());
                None
            }
            3 => {
                raise(&stop, StopLevel::Kill);
                Some(clock.now().after(QUIT_TIME))
            }
            _ => break Ok(()),
        };
    };
    let tally = lock(&tally).clone();
    let (interrupted, unread) = (received > 0, unread.is_cancelled());
    Ok(Outcome { tally, took: clock.now().since(begun), interrupted, unread, result })
}

/// Shows what happens and counts it.
fn told(events: EventSender, tally: Arc<Mutex<Tally>>) -> impl Fn(Event<'_>) + Send + Sync + 'static {
    let waiting = Mutex::new(false);
    move |event| match event {
        Event::Ended(report) => {
            let standing = {
                let mut tally = lock(&tally);
                tally.count(report.ending);
                tally.standing()
            };
            events.report(line(report), standing);
        }
        // Said once for each outage.
        Event::Waiting(error, _) if !std::mem::replace(&mut *lock(&waiting), true) => {
            events.message(format!("waiting for the daemon: {}", worded(error)));
        }
        Event::Resumed => {
            *lock(&waiting) = false;
            events.message("the daemon answers again".to_owned());
        }
        _ => {}
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counts and flags are consistent even after a panic.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
