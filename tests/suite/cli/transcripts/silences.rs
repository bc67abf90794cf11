//! Silences: silence add, list, end.

use super::Transcript;
use crate::alerts::MINUTE;
use crate::support::TestDaemon;

#[tokio::test]
async fn a_silence_is_made_listed_and_ended() {
    let daemon = TestDaemon::builder().config("[workflows.uploads]\ngroup_by = [\"region\"]").start().await;
    let mut transcript = Transcript::new();
    transcript.enter(&daemon, "warden silence list").await;
    let line = "warden silence add --workflow 'up*' --for 2h --comment 'moving the disks' \
                --idempotency-key night-1";
    let silence = transcript.enter(&daemon, line).await.done();
    let silence = silence.trim_end();
    daemon.advance(MINUTE);
    transcript.aside("a minute later");
    for line in [
        "warden silence add --workflow uploads --kind failed --label region:eu --from \
         2026-01-01T01:00:00Z --until 2026-01-01T03:00:00+01:00 --comment disks --author alex \
         --idempotency-key night-2 --output json",
        "warden silence list",
        "warden silence list --limit 1",
        "warden silence list --status active --output json",
        &format!("warden silence end {silence}"),
        &format!("warden silence end {silence}"),
        "warden silence list --status expired",
        &format!("warden silence end {silence} --output json"),
    ] {
        transcript.enter(&daemon, line).await;
    }
    transcript.compare("silences");
}

#[tokio::test]
async fn a_silence_that_would_silence_nothing_is_refused_with_why() {
    let daemon = TestDaemon::start().await;
    let mut transcript = Transcript::new();
    for line in [
        "warden silence add --comment disks --workflow 'a/b' --for 1h",
        "warden silence add --comment disks --workflow 'up*' --until 2025-12-31T00:00:00Z",
        "warden silence add --comment disks --workflow 'up*'",
        "warden silence add --comment disks --workflow 'up*' --for 1h --until 2026-01-02T00:00:00Z",
        "warden silence add --comment disks --workflow 'up*' --until tomorrow",
        "warden silence add --comment disks --workflow 'up*' --for soon",
        "warden silence add --comment disks --workflow 'up*' --for 1h --label region",
        "warden silence add --comment disks --workflow 'up*' --for 1h --label a:1 --label a:2",
        "warden silence add --comment disks --workflow 'up*' --for 1h --kind late",
        "warden silence add --workflow 'up*' --for 1h",
        "warden silence end sil_0",
        "warden silence end",
        "warden silence list --status late",
        "warden silence",
        "warden silence show sil_0",
        "warden silence list",
    ] {
        transcript.enter(&daemon, line).await;
    }
    transcript.compare("silences-refused");
}
