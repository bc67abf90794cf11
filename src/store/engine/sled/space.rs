//! The disk budget: when to refuse creates, so that closes can go on.
//!
//! A create is accepted if the reserve stays free, whatever happens to the items in the store, and if live
//! data leaves a share of the volume outdated or free, so that compaction can free space. Part of the reserve
//! is held by a *ballast* file, so that no other program takes it. The ballast is given up when all other
//! space is gone, and allocated again when there is space.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

use super::generations::Totals;
use super::plan::{GROWTH, Plan};
use crate::store::Growth;

/// The disk bytes of an item beyond its payload until it is forgotten; an upper estimate.
const OVERHEAD: u64 = 512;
/// The bytes by which a record may grow without getting progress, errors or labels.
const ITEM_GROWTH: u64 = 160;
/// The live share of what generations may take, in percent, up to which items are accepted, and up to which
/// changes of existing items are.
const WANTED_MAX: u64 = 85;
const WANTED_MAX_WITH_DETAIL: u64 = 92;
/// The written bytes from which the disk bytes per written byte are measured.
const WRITTEN_MIN: u64 = 8 * 1024 * 1024;

/// All in bytes.
#[derive(Debug)]
pub(super) struct Space {
    ballast_path: PathBuf,
    ballast: u64,
    reserve: u64,
    size_max: Option<u64>,
    held: bool,
    given_up: bool,
    free: u64,
    budget: Budget,
}

/// What may be accepted until the next refresh, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    /// For items; and for changes of existing items, after creates are refused.
    left: u64,
    left_for_detail: u64,
    /// Whether a create was refused.
    refused: bool,
}

impl Budget {
    /// Whether there is room for `bytes` more. If so, they are deducted.
    pub(super) fn admits(&mut self, growth: Growth, bytes: u64) -> bool {
        let need = bytes.saturating_add(OVERHEAD).saturating_mul(GROWTH);
        let left = match growth {
            Growth::None => return true,
            Growth::Detail => self.left_for_detail,
            Growth::Items => self.left,
        };
        if need > left {
            self.refused |= growth == Growth::Items;
            return false;
        }
        self.left = self.left.saturating_sub(need);
        self.left_for_detail = self.left_for_detail.saturating_sub(need);
        true
    }

    pub(super) fn is_full(&self) -> bool {
        self.refused || self.left < OVERHEAD * GROWTH
    }
}

/// The disk usage of the store, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) generations: Totals,
    /// The size of the log's files, and its minimum.
    pub(super) log: u64,
    pub(super) log_ready: u64,
    /// Acknowledged and in no generation yet.
    pub(super) pending: u64,
}

impl Space {
    pub(super) fn new(ballast_path: PathBuf, plan: &Plan, size_max: Option<u64>) -> io::Result<Self> {
        let ballast = plan.ballast;
        let held = std::fs::metadata(&ballast_path).is_ok_and(|metadata| metadata.len() >= ballast);
        let mut space = Self {
            ballast_path,
            ballast,
            reserve: plan.reserve,
            size_max,
            held,
            given_up: false,
            free: 0,
            budget: Budget::default(),
        };
        space.refresh(&Usage::default())?;
        Ok(space)
    }

    /// Measures the free space, and gives up or allocates the ballast.
    pub(super) fn refresh(&mut self, usage: &Usage) -> io::Result<()> {
        let mut free = self.measure()?;
        if self.held && free < self.reserve / 8 {
            self.give_up()?;
            free = self.measure()?;
        } else if !self.held && self.take_ballast(free) {
            free = self.measure()?;
        }
        let held = if self.held { self.ballast } else { 0 };
        let ours = usage.generations.size + usage.log;
        self.free = free + held;
        if let Some(size_max) = self.size_max {
            self.free = self.free.min(size_max.saturating_sub(ours));
        }
        let pending = usage.pending.saturating_mul(GROWTH);
        let log = usage.log.max(usage.log_ready);
        let for_generations = (self.free + ours).saturating_sub(self.reserve).saturating_sub(log);
        // Each item may still be extended, claimed and closed.
        let to_come = usage.generations.items.saturating_mul(ITEM_GROWTH * GROWTH);
        let live = on_disk(&usage.generations).saturating_add(pending).saturating_add(to_come);
        let left = |reserve: u64, percent: u64| {
            let now = self.free.saturating_sub(reserve).saturating_sub(pending);
            now.min((for_generations * percent / 100).saturating_sub(live))
        };
        self.budget = Budget {
            left: left(self.reserve, WANTED_MAX),
            left_for_detail: left(self.reserve / 4 * 3, WANTED_MAX_WITH_DETAIL),
            refused: false,
        };
        Ok(())
    }

    /// Gives up the ballast if fewer than `bytes` are free, which are about to be written.
    pub(super) fn provide(&mut self, bytes: u64) -> io::Result<()> {
        if self.held && self.measure()? < bytes {
            self.give_up()?;
        }
        Ok(())
    }

    fn give_up(&mut self) -> io::Result<()> {
        File::options().write(true).open(&self.ballast_path)?.set_len(0)?;
        (self.held, self.given_up) = (false, true);
        Ok(())
    }

    /// As of the last refresh.
    pub(super) fn budget(&self) -> Budget {
        self.budget
    }

    /// Whether less than the reserve is free, so that files may grow only where they must.
    pub(super) fn is_short(&self) -> bool {
        self.free < self.reserve
    }

    /// Whether compaction is to free space although little is outdated.
    pub(super) fn is_pressed(&self) -> bool {
        self.free < self.reserve + self.reserve / 2
    }

    /// The bytes that the store can use as of the last refresh, the ballast included.
    pub(super) fn free(&self) -> u64 {
        self.free
    }

    fn measure(&self) -> io::Result<u64> {
        let file_system = statvfs(self.ballast_path.parent().unwrap_or(Path::new(".")))?;
        Ok(file_system.f_bavail.saturating_mul(file_system.f_frsize))
    }

    /// Allocates the ballast if half of the reserve stays free; all of the reserve if it was given up before,
    /// so that it is not given up again at once.
    fn take_ballast(&mut self, free: u64) -> bool {
        let left = if self.given_up { self.reserve } else { self.reserve / 2 };
        if self.ballast == 0 || free < self.ballast + left {
            return false;
        }
        let file = File::options().create(true).truncate(false).write(true).open(&self.ballast_path);
        self.held = file.is_ok_and(|file| {
            let usage = match fallocate(&file, FallocateFlags::empty(), 0, self.ballast) {
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                    // This file system cannot allocate space, so the free reserve has to do.
                    self.ballast = 0;
                    false
                }
                usage => usage.is_ok(),
            };
            if !usage {
                // A partial ballast is useless. Failing to truncate it is no reason to stop.
                let _ = file.set_len(0);
            }
            usage
        });
        self.held
    }
}

/// The disk bytes of live data, estimated by the bytes that generations take for what was written.
fn on_disk(totals: &Totals) -> u64 {
    if totals.written < WRITTEN_MIN {
        return totals.live * GROWTH;
    }
    let percent = (totals.size.saturating_mul(100) / totals.written).clamp(100, 300);
    totals.live.saturating_mul(percent) / 100
}
