//! Very many items that become overdue together.

use super::*;

const ITEMS: usize = 20_000;

#[tokio::test]
async fn twenty_thousand_items_that_fall_overdue_in_one_instant_are_one_incident_and_ingest_goes_on() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let line = |number: usize| {
        let op = json!({"op": "create", "workflow": "uploads", "id": format!("file-{number}"), "payload": "x",
            "deadline": "2026-01-01T01:00:00Z",
            "step": if number.is_multiple_of(4) { "copy" } else { "backup" }});
        format!("{op}\n")
    };
    let body: String = (0..ITEMS).map(line).collect();
    let answer =
        daemon.request(Method::POST, "/v1/batch").body(body).send().await.unwrap().text().await.unwrap();
    assert_eq!(answer.lines().filter(|line| line.contains("\"status\":201")).count(), ITEMS);

    daemon.advance(HOUR);
    let mut meanwhile = 0;
    let incident = loop {
        let item = format!("meanwhile-{meanwhile}");
        daemon.create("uploads", &item, "?deadline=1h", "payload").await;
        daemon.close("uploads", &item).await;
        meanwhile += 1;
        let open = daemon.get("/v1/incidents").await["data"].as_array().unwrap().clone();
        assert!(open.len() <= 1, "{} incidents", open.len());
        if let Some(incident) = open.into_iter().find(|incident| incident["count"] == ITEMS) {
            break incident;
        }
    };
    assert_eq!(incident["by_step"], json!({"copy": ITEMS / 4, "backup": ITEMS - ITEMS / 4}));
    daemon.advance(10 * SECOND);
    let opened = told(&receiver, "incident.opened").await;
    assert_eq!((&opened["count"], &opened["truncated"]), (&json!(ITEMS), &json!(ITEMS - 20)));
    assert_eq!(
        opened["summary"],
        "20000 items of uploads are overdue; 15000 stuck at backup, 5000 stuck at copy, the oldest for 10s"
    );

    let close = |number: usize| {
        format!("{}\n", json!({"op": "close", "workflow": "uploads", "id": format!("file-{number}")}))
    };
    let body: String = (1..ITEMS).map(close).collect();
    let answer =
        daemon.request(Method::POST, "/v1/batch").body(body).send().await.unwrap().text().await.unwrap();
    assert_eq!(answer.lines().filter(|line| line.contains("\"status\":204")).count(), ITEMS - 1);
    incident_of(&daemon, id(&incident), 1).await;
    daemon.close("uploads", "file-0").await;
    let resolved = told(&receiver, "incident.resolved").await;
    assert_eq!((&resolved["id"], &resolved["peak"]), (&incident["id"], &json!(ITEMS)));
    assert_eq!(deliveries(&daemon, id(&incident)).await.len(), 2);
}
