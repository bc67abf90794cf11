//! The description of the API, as it is committed and as it was released.

mod breakage;

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::Value;

use self::breakage::breakages;
use crate::support::TestDaemon;

const RENEWAL: &str = "cargo test --test suite -- --ignored renew_the_description";

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("api/openapi.json")
}

/// The description of the latest release; of the present until there is one.
fn sealed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openapi/released.json")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the daemon serves, with a line feed at its end.
async fn served() -> String {
    let answer = TestDaemon::start().await.ask(Method::GET, "/openapi.json").await;
    answer.text().to_owned() + "\n"
}

#[tokio::test]
async fn the_committed_description_is_the_one_that_is_served() {
    let (committed, served) = (read(&committed()), served().await);
    let differs = committed.lines().zip(served.lines()).position(|(left, right)| left != right);
    assert!(committed == served, "api/openapi.json differs from line {differs:?} on; renew it: {RENEWAL}");
}

#[tokio::test]
#[ignore = "writes api/openapi.json; to be run by hand when the API changes"]
async fn renew_the_description() {
    std::fs::write(committed(), served().await).unwrap();
}

#[test]
#[ignore = "writes the sealed description; to be run by hand at a release"]
fn seal_the_released_description() {
    std::fs::write(sealed(), read(&committed())).unwrap();
}

#[test]
fn nothing_that_clients_of_the_released_api_rely_on_is_taken_from_them() {
    let [released, present] =
        [sealed(), committed()].map(|path| serde_json::from_str::<Value>(&read(&path)).unwrap());
    let found = breakages(&released, &present);
    assert!(found.is_empty(), "these would break clients:\n{}", found.join("\n"));
}
