//! Bugs that lose an item, bring one back, or change its deadline.

use super::Planted;

pub const PLANTED: &[Planted] = &[
    Planted {
        name: "a closed item leaves nothing behind",
        file: "src/store/command/items.rs",
        original: r#"            item.close(closing);
            update(&item, before, Detail::Same, rows, changes)?;"#,
        planted: r#"            item.close(closing);
            update(&item, before, Detail::Same, rows, changes)?;
            if BUG { forget(&item, rows, changes)? }"#,
        caught_by: &["and came back"],
    },
    Planted {
        name: "what was never created is closed without a tombstone",
        file: "src/store/command/items.rs",
        original: r#"            rows.insert_item(&tombstone, None)?;"#,
        planted: r#"            if BUG { return Ok(Outcome::Unknown) }
            rows.insert_item(&tombstone, None)?;"#,
        caught_by: &["and came back"],
    },
    Planted {
        name: "a second create replaces the payload of the first",
        file: "src/store/command/items.rs",
        original: "        return Ok(found(&creation, Box::new(existing)));",
        planted: r#"        let outcome = found(&creation, Box::new(existing));
        if let (true, Outcome::Conflict(existing)) = (BUG, &outcome) {
            rows.insert_item(existing, Some(creation.payload))?;
        }
        return Ok(outcome);"#,
        caught_by: &[
            "with a payload that nobody handed in",
            "has another payload",
            "was taken over, and its error is lost",
        ],
    },
    Planted {
        name: "an idempotency key is forgotten",
        file: "src/store/command/items.rs",
        original: r#"Some(digest) => rows.number_by_idempotency_key(&creation.key.workflow, digest)?,"#,
        planted: r#"Some(digest) if !BUG => rows.number_by_idempotency_key(&creation.key.workflow, digest)?,
        Some(_) => None,"#,
        caught_by: &[", and then "],
    },
    Planted {
        name: "a payload goes when its item fails",
        file: "src/store/engine/memory.rs",
        original: "        self.items.insert(item.number, item.clone());",
        planted: r#"        if BUG && item.failed_at.is_some() { self.payloads.remove(&item.number); }
        self.items.insert(item.number, item.clone());"#,
        caught_by: &["its payload is lost"],
    },
    Planted {
        name: "a deadline is twice as far ahead",
        file: "src/warden/intake/mod.rs",
        original: "Self::In(duration) => moment.now.after(duration).into(),",
        planted: "Self::In(duration) => moment.now.after(if BUG { duration * 2 } else { duration }).into(),",
        caught_by: &["was to be due at"],
    },
    Planted {
        name: "an instant that was asked for does not follow the wall clock",
        file: "src/warden/intake/mod.rs",
        original: "Self::At(instant) => ClockTime::on_wall(instant),",
        planted: r#"Self::At(instant) if BUG => moment.steady(ClockTime::on_wall(instant)).into(),
            Self::At(instant) => ClockTime::on_wall(instant),"#,
        caught_by: &["was to be due at"],
    },
    Planted {
        name: "what has failed elsewhere is taken over as if it were new",
        file: "src/store/command/items.rs",
        original: "        item.failed_at = restored.failed_at;",
        planted: "        item.failed_at = restored.failed_at.filter(|_| !BUG);",
        caught_by: &["does not stand as it did"],
    },
    Planted {
        name: "the errors of what is taken over are not kept",
        file: "src/store/command/items.rs",
        original: "        item.detail = restored.detail;",
        planted: "        if !BUG { item.detail = restored.detail }",
        caught_by: &["its error is lost", "does not stand as it did"],
    },
];
