//! The resolution of an incident whose items are in trouble in another one.

use super::*;

impl Stage {
    /// Queues a delivery of an incident, to go after the other incident's.
    pub(super) fn tell(&mut self, of: &str, sequence: u64, event: Event, after: Option<&str>) {
        let told = Delivery { event, after: after.map(incident), ..delivery(of, sequence, self.now) };
        self.queue.accept(Waiting { delivery: told, since: self.now });
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
    }
}

fn goes(of: &str, sequence: u64) -> Vec<(String, u64)> {
    vec![(of.to_owned(), sequence)]
}

#[test]
fn an_end_waits_until_the_receiver_has_heard_where_the_trouble_goes_on() {
    let mut stage = Stage::set(8, None);
    stage.tell("old", 2, Event::Resolved, Some("new"));
    stage.tell("new", 1, Event::Opened, None);
    assert_eq!(stage.begin(), goes("new", 1));
    stage.answer(Answer::No);
    assert_eq!(stage.begin(), [], "it was not notified of it yet");
    assert!(stage.queue.held_back(&topic("old"), stage.now).is_some());
    stage.pass(3600);
    assert_eq!(stage.begin(), goes("new", 1));
    stage.answer(Answer::Yes);
    assert_eq!(stage.begin(), goes("old", 2));
    stage.answer(Answer::Yes);
    assert!(stage.queue.lanes.is_empty() && stage.queue.behind.is_empty());
}

#[test]
fn an_end_does_not_wait_for_what_the_receiver_has_heard_or_is_told_later() {
    let mut stage = Stage::set(8, None);
    stage.tell("old", 2, Event::Resolved, Some("new"));
    assert_eq!(stage.begin(), goes("old", 2), "nothing of the other one waits");
    stage.answer(Answer::Yes);
    stage.tell("old", 4, Event::Resolved, Some("new"));
    stage.pass(1);
    stage.tell("new", 1, Event::Opened, None);
    assert_eq!(stage.begin().len(), 2, "that was decided after the end");
}

#[test]
fn what_is_given_up_keeps_no_end_waiting() {
    let mut stage = Stage::set(8, None);
    stage.tell("new", 1, Event::Opened, None);
    stage.tell("old", 2, Event::Resolved, Some("new"));
    for _ in 0..1000 {
        for (of, _) in stage.begin() {
            if of == "old" {
                return;
            }
            stage.answer(Answer::No);
        }
        stage.pass(600);
    }
    panic!("the end was never told");
}

#[test]
fn while_the_receiver_is_paused_nothing_waits_for_anything_else_and_afterwards_the_order_holds() {
    let mut stage = Stage::set(8, None);
    stage.tell("new", 1, Event::Opened, None);
    stage.tell("old", 2, Event::Resolved, Some("new"));
    assert_eq!(stage.begin(), goes("new", 1));
    stage.answer(Answer::Gone);
    assert_eq!(stage.begin(), []);
    stage.queue.resume(stage.now);
    assert_eq!(stage.begin(), goes("new", 1));
    stage.answer(Answer::Gone);
    stage.pass(2 * 86_400);
    stage.begin();
    let given_up: Vec<_> = stage.given_up.iter().map(|(delivery, _)| of(delivery)).collect();
    assert_eq!(given_up.len(), 2, "{given_up:?}");
}

#[test]
fn ends_that_wait_for_each_other_go_all_the_same() {
    let mut stage = Stage::set(8, None);
    for (of, other) in [("a", "b"), ("b", "a")] {
        stage.tell(of, 2, Event::Resolved, Some(other));
        stage.tell(of, 3, Event::Opened, None);
    }
    let mut heard = Vec::new();
    for _ in 0..4 {
        heard.extend(stage.begin());
        while !stage.under_way.is_empty() {
            stage.answer(Answer::Yes);
        }
    }
    assert_eq!(heard.len(), 4, "{heard:?}");
    assert!(stage.queue.lanes.is_empty());
}

#[test]
fn ends_that_wait_for_each_other_go_whatever_else_the_receiver_is_told_meanwhile() {
    for answer in [Answer::Yes, Answer::No] {
        let mut stage = Stage::set(8, None);
        stage.tell("c", 1, Event::Opened, None);
        for (of, other) in [("a", "b"), ("b", "a")] {
            stage.tell(of, 2, Event::Resolved, Some(other));
            stage.tell(of, 3, Event::Opened, None);
        }
        let mut heard = Vec::new();
        for round in 0..20 {
            if round == 10 {
                stage.tell("d", 1, Event::Opened, None);
            }
            for (of, sequence) in stage.begin() {
                let is_of_these = of == "a" || of == "b";
                stage.answer(if is_of_these { Answer::Yes } else { answer });
                heard.extend(is_of_these.then_some((of, sequence)));
            }
            stage.pass(60);
        }
        assert_eq!(heard.len(), 4, "{heard:?}");
        assert!(["a", "b"].iter().all(|of| !stage.queue.lanes.contains_key(&topic(of))));
    }
}

#[test]
fn an_end_behind_ends_that_wait_for_each_other_goes_after_them() {
    let mut stage = Stage::set(1, None);
    stage.tell("c", 2, Event::Resolved, Some("a"));
    for (of, other) in [("a", "b"), ("b", "a")] {
        stage.tell(of, 2, Event::Resolved, Some(other));
        stage.tell(of, 3, Event::Opened, None);
    }
    let mut heard = Vec::new();
    while let Some((of, sequence)) = stage.begin().pop() {
        heard.push(format!("{of} {sequence}"));
        stage.answer(Answer::Yes);
    }
    let place = |told| heard.iter().position(|heard| heard == told);
    assert_eq!(heard.len(), 5, "{heard:?}");
    assert!(place("a 3") < place("c 2"), "{heard:?}");
    assert!(stage.queue.lanes.is_empty() && stage.queue.behind.is_empty());
}

#[test]
fn it_is_told_what_holds_back_ends_that_wait_for_each_other() {
    let mut stage = Stage::set(8, None);
    for (of, other) in [("a", "b"), ("b", "a")] {
        stage.tell(of, 2, Event::Resolved, Some(other));
        stage.tell(of, 3, Event::Opened, None);
    }
    assert_eq!(stage.queue.held_back(&topic("a"), stage.now), None, "nothing but themselves");
    stage.fail(5);
    let held_back = |of| stage.queue.held_back(&topic(of), stage.now).flatten();
    assert!(held_back("a").is_some_and(|until| until > stage.now));
    assert!(held_back("b").is_some_and(|until| until > stage.now));
}

#[test]
fn it_is_told_what_holds_back_the_last_of_many_ends_that_wait_one_for_the_other() {
    const ENDS: usize = 20_000;
    let mut stage = Stage::set(8, None);
    stage.tell("0", 1, Event::Opened, None);
    stage.begin();
    stage.answer(Answer::No);
    for number in 1..=ENDS {
        let of = number.to_string();
        stage.tell(&of, 1, Event::Resolved, Some(&(number - 1).to_string()));
        stage.tell(&of, 2, Event::Opened, None);
    }
    let until = stage.queue.held_back(&topic(&ENDS.to_string()), stage.now).flatten();
    assert!(until.is_some_and(|until| until > stage.now));
}
