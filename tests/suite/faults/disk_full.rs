//! A full disk: creates are refused, closes go on, nothing acknowledged is missing, and it passes by itself.

use reqwest::{Method, StatusCode};
use std::process::Command;

use super::mount::LoopMount;
use crate::support::{DaemonProcess, eventually, process};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_creates_and_nothing_else_and_passes_by_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    let mount = match LoopMount::new(directory.path(), 128) {
        Ok(mount) => mount,
        Err(reason) => {
            println!("skipped: {reason}");
            return;
        }
    };
    let mut command = process::serve(directory.path());
    command.env("WARDEN_STORAGE__PATH", mount.path().join("data"));
    let daemon = DaemonProcess::start(command, &DaemonProcess::log(directory.path())).expect("it starts");
    let item = |number: u32| format!("/v1/workflows/uploads/items/item-{number}");
    let create = async |number: u32| {
        let body = vec![u8::try_from(number % 251).expect("a small number"); 4000];
        daemon.request(Method::PUT, &item(number)).body(body).send().await.expect("an answer")
    };
    for number in 0..500 {
        assert_eq!(create(number).await.status(), StatusCode::CREATED);
    }

    let hog = mount.path().join("hog");
    // Somebody else takes all there is.
    let _ = Command::new("dd").args(["if=/dev/zero", "bs=64k", &format!("of={}", hog.display())]).output();
    let refused = create(1000).await;
    assert_eq!(refused.status(), StatusCode::INSUFFICIENT_STORAGE);
    assert!(refused.headers().contains_key("retry-after"));
    let problem: serde_json::Value = refused.json().await.expect("a problem");
    assert_eq!(problem["type"], "/problems/storage-full");
    for number in 0..400 {
        let closed = daemon.request(Method::DELETE, &item(number)).send().await.expect("an answer");
        assert_eq!(closed.status(), StatusCode::NO_CONTENT, "item-{number}");
    }
    assert_eq!(create(1001).await.status(), StatusCode::INSUFFICIENT_STORAGE);

    // A restart on a full disk keeps all of that.
    assert!(daemon.terminate().success());
    let mut command = process::serve(directory.path());
    command.env("WARDEN_STORAGE__PATH", mount.path().join("data"));
    let daemon = DaemonProcess::start(command, &DaemonProcess::log(directory.path()))
        .expect("it starts on a full disk");
    for number in 400..500 {
        let path = format!("{}/payload", item(number));
        let payload =
            daemon.request(Method::GET, &path).send().await.expect("an answer").bytes().await.expect("bytes");
        assert_eq!(payload, vec![u8::try_from(number % 251).expect("a small number"); 4000]);
    }
    for number in 0..400 {
        let found = daemon.request(Method::GET, &item(number)).send().await.expect("an answer");
        let found: serde_json::Value = found.json().await.expect("an item");
        assert_eq!(found["state"], "closed", "item-{number}");
    }

    std::fs::remove_file(hog).expect("space returns");
    eventually("a create to be taken again", || async {
        let put =
            daemon.request(Method::PUT, &item(2000)).body("room again").send().await.expect("an answer");
        (put.status() == StatusCode::CREATED).then_some(())
    })
    .await;
    assert!(daemon.terminate().success());
}
