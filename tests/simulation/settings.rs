//! The configuration of the daemon: different in each life, in alerting intervals and concurrency.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use warden::config::{Config, ConfigFile, Sources};

use crate::dice::Dice;
use crate::runs::RUN_WORKFLOWS;
use crate::world::{MADE_UP_MAX, WORKFLOWS};

/// The longest that any life waits before it tells of an incident.
pub const GROUP_WAIT_MAX: Duration = Duration::from_secs(120);
/// The longest that any life waits before it tells again of an incident that flaps.
pub const DAMPING_MAX: Duration = Duration::from_secs(180);
/// How long a closed item is remembered.
pub const RETENTION: Duration = Duration::from_secs(20 * 60);
/// When an item is due whose creator does not say so.
pub const DEADLINE: Duration = Duration::from_secs(5 * 60);

/// The settings of one life.
pub struct Settings {
    pub config: Config,
    pub group_wait: Duration,
    /// How long an incident that flaps is held back; zero where none is.
    pub damping: Duration,
}

impl Settings {
    /// Some that may be.
    pub fn any(dice: &Dice) -> Self {
        let group_wait = *dice.pick(&[0, 10, GROUP_WAIT_MAX.as_secs()]);
        let group_interval = dice.pick(&[30, 180]);
        let flapping_after = *dice.pick(&[0, 1, 2]);
        let damping = *dice.pick(&[30, DAMPING_MAX.as_secs()]);
        let repeat_interval = dice.pick(&["5m", "4h"]);
        let concurrency = dice.pick(&["1", "8"]);
        let (deadline, retention) = (DEADLINE.as_secs(), RETENTION.as_secs());
        let workflows_max = WORKFLOWS.len() + RUN_WORKFLOWS.len() + MADE_UP_MAX;
        let text = format!(
            r#"
            [limits]
            workflows_max = {workflows_max}
            [alerting]
            group_wait = "{group_wait}s"
            group_interval = "{group_interval}s"
            flapping_after = {flapping_after}
            damping = "{damping}s"
            repeat_interval = "{repeat_interval}"
            receivers = ["oncall"]
            [workflow_defaults]
            deadline = "{deadline}s"
            retention = "{retention}s"
            [receiver_defaults]
            concurrency = {concurrency}
            [receivers.oncall]
            url = "http://oncall.test/hook"
            [receivers.chat]
            url = "http://chat.test/hook"
            [receivers.manager]
            url = "http://manager.test/hook"
            [workflows.uploads]
            steps = ["copy", "backup"]
            keep_payload = "5m"
            [workflows.reports]
            receivers = ["oncall", "chat"]
            group_by = ["region"]
            escalate = [{{ after = "10m", receivers = ["manager"] }}]
            [workflows.mails]
            retry = {{ max = 2, backoff = "5s..1m", jitter = 0.2 }}
            redrive = {{ url = "http://target.test/redrive", after = "2m", max_attempts = 2, rate = "1/s" }}
            fallback = ["manager"]
            [receivers.chain]
            url = "http://chain.test/hook"
            events = [
                "run.started", "run.completed", "run.failed", "run.aborted", "run.overdue", "item.closed",
            ]
            [workflows.nightly]
            receivers = ["oncall", "chain"]
            hold_after = 2
            [workflows.nightly.jobs.all]
            [workflows.summary]
            receivers = ["oncall", "chain"]
            requires = [{{ workflow = "nightly", else = "held" }}]
            "#
        );
        Self {
            config: read(text),
            group_wait: Duration::from_secs(group_wait),
            damping: Duration::from_secs(if flapping_after == 0 { 0 } else { damping }),
        }
    }
}

/// Reads a configuration. There are few, and each is read once: that takes its time in a debug build.
fn read(text: String) -> Config {
    static READ: Mutex<BTreeMap<String, Config>> = Mutex::new(BTreeMap::new());
    let mut read = READ.lock().expect("nothing panics under the lock");
    let config = read.entry(text).or_insert_with_key(|text| {
        let file = Some(ConfigFile::from_text("simulation.toml", text));
        Config::load(Sources { file, ..Sources::default() }).unwrap_or_else(|error| panic!("{error}"))
    });
    config.clone()
}
