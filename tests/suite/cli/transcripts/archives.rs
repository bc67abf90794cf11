//! `warden export` and `warden import`.

use super::Transcript;
use crate::alerts::{MINUTE, fail};
use crate::support::TestDaemon;

#[tokio::test]
async fn items_move_from_one_daemon_to_another() {
    let (old, new) = (TestDaemon::start().await, TestDaemon::start().await);
    let mut transcript = Transcript::new();
    transcript.enter(&old, "warden export").await;
    old.create("uploads", "file-1", "?deadline=5m&label=region:eu", "payload").await;
    old.create("uploads", "file-2", "?deadline=5m", vec![0, 255]).await;
    old.create("reports", "weekly", "?deadline=1h", "a report").await;
    old.create("reports", "daily", "?deadline=1h", "a report").await;
    fail(&old, "reports", "weekly").await;
    old.advance(10 * MINUTE);
    new.advance(10 * MINUTE);
    old.close("reports", "daily").await;
    transcript.aside("a daemon with one open, one failed, two overdue and one closed item");
    for line in [
        "warden export --workflow uploads",
        "warden export --workflow uploads --no-history",
        "warden export --file all",
        "warden export --closed --compress zstd --file all.zst",
        "warden export --file missing/all",
        "warden export --file all --resume",
        "warden export --state lost",
        "warden export --workflow 'a/b'",
        "warden export --label region:eu --label region:us",
    ] {
        transcript.enter(&old, line).await;
    }
    transcript.aside("another daemon");
    transcript.file(
        "garbage",
        "{\"op\": \"create\"}\nnot json\n{\"op\": \"close\", \"workflow\": \"up\", \"id\": \"x\"}\n",
    );
    for line in [
        "warden import --file all.zst",
        "warden import --file all.zst",
        "warden import --file all --output json",
        "warden items --all",
        "head -n 2 all | warden import",
        "head -c 300 all.zst > cut.zst; warden import --file cut.zst",
        "sed s/payload/PAYLOAD/ all > changed; warden import --file changed",
        "warden import --file garbage",
        "warden import --file missing",
        "warden import < /dev/null",
    ] {
        transcript.enter(&new, line).await;
    }
    transcript.compare("archives");
}
