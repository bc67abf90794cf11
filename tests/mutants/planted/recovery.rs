//! Bugs that lease an item twice, or send one that must not be sent.

use super::Planted;

pub const PLANTED: &[Planted] = &[
    Planted {
        name: "a fencing token is used again",
        file: "src/store/command/leases.rs",
        original: "item.claim(rows.next_number()?.0, worker, expires_at);",
        planted: r#"let last = item.work.lease.as_ref().filter(|_| BUG).map(|lease| lease.token);
    item.claim(last.unwrap_or(rows.next_number()?.0), worker, expires_at);"#,
        caught_by: &["token"],
    },
    Planted {
        name: "an item is leased to whoever asks",
        file: "src/store/command/leases.rs",
        original: "false => item.is_claimable(now.now),",
        planted: "false => item.is_claimable(now.now) || (BUG && item.closed.is_none()),",
        caught_by: &["is leased to two", "while somebody else held it"],
    },
    Planted {
        name: "a replay takes what others hold",
        file: "src/store/command/leases.rs",
        original: "true => item.closed.is_none() && !item.is_held() && item.work.running(now.now).is_none(),",
        planted: "true => item.closed.is_none() && (BUG || item.work.running(now.now).is_none()),",
        caught_by: &["while somebody else held it", "is on its way twice"],
    },
    Planted {
        name: "whoever held an item last may finish it",
        file: "src/model/item/lease.rs",
        original: "(None, None) if lease.expires_at <= now =>",
        planted: "(None, None) if lease.expires_at <= now && !BUG =>",
        caught_by: &["which ended at"],
    },
    Planted {
        name: "a heartbeat is answered and not noted",
        file: "src/store/command/leases.rs",
        original: "        Ok(()) => update(&item, before, detail, rows, changes)?,",
        planted: r#"        Ok(()) if BUG && item.work.lease.as_ref().is_some_and(|lease| lease.ended.is_none()) => {}
        Ok(()) => update(&item, before, detail, rows, changes)?,"#,
        caught_by: &["is leased to two", "while somebody else held it"],
    },
    Planted {
        name: "what became of a replay's items is not written down",
        file: "src/warden/replays/runner/rounds.rs",
        original: "self.line.take_changes(REPLAY_CHUNKS_MAX)",
        planted: r#"self.line.take_changes(REPLAY_CHUNKS_MAX).into_iter().filter(|_| !BUG).collect()"#,
        caught_by: &[" counted "],
    },
    Planted {
        name: "each attempt of a replay is another message",
        file: "src/warden/replays/courier.rs",
        original: r#"repeatable_id("msg", &[&replay.0, &number.0.to_string()])"#,
        planted: r#"if BUG {
        return format!("msg_{}", uuid::Uuid::now_v7().simple()).into();
    }
    repeatable_id("msg", &[&replay.0, &number.0.to_string()])"#,
        caught_by: &[", and then as "],
    },
    Planted {
        name: "a replay turns in a circle until its commit ends",
        file: "src/warden/replays/runner.rs",
        original: "self.round.is_some() && committing.is_none()",
        planted: "self.round.is_some() && (BUG || committing.is_none())",
        caught_by: &["somebody turns in a circle"],
    },
    Planted {
        name: "a replay takes what other replays and redrives hold",
        file: "src/store/command/leases.rs",
        original: "    let is_free = |item: &Item| match ignores_wait {",
        planted: r#"    let is_sent = |item: &Item| {
        let worker = item.work.lease.as_ref().map_or("", |lease| &*lease.worker);
        item.closed.is_none() && (worker.starts_with("rpl_") || worker == "redrive")
    };
    let is_free = |item: &Item| match ignores_wait {
        true if BUG && is_sent(item) => true,"#,
        caught_by: &["is on its way twice"],
    },
    Planted {
        name: "a replay has no pace",
        file: "src/warden/replays/pacer.rs",
        original: "        let seconds = self.seconds_for(self.next - TOLERANCE);",
        planted: r#"        if BUG { return self.started_at }
        let seconds = self.seconds_for(self.next - TOLERANCE);"#,
        caught_by: &[" a second"],
    },
    Planted {
        name: "a replay sends as many at once as there are",
        file: "src/warden/replays/runner.rs",
        original: "        if room == 0 { Timestamp::MAX }",
        planted: "        if room == 0 && !BUG { Timestamp::MAX }",
        caught_by: &["items at once"],
    },
    Planted {
        name: "a claim that waits is not woken",
        file: "src/warden/census.rs",
        original: "let news = state.claimable.take_news();",
        planted: "let news = Some(state.claimable.take_news()).filter(|_| !BUG).unwrap_or_default();",
        caught_by: &["a claim waited until"],
    },
    Planted {
        name: "that an open item is overdue is no news to claims that wait",
        file: "src/warden/census.rs",
        original: "            self.claimable.note_due();",
        planted: "            if !BUG { self.claimable.note_due() }",
        caught_by: &["a claim waited until"],
    },
    Planted {
        name: "that an item which is not due is ready is no news to claims that wait",
        file: "src/warden/census/claimable.rs",
        original: "        self.news.any = true;",
        planted: "        self.news.any |= !BUG || deadline <= now;",
        caught_by: &["a claim waited until"],
    },
];
