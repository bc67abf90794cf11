//! Watching a connection: whether its client still sends and takes, and what is done when it does not.
//!
//! A client is looked at a few times within each of its limits, so that a request reads no clock: what is too
//! slow is found at the latest a third of the limit after it.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::connection::Course;
use crate::config::Limits;

/// How often a client is looked at within a limit.
const LOOKS: u32 = 3;
/// Which part of the patience of a shutdown is spent on a client that neither sends nor takes anything.
const DRAIN_SHARE: u32 = 10;

/// How long clients are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the head of a request.
    pub head: Duration,
    /// For the body of a request.
    pub body: Duration,
    /// For any part of an answer to be taken.
    pub write: Duration,
    /// For the end of everything, once the daemon stops.
    pub stop: Duration,
}

impl Patience {
    /// As the limits say, and for so long at the end.
    pub fn new(limits: &Limits, stop: Duration) -> Self {
        let Limits { header_timeout: head, body_timeout: body, write_timeout: write, .. } = *limits;
        Self { head, body, write, stop }
    }
}

/// What is to be done about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is idle: what comes next is to come over another one.
    Idle,
    /// Nobody is at its other end.
    Dead,
    /// Its client takes nothing of what it asked for.
    Stalled,
}

/// A watch over a connection.
pub struct Watch<'a> {
    course: &'a Course,
    patience: Patience,
    stopping: &'a CancellationToken,
    told_idle: bool,
    /// What was last seen, and in how many looks since.
    requests: u64,
    idle: u32,
    written: u64,
    blocked: u32,
}

impl<'a> Watch<'a> {
    /// Over a connection that has just begun. From `stopping` on there is little patience.
    pub fn new(course: &'a Course, patience: Patience, stopping: &'a CancellationToken) -> Self {
        Self { course, patience, stopping, told_idle: false, requests: 0, idle: 0, written: 0, blocked: 0 }
    }

    /// Completes when something is to be done about the connection.
    pub async fn verdict(&mut self) -> Verdict {
        loop {
            let stopping = self.stopping.is_cancelled();
            let Patience { head, write, stop, .. } = self.patience;
            let (head, write) =
                if stopping { (stop / DRAIN_SHARE, stop / DRAIN_SHARE) } else { (head, write) };
            let tick = head.min(write) / LOOKS;
            tokio::select! {
                () = sleep(tick) => {}
                () = self.stopping.cancelled(), if !stopping => continue,
            }
            let ticks = |limit: Duration| limit.as_nanos().div_ceil(tick.as_nanos().max(1));
            if let Some(verdict) = self.look(stopping, ticks(head), ticks(write)) {
                return verdict;
            }
        }
    }

    fn look(&mut self, stopping: bool, head: u128, write: u128) -> Option<Verdict> {
        let (requests, active) = self.course.requests();
        let is_idle = active == 0 && requests == self.requests;
        self.idle = if is_idle { self.idle + 1 } else { 0 };
        self.requests = requests;
        let written = self.course.written();
        let is_blocked = self.course.is_blocked() && written == self.written;
        self.blocked = if is_blocked { self.blocked + 1 } else { 0 };
        self.written = written;
        if u128::from(self.blocked) >= write {
            return Some(Verdict::Stalled);
        }
        // Between requests of the first version hyper itself waits no longer.
        if u128::from(self.idle) >= head && (stopping || requests == 0 || self.course.is_second_version()) {
            self.idle = 0;
            let dead = std::mem::replace(&mut self.told_idle, true) || stopping || requests == 0;
            return Some(if dead { Verdict::Dead } else { Verdict::Idle });
        }
        let exchanges = self.course.exchanges();
        let (stalled, others): (Vec<_>, Vec<_>) =
            exchanges.into_iter().partition(|exchange| u128::from(exchange.quiet_ticks(stopping)) >= write);
        if !stalled.is_empty() && others.is_empty() {
            return Some(Verdict::Stalled);
        }
        for exchange in stalled {
            tracing::debug!("a client takes nothing of an answer, which is cut off");
            exchange.cut();
        }
        None
    }
}
