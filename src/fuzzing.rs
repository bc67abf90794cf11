//! What is demanded of every decoder of bytes from outside, whatever the bytes are.
//!
//! A target is a function of bytes that panics when a demand is not met. The demands stand in the layers, beside the
//! decoders that they are about; here they have their names. `fuzz/` has a program for each, which looks for bytes that
//! break it; a test here runs each on what is kept in `fuzz/corpus`.
//!
//! Never to crash and never to hang is the least. Beyond it: what can be read is written again and read as the same; what
//! only we make is accepted only as we make it; what is refused is refused in words, and a secret is not among them.
//!
//! It is there for tests, and with the feature `fuzzing`, which nothing that is shipped turns on.

use crate::{cli, config, http, model, notifier, outbound, store};

/// Something that is demanded of bytes.
pub struct Target {
    /// Its name: of the program in `fuzz/` and of the directory in `fuzz/corpus`.
    pub name: &'static str,
    /// What panics when it is not met.
    pub demand: fn(&[u8]),
}

macro_rules! targets {
    ($($path:path),* $(,)?) => {
        $(pub use $path;)*

        /// All of them.
        pub const TARGETS: &[Target] = &[$(Target { name: name_of(stringify!($path)), demand: $path }),*];
    };
}

targets![
    store::fuzzing::records,
    store::fuzzing::documents,
    store::sled::fuzzing::chunks,
    store::sled::fuzzing::entries,
    store::sled::fuzzing::manifests,
    store::log::fuzzing::segments,
    model::fuzzing::values,
    model::fuzzing::schedules,
    http::fuzzing::cursors,
    http::fuzzing::queries,
    http::fuzzing::headers,
    http::fuzzing::lines,
    http::fuzzing::bodies,
    config::fuzzing::settings,
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
