//! Sizes in bytes: `"1MiB"`, `"1MB"`, `1048576`.

use std::fmt;

use bytesize::ByteSize;
use serde::de::{Deserializer, Error, Visitor};

fn parse(text: &str) -> Result<u64, String> {
    match text.parse::<ByteSize>() {
        // `ByteSize` saturates.
        Ok(ByteSize(u64::MAX)) => Err(format!("{text:?} is too large")),
        Ok(ByteSize(bytes)) => Ok(bytes),
        Err(_) => {
            Err(format!("{text:?} is not a size: write a number of bytes, or a unit such as \"64KiB\""))
        }
    }
}

/// For `#[serde(deserialize_with)]`, in bytes.
pub(super) fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Bytes;

    impl Visitor<'_> for Bytes {
        type Value = u64;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(r#"a size such as 1048576 or "1MiB""#)
        }

        fn visit_i64<E: Error>(self, bytes: i64) -> Result<u64, E> {
            u64::try_from(bytes).map_err(|_| E::custom(format!("{bytes} is not a size")))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
            parse(text).map_err(E::custom)
        }
    }

    deserializer.deserialize_any(Bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_with_decimal_and_binary_units() {
        assert_eq!(parse("1MiB"), Ok(1 << 20));
        assert_eq!(parse("1 MB"), Ok(1_000_000));
        assert_eq!(parse("1.5KiB"), Ok(1_536));
        assert_eq!(parse("17"), Ok(17));
    }

    #[test]
    fn a_size_that_does_not_fit_is_refused() {
        for text in ["99EiB", "99.0EiB", "18446744073709551616", "-1", "1XiB", "MiB", ""] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
