//! One simulated world: a daemon over several lives, its users, and all faults around it.
//!
//! Everything runs on one thread, by one clock and one seed, so that a story is reproducible.

use std::sync::Arc;
use std::time::Duration;

use warden::model::{Clock, Timestamp};

use crate::chain::CHAIN;
use crate::clock::SimulatedClock;
use crate::dice::Dice;
use crate::digest::Digest;
use crate::disk::{Disk, Faults};
use crate::history::{History, Listener};
use crate::idle::Idle;
use crate::life::Life;
use crate::network::{Mood, Network};
use crate::panics;
use crate::quiet::Quiet;
use crate::target::Target;
use crate::watch::Weather;

pub const WORKFLOWS: [&str; 3] = ["uploads", "reports", "mails"];
/// Names that nobody has configured. There are few, as receivers have to take what is told of each within
/// their bounds.
pub const MADE_UP: [&str; 3] = ["made-up-1", "made-up-2", "made-up-3"];
/// How many of them there may be at a time.
pub const MADE_UP_MAX: usize = 2;
/// The workflow whose items are split by their region.
pub const SPLIT_WORKFLOW: &str = "reports";
/// By which it is.
pub const REGIONS: [&str; 3] = ["eu", "us", "asia"];
/// Those that are told of incidents.
pub const RECEIVERS: [&str; 3] = ["oncall", "chat", "manager"];
/// All that can be called.
pub const HOSTS: [&str; 5] = ["oncall", "chat", "manager", CHAIN, "target"];
/// 2026-01-01T00:00:00Z.
/// By how much somebody sets the wall clock at most, from one extreme to the other.
const WALL_STEP_MAX: Duration = Duration::from_secs(7_200);
const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

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

/// All that there is besides the daemon, over all of its lives.
pub struct World {
    pub seed: u64,
    pub dice: Dice,
    pub clock: SimulatedClock,
    pub disk: Arc<Disk>,
    pub network: Arc<Network>,
    pub history: History,
    pub quiet: Quiet,
    pub weather: Weather,
    steps_left: u64,
    /// Whether nothing goes wrong but what clients do.
    is_peaceful: bool,
    lives: u64,
}

impl World {
    pub fn new(seed: u64, listener: Listener) -> Self {
        let dice = Dice::new(seed);
        let clock = SimulatedClock::new(START);
        let (weather, history) = (Weather::default(), History::new(clock.clone(), listener));
        let quiet = Quiet::default();
        let disk = Arc::new(Disk::new(weather.clone(), quiet.clone(), history.clone(), clock.clone()));
        let target = Target::new(disk.clone(), history.clone());
        Self {
            seed,
            disk,
            network: Network::new(&HOSTS, target, history.clone(), clock.clone(), dice.clone()),
            history,
            quiet,
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
    pub fn run(self) -> Result<Summary, String> {
        panics::caught(|| self.happen())
    }

    fn happen(mut self) -> Result<Summary, String> {
        loop {
            match self.run_life(Self::live)? {
                End::Crash => {
                    self.disk.crash(&self.dice);
                    self.tell("crashed");
                }
                End::Stop => self.tell("stopped"),
                End::Story => break,
            }
            self.while_it_is_down();
        }
        self.disk.crash(&self.dice);
        self.run_life(Self::come_back)?;
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

    /// One life of the daemon. With the runtime goes all that it had under way.
    fn run_life<T>(
        &mut self,
        live: impl AsyncFnOnce(&mut Self, Arc<Idle>) -> Result<T, String>,
    ) -> Result<T, String> {
        let idle = Arc::new(Idle::default());
        let parked = idle.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .on_thread_park(move || parked.come())
            .build()
            .map_err(|error| error.to_string())?;
        self.lives += 1;
        let end = runtime.block_on(live(self, idle))?;
        drop(runtime);
        self.check()?;
        let moment = self.history.moment();
        let mut seen = self.history.lock();
        seen.items.life_ended(moment);
        seen.artifacts.life_ended(moment);
        drop(seen);
        Ok(end)
    }

    fn tell(&self, what: &str) {
        self.history.tell(|| what.to_owned());
    }

    /// Whether anything was seen that must not be.
    ///
    /// # Errors
    /// When something was.
    pub fn check(&self) -> Result<(), String> {
        if self.clock.is_spun() {
            return Err("somebody turns in a circle, and lets nobody else have a turn".into());
        }
        if let Some(panic) = panics::first() {
            return Err(panic);
        }
        self.history.lock().artifacts.check(self.disk.durable())?;
        match self.history.wrong().or_else(|| self.network.wrong()) {
            Some(wrong) => Err(wrong),
            None => Ok(()),
        }
    }

    /// Time passes; now and then the machine boots, or its wall clock is set.
    fn while_it_is_down(&mut self) {
        let now = self.clock.now();
        let passes = if self.dice.chance(150) { 3_600_000 } else { 20_000 };
        self.clock.set(now.after(self.dice.millis(passes)));
        match self.dice.below(20) {
            0 => self.set_wall_clock(),
            1..3 => {
                self.tell("the machine boots");
                self.clock.reboot(0);
            }
            // A board without a battery, or one whose clock is wrong until it asks others.
            3 => {
                let step = self.dice.below(3_600_000) as i64 - 1_800_000;
                self.tell(&format!("the machine boots, and its wall clock is {step} ms off"));
                self.quiet.wall_clock_may_be_set(WALL_STEP_MAX);
                self.clock.reboot(step);
            }
            _ => {}
        }
        self.weather.note(self.disk.durable(), &self.clock);
    }

    fn set_wall_clock(&self) {
        let ahead = self.dice.below(7_200_000) as i64 - 3_600_000;
        self.tell(&format!("the wall clock is set {ahead} ms ahead"));
        self.quiet.wall_clock_may_be_set(WALL_STEP_MAX);
        self.clock.set_wall_ahead(ahead);
    }

    async fn live(&mut self, idle: Arc<Idle>) -> Result<End, String> {
        let mut life = Life::begin(self, self.lives, idle).await?;
        self.tell("started");
        while self.steps_left > 0 {
            self.steps_left -= 1;
            let mut roll = self.dice.below(1000);
            if self.is_peaceful && (640..790).contains(&roll) {
                roll = 999;
            }
            match roll {
                0..560 => {
                    for _ in 0..1 + self.dice.below(4) {
                        life.acts.spawn(life.client.clone().act());
                    }
                }
                560..640 => drop(life.acts.spawn(life.operator.clone().act())),
                640..700 => self.change_mood(),
                700..730 => self.change_faults(),
                730..740 => self.set_wall_clock(),
                740..760 => {
                    let ahead = self.dice.millis(1_800_000);
                    self.tell("the clock jumps");
                    self.clock.jump(ahead);
                    life.settle().await;
                    life.watch.jumped();
                    self.quiet.jumped(ahead);
                }
                760..775 => return Ok(End::Crash),
                775..780 => {
                    life.store.fail();
                    life.pass(Duration::from_secs(10), Duration::from_millis(100)).await;
                    return Ok(End::Crash);
                }
                780..790 => {
                    life.stop().await;
                    return Ok(End::Stop);
                }
                _ => {
                    let (end, step) = *self.dice.pick(&[(5_000, 10), (60_000, 200), (180_000, 1_000)]);
                    let duration = self.dice.millis(end);
                    life.pass(duration, Duration::from_millis(step)).await;
                }
            }
            if self.dice.chance(500) {
                life.settle().await;
            }
            life.look(self)?;
        }
        self.calm_down(&mut life).await?;
        life.client.read_all().await;
        self.tell("the story ends");
        if self.dice.chance(500) {
            life.stop().await;
        }
        Ok(End::Story)
    }

    /// A last life, after the calm: all that was acknowledged is there again.
    async fn come_back(&mut self, idle: Arc<Idle>) -> Result<(), String> {
        let mut life = Life::begin(self, self.lives, idle).await?;
        life.settle().await;
        life.client.read_all().await;
        life.look(self)
    }

    fn change_mood(&mut self) {
        let host = *self.dice.pick(&HOSTS);
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
}
