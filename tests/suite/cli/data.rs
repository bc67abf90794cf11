//! `warden data check`: its report on intact and damaged directories, and that it changes nothing.

mod directory;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use warden::store::CheckError;
use warden::store::engine::sled::check;

use self::directory::{LAST, LATE, file_with, filled, id, last, look, place_of, turn_over, write};
use super::{Said, run};
use crate::support::process::{self, DaemonProcess};

/// A filled directory of a test's own.
async fn data() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), filled().await);
    directory
}

/// Checks it, with copies in a directory that must be empty in the end.
async fn checked(data: &Path, arguments: &[&str]) -> Said {
    let scratch = tempfile::tempdir().unwrap();
    let said = run(command(data, arguments, scratch.path())).await;
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "a copy was left behind");
    said
}

fn command(data: &Path, arguments: &[&str], scratch: &Path) -> Command {
    let mut command = process::binary();
    command.args(["data", "check", "--path"]).arg(data).args(arguments).env("TMPDIR", scratch);
    command
}

/// Checks a directory that is damaged: all lines that say what is. What stderr says is that and what to do,
/// and nothing that the database has to say.
async fn findings(data: &Path) -> Vec<String> {
    let before = look(data);
    let (out, notes) = checked(data, &[]).await.ended(65);
    assert!(look(data) == before, "it was changed");
    let lines: Vec<&str> = notes.lines().collect();
    let [line] = *lines else { panic!("{notes}") };
    assert!(line.contains("is damaged in ") && line.contains("--accept-damage"), "{line}");
    let found: Vec<String> =
        out.lines().filter_map(|line| line.strip_prefix("damaged: ")).map(str::to_owned).collect();
    let count = if found.len() == 1 { "1 finding".to_owned() } else { format!("{} findings", found.len()) };
    assert_eq!(out.lines().last(), Some(&*format!("{}: {count}", data.display())), "{out}");
    println!("{}", found.join("\n"));
    found
}

fn has(found: &[String], parts: &[&str]) -> bool {
    found.iter().any(|line| parts.iter().all(|part| line.contains(part)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_directory_is_told_as_such_and_not_a_byte_of_it_changes() {
    let data = data().await;
    let before = look(data.path());
    let out = checked(data.path(), &[]).await.done();
    assert!(look(data.path()) == before, "it was changed");
    let lines: Vec<&str> = out.lines().collect();
    let generations = lines.iter().filter(|line| line.starts_with("generations/")).count();
    assert!(generations >= 3, "{out}");
    assert!(lines[0].starts_with("generations/00000001: ") && lines[0].contains(" items, "), "{out}");
    assert!(
        lines.iter().any(|line| line.starts_with("log: ") && line.contains(" not yet in the databases")),
        "{out}"
    );
    let last =
        format!("{}: nothing is damaged; {} items in the databases", data.path().display(), directory::ITEMS);
    assert_eq!(lines.last(), Some(&&*last), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_of_a_payload_that_is_another_one_tells_of_its_item() {
    for (is_newest, item) in [(false, id(2)), (true, last(LAST / 2))] {
        let data = data().await;
        let pattern = place_of(&item);
        let file = file_with(data.path(), "generations", &pattern);
        let generation = file.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let all = filled().await.generations();
        assert_eq!(all.last().is_some_and(|newest| newest == generation), is_newest, "{all:?}");
        turn_over(&file, &pattern);
        let found = findings(data.path()).await;
        let place = format!("generations/{generation}");
        let item = format!("item {item} of uploads: its payload");
        // Where the database has written last it opens with all or with nothing.
        let is_told =
            has(&found, &[&place, &item]) || (is_newest && has(&found, &[&place, "cannot be read"]));
        assert!(is_told, "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_an_older_generation_has_is_held_to_the_record_in_a_newer_one() {
    let data = data().await;
    let before = checked(data.path(), &["--output", "json"]).await.json();
    let first = &before["generations"][0];
    // Its record was written anew long after its payload.
    turn_over(&data.path().join("generations/00000001/db"), &place_of(&id(0)));
    let found = findings(data.path()).await;
    assert!(
        has(&found, &["generations/00000001", &format!("item {} of uploads: its payload", id(0))]),
        "{first} {found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_of_the_log_that_is_another_one_tells_of_its_file() {
    let data = data().await;
    let pattern = place_of(LATE[0]);
    let file = file_with(data.path(), "log", &pattern);
    turn_over(&file, &pattern);
    let found = findings(data.path()).await;
    let name = format!("log/{} ", file.file_name().unwrap().display());
    assert!(has(&found, &[&name, "is missing or damaged"]), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_broken_off_at_the_end_of_the_log_is_harmless() {
    let data = data().await;
    // The last of them, so that nothing vouches for it any more.
    let pattern = place_of(LATE[LATE.len() - 1]);
    directory::cut_behind(&file_with(data.path(), "log", &pattern), &pattern);
    let out = checked(data.path(), &[]).await.done();
    assert!(out.contains("log: ends with record ") && out.contains("nothing is lost"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_is_missing_is_told_with_the_items_whose_payloads_it_had() {
    let data = data().await;
    fs::remove_dir_all(data.path().join("generations/00000001")).unwrap();
    let found = findings(data.path()).await;
    assert!(has(&found, &["generations/00000001 is missing"]), "{found:?}");
    assert!(
        has(&found, &["generations/00000001: ", &format!("item {} of uploads: its payload", id(0))]),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_missing_are_told_by_their_names() {
    for (file, said) in [
        (Some("FORMAT"), "FORMAT is missing"),
        (Some("generations/00000002/db"), "generations/00000002/db is missing"),
        (Some("generations/00000002/conf"), "generations/00000002/conf is missing"),
        (None, "log ends with record "),
    ] {
        let data = data().await;
        let file = file.map(|file| data.path().join(file));
        let file = file.unwrap_or_else(|| file_with(data.path(), "log", &place_of(LATE[0])));
        fs::remove_file(&file).unwrap();
        let found = findings(data.path()).await;
        assert!(found.iter().any(|line| line.starts_with(said)), "{}: {found:?}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_format_that_is_none_is_told_and_the_rest_is_read() {
    for (content, said) in [("", "FORMAT is empty. "), ("process-warden dat\0, format 4\n", "FORMAT says ")] {
        let data = data().await;
        fs::write(data.path().join("FORMAT"), content).unwrap();
        let found = findings(data.path()).await;
        assert!(matches!(&*found, [line] if line.starts_with(said)), "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_it_early_leaves_no_copy_behind() {
    let data = data().await;
    let before = look(data.path());
    for steps in [0, 1, 50, 300] {
        let scratch = tempfile::tempdir().unwrap();
        let mut left = steps;
        let mut go_on = |_| {
            left -= 1;
            left >= 0
        };
        let ended = check::check(data.path(), scratch.path(), &mut go_on);
        assert!(matches!(ended, Err(CheckError::Stopped)), "{ended:?}");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
    assert!(look(data.path()) == before, "it was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_told_the_same_as_people() {
    let data = data().await;
    let sound = checked(data.path(), &["--output", "json"]).await.json();
    assert_eq!((&sound["findings"], &sound["notes"]), (&json!([]), &json!([])));
    let items = sound["generations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|generation| generation["items"].as_u64().unwrap());
    assert_eq!(items.sum::<u64>(), directory::ITEMS as u64);
    assert_eq!(sound["log"]["changes"], json!(LATE.len()));
    turn_over(&data.path().join("generations/00000001/db"), &place_of(&id(0)));
    let (out, _) = checked(data.path(), &["--output", "json"]).await.ended(65);
    let damaged: Value = serde_json::from_str(&out).unwrap();
    let of_item = |finding: &&Value| finding["id"] == json!(id(0)) && finding["workflow"] == json!("uploads");
    let finding =
        damaged["findings"].as_array().unwrap().iter().find(of_item).unwrap_or_else(|| panic!("{out}"));
    assert_eq!(finding["path"], json!("generations/00000001"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_which_a_daemon_works_is_not_checked_and_one_that_it_has_left_is() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = DaemonProcess::on(directory.path());
    let data = directory.path().join("data");
    let said = checked(&data, &[]).await.failed(69);
    assert!(said.contains("a warden is running") && said.contains("stop it first"), "{said}");
    daemon.terminate();
    // Found as the daemon finds it.
    let config = directory.path().join("warden.toml");
    fs::write(&config, format!("[storage]\npath = {:?}\n", data.to_str().unwrap())).unwrap();
    let mut command = process::binary();
    command.args(["data", "check", "--config"]).arg(&config);
    let out = run(command).await.done();
    assert!(out.contains(&format!("{}: nothing is damaged", data.display())), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_checked_is_neither_damaged_nor_sound() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path();
    for (file, content, code, said) in [
        (None, "", 74, "is empty; nothing was checked"),
        (Some("notes.txt"), "mine", 74, "holds no warden data (found \"notes.txt\")"),
        (Some("FORMAT"), "process-warden data, format 3\n", 69, "the next start of the daemon migrates it"),
        (Some("FORMAT"), "process-warden data, format 99\n", 69, "with the version of warden that wrote it"),
    ] {
        if let Some(file) = file {
            fs::write(path.join(file), content).unwrap();
        }
        let before = look(path);
        let notes = checked(path, &[]).await.failed(code);
        assert!(notes.contains(said) && !notes.contains("damaged"), "{notes}");
        assert!(look(path) == before, "it was changed");
        file.into_iter().for_each(|file| fs::remove_file(path.join(file)).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_copies_cannot_go_it_is_said_how_to_have_them_go_elsewhere() {
    let data = data().await;
    let notes = run(command(data.path(), &[], &data.path().join("nowhere"))).await.failed(74);
    assert!(notes.contains("set TMPDIR to "), "{notes}");
}
