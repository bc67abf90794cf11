//! What a workflow's runs have come to so far, and what that means for the next one.
//!
//! The lists of open and of waiting runs are bounded: a workflow that allows any number of open runs must
//! not rewrite them all with each. Of the open ones the newest are listed, of the waiting ones the oldest;
//! the rest is counted. When a list is empty and the count is not, the caller lists more from the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::policy::{Requirement, RunPolicy};
use super::{Counts, HOLD_AFTER_MAX, HeldFor, JobName, RunEntry, RunStatus, Single, Unmet, UnmetReason};
use crate::model::{ItemId, Timestamp, WorkflowName};

/// The most open runs, and the most waiting ones, that are listed.
pub const LISTED_MAX: usize = 64;
/// How many ended runs are remembered, for when the latest one is retried or discarded.
const ENDED_KEPT: usize = 8;

/// The numbers of runs that have not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unended {
    pub listed: BTreeSet<u64>,
    /// The listed ones and the others.
    pub count: u64,
}

impl Unended {
    fn insert(&mut self, number: u64, keeps: Keeps) {
        let has_others = self.count > self.listed.len() as u64;
        self.count += 1;
        // The others lie beyond the listed ones.
        let is_beyond = match keeps {
            Keeps::Newest => self.listed.first().is_some_and(|oldest| number < *oldest),
            Keeps::Oldest => self.listed.last().is_some_and(|newest| *newest < number),
        };
        if has_others && is_beyond {
            return;
        }
        self.listed.insert(number);
        if self.listed.len() > LISTED_MAX {
            match keeps {
                Keeps::Newest => drop(self.listed.pop_first()),
                Keeps::Oldest => drop(self.listed.pop_last()),
            }
        }
    }

    fn remove(&mut self, number: u64) {
        self.count = self.count.saturating_sub(1);
        self.listed.remove(&number);
    }

    /// Lists runs that were found in the ledger, the first [`LISTED_MAX`] of them. If none was found, there
    /// are none.
    pub fn list(&mut self, numbers: impl IntoIterator<Item = u64>) {
        self.listed = numbers.into_iter().take(LISTED_MAX).collect();
        if self.listed.is_empty() {
            self.count = 0;
        }
    }

    /// Whether there are runs, and none of them is listed.
    pub fn needs_listing(&self) -> bool {
        self.count > 0 && self.listed.is_empty()
    }
}

#[derive(Clone, Copy)]
enum Keeps {
    Newest,
    Oldest,
}

/// A run that has ended in success or failure. Instants are steady.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub number: u64,
    pub status: RunStatus,
    pub at: Timestamp,
}

impl Ended {
    /// Whether it is a success that makes up for a failed run: its number is higher, and it ended no earlier.
    pub fn makes_up_for(self, failed: u64, failed_at: Timestamp) -> bool {
        self.status == RunStatus::Success && failed < self.number && failed_at <= self.at
    }
}

/// Why a workflow is on hold until a person releases it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub since: Timestamp,
    /// Who ordered it; `None` if too many runs failed in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<Arc<str>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunHistory {
    /// The number of the latest run.
    pub last_number: u64,
    /// The newest first to be listed.
    pub open: Unended,
    /// Held until their requirements are met. The oldest first to be listed.
    pub waiting: Unended,
    /// The run that is held because the workflow is on hold.
    pub held: Option<u64>,
    /// The latest by number, the highest last; discarded ones are left out.
    pub ended: Vec<Ended>,
    /// The latest success by the time of its end.
    pub last_success: Option<Ended>,
    /// The runs that failed since the last success or release, the latest [`HOLD_AFTER_MAX`] of them.
    pub failures: BTreeSet<u64>,
    /// Where the next window of a job begins, by the wall clock.
    pub watermarks: BTreeMap<JobName, Timestamp>,
    pub hold: Option<Hold>,
    /// The counts of all runs together.
    pub totals: Counts,
}

/// What becomes of a new run.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// It begins; open runs are superseded first if `supersedes`.
    Begins {
        supersedes: bool,
    },
    Held(HeldFor),
    Refused(RunRefusal),
}

/// Why a run cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunRefusal {
    /// Another one is open. The id is that of its item, as far as it is known.
    Open {
        number: u64,
        item: Option<ItemId>,
    },
    /// The workflow is on hold, and a run is held already.
    OnHold {
        number: u64,
        item: Option<ItemId>,
    },
    Unmet(Vec<UnmetRequirement>),
}

/// A required workflow whose latest run does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmetRequirement {
    pub workflow: WorkflowName,
    pub reason: UnmetReason,
    /// The number of the run that the reason is about, if there is one.
    pub number: Option<u64>,
}

impl RunHistory {
    /// Judges a new run. `of` has the histories of other workflows.
    pub fn judge<'a>(
        &self,
        policy: &RunPolicy,
        of: impl Fn(&WorkflowName) -> Option<&'a Self>,
        now: Timestamp,
    ) -> Judgement {
        if self.is_on_hold(policy) {
            return match self.held {
                Some(number) => Judgement::Refused(RunRefusal::OnHold { number, item: None }),
                None => Judgement::Held(HeldFor::Hold),
            };
        }
        let unmet = unmet(policy, of, now);
        if !unmet.is_empty() {
            let refuses = |unmet: &&(UnmetRequirement, Unmet)| unmet.1 == Unmet::Refuse;
            let refusing: Vec<_> = unmet.iter().filter(refuses).map(|(unmet, _)| unmet.clone()).collect();
            return match refusing.is_empty() {
                true => Judgement::Held(HeldFor::Requirement),
                false => Judgement::Refused(RunRefusal::Unmet(refusing)),
            };
        }
        match (policy.single, self.newest_open()) {
            (Single::Refuse, Some(number)) => Judgement::Refused(RunRefusal::Open { number, item: None }),
            (Single::Supersede, Some(_)) => Judgement::Begins { supersedes: true },
            _ => Judgement::Begins { supersedes: false },
        }
    }

    /// Whether a run that is held may begin. An open one is never superseded by it: it is older.
    pub fn may_open<'a>(
        &self,
        policy: &RunPolicy,
        of: impl Fn(&WorkflowName) -> Option<&'a Self>,
        now: Timestamp,
    ) -> bool {
        !self.is_on_hold(policy)
            && unmet(policy, of, now).is_empty()
            && (policy.single == Single::Allow || self.open.count == 0)
    }

    /// Whether new runs are held until a person releases the workflow.
    pub fn is_on_hold(&self, policy: &RunPolicy) -> bool {
        self.hold.is_some() || self.is_failing(policy)
    }

    /// Whether so many runs failed in a row that the workflow is on hold.
    pub fn is_failing(&self, policy: &RunPolicy) -> bool {
        policy.hold_after.is_some_and(|after| self.failures.len() >= after as usize)
    }

    pub fn newest_open(&self) -> Option<u64> {
        self.open.listed.last().copied()
    }

    /// The latest run that has begun, by number, if it has ended. Discarded ones are left out.
    pub fn latest_ended(&self) -> Option<Ended> {
        let latest = self.ended.last().copied()?;
        let is_overtaken = |number: u64| number > latest.number;
        (!self.newest_open().is_some_and(is_overtaken)).then_some(latest)
    }

    /// Why the latest run does not satisfy a workflow that requires it.
    fn unmet(&self, requirement: &Requirement, now: Timestamp) -> Option<(UnmetReason, Option<u64>)> {
        if let Some(number) = self.held.or(self.waiting.listed.first().copied()) {
            return Some((UnmetReason::Held, Some(number)));
        }
        let Some(latest) = self.latest_ended() else {
            return match (self.newest_open(), requirement.within) {
                (Some(number), _) => Some((UnmetReason::Open, Some(number))),
                (None, Some(_)) => Some((UnmetReason::NeverRun, None)),
                (None, None) => None,
            };
        };
        let number = Some(latest.number);
        if latest.status != RunStatus::Success {
            return Some((UnmetReason::Failed, number));
        }
        let is_stale = requirement.within.is_some_and(|within| latest.at.after(within) < now);
        is_stale.then_some((UnmetReason::Stale, number))
    }

    /// Takes note of a new run, or of a change of one.
    pub fn follow(&mut self, before: Option<&RunEntry>, after: &RunEntry) {
        self.last_number = self.last_number.max(after.number);
        self.add_counts(before, after);
        let stood = before.map(|before| (before.status, before.held));
        if stood == Some((after.status, after.held)) {
            return;
        }
        let number = after.number;
        match stood {
            Some((RunStatus::Open, _)) => self.open.remove(number),
            Some((RunStatus::Held, Some(HeldFor::Requirement))) => self.waiting.remove(number),
            Some((RunStatus::Held, _)) => self.held = None,
            Some((RunStatus::Success | RunStatus::Failed | RunStatus::Discarded, _)) | None => {
                self.ended.retain(|ended| ended.number != number);
                // A failed one that is retried or discarded is none in a row any more.
                self.failures.remove(&number);
            }
        }
        match after.status {
            RunStatus::Open => self.open.insert(number, Keeps::Newest),
            RunStatus::Held if after.held == Some(HeldFor::Requirement) => {
                self.waiting.insert(number, Keeps::Oldest);
            }
            RunStatus::Held => self.held = Some(number),
            // It was for another time: it says nothing about how things stand.
            RunStatus::Success | RunStatus::Failed if after.backfill.is_some() => {}
            RunStatus::Success => {
                self.note_end(after);
                self.failures.clear();
                self.advance(after);
            }
            RunStatus::Failed => {
                self.note_end(after);
                self.failures.insert(number);
                if self.failures.len() > HOLD_AFTER_MAX as usize {
                    self.failures.pop_first();
                }
            }
            RunStatus::Discarded => {}
        }
    }

    fn note_end(&mut self, entry: &RunEntry) {
        let at = entry.ended_at.unwrap_or(entry.created_at);
        let ended = Ended { number: entry.number, status: entry.status, at };
        let place = self.ended.partition_point(|other| other.number < ended.number);
        self.ended.insert(place, ended);
        if self.ended.len() > ENDED_KEPT {
            self.ended.remove(0);
        }
        if ended.status == RunStatus::Success && self.last_success.is_none_or(|last| last.at <= at) {
            self.last_success = Some(ended);
        }
    }

    /// Moves the watermarks past the windows of a successful run, which is no backfill.
    fn advance(&mut self, entry: &RunEntry) {
        let Some(params) = &entry.params else { return };
        for (job, params) in &params.jobs {
            let watermark = self.watermarks.entry(job.clone()).or_insert(params.window.to);
            *watermark = params.window.to.max(*watermark);
        }
        // Jobs come and go with the configuration.
        while self.watermarks.len() > WATERMARKS_MAX {
            let is_gone = |job: &&JobName| !params.jobs.contains_key(*job);
            let gone = self.watermarks.iter().filter(|(job, _)| is_gone(job)).min_by_key(|(_, at)| **at);
            let Some(gone) = gone.map(|(job, _)| job.clone()) else { return };
            self.watermarks.remove(&gone);
        }
    }

    fn add_counts(&mut self, before: Option<&RunEntry>, after: &RunEntry) {
        let counts = |entry: &RunEntry, sign: i64, totals: &mut Counts| {
            for (name, count) in &entry.counts {
                if totals.len() < TOTALS_MAX || totals.contains_key(name) {
                    let total = totals.entry(name.clone()).or_default();
                    *total = total.saturating_add(count.saturating_mul(sign));
                }
            }
        };
        if before.is_some_and(|before| before.counts == after.counts) {
            return;
        }
        if let Some(before) = before {
            counts(before, -1, &mut self.totals);
        }
        counts(after, 1, &mut self.totals);
    }

    /// Whether runs are open, held or waiting.
    pub fn has_unended(&self) -> bool {
        self.open.count > 0 || self.waiting.count > 0 || self.held.is_some()
    }

    /// Takes off the lists what cannot be found any more.
    pub fn unlist(&mut self, number: u64) {
        for unended in [&mut self.open, &mut self.waiting] {
            if unended.listed.contains(&number) {
                unended.remove(number);
            }
        }
        self.held = self.held.filter(|held| *held != number);
    }

    /// Ends the hold: the streak of failures begins anew.
    pub fn release(&mut self) {
        self.hold = None;
        self.failures.clear();
    }

    /// The latest successes by number, and that which ended last.
    pub fn successes(&self) -> impl Iterator<Item = Ended> {
        let succeeded = self.ended.iter().copied().filter(|ended| ended.status == RunStatus::Success);
        succeeded.chain(self.last_success.filter(|last| !self.ended.contains(last)))
    }

    /// Whether a run has failed since `former` that a success makes up for already: its failure was told
    /// late.
    pub fn has_late_failure(&self, former: Option<&Self>) -> bool {
        let is_new = |ended: &&Ended| former.is_none_or(|former| !former.ended.contains(ended));
        let mut failed = self.ended.iter().filter(|ended| ended.status == RunStatus::Failed).filter(is_new);
        failed.any(|failed| self.successes().any(|success| success.makes_up_for(failed.number, failed.at)))
    }

    /// Whether it must be kept although the ledger is empty and nobody has defined the workflow.
    pub fn is_needed(&self) -> bool {
        self.has_unended() || self.hold.is_some()
    }
}

/// The most names in the totals of a workflow.
const TOTALS_MAX: usize = 128;
/// The most jobs whose watermarks are kept, current and former ones.
const WATERMARKS_MAX: usize = 256;

/// The requirements that are not met, each with what then becomes of a run.
fn unmet<'a>(
    policy: &RunPolicy,
    of: impl Fn(&WorkflowName) -> Option<&'a RunHistory>,
    now: Timestamp,
) -> Vec<(UnmetRequirement, Unmet)> {
    let never = RunHistory::default();
    let judged = policy.requires.iter().filter_map(|requirement| {
        let history = of(&requirement.workflow).unwrap_or(&never);
        let (reason, number) = history.unmet(requirement, now)?;
        let workflow = requirement.workflow.clone();
        Some((UnmetRequirement { workflow, reason, number }, requirement.otherwise))
    });
    judged.collect()
}
