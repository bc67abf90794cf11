//! Random situations of the queue.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Accept(u8),
    /// The resolution of an incident whose items are in trouble in another one.
    End(u8, u8),
    Answer(Answer),
    Refresh(u8),
    AnswerRefresh(Answer),
    Wait(u64),
    Resume,
    ResumeIfPaused,
}

fn steps() -> impl Strategy<Value = Step> {
    let answer = prop_oneof![
        4 => Just(Answer::Yes),
        4 => Just(Answer::No),
        1 => (0_u32..7200).prop_map(|seconds| Answer::Later(seconds * SECOND)),
        1 => Just(Answer::Gone),
    ];
    prop_oneof![
        3 => (0_u8..6).prop_map(Step::Accept),
        2 => (0_u8..6, 0_u8..6).prop_map(|(lane, other)| Step::End(lane, other)),
        6 => answer.clone().prop_map(Step::Answer),
        3 => (0_u8..6).prop_map(Step::Refresh),
        3 => answer.prop_map(Step::AnswerRefresh),
        3 => (0_u64..400_000).prop_map(Step::Wait),
        1 => Just(Step::Resume),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_each_lane_keeps_its_order_and_in_the_end_everything_has_been_told_or_given_up(
        concurrency in 1_usize..4,
        rate in prop::option::of((1_u32..4, 1_u32..30)),
        history in prop::collection::vec(steps(), 1..150),
    ) {
        let rate = rate.map(|(count, seconds)| Rate { count, per: seconds * SECOND });
        let mut stage = Stage::set(concurrency, rate);
        let mut accepted: BTreeMap<String, u64> = BTreeMap::new();
        let mut ended: BTreeMap<String, u64> = BTreeMap::new();
        // The receiver works again, but nobody resumes it.
        let works = [Step::Answer(Answer::Yes), Step::AnswerRefresh(Answer::Yes), Step::Wait(400_000)];
        let everything_works = std::iter::repeat_n(works, 300).flatten();
        let is_refreshed = [Step::Refresh(0), Step::AnswerRefresh(Answer::Yes), Step::Wait(400_000)];
        let ending = std::iter::once(Step::ResumeIfPaused).chain(everything_works).chain(is_refreshed);
        for step in history.into_iter().chain(ending) {
            match step {
                Step::Accept(lane) | Step::End(lane, _) => {
                    let of = format!("inc_{lane}");
                    let sequence = accepted.entry(of.clone()).or_default();
                    *sequence += 1;
                    if let Step::End(_, other) = step {
                        stage.tell(&of, *sequence, Event::Resolved, Some(&format!("inc_{other}")));
                    } else {
                        stage.accept(&of, *sequence);
                    }
                }
                Step::Answer(answer) if !stage.under_way.is_empty() => {
                    let first = stage.under_way[0].delivery.clone();
                    let before = stage.queue.status(&"oncall".into()).waiting;
                    stage.answer(answer);
                    if stage.queue.status(&"oncall".into()).waiting < before {
                        let last = ended.insert(super::of(&first), first.sequence).unwrap_or(0);
                        prop_assert_eq!(last + 1, first.sequence, "out of order");
                    }
                }
                Step::Refresh(lane) => {
                    let was_paused = stage.queue.pause.is_some();
                    let refresh = stage.refresh(&format!("inc_{lane}"));
                    prop_assert!(refresh != Refresh::Goes || !was_paused, "a paused receiver was refreshed");
                }
                Step::AnswerRefresh(answer) if !stage.refreshing.is_empty() => {
                    stage.answer_refresh(answer);
                }
                Step::Answer(_) | Step::AnswerRefresh(_) => {}
                Step::Wait(millis) => stage.now = stage.now.after(Duration::from_millis(millis)),
                Step::ResumeIfPaused if stage.queue.pause.is_none() => {}
                Step::Resume | Step::ResumeIfPaused => stage.queue.resume(stage.now),
            }
            let was_open = stage.queue.breaker.open_since().is_some();
            let was_paused = stage.queue.pause.is_some();
            let before = stage.under_way.len() + stage.refreshing.len();
            let begun = stage.begin().len();
            for of in accepted.keys() {
                stage.queue.held_back(&topic(of), stage.now);
            }
            for (delivery, _) in stage.given_up.drain(..) {
                prop_assert!(was_paused, "something was given up without need");
                let last = ended.insert(super::of(&delivery), delivery.sequence).unwrap_or(0);
                prop_assert_eq!(last + 1, delivery.sequence, "given up out of order");
            }
            prop_assert!(before + begun <= concurrency);
            prop_assert!(begun == 0 || !was_paused, "something went to a paused receiver");
            prop_assert!(begun == 0 || !was_open || before + begun == 1, "more than a probe");
            let delivering = stage.under_way.iter().map(|waiting| &waiting.delivery.topic);
            let lanes: BTreeSet<_> = delivering.chain(&stage.refreshing).collect();
            prop_assert_eq!(lanes.len(), before + begun, "two of one lane");
            let waits = stage.queue.planned.first().is_some();
            prop_assert!(
                !waits || stage.queue.pause.is_some() || !lanes.is_empty()
                    || stage.queue.ready_at().is_some(),
                "something waits for nothing",
            );
        }
        prop_assert_eq!(accepted, ended);
        prop_assert!(!stage.queue.is_down(), "nobody has found out that the receiver is back");
    }
}
