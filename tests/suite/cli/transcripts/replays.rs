//! Replays: replay start, list, show, pause, resume, cancel.

use super::Transcript;
use crate::alerts::{MINUTE, advance_to};
use crate::replay::{SECOND, lose, lose_many};
use crate::support::daemon::START;
use crate::support::{TestDaemon, TestReceiver, eventually};

/// Waits until a replay has this many items behind it.
async fn ended(daemon: &TestDaemon, replay: &str, count: u64) {
    eventually("items of the replay to end", || async {
        let replay = daemon.get(&format!("/v1/replays/{replay}")).await;
        let ended = ["succeeded", "failed", "skipped"].map(|name| replay[name].as_u64().unwrap());
        (ended.iter().sum::<u64>() == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_replay_is_looked_at_started_and_steered() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    let mut transcript = Transcript::new();
    lose_many(&daemon, 4).await;
    advance_to(&daemon, START.after(MINUTE));
    let url = target.url();
    transcript.enter(&daemon, &format!("warden replay start --to {url} --dry-run")).await;
    transcript.enter(&daemon, &format!("warden replay start --to {url} --dry-run --output json")).await;
    transcript.enter(&daemon, "warden replay list").await;
    let start = format!(
        "warden replay start --to {url} --name monday --workflow 'up*' --max-per-second 0.01 --concurrency 1"
    );
    let replay = transcript.enter(&daemon, &start).await.done();
    let replay = replay.trim_end();
    ended(&daemon, replay, 1).await;
    transcript.aside("the target has taken one item");
    for line in [
        "warden replay list".to_owned(),
        format!("warden replay show {replay}"),
        format!("warden replay pause {replay}"),
        format!("warden replay pause {replay} --output json"),
    ] {
        transcript.enter(&daemon, &line).await;
    }
    daemon.advance(200 * SECOND);
    target.answer(502, &[]);
    target.saying("bad gateway");
    transcript.aside("200 seconds later, and from here on it answers 502");
    transcript.enter(&daemon, &format!("warden replay resume {replay}")).await;
    ended(&daemon, replay, 2).await;
    for line in [
        format!("warden replay show {replay}"),
        format!("warden replay cancel {replay}"),
        "warden replay list".to_owned(),
        "warden replay list --status running".to_owned(),
        format!("warden replay show {replay} --output json"),
        format!("warden replay resume {replay}"),
        format!("warden replay cancel {replay}"),
        format!("warden replay show {replay} --follow"),
    ] {
        transcript.enter(&daemon, &line).await;
    }
    transcript.compare("replays");
}

#[tokio::test]
async fn a_replay_that_is_followed_ends_the_command() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    let mut transcript = Transcript::new();
    let url = target.url();
    transcript.enter(&daemon, &format!("warden replay start --to {url} --follow")).await;
    lose_many(&daemon, 1).await;
    advance_to(&daemon, START.after(SECOND));
    transcript.aside("one item is overdue");
    target.answer(500, &[]);
    transcript.enter(&daemon, &format!("warden replay start --to {url} --follow --canary 1")).await;
    transcript.enter(&daemon, &format!("warden replay start --to {url} --follow --close")).await;
    for id in ["file-1", "file-2"] {
        lose(&daemon, id).await;
    }
    target.answer(500, &[]);
    transcript.aside("two more are overdue");
    transcript.enter(&daemon, &format!("warden replay start --to {url} --follow --canary 2")).await;
    transcript.compare("replays-followed");
}

#[tokio::test]
async fn a_replay_that_cannot_be_is_refused_with_why() {
    let daemon = TestDaemon::builder().config("[replay]\nallow_networks = []").start().await;
    let mut transcript = Transcript::new();
    lose_many(&daemon, 1).await;
    for line in [
        "warden replay start --to ftp://target.internal/in",
        "warden replay start --to http://127.0.0.1:1/in",
        "warden replay start --to http://target.internal/in --concurrency 0",
        "warden replay start --to http://target.internal/in --max-per-second fast",
        "warden replay start --to http://target.internal/in --max-per-second 0",
        "warden replay start --to http://target.internal/in --label a:1 --label a:2",
        "warden replay start --to http://target.internal/in --state late",
        "warden replay start --to http://target.internal/in --secret sesame",
        "warden replay start --to http://target.internal/in --dry-run --follow",
        "warden replay start",
        "warden replay show rpl_0",
        "warden replay show a/b",
        "warden replay pause rpl_0",
        "warden replay list --status late",
        "warden replay",
    ] {
        transcript.enter(&daemon, line).await;
    }
    transcript.compare("replays-refused");
}
