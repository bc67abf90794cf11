//! Bad days of the real binary: kills, power cuts, full disks, too many connections, and orderly ends.

mod connections;
mod disk_full;
pub mod kill;
mod lifecycle;
mod load;
mod mount;
mod power_cut;
