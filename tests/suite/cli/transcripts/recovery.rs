//! `warden recover`.

use super::Transcript;
use crate::alerts::MINUTE;
use crate::cli::recover::lose;
use crate::support::TestDaemon;

#[tokio::test]
async fn a_recovery_is_looked_at_first_and_says_what_became_of_each_item() {
    let daemon = TestDaemon::start().await;
    let mut transcript = Transcript::new();
    transcript.enter(&daemon, "warden recover --dry-run").await;
    transcript.enter(&daemon, "warden recover -- true").await;
    lose(&daemon, &["file-1", "file-2", "file-3", "file-4", "file-5"]).await;
    daemon.advance(MINUTE);
    transcript.file(
        "upload-again.sh",
        "case $WARDEN_ITEM_ID in\n\
         file-2) echo 'the disk is gone' >&2; exit 3;;\n\
         file-3) echo 'the service is busy' >&2; exit 75;;\n\
         *) printf '%s is uploaded, attempt %s\\n' \"$(cat)\" \"$WARDEN_ATTEMPT\";;\n\
         esac\n",
    );
    transcript.aside("the deadlines of five items have passed");
    for line in [
        "cat upload-again.sh",
        "warden recover --workflow 'up*' --dry-run",
        "warden recover --dry-run --output json",
        "warden recover --canary 1 -- sh upload-again.sh",
        "warden recover --canary 2 -- sh upload-again.sh",
        "warden recover --max 1 --output json -- sh upload-again.sh",
        "warden recover -- sh upload-again.sh",
        "warden items --all",
    ] {
        transcript.enter(&daemon, line).await;
    }
    transcript.compare("recover");
}

#[tokio::test]
async fn a_recovery_that_cannot_begin_says_why() {
    let daemon = TestDaemon::start().await;
    let mut transcript = Transcript::new();
    lose(&daemon, &["file-1"]).await;
    for line in [
        "warden recover",
        "warden recover -- no-such-command",
        "warden recover --state closed -- true",
        "warden recover --rate fast -- true",
        "warden recover --concurrency 0 -- true",
        "warden recover --lease-ttl 2d -- true",
        "warden recover --timeout soon -- true",
        "warden recover --label region -- true",
        "warden recover --workflow 'a/b' -- true",
        "warden recover --dry-run --workflow 'a/b'",
        "warden recover true",
    ] {
        transcript.enter(&daemon, line).await;
    }
    transcript.compare("recover-refused");
}
