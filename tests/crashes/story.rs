//! What one submitter does, and what it knows of the result.
//!
//! Each submitter has its own items and documents, so interleaved requests of others change nothing for it.
//! Its next request is determined by the seed, the number of the request and what it knows: a story is
//! reproducible from what it was told.
//!
//! Each request ends with a marker, a silence whose comment is the number of the request. A request is one
//! part of one log record, so the marker shows how far a submitter has come, and to whom a record belongs.

use std::collections::VecDeque;

use warden::model::{Item, ItemKey, ItemNumber, Silence, Timestamp};
use warden::store::{Command, Outcome};

use crate::dice::Dice;
use crate::requests;
use crate::support::model::{self, Model, UNKNOWN, UNKNOWN_TOKEN};
use crate::support::sample::{at, silence};

/// How many submitters there are.
pub const SUBMITTERS: usize = 6;
/// What is told of a command for which the disk had no room.
pub const FULL: u64 = u64::MAX;
/// What a marker's comment begins with.
pub const MARKER: &str = "marker-";
/// The digits of the submitter and of the request behind that, with a dash between them.
const MARKER_DIGITS: (usize, usize) = (2, 8);
/// How many requests of a submitter may wait at once, at most, and so share a record.
pub const PENDING: u64 = 3;
/// How many markers each submitter has.
const MARKERS: u64 = PENDING + 1;
/// How many milliseconds go by from one request to the next, by the clock of the story.
const PACE: u64 = 10;

/// A request that was submitted and not acknowledged yet.
#[derive(Clone, Debug)]
pub struct Request {
    pub number: u64,
    pub commands: Vec<Command>,
}

/// See the module's documentation.
#[derive(Clone)]
pub struct Story {
    pub seed: u64,
    pub submitter: usize,
    /// The numbers of the last request that was submitted, and of the last that is known to have been carried
    /// out.
    pub submitted: u64,
    pub done: u64,
    pub model: Model,
    pub pending: VecDeque<Request>,
    /// How many items it has created, or tried to: what the next one is called.
    pub ids: u64,
}

impl Story {
    pub fn new(seed: u64, submitter: usize) -> Self {
        Self {
            seed,
            submitter,
            submitted: 0,
            done: 0,
            model: Model::default(),
            pending: VecDeque::new(),
            ids: 0,
        }
    }

    /// All stories of a seed, before anything has happened.
    pub fn all(seed: u64) -> Vec<Self> {
        (0..SUBMITTERS).map(|submitter| Self::new(seed, submitter)).collect()
    }

    /// The next request.
    pub fn submit(&mut self) -> &Request {
        self.submitted += 1;
        let number = self.submitted;
        let mut dice = Dice::of_request(self.seed, self.submitter, number);
        let mut commands = requests::next(self, &mut dice);
        commands.push(Command::put(self.marker(number)));
        self.pending.push_back(Request { number, commands });
        self.pending.back().expect("it was just added")
    }

    /// When a request is made, by the clock of the story.
    pub fn time(number: u64) -> Timestamp {
        at((number * PACE) as i64)
    }

    fn marker(&self, number: u64) -> Silence {
        let (submitter, digits) = MARKER_DIGITS;
        let comment = format!("{MARKER}{:0submitter$}-{number:0digits$}", self.submitter).into();
        // Requests that may share a record have markers of their own, so that none replaces another there.
        Silence { comment, ..silence(&format!("marker-{}-{}", self.submitter, number % MARKERS)) }
    }

    /// The submitter and the number of a request out of what begins with its marker.
    pub fn of_marker(bytes: &[u8]) -> Option<(usize, u64)> {
        let (submitter, number) = MARKER_DIGITS;
        let text = bytes.strip_prefix(MARKER.as_bytes())?.get(..submitter + 1 + number)?;
        let (submitter, number) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some((submitter.parse().ok()?, number.parse().ok()?))
    }

    /// The oldest request that is pending was carried out, with these outcomes. What others need to know of
    /// them, or how they are not what they should be.
    pub fn answer(&mut self, outcomes: Vec<Outcome>) -> Result<Vec<u64>, String> {
        let request = self.pending.front().ok_or("an answer to no request")?.clone();
        if outcomes.len() != request.commands.len() {
            return Err(format!("{} outcomes of {} commands", outcomes.len(), request.commands.len()));
        }
        let facts: Vec<u64> =
            request.commands.iter().zip(&outcomes).map(|(command, outcome)| fact(command, outcome)).collect();
        let expected = self.settle(&facts);
        for ((command, outcome), expected) in request.commands.iter().zip(outcomes).zip(expected) {
            let Some(expected) = expected else { continue };
            let outcome = model::without_unknown_numbers(outcome, &expected);
            if outcome != expected {
                return Err(format!("{command:?} came to {outcome:?}, not to {expected:?}"));
            }
        }
        Ok(facts)
    }

    /// The oldest request that is pending was carried out, of which this is known; what must have come of
    /// each of its commands.
    pub fn settle(&mut self, facts: &[u64]) -> Vec<Option<Outcome>> {
        let Some(Request { number, commands }) = self.pending.pop_front() else { return Vec::new() };
        self.done = number;
        let mut outcomes = Vec::new();
        for (command, fact) in commands.iter().zip(facts) {
            if *fact == FULL {
                outcomes.push(None);
                continue;
            }
            let expected = self.model.apply(command, Self::time(number));
            self.learn(command, &expected, *fact);
            outcomes.push(Some(expected));
        }
        outcomes
    }

    /// Takes over the number that an item was given, or the token of its lease.
    fn learn(&mut self, command: &Command, outcome: &Outcome, fact: u64) {
        match (command, outcome) {
            _ if fact == 0 => {}
            (Command::Create(_), Outcome::Created(item)) => {
                self.model.learn(&item.key(), ItemNumber(fact));
            }
            (Command::Claim(_), Outcome::Changed(item)) => self.model.learn_token(&item.key(), fact),
            _ => {}
        }
    }

    /// What is pending was lost in a crash.
    pub fn lose(&mut self) {
        self.pending.clear();
    }

    /// The items that are as asked, the oldest first.
    pub fn items(&self, is_wanted: impl Fn(&Item) -> bool) -> Vec<&Item> {
        let mut items: Vec<&Item> = self.model.items().filter(|item| is_wanted(item)).collect();
        items.sort_by(|left, right| left.id.as_str().cmp(right.id.as_str()));
        items
    }

    /// Whether something pending has to do with an item in a way that needs its number or token.
    pub fn is_pending(&self, key: &ItemKey) -> bool {
        let number = self.model.entry(key).map(|entry| entry.item.number);
        self.pending.iter().flat_map(|request| &request.commands).any(|command| match command {
            Command::Create(creation) => creation.key == *key,
            Command::Close { key: closed, .. } => closed == key,
            Command::Claim(claim) => Some(claim.number) == number,
            Command::Forget(forgotten) | Command::DropPayload(forgotten) => Some(*forgotten) == number,
            Command::ActOnLease { lease, .. } => Some(lease.item) == number,
            _ => false,
        })
    }

    /// Whether the item is open, and not one that is only remembered as closed.
    pub fn is_open(item: &Item) -> bool {
        item.closed.is_none()
    }
}

/// What is to be known of an outcome besides what follows from the command.
fn fact(command: &Command, outcome: &Outcome) -> u64 {
    match (command, outcome) {
        (_, Outcome::StorageFull) => FULL,
        (Command::Create(_), Outcome::Created(item)) => item.number.0,
        (Command::Claim(_), Outcome::Changed(item)) => {
            item.work.lease.as_ref().map_or(0, |lease| lease.token)
        }
        _ => 0,
    }
}

/// An item as it was found, without what is not known of the one that is expected.
pub fn as_far_as_known(mut found: Item, expected: &Item) -> Item {
    if expected.number == UNKNOWN {
        found.number = UNKNOWN;
    }
    if let (Some(lease), Some(known)) = (&mut found.work.lease, &expected.work.lease)
        && known.token == UNKNOWN_TOKEN
    {
        lease.token = UNKNOWN_TOKEN;
    }
    found
}
