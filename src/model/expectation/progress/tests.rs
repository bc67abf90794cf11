use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const HOURS: i64 = 3_600_000;

pub fn cron(pattern: &str, zone: &str, grace: Duration, min_items: u64) -> Expectation {
    let schedule = Schedule::Cron(CronSchedule::parse(pattern, zone).unwrap());
    Expectation { schedule, grace, min_items, of_success: false }
}

pub fn every(every: Duration, grace: Duration, min_items: u64) -> Expectation {
    Expectation { schedule: Schedule::Every(every), grace, min_items, of_success: false }
}

/// An instant, or a day.
fn at(text: &str) -> Timestamp {
    Timestamp::parse(&if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() }).unwrap()
}

fn just_before(instant: Timestamp) -> Timestamp {
    instant.moved(-1)
}

/// An expectation whose clocks the test controls.
struct Story {
    expectation: Expectation,
    progress: Progress,
    numbers: u64,
    wall_offset: i64,
    watched_to: Timestamp,
}

impl Story {
    fn begin(expectation: Expectation, now: &str) -> Self {
        let progress = Progress::begin(&expectation, at(now), 0);
        Self { expectation, progress, numbers: 0, wall_offset: 0, watched_to: at(now) }
    }

    fn create(&mut self, now: Timestamp) {
        self.watched_to = now;
        self.numbers += 1;
        self.progress.created(&self.expectation, ItemNumber(self.numbers), now, self.wall_offset);
    }

    /// The missed windows, and the items created since.
    fn missed(&mut self, now: Timestamp) -> Option<(u64, u64)> {
        self.watched_to = now;
        self.progress.advance(&self.expectation, now, self.wall_offset);
        let wake = self.progress.next_wake(&self.expectation);
        assert!(wake.is_none_or(|wake| wake > now), "it would wake at {wake:?} for ever");
        self.progress.missed.map(|missed| (missed.windows, missed.created))
    }

    /// Restarts the daemon.
    fn restart(&mut self, now: Timestamp) {
        let stored = serde_json::to_string(&self.progress).unwrap();
        self.progress = serde_json::from_str(&stored).unwrap();
        self.progress.unwatched(&self.expectation, self.watched_to, now, self.wall_offset);
        self.watched_to = now;
    }
}

fn nightly() -> Story {
    Story::begin(cron("0 2 * * *", "UTC", 30 * MINUTE, 1), "2026-01-01")
}

#[test]
fn an_occurrence_at_which_an_item_is_created_is_not_missed() {
    for created in ["2026-01-01T02:00:00Z", "2026-01-01T02:29:59.999Z"] {
        let mut story = nightly();
        story.create(at(created));
        assert_eq!(story.missed(at("2026-01-02T02:29:59.999Z")), None, "{created}");
        assert_eq!(story.missed(at("2026-01-02T02:30:00Z")), Some((1, 0)), "the next one is");
    }
}

#[test]
fn an_occurrence_at_which_nothing_is_created_is_missed_once_its_grace_is_over() {
    let mut story = nightly();
    let end = at("2026-01-01T02:30:00Z");
    assert_eq!(story.missed(just_before(end)), None);
    assert_eq!(story.progress.next_wake(&story.expectation), Some(end));
    assert_eq!(story.missed(end), Some((1, 0)));
    let missed = story.progress.missed().unwrap();
    assert_eq!((missed.expected_at, missed.since), (at("2026-01-01T02:00:00Z"), end));
    assert_eq!((missed.wanted, missed.created), (1, 0));
}

#[test]
fn what_is_created_too_early_does_not_count_and_what_is_late_ends_it() {
    let mut story = nightly();
    story.create(at("2026-01-01T01:59:29.999Z"));
    assert_eq!(story.missed(at("2026-01-01T02:30:00Z")), Some((1, 0)));
    story.create(at("2026-01-01T02:30:00Z"));
    assert_eq!(story.missed(at("2026-01-01T02:30:00Z")), None);
}

#[test]
fn a_clock_that_is_set_across_an_occurrence_by_a_little_does_not_drop_it() {
    let mut story = nightly();
    story.progress.advance(&story.expectation, at("2026-01-01T01:59:55Z"), 0);
    // The wall clock is ten seconds ahead from here on: it shows five past.
    let ahead = 10_000;
    story.progress.advance(&story.expectation, at("2026-01-01T01:59:56Z"), ahead);
    story.progress.advance(&story.expectation, at("2026-01-01T02:29:50Z"), ahead);
    assert_eq!(story.progress.missed().map(|missed| missed.windows), Some(1));
}

#[test]
fn an_item_from_a_machine_whose_clock_is_a_little_ahead_counts() {
    let mut story = nightly();
    story.create(at("2026-01-01T01:59:30Z"));
    assert_eq!(story.missed(at("2026-01-02T02:29:59Z")), None);
    assert_eq!(story.missed(at("2026-01-02T02:30:00Z")), Some((1, 0)), "it counts for one day");
}

#[test]
fn windows_that_are_missed_on_end_are_counted_until_something_is_created() {
    let mut story = nightly();
    for day in 0..9 {
        assert_eq!(story.missed(at("2026-01-01T02:30:00Z").after(day * DAY)), Some((u64::from(day) + 1, 0)));
    }
    assert_eq!(story.progress.missed().unwrap().since, at("2026-01-01T02:30:00Z"), "since the first");
    story.create(at("2026-01-10T02:10:00Z"));
    assert_eq!(story.missed(at("2026-01-11T02:29:59Z")), None, "the last one was in time");
    assert_eq!(story.missed(at("2026-01-11T02:30:00Z")), Some((1, 0)), "and the count begins anew");
}

#[test]
fn nothing_counts_that_began_before_the_expectation_was_seen() {
    for seen in ["2026-01-01T02:00:00Z", "2026-01-01T02:10:00Z", "2026-01-01T03:00:00Z"] {
        let mut story = Story::begin(cron("0 2 * * *", "UTC", 30 * MINUTE, 1), seen);
        assert_eq!(story.missed(at("2026-01-02T02:29:59.999Z")), None, "{seen}");
        assert_eq!(story.missed(at("2026-01-02T02:30:00Z")), Some((1, 0)), "{seen}");
    }
}

/// A pattern with half an hour of grace, the first instant, and the times when occurrences count as missed.
const CALENDAR: &[(&str, &str, &str, &[&str])] = &[
    // 02:30 does not exist, and is expected at 03:00.
    (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00:00Z",
        &["2026-03-29T01:30:00Z", "2026-03-30T01:00:00Z"],
    ),
    // 02:30 exists twice, and is expected the first time only.
    (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00:00Z",
        &["2026-10-25T01:00:00Z", "2026-10-26T02:00:00Z"],
    ),
    ("0 0 L * *", "UTC", "2026-01-31T12:00:00Z", &["2026-02-28T00:30:00Z", "2026-03-31T00:30:00Z"]),
    ("0 0 31 * *", "UTC", "2026-01-31T12:00:00Z", &["2026-03-31T00:30:00Z", "2026-05-31T00:30:00Z"]),
    ("0 0 29 2 *", "UTC", "2026-01-01", &["2028-02-29T00:30:00Z", "2032-02-29T00:30:00Z"]),
];

#[test]
fn the_calendar_and_the_clocks_of_the_zone_decide_what_is_missed_when() {
    for (pattern, zone, seen, ends) in CALENDAR {
        let mut story = Story::begin(cron(pattern, zone, 30 * MINUTE, 1), seen);
        for (windows, end) in (0..).zip(*ends) {
            let before = story.missed(just_before(at(end)));
            assert_eq!(before.unwrap_or_default().0, windows, "{pattern} before {end}");
            assert_eq!(story.missed(at(end)), Some((windows + 1, 0)), "{pattern} at {end}");
        }
    }
}

#[test]
fn the_day_on_which_the_clocks_change_is_a_window_of_its_own_length() {
    for (seen, hours) in [("2026-03-28T12:00:00Z", 23), ("2026-10-24T12:00:00Z", 25)] {
        let story = Story::begin(cron("0 0 * * *", "Europe/Berlin", 48 * HOUR, 1), seen);
        let window = story.progress.window.unwrap();
        assert_eq!(window.ends.since(window.begins), hours * HOUR);
    }
}

#[test]
fn a_window_ends_where_the_next_occurrence_comes() {
    let mut story = Story::begin(cron("0 * * * *", "UTC", 5 * HOUR, 1), "2026-01-01T00:30:00Z");
    story.create(at("2026-01-01T01:59:59.999Z"));
    assert_eq!(story.missed(at("2026-01-01T02:59:59.999Z")), None);
    assert_eq!(story.missed(at("2026-01-01T03:00:00Z")), Some((1, 0)), "the hour from two to three");
}

#[test]
fn at_least_a_hundred_a_day() {
    let mut story = Story::begin(cron("0 0 * * *", "UTC", 24 * HOUR, 100), "2026-01-01T12:00:00Z");
    let create = |story: &mut Story, day: &str, count: u32| {
        for minute in 0..count {
            story.create(at(day).after(minute * MINUTE));
        }
    };
    create(&mut story, "2026-01-01", 50); // Before the first whole day.
    create(&mut story, "2026-01-02", 100);
    create(&mut story, "2026-01-03", 99);
    assert_eq!(story.missed(just_before(at("2026-01-04"))), None);
    assert_eq!(story.missed(at("2026-01-04")), Some((1, 99)));
    create(&mut story, "2026-01-04", 1);
    assert_eq!(story.missed(at("2026-01-04T01:00:00Z")), None, "the late one completes the day before");
    create(&mut story, "2026-01-04T02:00:00Z", 98);
    assert_eq!(story.missed(at("2026-01-05")), Some((1, 99)), "and counts for its own day too");
    assert_eq!(story.missed(at("2026-01-08")), Some((4, 99)));
}

fn hourly() -> Story {
    Story::begin(every(HOUR, 5 * MINUTE, 1), "2026-01-01")
}

#[test]
fn an_interval_begins_anew_with_each_item() {
    let mut story = hourly();
    assert_eq!(story.missed(at("2026-01-01T01:04:59.999Z")), None);
    story.create(at("2026-01-01T01:04:59.999Z"));
    assert_eq!(story.missed(at("2026-01-01T02:09:59.998Z")), None);
    assert_eq!(story.missed(at("2026-01-01T02:09:59.999Z")), Some((1, 0)));
    let missed = story.progress.missed().unwrap();
    assert_eq!(missed.expected_at, at("2026-01-01T02:04:59.999Z"));
    assert_eq!(missed.since, at("2026-01-01T02:09:59.999Z"));
    for hours in 1..5 {
        assert_eq!(story.missed(just_before(missed.since.after(hours * HOUR))), Some((hours.into(), 0)));
        assert_eq!(story.missed(missed.since.after(hours * HOUR)), Some((u64::from(hours) + 1, 0)));
    }
    story.create(at("2026-01-01T07:00:00Z"));
    assert_eq!(story.missed(at("2026-01-01T08:04:59.999Z")), None);
    assert_eq!(story.missed(at("2026-01-01T08:05:00Z")), Some((1, 0)));
}

#[test]
fn an_interval_of_several_items_begins_anew_when_all_of_them_are_there() {
    let mut story = Story::begin(every(HOUR, Duration::ZERO, 3), "2026-01-01");
    for minute in [10, 20, 30, 80, 89] {
        story.create(at("2026-01-01").after(minute * MINUTE));
    }
    assert_eq!(story.missed(at("2026-01-01T01:29:59.999Z")), None);
    assert_eq!(story.missed(at("2026-01-01T01:30:00Z")), Some((1, 2)));
    story.create(at("2026-01-01T01:45:00Z"));
    assert_eq!(story.missed(at("2026-01-01T02:44:59.999Z")), None, "the late one completes it");
    assert_eq!(story.missed(at("2026-01-01T02:45:00Z")), Some((1, 0)));
}

#[test]
fn an_item_that_was_counted_does_not_count_again() {
    let mut story = Story::begin(cron("0 2 * * *", "UTC", HOUR, 2), "2026-01-01");
    let inside = at("2026-01-01T02:10:00Z");
    story.create(inside);
    story.progress.recount(&story.expectation, ItemNumber(1), inside);
    assert_eq!(story.missed(at("2026-01-01T03:00:00Z")), Some((1, 1)));
    story.progress.recount(&story.expectation, ItemNumber(2), inside);
    assert_eq!(story.missed(at("2026-01-01T03:00:00Z")), None);
}

#[test]
fn windows_that_passed_while_nobody_watched_are_told_once_but_for_what_was_created_before() {
    let mut story = nightly();
    story.create(at("2026-01-01T02:10:00Z"));
    story.restart(at("2026-01-04T02:29:00Z"));
    assert_eq!(story.missed(at("2026-01-04T02:29:00Z")), Some((1, 0)));
    let missed = story.progress.missed().unwrap();
    assert_eq!(
        (missed.unobserved, missed.expected_at),
        (2, at("2026-01-02T02:00:00Z")),
        "the 2nd and the 3rd"
    );
    story.create(at("2026-01-04T02:29:30Z"));
    assert_eq!(story.missed(at("2026-01-05T02:29:59Z")), None, "the 4th was in time");
}

#[test]
fn after_a_long_downtime_no_more_windows_are_counted_than_there_is_time_for() {
    for (expectation, again) in [
        (cron("* * * * *", "Europe/Berlin", 30 * MINUTE, 1), "2036-01-01T12:33:00Z"),
        (every(MINUTE, Duration::ZERO, 1), "2036-01-01T12:32:00Z"),
    ] {
        let mut story = Story::begin(expectation, "2026-01-01");
        assert_eq!(story.missed(at("2036-01-01T12:30:00Z")), Some((WINDOWS_COUNTED_MAX, 0)));
        assert_eq!(story.missed(at("2036-01-01T12:31:00Z")), Some((WINDOWS_COUNTED_MAX, 0)));
        story.create(at("2036-01-01T12:31:00Z"));
        assert_eq!(story.missed(just_before(at(again))), None);
        assert_eq!(story.missed(at(again)), Some((1, 0)));
    }
}

#[test]
fn an_interval_that_ran_out_while_the_daemon_was_down_is_granted_its_grace_once_more() {
    for (grace, now, end) in [
        (5 * MINUTE, "2026-01-01T03:00:00Z", "2026-01-01T03:05:00Z"),
        (5 * MINUTE, "2026-01-01T01:04:00Z", "2026-01-01T01:09:00Z"),
        (5 * MINUTE, "2026-01-01T00:30:00Z", "2026-01-01T01:05:00Z"),
        (Duration::ZERO, "2026-01-01T03:00:00Z", "2026-01-01T03:00:00Z"),
    ] {
        let mut story = Story::begin(every(HOUR, grace, 1), "2026-01-01");
        story.restart(at(now));
        assert_eq!(story.missed(just_before(at(end))), None, "from {now}");
        assert_eq!(story.missed(at(end)), Some((1, 0)), "from {now}");
    }
    let mut story = hourly();
    story.missed(at("2026-01-01T01:05:00Z"));
    story.restart(at("2026-01-01T04:10:00Z"));
    assert_eq!(story.missed(at("2026-01-01T04:10:00Z")), Some((2, 0)), "what was missed before stays so");
    assert_eq!(story.progress.missed().unwrap().unobserved, 3);
    assert_eq!(story.missed(at("2026-01-01T05:09:59.999Z")), Some((2, 0)), "an hour that is watched");
    assert_eq!(story.missed(at("2026-01-01T05:10:00Z")), Some((3, 0)));
}

#[test]
fn a_wall_clock_that_is_set_back_while_the_daemon_is_down_silences_nothing() {
    let mut story = nightly();
    story.missed(at("2026-01-01T01:00:00Z"));
    story.wall_offset = -245 * 24 * HOURS;
    story.restart(at("2026-01-01T01:30:00Z"));
    assert_eq!(story.missed(at("2026-01-01T02:29:59.999Z")), None);
    assert_eq!(story.missed(at("2026-01-01T02:30:00Z")), Some((1, 0)));
    assert_eq!(story.progress.missed().unwrap().expected_at, at("2025-05-01T02:00:00Z"));
}

#[test]
fn windows_of_a_clock_that_was_wrong_by_years_never_were() {
    let years = 56 * 365 * 24 * HOURS;
    for (before, after) in [(-years, 0), (years, 0)] {
        let expectation = cron("0 2 * * *", "UTC", 30 * MINUTE, 1);
        let progress = Progress::begin(&expectation, at("2026-01-01T01:00:00Z"), before);
        let watched_to = at("2026-01-01T01:00:00Z");
        let mut story = Story { expectation, progress, numbers: 0, wall_offset: before, watched_to };
        assert_eq!(story.missed(at("2026-01-01T02:10:00Z")), None, "a window of the wrong clock is open");
        story.wall_offset = after;
        assert_eq!(story.missed(at("2026-01-01T02:11:00Z")), None);
        story.restart(at("2026-01-01T02:40:00Z"));
        assert_eq!(story.missed(at("2026-01-02T02:29:59.999Z")), None);
        assert_eq!(story.missed(at("2026-01-02T02:30:00Z")), Some((1, 0)), "the first of the right one");
    }
}

#[test]
fn occurrences_are_those_of_the_wall_clock_as_it_stands() {
    // An hour ahead from the beginning: two o'clock comes an hour early.
    let expectation = cron("0 2 * * *", "UTC", 30 * MINUTE, 1);
    let progress = Progress::begin(&expectation, at("2026-01-01"), HOURS);
    let watched_to = at("2026-01-01");
    let mut story = Story { expectation, progress, numbers: 0, wall_offset: HOURS, watched_to };
    assert_eq!(story.missed(at("2026-01-01T01:29:59.999Z")), None);
    assert_eq!(story.missed(at("2026-01-01T01:30:00Z")), Some((1, 0)));
    let missed = story.progress.missed().unwrap();
    assert_eq!(missed.expected_at, at("2026-01-01T02:00:00Z"), "by the wall clock");

    // Set in both directions while an occurrence is pending.
    for (wall_offset, end) in [(HOURS, "2026-01-01T01:30:00Z"), (-HOURS, "2026-01-01T03:30:00Z")] {
        let mut story = nightly();
        story.missed(at("2026-01-01T00:30:00Z"));
        story.wall_offset = wall_offset;
        story.missed(at("2026-01-01T00:31:00Z"));
        assert_eq!(story.missed(just_before(at(end))), None, "{wall_offset}");
        assert_eq!(story.missed(at(end)), Some((1, 0)), "{wall_offset}");
    }
}

#[test]
fn a_wall_clock_that_jumps_over_occurrences_misses_none_of_them() {
    let mut story = nightly();
    story.wall_offset = 3650 * 24 * HOURS;
    assert_eq!(story.missed(at("2026-01-01T00:01:00Z")), None);
    assert_eq!(story.missed(at("2026-01-01T02:29:59Z")), None);
    assert_eq!(story.missed(at("2026-01-01T02:30:00Z")), Some((1, 0)), "the one after the jump is");
}

#[test]
fn a_window_that_is_open_when_the_wall_clock_is_set_stays_as_long_as_it_was_to_be() {
    for wall_offset in [-9 * HOURS, -HOURS, -10_000, 10_000, 9 * HOURS] {
        let mut story = nightly();
        story.missed(at("2026-01-01T02:05:00Z"));
        story.wall_offset = wall_offset;
        assert_eq!(story.missed(at("2026-01-01T02:29:59.999Z")), None);
        story.create(at("2026-01-01T02:29:59.999Z"));
        assert_eq!(story.missed(at("2026-01-01T02:30:00Z")), None);
    }
}

#[test]
fn an_occurrence_that_comes_again_because_the_wall_clock_was_set_back_a_little_counts_once() {
    for (hours, end) in [(-2, "2026-01-02T04:30:00Z"), (-4, "2026-01-01T06:30:00Z")] {
        let mut story = nightly();
        story.create(at("2026-01-01T02:05:00Z"));
        story.wall_offset = hours * HOURS;
        assert_eq!(story.missed(just_before(at(end))), None, "{hours} hours");
        assert_eq!(story.missed(at(end)), Some((1, 0)), "{hours} hours");
    }
}

#[test]
fn an_interval_does_not_mind_the_wall_clock_across_restarts_either() {
    let mut story = hourly();
    story.wall_offset = 5 * HOURS;
    story.create(at("2026-01-01T00:30:00Z"));
    assert_eq!(story.missed(at("2026-01-01T01:00:00Z")), None);
    story.restart(at("2026-01-01T01:10:00Z"));
    assert_eq!(story.missed(at("2026-01-01T01:34:59.999Z")), None);
    assert_eq!(story.missed(at("2026-01-01T01:35:00Z")), Some((1, 0)));
    assert_eq!(story.progress.missed().unwrap().expected_at, at("2026-01-01T06:30:00Z"));
}

#[test]
fn an_expectation_that_differs_in_anything_is_another() {
    let expectations = [
        cron("0 2 * * *", "UTC", HOUR, 1),
        cron("0 3 * * *", "UTC", HOUR, 1),
        cron("0 2 * * *", "Europe/Berlin", HOUR, 1),
        cron("0 2 * * *", "UTC", 2 * HOUR, 1),
        cron("0 2 * * *", "UTC", HOUR, 2),
        every(HOUR, HOUR, 1),
        every(HOUR + MINUTE, HOUR, 1),
    ];
    for (index, expectation) in expectations.iter().enumerate() {
        let progress = Progress::begin(expectation, at("2026-01-01"), 0);
        for (other, another) in expectations.iter().enumerate() {
            assert_eq!(progress.is_of(another), index == other, "{expectation} and {another}");
        }
    }
    let spaced = cron("0  2 * *  *", "UTC", HOUR, 1);
    assert!(Progress::begin(&spaced, at("2026-01-01"), 0).is_of(&expectations[0]));
}
