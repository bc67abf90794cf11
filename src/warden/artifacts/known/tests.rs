use super::*;
use crate::model::artifact::{ArtifactStatus, ArtifactUse, Facts, NewArtifact, Usage, Word};
use crate::model::{ItemId, ItemNumber};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn artifact(number: u64, workflow: &str, location: &str, name: &str, status: ArtifactStatus) -> Artifact {
    let new = NewArtifact {
        workflow: WorkflowName::new(workflow).unwrap(),
        location: location.into(),
        name: name.into(),
        reuse: ArtifactUse::Many,
        run: None,
        status: status.into(),
        facts: Facts::default(),
        depends_on: Vec::new(),
    };
    Artifact::new(new, ItemNumber(number), at(number as i64))
}

fn put(known: &KnownArtifacts, artifact: Artifact) {
    known.committed(&[Change::Put(artifact.into())]);
}

fn all(known: &KnownArtifacts, filter: &ArtifactFilter, limit: usize) -> Vec<u64> {
    let (mut after, mut numbers) = (0, Vec::new());
    loop {
        let found = known.find(filter, after, limit);
        numbers.extend(found.artifacts.iter().map(|(number, _)| *number));
        match found.next {
            Some(next) => after = next,
            None => return numbers,
        }
    }
}

fn globs(globs: &[&str]) -> Vec<WildMatch> {
    globs.iter().map(|glob| WildMatch::new(glob)).collect()
}

/// A few of everything, in all combinations; and the filters over them.
#[test]
fn a_search_finds_what_looking_at_everything_finds() {
    use ArtifactStatus::{Loaded, Loading, Ready};
    let known = KnownArtifacts::default();
    let mut rows = Vec::new();
    let mut number = 0;
    for round in 0..3 {
        for workflow in ["etl", "etl-2", "reports"] {
            for location in ["/in", "/in/deep", "/out"] {
                for status in [Ready, Loading, Loaded] {
                    number += 2;
                    let name = format!("{round}/file-{number}.csv");
                    let artifact = artifact(number, workflow, location, &name, status);
                    rows.push(artifact.clone());
                    put(&known, artifact);
                }
            }
        }
    }
    // Some are changed, and some are gone.
    for artifact in rows.iter_mut().step_by(5) {
        artifact.status = Word::Other("checked".into());
        put(&known, artifact.clone());
    }
    let gone: Vec<Artifact> = rows.iter().step_by(7).cloned().collect();
    for artifact in &gone {
        known.committed(&[Change::Removed(DocumentId::Artifact(artifact.id.clone()))]);
    }
    rows.retain(|row| !gone.contains(row));

    let names = [None, Some("1/*"), Some("*-4*"), Some("0/file-2.csv"), Some("0/file-4.csv"), Some("x")];
    let locations = [None, Some("/in"), Some("/in*"), Some("*n"), Some("/nowhere")];
    let workflows: [&[&str]; 4] = [&[], &["etl*"], &["reports", "etl"], &["none"]];
    let statuses: [&[Status]; 3] =
        [&[], &[Word::Known(Ready)], &[Word::Other("checked".into()), Loaded.into()]];
    let allowed: [&[&str]; 2] = [&[], &["*t*"]];
    for (name, location) in names.iter().flat_map(|name| locations.map(|location| (*name, location))) {
        for (workflow, status) in workflows.iter().flat_map(|one| statuses.map(|status| (*one, status))) {
            for allowed in allowed {
                let filter = ArtifactFilter {
                    workflows: globs(workflow),
                    allowed: globs(allowed),
                    location: location.map(Glob::new),
                    name: name.map(Glob::new),
                    statuses: status.to_vec(),
                    loadable: false,
                };
                let any = |globs: &[&str], text: &str| {
                    globs.is_empty() || globs.iter().any(|glob| WildMatch::new(glob).matches(text))
                };
                let fits = |row: &&Artifact| {
                    any(workflow, &row.workflow)
                        && any(allowed, &row.workflow)
                        && location.is_none_or(|glob| WildMatch::new(glob).matches(&row.location))
                        && name.is_none_or(|glob| WildMatch::new(glob).matches(&row.name))
                        && (status.is_empty() || status.contains(&row.status))
                };
                let expected: Vec<u64> = rows.iter().filter(fits).map(|row| row.number.0).collect();
                for limit in [1, 4, 1000] {
                    assert_eq!(all(&known, &filter, limit), expected, "{filter:?}");
                }
            }
        }
    }
}

#[test]
fn a_search_looks_at_no_more_than_it_may_under_the_lock() {
    let known = KnownArtifacts::default();
    let many = 3 * LOOK_MAX as u64;
    for number in 1..=many {
        let name = format!("{number}.csv");
        put(&known, artifact(number, "etl", "/in", &name, ArtifactStatus::Ready));
    }
    let name = format!("*{many}.csv");
    let filter = ArtifactFilter { name: Some(Glob::new(&name)), ..ArtifactFilter::default() };
    let first = known.find(&filter, 0, 10);
    assert_eq!((first.artifacts.len(), first.next), (0, Some(LOOK_MAX as u64)));
    assert_eq!(all(&known, &filter, 10), [many]);
    // By its beginning it is found at once.
    let filter = ArtifactFilter { name: Some(Glob::new(&many.to_string())), ..ArtifactFilter::default() };
    assert_eq!(known.find(&filter, 0, 10).looked_at, 0);
    let filter = ArtifactFilter { name: Some(Glob::new(&format!("{many}*"))), ..ArtifactFilter::default() };
    let found = known.find(&filter, 0, 10);
    assert_eq!((found.artifacts.len(), found.next, found.looked_at), (1, None, 1));
    // So it is among many that begin alike, if its status is rare.
    put(&known, artifact(many, "etl", "/in", &format!("{many}.csv"), ArtifactStatus::Error));
    let statuses = vec![ArtifactStatus::Error.into()];
    for location in [None, Some(Glob::new("/in")), Some(Glob::new("/i*"))] {
        let filter = ArtifactFilter { statuses: statuses.clone(), location, ..ArtifactFilter::default() };
        assert_eq!(known.find(&filter, 0, 10).looked_at, 1);
    }
}

#[test]
fn what_has_to_wait_for_others_is_not_looked_up_for_a_claim() {
    use ArtifactStatus::{Error, Loaded, Loading, Ready};
    let known = KnownArtifacts::default();
    let id = |name: &str| ArtifactId::of("etl", "/in", name);
    let elsewhere = ArtifactId::of("etl", "/out", "ready");
    put(&known, artifact(1, "etl", "/out", "ready", Ready));
    let rows: [(u64, &str, ArtifactStatus, &[ArtifactId]); 11] = [
        (2, "loaded", Loaded, &[]),
        (3, "loading", Loading, &[]),
        (4, "failed", Error, &[]),
        (5, "free", Ready, &[]),
        (6, "after loaded and forgotten", Ready, &[id("loaded"), id("forgotten")]),
        (7, "after loading", Ready, &[id("loading")]),
        (8, "after failed", Ready, &[id("free"), id("failed")]),
        (9, "after free", Ready, &[id("free")]),
        (10, "after blocked", Ready, &[id("after failed")]),
        (11, "after the one after free", Ready, &[id("after free"), id("later")]),
        (12, "after another place", Ready, &[elsewhere]),
    ];
    for (number, name, status, depends_on) in rows {
        let depends_on = depends_on.to_vec();
        put(&known, Artifact { depends_on, ..artifact(number, "etl", "/in", name, status) });
    }
    put(&known, artifact(13, "etl", "/in", "later", Ready));
    let claim = ArtifactFilter {
        location: Some(Glob::new("/in")),
        statuses: vec![Ready.into()],
        loadable: true,
        ..ArtifactFilter::default()
    };
    assert_eq!(all(&known, &claim, 100), [5, 6, 9, 13]);
    // What was found before is claimed by then.
    assert_eq!(all(&known, &claim, 1), [5, 6, 13]);
    let ready = ArtifactFilter { loadable: false, ..claim };
    assert_eq!(all(&known, &ready, 100), [5, 6, 7, 8, 9, 10, 11, 12, 13]);
}

#[test]
fn what_is_finished_is_outlived_by_age_and_by_count_for_each_workflow() {
    let known = KnownArtifacts::default();
    for number in 1..=6 {
        let name = number.to_string();
        put(&known, artifact(number, "etl", "/in", &name, ArtifactStatus::Loaded));
        put(&known, artifact(10 + number, "reports", "/in", &name, ArtifactStatus::Ready));
    }
    let kept = NewArtifactOfRun("kept");
    put(&known, kept.made(20));
    let names = |most: usize, now: i64, limit: usize| -> Vec<Timestamp> {
        let outlived = known.outlived(at(now), Duration::from_millis(10), most, limit);
        outlived.into_iter().map(|(_, since)| since).collect()
    };
    assert_eq!(names(100, 5, 100), []);
    assert_eq!(names(100, 12, 100), [at(1), at(2)]);
    assert_eq!(names(3, 5, 100), [at(1), at(2), at(3)]);
    assert_eq!(names(3, 12, 2), [at(1), at(2)]);
    assert_eq!(names(0, 1_000, 100).len(), 6);
    let etl = WorkflowName::new("etl").unwrap();
    let reports = WorkflowName::new("reports").unwrap();
    assert_eq!((known.finished_of(&etl, 100).len(), known.to_be_loaded_of(&etl)), (6, 0));
    assert_eq!((known.finished_of(&reports, 100).len(), known.to_be_loaded_of(&reports)), (0, 6));
}

/// An artifact that is removed with its run.
struct NewArtifactOfRun(&'static str);

impl NewArtifactOfRun {
    fn run() -> ItemKey {
        ItemKey { workflow: WorkflowName::new("etl").unwrap(), id: ItemId::new("run-1").unwrap() }
    }

    fn made(&self, number: u64) -> Artifact {
        Artifact {
            reuse: ArtifactUse::Run,
            run: Some(Self::run()),
            uses: vec![Usage { run: Self::run(), status: ArtifactStatus::Loaded.into(), at: at(0) }],
            ..artifact(number, "etl", "/in", self.0, ArtifactStatus::Loaded)
        }
    }
}

#[test]
fn a_run_has_the_artifacts_that_it_used() {
    let known = KnownArtifacts::default();
    let [first, second] = [NewArtifactOfRun("1").made(1), NewArtifactOfRun("2").made(2)];
    put(&known, second.clone());
    put(&known, first.clone());
    let run = NewArtifactOfRun::run();
    let names = |limit: usize, hidden: &str| -> Vec<String> {
        let used = known.of_run(&run, limit, |workflow| workflow != hidden);
        used.into_iter().map(|artifact| artifact.name.to_string()).collect()
    };
    assert_eq!(names(10, "none"), ["1", "2"]);
    assert_eq!(names(1, "none"), ["1"]);
    assert_eq!(names(10, "etl"), [""; 0]);
    put(&known, Artifact { uses: Vec::new(), ..first });
    assert_eq!(names(10, "none"), ["2"]);
}
