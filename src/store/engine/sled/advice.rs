//! What to do about a data directory that cannot be used.

use std::io::{self, ErrorKind};
use std::path::Path;

/// The system's error about a path, with a remedy.
pub(super) fn on(path: &Path, error: &io::Error) -> String {
    if is_of_the_disk(error) {
        return format!(
            "{error}; the disk fails: copy the directory to another one and set storage.path to the copy, \
             and if that cannot be read either, restore it from a backup"
        );
    }
    match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            match path.ancestors().find(|path| path.is_file()) {
                Some(file) => {
                    let file = file.display();
                    format!(
                        "{file} is a file, where a directory is needed; set storage.path to a directory, or \
                         move the file"
                    )
                }
                None => format!("{error}; set storage.path to a directory"),
            }
        }
        ErrorKind::PermissionDenied => {
            let user = rustix::process::geteuid().as_raw();
            let there = path.ancestors().find(|path| path.exists()).unwrap_or(path).display();
            format!(
                "{error}; the user that runs warden (id {user}) has no right to {there}: give it that (chown \
                 {user} …), or set storage.path to a directory of its own"
            )
        }
        ErrorKind::ReadOnlyFilesystem => {
            format!(
                "{error}; the file system is mounted read-only: mount it writable, or set storage.path to \
                 another one"
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

/// Whether it is an I/O error of the device. sled copies errors without their number, which then occurs in
/// the text alone.
fn is_of_the_disk(error: &io::Error) -> bool {
    let number = rustix::io::Errno::IO.raw_os_error();
    error.raw_os_error() == Some(number)
        || (error.raw_os_error().is_none() && error.to_string().contains(&format!("Os {{ code: {number},")))
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

    #[test]
    fn a_disk_that_fails_is_not_taken_for_a_directory_that_cannot_be_written() {
        let failing = io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error());
        let said = on(Path::new("/nowhere/data"), &failing);
        assert!(said.contains("the disk fails") && said.contains("storage.path"), "{said}");
        assert!(!said.contains("writable"), "{said}");
        // As sled passes it on.
        let sled::Error::Io(copied) = sled::Error::Io(failing).clone() else { panic!("it is another error") };
        let said = on(Path::new("/nowhere/data"), &copied);
        assert!(said.contains("the disk fails"), "{said}");
        let other = io::Error::from_raw_os_error(rustix::io::Errno::NOMEM.raw_os_error());
        assert!(!on(Path::new("/nowhere/data"), &other).contains("the disk fails"));
    }
}
