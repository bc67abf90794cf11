//! SIGINT, SIGTERM and SIGHUP, as requests to stop; and signals that are passed on to a command.

use std::io;

use rustix::process::{Pid, Signal as Number, getpgrp, kill_process};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

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

/// Signals that are passed on to a command, which is in the process group of this process.
pub struct Forwarded(mpsc::UnboundedReceiver<Number>);

impl Forwarded {
    /// Installs the handlers. Signals that this process was started to ignore are ignored by the command too.
    pub fn listen() -> io::Result<Self> {
        let forwarded = [
            (SignalKind::interrupt(), Number::INT),
            (SignalKind::terminate(), Number::TERM),
            (SignalKind::hangup(), Number::HUP),
            (SignalKind::quit(), Number::QUIT),
            (SignalKind::user_defined1(), Number::USR1),
            (SignalKind::user_defined2(), Number::USR2),
        ];
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let (tell, told) = mpsc::unbounded_channel();
        for (kind, number) in forwarded.into_iter().filter(|(kind, _)| !is_ignored(*kind, &status)) {
            let (mut signals, tell) = (signal(kind)?, tell.clone());
            tokio::spawn(async move { while signals.recv().await.is_some() && tell.send(number).is_ok() {} });
        }
        Ok(Self(told))
    }

    /// Waits for a signal.
    pub async fn next(&mut self) -> Number {
        match self.0.recv().await {
            Some(number) => number,
            None => std::future::pending().await,
        }
    }
}

/// Passes a signal on. Ctrl-C and Ctrl-\ reach the command by themselves, and would reach it twice.
pub fn forward(number: Number, to: Pid) {
    let by_terminal = [Number::INT, Number::QUIT].contains(&number) && is_in_foreground();
    if !by_terminal {
        // It may have ended.
        let _ = kill_process(to, number);
    }
}

/// Whether the terminal sends its signals to this process group.
fn is_in_foreground() -> bool {
    let terminal = std::fs::File::open("/dev/tty").ok();
    terminal.and_then(|terminal| rustix::termios::tcgetpgrp(&terminal).ok()) == Some(getpgrp())
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
