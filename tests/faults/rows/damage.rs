//! Damaged data: a flipped bit or a truncated file. Either it is irrelevant, or it is reported; never silent.

mod harm;
mod patient;
mod pristine;
mod verdict;

use std::collections::BTreeMap;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use self::harm::Harm;
use self::pristine::{ITEMS, MAKINGS, Pristine};
use self::verdict::{Verdict, judge};
use crate::trial::{Skipped, Trial};

/// How many damages a short run tries, and how many are tried at once.
const SHORT: u32 = 36;
const AT_ONCE: usize = 3;
/// By which number the choice of damages is repeated.
const SEED: &str = "FAULTS_SEED";
/// Amid how many payloads that a file holds it is damaged, and from how many bytes on a payload is one of
/// them.
const HITS: usize = 6;
const LARGE: usize = 5_000;
/// How many problems are told in full.
const TOLD: usize = 30;

/// A file of the data directory is damaged while no daemon works in it.
pub async fn of_files(trial: Trial) -> Result<(), Skipped> {
    let seed = match std::env::var(SEED) {
        Ok(text) => text.parse().map_err(|_| Skipped(format!("{SEED} is no number: {text:?}")))?,
        Err(_) => rand::rng().random(),
    };
    let pristine = join_all(MAKINGS.iter().map(|making| Pristine::make(&trial, making))).await;
    let mut trials = all_trials(&pristine, seed);
    let all = trials.len();
    trials.truncate(trial.rounds(SHORT, u32::MAX) as usize);
    trial.note(format!("{} of {all} damages, chosen by {SEED}={seed}", trials.len()));
    let by_place = trials.len() > SHORT as usize;

    // On what nobody damaged everything is there.
    let sound = pristine.iter().map(|pristine| (pristine, None));
    let trials = sound.chain(trials.into_iter().map(|(pristine, harm)| (pristine, Some(harm))));
    let judged = trials.map(|(pristine, harm)| async move {
        let verdict = judge(pristine, harm.as_ref()).await;
        (pristine, harm, verdict)
    });
    let mut judged = stream::iter(judged.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
    let mut accepted = Vec::new();
    let (mut problems, mut counts) = (Vec::new(), BTreeMap::<_, BTreeMap<&'static str, u32>>::new());
    while let Some((pristine, harm, verdict)) = judged.next().await {
        trial.held(pristine.items.len());
        let harmed = harm.as_ref().map_or("not damaged".into(), Harm::to_string);
        let place = harm.as_ref().filter(|_| by_place);
        let place = place.map_or("all".into(), |harm| format!("{}: {}", pristine.name, harm.file.display()));
        trial.made_times(harm.iter().len() as u32);
        *counts.entry(place).or_default().entry(verdict.name()).or_default() += 1;
        match verdict {
            Verdict::Silent(what) => trial.lost(format!("{}: {harmed}: {what}", pristine.name)),
            Verdict::Wrong(what) => problems.push(format!("{}: {harmed}: {what}", pristine.name)),
            Verdict::Refused(kept) => accepted.push(kept),
            Verdict::Harmless | Verdict::Failed | Verdict::Told => {}
        }
    }
    if let Some(least) = accepted.iter().min() {
        let (times, sum) = (accepted.len(), accepted.iter().sum::<usize>());
        let each = sum / times;
        trial.note(format!(
            "{times} times damage was accepted, and of about {ITEMS} items {each} are there, at least {least}"
        ));
    }
    for (place, counts) in counts {
        let counts: Vec<_> = counts.into_iter().map(|(name, count)| format!("{count} {name}")).collect();
        trial.note(format!("{place}: {}", counts.join(", ")));
    }
    let told = problems.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(problems.is_empty(), "{} times:\n{told}", problems.len());
    Ok(())
}

/// All damages, so shuffled that the first ones are of as many files as there are.
fn all_trials(pristine: &[Pristine], seed: u64) -> Vec<(&Pristine, Harm)> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut groups = Vec::new();
    for pristine in pristine {
        for file in pristine.files() {
            let bytes = std::fs::read(pristine.scene.data().join(&file)).expect("a file");
            groups.push((pristine, Harm::all(&file, &bytes)));
            // What is hit at random is hardly ever a payload that is still needed.
            let payloads = pristine.items.iter().filter_map(|expected| expected.payload.as_deref());
            let mut large: Vec<&[u8]> = payloads.filter(|payload| payload.len() >= LARGE).collect();
            large.shuffle(&mut random);
            let hits = large.into_iter().filter_map(|payload| Harm::amid(&file, &bytes, payload));
            groups.push((pristine, hits.take(HITS).collect()));
        }
    }
    let mut trials = Vec::new();
    for (pristine, mut harms) in groups {
        harms.shuffle(&mut random);
        let numbered = harms.into_iter().enumerate();
        trials.extend(numbered.map(|(number, harm)| (number, random.random::<u32>(), pristine, harm)));
    }
    trials.sort_by_key(|(number, order, ..)| (*number, *order));
    trials.into_iter().map(|(_, _, pristine, harm)| (pristine, harm)).collect()
}
