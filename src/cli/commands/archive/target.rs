//! The target of lines: a file or stdout, plain or compressed.

use std::io;

use clap::ValueEnum;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::FRAME;
use crate::cli::commands::error::CliError;
use crate::cli::terminal::sink::Sink;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// Zstandard, in frames of about 1 MiB
    Zstd,
}

pub struct Target<'a> {
    sink: Sink<'a>,
    frames: Option<Frames>,
}

/// Compresses lines into frames.
struct Frames {
    compressor: Compressor<'static>,
    /// The lines of the current frame.
    gathered: Vec<u8>,
}

impl<'a> Target<'a> {
    pub fn new(sink: Sink<'a>, compression: Option<Compression>) -> Result<Self, CliError> {
        let frames = compression.map(|Compression::Zstd| Frames::new()).transpose();
        Ok(Self { sink, frames: frames.map_err(|error| CliError::Start(error.to_string()))? })
    }

    /// Writes a line, including its line feed.
    pub fn write(&mut self, line: &[u8]) -> Result<(), CliError> {
        match &mut self.frames {
            None => Ok(self.sink.write(line)?),
            Some(frames) => {
                frames.gathered.extend_from_slice(line);
                if frames.gathered.len() < FRAME { Ok(()) } else { self.flush() }
            }
        }
    }

    /// Writes the current frame.
    pub fn flush(&mut self) -> Result<(), CliError> {
        if let Some(frames) = &mut self.frames
            && !frames.gathered.is_empty()
        {
            let frame = frames.compressor.compress(&frames.gathered)?;
            frames.gathered.clear();
            // A line may have been far larger than a frame.
            frames.gathered.shrink_to(2 * FRAME);
            self.sink.write(&frame)?;
        }
        Ok(self.sink.flush()?)
    }

    /// The length of the file after a flush; `None` if it is not a regular file.
    pub fn length(&mut self) -> Result<Option<u64>, CliError> {
        self.flush()?;
        Ok(self.sink.length()?)
    }

    /// Truncates the file to this length.
    pub fn cut(&mut self, length: u64) -> Result<(), CliError> {
        self.flush()?;
        Ok(self.sink.cut(length)?)
    }

    /// Writes the current frame; syncs a file to disk.
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
