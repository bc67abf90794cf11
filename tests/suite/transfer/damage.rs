//! An import detects the form of its input and verifies its end.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;

use super::{count, exported, text, with_items, write};
use crate::cli::{command, warden};
use crate::support::TestDaemon;

/// Runs the command with this on its standard input; gives the exit code and what is on stdout and stderr.
async fn fed(mut command: Command, input: &[u8]) -> (i32, String, String) {
    let input = input.to_vec();
    let ended = tokio::task::spawn_blocking(move || {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary can be run");
        let mut stdin = child.stdin.take().expect("a pipe");
        let feeding = std::thread::spawn(move || {
            // It may have seen enough.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().expect("it can be waited for");
        feeding.join().expect("no panic");
        output
    });
    let output = ended.await.expect("no panic");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_changed_byte_is_noticed_before_anything_of_a_file_is_handed_in() {
    let (from, directory) = with_items(30, 60_000).await;
    let (plain, lines) = exported(&from, &directory, "plain", &[]).await;
    let (compressed, frames) = exported(&from, &directory, "compressed", &["--compress", "zstd"]).await;
    for (path, bytes) in [(plain, lines), (compressed, frames)] {
        let to = TestDaemon::start().await;
        // Letters of payloads, of which it makes other letters; and whatever it is in a frame.
        for place in [1_000, bytes.len() / 2, bytes.len() * 9 / 10] {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            write(&path, &damaged);
            let notes = warden(&to, &["import", "--file", text(&path)]).await.failed(65);
            assert!(notes.contains("is damaged: ") && notes.contains("nothing was imported"), "{notes}");
            assert_eq!(count(&to).await, 0, "{}, byte {place}", path.display());
        }
        // What comes by a pipe can be read once; it is noticed when it is too late, but it is.
        let mut damaged = bytes.clone();
        damaged[bytes.len() * 9 / 10] ^= 1;
        let elsewhere = TestDaemon::start().await;
        let (code, _, notes) = fed(command(&elsewhere.url(""), &["import"]), &damaged).await;
        assert_eq!(code, 65, "{notes}");
        assert!(notes.contains("the input is damaged: "), "{notes}");

        write(&path, &bytes);
        warden(&to, &["import", "--file", text(&path)]).await.done();
        assert_eq!(count(&to).await, 30);
        for id in ["00000", "00017"] {
            to.close("uploads", id).await;
        }
        let again = warden(&to, &["import", "--file", text(&path), "--output", "json"]).await.ended(1).0;
        let again: serde_json::Value = serde_json::from_str(&again).unwrap();
        assert_eq!(
            (&again["existed"], &again["refused"]),
            (&json!(28), &json!(2)),
            "what is closed stays closed"
        );
    }
}

#[tokio::test]
async fn what_is_incomplete_is_handed_in_and_said_to_be() {
    let (from, directory) = with_items(30, 60_000).await;
    let (path, lines) = exported(&from, &directory, "plain", &[]).await;
    let end = memchr::memrchr(b'\n', &lines[..lines.len() - 1]).unwrap() + 1;
    let frames = exported(&from, &directory, "compressed", &["--compress", "zstd"]).await.1;
    for (place, bytes, least) in [
        ("without the end", &lines[..end], 30),
        ("within the end", &lines[..end + 9], 30),
        ("within a line", &lines[..end / 2], 14),
        ("within the last frame", &frames[..frames.len() - 9], 17),
        ("within the first frame", &frames[..frames.len() / 4], 1),
    ] {
        let to = TestDaemon::start().await;
        write(&path, bytes);
        let (out, notes) =
            warden(&to, &["import", "--file", text(&path), "--output", "json"]).await.ended(65);
        let summary: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&summary["complete"], &summary["refused"]), (&json!(false), &json!(0)), "{place}");
        assert!(summary["created"].as_u64().unwrap() >= least, "{place}: {summary}");
        assert_eq!(count(&to).await, summary["created"], "{place}");
        assert!(
            notes.contains("its end is missing") && notes.contains("`warden export --resume`"),
            "{notes}"
        );
        let (code, _, notes) = fed(command(&to.url(""), &["import"]), bytes).await;
        assert_eq!(code, 65, "{place}: {notes}");
    }
}

#[tokio::test]
async fn every_form_is_taken_from_a_file_and_from_a_pipe() {
    let (from, directory) = with_items(5, 100).await;
    let (path, whole) = exported(&from, &directory, "plain", &[]).await;
    let frames = exported(&from, &directory, "compressed", &["--compress", "zstd"]).await.1;
    let other = TestDaemon::start().await;
    other.create("reports", "report", "?deadline=2h", "r").await;
    let (_, of_other) = exported(&other, &directory, "other", &["--compress", "zstd"]).await;
    let by_hand = b"{\"op\":\"create\",\"workflow\":\"uploads\",\"id\":\"a\",\"payload\":1}\n\n\
                    {\"op\":\"close\",\"workflow\":\"uploads\",\"id\":\"a\"}";
    for (form, bytes, expected) in [
        ("plain", whole.clone(), json!([5, 0, true])),
        ("in frames", frames.clone(), json!([5, 0, true])),
        ("in one frame of another program's", zstd::encode_all(&whole[..], 19).unwrap(), json!([5, 0, true])),
        ("two exports in one", [frames, of_other].concat(), json!([6, 0, true])),
        ("by hand", by_hand.to_vec(), json!([1, 1, null])),
        ("nothing", Vec::new(), json!([0, 0, null])),
    ] {
        write(&path, &bytes);
        let (to, piped_to) = (TestDaemon::start().await, TestDaemon::start().await);
        let arguments = ["import", "--output", "json", "--file"];
        let summary = warden(&to, &[&arguments[..], &[text(&path)]].concat()).await.json();
        let (code, out, notes) =
            fed(command(&piped_to.url(""), &[&arguments[..], &["-"]].concat()), &bytes).await;
        assert_eq!(code, 0, "{form}: {notes}");
        for summary in [summary, serde_json::from_str(&out).unwrap()] {
            let found = json!([summary["created"], summary["closed"], summary["complete"]]);
            assert_eq!(found, expected, "{form}");
        }
    }
}

#[tokio::test]
async fn what_was_done_to_a_file_on_its_way_is_named() {
    let (from, directory) = with_items(3, 10).await;
    let (path, lines) = exported(&from, &directory, "plain", &[]).await;
    let to = TestDaemon::start().await;
    let with_returns: Vec<u8> =
        lines.iter().flat_map(|byte| if *byte == b'\n' { vec![b'\r', b'\n'] } else { vec![*byte] }).collect();
    let utf_16: Vec<u8> = String::from_utf8(format!("\u{feff}{}", String::from_utf8_lossy(&lines)).into())
        .unwrap()
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (damaged, words) in [
        (with_returns, "lines end with CR LF"),
        ([b"\xEF\xBB\xBF", &lines[..]].concat(), "byte order mark (BOM)"),
        (utf_16, "it is UTF-16, by its byte order mark (BOM)"),
        ([&[0x1F, 0x8B, 8, 0], &lines[..]].concat(), "it is compressed by gzip: unpack it with `gunzip`"),
        ([b"BZh9", &lines[..]].concat(), "compressed by bzip2"),
        ([&[0xFD][..], b"7zXZ", &lines[..]].concat(), "compressed by xz"),
    ] {
        write(&path, &damaged);
        let notes = warden(&to, &["import", "--file", text(&path)]).await.failed(65);
        assert!(notes.contains(words) && notes.contains("nothing was imported"), "{notes}");
        let (code, _, notes) = fed(command(&to.url(""), &["import"]), &damaged).await;
        assert!(code == 65 && notes.contains("the input is damaged: ") && notes.contains(words), "{notes}");
        let notes = warden(&from, &["export", "--resume", "--file", text(&path)]).await.failed(65);
        // An export that goes on reads its file to its end first.
        assert!(notes.contains(words) || notes.contains("damaged"), "{notes}");
    }
    // Lines that somebody wrote on such a system are lines.
    write(&path, b"{\"op\":\"create\",\"workflow\":\"uploads\",\"id\":\"by-hand\",\"payload\":\"x\"}\r\n");
    let elsewhere = TestDaemon::start().await;
    warden(&elsewhere, &["import", "--file", text(&path)]).await.done();
    assert_eq!(count(&elsewhere).await, 1);
}
