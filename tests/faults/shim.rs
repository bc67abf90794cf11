//! Libraries that are preloaded into the daemon: `failing.c`, which makes reads and writes fail, and
//! libfaketime, which sets its wall clock.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::scene::Scene;
use super::support::faketime;

/// Orders to the calls of a daemon that reads and writes by `failing.c`.
pub struct Failing {
    orders: PathBuf,
}

impl Failing {
    /// Has the daemon of the scene read and write by it from its next start on. Where there is no C compiler
    /// it says so.
    pub fn load_into(scene: &mut Scene) -> Result<Self, String> {
        let library = scene.directory().join("failing.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/failing.c");
        let compile = Command::new("cc")
            .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .args([source, "-ldl"])
            .output()
            .map_err(|error| format!("cc: {error}"))?;
        assert!(compile.status.success(), "failing.c: {}", String::from_utf8_lossy(&compile.stderr));
        let orders = scene.directory().join("orders");
        std::fs::create_dir(&orders).expect("a directory");
        scene.set("LD_PRELOAD", library);
        scene.set("FAILING", &orders);
        Ok(Self { orders })
    }

    /// Has the next call of this kind fail.
    pub fn once(&self, call: &str) {
        self.order(call, 0);
    }

    /// Has every call of this kind fail.
    pub fn always(&self, call: &str) {
        self.order(&format!("{call}.always"), 0);
    }

    /// Has every read fail that touches the sector at this place of the file that is read.
    pub fn bad_sector(&self, place: u64) {
        self.order("pread.bad", place);
    }

    fn order(&self, name: &str, number: u64) {
        // The daemon must not see it half written.
        let draft = self.orders.join(format!("{name}.draft"));
        std::fs::write(&draft, number.to_string()).expect("an order can be written");
        std::fs::rename(&draft, self.orders.join(name)).expect("an order can be given");
    }

    /// Takes all orders back; whether one was there that a single call was to carry out, and had not.
    pub fn take_back(&self) -> bool {
        let mut pending = false;
        for entry in std::fs::read_dir(&self.orders).expect("a directory") {
            let order = entry.expect("an entry");
            // It may be carried out at this moment.
            let taken = std::fs::remove_file(order.path()).is_ok();
            pending |= taken && Path::new(&order.file_name()).extension().is_none();
        }
        pending
    }
}

/// The wall clock of a daemon that reads it by libfaketime.
pub struct WallClock {
    offset: PathBuf,
}

impl WallClock {
    /// Has the daemon of the scene read its wall clock by it from its next start on. Where it is not
    /// installed it says so.
    pub fn load_into(scene: &mut Scene) -> Result<Self, String> {
        let library = faketime::library().ok_or("libfaketime is not installed (Debian: faketime)")?;
        let clock = Self { offset: scene.directory().join("offset") };
        clock.set(0);
        scene.set("LD_PRELOAD", library);
        scene.set("FAKETIME_TIMESTAMP_FILE", &clock.offset);
        scene.set("FAKETIME_NO_CACHE", "1");
        // Nobody can set those clocks on a real machine either.
        scene.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        scene.set("NO_FAKE_STAT", "1");
        Ok(clock)
    }

    /// Sets it that many seconds ahead of the real one, or behind it.
    pub fn set(&self, seconds: i64) {
        let draft = self.offset.with_extension("draft");
        std::fs::write(&draft, format!("{seconds:+}")).expect("an offset can be written");
        std::fs::rename(&draft, &self.offset).expect("an offset can be set");
    }
}
