//! libfaketime, which sets the wall clock of one process.

use std::path::{Path, PathBuf};

/// The library, where Debian puts it, whatever the architecture. The package is `faketime`.
pub fn library() -> Option<PathBuf> {
    let library = |directory: &Path| directory.join("faketime/libfaketimeMT.so.1");
    let directories = std::fs::read_dir("/usr/lib").ok()?;
    directories.filter_map(Result::ok).map(|entry| library(&entry.path())).find(|path| path.exists())
}
