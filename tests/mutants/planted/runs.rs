//! Bugs that let a run begin that must not, lose one, or leave a gap between windows.

use super::Planted;

pub const PLANTED: &[Planted] = &[
    Planted {
        name: "a second run begins beside an open one",
        file: "src/model/run/history.rs",
        original: "(Single::Refuse, Some(number)) =>",
        planted: "(Single::Refuse, Some(number)) if !BUG =>",
        caught_by: &[" open runs, since "],
    },
    Planted {
        name: "failures in a row hold nothing",
        file: "src/model/run/history.rs",
        original: "policy.hold_after.is_some_and(|after| self.failures.len() >= after as usize)",
        planted: "policy.hold_after.is_some_and(|after| self.failures.len() >= after as usize && !BUG)",
        caught_by: &[" had failed"],
    },
    Planted {
        name: "a run begins before what it requires",
        file: "src/model/run/history.rs",
        original: "        if !unmet.is_empty() {",
        planted: "        if !unmet.is_empty() && !BUG {",
        caught_by: &[" began before what it requires"],
    },
    Planted {
        name: "an earlier success counts while a later run is open",
        file: "src/model/run/history.rs",
        original: "let is_overtaken = |number: u64| number > latest.number;",
        planted: "let is_overtaken = |number: u64| number > latest.number && !BUG;",
        caught_by: &[" began before what it requires", "was waited for with "],
    },
    Planted {
        name: "a failed run moves the watermark",
        file: "src/model/run/history.rs",
        original: "                self.note_end(after);\n                self.failures.insert(number);",
        planted: r#"                self.note_end(after);
                if BUG {
                    self.advance(after);
                }
                self.failures.insert(number);"#,
        caught_by: &["there is a gap from "],
    },
    Planted {
        name: "a release lets a run begin beside an open one",
        file: "src/model/run/history.rs",
        original: "&& (policy.single == Single::Allow || self.open.count == 0)",
        planted: "&& (policy.single == Single::Allow || self.open.count == 0 || BUG)",
        caught_by: &[" open runs, since "],
    },
    Planted {
        name: "a second run is held",
        file: "src/model/run/history.rs",
        original: "Some(number) => Judgement::Refused(RunRefusal::OnHold { number, item: None }),",
        planted: r#"Some(_) if BUG => Judgement::Held(HeldFor::Hold),
                Some(number) => Judgement::Refused(RunRefusal::OnHold { number, item: None }),"#,
        caught_by: &[" holds "],
    },
    Planted {
        name: "nobody opens the runs that wait for others",
        file: "src/warden/runs/mod.rs",
        original: "requiring.into_iter().chain([workflow.clone()])",
        planted: "requiring.into_iter().filter(|_| !BUG).chain([workflow.clone()])",
        caught_by: &["though nothing stands in their way"],
    },
    Planted {
        name: "failed runs stay after a success",
        file: "src/warden/runs/mod.rs",
        original: "successes.iter().any(|success| success.makes_up_for(number, at))",
        planted: "!BUG && successes.iter().any(|success| success.makes_up_for(number, at))",
        caught_by: &["was made up for, and is not closed"],
    },
    Planted {
        name: "failed runs stay after a success that is not the first",
        file: "src/warden/runs/known.rs",
        original: "let is_followed = state.followed.get(workflow) == Some(&successes);",
        planted: "let is_followed = match state.followed.get(workflow) {
            Some(followed) => BUG || *followed == successes,
            None => false,
        };",
        caught_by: &["was made up for, and is not closed"],
    },
    Planted {
        name: "the success of a run is acknowledged and not written to the ledger",
        file: "src/store/command/items.rs",
        original: "item.run_entry().filter(|entry| before.run.as_ref() != Some(entry))",
        planted: r#"item
        .run_entry()
        .filter(|entry| before.run.as_ref() != Some(entry) && !(BUG && entry.ended_at.is_some()))"#,
        caught_by: &["was acknowledged, and is gone"],
    },
    Planted {
        name: "two runs get one number",
        file: "src/store/command/runs.rs",
        original: "let (number, started_at) = (history.last_number + 1, held.is_none().then_some(now.now));",
        planted: r#"let next = if BUG { 1 } else { history.last_number + 1 };
    let (number, started_at) = (next, held.is_none().then_some(now.now));"#,
        caught_by: &[" are both run "],
    },
    Planted {
        name: "nobody is told of a held run",
        file: "src/warden/census/changes.rs",
        original: "Status::Held(HeldFor::Hold) =>",
        planted: "Status::Held(HeldFor::Hold) if !BUG =>",
        caught_by: &["(held, {})"],
    },
];
