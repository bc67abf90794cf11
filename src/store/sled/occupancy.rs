//! How much of each bundle is still wanted: when to remove one, and when to gather what is left of it.
//!
//! A bundle is written once. Each payload in it goes when its item does; when the last has gone the bundle is removed, and
//! when more than half has gone what is left is moved to a new one, so that bundles take at most twice what is in them, and
//! moving costs at most a byte for each that it frees.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::journal::Place;
use super::layout::BUNDLE_MAX;

/// What became of a bundle by the going of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Others are in it.
    Some,
    /// Nothing is.
    Nothing,
}

/// The bundles that there are.
#[derive(Debug, Default)]
pub(super) struct Occupancy {
    /// How many bytes of each are wanted. An empty payload counts for one.
    wanted: HashMap<u64, u16>,
    /// Those with little left in them.
    sparse: BTreeSet<u64>,
}

/// What a payload counts for.
fn weight(length: u16) -> u16 {
    length.max(1)
}

impl Occupancy {
    /// Notes a payload that came; others that are no bundle's business are left alone.
    pub(super) fn add(&mut self, place: Place) {
        if let Place::Shared { bundle, length, .. } = place {
            *self.wanted.entry(bundle).or_default() += weight(length);
        }
    }

    /// Notes that a payload went out of a bundle.
    pub(super) fn remove(&mut self, bundle: u64, length: u16) -> Left {
        let Some(wanted) = self.wanted.get_mut(&bundle) else { return Left::Some };
        *wanted = wanted.saturating_sub(weight(length));
        match *wanted {
            0 => {
                self.wanted.remove(&bundle);
                self.sparse.remove(&bundle);
                Left::Nothing
            }
            wanted if is_sparse(wanted) => {
                self.sparse.insert(bundle);
                Left::Some
            }
            _ => Left::Some,
        }
    }

    /// Takes all that are sparse for such, as they are after a start: how long a bundle is, nobody remembers.
    pub(super) fn look_for_sparse(&mut self) {
        let sparse = self.wanted.iter().filter(|(_, wanted)| is_sparse(**wanted));
        self.sparse = sparse.map(|(bundle, _)| *bundle).collect();
        // One alone has nobody to come together with.
        if self.sparse.len() < 2 {
            self.sparse.clear();
        }
    }

    /// Whether some bundle has little left in it.
    pub(super) fn has_sparse(&self) -> bool {
        !self.sparse.is_empty()
    }

    /// Takes the oldest of those that have little left in them. Whatever is left is moved out of it, by which it ends.
    pub(super) fn take_sparse(&mut self) -> Option<u64> {
        self.sparse.pop_first()
    }
}

fn is_sparse(wanted: u16) -> bool {
    usize::from(wanted) * 2 < BUNDLE_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(bundle: u64, length: u16) -> Place {
        Place::Shared { bundle, offset: 0, length }
    }

    #[test]
    fn a_bundle_is_sparse_once_half_of_it_has_gone_and_ends_with_its_last_payload() {
        let mut occupancy = Occupancy::default();
        for length in [1000, 1000, 1000, 0] {
            occupancy.add(shared(1, length));
        }
        occupancy.add(Place::Own { first: 2, pieces: 9 });
        assert_eq!((occupancy.remove(1, 1000), occupancy.has_sparse()), (Left::Some, true));
        assert_eq!((occupancy.take_sparse(), occupancy.take_sparse()), (Some(1), None));
        assert_eq!((occupancy.remove(1, 1000), occupancy.remove(1, 1000)), (Left::Some, Left::Some));
        assert_eq!((occupancy.remove(1, 0), occupancy.has_sparse()), (Left::Nothing, false));
    }

    #[test]
    fn after_a_start_those_with_little_in_them_come_together() {
        let mut occupancy = Occupancy::default();
        occupancy.add(shared(1, 4000));
        occupancy.add(shared(2, 100));
        occupancy.look_for_sparse();
        assert!(!occupancy.has_sparse(), "one alone stays where it is");
        occupancy.add(shared(3, 2000));
        occupancy.look_for_sparse();
        assert_eq!((occupancy.take_sparse(), occupancy.take_sparse()), (Some(2), Some(3)));
        assert_eq!(occupancy.take_sparse(), None);
    }
}
