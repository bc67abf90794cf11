//! The bugs that are planted, one at a time, to see whether the simulation finds them.

/// A bug: a place in the sources, and what stands there instead.
pub struct Planted {
    /// What is broken by it.
    pub name: &'static str,
    pub file: &'static str,
    /// A text that occurs just once in the file.
    pub original: &'static str,
    /// What is put in its place; `BUG` stands for whether the bug is switched on.
    pub planted: &'static str,
}

/// All of them.
pub const PLANTED: [Planted; 28] = [
    Planted {
        name: "an incident is committed without the deliveries that tell about it",
        file: "src/warden/alerting.rs",
        original: "last.to_vec()",
        planted: "if BUG { Vec::new() } else { last.to_vec() }",
    },
    Planted {
        name: "group_wait begins anew whenever an incident grows",
        file: "src/incident/policy.rs",
        original: "    incident.count = observation.count;",
        planted: r#"    if BUG && observation.count > incident.count { incident.reopened_at = Some(now) }
    incident.count = observation.count;"#,
    },
    Planted {
        name: "the end is not told while the incident is silenced",
        file: "src/incident/policy.rs",
        original: "return Some(resolve(incident, now));",
        planted: r#"let ended = resolve(incident, now);
        let is_told = !(BUG && circumstances.silenced);
        return Some(if is_told { ended } else { Decision { tellings: Vec::new(), ..ended } });"#,
    },
    Planted {
        name: "who was told of the beginning is not remembered",
        file: "src/incident/policy.rs",
        original: "incident.told.extend(tellings.iter()",
        planted: "incident.told.extend(tellings.iter().filter(|_| !BUG)",
    },
    Planted {
        name: "open incidents are forgotten at a restart",
        file: "src/warden/mod.rs",
        original: "warden.recover_incidents().await?;",
        planted: "if !BUG { warden.recover_incidents().await? }",
    },
    Planted {
        name: "nobody looks when a silence ends",
        file: "src/warden/alerting.rs",
        original: "let next = wakes.first().min(silences_change);",
        planted: r#"let next = if BUG { wakes.first() } else { wakes.first().min(silences_change) };"#,
    },
    Planted {
        name: "what waits in the outbox is forgotten at a restart",
        file: "src/warden/mod.rs",
        original: "notifier.take_up(store.outbox().await?, clock.now());",
        planted: r#"notifier.take_up(if BUG { Vec::new() } else { store.outbox().await? }, clock.now());"#,
    },
    Planted {
        name: "the newest of a lane goes first",
        file: "src/notifier/queue.rs",
        original: "lane.waiting.partition_point(is_before).max(fixed)",
        planted: r#"if BUG { fixed.min(lane.waiting.len()) } else { lane.waiting.partition_point(is_before).max(fixed) }"#,
    },
    Planted {
        name: "an error counts as a delivery",
        file: "src/notifier/post.rs",
        original: "(!(200..300).contains(&response.status))",
        planted: "(!(200..if BUG { 600 } else { 300 }).contains(&response.status))",
    },
    Planted {
        name: "a delivery is given up after three failures",
        file: "src/notifier/backoff.rs",
        original: "if failure.tried_at >= end {",
        planted: "if failure.tried_at >= end || (BUG && failure.failures >= 3) {",
    },
    Planted {
        name: "a receiver that fails is never probed",
        file: "src/notifier/breaker.rs",
        original: "probe_at: now.after(PAUSE_FIRST)",
        planted: "probe_at: if BUG { Timestamp::MAX } else { now.after(PAUSE_FIRST) }",
    },
    Planted {
        name: "a success gives up what waits for a paused receiver",
        file: "src/notifier/queue.rs",
        original: "self.breaker.succeeded() && self.pause.is_none()",
        planted: "self.breaker.succeeded() && (BUG || self.pause.is_none())",
    },
    Planted {
        name: "a closed item leaves nothing behind",
        file: "src/store/settle.rs",
        original: r#"            item.close(closing);
            update(&item, before, Detail::Same, rows, changes)?;"#,
        planted: r#"            item.close(closing);
            update(&item, before, Detail::Same, rows, changes)?;
            if BUG { forget(&item, rows, changes)? }"#,
    },
    Planted {
        name: "what was never created is closed without a tombstone",
        file: "src/store/settle.rs",
        original: r#"            rows.insert_item(&tombstone, None)?;
            note(changes, None, Some(&tombstone));"#,
        planted: r#"            if !BUG {
                rows.insert_item(&tombstone, None)?;
                note(changes, None, Some(&tombstone));
            }"#,
    },
    Planted {
        name: "a second create replaces the payload of the first",
        file: "src/store/settle.rs",
        original: "            Outcome::Conflict(existing)",
        planted: r#"            if BUG { rows.insert_item(&existing, Some(creation.payload))? }
            Outcome::Conflict(existing)"#,
    },
    Planted {
        name: "an idempotency key is forgotten",
        file: "src/store/settle.rs",
        original: r#"Some(digest) => rows.number_by_idempotency_key(&creation.key.workflow, digest)?,"#,
        planted: r#"Some(digest) if !BUG => rows.number_by_idempotency_key(&creation.key.workflow, digest)?,
        Some(_) => None,"#,
    },
    Planted {
        name: "a fencing token is used again",
        file: "src/store/settle.rs",
        original: "item.claim(rows.next_number()?.0, worker, expires_at);",
        planted: r#"let last = item.work.lease.as_ref().filter(|_| BUG).map(|lease| lease.token);
    item.claim(last.unwrap_or(rows.next_number()?.0), worker, expires_at);"#,
    },
    Planted {
        name: "an item is leased to whoever asks",
        file: "src/store/settle.rs",
        original: "false => item.is_claimable(now),",
        planted: "false => item.is_claimable(now) || (BUG && item.closed.is_none()),",
    },
    Planted {
        name: "a replay takes what others hold",
        file: "src/store/settle.rs",
        original: "true => item.closed.is_none() && item.work.running(now).is_none(),",
        planted: "true => item.closed.is_none() && (BUG || item.work.running(now).is_none()),",
    },
    Planted {
        name: "whoever held an item last may finish it",
        file: "src/model/lease.rs",
        original: "(None, None) if lease.expires_at <= now =>",
        planted: "(None, None) if lease.expires_at <= now && !BUG =>",
    },
    Planted {
        name: "a heartbeat is answered and not noted",
        file: "src/model/lease.rs",
        original: "lease.expires_at = expires_at.max(least);",
        planted: "if !BUG { lease.expires_at = expires_at.max(least) }",
    },
    Planted {
        name: "every other item gets no timer",
        file: "src/warden/census.rs",
        original: "                    self.wheel.schedule(standing.number.0, standing.deadline.as_millis());",
        planted: "                    if !BUG || standing.number.0 % 2 == 0 {
                        self.wheel.schedule(standing.number.0, standing.deadline.as_millis());
                    }",
    },
    Planted {
        name: "what is overdue at a restart is not noticed",
        file: "src/warden/census.rs",
        original: r#"                    self.touched.insert(key);
                    self.stand(standing, ItemState::Overdue, now);"#,
        planted: r#"                    if !BUG || self.recovered { self.touched.insert(key); }
                    self.stand(standing, ItemState::Overdue, now);"#,
    },
    Planted {
        name: "a close does not concern the incident",
        file: "src/warden/census.rs",
        original: "self.touched.extend(troubled);",
        planted: "self.touched.extend(troubled.filter(|_| !BUG));",
    },
    Planted {
        name: "what became of a replay's items is not written down",
        file: "src/warden/replays/runner/rounds.rs",
        original: "self.line.take_changes(REPLAY_CHUNKS_MAX)",
        planted: r#"self.line.take_changes(REPLAY_CHUNKS_MAX).into_iter().filter(|_| !BUG).collect()"#,
    },
    Planted {
        name: "each attempt of a replay is another message",
        file: "src/warden/replays/courier.rs",
        original: r#"repeatable_id("msg", &[&replay.0, &number.0.to_string()])"#,
        planted: r#"if BUG {
        return format!("msg_{}", uuid::Uuid::now_v7().simple()).into();
    }
    repeatable_id("msg", &[&replay.0, &number.0.to_string()])"#,
    },
    Planted {
        name: "a replay turns in a circle until its commit ends",
        file: "src/warden/replays/runner.rs",
        original: "self.round.is_some() && committing.is_none()",
        planted: "self.round.is_some() && (BUG || committing.is_none())",
    },
    Planted {
        name: "a payload goes when its item fails",
        file: "src/store/settle.rs",
        original: "            item.report(*error).map_err(Outcome::Refused)",
        planted: r#"            if BUG && error.fatal { item.payload = None }
            item.report(*error).map_err(Outcome::Refused)"#,
    },
];
