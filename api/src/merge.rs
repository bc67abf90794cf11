//! Nested documents in a JSON merge patch (RFC 7396).

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A change of a nested document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merge<T> {
    /// Empty it: the patch has null.
    Clear,
    /// Merge this into it.
    Change(T),
}

impl<T: Serialize> Serialize for Merge<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Clear => serializer.serialize_none(),
            Self::Change(change) => change.serialize(serializer),
        }
    }
}

/// For a member that empties something if it is null.
pub(crate) fn member<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Merge<T>>, D::Error> {
    let change = Option::<T>::deserialize(deserializer)?;
    Ok(Some(change.map_or(Merge::Clear, Merge::Change)))
}

/// For a member that may be left out but not be null.
pub(crate) fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
