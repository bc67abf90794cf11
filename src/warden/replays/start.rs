//! Starting a replay: the request is validated, the selection frozen, and everything stored before it runs.
//!
//! The chunks are stored first, in batches, and the document last: a replay exists once its document does.
//! Chunks without a document are removed by the sweep.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use wildmatch::WildMatch;

use super::{ReplayEntry, Replays, UNENDED_MAX};
use crate::model::item::check_labels;
use crate::model::random::repeatable_id;
use crate::model::replay::{
    CHUNK_ITEMS, GLOBS_MAX, OnSuccess, Pace, REPLAY_NAME_MAX, ReplayFilter, ReplayTarget, TARGET_URL_MAX,
};
use crate::model::{
    ItemFilter, ItemNumber, ItemState, Moment, Order, Replay, ReplayChunk, ReplayId, ReplayStatus, Summary,
    Timestamp,
};
use crate::outbound::SigningKey;
use crate::store::{Command, ListItems, Outcome, StoreError};
use crate::warden::WardenError;
use crate::warden::checks::check_glob;

/// The page size of the selection.
const PAGE: usize = 1_000;
/// The most chunks in one commit.
const CHUNKS_AT_ONCE: usize = 32;
/// Items per second.
const RATES: std::ops::RangeInclusive<f64> = 0.01..=10_000.0;
/// The most items in flight.
const CONCURRENCY_MAX: usize = 256;
/// The longest timeout of a request.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);
const RAMP_UP_MAX: Duration = Duration::from_secs(7 * 86_400);

#[derive(Clone, Debug)]
pub struct StartReplay {
    /// For people; may be empty.
    pub name: Arc<str>,
    pub filter: ReplayFilter,
    pub target: ReplayTarget,
    pub pace: Pace,
    /// What to do with an item that the target accepted.
    pub on_success: OnSuccess,
    /// The timeout of a request.
    pub timeout: Duration,
    /// The same key from the same token returns the first replay.
    pub idempotency_key: Option<String>,
}

impl Replays {
    /// Starts a replay. It is created even if the client disconnects. Fails if the request is invalid,
    /// selects too many items, or there are too many replays.
    pub async fn start(replays: &Arc<Self>, request: StartReplay) -> Result<ReplayEntry, WardenError> {
        let making = replays.clone();
        let made = replays.loops.spawn(async move { making.make(request).await });
        match made.await {
            Ok(made) => made,
            Err(_) => Err(WardenError::Store(StoreError::Closing)),
        }
    }

    /// Counts the items that a replay would send.
    pub async fn preview(&self, request: &StartReplay) -> Result<Summary, WardenError> {
        self.check(request)?;
        self.queries.summary(self.item_filter(&request.filter)).await
    }

    async fn make(&self, request: StartReplay) -> Result<ReplayEntry, WardenError> {
        let _making = tokio::select! {
            biased;
            making = self.making.lock() => making,
            () = self.stop.cancelled() => return Err(WardenError::Store(StoreError::Closing)),
        };
        let moment = self.clock.moment();
        let now = moment.now;
        let id = match &request.idempotency_key {
            Some(key) => ReplayId(repeatable_id(ReplayId::PREFIX, &[key])),
            None => ReplayId(self.random.id(ReplayId::PREFIX, now)),
        };
        if let Some(live) = self.known.get(&id) {
            return Ok(live.entry(now));
        }
        let url = self.check(&request)?;
        let _slot = self.slot()?;
        let unended = self.known.all().iter().filter(|live| !live.status().is_ended()).count();
        if unended >= UNENDED_MAX {
            let message = format!("{UNENDED_MAX} replays have not ended, the most allowed; cancel some");
            return Err(WardenError::TooManyReplays(message));
        }
        let filter = self.item_filter(&request.filter);
        let selection = self.select(&filter, moment).await?;
        self.write_chunks(&id, &selection).await?;
        let StartReplay { name, filter, target, pace, on_success, timeout, .. } = request;
        let mut replay = Replay {
            id,
            name,
            filter,
            target: ReplayTarget { url: url.as_str().into(), ..target },
            pace,
            on_success,
            timeout,
            status: ReplayStatus::Running,
            reason: None,
            created_at: now,
            started_at: None,
            ended_at: None,
            total: selection.len() as u64,
            succeeded: 0,
            failed: 0,
            skipped: 0,
            canary_passed: 0,
            failures_in_a_row: 0,
            chunks_done: 0,
            failures: Vec::new(),
            failure_reasons: std::collections::BTreeMap::new(),
        };
        drop(selection);
        replay.complete_if_done(now);
        let command = Command::put(replay.clone());
        self.store.apply(vec![command]).await?;
        let Replay { id, total, .. } = &replay;
        let target = url.origin().ascii_serialization();
        tracing::info!(replay = &*id.0, name = &*replay.name, %target, total, "replay started");
        self.get(id)
    }

    /// The matching items as of one moment, the earliest deadline first.
    async fn select(
        &self,
        filter: &ItemFilter,
        now: Moment,
    ) -> Result<Vec<(Timestamp, ItemNumber)>, WardenError> {
        let limit = self.settings.items_max;
        let mut selection = Vec::new();
        let mut after = None;
        loop {
            let question =
                ListItems { filter: filter.clone(), order: Order::Created, after, limit: PAGE, now };
            let page = self.store.list(question).await?;
            selection.extend(page.data.iter().map(|item| (now.steady(item.deadline), item.number)));
            if selection.len() > limit {
                return Err(WardenError::SelectionTooLarge { limit });
            }
            after = page.next;
            if after.is_none() {
                break;
            }
            if self.stop.is_cancelled() {
                return Err(WardenError::Store(StoreError::Closing));
            }
        }
        selection.sort_unstable();
        Ok(selection)
    }

    async fn write_chunks(
        &self,
        id: &ReplayId,
        selection: &[(Timestamp, ItemNumber)],
    ) -> Result<(), WardenError> {
        let number = |(_, number): &(Timestamp, ItemNumber)| *number;
        let mut index = 0;
        for batch in selection.chunks(CHUNK_ITEMS * CHUNKS_AT_ONCE) {
            let numbered = (index..).zip(batch.chunks(CHUNK_ITEMS));
            let chunks: Vec<_> =
                numbered.map(|(index, items)| ReplayChunk::new(index, items.iter().map(number))).collect();
            index += CHUNKS_AT_ONCE as u32;
            let command = Command::put_replay_chunks(id, chunks);
            if self.store.apply(vec![command]).await?.contains(&Outcome::StorageFull) {
                return Err(WardenError::StorageFull);
            }
        }
        Ok(())
    }

    /// Instants in the filter are converted from the wall clock.
    fn item_filter(&self, filter: &ReplayFilter) -> ItemFilter {
        let steady = |instant: Option<Timestamp>| instant.map(|instant| self.clock.to_steady(instant));
        ItemFilter {
            unseen: false,
            workflows: filter.workflows.iter().map(|glob| WildMatch::new(glob)).collect(),
            allowed: Vec::new(),
            states: filter.states.clone(),
            labels: filter.labels.clone().into_iter().collect(),
            step: filter.step.as_ref().map(ToString::to_string),
            steps: Vec::new(),
            item: None,
            step_retries_min: filter.step_retries_min,
            created_after: steady(filter.created_after),
            created_before: steady(filter.created_before),
            deadline_after: steady(filter.deadline_after),
            deadline_before: steady(filter.deadline_before),
        }
    }

    /// Validates the request. Returns the URL of the target.
    fn check(&self, request: &StartReplay) -> Result<Url, WardenError> {
        let name = &request.name;
        if name.len() > REPLAY_NAME_MAX || name.chars().any(char::is_control) {
            return invalid(format!(
                "name must be at most {REPLAY_NAME_MAX} bytes without control characters"
            ));
        }
        check_filter(&request.filter)?;
        check_pace(&request.pace)?;
        if request.timeout.is_zero() || request.timeout > TIMEOUT_MAX {
            return invalid("timeout must be more than zero and at most 10m".to_owned());
        }
        if let Some(secret) = &request.target.secret {
            secret
                .parse::<SigningKey>()
                .map_err(|error| WardenError::Invalid(format!("target.secret: {error}")))?;
        }
        self.check_target(&request.target.url)
    }

    fn check_target(&self, text: &str) -> Result<Url, WardenError> {
        let url = match Url::parse(text) {
            // The URL is not quoted, because it may contain a secret.
            Err(error) => return invalid(format!("target.url is not a URL: {error}")),
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                return invalid("target.url must begin with http:// or https://".to_owned());
            }
            Ok(url) if url.fragment().is_some() => {
                return invalid("target.url must not have a fragment, which is never sent".to_owned());
            }
            Ok(url) => url,
        };
        if url.as_str().len() > TARGET_URL_MAX {
            return invalid(format!("target.url may have at most {TARGET_URL_MAX} bytes"));
        }
        match self.outbound.check(&url, &self.settings.transport) {
            Err(refused) if refused.is_own => invalid(format!("target.url: {refused}")),
            Err(refused) => invalid(format!("target.url: {refused} ([replay])")),
            Ok(()) => Ok(url),
        }
    }
}

fn check_filter(filter: &ReplayFilter) -> Result<(), WardenError> {
    if filter.workflows.len() > GLOBS_MAX {
        return invalid(format!("a filter may have at most {GLOBS_MAX} workflow globs"));
    }
    filter.workflows.iter().try_for_each(|glob| check_glob(glob))?;
    if filter.states.contains(&ItemState::Closed) {
        return invalid("closed items cannot be replayed: their payloads are dropped".to_owned());
    }
    check_labels(&filter.labels).map_err(|refusal| WardenError::Invalid(refusal.to_string()))
}

fn check_pace(pace: &Pace) -> Result<(), WardenError> {
    if !RATES.contains(&pace.max_per_second) {
        let (least, most) = (RATES.start(), RATES.end());
        return invalid(format!("max_per_second is a number from {least} to {most}"));
    }
    if !(1..=CONCURRENCY_MAX).contains(&pace.concurrency) {
        return invalid(format!("concurrency is a number from 1 to {CONCURRENCY_MAX}"));
    }
    if pace.ramp_up > RAMP_UP_MAX {
        return invalid("ramp_up must be at most 7d".to_owned());
    }
    Ok(())
}

fn invalid<T>(message: String) -> Result<T, WardenError> {
    Err(WardenError::Invalid(message))
}
