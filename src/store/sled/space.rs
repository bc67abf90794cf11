//! Room on the disk: when to stop taking items in, so that closes can go on.
//!
//! Two things are kept back. Below a *watermark* of free space creates are refused. And a file of *ballast* holds
//! space that nobody else on the file system can take; it is given up when even the watermark's space is gone, and
//! taken again when there is room. Closes need space too: the database appends before it frees.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

/// What an item takes on disk beyond its payload, with the slack of the database; a careful estimate in bytes.
const OVERHEAD: u64 = 8 * 1024;
/// How many bytes of disk a byte of payload takes until the database has tidied up; a careful estimate.
const AMPLIFICATION: u64 = 3;

/// The watch over free space.
#[derive(Debug)]
pub(super) struct Space {
    ballast_path: PathBuf,
    ballast: u64,
    watermark: u64,
    held: bool,
    given_up: bool,
    full: bool,
    free: u64,
    budget: u64,
}

impl Space {
    /// Keeps back `reserve` bytes, but at most a tenth of the file system, half as ballast.
    pub(super) fn new(ballast_path: PathBuf, reserve: u64) -> io::Result<Self> {
        let directory = ballast_path.parent().unwrap_or(Path::new("."));
        let file_system = statvfs(directory)?;
        let size = file_system.f_blocks.saturating_mul(file_system.f_frsize);
        let half = reserve.min(size / 10) / 2;
        let held = std::fs::metadata(&ballast_path).is_ok_and(|metadata| metadata.len() >= half);
        let mut space = Self {
            ballast_path,
            ballast: half,
            watermark: half,
            held,
            given_up: false,
            full: false,
            free: 0,
            budget: 0,
        };
        space.look(0)?;
        Ok(space)
    }

    /// Looks at the file system, once before each group of commands, and gives up or takes the ballast. So many bytes are on
    /// their way into the database.
    pub(super) fn look(&mut self, pending: u64) -> io::Result<()> {
        self.free = self.measure()?;
        if self.free < self.watermark {
            self.full = true;
            if self.held && self.free < self.watermark / 2 {
                File::options().write(true).open(&self.ballast_path)?.set_len(0)?;
                self.held = false;
                self.given_up = true;
                self.free = self.measure()?;
            }
        } else if !self.held {
            self.full = !self.take_ballast();
            self.free = self.measure()?;
            self.full |= self.free < self.watermark;
        } else {
            self.full = false;
        }
        let pending = pending.saturating_mul(AMPLIFICATION);
        self.budget =
            if self.full { 0 } else { self.free.saturating_sub(self.watermark).saturating_sub(pending) };
        Ok(())
    }

    /// Whether there is room for that many bytes more in this group; if so, they are counted.
    pub(super) fn admits(&mut self, bytes: u64) -> bool {
        let need = bytes.saturating_mul(AMPLIFICATION).saturating_add(OVERHEAD);
        match self.budget.checked_sub(need) {
            Some(left) => {
                self.budget = left;
                true
            }
            None => {
                self.full = true;
                false
            }
        }
    }

    /// Whether creates are refused.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Whether there is room to move things so that some of it comes free: not when the ballast is all that closes have.
    pub(super) fn is_enough_to_move(&self) -> bool {
        self.free >= self.watermark / 2
    }

    /// Bytes that the file system has left for us, as last seen.
    pub(super) fn free(&self) -> u64 {
        self.free
    }

    fn measure(&self) -> io::Result<u64> {
        let file_system = statvfs(self.ballast_path.parent().unwrap_or(Path::new(".")))?;
        Ok(file_system.f_bavail.saturating_mul(file_system.f_frsize))
    }

    /// Takes the ballast if that leaves the watermark free; twice that after it was given up, so as not to give it up at
    /// once again.
    fn take_ballast(&mut self) -> bool {
        let left = self.watermark.saturating_mul(if self.given_up { 2 } else { 1 });
        if self.free < self.ballast.saturating_add(left) {
            return false;
        }
        self.held = self.ballast == 0
            || File::options().create(true).truncate(false).write(true).open(&self.ballast_path).is_ok_and(
                |file| {
                    let taken = match fallocate(&file, FallocateFlags::empty(), 0, self.ballast) {
                        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                            // This file system cannot set space aside, so the watermark has to do for both.
                            self.watermark += self.ballast;
                            self.ballast = 0;
                            true
                        }
                        taken => taken.is_ok(),
                    };
                    if !taken {
                        // Half a ballast helps nobody; that it cannot be let go either is no reason to stop.
                        let _ = file.set_len(0);
                    }
                    taken
                },
            );
        self.held
    }
}
