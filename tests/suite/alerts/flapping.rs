//! Incidents that recur: reported, and damped.

use super::*;

/// Loses an item and closes it again, so many times; what was told of it is left to be read.
async fn comes_and_goes(daemon: &TestDaemon, receiver: &TestReceiver, times: u32) {
    for round in 0..times {
        let item = format!("round-{round}");
        lose(daemon, "uploads", &item).await;
        daemon.open_incidents(1).await;
        daemon.advance(10 * SECOND);
        told(receiver, "incident.opened").await;
        daemon.close("uploads", &item).await;
        told(receiver, "incident.resolved").await;
    }
}

#[tokio::test]
async fn trouble_that_comes_back_soon_goes_on_with_the_incident_and_is_told_after_the_group_wait() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let daemon = builder.start().await;
        lose(&daemon, "uploads", "file-1").await;
        daemon.open_incidents(1).await;
        daemon.advance(10 * SECOND);
        let opened = told(&receiver, "incident.opened").await;
        daemon.close("uploads", "file-1").await;
        told(&receiver, "incident.resolved").await;

        daemon.advance(MINUTE);
        lose(&daemon, "uploads", "file-2").await;
        let again = daemon.open_incidents(1).await.remove(0);
        assert_eq!(again["id"], opened["id"]);
        assert_eq!(again["opened_at"], opened["opened_at"]);
        assert_eq!(again["reopened_at"], "2026-01-01T00:01:10.000Z");
        assert_eq!(again["next_told_at"], "2026-01-01T00:01:20.000Z");
        assert_eq!(again["waiting_for"], "group_wait");
        daemon.advance(10 * SECOND);
        assert_eq!(told(&receiver, "incident.opened").await["items"][0]["id"], "file-2");
        daemon.close("uploads", "file-2").await;
        assert_eq!(told(&receiver, "incident.resolved").await["id"], opened["id"]);
        assert_eq!(daemon.get("/v1/incidents").await["data"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn without_a_group_wait_the_second_item_that_is_forgotten_is_told_at_once() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).config("[workflows.uploads]\ngroup_wait = \"0s\"").start().await;
    for item in ["file-1", "file-2"] {
        lose(&daemon, "uploads", item).await;
        assert_eq!(told(&receiver, "incident.opened").await["items"][0]["id"], item);
        daemon.close("uploads", item).await;
        told(&receiver, "incident.resolved").await;
    }
}

#[tokio::test]
async fn trouble_that_keeps_coming_back_is_damped_and_says_so_over_a_restart_as_well() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let config = "[workflows.uploads]\nflapping_after = 2\ndamping = \"3m\"";
        let mut daemon = builder.config(config).start().await;
        comes_and_goes(&daemon, &receiver, 2).await;
        let ended = daemon.clock().now();
        lose(&daemon, "uploads", "file-2").await;
        for restarts in [true, false] {
            let open = daemon.open_incidents(1).await.remove(0);
            assert_eq!(open["waiting_for"], "damping");
            assert_eq!(instant(&open["next_told_at"]), ended.after(3 * MINUTE));
            daemon.advance(MINUTE);
            if restarts {
                daemon.restart().await;
            }
        }
        daemon.advance(MINUTE);
        let opened = told(&receiver, "incident.opened").await;
        assert_eq!(opened["items"][0]["id"], "file-2");
        daemon.close("uploads", "file-2").await;
        told(&receiver, "incident.resolved").await;
    }
}

#[tokio::test]
async fn where_damping_is_off_every_beginning_is_told() {
    let receiver = TestReceiver::start().await;
    let config = "[workflows.uploads]\nflapping_after = 0";
    let daemon = oncall(&receiver).config(config).start().await;
    comes_and_goes(&daemon, &receiver, 8).await;
}

#[tokio::test]
async fn after_a_restart_a_resolved_incident_is_gone_on_with_within_the_interval_and_not_beyond_it() {
    let receiver = TestReceiver::start().await;
    let mut daemon = oncall(&receiver).on_sled().start().await;
    let mut incidents = Vec::new();
    for (round, downtime) in [MINUTE, 6 * MINUTE, MINUTE].into_iter().enumerate() {
        lose(&daemon, "uploads", &format!("file-{round}")).await;
        incidents.push(id(&daemon.open_incidents(1).await[0]).to_owned());
        daemon.close("uploads", &format!("file-{round}")).await;
        daemon.open_incidents(0).await;
        daemon.restart_after(downtime).await;
    }
    assert_eq!(incidents[0], incidents[1]);
    assert_ne!(incidents[1], incidents[2]);
}
