//! Bugs that lose or halve changes of artifacts, or give one to two claimants.

use super::Planted;

pub const PLANTED: &[Planted] = &[
    Planted {
        name: "a claim takes an artifact whatever status it has by now",
        file: "src/store/command/artifacts.rs",
        original: "            if draft.status != status {",
        planted: "            if !BUG && draft.status != status {",
        caught_by: &["two claimants got the artifact"],
    },
    Planted {
        name: "a change of artifacts that is refused has changed those before",
        file: "src/store/command/artifacts.rs",
        original: "            let Some(mut draft) = self.get(&id)?.cloned() else {\n                return",
        planted: "            if BUG {
                for draft in drafts.values().cloned().collect::<Vec<Artifact>>() {
                    self.write(draft, changes)?;
                }
            }
            let Some(mut draft) = self.get(&id)?.cloned() else {\n                return",
        caught_by: &["were changed"],
    },
    Planted {
        name: "an artifact that is registered again begins anew",
        file: "src/store/command/artifacts.rs",
        original: "if self.get(&id)?.is_none() && !made.contains_key(&id) {",
        planted: "if (BUG || self.get(&id)?.is_none()) && !made.contains_key(&id) {",
        caught_by: &["an acknowledged change of the artifact"],
    },
    Planted {
        name: "an artifact for a run alone outlives it",
        file: "src/store/command/items.rs",
        original: "    artifacts::remove_of_run(&item.key(), rows, changes)",
        planted: "    if BUG { Ok(()) } else { artifacts::remove_of_run(&item.key(), rows, changes) }",
        caught_by: &["has outlived its run"],
    },
    Planted {
        name: "an artifact that changed is still found where it was",
        file: "src/warden/artifacts/known.rs",
        original: "        let Some(row) = self.rows.remove(&number) else { return };",
        planted: "        let Some(row) = self.rows.remove(&number).filter(|_| !BUG) else { return };",
        caught_by: &["artifacts are found, and", "two claimants got the artifact"],
    },
];
