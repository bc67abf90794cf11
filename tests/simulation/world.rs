//! One simulated world: a daemon that lives and dies, people and programs that use it, and all that goes wrong around it.
//!
//! Everything runs on one thread, by one clock, and by the rolls of one seed, so that a seed is a story that can be told again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::JoinSet;
use warden::app::Surroundings;
use warden::config::{Config, ConfigFile, Sources};
use warden::model::{Clock, ItemKey, ReplayStatus, SeededRandom, Timestamp};
use warden::warden::{Loops, Warden};

use crate::clients::Client;
use crate::clock::SimulatedClock;
use crate::dice::Dice;
use crate::digest::Digest;
use crate::disk::{Disk, Faults, SimulatedStore};
use crate::history::{History, Listener};
use crate::network::{Mood, Network, RECOVERY};
use crate::operator::Operator;
use crate::quiet::Quiet;
use crate::target::Target;
use crate::watch::{SLACK, Watch, Weather};

pub const WORKFLOWS: [&str; 3] = ["uploads", "reports", "mails"];
/// The workflow whose items are split by their region.
pub const SPLIT_WORKFLOW: &str = "reports";
pub const RECEIVERS: [&str; 3] = ["oncall", "chat", "manager"];
/// How long a closed item is remembered.
pub const RETENTION: Duration = Duration::from_secs(20 * 60);
/// The longest of all configurations.
pub const GROUP_WAIT_MAX: Duration = Duration::from_secs(120);
/// The longest of all configurations.
pub const GROUP_INTERVAL_MAX: Duration = Duration::from_secs(180);
/// 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// Where the daemon would listen if it had sockets.
const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 8470);

/// What a story came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How often the daemon was started.
    pub lives: u64,
    pub operations: u64,
    /// Outgoing calls.
    pub calls: u64,
    /// Virtual time that passed.
    pub passed: Duration,
    /// A digest of all that was told and of what is durable in the end, if somebody listened.
    pub digest: Digest,
}

/// How a life ends.
enum End {
    Crash,
    Stop,
    Story,
}

/// Wakes who waits for everybody else to have nothing left to do.
#[derive(Default)]
struct Idle {
    waiting: Mutex<Option<Waker>>,
    has_come: AtomicBool,
}

impl Idle {
    fn come(&self) {
        if let Some(waker) = self.waiting.lock().expect("nothing panics under the lock").take() {
            self.has_come.store(true, Ordering::SeqCst);
            waker.wake();
        }
    }

    async fn wait(&self) {
        self.has_come.store(false, Ordering::SeqCst);
        std::future::poll_fn(|context| {
            if self.has_come.load(Ordering::SeqCst) {
                return Poll::Ready(());
            }
            *self.waiting.lock().expect("nothing panics under the lock") = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

pub struct World {
    seed: u64,
    dice: Dice,
    clock: SimulatedClock,
    disk: Arc<Disk>,
    network: Arc<Network>,
    history: History,
    quiet: Quiet,
    weather: Weather,
    steps_left: u64,
    /// Whether nothing goes wrong but what clients do.
    is_peaceful: bool,
    lives: u64,
}

impl World {
    pub fn new(seed: u64, listener: Listener) -> Self {
        let dice = Dice::new(seed);
        let clock = SimulatedClock::new(START);
        let hosts = [&RECEIVERS[..], &["target"]].concat();
        let (weather, history) = (Weather::default(), History::new(clock.clone(), listener));
        let disk = Arc::new(Disk::new(weather.clone(), clock.clone()));
        let target = Target::new(disk.clone(), history.clone());
        Self {
            seed,
            disk,
            network: Network::new(&hosts, target, history.clone(), clock.clone(), dice.clone()),
            history,
            quiet: Quiet::default(),
            weather,
            steps_left: 40 + dice.below(160),
            is_peaceful: dice.chance(200),
            dice,
            clock,
            lives: 0,
        }
    }

    /// Lets the story happen.
    ///
    /// # Errors
    /// When something happened that must not.
    pub fn run(mut self) -> Result<Summary, String> {
        loop {
            let idle = Arc::new(Idle::default());
            let parked = idle.clone();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .on_thread_park(move || parked.come())
                .build()
                .map_err(|error| error.to_string())?;
            let end = runtime.block_on(self.live(&idle))?;
            drop(runtime);
            self.check()?;
            match end {
                End::Crash => {
                    self.disk.crash(&self.dice);
                    self.tell("crashed");
                }
                End::Stop => {}
                End::Story => break,
            }
            let moment = self.history.moment();
            self.history.lock().items.life_ended(moment);
            self.while_it_is_down();
        }
        for line in self.disk.described() {
            self.history.tell(|| line);
        }
        Ok(Summary {
            lives: self.lives,
            operations: self.history.operations(),
            calls: self.network.calls(),
            passed: self.clock.now().since(START),
            digest: self.history.digest(),
        })
    }

    fn tell(&self, what: &str) {
        self.history.tell(|| what.to_owned());
    }

    /// Whether anything was seen that must not be.
    fn check(&self) -> Result<(), String> {
        if self.clock.is_spun() {
            return Err("somebody turns in a circle, and lets nobody else have a turn".into());
        }
        match self.history.wrong().or_else(|| self.network.wrong()) {
            Some(wrong) => Err(wrong),
            None => Ok(()),
        }
    }

    /// Time passes; now and then the clock is set back.
    fn while_it_is_down(&mut self) {
        let now = self.clock.now();
        let then = match self.dice.below(20) {
            0 => Timestamp::from_millis(now.as_millis() - self.dice.below(1_800_000) as i64),
            1..4 => now.after(self.dice.millis(3_600_000)),
            _ => now.after(self.dice.millis(20_000)),
        };
        self.clock.set(then);
        self.weather.note(self.disk.durable(), then);
    }

    fn config(&self) -> Config {
        let group_wait = self.dice.pick(&["0s", "10s", "2m"]);
        let group_interval = self.dice.pick(&["30s", "3m"]);
        let repeat_interval = self.dice.pick(&["5m", "4h"]);
        let concurrency = self.dice.pick(&["1", "8"]);
        let text = format!(
            r#"
            [alerting]
            group_wait = "{group_wait}"
            group_interval = "{group_interval}"
            repeat_interval = "{repeat_interval}"
            receivers = ["oncall"]
            [workflow_defaults]
            deadline = "5m"
            retention = "20m"
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
            "#
        );
        let file = Some(ConfigFile::from_text("simulation.toml", &text));
        Config::load(Sources { file, ..Sources::default() }).unwrap_or_else(|error| panic!("{error}"))
    }

    /// One life of the daemon.
    async fn live(&mut self, idle: &Idle) -> Result<End, String> {
        self.lives += 1;
        let store = SimulatedStore::open(&self.disk, self.clock.clone(), self.dice.clone());
        tokio::spawn(store.clone().commit());
        // It waits before anything else does: what follows reads the store on another thread, and when that one is done is no
        // part of the story.
        tokio::task::yield_now().await;
        self.network.note_finished();
        let config = self.config();
        let surroundings = Surroundings {
            clock: Arc::new(self.clock.clone()),
            random: Arc::new(SeededRandom::new(self.seed ^ (self.lives << 32))),
            outbound: self.network.clone(),
            store: store.clone(),
        };
        let parts = surroundings.parts(&config, ADDRESS.into());
        let (warden, mut loops) =
            Warden::start(parts).await.map_err(|error| format!("it does not start: {error}"))?;
        self.tell("started");
        let (disk, network) = (self.disk.clone(), self.network.clone());
        let mut watch = Watch::new(warden.clone(), disk, network, self.quiet.clone(), self.weather.clone());
        let mut people = JoinSet::new();
        let client = Client {
            warden: warden.clone(),
            history: self.history.clone(),
            clock: self.clock.clone(),
            dice: self.dice.clone(),
        };
        let operator = Operator {
            warden: warden.clone(),
            history: self.history.clone(),
            quiet: self.quiet.clone(),
            clock: self.clock.clone(),
            dice: self.dice.clone(),
        };
        while self.steps_left > 0 {
            self.steps_left -= 1;
            let mut roll = self.dice.below(1000);
            if self.is_peaceful && (640..790).contains(&roll) {
                roll = 999;
            }
            match roll {
                0..560 => {
                    for _ in 0..1 + self.dice.below(4) {
                        people.spawn(client.clone().act());
                    }
                }
                560..640 => drop(people.spawn(operator.clone().act())),
                640..700 => self.change_mood(),
                700..730 => self.change_faults(),
                730..740 => self.clock.set_drift(self.dice.below(7_200_000) as i64 - 3_600_000),
                740..760 => {
                    let jump = self.dice.millis(1_800_000);
                    self.tell("the clock jumps");
                    self.clock.set(self.clock.now().after(jump));
                    idle.wait().await;
                    watch.jumped();
                    self.quiet.jumped(jump);
                }
                760..775 => return Ok(End::Crash),
                775..780 => {
                    store.fail();
                    self.pass(idle, Duration::from_secs(10), Duration::from_millis(100)).await;
                    return Ok(End::Crash);
                }
                780..790 => {
                    self.stop(idle, loops, people).await;
                    return Ok(End::Stop);
                }
                _ => {
                    let (most, step) = *self.dice.pick(&[(5_000, 10), (60_000, 200), (180_000, 1_000)]);
                    let duration = self.dice.millis(most);
                    self.pass(idle, duration, Duration::from_millis(step)).await;
                }
            }
            if self.dice.chance(500) {
                idle.wait().await;
            }
            while people.try_join_next().is_some() {}
            self.look(&mut watch, &mut loops)?;
        }
        self.calm_down(idle, &operator, &mut watch, &mut loops).await?;
        self.check_items(&client).await?;
        self.check()?;
        self.tell("the story ends");
        Ok(End::Story)
    }

    /// Looks whether all is as it must be, as far as that can be told in the midst of it.
    fn look(&mut self, watch: &mut Watch, loops: &mut Loops) -> Result<(), String> {
        self.check()?;
        if loops.ended().now_or_never().is_some() {
            return Err("a loop of the daemon has ended".into());
        }
        watch.look(self.clock.now())
    }

    /// Lets time pass, event by event, but none closer to the next than `step`.
    async fn pass(&mut self, idle: &Idle, duration: Duration, step: Duration) {
        let end = self.clock.now().after(duration);
        loop {
            idle.wait().await;
            let now = self.clock.now();
            if now >= end {
                return;
            }
            let next = self.clock.next_event().unwrap_or(end);
            self.clock.set(next.max(now.after(step)).min(end));
        }
    }

    fn change_mood(&mut self) {
        let host = *self.dice.pick(&["oncall", "chat", "manager", "target"]);
        let mood = if self.dice.chance(400) { Mood::Up } else { *self.dice.pick(&Mood::BAD) };
        self.network.set_mood(host, mood);
        self.tell(&format!("{host} is {mood:?}"));
    }

    fn change_faults(&mut self) {
        let faults = match self.dice.below(6) {
            0 => Faults { overloaded: 300, ..Faults::default() },
            1 => Faults { full: true, ..Faults::default() },
            2 => Faults { slow: true, ..Faults::default() },
            _ => Faults::default(),
        };
        self.disk.set_faults(faults);
        self.tell(&format!("{faults:?}"));
    }

    /// An orderly end.
    async fn stop(&mut self, idle: &Idle, loops: Loops, mut people: JoinSet<()>) {
        let stopping = tokio::spawn(loops.stop());
        while !stopping.is_finished() {
            self.pass(idle, Duration::from_millis(50), Duration::ZERO).await;
        }
        people.shutdown().await;
        self.tell("stopped");
    }

    /// All that is wrong around the daemon ends, and so much time passes that it has no excuse left.
    async fn calm_down(
        &mut self,
        idle: &Idle,
        operator: &Operator,
        watch: &mut Watch,
        loops: &mut Loops,
    ) -> Result<(), String> {
        self.disk.set_faults(Faults::default());
        for host in [&RECEIVERS[..], &["target"]].concat() {
            self.network.set_mood(host, Mood::Up);
        }
        // Whatever is said is said by now.
        self.pass(idle, Duration::from_secs(180), Duration::from_secs(1)).await;
        if self.dice.chance(500) {
            tokio::spawn(operator.clone().tidy());
            self.pass(idle, Duration::from_secs(10), Duration::from_secs(1)).await;
            self.quiet.end();
        }
        self.look(watch, loops)?;
        let rounds = (RECOVERY + GROUP_WAIT_MAX + GROUP_INTERVAL_MAX + SLACK * 2).as_secs() / 30;
        for _ in 0..rounds {
            tokio::spawn(operator.clone().resume());
            self.pass(idle, Duration::from_secs(30), Duration::from_secs(2)).await;
            self.look(watch, loops)?;
        }
        self.check_replays(&operator.warden)?;
        // What falls overdue in the last moments is not told yet: a little longer, unless it goes on for ever.
        for _ in 0..40 {
            match watch.look_closely(self.clock.now()) {
                Ok(()) => return Ok(()),
                Err(_) => self.pass(idle, Duration::from_secs(30), Duration::from_secs(2)).await,
            }
            self.look(watch, loops)?;
        }
        watch.look_closely(self.clock.now())
    }

    async fn check_items(&self, client: &Client) -> Result<(), String> {
        let keys: Vec<ItemKey> = self.history.lock().items.keys().cloned().collect();
        for key in keys {
            client.read(key).await;
        }
        Ok(())
    }

    fn check_replays(&self, warden: &Warden) -> Result<(), String> {
        for entry in warden.replays() {
            let replay = entry.replay;
            if replay.status == ReplayStatus::Running {
                let (id, left) = (&replay.id.0, replay.left());
                return Err(format!("the replay {id} does not come to its end: {left} items are left"));
            }
            let counted = replay.succeeded + replay.failed + replay.skipped;
            if replay.status == ReplayStatus::Completed && counted != replay.total {
                return Err(format!(
                    "the replay {} counted {counted} of {} items",
                    replay.id.0, replay.total
                ));
            }
        }
        Ok(())
    }
}
