//! Random requests of a submitter.
//!
//! Most items are short-lived, some live for long, and half of the first ones for ever. So generations become
//! outdated at different rates, tombstones stay necessary, and live data is compacted repeatedly.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use warden::model::item::{
    AfterFailure, Closing, ItemPatch, Merge, ProgressChange, Repeat, Retry, StepOutcome, StepStatus,
};
use warden::model::{
    CloseOutcome, DeliveryStatus, EventSet, Incident, IncidentStatus, Item, ItemError, ItemFilter, ItemKey,
    LeaseCommand, LeaseId, Policies, Policy, Replay, Silence,
};
use warden::store::{Claim, Command, Creation, Document, DocumentId};

use crate::artifacts;
use crate::dice::Dice;
use crate::settings;
use crate::story::Story;
use crate::support::sample::{
    anchor, creation, delivery, error, incident, incident_id, key_in, labels, object, policy, progress,
    replay, replay_chunk, replay_id, silence, step, workflow,
};

/// A submitter has about so many open items, and so many closed ones that are not forgotten yet.
const OPEN: usize = 50;
const CLOSED: usize = 25;
/// Of so many items every other one stays, and has a payload of about so many bytes.
const STAYING: u64 = 60;
const STAYING_SIZE: u64 = 14_000;
/// Closed items are never forgotten by themselves, but when they are told to.
const RETENTION: Duration = Duration::from_secs(1_000_000);
/// The documents of each kind.
const DOCUMENTS: u64 = 4;
/// How many chunks a replay has.
const CHUNKS: u32 = 3;
/// What all payloads are cut from.
const BYTES: usize = 1 << 20;

/// The commands of the next request but for its marker.
pub fn next(story: &mut Story, dice: &mut Dice) -> Vec<Command> {
    let count = 1 + dice.below(4);
    // No two of them are about the same item.
    let mut keys: Vec<ItemKey> = Vec::new();
    let mut commands = Vec::new();
    for _ in 0..count {
        let (key, command) = one(story, dice);
        match key {
            Some(key) if keys.contains(&key) => continue,
            key => keys.extend(key),
        }
        commands.push(command);
    }
    commands
}

fn one(story: &mut Story, dice: &mut Dice) -> (Option<ItemKey>, Command) {
    let now = Story::time(story.submitted);
    let open = story.items(is_passing).len();
    let closed = story.items(|item| !Story::is_open(item) && item.number.0 > 0).len();
    let roll = dice.below(100);
    match roll {
        0..45 if open < OPEN => create(story, dice),
        0..45 => close(story, dice),
        45..53 => match chosen(story, dice, Story::is_open) {
            Some(item) => patch(&item, story, dice),
            None => create(story, dice),
        },
        53..58 => match chosen(story, dice, Story::is_open) {
            Some(item) => report(&item, story, dice),
            None => create(story, dice),
        },
        58..68 => match chosen(story, dice, |item| is_passing(item) && item.number.0 > 0) {
            Some(item) => lease(&item, story, dice),
            None => create(story, dice),
        },
        68..83 if closed > CLOSED || roll < 72 => {
            match chosen(story, dice, |item| !Story::is_open(item) && item.number.0 > 0) {
                Some(item) if dice.percent(20) => (Some(item.key()), Command::DropPayload(item.number)),
                Some(item) => (Some(item.key()), Command::Forget(item.number)),
                None => create(story, dice),
            }
        }
        68..83 => close(story, dice),
        83..85 => {
            let retry = Retry { from: dice.percent(30).then(|| step("copy")), at: None };
            let (key, policies) = (any_key(story, dice), policies());
            (None, Command::Retry { key, retry, policies, now: now.into() })
        }
        85..90 => (None, artifacts::next(story, dice)),
        _ => (None, document(story, dice)),
    }
}

/// An item as asked of which nothing is pending: more often one of the youngest, so that some become old.
fn chosen(story: &Story, dice: &mut Dice, is_wanted: impl Fn(&Item) -> bool) -> Option<Item> {
    let items = story.items(|item| is_wanted(item) && !story.is_pending(&item.key()));
    if items.is_empty() {
        return None;
    }
    let at = match dice.percent(85) {
        true => dice.index(items.len()).max(dice.index(items.len())),
        false => dice.index(items.len()),
    };
    Some(items[at].clone())
}

/// Whether it is one of those that are never closed.
fn stays(key: &ItemKey) -> bool {
    let number = key.id.as_str().rsplit('-').next().and_then(|number| number.parse::<u64>().ok());
    number.is_some_and(|number| number < STAYING && number % 2 == 0)
}

/// Whether it is open, and will be closed.
fn is_passing(item: &Item) -> bool {
    Story::is_open(item) && !stays(&item.key())
}

fn named(story: &Story, id: u64) -> ItemKey {
    key_in(&format!("flow-{}-{}", story.submitter, id % 3), &format!("item-{id:06}"))
}

/// One that is there, was, or will be.
pub fn any_key(story: &Story, dice: &mut Dice) -> ItemKey {
    named(story, dice.below(story.ids + 2))
}

fn create(story: &mut Story, dice: &mut Dice) -> (Option<ItemKey>, Command) {
    let now = Story::time(story.submitted);
    // Now and then one that is there, or was.
    let key = match dice.percent(94) {
        true => {
            story.ids += 1;
            named(story, story.ids)
        }
        false => any_key(story, dice),
    };
    let payload = payload(story.seed, stays(&key), dice);
    let idempotency_key = dice.percent(30).then(|| {
        let mut digest = [7; 32];
        digest[..8].copy_from_slice(&dice.below(1 + story.ids * 20).to_be_bytes());
        digest
    });
    let command = Command::Create(Box::new(Creation {
        key: key.clone(),
        idempotency_key,
        created_at: now,
        deadline: now.after(Duration::from_millis(dice.below(5000))).into(),
        labels: if dice.percent(30) { labels(&[("region", "eu")]) } else { labels(&[]) },
        step: dice.percent(30).then(|| step("copy")),
        workflows_max: dice.percent(70).then_some(1000),
        ..creation("of these", payload)
    }));
    (Some(key), command)
}

fn payload(seed: u64, stays: bool, dice: &mut Dice) -> Bytes {
    static ALL: OnceLock<Bytes> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let mut dice = Dice::new(0);
        (0..BYTES / 8).flat_map(|_| dice.below(u64::MAX).to_le_bytes()).collect()
    });
    let longest = settings::payload_max(seed);
    let size = match dice.below(100) {
        _ if stays => STAYING_SIZE + dice.below(1000),
        0..8 => 0,
        8..30 => dice.below(300),
        30..55 => dice.below(4200),
        55..90 => dice.below(24_000),
        90..99 => dice.below(64 * 1024),
        _ => dice.below(longest),
    };
    let from = dice.index(BYTES - size as usize);
    all.slice(from..from + size as usize)
}

fn closing(story: &Story, dice: &mut Dice) -> Closing {
    Closing {
        outcome: dice.pick(&[CloseOutcome::Success, CloseOutcome::Discarded, CloseOutcome::Failed]),
        at: Story::time(story.submitted),
        retention: RETENTION,
        keep_payload: if dice.percent(40) { RETENTION } else { Duration::ZERO },
        ended_at: None,
        events: EventSet::NONE,
    }
}

fn policies() -> Arc<dyn Policies> {
    Arc::new(Policy { retention: RETENTION, ..policy(0) })
}

fn close(story: &mut Story, dice: &mut Dice) -> (Option<ItemKey>, Command) {
    // One that was never created leaves a tombstone.
    let known = chosen(story, dice, is_passing).filter(|_| dice.percent(98));
    let key = known.map_or_else(|| any_key(story, dice), |item| item.key());
    let key = if stays(&key) { named(story, story.ids + 1) } else { key };
    (Some(key.clone()), Command::Close { key, closing: closing(story, dice) })
}

fn patch(item: &Item, story: &Story, dice: &mut Dice) -> (Option<ItemKey>, Command) {
    let now = Story::time(story.submitted);
    let later = now.after(Duration::from_millis(dice.below(5000)));
    let text = "t".repeat(dice.index(3000));
    let patch = ItemPatch {
        deadline: dice.percent(50).then_some(later.into()),
        labels: dice.percent(50).then(|| {
            let value = dice.percent(70).then(|| format!("value {}", dice.below(1000)));
            Merge::Change([("tenant".to_owned(), value)].into())
        }),
        progress: dice
            .percent(50)
            .then(|| ProgressChange::merge(Merge::Change(object(json!({ "done": text }))))),
        counts: None,
    };
    (Some(item.key()), Command::Patch { key: item.key(), patch, if_version: None, policies: policies(), now })
}

fn report(item: &Item, story: &Story, dice: &mut Dice) -> (Option<ItemKey>, Command) {
    let id = dice.below(40).to_string();
    let data = json!({ "tail": "e".repeat(dice.index(2000)) });
    let error = ItemError { fatal: dice.percent(20), data, ..error(&id, Story::time(story.submitted)) };
    (Some(item.key()), Command::Report { key: item.key(), error: Box::new(error), policies: policies() })
}

/// A claim, or what the holder of the last one says.
fn lease(item: &Item, story: &Story, dice: &mut Dice) -> (Option<ItemKey>, Command) {
    let now = Story::time(story.submitted);
    let later = |millis: u64| now.after(Duration::from_millis(millis));
    let held = item.work.lease.as_ref().filter(|lease| lease.ended.is_none());
    let Some(lease) = held.filter(|_| dice.percent(80)) else {
        let claim = Claim {
            number: item.number,
            filter: Arc::new(ItemFilter::default()),
            worker: "worker".into(),
            expires_at: later(dice.below(1000)),
            ignores_wait: dice.percent(50),
            policies: policies(),
            now: now.into(),
        };
        return (Some(item.key()), Command::Claim(Box::new(claim)));
    };
    let status = dice.pick(&StepStatus::ALL);
    let repeat = dice.percent(40).then(|| Repeat { due: later(dice.below(500)), runs_max: Some(2) });
    let error = Box::new(error("lease", now));
    let act = match dice.below(6) {
        0 => LeaseCommand::Heartbeat {
            expires_at: later(dice.below(2000)),
            may_shorten: dice.percent(50),
            progress: None,
        },
        1 => LeaseCommand::Complete {
            outcome: StepOutcome { repeat, ..StepOutcome::plain(status) },
            closes: false,
            progress: Some(ProgressChange::merge(Merge::Change(object(json!({ "part": dice.below(100) }))))),
        },
        2 => LeaseCommand::Complete {
            outcome: StepOutcome::plain(StepStatus::Done),
            closes: true,
            progress: None,
        },
        3 => {
            LeaseCommand::Fail { error, then: AfterFailure::RetryAt(later(dice.below(500))), progress: None }
        }
        4 => {
            let (ignorable, random) = (dice.percent(50), 0.5);
            let then = AfterFailure::ByPolicy { ignorable, wait: None, random };
            LeaseCommand::Fail { error, then, progress: None }
        }
        _ => LeaseCommand::Release { retry_at: None, counts: dice.percent(50), progress: None },
    };
    let lease = LeaseId { item: item.number, token: lease.token };
    (Some(item.key()), Command::ActOnLease { lease, act, policies: policies(), now: now.into() })
}

/// The names of the documents of a submitter.
pub fn document_names(submitter: usize) -> impl Iterator<Item = String> {
    (0..DOCUMENTS).map(move |name| format!("{submitter}-{name}"))
}

/// How many chunks a replay may have.
pub fn chunks() -> std::ops::Range<u32> {
    0..CHUNKS
}

fn document(story: &Story, dice: &mut Dice) -> Command {
    let name = &format!("{}-{}", story.submitter, dice.below(DOCUMENTS));
    let status = dice.pick(&[DeliveryStatus::Pending, DeliveryStatus::Delivered, DeliveryStatus::Dead]);
    let sent = dice.pick(&["a", "b", "c"]);
    let body = "b".repeat(dice.index(9000)).into();
    let delivery = warden::model::Delivery { status, body, ..delivery(name, &format!("{name}-{sent}")) };
    let text = |dice: &mut Dice| "d".repeat(dice.index(5000));
    let some = |dice: &mut Dice| -> Vec<_> {
        let chosen: Vec<u32> = chunks().filter(|_| dice.percent(50)).collect();
        chosen.into_iter().map(|index| replay_chunk(index, dice.below(257))).collect()
    };
    let flow = workflow(&format!("flow-{}-{}", story.submitter, dice.below(3)));
    match dice.below(16) {
        0..3 => {
            let status = if dice.percent(50) { IncidentStatus::Open } else { IncidentStatus::Resolved };
            let deliveries = if dice.percent(70) { vec![delivery] } else { Vec::new() };
            Command::put_incident(Incident { count: dice.below(100), status, ..incident(name) }, deliveries)
        }
        3..5 => Command::put(delivery),
        5..7 => Command::Remove(DocumentId::Incident(incident_id(name))),
        7 => Command::put(Document::Progress(flow, Box::new(progress(dice.below(9))))),
        8 => Command::Remove(DocumentId::Progress(flow)),
        // There is one clock, and so one submitter that has it.
        9 if story.submitter == 0 => Command::put(anchor(dice.below(1 << 40) as i64)),
        9..11 => {
            let comment = text(dice).into();
            Command::put(Silence { comment, ..silence(name) })
        }
        11 => Command::Remove(DocumentId::Silence(silence(name).id)),
        12 => Command::put_replay_chunks(&replay_id(name), some(dice)),
        13..15 => {
            let replay = Replay { reason: Some(text(dice).into()), ..replay(name) };
            Command::put_replay(replay, some(dice))
        }
        _ => Command::Remove(DocumentId::Replay(replay_id(name))),
    }
}
