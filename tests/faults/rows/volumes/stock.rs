//! The items that fill a volume, and their expected state.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

use super::desk::{Answer, Desk};
use crate::trial::Trial;

/// How often each client is refused before it gives up, and how long it waits each time.
const REFUSALS: u32 = 12;
const REFUSED_PAUSE: Duration = Duration::from_millis(50);
/// On how many of them they report progress.
const FEW: usize = 20;
/// How many items people give more time while the volume is full.
const REPORTS: usize = 300;
/// How many payloads are looked at each time, and of how many items the progress.
const LOOKED_AT: usize = 100;
/// How many questions are asked at once.
const QUESTIONS: usize = 16;
/// How many closes go by one request, where creates do as well.
const CLOSES_AT_ONCE: usize = 500;

/// In which order items are closed.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    Oldest,
    Latest,
    Shuffled,
}

/// Items of one size.
pub struct Stock {
    size: usize,
    clients: usize,
    /// How many are created by one request; where that is one, each goes by a request of its own.
    at_once: usize,
    next: AtomicU64,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Acknowledged and not closed, in about the order in which they were.
    open: Vec<u64>,
    /// Those whose create was not answered.
    unsure: Vec<u64>,
    /// Those whose progress was taken.
    reported: BTreeSet<u64>,
}

impl Order {
    /// Each in its turn.
    pub fn of_cycle(cycle: u32) -> Self {
        [Self::Oldest, Self::Latest, Self::Shuffled][cycle as usize % 3]
    }
}

impl Stock {
    /// None yet.
    pub fn new(size: usize, clients: usize, at_once: usize) -> Self {
        Self { size, clients, at_once, next: AtomicU64::new(0), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("not poisoned")
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.known().open.len()
    }

    /// The payload of an item, determined by its number. It cannot be compressed.
    fn payload(&self, number: u64) -> Vec<u8> {
        let mut bytes = vec![0; self.size];
        StdRng::seed_from_u64(number).fill_bytes(&mut bytes);
        bytes
    }

    /// Creates items until every client was refused again and again.
    pub async fn fill(&self, desk: &Desk) -> Result<(), String> {
        let fill = || async {
            let (mut refusals, mut at_once) = (0, self.at_once);
            while refusals < REFUSALS {
                if self.create_some(desk, at_once).await? == 0 {
                    refusals += 1;
                    at_once = 1;
                    tokio::time::sleep(REFUSED_PAUSE).await;
                } else {
                    at_once = self.at_once.min(2 * at_once);
                }
            }
            Ok(())
        };
        join_all((0..self.clients).map(|_| fill())).await.into_iter().collect()
    }

    /// Creates so many, one after the other. Each is tried until it is taken: while compaction writes a
    /// generation, the room is less for a moment.
    pub async fn create(&self, desk: &Desk, count: usize) -> Result<(), String> {
        for _ in 0..count {
            while self.create_some(desk, 1).await? == 0 {
                tokio::time::sleep(REFUSED_PAUSE).await;
            }
        }
        Ok(())
    }

    /// Tries to create so many by one request; how many were taken. The others were refused because there is
    /// no room.
    async fn create_some(&self, desk: &Desk, count: usize) -> Result<usize, String> {
        let first = self.next.fetch_add(count as u64, Ordering::Relaxed);
        let numbers: Vec<u64> = (first..first + count as u64).collect();
        let asked = match *numbers {
            [number] => desk.create(number, self.payload(number)).await.map(|answer| vec![answer]),
            _ => desk.create_batch(numbers.iter().map(|number| (*number, self.payload(*number)))).await,
        };
        let answers = match asked {
            Ok(answers) => answers,
            Err(problem) => {
                self.known().unsure.extend(numbers);
                return Err(format!("creating {first}: {problem}"));
            }
        };
        let mut taken = 0;
        for (number, (status, said)) in numbers.into_iter().zip(answers) {
            match status {
                201 => {
                    self.known().open.push(number);
                    taken += 1;
                }
                507 if said["type"] == "/problems/storage-full" && said["detail"].is_string() => {}
                _ => return Err(format!("the create of {number} was answered with {status} {said}")),
            }
        }
        Ok(taken)
    }

    /// Gives some items more time, each of which must be taken, and reports progress on a few, which must be
    /// taken as well: there is room for that when there is none for items.
    pub async fn report_progress(&self, desk: &Desk) -> Result<(), String> {
        let numbers: Vec<u64> = self.known().open.sample(&mut rand::rng(), REPORTS).copied().collect();
        let count = numbers.len();
        let extended = numbers.clone().into_iter().map(|number| async move { desk.extend(number).await });
        let extended: Vec<_> = stream::iter(extended).buffer_unordered(QUESTIONS).collect().await;
        for answer in extended {
            let (status, said) = answer?;
            if status != 200 {
                return Err(format!("more time was refused with {status} {said}"));
            }
        }
        let few = numbers.into_iter().take(FEW);
        let count = count.min(FEW);
        let reports = few.map(|number| async move { (number, desk.report(number).await) });
        let mut reports = stream::iter(reports).buffer_unordered(QUESTIONS);
        let mut refused = Vec::new();
        while let Some((number, answer)) = reports.next().await {
            match answer? {
                (200, _) => drop(self.known().reported.insert(number)),
                (status, said) => refused.push(format!("that of {number} was answered with {status} {said}")),
            }
        }
        match refused.first() {
            Some(first) => {
                Err(format!("{} of {count} reports of progress were refused: {first}", refused.len()))
            }
            None => Ok(()),
        }
    }

    /// Finds out what became of the creates that were not answered.
    pub async fn settle_unsure(&self, desk: &Desk) -> Result<(), String> {
        let unsure = std::mem::take(&mut self.known().unsure);
        for number in unsure {
            match desk.item(number).await? {
                (200, _) => self.known().open.push(number),
                (404, _) => {}
                (status, said) => return Err(format!("item {number} is now {status} {said}")),
            }
        }
        Ok(())
    }

    /// Holds the daemon to what it acknowledged: it counts as many as are open, and some are looked at. How
    /// many it was held to.
    pub async fn hold(&self, trial: &Trial, desk: &Desk) -> Result<usize, String> {
        let (open, stats) = (self.open(), desk.stats().await?);
        if stats["open"] != open {
            trial.lost(format!("{open} items are open, and it counts {stats}"));
        }
        let (some, reported): (Vec<u64>, Vec<u64>) = {
            let known = self.known();
            let some = known.open.sample(&mut rand::rng(), LOOKED_AT).copied();
            let reported = known.open.iter().copied().filter(|number| known.reported.contains(number));
            (some.collect(), reported.take(LOOKED_AT).collect())
        };
        let payloads = some.into_iter().map(|number| async move {
            let (status, bytes) = desk.payload(number).await?;
            if status != 200 || bytes != self.payload(number) {
                trial.lost(format!("item {number}: its payload is {status}, {} bytes", bytes.len()));
            }
            Ok(())
        });
        let progress = reported.into_iter().map(|number| async move {
            let (status, said) = desk.item(number).await?;
            if said["progress"]["seen"] != number {
                trial.lost(format!("item {number}: its progress is not there: {status} {said}"));
            }
            Ok(())
        });
        let payloads = stream::iter(payloads).buffer_unordered(QUESTIONS).collect::<Vec<_>>().await;
        let progress = stream::iter(progress).buffer_unordered(QUESTIONS).collect::<Vec<_>>().await;
        payloads.into_iter().chain(progress).collect::<Result<(), String>>()?;
        Ok(open)
    }

    /// Closes all that are open, each of which must be taken; how many.
    pub async fn close_all(&self, desk: &Desk, order: Order) -> Result<usize, String> {
        let mut numbers = std::mem::take(&mut self.known().open);
        match order {
            Order::Oldest => {}
            Order::Latest => numbers.reverse(),
            Order::Shuffled => numbers.shuffle(&mut rand::rng()),
        }
        let at_once = if self.at_once == 1 { 1 } else { CLOSES_AT_ONCE };
        let requests: Vec<Vec<u64>> = numbers.chunks(at_once).map(<[u64]>::to_vec).collect();
        let closes = requests.into_iter().map(|numbers| close(desk, numbers));
        let mut closed = stream::iter(closes).buffer_unordered(self.clients);
        let (count, mut done, mut refused) = (numbers.len(), 0, Vec::new());
        while let Some(answers) = closed.next().await {
            let answers = answers.map_err(|problem| format!("after {done} of {count} closes: {problem}"))?;
            for (number, (status, said)) in answers {
                if (200..300).contains(&status) {
                    done += 1;
                } else {
                    refused.push(format!("the close of {number} was answered with {status} {said}"));
                }
            }
        }
        match refused.first() {
            Some(first) => Err(format!("{} of {count} closes were refused: {first}", refused.len())),
            None => Ok(count),
        }
    }
}

async fn close(desk: &Desk, numbers: Vec<u64>) -> Result<Vec<(u64, Answer)>, String> {
    let answers = match *numbers {
        [number] => vec![desk.close(number).await?],
        _ => desk.close_batch(&numbers).await?,
    };
    Ok(numbers.into_iter().zip(answers).collect())
}
