//! Silences on the command line.

use tokio::io::{AsyncReadExt, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::{command, run, warden};
use crate::alerts::{SECOND, id, lose, oncall, told};
use crate::support::{TestDaemon, TestReceiver};

#[tokio::test]
async fn what_a_silence_held_back_is_told_when_it_is_ended_by_hand() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let add = ["silence", "add", "--workflow", "up*", "--for", "2h", "--comment", "moving the disks"];
    let out = warden(&daemon, &add).await.done();
    let silence = out.trim_end();

    lose(&daemon, "uploads", "file-1").await;
    lose(&daemon, "downloads", "file-2").await;
    let incidents = daemon.open_incidents(2).await;
    daemon.advance(10 * SECOND);
    assert_eq!(told(&receiver, "incident.opened").await["workflow"], "downloads");
    let silenced = incidents.iter().find(|incident| incident["workflow"] == "uploads").unwrap();
    let shown = warden(&daemon, &["incident", id(silenced)]).await.done();
    assert!(shown.lines().any(|line| line.starts_with("receivers") && line.ends_with("nobody")), "{shown}");

    warden(&daemon, &["silence", "end", silence]).await.done();
    assert_eq!(told(&receiver, "incident.opened").await["workflow"], "uploads");
}

#[tokio::test]
async fn all_that_is_said_of_a_silence_reaches_the_daemon() {
    let split = "[workflows.uploads]\ngroup_by = [\"region\"]";
    let daemon = TestDaemon::builder().config(split).start().await;
    let line = "silence add --workflow uploads --kind failed --label region:eu --comment disks --author alex \
                --from 2026-01-01T01:00:00Z --until 2026-01-01T03:00:00+01:00 --output json";
    let made = warden(&daemon, &line.split_whitespace().collect::<Vec<_>>()).await.json();
    let known = daemon.get(&format!("/v1/silences/{}", id(&made))).await;
    assert_eq!(made, known);
    let expected = serde_json::json!({"id": id(&made), "status": "pending", "workflow": "uploads",
        "kind": "failed", "labels": {"region": "eu"}, "starts_at": "2026-01-01T01:00:00.000Z",
        "ends_at": "2026-01-01T02:00:00.000Z", "author": "alex", "comment": "disks",
        "created_at": "2026-01-01T00:00:00.000Z"});
    assert_eq!(made, expected);
    let list = warden(&daemon, &["silence", "list", "--output", "json"]).await.json();
    assert_eq!(list, daemon.get("/v1/silences").await);
    let ended = warden(&daemon, &["silence", "end", id(&made), "--output", "json"]).await.json();
    assert_eq!(ended, serde_json::json!({"id": id(&made), "status": "expired"}));
}

/// An address that leads to the daemon, where the answer on the first connection is lost.
async fn losing_the_first_answer(daemon: &TestDaemon) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let daemon = daemon.url("");
    let address = daemon.strip_prefix("http://").expect("an address").to_owned();
    tokio::spawn(async move {
        for lost in [true, false] {
            let (mut client, _) = listener.accept().await.expect("a connection");
            let mut server = TcpStream::connect(&address).await.expect("a connection");
            if lost {
                let (mut asks, _) = client.split();
                let (mut answers, mut hears) = server.split();
                tokio::select! {
                    _ = copy(&mut asks, &mut hears) => {}
                    _ = answers.read_u8() => {}
                }
            } else {
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        }
    });
    url
}

#[tokio::test]
async fn a_silence_whose_answer_was_lost_is_asked_for_again_and_made_once() {
    let daemon = TestDaemon::start().await;
    let url = losing_the_first_answer(&daemon).await;
    let add = ["silence", "add", "--workflow", "up*", "--for", "2h", "--comment", "moving the disks"];
    let silence = run(command(&url, &add)).await.done();
    let known = daemon.get("/v1/silences").await["data"].clone();
    let ids: Vec<&str> = known.as_array().unwrap().iter().map(id).collect();
    assert_eq!(ids, [silence.trim_end()]);
}

#[tokio::test]
async fn the_same_key_finds_the_same_silence_and_no_key_makes_another() {
    let daemon = TestDaemon::start().await;
    let add = ["silence", "add", "--workflow", "up*", "--for", "2h", "--comment", "disks"];
    let keyed = [&add[..], &["--idempotency-key", "night-1"]].concat();
    let first = warden(&daemon, &keyed).await.done();
    assert_eq!(warden(&daemon, &keyed).await.done(), first);
    let (second, third) = (warden(&daemon, &add).await.done(), warden(&daemon, &add).await.done());
    assert!(first != second && second != third);
}
