//! Permissions: what is in a data directory is for the user that runs the daemon alone, since payloads are.
//!
//! The daemon's own mask sees to what it makes (`warden serve`). This is for what was made by somebody with another mask: an
//! earlier version, whoever restored a copy, or a program that has the daemon in it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// The permissions of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Makes a directory, with those above it that are missing, for its owner alone.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Takes the permissions of everybody but the owner from a file, or from a directory and all that is in it. Nothing happens
/// if it is not there. Links are neither followed nor changed.
pub(super) fn tighten(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    if metadata.is_symlink() {
        return Ok(());
    }
    tighten_one(path, &metadata)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            tighten(&entry?.path())?;
        }
    }
    Ok(())
}

/// The same for a file or directory by itself.
pub(super) fn tighten_one(path: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    let mode = metadata.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(mode & !OTHERS)) {
        // Somebody else's, such as a volume that is handed to a group. That is for whoever owns it to decide.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let path = path.display();
            tracing::warn!("{path} belongs to another user and may be read by others than this one: {error}");
            Ok(())
        }
        changed => changed,
    }
}
