//! The states of an item, and what each request makes of them: the table of the reference is what happens, on
//! every engine, whatever came before.
//!
//! `TRANSITIONS` is the number of random stories for each engine. After an intended change
//! `cargo test --test suite -- --ignored renew_the_table_of_transitions` writes the table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use warden::model::item::{
    AfterFailure, ItemError, ItemPatch, LeaseId, Repeat, Retry, StepOutcome, StepStatus,
};
use warden::model::{
    Item, ItemFilter, ItemState, LeaseCommand, Moment, Policies, Policy, Random as _, SeededRandom, Timestamp,
};
use warden::store::{Claim, Command, Creation, Outcome, StepReport};

use crate::store::engine::Engine;
use crate::store::sample::{self, IntoCommand as _, at, creation, error, key, step};

/// For each request and state before it, what can be afterwards.
type Table = BTreeMap<&'static str, BTreeMap<&'static str, BTreeSet<&'static str>>>;

/// The requests, in the order of the table.
const REQUESTS: [&str; 19] = [
    "claim",
    "heartbeat",
    "complete: done",
    "complete: skipped",
    "complete: interrupted",
    "complete with `close`",
    "fail: retryable",
    "fail: ignorable",
    "fail: any other error",
    "release",
    "report: done",
    "report: skipped",
    "report: interrupted",
    "error that is not fatal",
    "fatal error",
    "retry",
    "new deadline",
    "close, cancel",
    "time passes",
];

const STATES: [ItemState; 5] =
    [ItemState::Open, ItemState::Overdue, ItemState::Interrupted, ItemState::Failed, ItemState::Closed];
/// What happens often in a story, by its number: leases run out, attempts fail, steps are interrupted, or
/// anything.
const OFTEN: [&[&str]; 4] = [
    &["claim", "time passes"],
    &["claim", "claim", "fail: retryable", "time passes"],
    &["claim", "claim", "complete: interrupted", "time passes"],
    &REQUESTS,
];
const REFUSED: &str = "refused";

#[test]
fn no_sequence_of_requests_leaves_the_table_on_sled() {
    assert_documented(&observe(Engine::sled, stories(40)), false);
}

#[test]
fn no_sequence_of_requests_leaves_the_table_in_memory_and_all_of_it_happens() {
    assert_documented(&observe(Engine::memory, stories(5000)), true);
}

#[test]
#[ignore = "writes the table of the reference"]
fn renew_the_table_of_transitions() {
    let text = std::fs::read_to_string(reference()).expect("the reference");
    let (before, rest) = text.split_once(BEGIN).expect("the begin of the table");
    let (_, after) = rest.split_once(END).expect("the end of the table");
    let table = rendered(&observe(Engine::memory, 5000));
    std::fs::write(reference(), format!("{before}{BEGIN}\n{table}{END}{after}")).expect("it can be written");
}

const BEGIN: &str = "<!-- transitions -->";
const END: &str = "<!-- end of transitions -->";

fn reference() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/reference/states.md")
}

fn stories(default: u64) -> u64 {
    std::env::var("TRANSITIONS").map_or(default, |number| number.parse().expect("a number"))
}

/// Whether the table of the reference has all that was observed, and if `whole` nothing else.
fn assert_documented(observed: &Table, whole: bool) {
    let text = std::fs::read_to_string(reference()).expect("the reference");
    let documented = read(&text);
    for (request, by_state) in observed {
        for (state, afterwards) in by_state {
            let known = documented.get(&((*request).to_owned(), (*state).to_owned()));
            let known = known.unwrap_or_else(|| panic!("{request} is missing in the table"));
            for after in afterwards {
                assert!(known.contains(*after), "{request} made an item that was {state} {after}");
            }
            let unseen: Vec<_> = known.iter().filter(|after| !afterwards.contains(after.as_str())).collect();
            assert!(!whole || unseen.is_empty(), "{request} never made an item that was {state} {unseen:?}");
        }
    }
    let cells: usize = observed.values().map(BTreeMap::len).sum();
    assert!(!whole || cells == documented.len(), "the table has states or requests that did not occur");
}

fn rendered(table: &Table) -> String {
    let mut text = format!("| request | {} |\n|---|", STATES.map(ItemState::as_str).join(" | "));
    text.push_str(&"---|".repeat(STATES.len()));
    text.push('\n');
    for request in REQUESTS {
        let cell = |state: ItemState| {
            let after = table.get(request).and_then(|by_state| by_state.get(state.as_str()));
            after.into_iter().flatten().copied().collect::<Vec<_>>().join(", ")
        };
        text.push_str(&format!("| {request} | {} |\n", STATES.map(cell).join(" | ")));
    }
    text
}

/// The cells of the table in a document.
fn read(text: &str) -> BTreeMap<(String, String), BTreeSet<String>> {
    let table = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).expect("a table").0;
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| request"));
    let mut cells = BTreeMap::new();
    for row in rows {
        let columns: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        for (state, cell) in STATES.iter().zip(&columns[1..]) {
            let after = cell.split(", ").map(str::to_owned).collect();
            cells.insert((columns[0].to_owned(), state.as_str().to_owned()), after);
        }
    }
    cells
}

fn observe(engine: fn() -> Engine, stories: u64) -> Table {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut table = Table::new();
    runtime.block_on(async {
        // Each story has an item of its own, so that all can have one engine.
        let engine = engine();
        for story in 0..stories {
            tell(&engine, story, &mut table).await;
        }
    });
    table
}

/// One item from its creation on, by random requests.
async fn tell(engine: &Engine, story: u64, table: &mut Table) {
    let dice = SeededRandom::new(story);
    let roll = |sides: u64| (dice.unit() * sides as f64) as u64;
    let id = format!("item-{story}");
    let often = OFTEN[(story % OFTEN.len() as u64) as usize];
    let mut now = at(0);
    let creation = Creation {
        key: key(&id),
        deadline: now.after(Duration::from_millis(1 + roll(200) * (1 + 4 * roll(3)))).into(),
        step: Some(step("copy")),
        steps: (roll(4) == 0).then(|| policy().steps),
        not_before: (roll(8) == 0).then(|| now.after(Duration::from_millis(20))),
        ..creation(&id, "x")
    };
    let outcome = engine.one(creation.into_command()).await;
    assert!(matches!(outcome, Outcome::Created(_)), "{outcome:?}");
    for _ in 0..40 {
        let before = engine.item(&id).await.expect("it is there");
        let state = before.state(now.into()).as_str();
        let request = match roll(3) {
            0 => REQUESTS[roll(REQUESTS.len() as u64) as usize],
            _ => often[roll(often.len() as u64) as usize],
        };
        let after = if request == "time passes" {
            now = now.after(Duration::from_millis(1 + roll(60)));
            before.state(now.into()).as_str()
        } else {
            let command = command(request, &before, now, &roll);
            let is_close = matches!(command, Command::Close { .. });
            let is_refused = is_refused(&engine.one(command).await) && !is_close;
            let after = engine.item(&id).await.expect("it is there");
            let stays = is_refused || before.closed.is_some();
            assert!(!stays || after == before, "{request} was refused and changed something");
            if is_refused { REFUSED } else { after.state(now.into()).as_str() }
        };
        table.entry(request).or_default().entry(state).or_default().insert(after);
    }
}

fn is_refused(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Changed(_) | Outcome::Closed(_) | Outcome::Exhausted(_) => false,
        Outcome::AlreadyClosed(_)
        | Outcome::NotClaimable
        | Outcome::LeaseLost(_)
        | Outcome::StepRefused(_) => true,
        other => panic!("{other:?}"),
    }
}

/// Closed items are kept for as long as a story lasts.
fn policy() -> Policy {
    Policy { retention: Duration::from_secs(3600), ..sample::policy(0) }
}

fn command(request: &str, item: &Item, now: Timestamp, roll: &dyn Fn(u64) -> u64) -> Command {
    let policies: Arc<dyn Policies> = Arc::new(policy());
    let later = |sides: u64| now.after(Duration::from_millis(1 + roll(sides)));
    let repeat = || {
        let runs_max = (roll(2) == 0).then_some(3);
        (roll(2) == 0).then(|| Repeat { due: later(50), runs_max })
    };
    let outcome = |status| {
        let repeat = if status == StepStatus::Skipped { None } else { repeat() };
        StepOutcome { repeat, ..StepOutcome::plain(status) }
    };
    let moment: Moment = now.into();
    let token = item.work.lease.as_ref().map_or(0, |lease| lease.token);
    let holder = |act| Command::ActOnLease {
        lease: LeaseId { item: item.number, token },
        act,
        policies: policies.clone(),
        now: moment,
    };
    let complete =
        |status, closes| holder(LeaseCommand::Complete { outcome: outcome(status), closes, progress: None });
    let fail = |retryable, ignorable| {
        let error = Box::new(ItemError { retryable, ..error(&roll(u64::MAX).to_string(), now) });
        let then = AfterFailure::ByPolicy { ignorable, wait: None, random: 0.5 };
        holder(LeaseCommand::Fail { error, then, progress: None })
    };
    let report = |status| {
        let here = item.step.clone().unwrap_or_else(|| step("copy"));
        let step = if roll(4) == 0 { step("backup") } else { here };
        let (key, outcome, policies) = (item.key(), outcome(status), policies.clone());
        Command::ReportStep(Box::new(StepReport {
            key,
            step,
            outcome,
            progress: None,
            policies,
            now: moment,
        }))
    };
    let report_error = |fatal| {
        let error = ItemError { fatal, ..error(&roll(u64::MAX).to_string(), now) };
        Command::Report { key: item.key(), error: Box::new(error), policies: policies.clone() }
    };
    match request {
        "claim" => Command::Claim(Box::new(Claim {
            number: item.number,
            filter: Arc::new(ItemFilter::default()),
            worker: "worker".into(),
            expires_at: later(60),
            ignores_wait: false,
            policies,
            now: moment,
        })),
        "heartbeat" => {
            holder(LeaseCommand::Heartbeat { expires_at: later(60), may_shorten: true, progress: None })
        }
        "complete: done" => complete(StepStatus::Done, false),
        "complete: skipped" => complete(StepStatus::Skipped, false),
        "complete: interrupted" => complete(StepStatus::Interrupted, false),
        "complete with `close`" => complete(StepStatus::Done, true),
        "fail: retryable" => fail(true, false),
        "fail: ignorable" => fail(false, true),
        "fail: any other error" => fail(false, false),
        "release" => {
            let retry_at = (roll(2) == 0).then(|| later(40));
            holder(LeaseCommand::Release { retry_at, counts: roll(2) == 0, progress: None })
        }
        "report: done" => report(StepStatus::Done),
        "report: skipped" => report(StepStatus::Skipped),
        "report: interrupted" => report(StepStatus::Interrupted),
        "error that is not fatal" => report_error(false),
        "fatal error" => report_error(true),
        "retry" => {
            let from = (roll(2) == 0).then(|| step(if roll(2) == 0 { "copy" } else { "backup" }));
            let at = (roll(2) == 0).then(|| later(40));
            Command::Retry { key: item.key(), retry: Retry { from, at }, policies, now: moment }
        }
        "new deadline" => {
            let deadline = Some(if roll(3) == 0 { now } else { later(300) }.into());
            let patch = ItemPatch { deadline, ..ItemPatch::default() };
            Command::Patch { key: item.key(), patch, if_version: None, policies, now }
        }
        "close, cancel" => {
            let closing = policy().closing(warden::model::CloseOutcome::Discarded, now);
            Command::Close { key: item.key(), closing }
        }
        other => panic!("{other} is no request"),
    }
}
