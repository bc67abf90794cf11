use super::*;

/// An arbitrary moment in 2026, at the border of no slot but that of level 0.
const START: i64 = 1_790_000_000_123;
const HOUR: i64 = 3_600_000;
const YEAR: i64 = 365 * 24 * HOUR;

/// Panics unless the wheel keeps the invariants of its module.
pub(super) fn assert_sound(wheel: &TimerWheel) {
    let mut chained = 0;
    for slot in 0..LEVELS * SLOTS {
        let (level, digit) = (slot / SLOTS, slot % SLOTS);
        let occupied = wheel.occupied[level] >> digit & 1 == 1;
        assert_eq!(
            occupied,
            wheel.first[slot] != NONE,
            "level {level}, digit {digit}: bitmap and list disagree"
        );
        let mut previous = FIRST_OF + slot as u32;
        let mut place = wheel.first[slot];
        while place != NONE {
            let timer = wheel.timers[place as usize];
            assert_eq!(timer.previous, previous, "number {}: its list is torn", timer.number);
            assert_eq!(
                wheel.place_of(timer.number),
                Some(place),
                "number {}: its place is lost",
                timer.number
            );
            let deadline = instant(timer.deadline).max(wheel.reached);
            assert_eq!(digit_of(deadline, level), digit, "number {}: not in its slot", timer.number);
            assert!(
                level_of(wheel.reached, deadline) <= level,
                "number {}: its level is too fine",
                timer.number
            );
            (previous, place) = (place, timer.next);
            chained += 1;
        }
    }
    assert_eq!(chained, wheel.len(), "timers in lists, and timers");
    for slot in (0..LEVELS).filter_map(|level| wheel.first_occupied(level)) {
        assert!(slot.start >= wheel.reached, "slot {} was left behind", slot.index);
    }
}

/// A tag that differs from that of most other numbers.
fn tag(number: u64) -> u32 {
    scattered(number) as u32
}

fn schedule(wheel: &mut TimerWheel, number: u64, deadline: i64) {
    let known = wheel.contains(number).then(|| tag(number));
    assert_eq!(wheel.schedule(number, deadline, tag(number)), known);
}

/// As [`TimerWheel::advance`], for the numbers alone once their tags were checked.
fn advance(wheel: &mut TimerWheel, now: i64, limit: usize, numbers: &mut Vec<u64>) -> bool {
    let mut due = Vec::new();
    let is_done = wheel.advance(now, limit, &mut due);
    assert!(due.iter().all(|due| due.tag == tag(due.number)));
    numbers.extend(due.iter().map(|due| due.number));
    is_done
}

/// Everything due at `now`.
fn due_at(wheel: &mut TimerWheel, now: i64) -> Vec<u64> {
    let mut due = Vec::new();
    assert!(advance(wheel, now, usize::MAX, &mut due));
    assert_sound(wheel);
    due
}

/// Spreads `index` over all 64 bits, deterministically.
fn scattered(index: u64) -> u64 {
    let spread = index.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (spread ^ spread >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

/// A deadline up to ten years after `START`; most are near, and every level up to that is used.
fn scattered_deadline(index: u64) -> i64 {
    let range = (10 * YEAR as u64) >> (scattered(index) % 38);
    START + 1 + (scattered(!index) % range) as i64
}

fn wheel_with(count: u64) -> TimerWheel {
    let mut wheel = TimerWheel::new(START);
    for number in 0..count {
        schedule(&mut wheel, number, scattered_deadline(number));
    }
    wheel
}

#[test]
fn a_number_is_due_at_its_millisecond_and_not_before() {
    for ahead in
        [1, 2, 63, 64, 65, 4_095, 4_096, HOUR, 24 * HOUR, YEAR, 10 * YEAR, 200 * YEAR, 100_000 * YEAR]
    {
        let mut wheel = TimerWheel::new(START);
        schedule(&mut wheel, 7, START + ahead);
        assert_eq!(due_at(&mut wheel, START + ahead - 1), [0_u64; 0], "{ahead} ms ahead");
        assert_eq!(due_at(&mut wheel, START + ahead), [7], "{ahead} ms ahead");
        assert!(wheel.is_empty());
    }
}

#[test]
fn a_number_is_handed_over_once() {
    let mut wheel = TimerWheel::new(START);
    schedule(&mut wheel, 7, START + 5);
    assert_eq!(due_at(&mut wheel, START + HOUR), [7]);
    assert_eq!(due_at(&mut wheel, START + 2 * HOUR), [0_u64; 0]);
    assert_eq!(wheel.deadline(7), None);
}

#[test]
fn a_deadline_that_has_passed_is_due_at_the_next_advance() {
    for deadline in [i64::MIN, 0, START - 1, START] {
        let mut wheel = TimerWheel::new(START);
        schedule(&mut wheel, 7, deadline);
        assert_eq!(wheel.next_deadline(), Some(START));
        assert_eq!(wheel.deadline(7), Some(deadline));
        assert_eq!(due_at(&mut wheel, START), [7]);
    }
}

#[test]
fn a_number_scheduled_again_has_only_its_new_deadline() {
    for (first, second) in [(10, 20), (20, 10), (10, YEAR), (YEAR, 10), (-5, 10), (10, 10)] {
        let mut wheel = TimerWheel::new(START);
        schedule(&mut wheel, 7, START + first);
        schedule(&mut wheel, 7, START + second);
        assert_eq!(wheel.len(), 1);
        assert_eq!(wheel.deadline(7), Some(START + second));
        assert_eq!(due_at(&mut wheel, START + second - 1), [0_u64; 0], "from {first} to {second}");
        assert_eq!(due_at(&mut wheel, START + second), [7], "from {first} to {second}");
    }
}

#[test]
fn a_cancelled_number_is_never_due() {
    let mut wheel = wheel_with(100);
    for number in (0..100).step_by(2) {
        assert!(wheel.cancel(number).is_some());
        assert!(wheel.cancel(number).is_none(), "it is gone");
        assert_sound(&wheel);
    }
    let mut due = due_at(&mut wheel, START + 11 * YEAR);
    due.sort_unstable();
    assert_eq!(due, (1..100).step_by(2).collect::<Vec<_>>());
}

#[test]
fn earlier_deadlines_come_first() {
    let mut wheel = wheel_with(10_000);
    let due = due_at(&mut wheel, START + 11 * YEAR);
    assert_eq!(due.len(), 10_000);
    assert!(due.is_sorted_by_key(|&number| scattered_deadline(number)));
}

#[test]
fn time_that_goes_back_changes_nothing() {
    let mut wheel = TimerWheel::new(START);
    schedule(&mut wheel, 7, START + 3);
    assert_eq!(due_at(&mut wheel, START - HOUR), [0_u64; 0]);
    assert_eq!(due_at(&mut wheel, i64::MIN), [0_u64; 0]);
    schedule(&mut wheel, 8, START - 1);
    assert_eq!(due_at(&mut wheel, START - HOUR), [8], "due since the wheel stands at its start");
    assert_eq!(wheel.next_deadline(), Some(START + 3));
    assert_eq!(due_at(&mut wheel, START + 3), [7]);
}

#[test]
fn the_first_and_the_last_millisecond_there_are_can_be_used() {
    for start in [i64::MIN, i64::MIN + 1, -1, 0, START, i64::MAX - 1] {
        let mut wheel = TimerWheel::new(start);
        schedule(&mut wheel, 1, i64::MIN);
        schedule(&mut wheel, 2, i64::MAX);
        schedule(&mut wheel, 3, i64::MAX - 1);
        assert_eq!(wheel.next_deadline(), Some(start));
        assert!(due_at(&mut wheel, start).contains(&1), "from {start}");
        assert!(due_at(&mut wheel, i64::MAX - 1).iter().all(|&number| number == 3), "from {start}");
        assert_eq!(due_at(&mut wheel, i64::MAX), [2], "from {start}");
        schedule(&mut wheel, 4, i64::MAX);
        assert_eq!(due_at(&mut wheel, i64::MAX), [4], "from {start}");
    }
}

#[test]
fn idle_years_cost_no_more_than_idle_milliseconds() {
    let mut wheel = TimerWheel::new(START);
    schedule(&mut wheel, 7, START + 10_000 * YEAR);
    let mut due = Vec::new();
    assert!(
        advance(&mut wheel, START + 9_999 * YEAR, LEVELS, &mut due),
        "a timer moves at most once a level"
    );
    assert_eq!(due, [0_u64; 0]);
    assert!(advance(&mut wheel, START + 10_000 * YEAR, LEVELS, &mut due));
    assert_eq!(due, [7]);
}

#[test]
fn a_limit_of_nothing_does_nothing() {
    let mut wheel = TimerWheel::new(START);
    schedule(&mut wheel, 7, START);
    let mut due = Vec::new();
    assert!(!advance(&mut wheel, START, 0, &mut due));
    assert_eq!(due, [0_u64; 0]);
    assert_eq!(wheel.len(), 1);
}

#[test]
fn a_million_timers_of_one_moment_are_taken_in_bites() {
    const COUNT: usize = 1_000_000;
    const LIMIT: usize = 1_000;
    let mut wheel = TimerWheel::new(START);
    for number in 0..COUNT as u64 {
        schedule(&mut wheel, number, START + HOUR);
    }
    let mut handed_over = vec![false; COUNT];
    let mut due = Vec::new();
    let mut calls = 0;
    loop {
        let done = advance(&mut wheel, START + HOUR, LIMIT, &mut due);
        assert!(due.len() <= LIMIT);
        for number in due.drain(..) {
            assert!(!std::mem::replace(&mut handed_over[number as usize], true), "{number} came twice");
        }
        calls += 1;
        if done {
            break;
        }
    }
    assert!(handed_over.iter().all(|&handed_over| handed_over));
    assert!(calls <= COUNT / LIMIT * LEVELS, "{calls} calls");
}

#[test]
fn what_is_scheduled_or_cancelled_between_bites_is_heeded() {
    let mut wheel = TimerWheel::new(START);
    for number in 0..100 {
        schedule(&mut wheel, number, START + HOUR + 5);
    }
    // One at a time, so that the wheel is met in the middle of a slot of every level.
    let mut due = Vec::new();
    let mut number = 0;
    while due.is_empty() {
        assert!(!advance(&mut wheel, START + HOUR + 5, 1, &mut due));
        assert_sound(&wheel);
        if number < 40 {
            assert!(wheel.cancel(number).is_some());
            schedule(&mut wheel, 1_000 + number, START + HOUR + 4);
            schedule(&mut wheel, 2_000 + number, START + HOUR + 6);
            number += 1;
        }
        assert!(wheel.next_deadline() <= Some(START + HOUR + 5));
    }
    assert_eq!(number, 40);
    assert!(due[0] >= 1_000, "{} has the later deadline", due[0]);
    due.extend(due_at(&mut wheel, START + HOUR + 5));
    assert!(due[..40].iter().all(|number| (1_000..1_040).contains(number)));
    due[40..].sort_unstable();
    assert_eq!(due[40..], (40..100).collect::<Vec<_>>());
    assert_eq!(wheel.len(), 40);
}

#[test]
fn whoever_sleeps_until_the_next_deadline_meets_every_one_and_wakes_seldom_for_nothing() {
    let mut wheel = wheel_with(1_000);
    let mut met = 0;
    let mut in_vain = 0;
    while let Some(now) = wheel.next_deadline() {
        let due = due_at(&mut wheel, now);
        assert!(due.iter().all(|&number| scattered_deadline(number) == now), "late at {now}");
        met += due.len();
        in_vain += usize::from(due.is_empty());
    }
    assert_eq!(met, 1_000);
    assert!(in_vain <= 1_000 * LEVELS, "{in_vain} times");
}

#[test]
fn a_timer_takes_at_most_64_bytes_at_any_size() {
    const MOST: u64 = 150_000;
    fn assert_lean(wheel: &TimerWheel) {
        let (memory, len) = (wheel.memory(), wheel.len());
        assert!(len < 1_000 || memory <= 64 * len, "{memory} bytes for {len} timers");
    }
    let mut wheel = TimerWheel::new(START);
    for number in 0..MOST {
        schedule(&mut wheel, scattered(number + 1), scattered_deadline(number));
        assert_lean(&wheel);
        // Most items come and go; what they leave in the hash tables must not accumulate.
        schedule(&mut wheel, number, scattered_deadline(number));
        assert_lean(&wheel);
        assert!(wheel.cancel(number).is_some());
        assert_lean(&wheel);
    }
    for number in 0..MOST {
        assert!(wheel.cancel(scattered(number + 1)).is_some());
        assert_lean(&wheel);
    }
    assert!(wheel.memory() < 12 * 1024, "{} bytes for nothing", wheel.memory());
}

#[test]
fn items_that_come_and_go_do_not_add_up() {
    const OPEN: u64 = 2_000;
    let mut wheel = wheel_with(OPEN);
    let mut open: Vec<u64> = (0..OPEN).collect();
    for number in OPEN..200 * OPEN {
        let leaving = &mut open[(scattered(number) % OPEN) as usize];
        assert!(wheel.cancel(*leaving).is_some());
        schedule(&mut wheel, number, scattered_deadline(number));
        *leaving = number;
        assert!(wheel.memory() <= 64 * wheel.len(), "{} bytes after {number} items", wheel.memory());
    }
    assert_eq!(wheel.len() as u64, OPEN);
    assert_sound(&wheel);
}

#[test]
fn one_call_touches_as_few_timers_in_a_large_wheel_as_in_a_small_one() {
    fn touched(before: &[Timer], wheel: &TimerWheel) -> usize {
        let common = before.len().min(wheel.len());
        (0..common).filter(|&place| before[place] != wheel.timers[place]).count()
    }
    for count in [100, 10_000] {
        let mut wheel = wheel_with(count);
        for step in 0..100 {
            let all =
                |wheel: &TimerWheel| (0..wheel.len()).map(|place| wheel.timers[place]).collect::<Vec<_>>();
            let before = all(&wheel);
            schedule(&mut wheel, count + step, scattered_deadline(count + step));
            assert!(touched(&before, &wheel) <= 1, "the one it is chained to");
            let before = all(&wheel);
            schedule(&mut wheel, scattered(step) % count, scattered_deadline(count + step));
            assert!(touched(&before, &wheel) <= 4, "itself, two neighbours, and the one it is chained to");
            let before = all(&wheel);
            assert!(wheel.cancel(step).is_some());
            assert!(touched(&before, &wheel) <= 5, "two neighbours, and the last one, moved, with its two");
            schedule(&mut wheel, step, scattered_deadline(step));
        }
    }
}
