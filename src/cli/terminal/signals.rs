//! The signals by which somebody wants it all to end: Ctrl-C, and those that say the same.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// That the terminal is gone; nothing if this process was started so as not to mind.
    hang_up: Option<Signal>,
}

impl Signals {
    /// Listens to them. From now on none of them ends this process.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn listen() -> io::Result<Self> {
        let hang_up = SignalKind::hangup();
        // To listen would undo what `nohup` did.
        let minds = !is_ignored(hang_up, &std::fs::read_to_string("/proc/self/status").unwrap_or_default());
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: minds.then(|| signal(hang_up)).transpose()?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        let gone = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => None,
            }
        };
        tokio::select! {
            Some(()) = self.interrupt.recv() => {}
            Some(()) = self.terminate.recv() => {}
            Some(()) = gone => {}
            else => std::future::pending().await,
        }
    }
}

/// Whether a process with this status, as `/proc` writes it, ignores the signal.
fn is_ignored(kind: SignalKind, status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (kind.as_raw_value() - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_this_process_was_started_to_ignore_is_known() {
        let ignoring = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert!(is_ignored(SignalKind::hangup(), ignoring));
        assert!(is_ignored(SignalKind::pipe(), ignoring));
        assert!(!is_ignored(SignalKind::interrupt(), ignoring));
        assert!(!is_ignored(SignalKind::hangup(), ""));
    }
}
