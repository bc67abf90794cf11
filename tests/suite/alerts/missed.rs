//! Expectations: missing items are detected, notified, and resolved by the next ones.
//!
//! Each missed occurrence is reported by the incident itself: detected earlier, it would have opened earlier.

use warden::model::Timestamp;

use super::*;
use crate::support::daemon::START;

/// At two each night; the incident is told at once, and nobody is reminded.
const NIGHTLY: &str = "[workflows.nightly]\ngroup_wait = \"0s\"\nrepeat_interval = \"30days\"\n\
    expect = { cron = \"0 2 * * *\", grace = \"30m\" }";
const HOURLY: &str = "[workflows.hourly]\ngroup_wait = \"0s\"\nrepeat_interval = \"30days\"\n\
    expect = { every = \"1h\", grace = \"5m\" }";

/// So long after the midnight on which that day begins; days are counted from 0.
fn on(day: u32, hour: u32, minute: u32) -> Timestamp {
    START.after(day * DAY + hour * HOUR + minute * MINUTE)
}

/// The only open incident, which must have opened at this instant for so many windows.
async fn missed(daemon: &TestDaemon, workflow: &str, at: Timestamp, windows: u64) -> Value {
    let incident = daemon.open_incidents(1).await.remove(0);
    assert_eq!((&incident["workflow"], &incident["kind"]), (&json!(workflow), &json!("missed")));
    assert_eq!(instant(&incident["opened_at"]), at);
    incident_of(daemon, id(&incident), windows).await
}

async fn create(daemon: &TestDaemon, workflow: &str, item: &str) {
    daemon.create(workflow, item, "?deadline=30days", "payload").await;
}

/// Waits until the store has carried out so many commands. Among them are those by which progress is kept.
async fn commands(daemon: &TestDaemon, count: u32) {
    eventually(&format!("{count} commands"), || async {
        (metric(daemon, "warden_store_commands_total").await == f64::from(count)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_nobody_creates_in_time_is_told_and_the_next_create_resolves_it() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let daemon = builder.config(NIGHTLY).start().await;
        create(&daemon, "nightly", "too-early").await;
        advance_to(&daemon, on(0, 2, 30));
        let incident = missed(&daemon, "nightly", on(0, 2, 30), 1).await;
        assert_eq!(instant(&incident["oldest_deadline"]), on(0, 2, 30));
        let opened = told(&receiver, "incident.opened").await;
        assert_eq!(opened["id"], incident["id"]);
        assert_eq!((&opened["kind"], &opened["count"]), (&json!("missed"), &json!(1)));
        assert_eq!(opened["items"], json!([]), "there is none to be shown");

        advance_to(&daemon, on(0, 4, 0));
        create(&daemon, "nightly", "late").await;
        let resolved = told(&receiver, "incident.resolved").await;
        assert_eq!((&resolved["id"], &resolved["count"]), (&incident["id"], &json!(0)));
        daemon.open_incidents(0).await;
    }
}

#[tokio::test]
async fn each_night_is_judged_by_itself() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).config(NIGHTLY).start().await;
    for day in 0..3 {
        advance_to(&daemon, on(day, 2, 29));
        create(&daemon, "nightly", &format!("night-{day}")).await;
    }
    // The fourth night nothing comes, nor the fifth: that is one incident of two nights.
    advance_to(&daemon, on(3, 2, 30));
    let incident = missed(&daemon, "nightly", on(3, 2, 30), 1).await;
    assert_eq!(told(&receiver, "incident.opened").await["id"], incident["id"]);
    advance_to(&daemon, on(4, 2, 30));
    missed(&daemon, "nightly", on(3, 2, 30), 2).await;
    let grown = told(&receiver, "incident.grown").await;
    assert_eq!((&grown["id"], &grown["count"]), (&incident["id"], &json!(2)));
    advance_to(&daemon, on(5, 2, 0));
    create(&daemon, "nightly", "night-5").await;
    told(&receiver, "incident.resolved").await;
    advance_to(&daemon, on(6, 2, 30));
    let another = missed(&daemon, "nightly", on(6, 2, 30), 1).await;
    assert_ne!(another["id"], incident["id"]);
}

#[tokio::test]
async fn an_interval_is_counted_from_the_last_item_on() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).config(HOURLY).start().await;
    for minutes in [65, 129, 140] {
        advance_to(&daemon, START.after(minutes * MINUTE).moved(-1));
        create(&daemon, "hourly", &format!("beat-{minutes}")).await;
    }
    let end = START.after(205 * MINUTE).moved(-1);
    advance_to(&daemon, end);
    let incident = missed(&daemon, "hourly", end, 1).await;
    told(&receiver, "incident.opened").await;
    for windows in 2..=3 {
        daemon.advance(HOUR);
        missed(&daemon, "hourly", end, windows).await;
    }
    assert_eq!(told(&receiver, "incident.grown").await["count"], 2);
    create(&daemon, "hourly", "beat-again").await;
    assert_eq!(told(&receiver, "incident.resolved").await["id"], incident["id"]);
    daemon.advance(65 * MINUTE);
    missed(&daemon, "hourly", end.after(2 * HOUR + 65 * MINUTE), 1).await;
}

#[tokio::test]
async fn fewer_than_were_wanted_are_too_few_and_are_over_when_as_many_have_come() {
    let config = "[workflows.bulk]\nexpect = { cron = \"0 0 * * *\", grace = \"25h\", min_items = 3 }";
    let daemon = TestDaemon::builder().config(config).start().await;
    advance_to(&daemon, on(1, 6, 0));
    for item in ["a", "b"] {
        create(&daemon, "bulk", item).await;
    }
    // What is there already, what is closed unseen, and what is another's does not count.
    let same = daemon.send(Method::PUT, "/v1/workflows/bulk/items/a", "payload").await;
    assert_eq!(same.status, 200);
    assert_eq!(daemon.ask(Method::DELETE, "/v1/workflows/bulk/items/unknown").await.status, 404);
    create(&daemon, "others", "c").await;
    advance_to(&daemon, on(2, 0, 0));
    missed(&daemon, "bulk", on(2, 0, 0), 1).await;
    let line = json!({"op": "create", "workflow": "bulk", "id": "c", "payload": "late"});
    daemon.send(Method::POST, "/v1/batch", line.to_string()).await.lines(200);
    daemon.open_incidents(0).await;
}

#[tokio::test]
async fn a_restart_neither_forgets_what_came_nor_what_did_not() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.config(NIGHTLY).start().await;
        daemon.restart_after(2 * HOUR).await;
        create(&daemon, "nightly", "in-time").await;
        daemon.restart().await;
        advance_to(&daemon, on(0, 12, 0));
        daemon.restart().await;
        advance_to(&daemon, on(1, 2, 29));
        daemon.restart().await;
        advance_to(&daemon, on(1, 2, 30));
        let incident = missed(&daemon, "nightly", on(1, 2, 30), 1).await;
        assert_eq!(told(&receiver, "incident.opened").await["id"], incident["id"]);
        daemon.restart_after(HOUR).await;
        let same = missed(&daemon, "nightly", on(1, 2, 30), 1).await;
        assert_eq!(same["id"], incident["id"]);
        create(&daemon, "nightly", "late").await;
        assert_eq!(told(&receiver, "incident.resolved").await["id"], incident["id"]);
        daemon.restart_after(HOUR).await;
        daemon.open_incidents(0).await;
        assert!(receiver.arrived().await.is_empty());
    }
}

#[tokio::test]
async fn nights_that_passed_while_the_daemon_was_down_or_the_machine_slept_are_told_once() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.config(NIGHTLY).start().await;
        advance_to(&daemon, on(0, 2, 10));
        create(&daemon, "nightly", "in-time").await;
        advance_to(&daemon, on(0, 12, 0));
        daemon.restart_after(2 * DAY).await;
        let incident = missed(&daemon, "nightly", on(2, 12, 0), 1).await;
        assert_eq!(instant(&incident["oldest_deadline"]), on(1, 2, 30));
        assert_eq!(incident["missed"]["unobserved"], 2);
        let opened = told(&receiver, "incident.opened").await;
        assert_eq!(opened["count"], 1);
        assert!(opened["summary"].as_str().unwrap().contains("2 times not observed"), "{opened}");
        create(&daemon, "nightly", "again").await;
        daemon.open_incidents(0).await;
        told(&receiver, "incident.resolved").await;

        daemon.clock().sleep(3 * DAY);
        let incident = missed(&daemon, "nightly", on(5, 12, 0), 1).await;
        assert_eq!(incident["missed"]["unobserved"], 3);
        told(&receiver, "incident.opened").await;
    }
}

#[tokio::test]
async fn an_interval_that_ran_out_while_the_daemon_was_down_is_granted_its_grace() {
    for grace in ["5m", "0s"] {
        let config = HOURLY.replace("5m", grace);
        let mut daemon = TestDaemon::builder().config(&config).start().await;
        create(&daemon, "hourly", "beat").await;
        daemon.restart_after(DAY).await;
        let back = START.after(DAY);
        if grace == "5m" {
            daemon.advance(5 * MINUTE);
            missed(&daemon, "hourly", back.after(5 * MINUTE), 1).await;
        } else {
            missed(&daemon, "hourly", back, 1).await;
        }
    }
}

#[tokio::test]
async fn what_merely_counts_is_written_once_a_minute_and_a_verdict_at_once() {
    let config = "[workflows.bulk]\nexpect = { every = \"150s\", min_items = 50 }";
    let daemon = TestDaemon::builder().config(config).start().await;
    // Besides, how far the clock has come: at the start, and once a minute.
    commands(&daemon, 2).await;
    for minute in 0..2 {
        for item in 0..20 {
            create(&daemon, "bulk", &format!("{minute}-{item}")).await;
        }
        commands(&daemon, 2 + minute * 22 + 20).await;
        daemon.advance(MINUTE);
        commands(&daemon, 2 + minute * 22 + 22).await;
    }
    // What is missed is committed with its incident, and so is its end.
    daemon.advance(30 * SECOND);
    missed(&daemon, "bulk", START.after(150 * SECOND), 1).await;
    commands(&daemon, 48).await;
    for item in 0..10 {
        create(&daemon, "bulk", &format!("late-{item}")).await;
    }
    daemon.open_incidents(0).await;
    commands(&daemon, 60).await;
}

#[tokio::test]
async fn an_expectation_that_is_changed_begins_anew_and_one_that_is_taken_back_expects_nothing() {
    let receiver = TestReceiver::start().await;
    let receivers = format!(
        "[alerting]\nreceivers = [\"oncall\"]\n[receivers.oncall]\nurl = \"{}\"\nallow_private = true\n",
        receiver.url()
    );
    let nightly = format!("{receivers}{NIGHTLY}");
    let mut daemon = TestDaemon::builder().config(&nightly).on_sled().start().await;
    advance_to(&daemon, on(0, 2, 30));
    missed(&daemon, "nightly", on(0, 2, 30), 1).await;
    told(&receiver, "incident.opened").await;

    // With more grace, nothing is missed before the next night.
    let patient = nightly.replace("30m", "40m");
    daemon.restart_with(&patient).await;
    told(&receiver, "incident.resolved").await;
    advance_to(&daemon, on(1, 2, 40));
    missed(&daemon, "nightly", on(1, 2, 40), 1).await;
    told(&receiver, "incident.opened").await;

    daemon.restart_with(&receivers).await;
    told(&receiver, "incident.resolved").await;
    advance_to(&daemon, on(3, 12, 0));
    daemon.open_incidents(0).await;
    // What passed in between was not expected.
    daemon.restart_with(&patient).await;
    advance_to(&daemon, on(4, 2, 40));
    missed(&daemon, "nightly", on(4, 2, 40), 1).await;
}

#[tokio::test]
async fn the_hour_is_that_of_the_time_zone_and_of_the_wall_clock() {
    let config = NIGHTLY.replace("cron =", "timezone = \"Asia/Kathmandu\", cron =");
    let daemon = TestDaemon::builder().config(&config).start().await;
    advance_to(&daemon, on(0, 12, 0));
    // What is expected, and at the start and now how far the clock has come.
    commands(&daemon, 3).await;
    // From now on the wall clock is an hour ahead: at 19:15 it shows 20:15, which is two in Nepal.
    daemon.set_wall_ahead(3_600_000).await;
    daemon.advance(MINUTE);
    commands(&daemon, 6).await;
    advance_to(&daemon, on(0, 19, 45));
    let shown = on(0, 20, 45);
    missed(&daemon, "nightly", shown, 1).await;
}

#[tokio::test]
async fn a_workflow_shows_what_is_expected_of_it() {
    let config = format!(
        "{HOURLY}\n[workflows.nightly]\n\
        expect = {{ cron = \"0  2 * * *\", timezone = \"Europe/Berlin\", grace = \"30m\", min_items = 2 }}"
    );
    let daemon = TestDaemon::builder().config(&config).start().await;
    create(&daemon, "uploads", "file").await;
    for (workflow, expected) in [
        (
            "nightly",
            json!({"cron": "0 2 * * \
                            *", "timezone": "Europe/Berlin", "every": null, "grace": "30m", "min_items": 2,
                "success": false, "next_expected_at": "2026-01-01T01:00:00.000Z"}),
        ),
        (
            "hourly",
            json!({"cron": null, "timezone": null, "every": "1h", "grace": "5m", "min_items": 1,
                "success": false, "next_expected_at": "2026-01-01T01:00:00.000Z"}),
        ),
        ("uploads", Value::Null),
    ] {
        let path = format!("/v1/workflows/{workflow}");
        assert_eq!(daemon.ask(Method::GET, &path).await.json(200)["expect"], expected);
    }
}

#[tokio::test]
async fn people_are_told_in_their_own_time_and_can_see_what_is_expected_next() {
    let receiver = TestReceiver::start().await;
    let config = "[workflows.nightly]\ngroup_wait = \"0s\"\n\
        expect = { cron = \"@midnight\", timezone = \"Asia/Kathmandu\", grace = \"30m\" }\n\
        [workflows.hourly]\nreceivers = []\nexpect = { every = \"1h\", grace = \"5m\" }\n[workflows.other]";
    let daemon = oncall(&receiver).config(config).start().await;
    let next = async |workflow: &str| {
        daemon.get(&format!("/v1/workflows/{workflow}")).await["expect"]["next_expected_at"].clone()
    };
    assert_eq!(instant(&next("nightly").await), on(0, 18, 15));
    assert_eq!(instant(&next("hourly").await), on(0, 1, 0));
    assert_eq!(next("other").await, json!(null));
    create(&daemon, "hourly", "first").await;
    let listed = daemon.get("/v1/workflows").await;
    let nightly =
        listed["data"].as_array().unwrap().iter().find(|workflow| workflow["name"] == "nightly").unwrap();
    assert_eq!(instant(&nightly["expect"]["next_expected_at"]), on(0, 18, 15));
    advance_to(&daemon, on(0, 18, 45));
    let opened = told(&receiver, "incident.opened").await;
    let expected = "no item of nightly was created, expected at 2026-01-01T18:15:00.000Z \
                    (00:00 on Fri 2026-01-02 in Asia/Kathmandu)";
    assert_eq!(opened["summary"], expected);
    let incidents = daemon.open_incidents(2).await;
    let zone = |workflow: &str| {
        let incident = incidents.iter().find(|incident| incident["workflow"] == workflow).unwrap();
        incident["missed"]["timezone"].clone()
    };
    assert_eq!((zone("nightly"), zone("hourly")), (json!("Asia/Kathmandu"), json!(null)));
    assert_eq!(instant(&next("nightly").await), on(1, 18, 15));
    assert_eq!(next("hourly").await, json!(null), "it is expected since long");
    let id =
        incidents.iter().find(|incident| incident["workflow"] == "nightly").unwrap()["id"].as_str().unwrap();
    let shown = crate::cli::warden(&daemon, &["incident", id]).await.done();
    assert!(
        shown.contains(
            "expected        2026-01-01T18:15:00.000Z (00:00 on Fri 2026-01-02 in Asia/Kathmandu, "
        ),
        "{shown}"
    );
    let id =
        incidents.iter().find(|incident| incident["workflow"] == "hourly").unwrap()["id"].as_str().unwrap();
    let mut show = crate::cli::command(&daemon.url(""), &["incident", id]);
    show.env("TZ", "XST-3");
    let shown = crate::cli::run(show).await.done();
    assert!(shown.contains(" (04:00 on Thu 2026-01-01 by this machine's clock, "), "{shown}");
}
