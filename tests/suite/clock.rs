//! The wall clock jumps, either way and by hours: nothing fires early, nothing is forgotten.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use warden::model::{Clock, Timestamp};

use crate::alerts::{
    HOUR, MINUTE, SECOND, advance_to, delivery_tried, id, instant, lose, oncall, patch, told,
};
use crate::support::daemon::{START, expect};
use crate::support::{TestDaemon, TestReceiver};

const HOURS: i64 = 3_600_000;
const TEN_YEARS: Duration = Duration::from_secs(10 * 31_557_600);

/// Lets a millisecond pass by which another timer fires, and waits until that is noticed: by then every timer that was
/// due before has been looked at.
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
        daemon.clock().set_drift(drift);
        advance_to(&daemon, START.after(59 * MINUTE));
        a_later_timer_is_noticed(&daemon).await;
        assert_eq!(daemon.get("/v1/workflows/uploads/items/file-1").await["state"], "open");
        advance_to(&daemon, START.after(HOUR));
        assert_eq!(daemon.open_incidents(2).await[0]["opened_at"], "2026-01-01T01:00:00.000Z");
    }
}

#[tokio::test]
async fn a_wall_clock_that_jumps_back_delays_nothing() {
    let receiver = TestReceiver::start().await;
    for drift in [-HOURS / 2, -5 * HOURS, -10_000 * HOURS] {
        let daemon = oncall(&receiver).start().await;
        daemon.create("uploads", "file-1", "?deadline=1h", "payload").await;
        daemon.clock().set_drift(drift);
        daemon.advance(HOUR);
        daemon.open_incidents(1).await;
        daemon.clock().set_drift(0);
        daemon.advance(5 * SECOND);
        daemon.clock().set_drift(drift);
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
        // The ordinary slewing of a disciplined clock.
        (999, "2026-01-01T01:00:00Z", HOUR),
    ] {
        let daemon = TestDaemon::start().await;
        daemon.clock().set_drift(drift);
        daemon.create("uploads", "put", &format!("?deadline={asked}"), "payload").await;
        let asked = asked.replace("%2B", "+");
        let line =
            json!({"op": "create", "workflow": "uploads", "id": "batched", "payload": "", "deadline": asked});
        let batch = daemon.request(Method::POST, "/v1/batch").body(line.to_string());
        assert_eq!(expect(batch, StatusCode::OK).await["status"], 201);
        daemon.create("uploads", "patched", "?deadline=10h", "payload").await;
        patch(&daemon, "uploads", "patched", json!({"deadline": asked})).await;
        let due = |item: &str| {
            let path = format!("/v1/workflows/uploads/items/{item}");
            let daemon = &daemon;
            async move { instant(&daemon.get(&path).await["deadline"]) }
        };
        for item in ["put", "batched", "patched"] {
            assert_eq!(due(item).await, START.after(at), "{item} with a drift of {drift} ms");
        }
        daemon.advance(at);
        let incident = daemon.open_incidents(1).await.remove(0);
        assert_eq!(instant(&incident["opened_at"]), START.after(at));
    }
}

#[tokio::test]
async fn an_instant_that_the_wall_clock_has_passed_is_due_at_once() {
    let daemon = TestDaemon::start().await;
    daemon.clock().set_drift(2 * HOURS);
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
        daemon.clock().set_drift(drift);
        let planned = instant(&tried["next_attempt_at"]);
        daemon.advance(planned.since(daemon.clock().now()));
        let tried = delivery_tried(&daemon, id(&incident), made + 1).await;
        assert_eq!(instant(&tried["attempts"][made as usize]["at"]), planned);
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
    daemon.clock().set_drift(5 * HOURS);
    let beyond = Timestamp::from_millis(START.after(TEN_YEARS).as_millis() + 5 * HOURS + 1);
    for deadline in ["10years 1ms".to_owned(), beyond.to_string(), "9999-12-31T23:59:59Z".to_owned()] {
        let path = format!("/v1/workflows/uploads/items/file-1?deadline={}", deadline.replace(' ', "%20"));
        let response = daemon.request(Method::PUT, &path).body("payload").send().await.unwrap();
        assert!(response.status().is_client_error(), "{deadline}: {}", response.status());
    }
}
