//! Where lines are written to: a file or stdout, as they are or compressed.

use std::io;

use clap::ValueEnum;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::FRAME;
use crate::cli::commands::error::CliError;
use crate::cli::terminal::sink::Sink;

/// How lines are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// Zstandard, in frames of about a MiB of lines
    Zstd,
}

/// A place for lines.
pub struct Target<'a> {
    sink: Sink<'a>,
    frames: Option<Frames>,
}

/// What makes frames of lines.
struct Frames {
    compressor: Compressor<'static>,
    /// The lines of the frame that is being gathered.
    gathered: Vec<u8>,
}

impl<'a> Target<'a> {
    /// Writes to this place.
    ///
    /// # Errors
    /// When the compressor cannot be set up.
    pub fn new(sink: Sink<'a>, compression: Option<Compression>) -> Result<Self, CliError> {
        let frames = compression.map(|Compression::Zstd| Frames::new()).transpose();
        Ok(Self { sink, frames: frames.map_err(|error| CliError::Start(error.to_string()))? })
    }

    /// Writes a line, with its line feed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, line: &[u8]) -> Result<(), CliError> {
        match &mut self.frames {
            None => Ok(self.sink.write(line)?),
            Some(frames) => {
                frames.gathered.extend_from_slice(line);
                if frames.gathered.len() < FRAME { Ok(()) } else { self.flush() }
            }
        }
    }

    /// Writes what has gathered.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<(), CliError> {
        if let Some(frames) = &mut self.frames
            && !frames.gathered.is_empty()
        {
            let frame = frames.compressor.compress(&frames.gathered)?;
            frames.gathered.clear();
            // A line may have been far larger than a frame is.
            frames.gathered.shrink_to(2 * FRAME);
            self.sink.write(&frame)?;
        }
        Ok(self.sink.flush()?)
    }

    /// How long the file is by now, with all that was written to it; nothing if it is none.
    ///
    /// # Errors
    /// When what has gathered cannot be written.
    pub fn length(&mut self) -> Result<Option<u64>, CliError> {
        self.flush()?;
        Ok(self.sink.length()?)
    }

    /// Takes back what was written behind this place in the file.
    ///
    /// # Errors
    /// When the file cannot be cut.
    pub fn cut(&mut self, length: u64) -> Result<(), CliError> {
        self.flush()?;
        Ok(self.sink.cut(length)?)
    }

    /// Writes what has gathered, and brings all to the disk if it is a file.
    ///
    /// # Errors
    /// When that fails.
    pub fn finish(mut self) -> Result<(), CliError> {
        self.flush()?;
        Ok(self.sink.finish()?)
    }
}

impl Frames {
    fn new() -> io::Result<Self> {
        let mut compressor = Compressor::new(zstd::DEFAULT_COMPRESSION_LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self { compressor, gathered: Vec::new() })
    }
}
