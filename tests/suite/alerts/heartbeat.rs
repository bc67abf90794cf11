//! The heartbeat: sent while the warden works, and only then.

use super::overload::{Mood, reluctant};
use super::*;

fn beating(to: &TestReceiver) -> Builder {
    let url = to.url();
    TestDaemon::builder().config(&format!("[heartbeat]\nurl = \"{url}\"\nallow_private = true"))
}

/// Lets a minute pass, and waits until it is known what became of the heartbeat.
async fn minute(daemon: &TestDaemon) {
    let beats = || async {
        let mut beats = 0.0;
        for outcome in ["sent", "failed", "withheld"] {
            beats += metric(daemon, &format!("warden_heartbeats_{outcome}_total")).await;
        }
        beats
    };
    let before = beats().await;
    daemon.advance(MINUTE);
    eventually("a heartbeat or none", || async { (beats().await > before).then_some(()) }).await;
}

#[tokio::test]
async fn the_heartbeat_comes_at_the_start_and_then_every_so_often() {
    let switch = TestReceiver::start().await;
    for builder in [beating(&switch), beating(&switch).on_sled()] {
        let daemon = builder.start().await;
        let first = switch.next().await;
        assert!(first.body.is_empty());
        for _ in 0..3 {
            minute(&daemon).await;
            switch.next().await;
        }
        eventually("four beats", || async {
            (metric(&daemon, "warden_heartbeats_sent_total").await == 4.0).then_some(())
        })
        .await;
        assert!(switch.arrived().await.is_empty());
    }
}

#[tokio::test]
async fn a_switch_that_is_not_well_is_told_again_next_time() {
    let switch = TestReceiver::start().await;
    switch.answer(503, &[]);
    let daemon = beating(&switch).start().await;
    switch.next().await;
    minute(&daemon).await;
    switch.next().await;
    eventually("both outcomes", || async {
        let failed = metric(&daemon, "warden_heartbeats_failed_total").await;
        let sent = metric(&daemon, "warden_heartbeats_sent_total").await;
        (failed == 1.0 && sent == 1.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_warden_whose_store_does_not_commit_falls_silent_until_it_does() {
    let switch = TestReceiver::start().await;
    let (builder, mood) = reluctant(beating(&switch));
    let daemon = builder.start().await;
    switch.next().await;
    mood.writes.store(true, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..3 {
        minute(&daemon).await;
    }
    assert!(switch.arrived().await.is_empty());
    assert_eq!(metric(&daemon, "warden_heartbeats_withheld_total").await, 3.0);
    mood.writes.store(false, std::sync::atomic::Ordering::SeqCst);
    minute(&daemon).await;
    switch.next().await;
}

#[tokio::test]
async fn a_warden_that_decides_nothing_any_more_falls_silent() {
    let switch = TestReceiver::start().await;
    let (builder, mood): (Builder, std::sync::Arc<Mood>) = reluctant(beating(&switch));
    let daemon = builder.start().await;
    switch.next().await;
    mood.hangs.store(true, std::sync::atomic::Ordering::SeqCst);
    lose(&daemon, "uploads", "file-1").await;
    // At the first look the loop may just have been woken; at the second it has had a minute.
    minute(&daemon).await;
    switch.next().await;
    for _ in 0..2 {
        minute(&daemon).await;
    }
    assert!(switch.arrived().await.is_empty());
    assert_eq!(metric(&daemon, "warden_heartbeats_withheld_total").await, 2.0);
}
