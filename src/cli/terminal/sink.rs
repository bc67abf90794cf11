//! Output of bytes to a file or stdout.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Read and write for the owner.
const PRIVATE: u32 = 0o600;

#[derive(Debug)]
pub enum SinkError {
    /// stdout.
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

pub enum Sink<'a> {
    /// stdout.
    Out(&'a mut dyn Write),
    File(BufWriter<File>, PathBuf),
}

impl<'a> Sink<'a> {
    /// Opens the file, truncating it; `out` without a path or for `-`. A new file is private, as it contains
    /// payloads; an existing one keeps its permissions.
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

    /// Opens an existing file to append after this offset. What is after it is cut off.
    pub fn behind(path: &Path, length: u64) -> Result<Self, SinkError> {
        let file = File::options().write(true).open(path).map_err(|error| cannot_write(path, error))?;
        let mut sink = Self::File(BufWriter::new(file), path.to_owned());
        sink.cut(length)?;
        Ok(sink)
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        match self {
            Self::Out(out) => Ok(out.write_all(bytes)?),
            Self::File(file, path) => file.write_all(bytes).map_err(|error| cannot_write(path, error)),
        }
    }

    pub fn flush(&mut self) -> Result<(), SinkError> {
        match self {
            Self::Out(out) => Ok(out.flush()?),
            Self::File(file, path) => file.flush().map_err(|error| cannot_write(path, error)),
        }
    }

    /// The length of the file; `None` for stdout, a pipe or a device.
    pub fn length(&mut self) -> Result<Option<u64>, SinkError> {
        let Self::File(file, path) = self else { return Ok(None) };
        let length = file.get_ref().metadata().and_then(|metadata| {
            if metadata.is_file() { file.stream_position().map(Some) } else { Ok(None) }
        });
        length.map_err(|error| cannot_write(path, error))
    }

    /// Truncates the file to this length, and continues there.
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

    /// Flushes; syncs a file to disk.
    pub fn finish(self) -> Result<(), SinkError> {
        match self {
            Self::Out(out) => Ok(out.flush()?),
            Self::File(mut file, path) => {
                let written = file.flush().and_then(|()| {
                    let file = file.get_ref();
                    // Pipes and devices cannot be synced.
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
