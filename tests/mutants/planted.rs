//! The planted bugs.

mod alerts;
mod artifacts;
mod courses;
mod events;
mod items;
mod log;
mod names;
mod recovery;
mod runs;
mod store;

/// What is to find a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The daemon under a virtual clock, over a store that is played.
    Simulation,
    /// The store itself, in a process that is killed.
    Crashes,
}

/// A bug: a place in the sources, and what stands there instead.
pub struct Planted {
    /// What is broken by it.
    pub name: &'static str,
    pub file: &'static str,
    /// A text that occurs just once in the file.
    pub original: &'static str,
    /// What is put in its place; `BUG` stands for whether the bug is switched on.
    pub planted: &'static str,
    /// What the proof says when it finds it: one of these, in words that it has for nothing else. A bug that
    /// only something else gives away is one that it does not look for.
    pub caught_by: &'static [&'static str],
}

/// All of them, and what is to find each. The place in this order is the number by which one is switched on.
pub fn all() -> impl Iterator<Item = (Proof, &'static Planted)> {
    let lists = [
        (Proof::Simulation, alerts::PLANTED),
        (Proof::Simulation, courses::PLANTED),
        (Proof::Simulation, events::PLANTED),
        (Proof::Simulation, items::PLANTED),
        (Proof::Simulation, names::PLANTED),
        (Proof::Simulation, recovery::PLANTED),
        (Proof::Simulation, runs::PLANTED),
        (Proof::Simulation, artifacts::PLANTED),
        (Proof::Crashes, log::PLANTED),
        (Proof::Crashes, store::PLANTED),
    ];
    lists.into_iter().flat_map(|(proof, list)| list.iter().map(move |bug| (proof, bug)))
}
