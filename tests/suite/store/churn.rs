//! Short-lived small items, as many as in a year: neither memory nor disk may grow.
//!
//! Memory is that of a process, so the churn has its own: this binary, running only this test. `CHURN_ITEMS`
//! is the number of items.

use std::collections::VecDeque;
use std::process::Command as Process;

use warden::model::ItemNumber;
use warden::store::{Command, Creation, Health as _, ListItems, Reads as _, Writes as _};

use super::engine::open;
use super::sample::{IntoCommand, at, close, created, creation, everything, key};

const ITEMS: usize = 1_000_000;
/// Open at any moment.
const LIVE: usize = 10_000;
/// Created, and as many closed and forgotten, by one list of commands.
const AT_ONCE: usize = 500;
const PAYLOAD: &[u8] = &[b'x'; 100];
/// Half as much again as a few minutes of churn are known to take, and more; a leak takes gigabytes.
const MEMORY_MAX: usize = 192 << 20;
/// The database, and the segments of the log.
const DISK_MAX: u64 = (64 << 20) + (96 << 20);

/// Set for the process that churns: the data directory.
const CHILD: &str = "WARDEN_TEST_CHURN_IN";

#[test]
fn churning_millions_of_small_items_takes_no_more_memory_and_disk_than_a_few() {
    if let Some(directory) = std::env::var_os(CHILD) {
        return churn(directory.as_ref());
    }
    let directory = tempfile::tempdir().unwrap();
    let name = std::thread::current().name().unwrap().to_owned();
    let output = Process::new(std::env::current_exe().unwrap())
        .args([&name, "--exact", "--nocapture"])
        .env(CHILD, directory.path())
        .output()
        .unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{complained}");
    println!("{said}");
}

/// Strewn over the index, as clients' ids are.
fn id(index: usize) -> String {
    format!("{:016x}", (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn memory(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}

fn churn(directory: &std::path::Path) {
    let items = std::env::var("CHURN_ITEMS").map_or(ITEMS, |items| items.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = open(directory).unwrap();
    let mut live: VecDeque<(usize, ItemNumber)> = VecDeque::new();
    let mut early = 0;
    let sample = creation("sample", PAYLOAD);
    let new_items = |first: usize| -> Vec<Command> {
        let keys = (first..first + AT_ONCE).map(|index| key(&id(index)));
        keys.map(|key| Creation { key, ..sample.clone() }.into_command()).collect()
    };
    let mut next = new_items(0);
    for first in (0..items).step_by(AT_ONCE) {
        let mut commands = std::mem::take(&mut next);
        while live.len() + AT_ONCE > LIVE {
            let (index, number) = live.pop_front().unwrap();
            commands.push(close(&id(index), at(1)));
            commands.push(Command::Forget(number));
        }
        let outcomes = store.submit(commands);
        // Prepared while the store is at work.
        next = new_items(first + AT_ONCE);
        let outcomes = runtime.block_on(outcomes).unwrap();
        let numbers = outcomes.into_iter().take(AT_ONCE).map(|outcome| created(outcome).number);
        live.extend((first..).zip(numbers));
        if early == 0 && first >= items / 4 {
            early = memory("VmRSS");
        }
    }
    let (late, most, disk) = (memory("VmRSS"), memory("VmHWM"), store.disk_use().used);
    println!(
        "{items} items; memory {} MiB after a quarter, {} MiB at the end, {} MiB at most; disk {} MiB",
        early >> 20,
        late >> 20,
        most >> 20,
        disk >> 20
    );
    assert!(most < MEMORY_MAX, "{most} bytes of memory");
    assert!(late < early + early / 4, "{late} bytes of memory at the end, after {early} bytes early on");
    assert!(disk < DISK_MAX, "{disk} bytes on disk");
    let question = ListItems { now: at(2).into(), ..everything(LIVE + 1) };
    let listed = runtime.block_on(store.list(question)).unwrap().data;
    assert!(listed.iter().map(|item| item.number).eq(live.iter().map(|(_, number)| *number)));
}
