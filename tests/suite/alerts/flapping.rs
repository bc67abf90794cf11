//! Trouble that comes and goes: people are not rung up each time.

use super::*;

#[tokio::test]
async fn trouble_that_comes_back_soon_goes_on_with_the_incident_and_is_told_after_the_group_interval() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.start().await;
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
        daemon.restart().await;
        daemon.advance(MINUTE);
        daemon.close("uploads", "file-2").await;
        daemon.open_incidents(0).await;
        lose(&daemon, "uploads", "file-3").await;
        daemon.open_incidents(1).await;
        // Nobody heard of the second time: the interval since the first end has not passed.
        daemon.advance(3 * MINUTE);
        let again = told(&receiver, "incident.opened").await;
        assert_eq!((&again["id"], &again["items"][0]["id"]), (&opened["id"], &json!("file-3")));
        daemon.close("uploads", "file-3").await;
        assert_eq!(told(&receiver, "incident.resolved").await["id"], opened["id"]);
        assert_eq!(daemon.get("/v1/incidents").await["data"].as_array().unwrap().len(), 1);
    }
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
