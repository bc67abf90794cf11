//! Incidents that begin again soon after their end.

use super::*;

#[test]
fn the_first_reopening_goes_on_with_the_same_incident_and_is_told_after_the_group_wait() {
    let mut story = Story::begin(policy());
    story.told(0, &many(1));
    assert_eq!(story.told(10 * SECOND, &many(2))[0].0, Event::Opened);
    assert_eq!(story.told(MINUTE, &many(0))[0].0, Event::Resolved);
    let id = story.last.as_ref().unwrap().id.clone();
    let again = story.at(2 * MINUTE, &many(1)).unwrap();
    assert_eq!((again.incident.id.clone(), again.dispatches, again.commit), (id, Vec::new(), true));
    assert_eq!(again.wake_at, Some(Timestamp::from_millis(2 * MINUTE + 10 * SECOND)));
    assert_eq!(again.incident.opened_at, Timestamp::from_millis(0));
    assert_eq!(again.incident.reopened_at, Some(Timestamp::from_millis(2 * MINUTE)));
    assert_eq!(again.incident.peak, 2);
    assert_eq!(story.told(2 * MINUTE + 10 * SECOND, &many(1))[0].0, Event::Opened);
    assert_eq!(story.told(7 * MINUTE, &many(0))[0].0, Event::Resolved);
}

#[test]
fn without_a_group_wait_the_first_reopening_is_told_as_it_begins() {
    let mut story = Story::begin(AlertPolicy { group_wait: Duration::ZERO, ..policy() });
    for (now, count, event) in
        [(0, 1, Event::Opened), (1, 0, Event::Resolved), (2, 1, Event::Opened), (3, 0, Event::Resolved)]
    {
        assert_eq!(story.told(now * SECOND, &many(count))[0].0, event, "at {now}");
    }
}

/// Opens and resolves an incident at the start of each of so many minutes, and opens it once more a minute
/// later.
fn reopened(story: &mut Story, times: i64) -> i64 {
    for minute in 0..times {
        story.told(minute * MINUTE, &many(1));
        story.told(minute * MINUTE + 20 * SECOND, &many(1));
        story.told(minute * MINUTE + 30 * SECOND, &many(0));
    }
    story.told(times * MINUTE, &many(1));
    times * MINUTE
}

#[test]
fn repeated_reopenings_are_flapping_and_told_when_the_damping_has_passed() {
    let mut story = Story::begin(policy());
    let began = reopened(&mut story, 2);
    let told = story.at(began + 10 * SECOND, &many(1)).unwrap();
    assert_eq!(told.dispatches[0].event, Event::Opened, "two reopenings are no flapping");

    let mut story = Story::begin(policy());
    let began = reopened(&mut story, 3);
    let ended = began - 30 * SECOND;
    story.goes(&[
        (began + 10 * SECOND, many(1), None, Some(ended + 5 * MINUTE)),
        (ended + 5 * MINUTE - 1, many(9), None, Some(ended + 5 * MINUTE)),
        (ended + 5 * MINUTE, many(1), Some(Event::Opened), Some(ended + 5 * MINUTE + 4 * HOUR)),
    ]);
}

#[test]
fn reopenings_that_lie_further_back_than_the_window_are_no_flapping() {
    let flapping = Flapping { window: Duration::from_secs(100), ..policy().flapping };
    let mut story = Story::begin(AlertPolicy { flapping, ..policy() });
    let began = reopened(&mut story, 10);
    assert_eq!(story.told(began + 10 * SECOND, &many(1))[0].0, Event::Opened);
}

#[test]
fn damping_can_be_turned_off_and_up() {
    let of = |after| AlertPolicy { flapping: Flapping { after, ..policy().flapping }, ..policy() };
    let mut story = Story::begin(of(0));
    let began = reopened(&mut story, 19);
    assert_eq!(story.told(began + 10 * SECOND, &many(1))[0].0, Event::Opened);
    assert!(story.last.as_ref().unwrap().reopenings.len() <= REOPENINGS_KEPT);
    let mut story = Story::begin(of(1));
    let began = reopened(&mut story, 1);
    assert_eq!(story.told(began + 10 * SECOND, &many(1)), []);
}

#[test]
fn one_that_flaps_tells_twice_in_the_time_of_damping_at_most() {
    let mut story = Story::begin(policy());
    let mut told = Vec::new();
    for second in 0..3600 {
        let count = u64::from(second % 40 < 20);
        told.extend(story.told(second * SECOND, &many(count)).into_iter().map(|_| second));
    }
    assert_eq!(story.opened, 1);
    // Three reopenings are notified before it counts as flapping.
    for pair in told[5..].windows(3) {
        assert!(pair[2] - pair[0] >= 300, "{told:?}");
    }
    assert!(told.len() > 12, "{told:?}");
}
