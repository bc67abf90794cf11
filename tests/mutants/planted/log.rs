//! Bugs that make the log and the generations disagree, so that a crash loses something.

use super::Planted;

pub const PLANTED: &[Planted] = &[
    Planted {
        name: "some of what is answered is not in the log",
        file: "src/store/engine/sled/committer.rs",
        original: "        let record = self.log.append(&self.buffer).map_err(CommitError::Log)?;",
        planted: r#"        if BUG && next_number % 5 == 0 {
            self.checkpoints.add(table, self.log.last(), next_number);
            return Ok(());
        }
        let record = self.log.append(&self.buffer).map_err(CommitError::Log)?;"#,
        caught_by: &[
            "was told that request",
            "is not found, and is",
            "is listed as",
            "not those",
            "a read fails",
            "does not open",
        ],
    },
    Planted {
        name: "the manifest says more than the generations hold",
        file: "src/store/engine/sled/checkpoint.rs",
        original: "self.draft.set_covered(frozen.last, frozen.next_number)?;",
        planted: "self.draft.set_covered(frozen.last + u64::from(BUG), frozen.next_number)?;",
        caught_by: &[
            "and once had record",
            "was told that request",
            "is listed as",
            "not those",
            "a read fails",
            "does not open",
        ],
    },
    Planted {
        name: "segments of the log are released before the generations hold what is in them",
        file: "src/store/engine/sled/checkpoint.rs",
        original: "self.segments.release(frozen.last, is_short)",
        planted: "self.segments.release(if BUG { u64::MAX } else { frozen.last }, is_short)",
        caught_by: &[
            "and once had record",
            "before it is missing or damaged",
            "a read fails",
            "does not open",
        ],
    },
    Planted {
        name: "a start passes over the first record that the generations do not hold",
        file: "src/store/engine/sled/recovery.rs",
        original: "        self.table.merge(group);",
        planted: "        if !BUG || self.records > 0 {
            self.table.merge(group);
        }",
        caught_by: &[
            "is listed as",
            "is not found, and is",
            "was told that request",
            "not those",
            "a read fails",
            "does not open",
        ],
    },
    Planted {
        name: "a torn record is taken for a whole one",
        file: "src/store/log/frame.rs",
        original: "if found != check(place, carried, &head[4..], body) {",
        planted: "if !BUG && found != check(place, carried, &head[4..], body) {",
        caught_by: &["does not open", "another payload", "a read fails", "is missing or damaged"],
    },
    Planted {
        name: "a start goes on with the log before its end",
        file: "src/store/log/mod.rs",
        original: "(&file).seek(SeekFrom::Start(end.offset as u64)).map_err(system)?;",
        planted: "let offset = end.offset - if BUG { 8 } else { 0 };
                (&file).seek(SeekFrom::Start(offset as u64)).map_err(system)?;",
        caught_by: &[
            "and once had record",
            "before it is missing or damaged",
            "was told that request",
            "a read fails",
            "does not open",
        ],
    },
    Planted {
        name: "numbers are given again after a start",
        file: "src/store/engine/sled/draft.rs",
        original: "        self.manifest.log.covered = covered;
        self.manifest.next_number = next_number;",
        planted: "        self.manifest.log.covered = covered;
        if !BUG {
            self.manifest.next_number = next_number;
        }",
        caught_by: &["was given before", "items are listed", "a read fails", "does not open"],
    },
];
