//! The name index: which items may have a name, by the hash of the name, in memory.
//!
//! A hash is a hint: the item's record decides, which holds its names. So names are not kept here, and one
//! costs some 20 bytes whatever its length. The hash is keyed with a secret, since clients choose the names.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::model::{Item, ItemKey, ItemNumber};

#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Name<'a> {
    /// The workflow and the item's id.
    Id(&'a str, &'a str),
    /// The workflow and the digest of the `Idempotency-Key` of the create.
    IdempotencyKey(&'a str, &'a [u8; 32]),
}

impl<'a> Name<'a> {
    pub(super) fn of_key(key: &'a ItemKey) -> Self {
        Self::Id(&key.workflow, &key.id)
    }

    /// All names of an item.
    pub(super) fn all(
        workflow: &'a str,
        id: &'a str,
        digest: Option<&'a [u8; 32]>,
    ) -> impl Iterator<Item = Self> {
        let by_digest = digest.map(|digest| Self::IdempotencyKey(workflow, digest));
        [Some(Self::Id(workflow, id)), by_digest].into_iter().flatten()
    }

    pub(super) fn is_of(self, item: &Item) -> bool {
        match self {
            Self::Id(workflow, id) => &*item.id == id && &*item.workflow == workflow,
            Self::IdempotencyKey(workflow, digest) => {
                item.idempotency_key.as_ref() == Some(digest) && &*item.workflow == workflow
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameHash(u32);

/// Keyed anew for each open store.
#[derive(Clone, Debug, Default)]
pub(super) struct NameHasher(RandomState);

impl NameHasher {
    pub(super) fn hash(&self, name: Name<'_>) -> NameHash {
        NameHash(self.0.hash_one(name) as u32)
    }
}

/// An item's number in halves, to avoid padding after the hash.
#[derive(Clone, Copy, Debug)]
struct Holder {
    hash: NameHash,
    low: u32,
    high: u32,
}

impl Holder {
    fn new(hash: NameHash, number: ItemNumber) -> Self {
        Self { hash, low: number.0 as u32, high: (number.0 >> 32) as u32 }
    }

    fn number(self) -> ItemNumber {
        ItemNumber(u64::from(self.high) << 32 | u64::from(self.low))
    }
}

/// `HashTable` needs hashes that are spread over 64 bits.
fn spread(hash: NameHash) -> u64 {
    u64::from(hash.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[derive(Debug, Default)]
pub(super) struct Names(HashTable<Holder>);

impl Names {
    pub(super) fn reserve(&mut self, count: usize) {
        self.0.reserve(count, |holder| spread(holder.hash));
    }

    /// The items that may have the name with this hash.
    pub(super) fn holders(&self, hash: NameHash) -> impl Iterator<Item = ItemNumber> {
        let same = self.0.iter_hash(spread(hash)).filter(move |holder| holder.hash == hash);
        same.map(|holder| holder.number())
    }

    pub(super) fn insert(&mut self, hash: NameHash, number: ItemNumber) {
        self.0.insert_unique(spread(hash), Holder::new(hash, number), |holder| spread(holder.hash));
    }

    /// Removes an entry, if it exists.
    pub(super) fn remove(&mut self, hash: NameHash, number: ItemNumber) {
        let is_it = |holder: &Holder| holder.hash == hash && holder.number() == number;
        if let Ok(holder) = self.0.find_entry(spread(hash), is_it) {
            holder.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_its_hash_until_it_is_removed() {
        let hasher = NameHasher::default();
        let mut names = Names::default();
        let ids: Vec<String> = (0..10_000).map(|index| format!("file-{index}")).collect();
        let hash = |id: &str| hasher.hash(Name::Id("uploads", id));
        let number = |index: usize| ItemNumber((index as u64) << 20);
        for (index, id) in ids.iter().enumerate() {
            names.insert(hash(id), number(index));
        }
        for (index, id) in ids.iter().enumerate() {
            assert!(names.holders(hash(id)).any(|found| found == number(index)), "{id}");
            names.remove(hash(id), number(index));
            assert!(!names.holders(hash(id)).any(|found| found == number(index)), "{id}");
        }
        assert_eq!(names.0.len(), 0);
    }

    #[test]
    fn an_id_and_an_idempotency_key_are_different_names() {
        let hasher = NameHasher::default();
        let digest = [b'x'; 32];
        let text = "x".repeat(32);
        assert_ne!(hasher.hash(Name::Id("w", &text)), hasher.hash(Name::IdempotencyKey("w", &digest)));
    }
}
