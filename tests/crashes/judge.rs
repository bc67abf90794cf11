//! Compares the content of a store with what it must contain.

use std::collections::BTreeMap;

use warden::model::{Item, ItemKey, SilenceId};
use warden::store::{Command, ListItems, Store};

use crate::requests;
use crate::story::{self, Story};
use crate::support::artifacts::unnumbered;
use crate::support::documents::ReadDocuments as _;
use crate::support::model::UNKNOWN;
use crate::support::sample::{at, everything, incident_id, replay_id};
use crate::told::Told;

/// How many items are listed at once.
const PAGE: usize = 200;

fn failed(error: impl std::fmt::Display) -> String {
    format!("a read fails: {error}")
}

/// Finds how far each submitter has come by its marker, and has that happen in the stories: all that was
/// acknowledged, and of what is pending no more than what a marker says. What was told by that.
pub async fn catch_up(stories: &mut [Story], store: &dyn Store) -> Result<Vec<Told>, String> {
    let silences = store.silences().await.map_err(failed)?;
    let markers = silences.iter().filter_map(|silence| Story::of_marker(silence.comment.as_bytes()));
    let mut last: BTreeMap<usize, u64> = BTreeMap::new();
    for (submitter, number) in markers {
        let last = last.entry(submitter).or_default();
        *last = number.max(*last);
    }
    let mut told = Vec::new();
    for story in stories {
        let reached = last.get(&story.submitter).copied().unwrap_or(0);
        let (submitter, done, submitted) = (story.submitter, story.done, story.submitted);
        if reached < done {
            return Err(format!(
                "submitter {submitter} was told that request {done} is done, and the last that is there is \
                 {reached}"
            ));
        }
        if reached > submitted || (reached > done && !is_pending(story, reached)) {
            return Err(format!("submitter {submitter} never submitted request {reached} of {submitted}"));
        }
        while story.pending.front().is_some_and(|request| request.number <= reached) {
            let facts = facts(story, store).await?;
            story.settle(&facts);
            told.push(Told::Done(submitter, facts));
        }
        story.lose();
        told.push(Told::Lost(submitter));
    }
    Ok(told)
}

fn is_pending(story: &Story, number: u64) -> bool {
    story.pending.iter().any(|request| request.number == number)
}

/// What is to be known of the oldest pending request, which was carried out without an answer, by what is
/// there now.
async fn facts(story: &Story, store: &dyn Store) -> Result<Vec<u64>, String> {
    let mut facts = Vec::new();
    for command in story.pending.front().map_or(&[][..], |request| &request.commands) {
        let fact = match command {
            Command::Create(creation) => {
                let item = store.get(creation.key.clone()).await.map_err(failed)?;
                item.map_or(0, |item| item.number.0)
            }
            Command::Claim(claim) => {
                let items = store.items(vec![claim.number]).await.map_err(failed)?;
                let lease = items.first().and_then(|item| item.work.lease.as_ref());
                let before = story.items(|item| item.number == claim.number);
                let before = before.first().and_then(|item| item.work.lease.as_ref());
                let is_new = lease.map(|lease| lease.token) != before.map(|lease| lease.token);
                lease.filter(|_| is_new).map_or(0, |lease| lease.token)
            }
            _ => 0,
        };
        facts.push(fact);
    }
    Ok(facts)
}

/// Everything that there is of these stories, and nothing else.
pub async fn compare(stories: &[Story], store: &dyn Store) -> Result<(), String> {
    let listed = compare_items(stories, store).await?;
    let expected = stories.iter().flat_map(|story| story.model.items());
    let expected = expected.filter(|item| item.payload.is_some()).count();
    let mut numbers: Vec<u64> = listed.iter().map(|item| item.number.0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    if listed.len() != expected || numbers.len() != expected {
        let known: Vec<ItemKey> =
            stories.iter().flat_map(|story| story.model.items().map(Item::key)).collect();
        let more = listed.iter().find(|item| !known.contains(&item.key()));
        return Err(format!("{} items are listed, not {expected}, as {more:?}", listed.len()));
    }
    for story in stories {
        for item in story.model.items() {
            compare_item(story, store, &item.key()).await?;
        }
    }
    compare_documents(stories, store).await
}

/// One item, by its name, and its payload.
pub async fn compare_item(story: &Story, store: &dyn Store, key: &ItemKey) -> Result<(), String> {
    let Some(entry) = story.model.entry(key) else { return Ok(()) };
    let expected = &entry.item;
    let name = format!("{}/{}", key.workflow, key.id);
    let found = store.get(key.clone()).await.map_err(failed)?;
    let Some(found) = found else { return Err(format!("{name} is not found, and is {expected:?}")) };
    let number = found.number;
    let found = story::as_far_as_known(found, expected);
    if found != *expected {
        return Err(format!("{name} is {found:?}, not {expected:?}"));
    }
    let payload = store.payload(number, 0, usize::MAX).await.map_err(failed)?;
    if payload != entry.payload {
        let [found, expected] = [&payload, &entry.payload].map(|payload| payload.as_ref().map(|it| it.len()));
        return Err(format!("{name} has another payload: {found:?} bytes, not those {expected:?}"));
    }
    Ok(())
}

/// The items of the stories as they are listed, each as it must be; gives all that are listed.
pub async fn compare_items(stories: &[Story], store: &dyn Store) -> Result<Vec<Item>, String> {
    let mut listed = Vec::new();
    let mut question = ListItems { now: at(0).into(), ..everything(PAGE) };
    loop {
        let page = store.list(question.clone()).await.map_err(failed)?;
        listed.extend(page.data);
        question.after = page.next;
        if question.after.is_none() {
            break;
        }
    }
    let by_key: BTreeMap<(&str, &str), &Item> =
        listed.iter().map(|item| ((&*item.workflow, item.id.as_str()), item)).collect();
    for story in stories {
        let (mut of_story, prefix) = (0, format!("flow-{}-", story.submitter));
        for expected in story.model.items().filter(|item| item.payload.is_some()) {
            of_story += 1;
            let name = (&*expected.workflow, expected.id.as_str());
            let found = by_key.get(&name).map(|found| story::as_far_as_known((*found).clone(), expected));
            if found.as_ref() != Some(expected) {
                return Err(format!("{}/{} is listed as {found:?}, not as {expected:?}", name.0, name.1));
            }
        }
        let found = by_key.keys().filter(|(workflow, _)| workflow.starts_with(&prefix)).count();
        if found != of_story {
            let known = |key: &ItemKey| story.model.entry(key).is_some_and(|it| it.item.number != UNKNOWN);
            let more = listed.iter().filter(|item| item.workflow.starts_with(&prefix));
            let more: Vec<&Item> = more.filter(|item| !known(&item.key())).collect();
            return Err(format!("{found} items of {prefix} are listed, not {of_story}; also {more:?}"));
        }
    }
    Ok(listed)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &[T], expected: &[T]) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let missing = expected.iter().find(|one| !found.contains(one));
    let other = found.iter().find(|one| !expected.contains(one));
    let (found, expected) = (found.len(), expected.len());
    Err(format!("there are {found} {what}, not those {expected}: without {missing:?}, with {other:?}"))
}

async fn compare_documents(stories: &[Story], store: &dyn Store) -> Result<(), String> {
    let models = || stories.iter().map(|story| &story.model);
    let mut incidents: Vec<_> = models().flat_map(|model| model.incidents()).collect();
    incidents.sort_by(|left, right| right.id.cmp(&left.id));
    same("incidents", &store.incidents(None, 1000).await.map_err(failed)?, &incidents)?;
    let mut outbox: Vec<_> = models().flat_map(|model| model.outbox()).collect();
    outbox.sort_by(|left, right| left.id.cmp(&right.id));
    same("pending deliveries", &store.outbox().await.map_err(failed)?, &outbox)?;
    let mut silences: Vec<_> = models().flat_map(|model| model.silences()).collect();
    silences.sort_by(|left, right| SilenceId::cmp(&left.id, &right.id));
    same("silences", &store.silences().await.map_err(failed)?, &silences)?;
    let mut workflows: Vec<_> = models().flat_map(|model| model.workflows()).collect();
    workflows.sort_by(|left, right| left.name.cmp(&right.name));
    same("workflows", &store.workflows().await.map_err(failed)?, &workflows)?;
    let mut progresses: Vec<_> = models().flat_map(|model| model.progresses()).collect();
    progresses.sort_by(|left, right| left.0.cmp(&right.0));
    same("progresses", &store.progresses().await.map_err(failed)?, &progresses)?;
    let mut replays: Vec<_> = models().flat_map(|model| model.replays()).collect();
    replays.sort_by(|left, right| left.id.cmp(&right.id));
    same("replays", &store.replays().await.map_err(failed)?, &replays)?;
    let mut unmade: Vec<_> = models().flat_map(|model| model.unmade_replays()).collect();
    unmade.sort();
    same("unmade replays", &store.unmade_replays().await.map_err(failed)?, &unmade)?;
    let mut artifacts: Vec<_> = models().flat_map(|model| model.artifacts()).collect();
    artifacts.sort_by(|left, right| left.id.cmp(&right.id));
    let found = store.all_artifacts().await.map_err(failed)?.into_iter().map(unnumbered);
    same("artifacts", &found.collect::<Vec<_>>(), &artifacts)?;
    let clock: Vec<_> = models().filter_map(|model| model.clock()).collect();
    same("clocks", &store.clock().await.map_err(failed)?.into_iter().collect::<Vec<_>>(), &clock)?;
    for story in stories {
        for name in requests::document_names(story.submitter) {
            let deliveries = store.deliveries(incident_id(&name)).await.map_err(failed)?;
            same("deliveries", &deliveries, &story.model.deliveries(&incident_id(&name)))?;
            for index in requests::chunks() {
                let found = store.replay_chunk(replay_id(&name), index).await.map_err(failed)?;
                if found != story.model.replay_chunk(&replay_id(&name), index) {
                    return Err(format!("chunk {index} of the replay {name} is {found:?}"));
                }
            }
        }
    }
    Ok(())
}
