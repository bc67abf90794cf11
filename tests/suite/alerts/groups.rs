//! Workflows that are split by labels: an incident for each group.

use super::*;

const SPLIT: &str = "[workflows.uploads]\ngroup_by = [\"region\"]";

#[tokio::test]
async fn a_workflow_that_is_split_has_an_incident_for_each_value_of_its_label() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.config(SPLIT).start().await;
        for (item, label) in [
            ("a", "&label=region:eu"),
            ("b", "&label=region:us"),
            ("c", "&label=region:eu&label=x:y"),
            ("d", ""),
        ] {
            daemon.create("uploads", item, &format!("?deadline=0s{label}"), "payload").await;
        }
        daemon.open_incidents(3).await;
        daemon.advance(10 * SECOND);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..3 {
            let opened = told(&receiver, "incident.opened").await;
            counts.insert(opened["group"]["region"].as_str().unwrap().to_owned(), opened.clone());
        }
        assert_eq!(counts["eu"]["count"], 2);
        assert_eq!(counts["us"]["summary"], "1 item of uploads (region us) is overdue, the oldest for 10s");
        assert_eq!(counts[""]["summary"], "1 item of uploads (no region) is overdue, the oldest for 10s");
        assert_eq!(counts["eu"]["items"][1]["id"], "c");
        for (item, region) in [("a", "eu"), ("b", "us"), ("c", "eu"), ("d", "")] {
            let item = daemon.get(&format!("/v1/workflows/uploads/items/{item}")).await;
            assert_eq!(item["incident"], counts[region]["id"]);
        }
        daemon.restart().await;
        daemon.close("uploads", "b").await;
        assert_eq!(told(&receiver, "incident.resolved").await["id"], counts["us"]["id"]);
        daemon.open_incidents(2).await;
    }
}

#[tokio::test]
async fn an_item_that_gets_another_label_leaves_one_incident_for_another() {
    let daemon = TestDaemon::builder().config(SPLIT).start().await;
    daemon.create("uploads", "file-1", "?deadline=0s&label=region:eu", "payload").await;
    let first = daemon.open_incidents(1).await.remove(0);
    patch(&daemon, "uploads", "file-1", json!({"labels": {"region": "us"}})).await;
    incident_when(&daemon, id(&first), "its end", |incident| incident["status"] == "resolved").await;
    let second = daemon.open_incidents(1).await.remove(0);
    assert_eq!(second["group"], json!({"region": "us"}));
    let item = daemon.get("/v1/workflows/uploads/items/file-1").await;
    assert_eq!(item["incident"], second["id"]);
}

#[tokio::test]
async fn a_label_with_ever_new_values_makes_no_more_incidents_than_can_be_dealt_with() {
    let daemon = TestDaemon::builder().config(SPLIT).start().await;
    for item in 0..130 {
        let query = format!("?deadline=0s&label=region:{item}");
        daemon.create("uploads", &format!("file-{item}"), &query, "payload").await;
    }
    let incidents = eventually("101 incidents", || async {
        let page = daemon.get("/v1/incidents?status=open&limit=1000").await;
        page["data"].as_array().filter(|incidents| incidents.len() == 101).cloned()
    })
    .await;
    let rest: Vec<&Value> = incidents.iter().filter(|incident| incident["group"] == json!({})).collect();
    let [rest] = rest[..] else { panic!("{rest:?}") };
    incident_of(&daemon, id(rest), 30).await;
    let last = daemon.get("/v1/workflows/uploads/items/file-129").await;
    assert_eq!(last["incident"], rest["id"]);
}

#[tokio::test]
async fn a_workflow_that_is_split_from_now_on_ends_its_old_incident_and_opens_those_of_its_groups() {
    let receiver = TestReceiver::start().await;
    let config = |split: &str| {
        let url = receiver.url();
        format!(
            "[alerting]\nreceivers = [\"oncall\"]\n[receivers.oncall]\nurl = \"{url}\"\nallow_private = \
             true\nconcurrency = 1\n{split}"
        )
    };
    let mut daemon = TestDaemon::builder().config(&config("")).start().await;
    daemon.create("uploads", "file-1", "?deadline=0s&label=region:eu", "payload").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    let whole = told(&receiver, "incident.opened").await;
    daemon.restart_with(&config(SPLIT)).await;
    incident_when(&daemon, id(&whole), "an end", |incident| incident["status"] == "resolved").await;
    let split = daemon.open_incidents(1).await.remove(0);
    assert_eq!(split["group"], json!({"region": "eu"}));
    daemon.advance(10 * SECOND);
    assert_eq!(told(&receiver, "incident.opened").await["id"], split["id"]);
    let end = told(&receiver, "incident.resolved").await;
    assert_eq!((&end["id"], &end["continued_in"]), (&whole["id"], &split["id"]));
}
