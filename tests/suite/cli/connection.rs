//! Failures between the command line and its daemon.

use super::{command, run};
use crate::support::TestDaemon;

#[tokio::test]
async fn an_address_is_understood_as_people_write_it() {
    let daemon = TestDaemon::start().await;
    let url = daemon.url("");
    let address = url.strip_prefix("http://").unwrap();
    let port = address.split(':').nth(1).unwrap();
    for written in [
        address.to_owned(),
        format!("localhost:{port}"),
        format!("{url}/"),
        format!(" {url}\n"),
        url.to_uppercase(),
    ] {
        run(command(&written, &["items"])).await.done();
        run(command("http://127.0.0.1:1", &["items", "--url", &written])).await.done();
    }
}

#[tokio::test]
async fn an_empty_address_is_the_default_one() {
    // Whether somebody listens there or not, that is who is asked.
    let said = run(command("", &["show", "no-such-workflow-of-anybody", "x"])).await;
    assert!(said.code == 1 || said.notes.contains("http://127.0.0.1:8470"), "{}", said.notes);
}

#[tokio::test]
async fn a_daemon_that_speaks_no_tls_is_told_apart_from_one_that_is_not_there() {
    let daemon = TestDaemon::start().await;
    let directory = tempfile::tempdir().unwrap();
    let roots = directory.path().join("roots.pem");
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&roots, certificate.cert.pem()).unwrap();
    let mut items = command(&daemon.url("").replace("http://", "https://"), &["items"]);
    items.env("SSL_CERT_FILE", &roots);
    let said = run(items).await.failed(69);
    assert!(said.contains("is the URL http:// instead of https://?"), "{said}");
}

#[tokio::test]
async fn a_token_is_taken_as_it_was_copied() {
    let hash = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    let config = format!("[[tokens]]\nname = \"oncall\"\nsha256 = \"{hash}\"\nscopes = [\"read\"]");
    let daemon = TestDaemon::builder().config(&config).start().await;
    for (token, code) in [
        ("foo", 0),
        ("foo\n", 0),
        (" foo ", 0),
        ("Bearer foo", 0),
        ("", 77),
        ("\n", 77),
        ("bar", 77),
        ("f\noo", 64),
    ] {
        let mut items = command(&daemon.url(""), &["items"]);
        items.env("WARDEN_TOKEN", token);
        run(items).await.ended(code);
    }
}
