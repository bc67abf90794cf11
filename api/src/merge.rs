//! What a JSON merge patch (RFC 7396) asks of a document within a document.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a merge patch asks of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merge<T> {
    /// To be emptied: the patch says null.
    Clear,
    /// To be changed like this.
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

/// Reads a member that empties something when it is null.
pub(crate) fn member<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Merge<T>>, D::Error> {
    let change = Option::<T>::deserialize(deserializer)?;
    Ok(Some(change.map_or(Merge::Clear, Merge::Change)))
}

/// Reads a member that may be left out but not be null.
pub(crate) fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
