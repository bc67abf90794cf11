//! The lives of one seed: a directory, the process that uses it, and the checks of each copy.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::Runtime;
use warden::store::CheckError;
use warden::store::Store;
use warden::store::engine::sled::OpenError;
use warden::store::engine::sled::check::check;

use crate::dice::Dice;
use crate::figures::Figures;
use crate::judge;
use crate::process::Process;
use crate::settings;
use crate::story::Story;
use crate::tail::{self, Files, Tail};
use crate::told::Told;

/// How many processes work in a directory, one after the other, and how often each is stopped.
const LIVES: usize = 2;
const STOPS: usize = 4;
/// After how many requests a process is stopped, and how many milliseconds later, at most.
const REQUESTS: u64 = 600;
const LATER: u64 = 4;
/// How often a stop is looked for at which the last record may be torn, and after how many requests more
/// each time.
const TRIES: usize = 12;
const REQUESTS_MORE: u64 = 16;
/// How often it is looked whether a directory is locked no more, a millisecond apart.
const UNLOCK_TRIES: usize = 10_000;
/// How often each submitter goes on in a copy.
const ROUNDS: usize = 8;

/// See the module's documentation.
pub struct Life<'a> {
    seed: u64,
    directory: PathBuf,
    dice: Dice,
    runtime: Runtime,
    stories: Vec<Story>,
    /// All that has happened to the stories.
    told: Vec<Told>,
    /// What the log of the last copy held.
    older: Files,
    figures: &'a Figures,
}

impl<'a> Life<'a> {
    /// In a directory of its own.
    pub fn new(seed: u64, directory: &Path, figures: &'a Figures) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        Ok(Self {
            seed,
            directory: directory.to_owned(),
            dice: Dice::new(seed),
            runtime: tokio::runtime::Builder::new_current_thread().build()?,
            stories: Story::all(seed),
            told: Vec::new(),
            older: Files::new(),
            figures,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Lives all lives; what is not as it must be.
    pub fn run(mut self) -> Result<(), String> {
        for life in 1..=LIVES {
            let before: String = self.told.iter().map(|told| format!("{told}\n")).collect();
            fs::write(self.path("before"), before).map_err(told_by_system)?;
            let mut process = Process::start(self.seed, &self.path("data"), &self.path("before"))
                .map_err(told_by_system)?;
            while process.next().and_then(|told| self.take(told))? != Told::Opened {}
            for stop in 1..=STOPS {
                if self.figures.is_over.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let at = |wrong| format!("life {life}, stop {stop}: {wrong}");
                let is_last = stop == STOPS;
                self.watch(&mut process).map_err(at)?;
                self.judge(is_last).map_err(|wrong| at(format!("the copy: {wrong}")))?;
                if !is_last {
                    process.go_on()?;
                }
            }
            drop(process);
            self.figures.lives.add(1);
        }
        self.count()
    }

    /// Has the process work on for a while, and stops it; often where the last record is not acknowledged.
    fn watch(&mut self, process: &mut Process) -> Result<(), String> {
        let requests = 1 + self.dice.below(REQUESTS);
        self.stop_after(process, requests)?;
        let tries = if self.dice.percent(70) { TRIES } else { 0 };
        for _ in 0..tries {
            let (_, tail) = self.tail().map_err(told_by_system)?;
            if self.may_be_torn(&tail).map_err(told_by_system)? {
                break;
            }
            process.go_on()?;
            let requests = 1 + self.dice.below(REQUESTS_MORE);
            self.stop_after(process, requests)?;
        }
        Ok(())
    }

    /// What the log holds, and its last record.
    fn tail(&self) -> io::Result<(Files, Tail)> {
        let log = tail::files(&self.path("data/log"))?;
        let tail = tail::last_record(&log);
        Ok((log, tail))
    }

    /// Whether the last record is one that a power cut may tear.
    fn may_be_torn(&self, tail: &Tail) -> io::Result<bool> {
        Ok(tail.is_unacknowledged(&self.stories) && tail.may_be_torn(&self.path("data"))?)
    }

    fn stop_after(&mut self, process: &mut Process, requests: u64) -> Result<(), String> {
        let mut left = requests;
        while left > 0 {
            if let Told::Done(..) = process.next().and_then(|told| self.take(told))? {
                left -= 1;
            }
        }
        // Anywhere between two things that are told.
        std::thread::sleep(Duration::from_micros(self.dice.below(LATER * 1000)));
        process.stop()?.into_iter().try_for_each(|told| self.take(told).map(drop))
    }

    fn take(&mut self, told: Told) -> Result<Told, String> {
        match &told {
            Told::Wrong(wrong) => return Err(wrong.clone()),
            Told::Checkpoint => self.figures.checkpoints.add(1),
            Told::Opened => {}
            _ => {
                told.happen(&mut self.stories);
                if let Told::Done(..) = told {
                    self.figures.requests.add(1);
                }
                self.told.push(told.clone());
            }
        }
        Ok(told)
    }

    /// Copies what the process has left so far, and holds that to what was told. The last copy is what the
    /// next process finds.
    fn judge(&mut self, is_last: bool) -> Result<(), String> {
        let copy = self.path("copy");
        if copy.exists() {
            fs::remove_dir_all(&copy).map_err(told_by_system)?;
        }
        copy_directory(&self.path("data"), &copy).map_err(told_by_system)?;
        self.figures.copies.add(1);
        let (log, tail) = self.tail().map_err(told_by_system)?;
        self.figures.unacknowledged.add(u64::from(tail.is_unacknowledged(&self.stories)));
        let may_be_torn = self.may_be_torn(&tail).map_err(told_by_system)?;
        if may_be_torn && !is_last && self.dice.percent(80) {
            tail.harm(&copy.join("log"), &self.older, &mut self.dice).map_err(told_by_system)?;
            self.figures.harmed.add(1);
        }
        if self.dice.percent(30) {
            self.check(&copy)?;
        }
        self.older = log;
        let mut stories = self.stories.clone();
        let open = || {
            let opened = unlocked(|| match settings::open(self.seed, &copy) {
                Err(OpenError::Locked(_)) => None,
                opened => Some(opened),
            });
            opened?.map_err(|error| format!("it does not open: {error}"))
        };
        let store = open()?;
        let told = self.runtime.block_on(async {
            let told = judge::catch_up(&mut stories, &store).await?;
            judge::compare(&stories, &store).await?;
            Ok::<_, String>(told)
        })?;
        if is_last {
            self.stories.clone_from(&stories);
            self.told.extend(told);
        }
        let lived_on = self.runtime.block_on(live_on(&mut stories, &store));
        lived_on.map_err(|wrong| format!("living on: {wrong}"))?;
        drop(store);
        let store = open().map_err(|wrong| format!("once more: {wrong}"))?;
        let lived_on = self.runtime.block_on(live_on(&mut stories, &store));
        lived_on.map_err(|wrong| format!("living on once more: {wrong}"))?;
        let compared = self.runtime.block_on(judge::compare(&stories, &store));
        compared.map_err(|wrong| format!("opened once more: {wrong}"))?;
        drop(store);
        if self.dice.percent(30) {
            self.check(&copy).map_err(|wrong| format!("closed: {wrong}"))?;
        }
        Ok(())
    }

    /// Has a directory checked.
    fn check(&self, copy: &Path) -> Result<(), String> {
        let scratch = self.path("scratch");
        fs::create_dir_all(&scratch).map_err(told_by_system)?;
        let checked = unlocked(|| match check(copy, &scratch, &mut |_| true) {
            Err(CheckError::Locked(_)) => None,
            checked => Some(checked),
        });
        let report = checked?.map_err(|error| error.to_string())?;
        if !report.findings.is_empty() {
            return Err(format!("the check finds {:?}", report.findings));
        }
        self.figures.checks.add(1);
        Ok(())
    }

    /// Counts what the lives have come to, by what is there in the end.
    fn count(&self) -> Result<(), String> {
        let files = tail::files(&self.path("data/log")).map_err(told_by_system)?;
        let newest = tail::segments(&files).last_key_value().map_or(0, |(number, _)| *number);
        self.figures.recycled.add(newest.saturating_sub(files.len() as u64));
        let entries = fs::read_dir(self.path("data/generations")).map_err(told_by_system)?;
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok());
        let numbers: Vec<u64> = numbers.collect();
        let newest = numbers.iter().max().copied().unwrap_or(0);
        self.figures.made.add(newest);
        self.figures.removed.add(newest - numbers.len() as u64);
        Ok(())
    }
}

/// Goes on with the stories in this process.
async fn live_on(stories: &mut [Story], store: &dyn Store) -> Result<(), String> {
    for _ in 0..ROUNDS {
        let answers: Vec<_> =
            stories.iter_mut().map(|story| store.submit(story.submit().commands.clone())).collect();
        for (story, answer) in stories.iter_mut().zip(join_all(answers).await) {
            story.answer(answer.map_err(|error| error.to_string())?)?;
        }
    }
    Ok(())
}

/// Does it once nobody else holds the lock of the directory. A process that another thread of this one starts
/// has all of its files for an instant, and so holds what was let go of a moment before.
fn unlocked<T>(mut attempt: impl FnMut() -> Option<T>) -> Result<T, String> {
    for _ in 0..UNLOCK_TRIES {
        if let Some(done) = attempt() {
            return Ok(done);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err("the directory stays locked".into())
}

fn told_by_system(error: io::Error) -> String {
    format!("the system says: {error}")
}

fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_directory(&from, &to)?;
        } else {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}
