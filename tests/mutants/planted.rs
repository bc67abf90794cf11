//! The bugs that are planted, one at a time, to see whether the simulation finds them.

mod alerts;
mod items;
mod names;
mod recovery;

/// A bug: a place in the sources, and what stands there instead.
pub struct Planted {
    /// What is broken by it.
    pub name: &'static str,
    pub file: &'static str,
    /// A text that occurs just once in the file.
    pub original: &'static str,
    /// What is put in its place; `BUG` stands for whether the bug is switched on.
    pub planted: &'static str,
    /// What the simulation says when it finds it: one of these, in words that it has for nothing else. A bug that only something
    /// else gives away is one that the simulation does not look for.
    pub caught_by: &'static [&'static str],
}

/// All of them. The place in this order is the number by which one is switched on.
pub fn all() -> impl Iterator<Item = &'static Planted> {
    [alerts::PLANTED, items::PLANTED, names::PLANTED, recovery::PLANTED].into_iter().flatten()
}
