//! Whether a command can be run, before any item is claimed for it.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::cli::commands::error::CliError;

/// Searched if `PATH` is not set, as by the C library.
const PATH_DEFAULT: &str = "/bin:/usr/bin";

/// Fails if the program is no executable file: in `PATH`, unless its name has a slash.
pub fn check_program(program: &OsStr) -> Result<(), CliError> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| PATH_DEFAULT.into());
    find(&path, program).map_err(|error| match error.kind() {
        ErrorKind::NotFound => CliError::NoCommand(program.to_owned()),
        _ => CliError::Command { program: program.to_owned(), error },
    })
}

fn find(path: &OsStr, program: &OsStr) -> io::Result<()> {
    if program.as_encoded_bytes().contains(&b'/') {
        check_file(Path::new(program))
    } else {
        search(path, program)
    }
}

fn search(path: &OsStr, program: &OsStr) -> io::Result<()> {
    let mut result = Err(ErrorKind::NotFound.into());
    for folder in std::env::split_paths(path) {
        match check_file(&folder.join(program)) {
            Ok(()) => return Ok(()),
            // A later folder may have one that can be run.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => result = Err(error),
            Err(_) => {}
        }
    }
    result
}

fn check_file(path: &Path) -> io::Result<()> {
    let metadata = path.metadata()?;
    if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::PermissionDenied, "it is not an executable file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_executable_file_in_the_path_or_at_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for (name, mode) in [("run", 0o755), ("text", 0o644)] {
            std::fs::write(place(name), "").unwrap();
            std::fs::set_permissions(place(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let path = std::env::join_paths([Path::new("/nowhere"), folder.path()]).unwrap();
        let kind = |found: io::Result<()>| found.err().map(|error| error.kind());
        for (name, expected) in
            [("run", None), ("text", Some(ErrorKind::PermissionDenied)), ("gone", Some(ErrorKind::NotFound))]
        {
            assert_eq!(kind(search(&path, name.as_ref())), expected, "{name}");
            assert_eq!(kind(find(&path, place(name).as_os_str())), expected, "{name}");
        }
        assert_eq!(kind(find(&path, folder.path().as_os_str())), Some(ErrorKind::PermissionDenied));
        assert_eq!(kind(search(&path, "".as_ref())), Some(ErrorKind::PermissionDenied));
    }
}
