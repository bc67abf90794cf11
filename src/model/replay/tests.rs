use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn replay(total: u64, canary: u64, pause_after_failures: u64) -> Replay {
    Replay {
        id: ReplayId("rpl_1".into()),
        name: "monday".into(),
        filter: ReplayFilter::default(),
        target: ReplayTarget {
            url: "http://kim:sesame@target.internal:8080/in/box?key=sesame".into(),
            secret: Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()),
        },
        pace: Pace {
            max_per_second: 10.0,
            concurrency: 4,
            canary,
            ramp_up: Duration::ZERO,
            pause_after_failures,
        },
        on_success: OnSuccess::Accept,
        timeout: Duration::from_secs(30),
        status: ReplayStatus::Running,
        reason: None,
        created_at: NOW,
        started_at: None,
        ended_at: None,
        total,
        succeeded: 0,
        failed: 0,
        skipped: 0,
        canary_passed: 0,
        failures_in_a_row: 0,
        chunks_done: 0,
        failures: Vec::new(),
        failure_reasons: BTreeMap::new(),
    }
}

fn failed(reason: &str) -> ItemEnd {
    let failure = ReplayFailure {
        workflow: WorkflowName::new("uploads").unwrap(),
        id: ItemId::new("file-1").unwrap(),
        reason: reason.into(),
        status: None,
        at: NOW,
    };
    ItemEnd::Failed { failure, counts_as: reason.into() }
}

#[test]
fn without_a_canary_as_many_are_sent_at_once_as_may_be() {
    let replay = replay(100, 0, 0);
    assert_eq!((replay.room(0), replay.room(3), replay.room(4), replay.room(9)), (4, 1, 0, 0));
}

#[test]
fn the_others_follow_when_the_whole_canary_has_succeeded() {
    let mut replay = replay(100, 3, 0);
    assert_eq!((replay.room(0), replay.room(3)), (3, 0));
    replay.record(ItemEnd::Succeeded, NOW);
    replay.record(ItemEnd::Skipped, NOW);
    assert_eq!((replay.room(0), replay.room(2)), (2, 0), "one that is skipped says nothing");
    replay.record(ItemEnd::Succeeded, NOW);
    replay.record(ItemEnd::Succeeded, NOW);
    assert_eq!((replay.room(0), replay.status), (4, ReplayStatus::Running));
    replay.record(failed("HTTP 500"), NOW);
    assert_eq!(replay.status, ReplayStatus::Running, "the canary is over");
}

#[test]
fn a_canary_that_fails_makes_it_pause_and_begins_anew_when_it_goes_on() {
    let mut replay = replay(100, 3, 0);
    replay.record(ItemEnd::Succeeded, NOW);
    replay.record(failed("HTTP 500"), NOW);
    assert_eq!((replay.status, replay.room(0)), (ReplayStatus::Paused, 0));
    assert_eq!(replay.reason.as_deref(), Some("the canary failed after 1 of 3 items: HTTP 500"));
    // It was in flight.
    replay.record(ItemEnd::Succeeded, NOW);
    replay.resume();
    assert_eq!((replay.status, replay.reason.clone(), replay.room(0)), (ReplayStatus::Running, None, 3));
}

#[test]
fn so_many_failures_in_a_row_make_it_pause() {
    let mut replay = replay(100, 0, 3);
    for end in [failed("a"), failed("b"), ItemEnd::Succeeded, failed("c"), ItemEnd::Skipped, failed("d")] {
        replay.record(end, NOW);
        assert_eq!(replay.status, ReplayStatus::Running);
    }
    replay.record(failed("HTTP 502"), NOW);
    assert_eq!(replay.status, ReplayStatus::Paused);
    assert_eq!(replay.reason.as_deref(), Some("3 items in a row failed, the last one: HTTP 502"));
    replay.resume();
    replay.record(failed("HTTP 502"), NOW);
    assert_eq!(replay.status, ReplayStatus::Running, "they are counted anew");
}

#[test]
fn zero_failures_in_a_row_are_no_reason_to_pause() {
    let mut replay = replay(1_000, 0, 0);
    for _ in 0..999 {
        replay.record(failed("HTTP 500"), NOW);
    }
    assert_eq!(replay.status, ReplayStatus::Running);
}

#[test]
fn it_ends_with_its_last_item_also_while_it_is_paused_and_holds_no_secret_then() {
    let later = NOW.after(Duration::from_secs(5));
    let mut replay = replay(2, 0, 0);
    replay.record(ItemEnd::Succeeded, NOW);
    replay.pause(None);
    replay.record(failed("HTTP 500"), later);
    assert_eq!((replay.status, replay.ended_at), (ReplayStatus::Completed, Some(later)));
    assert_eq!(
        (replay.target.secret.clone(), &*replay.target.url),
        (None, "http://target.internal:8080/in/box")
    );
    replay.cancel(later.after(Duration::from_secs(1)));
    replay.pause(None);
    replay.resume();
    assert_eq!((replay.status, replay.ended_at), (ReplayStatus::Completed, Some(later)));
}

#[test]
fn one_that_is_cancelled_counts_what_was_on_its_way() {
    let mut replay = replay(9, 0, 1);
    replay.cancel(NOW);
    replay.record(ItemEnd::Succeeded, NOW.after(Duration::from_secs(9)));
    replay.record(failed("HTTP 500"), NOW.after(Duration::from_secs(9)));
    assert_eq!((replay.status, replay.ended_at), (ReplayStatus::Cancelled, Some(NOW)));
    assert_eq!((replay.succeeded, replay.failed, replay.left()), (1, 1, 7));
}

#[test]
fn a_replay_of_nothing_is_over_at_once() {
    let mut replay = replay(0, 5, 0);
    replay.complete_if_done(NOW);
    assert_eq!(replay.status, ReplayStatus::Completed);
}

#[test]
fn the_latest_failures_and_some_reasons_are_kept() {
    let mut replay = replay(1_000, 0, 0);
    for number in 0..100 {
        replay.record(failed(&format!("reason {:03}", number % 50)), NOW);
    }
    assert_eq!(replay.failures.len(), FAILURES_KEPT);
    assert_eq!(&*replay.failures[0].reason, "reason 030");
    assert_eq!(replay.failure_reasons.len(), REASONS_KEPT + 1);
    assert_eq!((replay.failure_reasons["reason 019"], replay.failure_reasons[OTHER_REASONS]), (2, 60));
}

#[test]
fn neither_a_secret_nor_what_may_be_one_in_an_address_is_shown() {
    let shown = format!("{:?}", replay(1, 0, 0));
    assert!(shown.contains("http://target.internal:8080/in/box"), "{shown}");
    for secret in ["sesame", "kim", "whsec"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    for (url, plain) in [
        ("https://a", "https://a"),
        ("https://a?b@c/d", "https://a"),
        ("https://a:b@c:1?x", "https://c:1"),
        ("https://a/b@c#d", "https://a/b@c"),
        ("https://[::1]:80/x/?y", "https://[::1]:80/x/"),
    ] {
        assert_eq!(plain_url(url), plain, "{url}");
    }
}

#[test]
fn a_chunk_is_done_when_all_of_its_items_have_ended() {
    let mut chunk = ReplayChunk::new(3, [7, 5].map(ItemNumber).into_iter());
    assert_eq!((chunk.index, chunk.items[0].0, chunk.is_done()), (3, ItemNumber(7), false));
    chunk.items[0].1 = ItemProgress::Succeeded;
    assert!(!chunk.is_done());
    chunk.items[1].1 = ItemProgress::Skipped;
    assert!(chunk.is_done());
    assert_eq!([0, 1, 256, 257, 10_000_000].map(ReplayChunk::count), [0, 1, 1, 2, 39_063]);
}

proptest! {
    #[test]
    fn whatever_happens_the_counters_add_up_and_the_canary_is_never_overrun(
        total in 0u64..40, canary in 0u64..6, pause_after in 0u64..4,
        turns in prop::collection::vec(0u8..8, 0..200),
    ) {
        let mut replay = replay(total, canary, pause_after);
        replay.complete_if_done(NOW);
        let mut in_flight = 0;
        for turn in turns {
            let was_ended = replay.status.is_ended();
            match turn {
                0 | 1 => in_flight += replay.room(in_flight).min(1).min(replay.left() as usize - in_flight),
                2 => replay.pause(None),
                3 => replay.resume(),
                4 if in_flight == 0 => replay.cancel(NOW),
                _ if in_flight > 0 => {
                    in_flight -= 1;
                    replay.record([ItemEnd::Succeeded, failed("x"),
                    ItemEnd::Skipped][turn as usize % 3].clone(), NOW);
                }
                _ => {}
            }
            prop_assert_eq!(replay.succeeded + replay.failed + replay.skipped + replay.left(), total);
            prop_assert_eq!(replay.failure_reasons.values().sum::<u64>(), replay.failed);
            prop_assert_eq!(replay.status.is_ended(), replay.ended_at.is_some());
            prop_assert!(!was_ended || replay.status.is_ended());
            prop_assert!(replay.left() > 0 || replay.status.is_ended());
            if replay.is_in_canary() && replay.status == ReplayStatus::Running {
                prop_assert!(replay.room(in_flight) as u64 + replay.canary_passed <= canary);
            }
        }
    }
}
