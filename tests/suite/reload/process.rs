//! Reloads of the real binary: by signal and by command, and under load.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use super::*;
use crate::cli::{command, run};
use crate::support::{DaemonProcess, process};

fn write(directory: &Path, text: &str) {
    std::fs::write(directory.join("warden.toml"), text).expect("it can be written");
}

async fn policy(daemon: &DaemonProcess) -> Value {
    let request = daemon.request(Method::GET, "/v1/workflows/uploads");
    ask(request).await.json(200)["deadline"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_and_the_command_reload_what_is_in_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), "[workflows.uploads]\ndeadline = \"15m\"");
    let daemon = DaemonProcess::on(directory.path());
    assert_eq!(policy(&daemon).await, "15m");

    write(directory.path(), "[workflows.uploads]\ndeadline = \"5m\"");
    daemon.signal(Signal::HUP);
    eventually("the policy", || async { (policy(&daemon).await == "5m").then_some(()) }).await;

    write(directory.path(), "[workflows.uploads]\ndeadline = \"0s\"");
    daemon.signal(Signal::HUP);
    let log = || std::fs::read_to_string(DaemonProcess::log(directory.path())).unwrap_or_default();
    let problem = "warden.toml:2:1: workflows.uploads.deadline: must be more than zero";
    eventually("the problem in the log", || async { log().contains(problem).then_some(()) }).await;
    assert_eq!(policy(&daemon).await, "5m");

    let reload = || run(command(&daemon.url(""), &["reload"]));
    let notes = reload().await.failed(65);
    assert!(notes.contains(problem), "{notes}");
    write(directory.path(), "[workflows.uploads]\ndeadline = \"7m\"\n[server]\nshutdown_timeout = \"3s\"");
    assert_eq!(reload().await.done(), "reloaded\nneeds a restart: server.shutdown_timeout\n");
    assert_eq!(policy(&daemon).await, "7m");
    assert!(daemon.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_reload_follows_however_many_hangups_come_during_another() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), "[workflows.uploads]\ndeadline = \"1m\"");
    let daemon = DaemonProcess::on(directory.path());
    // A reload reads until the other end of the pipe is closed.
    let (file, pipe) = (directory.path().join("warden.toml"), directory.path().join("pipe"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::rename(&pipe, &file).expect("it can be replaced");
    daemon.signal(Signal::HUP);
    let path = file.clone();
    let read = tokio::task::spawn_blocking(move || std::fs::File::options().write(true).open(path));
    let mut read = read.await.expect("no panic").expect("it is opened by the reload");
    for _ in 0..20 {
        daemon.signal(Signal::HUP);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    std::fs::remove_file(&file).expect("it can be replaced");
    write(directory.path(), "[workflows.uploads]\ndeadline = \"7m\"");
    read.write_all(b"[workflows.uploads]\ndeadline = \"5m\"").expect("it is read");
    drop(read);
    eventually("the policy", || async { (policy(&daemon).await == "7m").then_some(()) }).await;
    ask(daemon.request(Method::POST, "/v1/reload")).await.json(200);
    let log = std::fs::read_to_string(DaemonProcess::log(directory.path())).expect("a log");
    // One more if the last hangup came to it late.
    let reloads = log.matches("the configuration was reloaded").count();
    assert!((3..=4).contains(&reloads), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_workflows_is_read_at_the_start_and_at_every_reload() {
    let directory = tempfile::tempdir().expect("a directory");
    let workflows = directory.path().join("workflows");
    std::fs::create_dir(&workflows).expect("a directory");
    let put = |name: &str, text: &str| std::fs::write(workflows.join(name), text).expect("it can be written");
    write(directory.path(), &format!("[workflows_from]\npath = {workflows:?}"));
    put("uploads.yaml", "deadline: 15m\n");
    let daemon = DaemonProcess::on(directory.path());
    assert_eq!(policy(&daemon).await, "15m");

    put("uploads.yaml", "deadline: 5m\n");
    put("reports.toml", "deadline = \"1h\"");
    let reload = || async { ask(daemon.request(Method::POST, "/v1/reload")).await };
    reload().await.json(200);
    assert_eq!(policy(&daemon).await, "5m");
    ask(daemon.request(Method::GET, "/v1/workflows/reports")).await.json(200);

    put("uploads.yaml", "steps: [copy]\ndeadline: 0m\n");
    let problem = format!("{}/uploads.yaml:2:1: workflows.uploads.deadline", workflows.display());
    let detail = reload().await.refused(409, "configuration-invalid");
    assert!(detail.contains(&problem), "{detail}");
    assert_eq!(policy(&daemon).await, "5m");
    let mut check = process::binary();
    check.arg("check").arg(directory.path().join("warden.toml"));
    let notes = run(check).await.failed(65);
    assert!(notes.contains(&problem), "{notes}");

    std::fs::remove_file(workflows.join("uploads.yaml")).expect("it is there");
    reload().await.json(200);
    ask(daemon.request(Method::GET, "/v1/workflows/uploads")).await.refused(404, "workflow-not-found");
}

/// Creates and closes items over connections that stay open, while the configuration is reloaded again and
/// again. Every request is answered as it would be without that.
#[tokio::test(flavor = "multi_thread")]
async fn reloads_under_load_lose_no_request() {
    const CLIENTS: usize = 8;
    const RELOADS: usize = 40;
    let directory = tempfile::tempdir().expect("a directory");
    let config = |number: usize| {
        let split = if number.is_multiple_of(2) { "group_by = [\"region\"]" } else { "" };
        format!("[workflows.uploads]\ndeadline = \"{}m\"\n{split}\n[limits]\nrequests_max = 5000", number + 1)
    };
    write(directory.path(), &config(0));
    let daemon = Arc::new(DaemonProcess::on(directory.path()));
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (daemon, stop, done) = (daemon.clone(), stop.clone(), done.clone());
            tokio::spawn(async move {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    let path = format!("/v1/workflows/uploads/items/{client}-{number}");
                    let late = if number % 2 == 0 { "?deadline=0s&label=region:eu" } else { "" };
                    let create = daemon.request(Method::PUT, &format!("{path}{late}")).body("payload");
                    assert_eq!(create.send().await.expect("an answer").status(), 201);
                    if number % 3 == 0 {
                        let close = daemon.request(Method::DELETE, &path);
                        assert_eq!(close.send().await.expect("an answer").status(), 204);
                    }
                    number += 1;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                number
            })
        })
        .collect();
    for number in 1..=RELOADS {
        write(directory.path(), &config(number));
        if number % 4 == 0 {
            daemon.signal(Signal::HUP);
        }
        ask(daemon.request(Method::POST, "/v1/reload")).await.json(200);
        assert_eq!(policy(&daemon).await, format!("{}m", number + 1));
        let before = done.load(Ordering::Relaxed);
        eventually("more requests", || async {
            (done.load(Ordering::Relaxed) > before + CLIENTS).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut open = 0;
    for client in clients {
        let number: usize = client.await.expect("every request was answered");
        open += number - number.div_ceil(3);
    }
    let stats = || async { ask(daemon.request(Method::GET, "/v1/workflows/uploads/stats")).await.json(200) };
    let found = stats().await;
    assert_eq!(found["open"].as_u64().unwrap() + found["overdue"].as_u64().unwrap(), open as u64, "{found}");
    eventually("every overdue item to be in one incident", || async {
        let incidents = ask(daemon.request(Method::GET, "/v1/incidents?status=open")).await.json(200);
        let incidents = incidents["data"].as_array()?.iter();
        let counted: u64 = incidents.map(|incident| incident["count"].as_u64().unwrap()).sum();
        (stats().await["overdue"] == counted).then_some(())
    })
    .await;
}
