//! How much of each bundle is still wanted: when to remove one, and when to gather what is left of it.
//!
//! A bundle is written once. Each payload in it goes when its item does; when the last has gone the bundle is removed, and
//! when half of it has gone what is left is moved to a new one, so that bundles take at most twice what is in them, and
//! moving costs at most a byte for each that it frees.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::journal::Place;
use super::layout::BUNDLE_MAX;

/// What a payload takes in a bundle besides itself, near enough, in bytes.
const LABEL_SIZE: u16 = 4;

/// What became of a bundle by the going of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Others are in it.
    Some,
    /// Nothing is.
    Nothing,
}

/// The fill of a bundle, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Fill {
    wanted: u16,
    /// What was in it when it was written; after a start, what was wanted then.
    written: u16,
}

impl Fill {
    fn is_half_gone(self) -> bool {
        self.wanted <= self.written / 2
    }
}

/// The bundles that there are.
#[derive(Debug, Default)]
pub(super) struct Occupancy {
    fills: HashMap<u64, Fill>,
    /// Those of which half has gone, or may have.
    sparse: BTreeSet<u64>,
}

/// What a payload of that length counts for.
fn weight(length: u16) -> u16 {
    length + LABEL_SIZE
}

impl Occupancy {
    /// Notes a payload that is in a bundle; others are no bundle's business.
    pub(super) fn add(&mut self, place: Place) {
        if let Place::Shared { bundle, length, .. } = place {
            let fill = self.fills.entry(bundle).or_default();
            fill.wanted += weight(length);
            fill.written += weight(length);
        }
    }

    /// Notes that a payload went out of a bundle.
    pub(super) fn remove(&mut self, bundle: u64, length: u16) -> Left {
        let Some(fill) = self.fills.get_mut(&bundle) else { return Left::Some };
        fill.wanted = fill.wanted.saturating_sub(weight(length));
        if fill.wanted == 0 {
            self.forget(bundle);
            return Left::Nothing;
        }
        if fill.is_half_gone() {
            self.sparse.insert(bundle);
        }
        Left::Some
    }

    /// Takes all with little in them for sparse, since after a start nobody remembers what was written.
    pub(super) fn suspect(&mut self) {
        let little = self.fills.iter().filter(|(_, fill)| usize::from(fill.wanted) * 2 < BUNDLE_MAX);
        self.sparse = little.map(|(bundle, _)| *bundle).collect();
    }

    /// Whether some bundle is sparse, or may be.
    pub(super) fn has_sparse(&self) -> bool {
        !self.sparse.is_empty()
    }

    /// The oldest of those that are sparse, or may be.
    pub(super) fn take_sparse(&mut self) -> Option<u64> {
        self.sparse.pop_first()
    }

    /// Whether half of a bundle has gone, given how long the payloads are that are written in it.
    pub(super) fn is_half_gone(&mut self, bundle: u64, lengths: impl Iterator<Item = usize>) -> bool {
        let written = lengths.map(|length| weight(length as u16)).sum();
        self.fills.get_mut(&bundle).is_none_or(|fill| {
            fill.written = written;
            fill.is_half_gone()
        })
    }

    /// Forgets a bundle that is removed.
    pub(super) fn forget(&mut self, bundle: u64) {
        self.fills.remove(&bundle);
        self.sparse.remove(&bundle);
    }
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
        for length in [1000, 1000, 1000, 1000] {
            occupancy.add(shared(1, length));
        }
        occupancy.add(Place::Own { first: 2, pieces: 9 });
        assert_eq!((occupancy.remove(1, 1000), occupancy.has_sparse()), (Left::Some, false));
        assert_eq!((occupancy.remove(1, 1000), occupancy.has_sparse()), (Left::Some, true));
        assert_eq!((occupancy.take_sparse(), occupancy.take_sparse()), (Some(1), None));
        assert_eq!((occupancy.remove(1, 1000), occupancy.remove(1, 1000)), (Left::Some, Left::Nothing));
        assert!(!occupancy.has_sparse() && occupancy.fills.is_empty());
    }

    #[test]
    fn one_that_was_never_full_is_sparse_no_sooner() {
        let mut occupancy = Occupancy::default();
        (0..100).for_each(|_| occupancy.add(shared(1, 2)));
        for _ in 0..49 {
            occupancy.remove(1, 2);
        }
        assert!(!occupancy.has_sparse());
        occupancy.remove(1, 2);
        assert!(occupancy.has_sparse());
    }

    #[test]
    fn after_a_start_it_is_looked_what_was_written() {
        let mut occupancy = Occupancy::default();
        occupancy.add(shared(1, 4000));
        occupancy.add(shared(2, 100));
        occupancy.add(shared(3, 100));
        occupancy.suspect();
        assert_eq!(occupancy.take_sparse(), Some(2));
        assert!(!occupancy.is_half_gone(2, [50, 100].into_iter()), "it was never longer");
        assert_eq!(occupancy.take_sparse(), Some(3));
        assert!(occupancy.is_half_gone(3, [100, 900, 900].into_iter()));
        assert_eq!(occupancy.take_sparse(), None);
        occupancy.forget(3);
        assert_eq!(occupancy.fills.len(), 2);
    }
}
