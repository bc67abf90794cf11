use std::collections::BTreeMap;
use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use super::*;

const SEGMENT_SIZE: usize = HEAD_SIZE + 2048;

fn settings() -> LogSettings {
    LogSettings { id: [7; 16], segment_size: SEGMENT_SIZE, bytes_max: 1 << 20, bytes_ready: 0 }
}

/// A log in a directory of its own, and what was written to it.
struct Scene {
    directory: tempfile::TempDir,
    log: Option<Log>,
    written: Vec<Vec<u8>>,
    covered: u64,
    random: StdRng,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut scene = Self {
            directory: tempfile::tempdir().unwrap(),
            log: None,
            written: Vec::new(),
            covered: 0,
            random: StdRng::seed_from_u64(seed),
        };
        scene.open().unwrap();
        scene
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// Opens it, checks that what is read is what was written, and returns the torn record.
    fn open(&mut self) -> Result<Option<Torn>, LogError> {
        self.log = None;
        let mut read = Vec::new();
        let opened = Log::open(&self.path(), &settings(), self.covered, &mut |record| {
            read.push(record.to_vec());
            Ok(())
        })?;
        let last = opened.log.last() as usize;
        let expected = &self.written[self.covered as usize..last];
        assert!(read == expected, "{} records are read of {} to {last}", read.len(), self.covered + 1);
        self.written.truncate(last);
        self.log = Some(opened.log);
        Ok(opened.torn)
    }

    fn log(&mut self) -> &mut Log {
        self.log.as_mut().unwrap()
    }

    fn append(&mut self, size: usize) {
        let mut record = vec![0; size];
        self.random.fill_bytes(&mut record);
        assert!(self.log().make_room(size, true).unwrap());
        let sequence = self.log().append(&record).unwrap();
        self.written.push(record);
        assert_eq!(sequence, self.written.len() as u64);
    }

    fn write(&mut self, size: usize) {
        self.append(size);
        self.log().sync().unwrap();
    }

    fn write_some(&mut self, count: usize) {
        for _ in 0..count {
            let size = if self.random.random_ratio(1, 8) { 6000 } else { 300 };
            let size = self.random.random_range(0..size);
            self.write(size);
        }
    }

    fn cover(&mut self, record: u64) {
        self.covered = record;
        self.log().segments().release(record, false).unwrap();
    }

    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = segments::files(&self.path()).unwrap();
        files.into_iter().map(|(_, path)| (path.clone(), std::fs::read(path).unwrap())).collect()
    }

    fn restore(&mut self, files: &BTreeMap<PathBuf, Vec<u8>>) {
        self.log = None;
        std::fs::remove_dir_all(self.path()).unwrap();
        std::fs::create_dir(self.path()).unwrap();
        for (path, bytes) in files {
            std::fs::write(path, bytes).unwrap();
        }
    }
}

#[test]
fn what_was_written_is_read_whatever_its_size_and_wherever_segments_end() {
    for seed in 0..20 {
        let mut scene = Scene::new(seed);
        for _ in 0..6 {
            scene.write_some(12);
            assert_eq!(scene.open().unwrap(), None);
        }
        for size in SEGMENT_SIZE - HEAD_SIZE - 60..SEGMENT_SIZE - HEAD_SIZE + 4 {
            scene.write(size);
        }
        assert_eq!(scene.open().unwrap(), None);
    }
}

#[test]
fn segments_are_written_over_and_few_are_kept() {
    let mut scene = Scene::new(1);
    let mut most = 0;
    for round in 0..60 {
        scene.write_some(10);
        let covered = scene.written.len() as u64 - scene.random.random_range(0..5);
        scene.cover(covered);
        most = most.max(scene.files().len());
        if round % 3 == 0 {
            assert_eq!(scene.open().unwrap(), None);
        }
    }
    assert!(scene.written.len() == 600 && most < 30, "{most} files");
    scene.cover(600);
    assert!(scene.files().len() <= 9, "{} files", scene.files().len());
}

#[test]
fn what_is_longer_than_the_log_may_be_is_told_before_anything_is_written() {
    let mut scene = Scene::new(2);
    scene.write_some(3);
    assert!(!scene.log().make_room(2 << 20, true).unwrap());
    scene.write(100);
    assert_eq!(scene.open().unwrap(), None);
}

/// A possible state of the disk after a power cut, for files that were synced as `before` and then written as
/// `after`.
fn cut(
    before: &BTreeMap<PathBuf, Vec<u8>>,
    after: &BTreeMap<PathBuf, Vec<u8>>,
    random: &mut StdRng,
) -> BTreeMap<PathBuf, Vec<u8>> {
    let share = random.random_range(0..=4);
    let mixed = after.iter().map(|(path, bytes)| {
        let mut mixed = before.get(path).cloned().unwrap_or_else(|| vec![0; bytes.len()]);
        for (mixed, new) in mixed.chunks_mut(512).zip(bytes.chunks(512)) {
            if random.random_ratio(share, 4) {
                mixed.copy_from_slice(new);
            }
        }
        (path.clone(), mixed)
    });
    mixed.collect()
}

#[test]
fn a_power_cut_takes_nothing_but_what_was_not_synced() {
    let mut torn = 0;
    for seed in 0..60 {
        let mut scene = Scene::new(seed);
        for _ in 0..4 {
            scene.write_some(6);
            if seed % 2 == 0 {
                scene.cover(scene.written.len() as u64 - 2);
            }
            let (before, synced) = (scene.files(), scene.written.len());
            scene.append([40, 1500, 9000][seed as usize % 3]);
            let after = scene.files();
            let left = cut(&before, &after, &mut scene.random);
            scene.restore(&left);
            torn += usize::from(scene.open().unwrap().is_some());
            assert!(scene.written.len() >= synced, "{} of {synced} are left", scene.written.len());
        }
    }
    assert!(torn > 20, "{torn} were seen to be torn");
}

#[test]
fn a_changed_byte_is_told_or_harmless_unless_nothing_came_after_it() {
    for seed in 0..2 {
        let mut scene = Scene::new(seed);
        scene.write_some(25);
        scene.cover(9);
        scene.write_some(5);
        let (files, written) = (scene.files(), scene.written.clone());
        let (mut told, mut lost) = (0, 0);
        for path in files.keys() {
            for at in (0..SEGMENT_SIZE).step_by(61) {
                let mut changed = files.clone();
                changed.get_mut(path).unwrap()[at] ^= 1 << (at % 8);
                scene.restore(&changed);
                scene.written.clone_from(&written);
                match scene.open() {
                    Ok(_) => {
                        assert!(
                            scene.written.len() + 1 >= written.len(),
                            "only the last may be taken for torn"
                        );
                        lost += usize::from(scene.written.len() < written.len());
                    }
                    Err(LogError::Damaged { .. }) => told += 1,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        assert!(told > 20 && lost < told / 4, "{told} were told, {lost} were taken for torn");
    }
}

#[test]
fn a_file_that_is_missing_is_told_or_was_not_needed() {
    for seed in 0..10 {
        let mut scene = Scene::new(seed);
        scene.write_some(40);
        scene.cover(12);
        // Small ones, so that several begin in the last segment.
        (0..5).for_each(|_| scene.write(20));
        let (files, written) = (scene.files(), scene.written.clone());
        let number = |bytes: &&Vec<u8>| Head::decode(bytes).map(|head| head.number);
        let newest = files.values().max_by_key(number).unwrap();
        let mut told = 0;
        for path in files.keys() {
            let mut fewer = files.clone();
            fewer.remove(path);
            scene.restore(&fewer);
            scene.written.clone_from(&written);
            match scene.open() {
                // Without the newest file nothing in the log shows that it existed.
                Ok(_) => assert!(scene.written.len() == written.len() || files[path] == *newest),
                Err(LogError::Damaged { .. }) => told += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(told > 0, "some were needed");
    }
}

#[test]
fn a_file_that_is_cut_short_is_told_also_if_it_is_the_newest() {
    let mut scene = Scene::new(5);
    scene.write_some(12);
    let files = scene.files();
    for path in files.keys() {
        for length in [0, 100, HEAD_SIZE, SEGMENT_SIZE - 1] {
            let mut cut = files.clone();
            cut.get_mut(path).unwrap().truncate(length);
            scene.restore(&cut);
            let error = scene.open().unwrap_err();
            assert!(matches!(error, LogError::Damaged { .. }), "{} of {length}: {error}", path.display());
        }
    }
}

#[test]
fn who_has_lost_what_says_which_log_it_is_finds_that_in_its_files() {
    let mut scene = Scene::new(6);
    scene.write_some(30);
    let (id, size, covered) = find_newest(&scene.path()).unwrap().unwrap();
    assert_eq!((id, size), ([7; 16], SEGMENT_SIZE));
    let mut read = Vec::new();
    let visit = &mut |record: &[u8]| {
        read.push(record.to_vec());
        Ok(())
    };
    Log::open(&scene.path(), &settings(), covered, visit).unwrap();
    assert!(scene.written.ends_with(&read) && !read.is_empty(), "{} of {}", read.len(), scene.written.len());
    assert!(find_newest(tempfile::tempdir().unwrap().path()).unwrap().is_none());
}

#[test]
fn what_was_torn_is_never_read_as_a_part_of_what_comes_after() {
    for seed in 0..60 {
        let mut scene = Scene::new(seed);
        scene.write_some(5);
        let before = scene.files();
        scene.append(9000);
        // Only the end of the record reached the disk.
        let mut left = scene.files();
        for (path, bytes) in &mut left {
            if let Some(old) = before.get(path).filter(|old| *old != bytes) {
                bytes.clone_from(old);
            }
        }
        scene.restore(&left);
        scene.open().unwrap();
        let size = scene.random.random_range(0..9000);
        scene.write(size);
        scene.write_some(2);
        assert_eq!(scene.open().unwrap(), None);
    }
}

#[test]
fn a_segment_of_another_log_is_never_read() {
    let mut scene = Scene::new(3);
    scene.write_some(8);
    let other = LogSettings { id: [8; 16], ..settings() };
    let opened = Log::open(&scene.path(), &other, 0, &mut |_| panic!("nothing is there")).unwrap();
    assert_eq!(opened.log.last(), 0);
}
