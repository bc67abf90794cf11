//! Lists: every matching item exactly once, whatever the page size.

use warden::model::item::{ItemPatch, Merge, ProgressChange};
use warden::model::{Item, ItemError, ItemFilter, ItemState, Order, Position};
use warden::store::{Command, Creation, ListItems, Store};
use wildmatch::WildMatch;

use crate::store::engine::{Engine, on_every_engine};
use crate::store::sample::{
    IntoCommand, at, close, create, creation, error, everything, key_in, labels, object, patch, policies,
    report, step,
};

on_every_engine! {
    pages_of_any_size_hold_every_item_once_in_the_order_of_creation,
    pages_of_any_size_hold_every_item_once_by_deadline,
    a_list_goes_on_where_it_was_although_its_last_item_is_gone,
    an_empty_store_lists_nothing,
    a_list_shows_items_whole,
    each_criterion_of_a_filter_chooses_by_itself,
    all_criteria_of_a_filter_must_hold,
    a_closed_item_is_listed_as_long_as_it_is_remembered,
}

fn ids(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item.id.as_str()).collect()
}

/// Walks a whole list in pages of this size.
async fn walk(engine: &dyn Store, question: ListItems) -> Vec<Item> {
    let mut items = Vec::new();
    let mut after = None;
    loop {
        let page = engine.list(ListItems { after, ..question.clone() }).await.unwrap();
        assert!(page.data.len() <= question.limit);
        items.extend(page.data);
        match page.next {
            Some(next) => after = Some(next),
            None => return items,
        }
    }
}

/// Items whose deadlines are in another order than their creation, some of them equal.
async fn fill(engine: &Engine) {
    let deadlines = [50, 20, 20, 90, 10, 20, 70, 50, 5, 80, 10, 60, 40];
    let commands = deadlines.into_iter().enumerate().map(|(index, deadline)| {
        Creation { deadline: at(deadline).into(), ..creation(&format!("item-{index}"), "x") }.into_command()
    });
    engine.all(commands.collect()).await;
    // Holes in the numbers.
    for id in ["item-0", "item-6", "item-12"] {
        let number = engine.item(id).await.unwrap().number;
        engine.all(vec![close(id, at(1)), Command::Forget(number)]).await;
    }
}

async fn pages_of_any_size_hold_every_item_once_in_the_order_of_creation(engine: Engine) {
    fill(&engine).await;
    for limit in 1..=12 {
        let items = walk(&*engine, everything(limit)).await;
        let expected: Vec<_> =
            (1..12).filter(|index| *index != 6).map(|index| format!("item-{index}")).collect();
        assert_eq!(ids(&items), expected, "pages of {limit}");
    }
}

async fn pages_of_any_size_hold_every_item_once_by_deadline(engine: Engine) {
    fill(&engine).await;
    for limit in 1..=12 {
        let items = walk(&*engine, ListItems { order: Order::Deadline, ..everything(limit) }).await;
        let expected = [8, 4, 10, 1, 2, 5, 7, 11, 9, 3].map(|index| format!("item-{index}"));
        assert_eq!(ids(&items), expected, "pages of {limit}");
    }
}

async fn a_list_goes_on_where_it_was_although_its_last_item_is_gone(engine: Engine) {
    fill(&engine).await;
    for (order, gone, rest) in [(Order::Created, "item-2", "item-3"), (Order::Deadline, "item-4", "item-10")]
    {
        let page = engine.list(ListItems { order, ..everything(2) }).await.unwrap();
        assert_eq!(ids(&page.data)[1], gone);
        let number = page.data[1].number;
        engine.all(vec![close(gone, at(1)), Command::Forget(number)]).await;
        let next = ListItems { order, after: page.next, ..everything(2) };
        assert_eq!(ids(&engine.list(next).await.unwrap().data)[0], rest);
    }
}

async fn an_empty_store_lists_nothing(engine: Engine) {
    for order in [Order::Created, Order::Deadline] {
        let page = engine.list(ListItems { order, ..everything(10) }).await.unwrap();
        assert!(page.data.is_empty() && page.next.is_none());
    }
}

async fn a_list_shows_items_whole(engine: Engine) {
    engine.one(create("a", "x")).await;
    let progress = Some(ProgressChange::merge(Merge::Change(object(serde_json::json!({"done": 1})))));
    engine.one(patch("a", at(1), ItemPatch { progress, ..ItemPatch::default() })).await;
    engine.one(report("a", error("1", at(2)))).await;
    let item = engine.item("a").await.unwrap();
    assert!(item.detail.is_some());
    for order in [Order::Created, Order::Deadline] {
        assert_eq!(
            engine.list(ListItems { order, ..everything(10) }).await.unwrap().data,
            std::slice::from_ref(&item)
        );
    }
}

/// An open, an overdue, a failed and a closed item that also differ in everything else.
async fn fill_variously(engine: &Engine) {
    let item = |workflow: &str, id: &str, created: i64, deadline: i64| Creation {
        key: key_in(workflow, id),
        created_at: at(created),
        deadline: at(deadline).into(),
        ..creation(id, "x")
    };
    let commands = vec![
        Creation {
            step: Some(step("copy")),
            labels: labels(&[("region", "eu"), ("tenant", "a")]),
            ..item("uploads", "open", 10, 900)
        }
        .into_command(),
        Creation {
            step: Some(step("backup")),
            labels: labels(&[("region", "eu")]),
            ..item("uploads", "overdue", 20, 200)
        }
        .into_command(),
        Creation { labels: labels(&[("region", "us")]), ..item("uploads-2", "failed", 30, 800) }
            .into_command(),
        item("exports", "closed", 40, 100).into_command(),
    ];
    engine.all(commands).await;
    let fatal = Box::new(ItemError { fatal: true, ..error("1", at(50)) });
    engine
        .one(Command::Report { key: key_in("uploads-2", "failed"), error: fatal, policies: policies(0) })
        .await;
    let closing = crate::store::sample::closing(at(60));
    engine.one(Command::Close { key: key_in("exports", "closed"), closing }).await;
}

async fn chosen(engine: &Engine, filter: ItemFilter) -> String {
    let question =
        |order, limit| ListItems { filter: filter.clone(), order, now: at(500).into(), ..everything(limit) };
    let items = walk(&**engine, question(Order::Created, 1)).await;
    let mut by_deadline = walk(&**engine, question(Order::Deadline, 1)).await;
    by_deadline.sort_by_key(|item| item.number);
    assert_eq!(items, by_deadline, "the order does not change the choice");
    ids(&items).join(" ")
}

fn globs(globs: &[&str]) -> Vec<WildMatch> {
    globs.iter().map(|glob| WildMatch::new(glob)).collect()
}

async fn each_criterion_of_a_filter_chooses_by_itself(engine: Engine) {
    fill_variously(&engine).await;
    let all = ItemFilter::default;
    let label = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let questions = [
        (all(), "open overdue failed closed"),
        (ItemFilter { workflows: globs(&["uploads"]), ..all() }, "open overdue"),
        (ItemFilter { workflows: globs(&["uploads*"]), ..all() }, "open overdue failed"),
        (ItemFilter { workflows: globs(&["exports", "*-2"]), ..all() }, "failed closed"),
        (ItemFilter { allowed: globs(&["e*"]), ..all() }, "closed"),
        (ItemFilter { states: vec![ItemState::Open], ..all() }, "open"),
        (ItemFilter { states: vec![ItemState::Overdue, ItemState::Failed], ..all() }, "overdue failed"),
        (ItemFilter { states: vec![ItemState::Closed], ..all() }, "closed"),
        (ItemFilter { states: vec![ItemState::Held], ..all() }, ""),
        (ItemFilter { labels: label("region", "eu"), ..all() }, "open overdue"),
        (ItemFilter { labels: label("region", ""), ..all() }, ""),
        (ItemFilter { step: Some("backup".into()), ..all() }, "overdue"),
        (ItemFilter { created_after: Some(at(30)), ..all() }, "failed closed"),
        (ItemFilter { created_before: Some(at(30)), ..all() }, "open overdue"),
        (ItemFilter { deadline_after: Some(at(800)), ..all() }, "open failed"),
        (ItemFilter { deadline_before: Some(at(800)), ..all() }, "overdue closed"),
    ];
    for (filter, expected) in questions {
        assert_eq!(chosen(&engine, filter.clone()).await, expected, "{filter:?}");
    }
}

async fn all_criteria_of_a_filter_must_hold(engine: Engine) {
    fill_variously(&engine).await;
    let labels = |names: &[(&str, &str)]| {
        names.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect::<Vec<(String, String)>>()
    };
    let both = ItemFilter { labels: labels(&[("region", "eu"), ("tenant", "a")]), ..ItemFilter::default() };
    assert_eq!(chosen(&engine, both).await, "open");
    let neither =
        ItemFilter { workflows: globs(&["uploads"]), allowed: globs(&["exports"]), ..ItemFilter::default() };
    assert_eq!(chosen(&engine, neither).await, "");
    let window =
        ItemFilter { created_after: Some(at(20)), created_before: Some(at(40)), ..ItemFilter::default() };
    assert_eq!(chosen(&engine, window).await, "overdue failed");
}

async fn a_closed_item_is_listed_as_long_as_it_is_remembered(engine: Engine) {
    engine.one(create("a", "x")).await;
    engine.one(close("a", at(10))).await;
    for (now, listed) in [(1009, 1), (1010, 0)] {
        let page = engine.list(ListItems { now: at(now).into(), ..everything(10) }).await.unwrap();
        assert_eq!(page.data.len(), listed, "at {now}");
    }
}

/// Only in memory: what is tested is shared by the engines, and with a disk it would take its time.
#[tokio::test]
async fn a_rare_match_among_very_many_items_is_reached_over_short_pages() {
    let engine = Engine::memory();
    let items = 450_000;
    for start in (0..items).step_by(10_000) {
        let commands = (start..start + 10_000).map(|index| create(&format!("item-{index}"), "x"));
        engine.all(commands.collect()).await;
    }
    let rare = Creation { step: Some(step("rare")), ..creation("rare", "x") };
    engine.one(rare.into_command()).await;
    let filter = ItemFilter { step: Some("rare".into()), ..ItemFilter::default() };
    let question = ListItems { filter, ..everything(50) };

    let first = engine.list(question.clone()).await.unwrap();
    assert!(first.data.is_empty() && first.next.is_some(), "a page that has looked long enough ends early");
    assert_eq!(ids(&walk(&*engine, question).await), ["rare"]);

    let beyond = Position { deadline: at(0), number: warden::model::ItemNumber(u64::MAX) };
    let page = engine.list(ListItems { after: Some(beyond), ..everything(50) }).await.unwrap();
    assert!(page.data.is_empty() && page.next.is_none());
}
