//! The opening is always delivered before the end.

use super::*;

#[tokio::test]
async fn the_end_waits_until_the_beginning_is_delivered() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    receiver.answer(500, &[]);
    receiver.answer(500, &[]);
    lose(&daemon, "uploads", "file-1").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    let incident = told(&receiver, "incident.opened").await;
    delivery_tried(&daemon, id(&incident), 1).await;
    daemon.close("uploads", "file-1").await;
    let both = eventually("two deliveries", || async {
        Some(deliveries(&daemon, id(&incident)).await).filter(|deliveries| deliveries.len() == 2)
    })
    .await;
    assert_eq!(both[1]["event"], "incident.resolved");
    daemon.advance(6 * SECOND);
    told(&receiver, "incident.opened").await;
    let waiting = eventually("a second attempt", || async {
        Some(deliveries(&daemon, id(&incident)).await)
            .filter(|deliveries| deliveries[0]["attempts_made"] == 2)
    })
    .await;
    assert_eq!((&waiting[1]["status"], &waiting[1]["attempts_made"]), (&json!("pending"), &json!(0)));
    advance_to(&daemon, instant(&waiting[0]["next_attempt_at"]));
    told(&receiver, "incident.opened").await;
    told(&receiver, "incident.resolved").await;
}

#[tokio::test]
async fn another_incident_of_the_workflow_does_not_wait_for_the_first() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).config("[workflows.uploads]\ngroup_interval = \"1s\"").start().await;
    receiver.answer(500, &[]);
    lose(&daemon, "uploads", "file-1").await;
    let first = daemon.open_incidents(1).await.remove(0);
    daemon.advance(10 * SECOND);
    told(&receiver, "incident.opened").await;
    delivery_tried(&daemon, id(&first), 1).await;
    daemon.close("uploads", "file-1").await;
    daemon.open_incidents(0).await;
    daemon.advance(SECOND);
    lose(&daemon, "uploads", "file-2").await;
    let second = daemon.open_incidents(1).await.remove(0);
    // Both the first one's second attempt and the second one are due by then.
    daemon.advance(10 * SECOND);
    let mut story = Vec::new();
    for _ in 0..3 {
        let received = receiver.next().await;
        story.push((received.json()["data"]["id"].clone(), received.event()));
    }
    let of = |incident: &Value| -> Vec<&str> {
        story.iter().filter(|(id, _)| *id == incident["id"]).map(|(_, event)| event.as_str()).collect()
    };
    assert_eq!(of(&first), ["incident.opened", "incident.resolved"]);
    assert_eq!(of(&second), ["incident.opened"]);
}

#[tokio::test]
async fn an_end_decided_in_the_same_instant_as_the_beginning_does_not_overtake_it_after_a_restart() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let mut daemon = builder.start().await;
        // Several, since a wrong order by chance may be right.
        let workflows: Vec<String> = (0..12).map(|number| format!("uploads-{number}")).collect();
        receiver.usually(500, &[]);
        for workflow in &workflows {
            lose(&daemon, workflow, "file-1").await;
        }
        let incidents = daemon.open_incidents(workflows.len()).await;
        daemon.advance(10 * SECOND);
        for incident in &incidents {
            delivery_when(&daemon, id(incident), "any fate", |_| true).await;
        }
        for workflow in &workflows {
            daemon.close(workflow, "file-1").await;
        }
        for incident in &incidents {
            eventually("the end", || async {
                (deliveries(&daemon, id(incident)).await.len() == 2).then_some(())
            })
            .await;
        }
        receiver.arrived().await;
        daemon.restart_after(HOUR).await;
        receiver.usually(204, &[]);
        let mut begun = std::collections::BTreeSet::new();
        let mut ended = 0;
        while ended < workflows.len() {
            let received = receiver.next().await;
            let incident = received.json()["data"]["id"].to_string();
            match received.event().as_str() {
                // One that is under way while the answers change may come twice.
                "incident.opened" => {
                    begun.insert(incident);
                }
                event => {
                    assert_eq!(event, "incident.resolved");
                    assert!(begun.contains(&incident), "{incident} ended before it began");
                    ended += 1;
                }
            }
            daemon.advance(6 * SECOND);
        }
    }
}
