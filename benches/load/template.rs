//! A request that is rendered once, then stamped with fresh ids.

use std::ops::Range;

use super::ids::{ID_LENGTH, Ids, places_of_ids};

/// See the head of the module.
#[derive(Clone)]
pub struct Template {
    bytes: Vec<u8>,
    id_places: Vec<usize>,
}

impl Template {
    /// Ids belong wherever [`ID`](super::ID) stands in these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { id_places: places_of_ids(&bytes), bytes }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many ids it has.
    pub fn ids(&self) -> usize {
        self.id_places.len()
    }

    pub fn stamp(&mut self, ids: &Ids, items: Range<u64>) {
        for (place, item) in self.id_places.iter().zip(items) {
            self.bytes[*place..*place + ID_LENGTH].copy_from_slice(&ids.render(item));
        }
    }
}
