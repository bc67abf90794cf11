//! Notifications stay small and their records fit into the store, whatever items, steps and answers contain.

use super::*;

/// An id of the longest length, percent-encoded for a path.
fn id_of(text: &str) -> (String, String) {
    let id = text.repeat(256 / text.len());
    let encoded = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
    (id, encoded)
}

#[tokio::test]
async fn ids_and_answers_full_of_what_must_be_escaped_are_delivered() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let daemon = builder.start().await;
        receiver.usually(500, &[]);
        for (number, text) in ["\"", "\\", "ä", "\u{10ffff}", "%"].iter().enumerate() {
            let workflow = format!("uploads-{number}");
            let (_, start) = id_of(text);
            for item in 0..25 {
                // Ids of one length that differ at their end.
                let path = format!("{}{item:02}", &start[..start.len() - 12]);
                lose(&daemon, &workflow, &path).await;
            }
        }
        for incident in daemon.open_incidents(5).await {
            incident_of(&daemon, id(&incident), 25).await;
        }
        daemon.advance(10 * SECOND);
        let mut webhooks = Vec::new();
        for _ in 0..5 {
            let received = receiver.next().await;
            assert!(received.body.len() < 20_000, "{} bytes", received.body.len());
            let data = &received.json()["data"];
            let shown = data["items"].as_array().unwrap();
            assert!(shown.len() >= 4, "{} shown", shown.len());
            assert_eq!(data["truncated"], 25 - shown.len());
            let url = shown[0]["url"].as_str().unwrap();
            let item = expect(
                daemon.request(Method::GET, url.strip_prefix(&daemon.url("")).unwrap()),
                StatusCode::OK,
            );
            assert_eq!(item.await["id"], shown[0]["id"]);
            webhooks.push(received.header("webhook-id").to_owned());
        }
        receiver.usually(204, &[]);
        receiver_failed(&daemon, "oncall", 5).await;
        daemon.advance(6 * SECOND);
        let mut again = Vec::new();
        for _ in 0..5 {
            again.push(receiver.next().await.header("webhook-id").to_owned());
        }
        webhooks.sort();
        again.sort();
        assert_eq!(again, webhooks);
    }
}

#[tokio::test]
async fn an_incident_with_ever_new_steps_does_not_outgrow_its_record() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).on_sled().start().await;
    let mut incident = String::new();
    let mut items = 0;
    for round in 0..12 {
        for step in 0..32 {
            let step = format!("{round}-{step}-{}", "x".repeat(120));
            daemon
                .create("uploads", &format!("file-{round}-{step}"), &format!("?deadline=0s&step={step}"), "")
                .await;
            items += 1;
        }
        incident = id(&daemon.open_incidents(1).await[0]).to_owned();
        incident_of(&daemon, &incident, items).await;
        let known = daemon.get(&format!("/v1/incidents/{incident}")).await["notified_at"].clone();
        daemon.advance(5 * HOUR);
        incident_when(&daemon, &incident, "another telling", |incident| incident["notified_at"] != known)
            .await;
    }
    let received = receiver.arrived().await;
    assert!(received.iter().all(|received| received.body.len() < 20_000));
    let by_step = daemon.get(&format!("/v1/incidents/{incident}")).await["by_step"].clone();
    assert_eq!(by_step.as_object().unwrap().len(), 32);
}
