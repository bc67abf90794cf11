//! The messages after the start: the configuration, what was found, and what to do next.

use std::path::Path;

use bytesize::ByteSize;

use super::Daemon;
use crate::config::Config;
use crate::store::{DiskUse, StoreStatus};
use crate::warden::Tally;

/// More would hide the rest.
const NAMES_MAX: usize = 10;

pub(super) fn lines(config: &Config, daemon: &Daemon) -> Vec<String> {
    let version = env!("CARGO_PKG_VERSION");
    let file = config.file.as_deref().map_or_else(
        || "there is no configuration file, the defaults apply".to_owned(),
        |file| format!("configured by {file}"),
    );
    let mut lines = vec![format!("process warden {version}; {file}")];
    lines.extend(storage(config, daemon));
    lines.push(items(daemon.warden.queries.tallies().into_iter().map(|(_, tally)| tally)));
    lines.push(receivers(config));
    lines.push(if config.tokens.is_empty() {
        "tokens: none, so every local user may do everything".to_owned()
    } else {
        format!("tokens: {}", named(config.tokens.iter().map(|token| token.name.as_str())))
    });
    let base = format!("http://{}", daemon.address());
    lines.push(format!(
        "listening on {base}; see `warden items` and `warden incidents`; the API is described at \
         {base}/openapi.json"
    ));
    lines
}

fn storage(config: &Config, daemon: &Daemon) -> Vec<String> {
    let Some(path) = config.storage.directory() else {
        return vec![format!("data: in {}, lost at exit", config.storage.engine)];
    };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let disk = daemon.warden.health.disk_use();
    let data = format!("data: {}, {}", path.display(), ByteSize(disk.used));
    vec![data, reserve(&disk, &daemon.warden.health.store_status(), &path)]
}

fn reserve(disk: &DiskUse, status: &StoreStatus, path: &Path) -> String {
    let free = ByteSize(status.disk_free);
    if status.full {
        return format!(
            "reserve: the disk is full, {free} are left: creates are refused with 507 until there is space \
             for storage.reserve; closes work"
        );
    }
    let (kept, ballast) = (ByteSize(disk.reserve), path.join("ballast"));
    format!(
        "reserve: {kept} are kept in {}, so that closes work on a full disk; {free} are left, and creates \
         are refused before these are used up (storage.reserve)",
        ballast.display()
    )
}

fn items(tallies: impl Iterator<Item = Tally>) -> String {
    let sum = tallies.fold(Tally::default(), |sum, tally| Tally {
        unclosed: sum.unclosed + tally.unclosed,
        overdue: sum.overdue + tally.overdue,
        failed: sum.failed + tally.failed,
        held: sum.held + tally.held,
        closed: sum.closed + tally.closed,
        ..sum
    });
    let Tally { unclosed, overdue, failed, held, closed, .. } = sum;
    if unclosed + closed == 0 {
        return "items: none yet".to_owned();
    }
    let open = unclosed - overdue - failed - held;
    let held = if held > 0 { format!(", {held} held") } else { String::new() };
    format!(
        "items: {open} open, {overdue} overdue, {failed} failed{held}; {closed} closed within their retention"
    )
}

fn receivers(config: &Config) -> String {
    if config.receivers.is_empty() {
        return "receivers: none yet, so incidents are listed and nobody is notified; `warden check --help` \
                and the README say how to add one"
            .to_owned();
    }
    format!("receivers: {}", named(config.receivers.iter().map(|receiver| &*receiver.name)))
}

fn named<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = names.len();
    let mut shown: Vec<&str> = names.take(NAMES_MAX).collect();
    if count > NAMES_MAX {
        shown.push("…");
    }
    format!("{count} ({})", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_told_by_their_state() {
        assert_eq!(items([].into_iter()), "items: none yet");
        let uploads = Tally { unclosed: 7, overdue: 2, failed: 1, closed: 5, ..Tally::default() };
        let reports = Tally { unclosed: 1, ..Tally::default() };
        let expected = "items: 5 open, 2 overdue, 1 failed; 5 closed within their retention";
        assert_eq!(items([uploads, reports].into_iter()), expected);
    }

    #[test]
    fn a_disk_that_is_full_is_told_from_one_with_a_reserve() {
        let path = Path::new("/data");
        let disk = DiskUse { reserve: 128 << 20, ..DiskUse::default() };
        let status = StoreStatus { disk_free: 1 << 30, ..StoreStatus::default() };
        let said = reserve(&disk, &status, path);
        assert!(
            said.starts_with("reserve: 128.0 MiB are kept in /data/ballast, so that closes work"),
            "{said}"
        );
        assert!(said.contains("1.0 GiB are left"), "{said}");
        let said = reserve(&DiskUse::default(), &StoreStatus { full: true, ..status }, path);
        assert!(
            said.starts_with("reserve: the disk is full, 1.0 GiB are left: creates are refused"),
            "{said}"
        );
    }

    #[test]
    fn many_names_are_cut_short() {
        let names: Vec<String> = (0..12).map(|number| format!("r{number}")).collect();
        let shown = named(names.iter().map(String::as_str));
        assert_eq!(shown, "12 (r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, …)");
        assert_eq!(named(["oncall"].into_iter()), "1 (oncall)");
    }
}
