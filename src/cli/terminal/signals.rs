//! SIGINT, SIGTERM and SIGHUP, as requests to stop.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` if SIGHUP is ignored since the start of this process, as `nohup` does.
    hang_up: Option<Signal>,
}

impl Signals {
    /// Installs the handlers: from now on these signals do not end the process.
    pub fn listen() -> io::Result<Self> {
        let hang_up = SignalKind::hangup();
        // A handler would undo `nohup`.
        let minds = !is_ignored(hang_up, &std::fs::read_to_string("/proc/self/status").unwrap_or_default());
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: minds.then(|| signal(hang_up)).transpose()?,
        })
    }

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

/// `status` is that of `/proc/self/status`.
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
