use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn new(name: &str) -> NewArtifact {
    NewArtifact {
        workflow: WorkflowName::new("etl").unwrap(),
        location: "/in".into(),
        name: name.into(),
        reuse: ArtifactUse::Many,
        run: None,
        status: ArtifactStatus::Ready.into(),
        facts: Facts::default(),
        depends_on: Vec::new(),
    }
}

fn artifact(name: &str) -> Artifact {
    Artifact::new(new(name), ItemNumber(1), at(0))
}

fn run(id: &str) -> RunName {
    RunName { workflow: None, id: ItemId::new(id).unwrap() }
}

fn to(status: ArtifactStatus) -> ArtifactChange {
    ArtifactChange { status: Some(status.into()), ..ArtifactChange::default() }
}

fn bound(value: serde_json::Value) -> Option<Bound> {
    Some(Bound::of(&value).unwrap())
}

#[test]
fn the_id_follows_from_workflow_location_and_name() {
    let id = ArtifactId::of("etl", "/in", "a/b.csv");
    assert_eq!(id, artifact("a/b.csv").id);
    for other in [("etl", "/in/a", "b.csv"), ("etl2", "/in", "a/b.csv"), ("etl", "/in", "a/b")] {
        assert_ne!(id, ArtifactId::of(other.0, other.1, other.2));
    }
}

#[test]
fn what_is_reported_widens_the_bounds_and_replaces_the_rest() {
    let mut artifact = artifact("a");
    let report = |low, high, written| ArtifactChange {
        facts: Facts {
            low: bound(low),
            high: bound(high),
            records_written: Some(written),
            ..Facts::default()
        },
        ..ArtifactChange::default()
    };
    assert!(artifact.change(report(json!(10), json!(12), 7), at(1)));
    assert!(artifact.change(report(json!(9), json!(11), 5), at(2)));
    assert_eq!(
        (artifact.facts.low.clone(), artifact.facts.high.clone()),
        (bound(json!(9)), bound(json!(12)))
    );
    assert_eq!((artifact.facts.records_written, artifact.version), (Some(5), 3));
    assert!(!artifact.change(report(json!(10), json!(10), 5), at(3)), "nothing differs");
    assert_eq!(artifact.version, 3);
}

#[test]
fn numbers_come_before_texts_and_those_sort_like_dates() {
    let sorted = [
        json!(-5),
        json!("-4.5"),
        json!(9),
        json!("10"),
        json!(10.5),
        json!(9_007_199_254_740_992_u64),
        json!(9_007_199_254_740_993_u64),
        json!(""),
        json!("2026-01-31"),
        json!("2026-02-01T00:00:00Z"),
        json!("NaN"),
    ];
    let bounds: Vec<Bound> = sorted.iter().map(|value| Bound::of(value).unwrap()).collect();
    assert!(bounds.is_sorted());
    assert!(bounds.windows(2).all(|pair| pair[0] != pair[1]));
    assert_eq!(Bound::of(&json!("10")), Bound::of(&json!(10.0)));
    assert_eq!(Bound::of(&json!(["10"])), None);
}

#[test]
fn a_run_is_noted_once_with_the_status_that_it_set_last() {
    let mut artifact = Artifact::new(NewArtifact { run: Some(run("1")), ..new("a") }, ItemNumber(1), at(0));
    let by = |id, status| ArtifactChange { run: Some(run(id)), ..to(status) };
    artifact.change(by("2", ArtifactStatus::Loading), at(1));
    artifact.change(by("1", ArtifactStatus::Loaded), at(2));
    assert!(!artifact.change(by("1", ArtifactStatus::Loaded), at(3)), "a repetition changes nothing");
    let uses: Vec<_> =
        artifact.uses.iter().map(|usage| (&*usage.run.id, usage.status.as_str(), usage.at)).collect();
    assert_eq!(uses, [("2", "loading", at(1)), ("1", "loaded", at(2))]);
    for number in 0..40 {
        let change =
            ArtifactChange { run: Some(run(&format!("later {number}"))), ..ArtifactChange::default() };
        artifact.change(change, at(4));
    }
    assert_eq!((artifact.uses.len(), &*artifact.uses[0].run.id), (USES_KEPT, "later 8"));
}

#[test]
fn what_may_be_loaded_once_is_not_loaded_again() {
    let mut artifact =
        Artifact::new(NewArtifact { reuse: ArtifactUse::Once, ..new("a") }, ItemNumber(1), at(0));
    let admitted = |artifact: &Artifact| -> Vec<&str> {
        let admits = |status: &&ArtifactStatus| artifact.admits(&Status::Known(**status));
        ArtifactStatus::ALL.iter().filter(admits).map(|status| status.as_str()).collect()
    };
    assert_eq!(admitted(&artifact), ArtifactStatus::WORDS);
    artifact.change(to(ArtifactStatus::Loading), at(1));
    assert_eq!(admitted(&artifact), ArtifactStatus::WORDS, "an attempt to load it may be repeated");
    artifact.change(to(ArtifactStatus::Loaded), at(2));
    assert_eq!(admitted(&artifact), ["loaded", "archived", "deleted", "error"]);
    artifact.change(to(ArtifactStatus::Error), at(3));
    assert_eq!(admitted(&artifact), ["archived", "deleted", "error"]);
    assert!(artifact.admits(&Status::Other("checked".into())));
}

#[test]
fn a_cycle_is_found_over_any_number_of_others() {
    let id = |name: usize| ArtifactId::of("etl", "/in", &name.to_string());
    let chain = |length: usize, most: usize| {
        let next = |of: &ArtifactId| -> Result<Vec<ArtifactId>, std::convert::Infallible> {
            let place = (0..length).find(|number| id(*number) == *of).unwrap();
            Ok(vec![id((place + 1) % length)])
        };
        dependencies::check_cycles([&id(0)], most, next).unwrap()
    };
    for length in [1, 2, 5, 20] {
        assert_eq!(chain(length, 100), Err(ArtifactRefusal::Cycle(id(0))), "{length}");
    }
    assert_eq!(chain(20, 19), Err(ArtifactRefusal::TooDeep(id(0))));
    assert_eq!(chain(20, 20), Err(ArtifactRefusal::Cycle(id(0))));
}

#[test]
fn a_long_chain_is_searched_once_whatever_the_order_of_the_request() {
    let ids: Vec<ArtifactId> =
        (0..1_000).map(|name| ArtifactId::of("etl", "/in", &name.to_string())).collect();
    let place: BTreeMap<&ArtifactId, usize> = ids.iter().zip(0..).collect();
    let mut lookups = 0;
    let next = |of: &ArtifactId| -> Result<Vec<ArtifactId>, std::convert::Infallible> {
        lookups += 1;
        // Each depends on the two before it, so that there are very many ways.
        Ok(ids[place[of].saturating_sub(2)..place[of]].to_vec())
    };
    assert_eq!(dependencies::check_cycles(&ids, 1_000, next).unwrap(), Ok(()));
    assert_eq!(lookups, 1_000);
}

/// Six artifacts, each of which depends on some of those before it.
fn world() -> impl Strategy<Value = Vec<(usize, Vec<bool>)>> {
    prop::collection::vec((0..8_usize, prop::collection::vec(any::<bool>(), 6)), 6)
}

/// The status with this index: one of the list, or a configured one.
fn status(index: usize) -> Status {
    ArtifactStatus::ALL.get(index).map_or_else(|| Status::Other("checked".into()), |known| (*known).into())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The plain model changes one artifact after the other, in whatever order works: each begins to be
    /// loaded when all that it depends on is loaded, or has been moved by this request before it.
    #[test]
    fn a_request_is_refused_unless_its_artifacts_can_be_loaded_in_some_order(
        world in world(),
        request in prop::collection::btree_map(0..6_usize, 0..8_usize, 1..6),
    ) {
        let name = |number: usize| number.to_string();
        let before: Vec<Artifact> = (0..6).map(|number| Artifact {
            status: status(world[number].0),
            depends_on: (0..number)
                .filter(|other| world[number].1[*other])
                .map(|other| artifact(&name(other)).id)
                .collect(),
            ..artifact(&name(number))
        }).collect();
        let moved: BTreeMap<usize, Status> =
            request.iter().map(|(number, to)| (*number, status(*to))).collect();

        let after = |number: usize| moved.get(&number).unwrap_or(&before[number].status).clone();
        let loading = Status::from(ArtifactStatus::Loading);
        let passes = |status: &Status| matches!(status.as_str(), "loaded" | "archived" | "deleted");
        let mut done: BTreeSet<usize> = moved
            .iter()
            .filter(|(number, to)| **to != loading || before[**number].status == loading)
            .map(|(number, _)| *number)
            .collect();
        loop {
            let can = |number: &usize| (0..*number).filter(|other| world[*number].1[*other]).all(|other| {
                passes(&after(other)) || (done.contains(&other) && after(other) == loading)
            });
            let next = moved.keys().find(|number| !done.contains(number) && can(number)).copied();
            let Some(next) = next else { break };
            done.insert(next);
        }
        let is_possible = done.len() == moved.len();

        let drafts: Vec<Artifact> =
            (0..6).map(|number| Artifact { status: after(number), ..before[number].clone() }).collect();
        let beginning = moved.keys().filter(|number| {
            dependencies::begins_loading(Some(&before[**number].status), &drafts[**number].status)
        });
        let by_id = moved.keys().map(|number| (&drafts[*number].id, &drafts[*number].status)).collect();
        let find = |id: &ArtifactId| drafts.iter().find(|draft| draft.id == *id).map(|draft| &draft.status);
        let checked = dependencies::check(beginning.map(|number| &drafts[*number]), &by_id, find);
        prop_assert_eq!(checked.is_ok(), is_possible, "{:?}", checked);
    }
}
