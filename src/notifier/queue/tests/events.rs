//! Events of items, of which there can be very many.

use super::*;
use crate::model::{ItemNumber, Topic};

fn event(item: u64, sequence: u64) -> Delivery {
    let id = DeliveryId(format!("dlv_{item}_{sequence}").into());
    let event = Event::ItemClosed;
    Delivery { id, topic: Topic::Item(ItemNumber(item)), event, ..delivery("none", sequence, START) }
}

impl Stage {
    fn accept_event(&mut self, item: u64, sequence: u64) {
        let delivery = Delivery { created_at: self.now, next_attempt_at: self.now, ..event(item, sequence) };
        self.queue.accept(Waiting { delivery, since: self.now });
    }
}

#[test]
fn while_the_circuit_is_open_events_are_given_up_after_a_day_and_incidents_are_not() {
    let mut stage = Stage::set(8, None);
    stage.accept("incident", 1);
    for item in 0..100 {
        stage.accept_event(item, 1);
    }
    while !stage.queue.is_down() {
        assert!(!stage.begin().is_empty());
        while !stage.under_way.is_empty() {
            stage.answer(Answer::No);
        }
        stage.now = stage.now.after(SECOND);
    }
    let day_end = START.after(DAY);
    while stage.now < day_end {
        stage.begin();
        while !stage.under_way.is_empty() {
            stage.answer(Answer::No);
        }
        assert!(stage.given_up.len() <= 1, "only what was tried may be dead before");
        stage.now =
            stage.queue.ready_at().expect("there is always a next probe").max(stage.now.after(SECOND));
    }
    stage.now = day_end.after(MINUTE);
    for _ in 0..20 {
        stage.begin();
        while !stage.under_way.is_empty() {
            stage.answer(Answer::No);
        }
    }
    assert!(stage.given_up.len() > 50, "{} given up", stage.given_up.len());
    assert!(stage.given_up.iter().all(|(dead, _)| dead.incident().is_none()));
    assert!(stage.given_up[0].1.starts_with("the receiver has been failing since"));
    stage.accept_event(1000, 1);
    let before = stage.given_up.len();
    stage.begin();
    assert!(stage.given_up.iter().skip(before).all(|(dead, _)| dead.topic != Topic::Item(ItemNumber(1000))));
}

#[test]
fn a_dead_event_keeps_nothing_of_its_item() {
    let mut stage = Stage::set(1, None);
    stage.accept_event(1, 1);
    stage.begin();
    stage.answer(Answer::Gone);
    stage.now = stage.now.after(DAY + MINUTE);
    stage.begin();
    assert_eq!(stage.given_up.len(), 1);
    assert!(stage.queue.is_idle());
}
