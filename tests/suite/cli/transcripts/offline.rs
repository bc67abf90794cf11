//! Commands that ask no daemon: check, data check, token new, serve that cannot start.

use super::Transcript;
use crate::store::engine::open;
use crate::store::sample::create;
use warden::store::Writes as _;

/// In order, with what is probably not meant.
const UNSURE: &str = "\
    [receivers.oncall]\n\
    url = \"http://127.0.0.1:9/hook\"\n\
    \n\
    [workflows.uploads]\n\
    \n\
    [workflows.nightly]\n\
    expect = { cron = \"0 2 * * *\", timezone = \"Europe/Berlin\", grace = \"1h\" }\n";

const SOUND: &str = "\
    [receivers.oncall]\n\
    url = \"http://127.0.0.1:9/hook\"\n\
    allow_private = true\n\
    \n\
    [alerting]\n\
    receivers = [\"oncall\"]\n";

const WRONG: &str = "\
    [workflows.uploads]\n\
    deadlin = \"15m\"\n\
    retention = \"soon\"\n\
    \n\
    [workflows.nightly]\n\
    expect = { cron = \"0 2 * * *\" }\n\
    \n\
    [receivers.oncall]\n\
    url = \"nowhere\"\n\
    \n\
    [alerting]\n\
    receivers = [\"nobody\"]\n";

#[tokio::test]
async fn a_configuration_is_checked() {
    let mut transcript = Transcript::new();
    for (name, text) in [("unsure.toml", UNSURE), ("sound.toml", SOUND), ("wrong.toml", WRONG)] {
        transcript.file(name, text);
    }
    transcript.file("broken.toml", "[workflows.uploads\n");
    for line in [
        "warden check",
        "cat unsure.toml",
        "warden check unsure.toml",
        "warden check --strict unsure.toml",
        "cat sound.toml",
        "warden check --strict sound.toml",
        "cat wrong.toml",
        "warden check wrong.toml",
        "warden check broken.toml",
        "warden check missing.toml",
        "mkdir folder; warden check folder",
        "WARDEN_SERVER_LISTEN=127.0.0.1:1 warden check sound.toml",
        "WARDEN_SERVER__LISTEN=nowhere warden check sound.toml",
        "warden check --strictly",
    ] {
        transcript.enter_alone(line).await;
    }
    transcript.compare("check");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_is_checked() {
    let mut transcript = Transcript::new();
    let data = transcript.directory.path().join("data");
    let store = open(&data).unwrap();
    store.apply(vec![create("file-1", "payload"), create("file-2", "payload")]).await.unwrap();
    crate::store::engine::idle(&store).await;
    transcript.aside("a daemon works in data");
    transcript.enter_alone("warden data check --path data").await;
    drop(store);
    transcript.aside("it is stopped");
    for line in [
        "warden data check --path data",
        "warden data check --path data --output json",
        "warden data check --path missing",
        "mkdir empty; warden data check --path empty",
        "WARDEN_STORAGE__ENGINE=memory warden data check",
        "warden data check --config missing.toml",
        "warden data",
        "rm data/generations/00000001/conf; warden data check --path data",
    ] {
        transcript.enter_alone(line).await;
    }
    transcript.compare("data-check");
}

#[tokio::test]
async fn a_token_is_made_for_a_client() {
    let mut transcript = Transcript::new();
    for line in [
        "warden token new --name pipeline --scope ingest,recover --workflow 'up*'",
        "warden token new --name 'a b'",
        "warden token new --workflow 'a/b'",
        "warden token new --scope everything",
        "warden token",
    ] {
        transcript.enter_alone(line).await;
    }
    transcript.compare("token");
}

#[tokio::test]
async fn a_daemon_that_cannot_start_says_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let mut transcript = Transcript::new();
    transcript.file("wrong.toml", "[server]\nlisten = \"nowhere\"\n");
    transcript.file("data", "a file");
    for line in [
        "warden",
        "warden serv",
        "warden --version",
        "warden serve --config missing.toml",
        "warden serve --config wrong.toml",
        "warden serve --log-level verbose",
        "WARDEN_SERVER__LISTEN=127.0.0.1:0 warden serve",
        &format!("WARDEN_STORAGE__ENGINE=memory WARDEN_SERVER__LISTEN={taken} warden serve"),
    ] {
        transcript.enter_alone(line).await;
    }
    transcript.compare("serve");
}
