//! Lists of commands: order, visibility to each other, and the feed.

use std::collections::BTreeSet;

use warden::model::ItemNumber;
use warden::model::item::ItemPatch;
use warden::store::{Change, Command, Creation, Outcome};

use crate::store::engine::{Engine, on_every_engine};
use crate::store::sample::{
    IntoCommand, at, close, create, created, creation, error, item_of, patch, report, step,
};

on_every_engine! {
    an_empty_list_has_no_outcomes,
    outcomes_come_in_the_order_of_their_commands,
    commands_of_one_list_see_each_other,
    an_item_may_live_its_whole_life_in_one_list,
    very_long_lists_are_carried_out_whole,
    the_observer_is_told_every_change_in_order_before_the_answer,
    what_changes_nothing_is_not_told,
    attaching_shows_what_was_there_before,
    a_restart_shows_the_observer_the_same_items,
    numbers_are_never_used_twice,
    lists_from_many_sides_are_all_carried_out,
    commands_are_counted,
}

async fn an_empty_list_has_no_outcomes(engine: Engine) {
    assert_eq!(engine.all(Vec::new()).await, []);
}

async fn outcomes_come_in_the_order_of_their_commands(engine: Engine) {
    engine.one(create("old", "x")).await;
    let outcomes = engine
        .all(vec![
            create("new", "x"),
            create("old", "x"),
            create("old", "y"),
            close("old", at(1)),
            close("nobody", at(1)),
            Command::Forget(ItemNumber(u64::MAX)),
            close("old", at(2)),
        ])
        .await;
    let [created, exists, conflict, closed, unknown, done, already] = outcomes.try_into().unwrap();
    assert!(matches!(created, Outcome::Created(item) if item.id.as_str() == "new"));
    assert!(matches!(exists, Outcome::Exists(_)));
    assert!(matches!(conflict, Outcome::Conflict(_)));
    assert!(matches!(closed, Outcome::Closed(_)));
    assert_eq!(unknown, Outcome::Unknown);
    assert_eq!(done, Outcome::Done);
    assert!(matches!(already, Outcome::AlreadyClosed(_)));
}

async fn commands_of_one_list_see_each_other(engine: Engine) {
    let outcomes = engine
        .all(vec![
            create("a", "x"),
            create("a", "x"),
            create("a", "y"),
            report("a", error("1", at(1))),
            patch("a", at(2), ItemPatch { deadline: Some(at(3).into()), ..ItemPatch::default() }),
            report("a", error("2", at(3))),
        ])
        .await;
    let versions: Vec<u64> = outcomes.into_iter().map(|outcome| item_of(outcome).version).collect();
    assert_eq!(versions, [1, 1, 1, 2, 3, 4]);
    let item = engine.item("a").await.unwrap();
    assert_eq!((item.deadline, item.detail().errors.len()), (at(3).into(), 2));
}

async fn an_item_may_live_its_whole_life_in_one_list(engine: Engine) {
    let notes = engine.observed();
    let anew = Creation { created_at: at(1001), ..creation("a", "y") };
    let outcomes = engine
        .all(vec![create("a", "x"), close("a", at(1)), anew.into_command(), close("a", at(1002))])
        .await;
    let last = item_of(outcomes[3].clone());
    assert!(last.number > item_of(outcomes[0].clone()).number);
    assert_eq!(notes.changes().len(), 5, "created, closed, forgotten, created, closed");
    assert_eq!(notes.indexed_items(), [last.indexed()]);
    let engine = engine.restarted();
    assert_eq!(engine.item("a").await, Some(last.clone()));
    assert_eq!(engine.whole_payload(&last).await, None);
}

async fn very_long_lists_are_carried_out_whole(engine: Engine) {
    // More than share one batch, and more than one group.
    let ids: Vec<String> = (0..3000).map(|index| format!("item-{index}")).collect();
    let outcomes = engine.all(ids.iter().map(|id| create(id, id.clone())).collect()).await;
    let numbers: Vec<_> = outcomes.into_iter().map(|outcome| created(outcome).number).collect();
    assert!(numbers.is_sorted(), "numbers grow in the order of the commands");
    let engine = engine.restarted();
    let items = engine.items(numbers).await.unwrap();
    assert_eq!(items.len(), ids.len());
    for (item, id) in items.iter().zip(&ids).step_by(97) {
        assert_eq!(item.id.as_str(), id);
        assert_eq!(engine.whole_payload(item).await.unwrap(), id.as_str());
    }
}

async fn the_observer_is_told_every_change_in_order_before_the_answer(engine: Engine) {
    let notes = engine.observed();
    let mut expected: Vec<Change> = Vec::new();
    let told = |expected: &[Change]| assert_eq!(notes.changes(), expected);

    let open = created(engine.one(create("a", "x")).await);
    expected.push(Change::Item { before: None, after: Some(open.indexed()) });
    told(&expected);

    let change = ItemPatch { deadline: Some(at(90).into()), ..ItemPatch::default() };
    let later = item_of(engine.one(patch("a", at(1), change)).await);
    expected.push(Change::Item { before: Some(open.indexed()), after: Some(later.indexed()) });
    told(&expected);

    let closed = item_of(engine.one(close("a", at(2))).await);
    expected.push(Change::Item { before: Some(later.indexed()), after: Some(closed.indexed()) });
    told(&expected);

    engine.one(Command::Forget(closed.number)).await;
    expected.push(Change::Item { before: Some(closed.indexed()), after: None });
    told(&expected);

    engine.one(close("nobody", at(3))).await;
    let tombstone = engine.item("nobody").await.unwrap();
    expected.push(Change::Item { before: None, after: Some(tombstone.indexed()) });
    told(&expected);
}

async fn what_changes_nothing_is_not_told(engine: Engine) {
    engine.one(create("a", "x")).await;
    engine.one(create("b", "x")).await;
    engine.one(close("b", at(1))).await;
    let notes = engine.observed();
    let before = notes.changes();
    engine
        .all(vec![
            create("a", "x"),
            create("a", "y"),
            create("b", "x"),
            close("b", at(2)),
            patch("b", at(2), ItemPatch::default()),
            patch("nobody", at(2), ItemPatch::default()),
            Command::Forget(ItemNumber(u64::MAX)),
        ])
        .await;
    assert_eq!(notes.changes(), before);
}

async fn attaching_shows_what_was_there_before(engine: Engine) {
    let step = Some(step("copy"));
    let open = created(engine.one(Creation { step, ..creation("a", "x") }.into_command()).await);
    engine.one(create("b", "x")).await;
    let closed = item_of(engine.one(close("b", at(1))).await);
    let notes = engine.restarted().observed();
    let expected = [open, closed].map(|item| Change::Item { before: None, after: Some(item.indexed()) });
    assert_eq!(notes.changes(), expected);
}

async fn a_restart_shows_the_observer_the_same_items(engine: Engine) {
    let notes = engine.observed();
    // More than the engine shows at once.
    let ids: Vec<String> = (0..5000).map(|index| format!("item-{index}")).collect();
    engine.all(ids.iter().map(|id| create(id, "x")).collect()).await;
    engine.all(ids.iter().step_by(3).map(|id| close(id, at(1))).collect()).await;
    let fatal = |id| warden::model::ItemError { fatal: true, ..error(id, at(2)) };
    engine.all(ids.iter().step_by(4).map(|id| report(id, fatal(id))).collect()).await;
    let forgotten = ids.iter().step_by(9);
    for id in forgotten {
        let number = engine.item(id).await.unwrap().number;
        engine.one(Command::Forget(number)).await;
    }
    let before = notes.indexed_items();
    assert_eq!(before.len(), 5000 - 5000_usize.div_ceil(9));
    let engine = engine.restarted();
    let notes = engine.observed();
    assert_eq!(notes.indexed_items(), before);
    engine.one(close("item-1", at(3))).await;
    assert_eq!(notes.indexed_items().len(), before.len(), "what follows fits on to what was shown");
}

async fn numbers_are_never_used_twice(engine: Engine) {
    let mut engine = engine;
    let mut used = BTreeSet::new();
    for round in 0..4 {
        for id in ["a", "b"] {
            let item = created(engine.one(create(id, "x")).await);
            assert!(used.last().is_none_or(|last| *last < item.number), "in round {round}");
            used.insert(item.number);
            engine.all(vec![close(id, at(1)), Command::Forget(item.number)]).await;
        }
        engine.one(close("nobody", at(1))).await;
        let tombstone = engine.item("nobody").await.unwrap();
        assert!(used.last().is_none_or(|last| *last < tombstone.number));
        used.insert(tombstone.number);
        engine.one(Command::Forget(tombstone.number)).await;
        engine = engine.restarted();
        assert!(engine.observed().changes().is_empty(), "everything is forgotten");
    }
}

async fn lists_from_many_sides_are_all_carried_out(engine: Engine) {
    let notes = engine.observed();
    let sides = (0..50).map(|side| {
        let ids: Vec<String> = (0..20).map(|index| format!("item-{side}-{index}")).collect();
        let engine = &engine;
        async move {
            for id in &ids {
                // Everybody also wants the same item; one of them gets it.
                let outcomes = engine.all(vec![create(id, id.clone()), create("shared", id.clone())]).await;
                created(outcomes[0].clone());
            }
            engine.all(ids.iter().map(|id| close(id, at(1))).collect()).await
        }
    });
    let closed: Vec<_> = futures_util::future::join_all(sides).await.into_iter().flatten().collect();
    assert_eq!(closed.len(), 1000);
    assert!(closed.iter().all(|outcome| matches!(outcome, Outcome::Closed(_))));
    assert_eq!(notes.indexed_items().len(), 1001);
    assert_eq!(engine.restarted().observed().indexed_items(), notes.indexed_items());
}

async fn commands_are_counted(engine: Engine) {
    engine.all(vec![create("a", "x"), create("b", "x")]).await;
    engine.one(close("a", at(1))).await;
    let status = engine.status();
    assert_eq!((status.commands, status.waiting), (3, 0));
    assert!(
        status.commits >= 1 && status.fatal.is_none() && !status.full && engine.disk_use().alarms.is_empty()
    );
}

/// Not only each as it should, but both in the same words.
#[tokio::test(flavor = "multi_thread")]
async fn both_engines_tell_their_observers_the_same() {
    async fn told(engine: Engine) -> Vec<Change> {
        let notes = engine.observed();
        for round in 0..3 {
            let late = at(round * 2000);
            let commands = (0..20).flat_map(|index| {
                let id = format!("item-{index}");
                let creation = Creation { created_at: late, ..creation(&id, "x") };
                [creation.into_command(), close(&id, late)]
            });
            engine.all(commands.collect()).await;
        }
        notes.changes()
    }
    assert_eq!(told(Engine::sled()).await, told(Engine::memory()).await);
}
