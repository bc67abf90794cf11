//! What every command says when no daemon is there, or when the daemon does not allow it.

use std::collections::BTreeSet;

use super::{Said, Transcript, help};
use crate::support::TestDaemon;
use crate::support::daemon::START;
use crate::support::redaction::redacted;

/// A line of each command that asks a daemon.
const LINES: &[&str] = &[
    "warden create uploads file-1 --file /dev/null",
    "warden reload",
    "warden items",
    "warden show uploads file-1",
    "warden payload uploads file-1",
    "warden close uploads file-1",
    "warden close --workflow uploads --yes",
    "warden extend uploads file-1 --deadline 2h",
    "warden extend --workflow uploads --deadline 2h --yes",
    "warden cancel uploads file-1",
    "warden cancel --workflow uploads --dry-run",
    "warden work --workflow uploads --step copy=true --until-empty",
    "warden work --workflow uploads --step copy=true --dry-run",
    "warden progress get --workflow uploads file-1",
    "warden progress set --workflow uploads file-1 '{}'",
    "warden progress assign --workflow uploads file-1 --step=copy '{}'",
    "warden progress merge --workflow uploads file-1 --if-version 3 '{}'",
    "warden open uploads",
    "warden close-run uploads",
    "warden fail-run uploads",
    "warden params uploads",
    "warden status uploads",
    "warden runs uploads",
    "warden windows uploads",
    "warden wait uploads --timeout 1ms",
    "warden hold uploads",
    "warden release uploads",
    "warden recover -- true",
    "warden recover --dry-run",
    "warden retry uploads file-1",
    "warden replay start --to http://target.internal/in",
    "warden replay list",
    "warden replay show rpl_0",
    "warden replay pause rpl_0",
    "warden replay resume rpl_0",
    "warden replay cancel rpl_0",
    "warden export",
    "echo '{\"op\":\"close\",\"workflow\":\"uploads\",\"id\":\"file-1\"}' | warden import",
    "warden deliveries",
    "warden resend dlv_0",
    "warden test-receiver oncall",
    "warden incidents",
    "warden incident inc_0",
    "warden ack inc_0",
    "warden snooze inc_0 1h",
    "warden comment inc_0 'on it'",
    "warden silence add --workflow 'up*' --for 1h --comment disks",
    "warden silence list",
    "warden silence end sil_0",
    "warden workflow list",
    "warden workflow show uploads",
    "echo '{}' | warden workflow put uploads -",
    "warden workflow delete uploads",
    "warden artifact register --workflow uploads --location s3://in --name a.csv",
    "warden artifact find",
    "warden artifact status art_0 --to loaded",
    "warden artifact claim",
];

/// Commands that ask no daemon.
const OFFLINE: &[&str] = &[
    "warden serve",
    "warden demo",
    "warden check",
    "warden data check",
    "warden token new",
    "warden run",
    "warden spool list",
    "warden spool flush",
];

/// SHA-256 of `foo`, and of `bar`.
const TOKENS: &str = "\
    [[tokens]]\n\
    name = \"worker\"\n\
    sha256 = \"2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae\"\n\
    scopes = [\"work\"]\n\
    [[tokens]]\n\
    name = \"reports\"\n\
    sha256 = \"fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9\"\n\
    scopes = [\"ingest\", \"read\", \"recover\"]\n\
    workflows = [\"reports\"]\n";

#[tokio::test]
async fn every_command_says_that_no_daemon_is_there() {
    let mut transcript = Transcript::new();
    let expected = transcript.enter_alone(LINES[0]).await;
    for line in &LINES[1..] {
        let said = Transcript::new().enter_alone(line).await;
        let screen = |said: &Said| (said.code, said.out.clone(), said.notes.clone());
        assert_eq!(screen(&said), screen(&expected), "{line}");
    }
    for url in ["ftp://localhost", "'localhost:8470/?x'", "localhost:port", "'[::1]:1'"] {
        transcript.enter_at("", START, &format!("warden items --url {url}")).await;
    }
    transcript.compare("unreachable");
}

#[tokio::test]
async fn every_command_says_that_its_token_does_not_allow_it() {
    let daemon = TestDaemon::builder().config(TOKENS).start().await;
    let mut transcript = Transcript::new();
    let expected = redacted(&transcript.enter(&daemon, LINES[0]).await.failed(77));
    for line in &LINES[1..] {
        let said = Transcript::new().enter(&daemon, line).await.failed(77);
        assert_eq!(redacted(&said), expected, "{line}");
    }
    for line in ["warden items --token unknown", "WARDEN_TOKEN=ä warden items"] {
        transcript.enter(&daemon, line).await;
    }
    transcript.aside("a token with the scope work alone");
    for line in LINES {
        let line = line.replace("warden ", "WARDEN_TOKEN=foo warden ");
        transcript.enter(&daemon, &line).await;
    }
    transcript.aside("a token for the workflow reports alone");
    for line in LINES {
        let line = line.replace("warden ", "WARDEN_TOKEN=bar warden ");
        transcript.enter(&daemon, &line).await;
    }
    transcript.compare("forbidden");
}

#[tokio::test]
async fn every_command_has_a_line_here() {
    let helps = help::all().await;
    let commands: BTreeSet<&str> = helps.iter().map(|(command, _)| command.as_str()).collect();
    // Of those with commands below them only these are entered.
    let leaves = commands.iter().filter(|command| {
        !commands.iter().any(|other| other.strip_prefix(**command).is_some_and(|rest| rest.starts_with(' ')))
    });
    for leaf in leaves {
        let has_line = LINES.iter().any(|line| line.contains(leaf));
        assert!(has_line || OFFLINE.contains(leaf), "{leaf} is neither in LINES nor in OFFLINE");
    }
}
