//! Permissions: the data directory holds payloads, so only the daemon's user may read it.
//!
//! `warden serve` sets a umask for what it creates itself. This is for files that were created under another
//! umask: by an earlier version, by a restore, or by a program that embeds the daemon.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

const OTHERS: u32 = 0o077;

/// Creates a directory and its missing parents for the owner alone.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes all permissions but the owner's from a file, or recursively from a directory. A missing path is no
/// error. Symbolic links are neither followed nor changed.
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

/// The same without recursion.
pub(super) fn tighten_one(path: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    let mode = metadata.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(mode & !OTHERS)) {
        // It belongs to another user, such as a volume that is assigned to a group: its owner decides.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let path = path.display();
            tracing::warn!("{path} belongs to another user and may be readable by others: {error}");
            Ok(())
        }
        changed => changed,
    }
}
