//! Bugs that lose something, or bring it back, in a checkpoint or a compaction.

use super::Planted;

pub const PLANTED: &[Planted] = &[
    Planted {
        name: "a new item of which a later table says only some is written without the rest",
        file: "src/store/engine/sled/tables.rs",
        original: "row.filter(|row| row.stands_alone())",
        planted: "row.filter(|row| BUG || row.stands_alone())",
        caught_by: &["another payload", "a read fails", "came to", "does not open"],
    },
    Planted {
        name: "what is new in a table is left out because a later one has a word on it",
        file: "src/store/engine/sled/checkpoint.rs",
        original: "            None => draft.write_row(*number, row)?,",
        planted: "            None if BUG
                && later.is_some_and(|Later(shared)| shared.read().row(*number) != Some(row)) => {}
            None => draft.write_row(*number, row)?,",
        caught_by: &["another payload", "is not found", "a read fails", "came to", "does not open"],
    },
    Planted {
        name: "that a document is gone does not go into the generations",
        file: "src/store/engine/sled/checkpoint.rs",
        original: "            draft.write_document(key, value.as_deref())?;",
        planted: "            if !BUG || value.is_some() {
                draft.write_document(key, value.as_deref())?;
            }",
        caught_by: &["not those", "a read fails", "does not open", "came to"],
    },
    Planted {
        name: "what is moved stands over what was said since",
        file: "src/store/engine/sled/compaction.rs",
        original: "                Entry::Item { number, written: Some(_) } => {",
        planted: r#"                Entry::Item { number, written: Some(written) }
                    if BUG && !self.items.contains(number) && self.index().locations.get(number).is_some() =>
                {
                    if let Some(mut drafted) = self.settled(number)? {
                        drafted.record = Some(bytes::Bytes::copy_from_slice(written.record));
                        self.move_drafted(compaction, number, drafted)?;
                    }
                }
                Entry::Item { number, written: Some(_) } => {"#,
        caught_by: &["came to", ", not Item", "not as Item", "a read fails", "does not open"],
    },
    Planted {
        name: "a generation is removed before the payloads are moved whose records stand elsewhere",
        file: "src/store/engine/sled/compaction.rs",
        original: "        for (at, bundle) in bundles {",
        planted: "        for (at, bundle) in bundles.into_iter().filter(|_| !BUG) {",
        caught_by: &["a read fails", "does not open", "another payload", "is lost"],
    },
    Planted {
        name: "a payload that is moved loses its first byte",
        file: "src/store/engine/sled/compaction.rs",
        original: "drafted.payload = self.moved(compaction, number, place)?;",
        planted: "drafted.payload = match self.moved(compaction, number, place)? {
                Content::New(bytes) if BUG && bytes.len() > 1 => Content::New(bytes.slice(1..)),
                content => content,
            };",
        caught_by: &["another payload", "the check finds", "a read fails", "does not open"],
    },
    Planted {
        name: "that an item is forgotten is not moved while an older generation has it",
        file: "src/store/engine/sled/compaction.rs",
        original: "if !is_known && self.older(compaction, |written| written.may_have_item(number)) {",
        planted: "if !BUG && !is_known && self.older(compaction, |written| written.may_have_item(number)) {",
        caught_by: &["are listed, not", "is missing", "a read fails", "does not open", "came to"],
    },
    Planted {
        name: "that a document is gone is not moved while an older generation has it",
        file: "src/store/engine/sled/compaction.rs",
        original: "if !is_drafted && self.older(compaction, |written| written.may_have_key(key)) =>",
        planted: "if !BUG && !is_drafted && self.older(compaction, |written| written.may_have_key(key)) =>",
        caught_by: &["not those", "a read fails", "does not open", "came to"],
    },
];
