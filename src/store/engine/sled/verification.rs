//! Verifies what was found of a generation against its extent in the manifest. Pure.

use super::manifest::{self, Extent, Numbers};

pub(super) struct Verification {
    expected: Extent,
    found: Extent,
    /// Digest and entries at the end of the chunks that the manifest lists; `None` until that chunk was read.
    at_expected_end: Option<(u32, u64)>,
}

impl Verification {
    pub(super) fn of(expected: Extent) -> Self {
        let found = Extent {
            generation: expected.generation,
            chunks: Numbers::from(expected.chunks.first),
            bundles: Numbers::from(expected.bundles.first),
            written: expected.written,
            is_accepted: expected.is_accepted,
            ..Extent::default()
        };
        Self {
            expected,
            found,
            at_expected_end: (expected.chunks.first == expected.chunks.next).then_some((0, 0)),
        }
    }

    /// Adds the next chunk, which has so many entries. Returns a problem if chunks before it are missing, as
    /// words to follow the generation's name.
    pub(super) fn take(&mut self, at: u64, chunk: &[u8], entries: u64) -> Option<String> {
        let found = &mut self.found;
        let missing =
            (at != found.chunks.next).then(|| format!("lacks chunk {} of its journal", found.chunks.next));
        found.chunks.next = at + 1;
        found.digest = manifest::digest(found.digest, at, chunk);
        found.entries += entries;
        if found.chunks.next == self.expected.chunks.next {
            self.at_expected_end = Some((found.digest, found.entries));
        }
        if found.chunks.next > self.expected.chunks.next {
            found.written += chunk.len() as u64;
        }
        missing
    }

    /// Ends the verification; `next_bundle` is the number after the last bundle found. Returns what the
    /// generation holds, and the problems, as words to follow its name.
    pub(super) fn close(mut self, next_bundle: Option<u64>) -> (Extent, Vec<String>) {
        let Self { expected, found, at_expected_end } = &mut self;
        let mut wrong = Vec::new();
        if *at_expected_end != Some((expected.digest, expected.entries)) {
            let (was, is) = (expected.entries, at_expected_end.map_or(found.entries, |(_, entries)| entries));
            let but = if was == is {
                "some of them differ from what was written".to_owned()
            } else {
                format!("{is} were found")
            };
            wrong.push(format!("has {was} entries by its manifest, of which {but}"));
        }
        found.bundles.next = next_bundle.unwrap_or(expected.bundles.first);
        if found.bundles.next < expected.bundles.next {
            let (was, is) = (expected.bundles.next, found.bundles.next);
            wrong.push(format!(
                "has payloads up to bundle {was} by its manifest, but only up to {is} were found"
            ));
            found.bundles.next = expected.bundles.next;
        }
        (self.found, wrong)
    }
}
