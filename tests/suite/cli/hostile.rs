//! Stored and received text on a terminal.

use reqwest::Method;
use serde_json::{Value, json};

use super::warden;
use crate::support::TestDaemon;

/// Clears the screen, ends the line and forges another, as one byte's control sequence too; and turns the
/// reading direction round.
const HOSTILE: &str = "x\u{1b}[2J\r\nwarden: all is well\u{9b}2J\u{7f}\u{202e}";

#[tokio::test]
async fn what_others_stored_steers_no_terminal_and_forges_no_line() {
    let daemon = TestDaemon::start().await;
    let id = "file\u{202e}1";
    daemon.create("uploads", id, "?deadline=0s", "payload").await;
    let report = json!({"type": "Bad", "message": HOSTILE, "fatal": false});
    let path = format!("/v1/workflows/uploads/items/{id}");
    daemon.send_json(Method::POST, &format!("{path}/errors"), report).await.json(201);
    daemon.send_json(Method::PATCH, &path, json!({"progress": {"note": HOSTILE}})).await.json(200);
    let incident = daemon.open_incidents(1).await[0]["id"].as_str().unwrap().to_owned();
    let comment = format!("{HOSTILE:?}\u{202e}\n");
    let act = json!({"by": "kim\u{202e}", "comment": comment});
    daemon.send_json(Method::POST, &format!("/v1/incidents/{incident}/ack"), act).await.json(200);
    let seen_by = async |arguments: &[&str]| {
        let said = warden(&daemon, arguments).await;
        let all = format!("{}{}", said.out, said.notes);
        let steers =
            |character: char| (character.is_control() && character != '\n') || character == '\u{202e}';
        assert!(!all.contains(steers), "{arguments:?}: {all:?}");
        assert!(!all.contains("\nwarden: all"), "{arguments:?}: {all:?}");
        said
    };
    for arguments in [
        vec!["items"],
        vec!["show", "uploads", id],
        vec!["incidents"],
        vec!["incident", &incident],
        vec!["create", "uploads", id, "--file", "/dev/null"],
        vec!["comment", &incident, HOSTILE],
        vec!["recover", "--output", "json", "--", "sh", "-c", "printf 'x\\033[2J\\r\\n\\033[1m' >&2; exit 3"],
        vec!["retry", "uploads", id],
        vec!["close", "uploads", id],
        vec!["show", "uploads", "no\u{202e}body"],
        vec!["check", "no\u{1b}[2Jfile"],
        vec!["import", "--file", "no\u{1b}[2Jfile"],
    ] {
        seen_by(&arguments).await;
    }
    // JSON stays what it was: the characters are written out within its texts.
    let listed = seen_by(&["items", "--state", "closed", "--output", "json"]).await.json();
    assert_eq!(listed["data"][0]["id"], id);
    let shown = seen_by(&["show", "uploads", id, "--output", "json"]).await.json();
    assert_eq!(shown["errors"][0]["message"], Value::from(HOSTILE));
}
