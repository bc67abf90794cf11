//! The stored clock anchor, and checks by the wall clock.

use std::sync::Arc;

use warden::model::{ClockTime, ItemFilter, ItemState, Moment, Order};
use warden::store::{Claim, Command, Creation, ListItems, Outcome};

use crate::store::engine::{Engine, on_every_engine};
use crate::store::sample::{anchor, at, created, creation, everything, policies};

on_every_engine! {
    what_ties_the_clocks_is_written_over_what_it_was_and_read_back_after_a_restart,
    a_deadline_on_the_wall_clock_moves_with_it_in_lists_and_in_what_is_claimed,
}

async fn what_ties_the_clocks_is_written_over_what_it_was_and_read_back_after_a_restart(engine: Engine) {
    assert_eq!(engine.clock().await.unwrap(), None);
    for wall_offset in [0, -3_600_000, 90_000] {
        assert_eq!(engine.one(Command::put(anchor(wall_offset))).await, Outcome::Done);
        assert_eq!(engine.clock().await.unwrap(), Some(anchor(wall_offset)));
    }
    let engine = engine.restarted();
    assert_eq!(engine.clock().await.unwrap(), Some(anchor(90_000)));
}

async fn a_deadline_on_the_wall_clock_moves_with_it_in_lists_and_in_what_is_claimed(engine: Engine) {
    let steady = Creation { deadline: at(60_000).into(), ..creation("steady", "x") };
    let wall = Creation { deadline: ClockTime::on_wall(at(60_001)), ..creation("wall", "x") };
    let steady = created(engine.one(Command::Create(Box::new(steady))).await);
    let wall = created(engine.one(Command::Create(Box::new(wall))).await);
    let engine = engine.restarted();
    for (wall_offset, order) in [(0, ["steady", "wall"]), (2, ["wall", "steady"])] {
        let now = Moment { now: at(0), wall_offset };
        let page = engine.list(ListItems { order: Order::Deadline, now, ..everything(10) }).await.unwrap();
        let ids: Vec<&str> = page.data.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(ids, order, "{wall_offset}");
    }
    let filter = Arc::new(ItemFilter { states: vec![ItemState::Overdue], ..ItemFilter::default() });
    for (number, wall_offset, is_claimed) in
        [(wall.number, 0, false), (steady.number, 30_001, false), (wall.number, 30_001, true)]
    {
        let now = Moment { now: at(30_000), wall_offset };
        let (filter, worker, expires_at) = (filter.clone(), "worker".into(), at(90_000));
        let (ignores_wait, policies) = (false, policies(0));
        let claim = Claim { number, filter, worker, expires_at, ignores_wait, policies, now };
        let outcome = engine.one(Command::Claim(Box::new(claim))).await;
        assert_eq!(matches!(outcome, Outcome::Changed(_)), is_claimed, "{outcome:?}");
    }
}
