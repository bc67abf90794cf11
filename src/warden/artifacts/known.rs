//! The artifacts in memory, fed by the store: what finding, claiming and forgetting need of each.
//!
//! They are indexed by workflow and status, by location and status, by name, and by the runs that used them.
//! A search takes the index that leaves the fewest to look at, and looks at a bounded number under the lock,
//! so that commits are not held up: [`Found::next`] says where it has to continue.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use wildmatch::WildMatch;

use super::glob::Glob;
use crate::model::artifact::{Status, is_finished};
use crate::model::{Artifact, ArtifactId, ItemKey, Timestamp, WorkflowName};
use crate::store::{Change, Document, DocumentId, Observer};

/// The artifacts that are looked at under the lock; one with a long name counts as several.
const LOOK_MAX: usize = 8_192;
/// If more names begin as asked, they are not gathered and sorted.
const NAMES_MAX: usize = 4_096;
/// If more pairs of location and status match, artifacts are taken by their workflows.
const LOCATIONS_MAX: usize = 4_096;

#[derive(Clone, Debug, Default)]
pub struct ArtifactFilter {
    /// Any of these; all if empty.
    pub workflows: Vec<WildMatch>,
    /// The workflows of the token; all if empty.
    pub allowed: Vec<WildMatch>,
    pub location: Option<Glob>,
    pub name: Option<Glob>,
    /// Any of these; all if empty.
    pub statuses: Vec<Status>,
    /// Leaves out artifacts that depend on an unfinished one, unless that was found before. Set by claims.
    pub loadable: bool,
}

impl ArtifactFilter {
    fn admits_workflow(&self, workflow: &str) -> bool {
        let admits =
            |globs: &[WildMatch]| globs.is_empty() || globs.iter().any(|glob| glob.matches(workflow));
        admits(&self.workflows) && admits(&self.allowed)
    }

    fn admits_status(&self, status: &Status) -> bool {
        self.statuses.is_empty() || self.statuses.contains(status)
    }

    fn admits(&self, row: &Row) -> bool {
        self.admits_status(&row.status)
            && self.location.as_ref().is_none_or(|glob| glob.matches(&row.location))
            && self.name.as_ref().is_none_or(|glob| glob.matches(&row.name))
            && self.admits_workflow(&row.workflow)
    }

    /// How many artifacts looking at this one counts as.
    fn cost(&self, row: &Row) -> usize {
        let of = |glob: &Option<Glob>, text: &str| glob.as_ref().map_or(0, |glob| glob.cost(text));
        1 + of(&self.location, &row.location) + of(&self.name, &row.name)
    }

    /// Whether it still has a status that is asked for. Nothing else that is asked for ever changes.
    pub fn still_admits(&self, artifact: &Artifact) -> bool {
        self.admits_status(&artifact.status)
    }
}

/// The result of looking at some artifacts.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// With their numbers, which are the order of registration.
    pub artifacts: Vec<(u64, ArtifactId)>,
    /// After this number there may be more.
    pub next: Option<u64>,
    pub looked_at: usize,
}

/// An artifact that a run used.
#[derive(Debug, PartialEq, Eq)]
pub struct UsedArtifact {
    pub id: ArtifactId,
    pub location: Arc<str>,
    pub name: Arc<str>,
    pub status: Status,
}

struct Row {
    id: ArtifactId,
    workflow: WorkflowName,
    location: Arc<str>,
    name: Arc<str>,
    status: Status,
    status_at: Timestamp,
    /// It is removed together with the item of its run.
    is_of_run: bool,
    /// Of one that is not finished.
    depends_on: Box<[ArtifactId]>,
    runs: Box<[ItemKey]>,
}

impl Row {
    /// Whether it is forgotten after its retention.
    fn is_outlived(&self) -> bool {
        is_finished(&self.status) && !self.is_of_run
    }
}

#[derive(Default)]
struct Index {
    /// By number.
    rows: BTreeMap<u64, Row>,
    numbers: HashMap<ArtifactId, u64>,
    by_workflow: BTreeMap<(WorkflowName, Status), BTreeSet<u64>>,
    by_location: BTreeMap<(Arc<str>, Status), BTreeSet<u64>>,
    names: BTreeSet<(Arc<str>, u64)>,
    by_run: HashMap<ItemKey, BTreeSet<u64>>,
    /// Those that are forgotten after their retention, by the time since which they could be.
    outlived: BTreeMap<WorkflowName, BTreeSet<(Timestamp, u64)>>,
}

#[derive(Default)]
pub struct KnownArtifacts(RwLock<Index>);

impl KnownArtifacts {
    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of artifacts of each status.
    pub fn counts(&self) -> BTreeMap<Status, usize> {
        let mut counts = BTreeMap::new();
        for ((_, status), numbers) in &self.read().by_workflow {
            *counts.entry(status.clone()).or_default() += numbers.len();
        }
        counts
    }

    pub fn workflow_of(&self, id: &ArtifactId) -> Option<WorkflowName> {
        let index = self.read();
        Some(index.rows.get(index.numbers.get(id)?)?.workflow.clone())
    }

    /// Whether any artifact has this status.
    pub fn has_status(&self, status: &Status) -> bool {
        self.read().by_workflow.keys().any(|(_, known)| known == status)
    }

    /// The first `limit` artifacts that a run used, in the order of their registration.
    pub fn of_run(&self, run: &ItemKey, limit: usize, is_seen: impl Fn(&str) -> bool) -> Vec<UsedArtifact> {
        let index = self.read();
        let numbers = index.by_run.get(run).into_iter().flatten();
        let rows = numbers.filter_map(|number| index.rows.get(number)).filter(|row| is_seen(&row.workflow));
        let used = |row: &Row| UsedArtifact {
            id: row.id.clone(),
            location: row.location.clone(),
            name: row.name.clone(),
            status: row.status.clone(),
        };
        rows.take(limit).map(used).collect()
    }

    /// Looks at some artifacts after a number, in the order of their registration, and returns at most
    /// `limit` of those that the filter admits.
    pub fn find(&self, filter: &ArtifactFilter, after: u64, limit: usize) -> Found {
        self.read().find(filter, after, limit)
    }

    /// The number of artifacts of a workflow that are not finished, without those that are removed with their
    /// run.
    pub fn to_be_loaded_of(&self, workflow: &WorkflowName) -> usize {
        let index = self.read();
        let unfinished = index.of(workflow).filter(|((_, status), _)| !is_finished(status));
        let is_of_run = |number: &&u64| index.rows.get(number).is_some_and(|row| row.is_of_run);
        unfinished.map(|(_, numbers)| numbers.len() - numbers.iter().filter(is_of_run).count()).sum()
    }

    pub fn has_any_of(&self, workflow: &WorkflowName) -> bool {
        self.read().of(workflow).next().is_some()
    }

    /// The first `limit` finished artifacts of a workflow.
    pub fn finished_of(&self, workflow: &WorkflowName, limit: usize) -> Vec<(ArtifactId, Timestamp)> {
        let index = self.read();
        let outlived = index.outlived.get(workflow).into_iter().flatten().take(limit);
        outlived.filter_map(|(since, number)| Some((index.rows.get(number)?.id.clone(), *since))).collect()
    }

    /// Finished artifacts whose retention has ended, or that are beyond the latest `most` of their workflow;
    /// at most `limit`.
    pub fn outlived(
        &self,
        now: Timestamp,
        retention: Duration,
        most: usize,
        limit: usize,
    ) -> Vec<(ArtifactId, Timestamp)> {
        let index = self.read();
        let mut found = Vec::new();
        for outlived in index.outlived.values() {
            let surplus = outlived.len().saturating_sub(most);
            let gone = outlived.iter().enumerate();
            let gone = gone.take_while(|(place, (at, _))| *place < surplus || at.after(retention) <= now);
            let gone = gone.filter_map(|(_, (at, number))| Some((index.rows.get(number)?.id.clone(), *at)));
            found.extend(gone.take(limit - found.len()));
            if found.len() >= limit {
                break;
            }
        }
        found
    }
}

/// The least status.
fn first_status() -> Status {
    Status::Known(crate::model::artifact::ArtifactStatus::Initializing)
}

impl Index {
    /// The artifacts of a workflow, by status.
    fn of<'a>(
        &'a self,
        workflow: &'a WorkflowName,
    ) -> impl Iterator<Item = (&'a (WorkflowName, Status), &'a BTreeSet<u64>)> {
        let from = self.by_workflow.range((workflow.clone(), first_status())..);
        from.take_while(move |((name, _), _)| name == workflow)
    }

    fn find(&self, filter: &ArtifactFilter, after: u64, limit: usize) -> Found {
        let mut found = Found::default();
        for number in self.candidates(filter, after) {
            let Some(row) = self.rows.get(&number) else { continue };
            if filter.admits(row) && !(filter.loadable && self.is_blocked(row, &found.artifacts)) {
                if found.artifacts.len() >= limit {
                    found.next = found.artifacts.last().map(|(last, _)| *last);
                    return found;
                }
                found.artifacts.push((number, row.id.clone()));
            }
            found.looked_at += filter.cost(row) + row.depends_on.len();
            if found.looked_at >= LOOK_MAX {
                found.next = Some(number);
                return found;
            }
        }
        found
    }

    /// Whether an artifact depends on an unfinished one that is not among `found`, which are claimed before
    /// it.
    fn is_blocked(&self, row: &Row, found: &[(u64, ArtifactId)]) -> bool {
        let blocks = |id: &ArtifactId| {
            let Some(number) = self.numbers.get(id) else { return false };
            let is_open = self.rows.get(number).is_some_and(|other| !is_finished(&other.status));
            is_open && found.binary_search_by_key(number, |(number, _)| *number).is_err()
        };
        row.depends_on.iter().any(blocks)
    }

    /// Numbers after this one, in order, among them all that the filter admits.
    fn candidates<'a>(
        &'a self,
        filter: &'a ArtifactFilter,
        after: u64,
    ) -> Box<dyn Iterator<Item = u64> + 'a> {
        if let Some(numbers) = self.of_name(filter, after) {
            return Box::new(numbers.into_iter());
        }
        if let Some(sets) = self.of_location(filter) {
            return Box::new(Merged::new(sets, after));
        }
        let of_workflow = self.by_workflow.iter().filter(|((workflow, status), _)| {
            filter.admits_status(status) && filter.admits_workflow(workflow)
        });
        Box::new(Merged::new(of_workflow.map(|(_, numbers)| numbers), after))
    }

    /// The artifacts whose names begin as asked, unless there are many.
    fn of_name(&self, filter: &ArtifactFilter, after: u64) -> Option<Vec<u64>> {
        let glob = filter.name.as_ref().filter(|glob| !glob.prefix().is_empty())?;
        let range = self.names.range((Arc::from(glob.prefix()), 0)..);
        let range = range.take_while(|(name, _)| glob.is_in_range(name));
        let mut numbers: Vec<u64> = range.take(NAMES_MAX + 1).map(|(_, number)| *number).collect();
        if numbers.len() > NAMES_MAX {
            return None;
        }
        numbers.retain(|number| *number > after);
        numbers.sort_unstable();
        Some(numbers)
    }

    /// The artifacts at the locations that are asked for, by location and status, unless those are many.
    fn of_location<'a>(&'a self, filter: &ArtifactFilter) -> Option<Vec<&'a BTreeSet<u64>>> {
        let glob = filter.location.as_ref()?;
        let range = self.by_location.range((Arc::from(glob.prefix()), first_status())..);
        let range = range.take_while(|((location, _), _)| glob.is_in_range(location));
        let (mut sets, mut cost) = (Vec::new(), 0);
        for ((location, status), numbers) in range {
            cost += 1 + glob.cost(location);
            if cost > LOCATIONS_MAX {
                return None;
            }
            if filter.admits_status(status) && glob.matches(location) {
                sets.push(numbers);
            }
        }
        Some(sets)
    }

    fn put(&mut self, artifact: &Artifact) {
        self.remove(&artifact.id);
        let number = artifact.number.0;
        // Equal texts are kept once, as the keys of an index.
        let status = artifact.status.clone();
        let workflow = match self.by_workflow.range((artifact.workflow.clone(), first_status())..).next() {
            Some(((known, _), _)) if *known == artifact.workflow => known.clone(),
            _ => artifact.workflow.clone(),
        };
        let location = match self.by_location.range((artifact.location.clone(), first_status())..).next() {
            Some(((known, _), _)) if *known == artifact.location => known.clone(),
            _ => artifact.location.clone(),
        };
        let known = |id: &ArtifactId| {
            let known = self.numbers.get_key_value(id);
            known.map_or_else(|| id.clone(), |(known, _)| known.clone())
        };
        let depends_on = match is_finished(&status) {
            true => Box::default(),
            false => artifact.depends_on.iter().map(known).collect(),
        };
        let row = Row {
            id: artifact.id.clone(),
            workflow: workflow.clone(),
            location: location.clone(),
            name: artifact.name.clone(),
            status: status.clone(),
            status_at: artifact.status_at,
            is_of_run: artifact.removed_with().is_some(),
            depends_on,
            runs: artifact.uses.iter().map(|usage| usage.run.clone()).collect(),
        };
        self.numbers.insert(row.id.clone(), number);
        self.names.insert((row.name.clone(), number));
        for run in &row.runs {
            self.by_run.entry(run.clone()).or_default().insert(number);
        }
        if row.is_outlived() {
            self.outlived.entry(workflow.clone()).or_default().insert((row.status_at, number));
        }
        self.by_workflow.entry((workflow, status.clone())).or_default().insert(number);
        self.by_location.entry((location, status)).or_default().insert(number);
        self.rows.insert(number, row);
    }

    fn remove(&mut self, id: &ArtifactId) {
        let Some(number) = self.numbers.remove(id) else { return };
        let Some(row) = self.rows.remove(&number) else { return };
        for run in &row.runs {
            if let Some(numbers) = self.by_run.get_mut(run) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    self.by_run.remove(run);
                }
            }
        }
        if row.is_outlived() {
            take_out(&mut self.outlived, &row.workflow, &(row.status_at, number));
        }
        self.names.remove(&(row.name, number));
        take_out(&mut self.by_workflow, &(row.workflow, row.status.clone()), &number);
        take_out(&mut self.by_location, &(row.location, row.status), &number);
    }
}

fn take_out<K: Ord, V: Ord>(sets: &mut BTreeMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}

/// The numbers of several sets after one, in order.
struct Merged<'a> {
    sets: Vec<std::collections::btree_set::Range<'a, u64>>,
    next: BinaryHeap<Reverse<(u64, usize)>>,
}

impl<'a> Merged<'a> {
    fn new(sets: impl IntoIterator<Item = &'a BTreeSet<u64>>, after: u64) -> Self {
        let mut sets: Vec<_> = match after.checked_add(1) {
            Some(from) => sets.into_iter().map(|set| set.range(from..)).collect(),
            None => Vec::new(),
        };
        let first = |(place, set): (usize, &mut std::collections::btree_set::Range<'_, u64>)| {
            Some(Reverse((*set.next()?, place)))
        };
        let next = sets.iter_mut().enumerate().filter_map(first).collect();
        Self { sets, next }
    }
}

impl Iterator for Merged<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let Reverse((number, place)) = self.next.pop()?;
        if let Some(following) = self.sets[place].next() {
            self.next.push(Reverse((*following, place)));
        }
        Some(number)
    }
}

impl Observer for KnownArtifacts {
    fn committed(&self, changes: &[Change]) {
        let is_own = |change: &&Change| {
            matches!(change, Change::Put(Document::Artifact(_)) | Change::Removed(DocumentId::Artifact(_)))
        };
        let mut own = changes.iter().filter(is_own).peekable();
        if own.peek().is_none() {
            return;
        }
        let mut index = self.write();
        for change in own {
            match change {
                Change::Put(Document::Artifact(artifact)) => index.put(artifact),
                Change::Removed(DocumentId::Artifact(id)) => index.remove(id),
                Change::Put(_) | Change::Removed(_) => {}
                Change::Item { .. } | Change::Step { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
