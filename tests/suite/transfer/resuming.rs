//! A truncated file is completed to what it would have been.

use super::{count, decompressed, exported, text, with_items, write};
use crate::cli::warden;
use crate::support::TestDaemon;

#[tokio::test]
async fn a_plain_file_that_was_cut_anywhere_is_completed_to_the_same_bytes() {
    let (daemon, directory) = with_items(12, 400).await;
    let (path, whole) = exported(&daemon, &directory, "whole.ndjson", &[]).await;
    let ends: Vec<usize> =
        whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(place, _)| place + 1).collect();
    assert_eq!(ends.len(), 13);
    let cuts = [
        ("nothing is left", 0),
        ("within the first line", 50),
        ("before the first line feed", ends[0] - 1),
        ("behind the first line", ends[0]),
        ("within a line", ends[6] + 100),
        ("before a line feed", ends[7] - 1),
        ("before the end", ends[11]),
        ("within the end", ends[11] + 20),
        ("before the closing brace of the end", whole.len() - 2),
    ];
    for (place, length) in cuts {
        write(&path, &whole[..length]);
        let (out, notes) = warden(&daemon, &["export", "--file", text(&path), "--resume"]).await.ended(0);
        assert_eq!(out, "", "{place}");
        let kept = ends[..12].iter().filter(|end| **end <= length).count();
        let expected = match kept {
            0 => "exported 12 items\n".to_owned(),
            kept => format!("exported {} more; the file has 12 items\n", 12 - kept),
        };
        assert_eq!(notes, expected, "{place}");
        assert!(std::fs::read(&path).unwrap() == whole, "{place}");
    }
    write(&path, &[&whole[..], b"{\"op\":"].concat());
    warden(&daemon, &["export", "--file", text(&path), "--resume"]).await.done();
    assert!(std::fs::read(&path).unwrap() == whole, "what is behind the end is cut off as well");
}

#[tokio::test]
async fn a_compressed_file_that_was_cut_anywhere_is_completed_to_the_same_lines() {
    let (daemon, directory) = with_items(50, 100_000).await;
    let (_, plain) = exported(&daemon, &directory, "whole.ndjson", &[]).await;
    let (path, whole) = exported(&daemon, &directory, "whole.zst", &["--compress", "zstd"]).await;
    assert!(decompressed(&whole) == plain);
    let frames: Vec<usize> =
        memchr::memmem::find_iter(&whole, &0xFD2F_B528_u32.to_le_bytes()).chain([whole.len()]).collect();
    assert!(frames.len() >= 5, "{frames:?}");
    let cuts = [
        ("within the magic number of the first frame", 3, 0),
        ("within the first frame", frames[1] - 100, 0),
        ("behind the first frame", frames[1], frames[1]),
        ("within the magic number of a frame", frames[2] + 2, frames[2]),
        ("within a frame", frames[2] + 100_000, frames[2]),
        ("within the checksum of a frame", frames[3] - 1, frames[2]),
        ("within the checksum of the last frame", whole.len() - 1, frames[frames.len() - 2]),
    ];
    for (place, length, kept) in cuts {
        write(&path, &whole[..length]);
        warden(&daemon, &["export", "--file", text(&path), "--resume", "--compress", "zstd"]).await.done();
        let found = std::fs::read(&path).unwrap();
        assert!(found[..kept] == whole[..kept], "{place}: whole frames are left as they are");
        assert!(decompressed(&found) == plain, "{place}");
    }
    // The form is that of the file, also where nobody says it again.
    write(&path, &whole[..1000]);
    warden(&daemon, &["export", "--file", text(&path), "--resume"]).await.done();
    assert!(decompressed(&std::fs::read(&path).unwrap()) == plain);
}

#[tokio::test]
async fn what_came_and_went_since_is_there_and_not_there() {
    let (daemon, directory) = with_items(10, 100).await;
    let (path, whole) = exported(&daemon, &directory, "export", &[]).await;
    let third = memchr::memchr_iter(b'\n', &whole).nth(2).unwrap();
    write(&path, &whole[..third + 1]);
    for closed in ["00001", "00005"] {
        daemon.close("uploads", closed).await;
    }
    daemon.create("uploads", "late", "?deadline=2h", "late").await;
    let resume = ["export", "--file", text(&path), "--resume"];
    let (_, notes) = warden(&daemon, &resume).await.ended(0);
    assert_eq!(notes, "exported 7 more; the file has 10 items\n");

    let to = TestDaemon::start().await;
    warden(&to, &["import", "--file", text(&path)]).await.done();
    let listed = to.get("/v1/items").await;
    let ids: Vec<_> =
        listed["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    // What was closed is what an export that began before that holds too.
    assert_eq!(
        ids,
        ["00000", "00001", "00002", "00003", "00004", "00006", "00007", "00008", "00009", "late"]
    );

    // Now it is whole, and stays as it is.
    let before = std::fs::read(&path).unwrap();
    daemon.create("uploads", "later", "?deadline=2h", "later").await;
    let (_, notes) = warden(&daemon, &resume).await.ended(0);
    assert_eq!(notes, "the export is already complete: 10 items\n");
    assert!(std::fs::read(&path).unwrap() == before);
}

#[tokio::test]
async fn a_filtered_export_goes_on_with_its_filters() {
    let (daemon, directory) = with_items(8, 100).await;
    daemon.create("reports", "other", "?deadline=2h", "other").await;
    let filter = ["--workflow", "up*", "--state", "open"];
    let (path, whole) = exported(&daemon, &directory, "export", &filter).await;
    write(&path, &whole[..whole.len() / 2]);
    warden(&daemon, &[&["export", "--file", text(&path), "--resume"], &filter[..]].concat()).await.done();
    assert!(std::fs::read(&path).unwrap() == whole);
}

#[tokio::test]
async fn a_file_that_does_not_exist_is_begun_and_one_of_something_else_is_left_alone() {
    let (daemon, directory) = with_items(3, 100).await;
    let (_, whole) = exported(&daemon, &directory, "whole", &["--resume"]).await;
    assert_eq!(whole, exported(&daemon, &directory, "again", &[]).await.1);
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let frame = exported(&daemon, &directory, "frame", &["--compress", "zstd"]).await.1;
    let mut damaged = [&frame[..], &frame[..]].concat();
    damaged[frame.len() / 2] ^= 0xFF;
    for (name, bytes, reason) in [
        ("notes", b"buy milk\n".to_vec(), "line 1 is damaged or not"),
        ("handmade", b"{\"op\":\"create\",\"workflow\":\"a\",\"payload\":1}\n".to_vec(), "it has no cursor"),
        ("changed", [lines[0], b"{\"op\":\"crea\n", lines[1]].concat(), "line 2 is damaged"),
        ("twice", [&whole[..], lines[0]].concat(), "line 5 is after the end"),
        ("mixed", [lines[0], lines[3]].concat(), "the end at line 2 is for 3 lines, but comes after 1 line"),
        ("damaged", damaged, "the compressed data that begins at byte 0 is damaged"),
    ] {
        let path = directory.path().join(name);
        write(&path, &bytes);
        let notes = warden(&daemon, &["export", "--file", text(&path), "--resume"]).await.failed(65);
        assert!(notes.contains(reason) && notes.contains("the file is unchanged"), "{name}: {notes}");
        assert!(std::fs::read(&path).unwrap() == bytes, "{name}");
    }
    let path = directory.path().join("plain");
    write(&path, lines[0]);
    let flags = ["export", "--file", text(&path), "--resume", "--compress", "zstd"];
    assert!(warden(&daemon, &flags).await.failed(64).contains("is not compressed"));
    assert!(
        warden(&daemon, &["export", "--file", "-", "--resume"]).await.failed(64).contains("needs a file")
    );
    assert_eq!(std::fs::read(&path).unwrap(), lines[0]);
    assert_eq!(count(&daemon).await, 3);
}
