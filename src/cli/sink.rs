//! Where the bytes of an export or of a payload go: a file, or stdout.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::CliError;

/// A place for bytes.
pub enum Sink<'a> {
    /// The output of the command.
    Out(&'a mut dyn Write),
    /// A file.
    File(BufWriter<File>, PathBuf),
}

impl<'a> Sink<'a> {
    /// Opens the file, overwriting it; without one, or for `-`, it is `out`.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: Option<&Path>, out: &'a mut dyn Write) -> Result<Self, CliError> {
        match path {
            Some(path) if path.as_os_str() != "-" => {
                let file = File::create(path).map_err(|error| cannot_write(path, error))?;
                Ok(Self::File(BufWriter::new(file), path.to_owned()))
            }
            _ => Ok(Self::Out(out)),
        }
    }

    /// Writes all of the bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        match self {
            Self::Out(out) => Ok(out.write_all(bytes)?),
            Self::File(file, path) => file.write_all(bytes).map_err(|error| cannot_write(path, error)),
        }
    }

    /// Brings what was written to where it should be; of a file, to the disk.
    ///
    /// # Errors
    /// When that fails.
    pub fn finish(self) -> Result<(), CliError> {
        match self {
            Self::Out(out) => Ok(out.flush()?),
            Self::File(mut file, path) => {
                let written = file.flush().and_then(|()| {
                    let file = file.get_ref();
                    // Pipes and devices have no disk to be brought to.
                    if file.metadata()?.is_file() { file.sync_all() } else { Ok(()) }
                });
                written.map_err(|error| cannot_write(&path, error))
            }
        }
    }
}

fn cannot_write(path: &Path, error: std::io::Error) -> CliError {
    CliError::File { verb: "write", path: path.to_owned(), error }
}
