//! Bugs by which somebody is told too little, too much, or in the wrong order.

use super::Planted;

pub const PLANTED: &[Planted] = &[
    Planted {
        name: "an incident is committed without the deliveries that tell about it",
        file: "src/warden/alerting/mod.rs",
        original: "last.to_vec()",
        planted: "if BUG { Vec::new() } else { last.to_vec() }",
        caught_by: &[
            "of which it knew nothing",
            "did not know to be open",
            "does not know of",
            "was never told of",
        ],
    },
    Planted {
        name: "group_wait begins anew whenever an incident grows",
        file: "src/incident/policy.rs",
        original: "    incident.count = observation.count;",
        planted: r#"    if BUG && observation.count > incident.count { incident.reopened_at = Some(now) }
    incident.count = observation.count;"#,
        caught_by: &["and it was told to nobody", "does not know of trouble"],
    },
    Planted {
        name: "the end is not told while the incident is silenced",
        file: "src/incident/policy.rs",
        original: "return Some(end(incident, circumstances));",
        planted: r#"let ended = end(incident, circumstances);
        let is_told = !(BUG && (circumstances.silence)(now).is_some());
        return Some(if is_told { ended } else { Decision { dispatches: Vec::new(), ..ended } });"#,
        caught_by: &["the end of", "which it knew to be open", "knows two open incidents"],
    },
    Planted {
        name: "who was told of the beginning is not remembered",
        file: "src/incident/policy.rs",
        original: "incident.told.extend(dispatches.iter()",
        planted: "incident.told.extend(dispatches.iter().filter(|_| !BUG)",
        caught_by: &[
            "an incident opened which it knew to be open",
            "does not know of the end",
            "was never told of the end",
        ],
    },
    Planted {
        name: "open incidents are forgotten at a restart",
        file: "src/warden/alerting/live.rs",
        original: "        let is_over = continues_until(",
        // Only at a restart is one told that opened long ago and is not known.
        planted: r#"        let old = incident.opened_at.after(std::time::Duration::from_secs(30)) < now;
        let is_over = BUG && old || continues_until("#,
        caught_by: &["are open for"],
    },
    Planted {
        name: "nobody looks when a silence ends",
        file: "src/warden/alerting/mod.rs",
        original: "let next = state.wakes.first().min(silences_change);",
        planted: r#"let next = if BUG { state.wakes.first() } else { state.wakes.first().min(silences_change) };"#,
        caught_by: &["does not know of trouble", "it was told to nobody", "was never told of"],
    },
    Planted {
        name: "what waits in the outbox is forgotten at a restart",
        file: "src/notifier/recovery.rs",
        original: "if delivery.status == DeliveryStatus::Pending {",
        planted: "if !BUG && delivery.status == DeliveryStatus::Pending {",
        caught_by: &[
            "does not know of trouble",
            "does not know of the end of trouble",
            "of which it knew nothing",
            "still waits for",
            "did not know to be open",
            ", and was heard to go",
        ],
    },
    Planted {
        name: "the newest of a lane goes first",
        file: "src/notifier/queue.rs",
        original: "lane.waiting.partition_point(is_before).max(fixed)",
        planted: r#"if BUG { fixed.min(lane.waiting.len()) } else { lane.waiting.partition_point(is_before).max(fixed) }"#,
        caught_by: &[
            "of which it knew nothing",
            "the end of an incident that it did not know",
            ", and was heard to go",
        ],
    },
    Planted {
        name: "an error counts as a delivery",
        file: "src/notifier/post.rs",
        original: "(!(200..300).contains(&response.status))",
        planted: "(!(200..if BUG { 600 } else { 300 }).contains(&response.status))",
        caught_by: &[
            "of which it knew nothing",
            "did not know to be open",
            "does not know of",
            "was never told of",
            ", and was heard to go",
        ],
    },
    Planted {
        name: "a delivery is given up after three failures",
        file: "src/notifier/backoff.rs",
        original: "if failure.tried_at >= end {",
        planted: "if failure.tried_at >= end || (BUG && failure.failures >= 3) {",
        caught_by: &[
            "of which it knew nothing",
            "did not know to be open",
            "does not know of",
            "was never told of",
            ", and was heard to go",
        ],
    },
    Planted {
        name: "a receiver that fails is never probed",
        file: "src/notifier/breaker.rs",
        original: "probe_at: now.after(PAUSE_FIRST)",
        planted: "probe_at: if BUG { Timestamp::MAX } else { now.after(PAUSE_FIRST) }",
        caught_by: &["was never told of", "does not know of"],
    },
    Planted {
        name: "a success gives up what waits for a paused receiver",
        file: "src/notifier/queue.rs",
        original: "self.breaker.succeeded() && self.pause.is_none()",
        planted: "self.breaker.succeeded() && (BUG || self.pause.is_none())",
        caught_by: &[
            "of which it knew nothing",
            "did not know to be open",
            "does not know of",
            "was never told of",
        ],
    },
    Planted {
        name: "every other item gets no timer",
        file: "src/warden/census.rs",
        original: "        let tag = self.classes.enter(class, ",
        planted: "        if BUG && number.0 % 2 == 1 { return None }
        let tag = self.classes.enter(class, ",
        caught_by: &[
            " items, and there are ",
            "does not know of trouble",
            "there is no incident about",
            "a claim waited until",
        ],
    },
    Planted {
        name: "what is overdue at a restart is not noticed",
        file: "src/warden/census.rs",
        original: r#"            self.touched.insert(key.clone());
            self.redrivable.put(placed, ItemState::Overdue);"#,
        planted: r#"            if !BUG || self.recovered { self.touched.insert(key.clone()); }
            self.redrivable.put(placed, ItemState::Overdue);"#,
        caught_by: &["does not know of trouble"],
    },
    Planted {
        name: "what goes by the wall clock stays where it is when that is set",
        file: "src/warden/clock.rs",
        original: "        self.refile().await;",
        planted: "        if !BUG { self.refile().await }",
        caught_by: &[
            " items, and there are ",
            "does not know of trouble",
            "does not know of the end of trouble",
            "there is no incident about",
        ],
    },
    Planted {
        name: "a close does not concern the incident",
        file: "src/warden/census/changes.rs",
        original: "self.touched.extend(troubled.clone());",
        planted: "self.touched.extend(troubled.clone().filter(|_| !BUG));",
        caught_by: &["does not know of the end of trouble"],
    },
    Planted {
        name: "a silence is not heeded",
        file: "src/warden/alerting/mod.rs",
        original: "self.silences.hold_until(key, Moment { now, wall_offset });",
        planted: "self.silences.hold_until(key, Moment { now, wall_offset }).filter(|_| !BUG);",
        caught_by: &["was told in spite of sil_"],
    },
    Planted {
        name: "a snooze is not heeded",
        file: "src/incident/policy.rs",
        original: "if silence(now).is_some() || incident.snoozed_until.is_some() {",
        planted: "if silence(now).is_some() || (!BUG && incident.snoozed_until.is_some()) {",
        caught_by: &["was told in spite of a snooze"],
    },
    Planted {
        name: "an incident that flaps is damped for good",
        file: "src/incident/policy.rs",
        original: "incident.notified_at?.after(damping)",
        planted: "if BUG { Timestamp::MAX } else { incident.notified_at?.after(damping) }",
        caught_by: &["and it was told to nobody", "is to be told within"],
    },
    Planted {
        name: "items that failed count as closed",
        file: "src/warden/census/accounts.rs",
        original: "(Status::Failed, _) => &mut outcomes.failed,",
        planted: "(Status::Failed, _) if BUG => &mut outcomes.closed,
        (Status::Failed, _) => &mut outcomes.failed,",
        caught_by: &["does not say that"],
    },
    Planted {
        name: "what became of items is forgotten at a restart",
        file: "src/warden/census/changes.rs",
        original: "if !state.recovered && incident.status",
        planted: "if !BUG && !state.recovered && incident.status",
        caught_by: &["and says what became of"],
    },
    Planted {
        name: "an end does not wait for the incident in which the items are in trouble",
        file: "src/incident/policy.rs",
        original: "if is_held && !incident.told.is_empty() {",
        planted: "if is_held && !BUG && !incident.told.is_empty() {",
        caught_by: &["was told to be over before"],
    },
    Planted {
        name: "a receiver is told the end whatever else it has to be told first",
        file: "src/notifier/queue.rs",
        original: "filter(|awaited| self.tells_first(awaited, *created_at))",
        planted: "filter(|awaited| !BUG && self.tells_first(awaited, *created_at))",
        caught_by: &["before it heard of"],
    },
    Planted {
        name: "what nobody acknowledges is told to nobody else",
        file: "src/incident/policy.rs",
        original: "        let at = first_notified_at.after(level.after);",
        planted: "        let at = if BUG { Timestamp::MAX } else { first_notified_at.after(level.after) };",
        caught_by: &["of which it knew nothing", "manager does not know of trouble"],
    },
    Planted {
        name: "a receiver that asks to be left alone is told all the same",
        file: "src/notifier/queue.rs",
        original: "                self.quiet_until = \
                   self.quiet_until.max(now.after(retry_after::granted(retry_after)));",
        planted: "                if !BUG {
                    self.quiet_until = self.quiet_until.max(now.after(retry_after::granted(retry_after)));
                }",
        caught_by: &["asked to be left alone until"],
    },
];
