//! The process that is killed: it runs the stories of its seed and reports every request and answer.
//!
//! It writes the report to a socket that is its stdin. It ends when its parent ends.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::Signal;
use warden::store::Store;

use crate::dice::Dice;
use crate::judge;
use crate::settings;
use crate::story::{PENDING, Story};
use crate::told::Told;

/// Set for the process that lives: the seed. Then the data directory, and a file with what has happened
/// before.
pub const SEED: &str = "WARDEN_TEST_CRASHES_SEED";
pub const DIRECTORY: &str = "WARDEN_TEST_CRASHES_IN";
pub const BEFORE: &str = "WARDEN_TEST_CRASHES_BEFORE";

/// Lives, where this process was started for that; whether it was.
pub fn lived() -> bool {
    let Some(seed) = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()) else { return false };
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).expect("it can be asked for");
    let variable = |name: &str| std::env::var_os(name).expect("it is set as well");
    std::panic::set_hook(Box::new(|panic| tell(&Told::Wrong(format!("it {panic}")))));
    let before = std::fs::read_to_string(variable(BEFORE)).expect("what has happened before");
    let mut stories = Story::all(seed);
    for told in before.lines().filter_map(Told::parse) {
        told.happen(&mut stories);
    }
    if let Err(wrong) = live(seed, Path::new(&variable(DIRECTORY)), stories) {
        tell(&Told::Wrong(wrong));
    }
    true
}

/// One call for each line, so that none is told in part.
fn tell(told: &Told) {
    let line = format!("{told}\n");
    // Where nobody listens, this process is about to be killed.
    let _ = rustix::io::write(rustix::stdio::stdin(), line.as_bytes());
}

fn live(seed: u64, directory: &Path, stories: Vec<Story>) -> Result<(), String> {
    let store: Arc<dyn Store> = Arc::new(settings::open(seed, directory).map_err(|error| error.to_string())?);
    tell(&Told::Opened);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let recent = Arc::new(AtomicU64::new(0));
    runtime.block_on(async {
        let mut lives = tokio::task::JoinSet::new();
        for story in stories {
            lives.spawn(go_on(story, store.clone(), recent.clone()));
        }
        // None ends but for what is wrong.
        lives.join_next().await.map_or(Ok(()), |ended| ended.map_err(|error| error.to_string())?)
    })
}

async fn go_on(mut story: Story, store: Arc<dyn Store>, recent: Arc<AtomicU64>) -> Result<(), String> {
    let mut dice = Dice::new(story.seed ^ story.submitted << 8 ^ story.submitter as u64);
    loop {
        let mut answers = Vec::new();
        for _ in 0..1 + dice.below(PENDING) {
            tell(&Told::Submits(story.submitter));
            answers.push(store.submit(story.submit().commands.clone()));
        }
        for answer in answers {
            let outcomes = answer.await.map_err(|error| error.to_string())?;
            let facts = story.answer(outcomes)?;
            tell(&Told::Done(story.submitter, facts));
        }
        let now = store.status().recent;
        if recent.swap(now, Ordering::Relaxed) > now && story.submitter == 0 {
            tell(&Told::Checkpoint);
        }
        look(&story, &*store, &mut dice).await?;
    }
}

/// Compares some of what was acknowledged with what is there, while others write and all of it moves.
async fn look(story: &Story, store: &dyn Store, dice: &mut Dice) -> Result<(), String> {
    if dice.percent(30) {
        let items = story.items(|_| true);
        if !items.is_empty() {
            let item = items[dice.index(items.len())];
            judge::compare_item(story, store, &item.key()).await?;
        }
    }
    if dice.percent(1) {
        judge::compare_items(std::slice::from_ref(story), store).await?;
    }
    Ok(())
}
