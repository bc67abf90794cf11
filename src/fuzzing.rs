//! Requirements for every decoder of bytes from outside.
//!
//! A target is a function of bytes that panics if a requirement is not met. The requirements are in the
//! layers, beside their decoders; here they have names. `fuzz/` has a program for each, which searches for
//! bytes that violate it; a test here runs each on the bytes in `fuzz/corpus`.
//!
//! All must neither crash nor hang. Besides: what is decoded is encoded and decoded as the same; formats of
//! our own are accepted only as we write them; a refusal has a message, which contains no secret.
//!
//! For tests, and with the feature `fuzzing`, which no release enables.

use crate::{cli, config, http, model, notifier, outbound, store};

pub struct Target {
    /// Of the program in `fuzz/` and of the directory in `fuzz/corpus`.
    pub name: &'static str,
    /// Panics if the requirement is not met.
    pub demand: fn(&[u8]),
}

macro_rules! targets {
    ($($path:path),* $(,)?) => {
        $(pub use $path;)*

        pub const TARGETS: &[Target] = &[$(Target { name: name_of(stringify!($path)), demand: $path }),*];
    };
}

targets![
    store::fuzzing::records,
    store::fuzzing::documents,
    store::engine::sled::fuzzing::chunks,
    store::engine::sled::fuzzing::entries,
    store::engine::sled::fuzzing::manifests,
    store::log::fuzzing::segments,
    model::fuzzing::values,
    model::fuzzing::schedules,
    http::fuzzing::cursors,
    http::fuzzing::queries,
    http::fuzzing::headers,
    http::fuzzing::lines,
    http::fuzzing::bodies,
    config::fuzzing::settings,
    config::fuzzing::definitions,
    outbound::fuzzing::secrets,
    outbound::fuzzing::answers,
    notifier::format::fuzzing::templates,
    cli::fuzzing::archives,
    cli::fuzzing::results,
];

/// The last part of a path.
const fn name_of(path: &'static str) -> &'static str {
    let (mut rest, mut at) = (path, path.len());
    while at > 0 {
        if path.as_bytes()[at - 1] == b':' {
            rest = path.split_at(at).1;
            break;
        }
        at -= 1;
    }
    rest
}

#[cfg(test)]
mod tests;
