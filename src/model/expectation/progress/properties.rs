//! Compares progress with a definition by windows that are enumerated.

use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::{cron, every};
use super::*;

/// 2026-03-28, the day before a change of clocks.
const START: Timestamp = Timestamp::from_millis(1_774_656_000_000);

/// The missed windows at `now`, and the items created since the first began.
type Found = Option<(u64, u64)>;

fn found(progress: &Progress) -> Found {
    progress.missed().map(|missed| (missed.windows, missed.created))
}

/// By occurrences and items: the first window with too few items is missed, and all after it, until there are
/// enough items since its beginning; then judging starts again.
fn by_occurrences(
    expectation: &Expectation,
    cron: &CronSchedule,
    items: &[Timestamp],
    now: Timestamp,
) -> Found {
    let occurrences = std::iter::successors(cron.next_after(START), |at| cron.next_after(*at));
    let begins: Vec<Timestamp> = occurrences.take_while(|at| *at <= now.after(expectation.grace)).collect();
    let next = |place: usize| begins.get(place + 1).copied().unwrap_or(Timestamp::MAX);
    let window = |(place, at): (usize, &Timestamp)| (*at, at.after(expectation.grace).min(next(place)));
    let windows: Vec<(Timestamp, Timestamp)> = begins.iter().enumerate().map(window).collect();
    let between = |from, to| items.iter().filter(|at| (from..to).contains(*at)).count() as u64;
    let mut from = 0;
    loop {
        let ended = windows[from..]
            .iter()
            .position(|(begin, end)| *end <= now && between(*begin, *end) < expectation.min_items);
        let first = from + ended?;
        let (begin, _) = windows[first];
        let since: Vec<Timestamp> = items.iter().copied().filter(|at| (begin..=now).contains(at)).collect();
        let Some(caught_up) = since.get(expectation.min_items as usize - 1) else {
            let missed = windows[first..].iter().filter(|(_, end)| *end <= now).count();
            return Some((missed as u64, since.len() as u64));
        };
        from = windows.iter().position(|(_, end)| end > caught_up).unwrap_or(windows.len());
    }
}

fn by_intervals(expectation: &Expectation, every: Duration, items: &[Timestamp], now: Timestamp) -> Found {
    let past: Vec<Timestamp> = items.iter().copied().filter(|at| *at <= now).collect();
    let chunks = past.chunks_exact(expectation.min_items as usize);
    let left = chunks.remainder().len() as u64;
    let since = chunks.last().map_or(START, |chunk| *chunk.last().unwrap());
    let end = since.after(every).after(expectation.grace);
    (end <= now).then(|| (1 + (now.since(end).as_millis() / every.as_millis()) as u64, left))
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Create,
    Look,
    Store,
}

fn steps() -> impl Strategy<Value = Vec<(Duration, Step)>> {
    let pauses = prop_oneof![4 => 0_u64..20, 4 => 0_u64..90, 1 => 0_u64..3000];
    let pauses = pauses.prop_map(|minutes| Duration::from_secs(minutes * 60));
    let step = prop_oneof![4 => Just(Step::Create), 2 => Just(Step::Look), 1 => Just(Step::Store)];
    vec((pauses, step), 0..60)
}

fn expectations() -> impl Strategy<Value = Expectation> {
    let patterns = vec!["0 * * * *", "30 2 * * *", "*/20 * * * *", "0 0 * * *", "15,45 1-3 * * *"];
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let by_cron = (
        prop::sample::select(patterns),
        prop::sample::select(vec!["UTC", "Europe/Berlin"]),
        1_u64..200,
        1_u64..4,
    )
        .prop_map(move |(pattern, zone, grace, min_items)| cron(pattern, zone, minutes(grace), min_items));
    let by_interval = (1_u64..200, 0_u64..90, 1_u64..4)
        .prop_map(move |(length, grace, min_items)| every(minutes(length), minutes(grace), min_items));
    prop_oneof![by_cron, by_interval]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn however_often_it_is_asked_and_stored_what_is_missed_follows_from_the_items(
        expectation in expectations(),
        steps in steps(),
    ) {
        let mut progress = Progress::begin(&expectation, START, 0);
        let (mut now, mut items) = (START, Vec::new());
        for (pause, step) in steps {
            now = now.after(pause);
            match step {
                Step::Create => {
                    items.push(now);
                    progress.created(&expectation, ItemNumber(items.len() as u64), now, 0);
                }
                Step::Look => progress.advance(&expectation, now, 0),
                Step::Store => {
                    let stored = serde_json::to_string(&progress).unwrap();
                    progress = serde_json::from_str(&stored).unwrap();
                    continue;
                }
            }
            let expected = match &expectation.schedule {
                Schedule::Cron(cron) => by_occurrences(&expectation, cron, &items, now),
                Schedule::Every(every) => by_intervals(&expectation, *every, &items, now),
            };
            prop_assert_eq!(found(&progress), expected, "{} at {}", expectation, now);
            let wake = progress.next_wake(&expectation);
            prop_assert!(wake.is_some_and(|wake| wake > now), "it wakes at {:?}", wake);
            let mut later = progress.clone();
            later.advance(&expectation, wake.unwrap().moved(-1), 0);
            prop_assert_eq!(later.missed, progress.missed, "nothing changes before it wakes");
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn whatever_the_clocks_do_it_does_not_panic_and_never_wakes_in_the_past(
        expectation in expectations(),
        acts in vec((any::<i32>(), prop_oneof![Just(0), any::<i32>()], 0_u8..4), 0..30),
    ) {
        let mut progress = Progress::begin(&expectation, START, 0);
        let (mut now, mut offset, mut number) = (START, 0, 0);
        for (millis, set, step) in acts {
            now = now.moved(i64::from(millis.unsigned_abs()));
            offset += i64::from(set) * 100;
            match step {
                0 => {
                    let since = now;
                    now = now.moved(i64::from(millis.unsigned_abs()));
                    progress.unwatched(&expectation, since, now, offset);
                }
                1 => {
                    number += 1;
                    progress.created(&expectation, ItemNumber(number), now, offset);
                }
                _ => progress.advance(&expectation, now, offset),
            }
            progress.advance(&expectation, now, offset);
            let wake = progress.next_wake(&expectation);
            prop_assert!(wake.is_none_or(|wake| wake > now), "at {} it wakes at {:?}", now, wake);
            prop_assert!(progress.missed().is_none_or(|missed| missed.created < missed.wanted));
        }
    }
}
