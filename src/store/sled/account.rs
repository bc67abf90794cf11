//! What was found of a generation, held to what its mark says of it. Pure.

use super::mark::{self, Extent, Numbers};

/// What was found so far.
pub(super) struct Account {
    marked: Extent,
    found: Extent,
    /// The digest and the entries of what was found where the marked chunks end; nothing if it did not come to that.
    as_marked: Option<(u32, u64)>,
}

impl Account {
    /// Nothing yet, of a generation with this in its mark.
    pub(super) fn of(marked: Extent) -> Self {
        let found = Extent {
            generation: marked.generation,
            chunks: Numbers::from(marked.chunks.first),
            bundles: Numbers::from(marked.bundles.first),
            written: marked.written,
            is_accepted: marked.is_accepted,
            ..Extent::default()
        };
        Self { marked, found, as_marked: (marked.chunks.first == marked.chunks.next).then_some((0, 0)) }
    }

    /// Takes the next chunk, which has so many entries; what is missing before it, in words behind the generation's name.
    pub(super) fn take(&mut self, at: u64, chunk: &[u8], entries: u64) -> Option<String> {
        let found = &mut self.found;
        let missing =
            (at != found.chunks.next).then(|| format!("lacks chunk {} of its journal", found.chunks.next));
        found.chunks.next = at + 1;
        found.digest = mark::digest(found.digest, at, chunk);
        found.entries += entries;
        if found.chunks.next == self.marked.chunks.next {
            self.as_marked = Some((found.digest, found.entries));
        }
        if found.chunks.next > self.marked.chunks.next {
            found.written += chunk.len() as u64;
        }
        missing
    }

    /// Closes it, where that bundle would be the next: what the generation holds, and what is wrong with that, in words behind
    /// its name.
    pub(super) fn close(mut self, next_bundle: Option<u64>) -> (Extent, Vec<String>) {
        let Self { marked, found, as_marked } = &mut self;
        let mut wrong = Vec::new();
        if *as_marked != Some((marked.digest, marked.entries)) {
            let (was, is) = (marked.entries, as_marked.map_or(found.entries, |(_, entries)| entries));
            let but = if was == is {
                "some are not as they were written".to_owned()
            } else {
                format!("{is} were found")
            };
            wrong.push(format!("held {was} entries by its mark, of which {but}"));
        }
        found.bundles.next = next_bundle.unwrap_or(marked.bundles.first);
        if found.bundles.next < marked.bundles.next {
            let (was, is) = (marked.bundles.next, found.bundles.next);
            wrong.push(format!("held payloads up to bundle {was} by its mark, and now up to {is}"));
            found.bundles.next = marked.bundles.next;
        }
        (self.found, wrong)
    }
}
