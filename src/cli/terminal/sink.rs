//! Where the bytes of an export or of a payload go: a file, or stdout.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The permissions of a new file: its owner may read and write it, nobody else.
const PRIVATE: u32 = 0o600;

/// Why bytes could not be written.
#[derive(Debug)]
pub enum SinkError {
    /// To stdout.
    Output(io::Error),
    File {
        path: PathBuf,
        error: io::Error,
    },
}

impl From<io::Error> for SinkError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// A place for bytes.
pub enum Sink<'a> {
    /// The output of the command.
    Out(&'a mut dyn Write),
    /// A file.
    File(BufWriter<File>, PathBuf),
}

impl<'a> Sink<'a> {
    /// Opens the file, overwriting it; without one, or for `-`, it is `out`. A new file is for its owner alone, since payloads
    /// go into it; one that is there keeps its permissions.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: Option<&Path>, out: &'a mut dyn Write) -> Result<Self, SinkError> {
        match path {
            Some(path) if path.as_os_str() != "-" => {
                let mut options = File::options();
                options.write(true).create(true).truncate(true).mode(PRIVATE);
                let file = options.open(path).map_err(|error| cannot_write(path, error))?;
                Ok(Self::File(BufWriter::new(file), path.to_owned()))
            }
            _ => Ok(Self::Out(out)),
        }
    }

    /// Opens a file that is there, to write behind this place, which becomes its end.
    ///
    /// # Errors
    /// When the file cannot be opened or cut.
    pub fn behind(path: &Path, length: u64) -> Result<Self, SinkError> {
        let file = File::options().write(true).open(path).map_err(|error| cannot_write(path, error))?;
        let mut sink = Self::File(BufWriter::new(file), path.to_owned());
        sink.cut(length)?;
        Ok(sink)
    }

    /// Writes all of the bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        match self {
            Self::Out(out) => Ok(out.write_all(bytes)?),
            Self::File(file, path) => file.write_all(bytes).map_err(|error| cannot_write(path, error)),
        }
    }

    /// Writes what is still held back.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<(), SinkError> {
        match self {
            Self::Out(out) => Ok(out.flush()?),
            Self::File(file, path) => file.flush().map_err(|error| cannot_write(path, error)),
        }
    }

    /// How long the file is by now; nothing if it is none, or a pipe or device.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn length(&mut self) -> Result<Option<u64>, SinkError> {
        let Self::File(file, path) = self else { return Ok(None) };
        let length = file.get_ref().metadata().and_then(|metadata| {
            if metadata.is_file() { file.stream_position().map(Some) } else { Ok(None) }
        });
        length.map_err(|error| cannot_write(path, error))
    }

    /// Makes this place the end of the file, and goes on writing there.
    ///
    /// # Errors
    /// When it is no file, or cannot be cut.
    pub fn cut(&mut self, length: u64) -> Result<(), SinkError> {
        let Self::File(file, path) = self else {
            return Err(SinkError::Output(io::ErrorKind::NotSeekable.into()));
        };
        let cut = file.flush().and_then(|()| {
            file.get_ref().set_len(length)?;
            file.seek(SeekFrom::Start(length)).map(|_| ())
        });
        cut.map_err(|error| cannot_write(path, error))
    }

    /// Brings what was written to where it should be; of a file, to the disk.
    ///
    /// # Errors
    /// When that fails.
    pub fn finish(self) -> Result<(), SinkError> {
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

fn cannot_write(path: &Path, error: io::Error) -> SinkError {
    SinkError::File { path: path.to_owned(), error }
}
