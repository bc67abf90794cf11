//! The wall clock is wrong, or is set by hours, either way: durations take their time, instants come when the
//! wall clock shows them, and displayed times are those of the wall clock.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use warden::model::{Clock, Timestamp};

use crate::alerts::{
    HOUR, MINUTE, SECOND, advance_to, delivery_tried, id, instant, lose, metric, oncall, patch, told,
};
use crate::support::daemon::{START, expect};
use crate::support::{TestDaemon, TestReceiver, within_patience};
use crate::sweep::on_each_engine;

const HOURS: i64 = 3_600_000;
const TEN_YEARS: Duration = Duration::from_secs(10 * 31_557_600);

/// Lets a millisecond pass by which another timer fires, and waits until that is noticed: by then every timer
/// that was due before has been looked at.
async fn a_later_timer_is_noticed(daemon: &TestDaemon) {
    daemon.create("witness", "file", "?deadline=1ms", "payload").await;
    daemon.advance(Duration::from_millis(1));
    let open = daemon.open_incidents(1).await;
    assert_eq!(open[0]["workflow"], "witness", "fired early");
}

#[tokio::test]
async fn a_wall_clock_that_jumps_forward_fires_nothing_early() {
    for drift in [HOURS / 2, 5 * HOURS, 10_000 * HOURS] {
        let daemon = TestDaemon::start().await;
        daemon.create("uploads", "file-1", "?deadline=1h", "payload").await;
        daemon.set_wall_ahead(drift).await;
        advance_to(&daemon, START.after(59 * MINUTE));
        a_later_timer_is_noticed(&daemon).await;
        assert_eq!(daemon.get("/v1/workflows/uploads/items/file-1").await["state"], "open");
        advance_to(&daemon, START.after(HOUR));
        assert_eq!(instant(&daemon.open_incidents(2).await[0]["opened_at"]), START.after(HOUR).moved(drift));
    }
}

#[tokio::test]
async fn a_wall_clock_that_jumps_back_delays_nothing() {
    let receiver = TestReceiver::start().await;
    for drift in [-HOURS / 2, -5 * HOURS, -10_000 * HOURS] {
        let daemon = oncall(&receiver).start().await;
        daemon.create("uploads", "file-1", "?deadline=1h", "payload").await;
        daemon.set_wall_ahead(drift).await;
        daemon.advance(HOUR);
        daemon.open_incidents(1).await;
        daemon.set_wall_ahead(0).await;
        daemon.advance(5 * SECOND);
        daemon.set_wall_ahead(drift).await;
        daemon.advance(5 * SECOND);
        told(&receiver, "incident.opened").await;
        daemon.close("uploads", "file-1").await;
        told(&receiver, "incident.resolved").await;
    }
}

#[tokio::test]
async fn an_instant_that_a_client_reads_off_the_wall_is_meant_by_the_wall() {
    for (drift, asked, at) in [
        (2 * HOURS, "2026-01-01T03:00:00Z", HOUR),
        (-2 * HOURS, "2025-12-31T23:00:00Z", HOUR),
        (-2 * HOURS, "2026-01-01T00:30:00%2B01:00", 90 * MINUTE),
    ] {
        let daemon = TestDaemon::start().await;
        daemon.set_wall_ahead(drift).await;
        daemon.create("uploads", "put", &format!("?deadline={asked}"), "payload").await;
        let asked = asked.replace("%2B", "+");
        let line =
            json!({"op": "create", "workflow": "uploads", "id": "batched", "payload": "", "deadline": asked});
        let batch = daemon.request(Method::POST, "/v1/batch").body(line.to_string());
        assert_eq!(expect(batch, StatusCode::OK).await["status"], 201);
        daemon.create("uploads", "patched", "?deadline=10h", "payload").await;
        patch(&daemon, "uploads", "patched", json!({"deadline": asked})).await;
        for item in ["put", "batched", "patched"] {
            let shown =
                instant(&daemon.get(&format!("/v1/workflows/uploads/items/{item}")).await["deadline"]);
            assert_eq!(shown, Timestamp::parse(&asked).unwrap(), "{item} with a drift of {drift} ms");
        }
        daemon.advance(at - Duration::from_millis(2));
        a_later_timer_is_noticed(&daemon).await;
        daemon.advance(Duration::from_millis(1));
        let incident = daemon.open_incidents(2).await.remove(0);
        assert_eq!(instant(&incident["opened_at"]), START.after(at).moved(drift));
    }
}

#[tokio::test]
async fn when_the_wall_clock_is_set_instants_move_and_durations_do_not() {
    for builder in on_each_engine("") {
        let mut daemon = builder.start().await;
        daemon.create("durations", "file", "?deadline=2h", "payload").await;
        daemon.create("instants", "file", "?deadline=2026-01-01T02:00:00Z", "payload").await;
        let deadline_of = |daemon: &TestDaemon, workflow: &str| {
            let path = format!("/v1/workflows/{workflow}/items/file");
            let item = daemon.request(Method::GET, &path);
            async move { instant(&expect(item, StatusCode::OK).await["deadline"]) }
        };
        // It was an hour behind all the time: of the instant an hour is left, of the duration two.
        daemon.set_wall_ahead(HOURS).await;
        daemon.restart().await;
        assert_eq!(deadline_of(&daemon, "instants").await, START.after(2 * HOUR));
        assert_eq!(deadline_of(&daemon, "durations").await, START.after(3 * HOUR));
        daemon.advance(HOUR - Duration::from_millis(2));
        a_later_timer_is_noticed(&daemon).await;
        daemon.advance(Duration::from_millis(1));
        let overdue = daemon.open_incidents(2).await;
        assert_eq!(overdue[0]["workflow"], "instants", "and nothing else");
        assert_eq!(instant(&overdue[0]["opened_at"]), START.after(2 * HOUR));

        // It is set back: the instant lies ahead again, which ends the incident, and comes at its time once
        // more.
        daemon.set_wall_ahead(-HOURS).await;
        let open = daemon.open_incidents(1).await;
        assert_eq!(open[0]["workflow"], "witness");
        assert_eq!(daemon.get("/v1/workflows/instants/items/file").await["state"], "open");
        daemon.advance(HOUR);
        assert_eq!(daemon.open_incidents(2).await[0]["workflow"], "durations", "two hours after it began");
        daemon.advance(HOUR);
        daemon.open_incidents(3).await;
    }
}

#[tokio::test]
async fn what_was_created_under_a_wrong_clock_is_shown_right_once_it_is_set_right_and_takes_as_long_as_asked()
{
    for builder in on_each_engine("") {
        let mut daemon = builder.start().await;
        daemon.create("uploads", "file", "?deadline=5s", "payload").await;
        // It was 90 seconds ahead.
        daemon.set_wall_ahead(-90_000).await;
        let item = daemon.get("/v1/workflows/uploads/items/file").await;
        assert_eq!(instant(&item["created_at"]), START.moved(-90_000));
        assert_eq!(instant(&item["deadline"]), START.moved(-85_000));
        daemon.restart().await;
        let again = daemon.get("/v1/workflows/uploads/items/file").await;
        assert_eq!(again, item, "over a restart as well");
        daemon.advance(5 * SECOND);
        let incident = daemon.open_incidents(1).await.remove(0);
        assert_eq!(instant(&incident["opened_at"]), START.moved(-85_000));
    }
}

#[tokio::test]
async fn after_a_boot_the_wall_clock_is_trusted_unless_it_is_behind_what_was_seen() {
    for builder in on_each_engine("") {
        let mut daemon = builder.start().await;
        daemon.create("uploads", "file", "?deadline=10h", "payload").await;
        daemon.reboot(START.after(4 * HOUR)).await;
        daemon.advance(6 * HOUR - Duration::from_millis(2));
        a_later_timer_is_noticed(&daemon).await;
        daemon.advance(Duration::from_millis(1));
        daemon.open_incidents(2).await;

        // A board without a battery, which is asked for the time only when it runs.
        let created = START.after(10 * HOUR);
        daemon.create("late", "file", "?deadline=1h", "payload").await;
        daemon.reboot(Timestamp::from_millis(0)).await;
        daemon.set_wall_ahead(0).await;
        let item = daemon.get("/v1/workflows/late/items/file").await;
        assert_eq!(instant(&item["created_at"]), created);
        assert_eq!(item["state"], "open");
        daemon.advance(HOUR);
        assert_eq!(daemon.open_incidents(3).await[0]["workflow"], "late");
    }
}

#[tokio::test]
async fn a_silence_holds_as_long_as_asked_or_until_the_instant_that_was_asked() {
    let daemon = TestDaemon::start().await;
    let made = |document: serde_json::Value| daemon.request(Method::POST, "/v1/silences").json(&document);
    let duration = json!({"workflow": "a", "for": "2h", "author": "ada"});
    let until = json!({"workflow": "b", "ends_at": "2026-01-01T02:00:00Z", "author": "ada"});
    for document in [duration, until] {
        expect(made(document), StatusCode::CREATED).await;
    }
    daemon.set_wall_ahead(HOURS).await;
    daemon.advance(HOUR);
    let held = daemon.get("/v1/silences").await;
    let held: Vec<_> = held["data"].as_array().unwrap().iter().collect();
    assert_eq!(held.len(), 1, "{held:?}");
    assert_eq!(
        (&held[0]["workflow"], &held[0]["ends_at"]),
        (&json!("a"), &json!("2026-01-01T03:00:00.000Z"))
    );
}

#[tokio::test]
async fn a_step_of_the_wall_clock_is_counted() {
    let daemon = TestDaemon::start().await;
    daemon.set_wall_ahead(HOURS).await;
    daemon.set_wall_ahead(-HOURS).await;
    daemon.set_wall_ahead(0).await;
    for (name, value) in [
        ("warden_clock_steps_forward_total", 2.0),
        ("warden_clock_steps_back_total", 1.0),
        ("warden_clock_drift_seconds", 0.0),
    ] {
        assert_eq!(metric(&daemon, name).await, value, "{name}");
    }
}

#[tokio::test]
async fn an_instant_that_the_wall_clock_has_passed_is_due_at_once() {
    let daemon = TestDaemon::start().await;
    daemon.set_wall_ahead(2 * HOURS).await;
    let item = daemon.create("uploads", "file-1", "?deadline=2026-01-01T01:59:59Z", "payload").await;
    assert_eq!(item["state"], "overdue");
    daemon.open_incidents(1).await;
}

#[tokio::test]
async fn a_retry_waits_as_long_as_planned_whatever_the_wall_clock_does() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    receiver.usually(500, &[]);
    lose(&daemon, "uploads", "file-1").await;
    let incident = daemon.open_incidents(1).await.remove(0);
    daemon.advance(10 * SECOND);
    for (made, drift) in (1..).zip([-7 * HOURS, 7 * HOURS, 0]) {
        let received = receiver.next().await;
        let wall = daemon.clock().now().as_seconds() + [0, -7 * HOURS, 7 * HOURS][made as usize - 1] / 1000;
        assert_eq!(received.header("webhook-timestamp"), wall.to_string());
        let tried = delivery_tried(&daemon, id(&incident), made).await;
        let wait = instant(&tried["next_attempt_at"]).since(daemon.clock().wall());
        daemon.set_wall_ahead(drift).await;
        daemon.advance(wait);
        let tried = delivery_tried(&daemon, id(&incident), made + 1).await;
        assert_eq!(instant(&tried["attempts"][made as usize]["at"]), daemon.clock().wall());
    }
}

#[tokio::test]
async fn a_deadline_ten_years_ahead_is_kept_to_the_millisecond() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    daemon.create("uploads", "duration", "?deadline=10years", "payload").await;
    let instant = START.after(TEN_YEARS);
    daemon.create("uploads", "instant", &format!("?deadline={instant}"), "payload").await;
    daemon.advance(TEN_YEARS - Duration::from_millis(2));
    a_later_timer_is_noticed(&daemon).await;
    assert_eq!(daemon.get("/v1/workflows/uploads/items/duration").await["state"], "open");
    daemon.advance(Duration::from_millis(1));
    let incident = daemon.open_incidents(2).await.remove(0);
    assert_eq!(incident["workflow"], "uploads");
    assert_eq!(incident["opened_at"], instant.to_string());
}

#[tokio::test]
async fn a_deadline_beyond_ten_years_is_refused() {
    let daemon = TestDaemon::start().await;
    daemon.set_wall_ahead(5 * HOURS).await;
    let beyond = Timestamp::from_millis(START.after(TEN_YEARS).as_millis() + 5 * HOURS + 1);
    for deadline in ["10years 1ms".to_owned(), beyond.to_string(), "9999-12-31T23:59:59Z".to_owned()] {
        let path = format!("/v1/workflows/uploads/items/file-1?deadline={}", deadline.replace(' ', "%20"));
        let response = daemon.request(Method::PUT, &path).body("payload").send().await.unwrap();
        assert!(response.status().is_client_error(), "{deadline}: {}", response.status());
    }
}

#[tokio::test]
async fn after_the_end_of_the_last_year_the_daemon_serves_on_and_can_be_stopped() {
    let mut daemon = TestDaemon::builder().starting_at(Timestamp::MAX.moved(HOURS)).start().await;
    daemon.create("uploads", "file-1", "?deadline=10m", "payload").await;
    daemon.close("uploads", "file-1").await;
    within_patience("the daemon to stop", daemon.stop()).await;
}

#[tokio::test]
async fn what_people_are_told_is_what_the_wall_clock_shows() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).config("[workflows.uploads]\nrepeat_interval = \"30d\"").start().await;
    daemon.set_wall_ahead(10_000 * HOURS).await;
    let shown = |steady: Timestamp| steady.moved(10_000 * HOURS);

    expect(daemon.request(Method::POST, "/v1/receivers/oncall/test"), StatusCode::OK).await;
    let tested = receiver.next().await.json();
    for at in [&tested["timestamp"], &tested["data"]["opened_at"]] {
        assert_eq!(instant(at), shown(START));
    }

    let refused = async |members: serde_json::Value| {
        let mut line = json!({"op": "create", "workflow": "uploads", "id": "old", "payload": "",
            "deadline": shown(START), "state": "failed", "created_at": shown(START.moved(-8 * HOURS)),
            "failed_at": shown(START)});
        line.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
        let batch = daemon.request(Method::POST, "/v1/batch").body(line.to_string());
        expect(batch, StatusCode::OK).await["detail"].as_str().expect("a reason").to_owned()
    };
    for (name, at) in [
        ("failed_at", shown(START.moved(-10 * HOURS))),
        ("failed_at", shown(START.moved(HOURS))),
        ("retry_at", shown(START.after(TEN_YEARS).moved(HOURS))),
    ] {
        let detail = refused(json!({name: at})).await;
        assert!(detail.contains(&format!("{name} is {at}")), "{detail}");
    }
    let detail = refused(json!({"failed_at": shown(START.moved(-10 * HOURS))})).await;
    assert!(detail.contains(&format!("before created_at, {}", shown(START.moved(-8 * HOURS)))), "{detail}");

    receiver.answer(410, &[]);
    lose(&daemon, "uploads", "file-1").await;
    let incident = daemon.open_incidents(1).await.remove(0);
    daemon.advance(10 * SECOND);
    receiver.next().await;
    delivery_tried(&daemon, id(&incident), 1).await;
    daemon.advance(24 * HOUR);
    let dead = delivery_tried(&daemon, id(&incident), 2).await;
    assert_eq!(
        dead["attempts"][1]["error"],
        format!("the receiver is paused since {}: it answered 410", shown(START.after(10 * SECOND)))
    );
}
