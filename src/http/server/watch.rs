//! Watches a connection for a client that neither sends nor reads.
//!
//! It is checked a few times within each timeout, so that requests read no clock. A timeout is detected at
//! most a third of it late.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::connection::Course;
use crate::config::Limits;

/// Checks within a timeout.
const LOOKS: u32 = 3;
/// At shutdown, the share of its grace period that an idle client gets.
const DRAIN_SHARE: u32 = 10;

/// The timeouts of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the head of a request.
    pub head: Duration,
    /// For the body of a request.
    pub body: Duration,
    /// For any progress of a response.
    pub write: Duration,
    /// The grace period of a shutdown.
    pub stop: Duration,
}

impl Patience {
    pub fn new(limits: &Limits, stop: Duration) -> Self {
        let Limits { header_timeout: head, body_timeout: body, write_timeout: write, .. } = *limits;
        Self { head, body, write, stop }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Idle: close it gracefully.
    Idle,
    /// The client is gone.
    Dead,
    /// The client does not read its response.
    Stalled,
}

pub struct Watch<'a> {
    course: &'a Course,
    patience: Patience,
    stopping: &'a CancellationToken,
    told_idle: bool,
    /// The state at the last check, and the number of checks without a change.
    requests: u64,
    idle: u32,
    written: u64,
    blocked: u32,
}

impl<'a> Watch<'a> {
    /// From `stopping` on the timeouts are short.
    pub fn new(course: &'a Course, patience: Patience, stopping: &'a CancellationToken) -> Self {
        Self { course, patience, stopping, told_idle: false, requests: 0, idle: 0, written: 0, blocked: 0 }
    }

    /// Completes when the connection has to be closed.
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
        // Between HTTP/1 requests hyper's own timeout applies.
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
            tracing::debug!("response aborted: the client does not read it");
            exchange.cut();
        }
        None
    }
}
