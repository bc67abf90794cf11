//! The model: all runs that ever were, in a list, and the rules as one would tell them.

use std::collections::BTreeSet;

use warden::model::run::{HeldFor, ReleaseAs, RunStatus, Window};
use warden::model::{CloseOutcome, RunEntry, RunHistory, Timestamp};

use super::events::Standings;

pub const WORKFLOWS: [&str; 4] = ["load", "report", "free", "takeover"];
const HOLD_AFTER: [Option<usize>; 4] = [Some(2), None, Some(3), None];
const HOUR: i64 = 3_600_000;

#[derive(Clone, Debug)]
struct Run {
    id: String,
    status: RunStatus,
    held: Option<HeldFor>,
    /// Whether its item is closed.
    is_closed: bool,
    has_begun: bool,
    counted: Option<i64>,
    /// Where its window ends, once it has begun.
    started: Option<Timestamp>,
    windows: Vec<Window>,
    ended: Timestamp,
    /// Whether its item, and its entry in the ledger, are gone.
    is_forgotten: bool,
    is_swept: bool,
}

#[derive(Clone, Debug, Default)]
struct Workflow {
    runs: Vec<Run>,
    is_on_hold: bool,
    failures: BTreeSet<usize>,
    watermark: Option<Timestamp>,
}

#[derive(Default)]
pub struct Model {
    workflows: [Workflow; 4],
    pub now: Timestamp,
}

impl Model {
    /// Whether a run is let in, which may be held.
    pub fn open(&mut self, of: usize, id: &str, now: Timestamp) -> bool {
        self.now = now;
        let is_failing = HOLD_AFTER[of].is_some_and(|after| self.workflows[of].failures.len() >= after);
        let held = if self.workflows[of].is_on_hold || is_failing {
            if self.workflows[of].runs.iter().any(|run| run.held == Some(HeldFor::Hold)) {
                return false;
            }
            self.workflows[of].is_on_hold = true;
            Some(HeldFor::Hold)
        } else if !self.is_met(of) {
            if WORKFLOWS[of] == "free" {
                return false;
            }
            Some(HeldFor::Requirement)
        } else {
            match WORKFLOWS[of] {
                "free" => {}
                "takeover" => {
                    while let Some(open) = self.current(of) {
                        self.close(of, &open, CloseOutcome::Discarded);
                    }
                }
                _ if self.current(of).is_some() => return false,
                _ => {}
            }
            None
        };
        let status = if held.is_some() { RunStatus::Held } else { RunStatus::Open };
        self.workflows[of].runs.push(Run {
            id: id.to_owned(),
            status,
            held,
            is_closed: false,
            has_begun: held.is_none(),
            counted: None,
            started: None,
            windows: Vec::new(),
            ended: now,
            is_forgotten: false,
            is_swept: false,
        });
        let last = self.workflows[of].runs.len() - 1;
        if held.is_none() {
            self.begin(of, last);
        }
        true
    }

    fn begin(&mut self, of: usize, index: usize) {
        let (now, watermark) = (self.now, self.workflows[of].watermark);
        let run = &mut self.workflows[of].runs[index];
        (run.status, run.held, run.started) = (RunStatus::Open, None, Some(now));
        run.has_begun = true;
        if WORKFLOWS[of] == "load" {
            let from = watermark.unwrap_or(crate::store::sample::at(-24 * HOUR));
            run.windows = vec![Window { from: Some(from), to: now }];
        }
    }

    /// How each run stands, by the id of its item, and whether that is closed.
    pub fn standings(&self) -> Standings {
        let runs = self.workflows.iter().flat_map(|workflow| &workflow.runs);
        runs.map(|run| (run.id.clone(), (run.status, run.is_closed))).collect()
    }

    /// Whether the latest run of what is required counts.
    fn is_met(&self, of: usize) -> bool {
        if !matches!(WORKFLOWS[of], "report" | "free") {
            return true;
        }
        let load = &self.workflows[0];
        if load.runs.iter().any(|run| run.status == RunStatus::Held) {
            return false;
        }
        match load.runs.iter().rev().find(|run| run.status != RunStatus::Discarded) {
            Some(run) if run.status == RunStatus::Success => {
                WORKFLOWS[of] == "report" || run.ended.moved(HOUR) >= self.now
            }
            Some(_) => false,
            None => WORKFLOWS[of] == "report",
        }
    }

    pub fn current(&self, of: usize) -> Option<String> {
        let newest = self.workflows[of].runs.iter().rev().find(|run| run.status == RunStatus::Open);
        newest.map(|run| run.id.clone())
    }

    /// An unclosed run that has so many newer ones.
    pub fn unclosed(&self, of: usize, back: usize) -> Option<String> {
        let mut unclosed = self.workflows[of].runs.iter().rev().filter(|run| !run.is_closed);
        unclosed.nth(back).map(|run| run.id.clone())
    }

    fn index(&self, of: usize, id: &str) -> usize {
        self.workflows[of].runs.iter().position(|run| run.id == id).expect("it was let in")
    }

    pub fn close(&mut self, of: usize, id: &str, outcome: CloseOutcome) {
        let (index, now) = (self.index(of, id), self.now);
        let workflow = &mut self.workflows[of];
        let run = &mut workflow.runs[index];
        let had_failed = run.status == RunStatus::Failed;
        (run.is_closed, run.held) = (true, None);
        match outcome {
            CloseOutcome::Success => {
                (run.status, run.ended) = (RunStatus::Success, now);
                workflow.failures.clear();
                if let Some(window) = run.windows.first() {
                    workflow.watermark = workflow.watermark.max(Some(window.to));
                }
            }
            CloseOutcome::Failed => {
                if !had_failed {
                    run.ended = now;
                    workflow.failures.insert(index);
                }
                run.status = RunStatus::Failed;
            }
            CloseOutcome::Discarded => {
                run.status = RunStatus::Discarded;
                workflow.failures.remove(&index);
            }
        }
        // What is told about the run is told anew in the ledger.
        run.is_swept = false;
    }

    pub fn fail(&mut self, of: usize, id: &str) {
        let (index, now) = (self.index(of, id), self.now);
        let workflow = &mut self.workflows[of];
        let run = &mut workflow.runs[index];
        run.is_swept = false;
        if run.status != RunStatus::Failed {
            (run.status, run.held, run.ended) = (RunStatus::Failed, None, now);
            workflow.failures.insert(index);
        }
    }

    pub fn retry(&mut self, of: usize, id: &str) {
        let index = self.index(of, id);
        let workflow = &mut self.workflows[of];
        let run = &mut workflow.runs[index];
        if run.status == RunStatus::Failed {
            // What failed before it began waits until it may.
            (run.status, run.held) = match run.has_begun {
                true => (RunStatus::Open, None),
                false => (RunStatus::Held, Some(HeldFor::Requirement)),
            };
            run.is_swept = false;
            workflow.failures.remove(&index);
        }
    }

    pub fn count(&mut self, of: usize, id: &str, count: Option<i64>) {
        let index = self.index(of, id);
        let run = &mut self.workflows[of].runs[index];
        if run.counted != count {
            (run.counted, run.is_swept) = (count, false);
        }
    }

    pub fn hold(&mut self, of: usize) {
        self.workflows[of].is_on_hold = true;
    }

    pub fn release(&mut self, of: usize, release_as: ReleaseAs, now: Timestamp) {
        self.now = now;
        let workflow = &mut self.workflows[of];
        workflow.is_on_hold = false;
        workflow.failures.clear();
        let held = workflow.runs.iter().position(|run| run.held == Some(HeldFor::Hold));
        let Some(index) = held else { return };
        let id = workflow.runs[index].id.clone();
        match release_as {
            ReleaseAs::Success => self.close(of, &id, CloseOutcome::Success),
            ReleaseAs::Open if self.may_open(of) => self.begin(of, index),
            ReleaseAs::Open => self.workflows[of].runs[index].held = Some(HeldFor::Requirement),
        }
    }

    fn may_open(&self, of: usize) -> bool {
        let workflow = &self.workflows[of];
        let is_failing = HOLD_AFTER[of].is_some_and(|after| workflow.failures.len() >= after);
        let is_free = WORKFLOWS[of] == "free" || self.current(of).is_none();
        !workflow.is_on_hold && !is_failing && is_free && self.is_met(of)
    }

    pub fn open_waiting(&mut self, of: usize, now: Timestamp) {
        self.now = now;
        loop {
            let waits = |run: &Run| run.held == Some(HeldFor::Requirement);
            let Some(index) = self.workflows[of].runs.iter().position(waits) else { return };
            if !self.may_open(of) {
                return;
            }
            self.begin(of, index);
        }
    }

    /// The items that are closed, which are gone now.
    pub fn forget_closed(&mut self, of: usize) -> Vec<String> {
        let closed = self.workflows[of].runs.iter_mut().filter(|run| run.is_closed && !run.is_forgotten);
        closed
            .map(|run| {
                run.is_forgotten = true;
                run.id.clone()
            })
            .collect()
    }

    /// The numbers of the ended runs but the newest so many, which the ledger loses.
    pub fn sweep(&mut self, of: usize, kept: u64) -> Vec<u64> {
        let last = self.workflows[of].runs.len() as u64;
        let old = (1..).zip(&mut self.workflows[of].runs).filter(|(number, run)| {
            number + kept <= last && run.is_closed && run.is_forgotten && !run.is_swept
        });
        old.map(|(number, run)| {
            run.is_swept = true;
            number
        })
        .collect()
    }

    pub fn compare_history(&self, of: usize, history: &RunHistory) {
        let workflow = &self.workflows[of];
        let with = |is_it: fn(&Run) -> bool| -> Vec<u64> {
            (1..).zip(&workflow.runs).filter(|(_, run)| is_it(run)).map(|(number, _)| number).collect()
        };
        assert_eq!(history.last_number, workflow.runs.len() as u64);
        let open = with(|run| run.status == RunStatus::Open);
        assert_eq!(history.open.listed.iter().copied().collect::<Vec<_>>(), open);
        assert_eq!(history.open.count, open.len() as u64);
        let waiting = with(|run| run.held == Some(HeldFor::Requirement));
        assert_eq!(history.waiting.listed.iter().copied().collect::<Vec<_>>(), waiting);
        let held = with(|run| run.held == Some(HeldFor::Hold));
        assert_eq!(history.held, held.first().copied());
        assert_eq!(history.hold.is_some(), workflow.is_on_hold, "{}", WORKFLOWS[of]);
        let failures: BTreeSet<u64> = workflow.failures.iter().map(|index| *index as u64 + 1).collect();
        assert_eq!(history.failures, failures, "{}", WORKFLOWS[of]);
        let watermarks: Vec<Timestamp> = history.watermarks.values().copied().collect();
        assert!(watermarks.iter().all(|at| Some(*at) == workflow.watermark), "{watermarks:?}");
        assert_eq!(watermarks.is_empty(), workflow.watermark.is_none());
        let total: i64 = workflow.runs.iter().filter_map(|run| run.counted).sum();
        assert_eq!(history.totals.get("read").copied().unwrap_or_default(), total);
        self.check_coverage(of);
    }

    /// The windows of successful runs cover everything from the first beginning to the watermark.
    fn check_coverage(&self, of: usize) {
        let workflow = &self.workflows[of];
        let done = workflow.runs.iter().filter(|run| run.status == RunStatus::Success);
        let mut windows: Vec<Window> = done.flat_map(|run| run.windows.clone()).collect();
        windows.sort_by_key(|window| window.from);
        let mut covered_to = crate::store::sample::at(-24 * HOUR);
        for window in windows {
            assert!(window.from <= Some(covered_to), "there is a gap before {window:?}");
            covered_to = covered_to.max(window.to);
        }
        assert_eq!(workflow.watermark.unwrap_or(covered_to), covered_to);
    }

    pub fn compare_ledger(&self, of: usize, entries: &[RunEntry]) {
        let runs: Vec<(u64, &Run)> =
            (1..).zip(&self.workflows[of].runs).filter(|(_, run)| !run.is_swept).collect();
        let numbers: Vec<u64> = entries.iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, runs.iter().map(|(number, _)| *number).collect::<Vec<_>>());
        for (entry, (_, run)) in entries.iter().zip(runs) {
            assert_eq!((&*entry.item, entry.status, entry.held), (&*run.id, run.status, run.held));
            assert_eq!(entry.started_at, run.started, "{}", run.id);
            assert_eq!(entry.counts.get("read").copied(), run.counted, "{}", run.id);
            let plain = entry.params.iter().flat_map(|params| params.jobs.get("plain")).map(|job| job.window);
            assert_eq!(plain.collect::<Vec<_>>(), run.windows, "{}", run.id);
            if matches!(run.status, RunStatus::Success | RunStatus::Failed) {
                assert_eq!(entry.ended_at, Some(run.ended), "{}", run.id);
            }
        }
    }
}
