//! Permissions of files that commands write.

use std::os::unix::fs::PermissionsExt;

use super::{text, with_items};
use crate::cli::warden;

#[tokio::test]
async fn a_new_file_with_payloads_is_for_its_owner_and_one_that_is_there_keeps_its_permissions() {
    let (daemon, directory) = with_items(3, 100).await;
    for (name, arguments) in [
        ("plain", &["export"][..]),
        ("compressed", &["export", "--compress", "zstd"]),
        ("resumed", &["export", "--resume"]),
        ("payload", &["payload", "uploads", "00001"]),
    ] {
        let path = directory.path().join(name);
        let mode = || path.metadata().expect("the file").permissions().mode() & 0o777;
        let arguments = [arguments, &["--file", text(&path)]].concat();
        warden(&daemon, &arguments).await.done();
        assert_eq!(mode(), 0o600, "{name}");
        // Whoever shares it has said so.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("it is ours");
        warden(&daemon, &arguments).await.done();
        assert_eq!(mode(), 0o640, "{name}");
    }
}
