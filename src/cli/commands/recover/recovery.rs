//! The main loop of a recovery: claims items when there is room, runs the command, and counts the results. It
//! ends when nothing is left to claim or it is interrupted.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use warden_api::lease::{ClaimRequest, ClaimedItem, ReleaseRequest};
use warden_client::Settlement;

use super::claims::{ClaimOutcome, Claims};
use super::pace::{Allowance, CanaryDecision, Pace, judge_canary};
use super::summary::Summary;
use crate::cli::commands::error::CliError;
use crate::cli::commands::worker::attempt::Attempt;
use crate::cli::commands::worker::events::EventSender;
use crate::cli::commands::worker::process::{StopLevel, raise};
use crate::cli::commands::worker::report::Report;
use crate::cli::commands::worker::work::Work;
use crate::cli::terminal::console::is_yes;
use crate::cli::terminal::signals::Signals;
use crate::model::Timestamp;

/// The reports that are buffered.
const REPORTS_MAX: usize = 256;
/// The longest wait for settling leases after the third signal.
const SETTLE_TIME: Duration = Duration::from_secs(1);

pub struct Plan {
    pub work: Arc<Work>,
    /// What is claimed, and for whom.
    pub claim: ClaimRequest,
    /// The most commands at once.
    pub concurrency: usize,
    pub pace: Pace,
    /// How long failing claims are retried.
    pub patience: Duration,
    /// Whether there is a person to ask.
    pub is_interactive: bool,
    /// The expected number of items.
    pub total: Option<u64>,
}

pub struct Outcome {
    pub summary: Summary,
    pub took: Duration,
    /// What ended it early.
    pub failure: Option<CliError>,
}

pub struct Recovery {
    plan: Plan,
    claims: Claims,
    events: EventSender,
    signals: Signals,
    signals_received: u32,
    /// When to stop waiting for anything.
    gives_up_at: Option<Timestamp>,
    stop: watch::Sender<StopLevel>,
    reports: (mpsc::Sender<Report>, mpsc::Receiver<Report>),
    running: JoinSet<io::Result<()>>,
    /// Whether nothing is left to claim.
    exhausted: bool,
    summary: Summary,
    failure: Option<CliError>,
}

/// What the loop waits for.
enum Wakeup {
    Report(Report),
    Ended(Result<io::Result<()>, JoinError>),
    Claim(ClaimOutcome),
    Signal,
    Time,
}

impl Recovery {
    /// Fails if signals cannot be handled.
    pub fn new(plan: Plan, events: EventSender) -> io::Result<Self> {
        Ok(Self {
            claims: Claims::at(plan.work.leases.clone(), plan.claim.clone(), plan.patience),
            plan,
            events,
            signals: Signals::listen()?,
            signals_received: 0,
            gives_up_at: None,
            stop: watch::Sender::new(StopLevel::Run),
            reports: mpsc::channel(REPORTS_MAX),
            running: JoinSet::new(),
            exhausted: false,
            summary: Summary::default(),
            failure: None,
        })
    }

    pub async fn run(mut self) -> Outcome {
        let started = self.now();
        loop {
            let due = self.claim();
            if due.is_none() && !self.claims.is_pending() && self.running.is_empty() {
                self.record_pending();
                if self.plan.pace.at_gate() && self.may_begin() && self.judge_canary().await {
                    continue;
                }
                break;
            }
            match self.next_wakeup(due).await {
                Wakeup::Report(report) => self.record(report),
                Wakeup::Ended(ended) => self.handle_exit(ended),
                Wakeup::Claim(outcome) => self.take(outcome),
                Wakeup::Signal => self.handle_signal(),
                Wakeup::Time => {}
            }
            if self.gives_up_at.is_some_and(|at| at <= self.now()) {
                break;
            }
        }
        self.record_pending();
        let took = self.now().since(started);
        self.summary.seconds = took.as_secs_f64();
        self.summary.interrupted = self.signals_received > 0;
        Outcome { summary: self.summary, took, failure: self.failure }
    }

    fn now(&self) -> Timestamp {
        self.plan.work.leases.clock().now()
    }

    /// Whether more items may begin.
    fn may_begin(&self) -> bool {
        *self.stop.borrow() == StopLevel::Run && !self.exhausted
    }

    /// Claims items if possible. Returns when it will be, if only time is missing.
    fn claim(&mut self) -> Option<Timestamp> {
        if self.claims.is_pending() || !self.may_begin() {
            return None;
        }
        if self.plan.work.output.has_no_reader() {
            self.fail(CliError::Unread);
            return None;
        }
        let now = self.now();
        let slots = self.plan.concurrency.saturating_sub(self.running.len());
        match self.plan.pace.allowance(slots, now) {
            Allowance::Nothing => None,
            Allowance::Claim(_) if self.claims.not_before() > now => Some(self.claims.not_before()),
            Allowance::Claim(items) => {
                self.claims.send(items);
                None
            }
            Allowance::Wait(later) => Some(later.max(self.claims.not_before())),
        }
    }

    async fn next_wakeup(&mut self, due: Option<Timestamp>) -> Wakeup {
        let next = [due, self.gives_up_at].into_iter().flatten().min();
        let clock = self.plan.work.leases.clock();
        let time = async {
            match next {
                Some(next) => clock.sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.signals.next() => Wakeup::Signal,
            Some(report) = self.reports.1.recv() => Wakeup::Report(report),
            Some(ended) = self.running.join_next() => Wakeup::Ended(ended),
            outcome = self.claims.outcome() => Wakeup::Claim(outcome),
            () = time => Wakeup::Time,
        }
    }

    fn record(&mut self, report: Report) {
        self.summary.add(report.clone());
        self.events.report(report.line(), self.summary.counts.standing());
    }

    fn record_pending(&mut self) {
        while let Ok(report) = self.reports.1.try_recv() {
            self.record(report);
        }
    }

    fn handle_exit(&mut self, ended: Result<io::Result<()>, JoinError>) {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let program = self.plan.work.line.program.clone();
                self.fail(CliError::Command { program, error });
            }
            Err(error) => self.fail(CliError::Start(error.to_string())),
        }
    }

    fn take(&mut self, outcome: ClaimOutcome) {
        match outcome {
            ClaimOutcome::Leased(leases, expires) => self.begin(leases, expires),
            ClaimOutcome::Exhausted => self.exhausted = true,
            ClaimOutcome::Retry(said) => {
                if let Some(said) = said {
                    self.events.message(said);
                }
            }
            ClaimOutcome::Failed(error) => self.fail(error),
        }
    }

    /// Begins work on claimed items. If the recovery is stopping, they are released.
    fn begin(&mut self, leases: Vec<ClaimedItem>, expires: Timestamp) {
        let (again, leases): (Vec<_>, Vec<_>) =
            leases.into_iter().partition(|lease| self.plan.work.advanced.has(lease));
        for lease in again {
            let work = self.plan.work.clone();
            self.running.spawn(async move {
                // If it fails, the lease expires.
                let release = Settlement::Release(ReleaseRequest::default());
                let _ = work.leases.settle(&lease.id, &release, expires).await;
                Ok(())
            });
        }
        if leases.is_empty() {
            return;
        }
        self.plan.pace.begun(leases.len(), self.now());
        let bundles: Vec<Vec<ClaimedItem>> = match self.plan.work.in_batches {
            true => vec![leases],
            false => leases.into_iter().map(|lease| vec![lease]).collect(),
        };
        for bundle in bundles {
            let (work, reports) = (self.plan.work.clone(), self.reports.0.clone());
            let attempt = Attempt::at(bundle, expires, work, self.stop.subscribe(), reports);
            self.running.spawn(attempt.run());
        }
    }

    /// Begins nothing more.
    fn fail(&mut self, error: CliError) {
        self.failure.get_or_insert(error);
        raise(&self.stop, StopLevel::Drain);
    }

    /// Handles a signal: the first stops claiming, the second ends the commands, the third everything.
    fn handle_signal(&mut self) {
        self.signals_received += 1;
        let running = self.running.len();
        let (level, said) = match self.signals_received {
            1 => (
                StopLevel::Drain,
                format!("claiming no more items; {running} running may finish, signal again to end them"),
            ),
            2 => (StopLevel::Terminate, format!("ending {running} running; signal again to quit at once")),
            _ => (
                StopLevel::Kill,
                "quitting; items that are not settled are free again when their leases expire".to_owned(),
            ),
        };
        raise(&self.stop, level);
        if level == StopLevel::Kill {
            self.gives_up_at = Some(self.now().after(SETTLE_TIME));
        }
        if running > 0 || level == StopLevel::Kill {
            self.events.message(said);
        }
    }

    /// Whether to continue after the canary.
    async fn judge_canary(&mut self) -> bool {
        let rest = self.plan.total.map(|total| total.saturating_sub(self.summary.counts.items()));
        let continues = match judge_canary(self.summary.counts, rest, self.plan.is_interactive) {
            CanaryDecision::Continue => true,
            CanaryDecision::Stop(said) => {
                self.events.message(said);
                false
            }
            CanaryDecision::Ask(question) => self.ask(question).await,
        };
        self.plan.pace.open();
        continues
    }

    async fn ask(&mut self, question: String) -> bool {
        self.events.ask(question);
        let answer = tokio::task::spawn_blocking(|| {
            let mut answer = String::new();
            io::stdin().read_line(&mut answer).map(|_| answer)
        });
        let continues = tokio::select! {
            answer = answer => matches!(answer, Ok(Ok(answer)) if is_yes(&answer)),
            () = self.signals.next() => {
                self.events.message(String::new());
                self.handle_signal();
                false
            }
        };
        self.events.answered();
        if !continues {
            self.failure.get_or_insert(CliError::Declined);
        }
        continues
    }
}
