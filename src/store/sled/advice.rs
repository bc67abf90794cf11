//! What to do about a data directory that cannot be used.

use std::io::{self, ErrorKind};
use std::path::Path;

/// What the system said about this path, and what to do.
pub(super) fn on(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            match path.ancestors().find(|path| path.is_file()) {
                Some(file) => {
                    let file = file.display();
                    format!(
                        "{file} is a file, where a directory is needed; set storage.path to a directory, or move the file"
                    )
                }
                None => format!("{error}; set storage.path to a directory"),
            }
        }
        ErrorKind::PermissionDenied => {
            let user = rustix::process::geteuid().as_raw();
            let there = path.ancestors().find(|path| path.exists()).unwrap_or(path).display();
            format!(
                "{error}; the user that runs warden (id {user}) has no right to {there}: give it that (chown {user} …), or \
                 set storage.path to a directory of its own"
            )
        }
        ErrorKind::ReadOnlyFilesystem => {
            format!(
                "{error}; the file system is mounted read-only: mount it writable, or set storage.path to another one"
            )
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            format!("{error}; make room, or set storage.path to a directory on another file system")
        }
        _ => format!(
            "{error}; make it writable for the user that runs warden, or set storage.path to another one"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_comes_with_what_to_do() {
        for (kind, words) in [
            (ErrorKind::PermissionDenied, "has no right to /"),
            (ErrorKind::ReadOnlyFilesystem, "mounted read-only"),
            (ErrorKind::StorageFull, "make room"),
            (ErrorKind::NotADirectory, "set storage.path to a directory"),
            (ErrorKind::InvalidInput, "make it writable"),
        ] {
            let said = on(Path::new("/nowhere/data"), &kind.into());
            assert!(said.contains(words) && said.contains("storage.path"), "{said}");
        }
    }
}
