//! The recovery as a whole: claims as there is room, runs the command, counts what becomes of the items, and ends when
//! nothing is claimable or somebody wants it to.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};

use warden_api::lease::ClaimedItem;

use super::claims::{ClaimOutcome, Claims};
use super::pace::{Allowance, Pace};
use super::pace::{CanaryDecision, is_yes, judge_canary};
use super::summary::Summary;
use crate::cli::commands::error::CliError;
use crate::cli::commands::worker::attempt::{Attempt, Work};
use crate::cli::commands::worker::events::EventSender;
use crate::cli::commands::worker::process::{StopLevel, raise};
use crate::cli::commands::worker::report::Report;
use crate::cli::commands::worker::verdict::Settlement;
use crate::cli::terminal::signals::Signals;
use crate::model::Timestamp;

/// How many reports may wait to be looked at.
const REPORTS_MAX: usize = 256;
/// How long it may take to tell the daemon of what somebody has no more patience for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How items are recovered.
pub struct Plan {
    /// What is done for each.
    pub work: Work,
    /// How many commands run at once.
    pub concurrency: usize,
    /// How fast, how many together, and how many altogether.
    pub pace: Pace,
    /// How long a daemon that cannot be asked is waited for.
    pub patience: Duration,
    /// Whether there is somebody to ask.
    pub is_interactive: bool,
    /// How many items there seem to be.
    pub total: Option<u64>,
}

/// What a recovery came to.
pub struct Outcome {
    /// What became of the items.
    pub summary: Summary,
    /// How long it took.
    pub took: Duration,
    /// What kept it from going on, if something did.
    pub failure: Option<CliError>,
}

/// A recovery that runs.
pub struct Recovery {
    work: Arc<Work>,
    claims: Claims,
    pace: Pace,
    concurrency: usize,
    is_interactive: bool,
    /// How many items there seem to be.
    total: Option<u64>,
    events: EventSender,
    signals: Signals,
    /// How often somebody wanted it to end.
    signalled: u32,
    /// When it is over, whatever is left.
    gives_up: Option<Timestamp>,
    stop: watch::Sender<StopLevel>,
    reports: (mpsc::Sender<Report>, mpsc::Receiver<Report>),
    running: JoinSet<io::Result<()>>,
    /// Whether nothing is claimable any more.
    exhausted: bool,
    summary: Summary,
    failure: Option<CliError>,
}

/// What a recovery waits for.
enum Happening {
    Report(Report),
    Ended(Result<io::Result<()>, JoinError>),
    ClaimOutcome(ClaimOutcome),
    Signal,
    Time,
}

impl Recovery {
    /// Makes ready.
    ///
    /// # Errors
    /// When signals cannot be listened to.
    pub fn new(plan: Plan, events: EventSender) -> io::Result<Self> {
        let work = Arc::new(plan.work);
        Ok(Self {
            claims: Claims::at(work.leases.clone(), plan.patience),
            work,
            pace: plan.pace,
            concurrency: plan.concurrency,
            is_interactive: plan.is_interactive,
            total: plan.total,
            events,
            signals: Signals::listen()?,
            signalled: 0,
            gives_up: None,
            stop: watch::Sender::new(StopLevel::Run),
            reports: mpsc::channel(REPORTS_MAX),
            running: JoinSet::new(),
            exhausted: false,
            summary: Summary::default(),
            failure: None,
        })
    }

    /// Recovers.
    pub async fn run(mut self) -> Outcome {
        let started = self.now();
        loop {
            let due = self.claim();
            if due.is_none() && !self.claims.is_asked() && self.running.is_empty() {
                self.note_all();
                if self.pace.at_gate() && self.goes_on() && self.judge_canary().await {
                    continue;
                }
                break;
            }
            match self.happening(due).await {
                Happening::Report(report) => self.note(report),
                Happening::Ended(ended) => self.note_end(ended),
                Happening::ClaimOutcome(gain) => self.take(gain),
                Happening::Signal => self.wind_up(),
                Happening::Time => {}
            }
            if self.gives_up.is_some_and(|at| at <= self.now()) {
                break;
            }
        }
        self.note_all();
        let took = self.now().since(started);
        self.summary.seconds = took.as_secs_f64();
        self.summary.interrupted = self.signalled > 0;
        Outcome { summary: self.summary, took, failure: self.failure }
    }

    fn now(&self) -> Timestamp {
        self.work.leases.clock().now()
    }

    /// Whether more may begin.
    fn goes_on(&self) -> bool {
        *self.stop.borrow() == StopLevel::Run && !self.exhausted
    }

    /// Claims if there is room. Gives when there will be, if that is only a matter of time.
    fn claim(&mut self) -> Option<Timestamp> {
        if self.claims.is_asked() || !self.goes_on() {
            return None;
        }
        if self.work.output.has_no_reader() {
            self.stop_by(CliError::Unread);
            return None;
        }
        let now = self.now();
        let slots = self.concurrency.saturating_sub(self.running.len());
        match self.pace.allowance(slots, now) {
            Allowance::Nothing => None,
            Allowance::Claim(_) if self.claims.not_before() > now => Some(self.claims.not_before()),
            Allowance::Claim(items) => {
                self.claims.ask(items);
                None
            }
            Allowance::Wait(later) => Some(later.max(self.claims.not_before())),
        }
    }

    async fn happening(&mut self, due: Option<Timestamp>) -> Happening {
        let next = [due, self.gives_up].into_iter().flatten().min();
        let clock = self.work.leases.clock();
        let time = async {
            match next {
                Some(next) => clock.sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.signals.next() => Happening::Signal,
            Some(report) = self.reports.1.recv() => Happening::Report(report),
            Some(ended) = self.running.join_next() => Happening::Ended(ended),
            gain = self.claims.gain() => Happening::ClaimOutcome(gain),
            () = time => Happening::Time,
        }
    }

    fn note(&mut self, report: Report) {
        self.summary.note(report.clone());
        self.events.report(&report, self.summary.counts);
    }

    fn note_all(&mut self) {
        while let Ok(report) = self.reports.1.try_recv() {
            self.note(report);
        }
    }

    fn note_end(&mut self, ended: Result<io::Result<()>, JoinError>) {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let program = self.work.line.program.clone();
                self.stop_by(CliError::Command { program, error });
            }
            Err(error) => self.stop_by(CliError::Start(error.to_string())),
        }
    }

    fn take(&mut self, gain: ClaimOutcome) {
        match gain {
            ClaimOutcome::Leased(leases, expires) => self.begin(leases, expires),
            ClaimOutcome::Exhausted => self.exhausted = true,
            ClaimOutcome::Retry(said) => {
                if let Some(said) = said {
                    self.events.note(said);
                }
            }
            ClaimOutcome::Failed(error) => self.stop_by(error),
        }
    }

    /// Begins to work on what was claimed. When nothing is to begin any more, it is given back.
    fn begin(&mut self, leases: Vec<ClaimedItem>, expires: Timestamp) {
        let (again, leases): (Vec<_>, Vec<_>) =
            leases.into_iter().partition(|lease| self.work.advanced.has(lease));
        for lease in again {
            let work = self.work.clone();
            self.running.spawn(async move {
                // If it cannot be told it runs out.
                let _ = work.leases.settle(&lease.id, &Settlement::Release, expires).await;
                Ok(())
            });
        }
        if leases.is_empty() {
            return;
        }
        self.pace.begun(leases.len(), self.now());
        let bundles: Vec<Vec<ClaimedItem>> = match self.work.in_batches {
            true => vec![leases],
            false => leases.into_iter().map(|lease| vec![lease]).collect(),
        };
        for bundle in bundles {
            let (work, reports) = (self.work.clone(), self.reports.0.clone());
            let attempt = Attempt::at(bundle, expires, work, self.stop.subscribe(), reports);
            self.running.spawn(attempt.run());
        }
    }

    /// Begins nothing more, because of this.
    fn stop_by(&mut self, error: CliError) {
        self.failure.get_or_insert(error);
        raise(&self.stop, StopLevel::Drain);
    }

    /// Does what somebody wants who wants it to end: the first time nothing more begins, the second time what is running
    /// is ended, and from the third on it is all over.
    fn wind_up(&mut self) {
        self.signalled += 1;
        let running = self.running.len();
        let (order, said) = match self.signalled {
            1 => (
                StopLevel::Drain,
                format!("claiming nothing more; {running} running may finish, once more to end them"),
            ),
            2 => (StopLevel::Terminate, format!("ending {running} running; once more to leave at once")),
            _ => (
                StopLevel::Kill,
                "leaving; what is not settled is free again when its lease has run out".to_owned(),
            ),
        };
        raise(&self.stop, order);
        if order == StopLevel::Kill {
            self.gives_up = Some(self.now().after(LAST_WORDS));
        }
        if running > 0 || order == StopLevel::Kill {
            self.events.note(said);
        }
    }

    /// Whether it goes on after its first items.
    async fn judge_canary(&mut self) -> bool {
        let rest = self.total.map(|total| total.saturating_sub(self.summary.counts.items()));
        let goes_on = match judge_canary(self.summary.counts, rest, self.is_interactive) {
            CanaryDecision::Continue => true,
            CanaryDecision::Stop(said) => {
                self.events.note(said);
                false
            }
            CanaryDecision::Ask(question) => {
                let goes_on = self.ask(question).await;
                if !goes_on {
                    self.failure.get_or_insert(CliError::Declined);
                }
                goes_on
            }
        };
        self.pace.open();
        goes_on
    }

    async fn ask(&mut self, question: String) -> bool {
        self.events.ask(question);
        let answer = tokio::task::spawn_blocking(|| {
            let mut answer = String::new();
            io::stdin().read_line(&mut answer).map(|_| answer)
        });
        let goes_on = tokio::select! {
            answer = answer => matches!(answer, Ok(Ok(answer)) if is_yes(&answer)),
            () = self.signals.next() => {
                self.events.note(String::new());
                self.wind_up();
                false
            }
        };
        self.events.answered();
        goes_on
    }
}
