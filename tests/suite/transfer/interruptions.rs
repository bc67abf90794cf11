//! An export that is interrupted, by the network or by a kill.

use super::{count, decompressed, exported, text, with_items};
use crate::cli::{command, run, warden};
use crate::support::{Fate, Proxy, TestDaemon, eventually};

#[tokio::test]
async fn a_connection_that_breaks_is_made_again_and_nothing_is_lost_or_doubled() {
    let (daemon, directory) = with_items(300, 5_000).await;
    let (path, whole) = exported(&daemon, &directory, "export", &[]).await;
    // Within the lines, before the answer, and between head and lines.
    let fates = [Fate::Break(700_000), Fate::Break(0), Fate::Break(400_000)];
    let proxy = Proxy::start(&daemon.url(""), fates).await;
    std::fs::remove_file(&path).unwrap();
    let (_, notes) = run(command(proxy.url(), &["export", "--file", text(&path)])).await.ended(0);
    assert!(std::fs::read(&path).unwrap() == whole);
    assert!(notes.contains("did not answer to the end") && notes.contains("; resuming after "), "{notes}");
    assert!(notes.ends_with("exported 300 items\n"), "{notes}");

    // Compressed, and on a pipe, as well.
    let proxy = Proxy::start(&daemon.url(""), [Fate::Break(900_000)]).await;
    let piped = command(proxy.url(), &["export", "--compress", "zstd", "--output", "json"]);
    let mut piped = piped;
    let output = tokio::task::spawn_blocking(move || piped.output()).await.unwrap().unwrap();
    assert!(output.status.success() && decompressed(&output.stdout) == whole);
}

#[tokio::test]
async fn an_export_that_was_killed_is_completed() {
    let (daemon, directory) = with_items(60, 100_000).await;
    let (_, whole) = exported(&daemon, &directory, "whole", &[]).await;
    for (name, flags) in [("plain", &[][..]), ("compressed", &["--compress", "zstd"])] {
        let path = directory.path().join(name);
        let proxy = Proxy::start(&daemon.url(""), [Fate::Stall(4_500_000)]).await;
        let mut export = command(proxy.url(), &[&["export", "--file", text(&path)], flags].concat());
        let mut child = export.spawn().expect("the binary can be run");
        eventually("a good part of the file", || async {
            let length = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
            (length > 2_000_000).then_some(())
        })
        .await;
        child.kill().expect("it can be killed");
        child.wait().expect("it can be waited for");

        let to = TestDaemon::start().await;
        let (_, notes) = warden(&to, &["import", "--file", text(&path)]).await.ended(65);
        assert!(notes.contains("is incomplete: its end is missing"), "{notes}");
        let so_far = count(&to).await.as_u64().unwrap();
        assert!((20..60).contains(&so_far), "{so_far}");

        let (_, notes) = warden(&daemon, &["export", "--file", text(&path), "--resume"]).await.ended(0);
        assert!(notes.ends_with(" more; the file has 60 items\n"), "{notes}");
        let found = std::fs::read(&path).unwrap();
        let found = if name == "plain" { found } else { decompressed(&found) };
        assert!(found == whole, "{name}");
        let all = warden(&to, &["import", "--file", text(&path), "--output", "json"]).await.json();
        assert_eq!((&all["existed"], &all["created"]), (&so_far.into(), &(60 - so_far).into()));
        assert_eq!(all["complete"], true);
    }
}

#[tokio::test]
async fn what_is_changed_on_the_way_is_noticed_and_not_kept() {
    let (daemon, directory) = with_items(40, 50_000).await;
    let (path, whole) = exported(&daemon, &directory, "export", &[]).await;
    for (kept, flags) in [(0, &[][..]), (21, &["--resume"])] {
        let kept: usize = whole.split_inclusive(|byte| *byte == b'\n').take(kept).map(<[u8]>::len).sum();
        super::write(&path, &whole[..kept]);
        // In the middle of a payload, of which it makes another.
        let proxy = Proxy::start(&daemon.url(""), [Fate::Flip(525_000)]).await;
        let export = command(proxy.url(), &[&["export", "--file", text(&path)], flags].concat());
        let notes = run(export).await.failed(65);
        assert!(notes.contains("the export arrived damaged"), "{notes}");
        assert!(std::fs::read(&path).unwrap() == whole[..kept], "only what was there before is left");
        warden(&daemon, &["export", "--file", text(&path), "--resume"]).await.done();
        assert!(std::fs::read(&path).unwrap() == whole);
    }
}

#[tokio::test]
async fn a_daemon_that_is_not_there_costs_nobody_the_file_that_is() {
    let (mut daemon, directory) = with_items(2, 10).await;
    let (path, whole) = exported(&daemon, &directory, "export", &[]).await;
    let url = daemon.url("");
    daemon.stop().await;
    run(command(&url, &["export", "--file", text(&path)])).await.failed(69);
    assert!(std::fs::read(&path).unwrap() == whole);
}
