//! Which intervals successful runs cover.

use std::collections::BTreeMap;

use crate::model::run::{RunStatus, Window};
use crate::model::{JobName, RunEntry, Timestamp};

/// The windows of successful runs, backfills included, by job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    jobs: BTreeMap<JobName, Vec<Window>>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Coverage {
    /// Of these jobs nothing is covered so far.
    pub(super) fn of<'a>(jobs: impl Iterator<Item = &'a JobName>) -> Self {
        Self { jobs: jobs.map(|job| (job.clone(), Vec::new())).collect(), ..Self::default() }
    }

    pub(super) fn add(&mut self, entry: &RunEntry) {
        if entry.status != RunStatus::Success {
            return;
        }
        for (job, params) in entry.params.iter().flat_map(|params| &params.jobs) {
            self.jobs.entry(job.clone()).or_default().push(params.window);
        }
    }

    /// Only what lies between these instants.
    pub(super) fn limit(&mut self, since: Option<Timestamp>, until: Option<Timestamp>) {
        (self.since, self.until) = (since, until);
    }

    /// By job: the intervals that are covered, joined where they meet, and the gaps between them; with a
    /// beginning or an end also those before and after.
    pub fn by_job(&self) -> impl Iterator<Item = (&JobName, Vec<Window>, Vec<Window>)> {
        self.jobs.iter().map(|(job, windows)| {
            let covered = self.joined(windows);
            let gaps = self.gaps(&covered);
            (job, covered, gaps)
        })
    }

    fn joined(&self, windows: &[Window]) -> Vec<Window> {
        let mut windows: Vec<Window> = windows.iter().filter_map(|window| self.clipped(*window)).collect();
        windows.sort_by_key(|window| (window.from, window.to));
        let mut joined: Vec<Window> = Vec::new();
        for window in windows {
            match joined.last_mut() {
                Some(last) if window.from.is_none_or(|from| from <= last.to) => {
                    last.to = last.to.max(window.to);
                }
                _ => joined.push(window),
            }
        }
        joined
    }

    fn clipped(&self, window: Window) -> Option<Window> {
        let from = match (window.from, self.since) {
            (Some(from), Some(since)) => Some(from.max(since)),
            (from, since) => from.or(since),
        };
        let to = self.until.map_or(window.to, |until| window.to.min(until));
        from.is_none_or(|from| from < to).then_some(Window { from, to })
    }

    fn gaps(&self, covered: &[Window]) -> Vec<Window> {
        let mut gaps = Vec::new();
        // Before the first one nothing is known to be missing, unless the request names a beginning.
        let mut end = self.since;
        for window in covered {
            if let (Some(end), Some(from)) = (end, window.from)
                && end < from
            {
                gaps.push(Window { from: Some(end), to: from });
            }
            end = Some(window.to);
        }
        if let (Some(end), Some(until)) = (end, self.until)
            && end < until
        {
            gaps.push(Window { from: Some(end), to: until });
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: Option<i64>, to: i64) -> Window {
        Window { from: from.map(Timestamp::from_millis), to: Timestamp::from_millis(to) }
    }

    fn coverage(windows: &[Window], since: Option<i64>, until: Option<i64>) -> (Vec<Window>, Vec<Window>) {
        let job = JobName::new("job").unwrap();
        let mut coverage = Coverage { jobs: [(job, windows.to_vec())].into(), ..Coverage::default() };
        coverage.limit(since.map(Timestamp::from_millis), until.map(Timestamp::from_millis));
        let (_, covered, gaps) = coverage.by_job().next().unwrap();
        (covered, gaps)
    }

    #[test]
    fn windows_that_meet_are_joined_and_what_lies_between_others_is_a_gap() {
        let windows = [window(Some(30), 40), window(Some(0), 10), window(Some(5), 20), window(Some(20), 25)];
        assert_eq!(
            coverage(&windows, None, None),
            (vec![window(Some(0), 25), window(Some(30), 40)], vec![window(Some(25), 30)])
        );
        assert_eq!(
            coverage(&windows, Some(-5), Some(50)),
            (
                vec![window(Some(0), 25), window(Some(30), 40)],
                vec![window(Some(-5), 0), window(Some(25), 30), window(Some(40), 50)]
            )
        );
        assert_eq!(coverage(&windows, Some(10), Some(22)), (vec![window(Some(10), 22)], Vec::new()));
        assert_eq!(coverage(&windows, Some(26), Some(28)), (Vec::new(), vec![window(Some(26), 28)]));
        assert_eq!(
            coverage(&[window(None, 10), window(Some(12), 13)], None, None),
            (vec![window(None, 10), window(Some(12), 13)], vec![window(Some(10), 12)])
        );
    }
}
