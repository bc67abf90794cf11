//! One life of the daemon, from its start to a crash, a stop, or the end of the story.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::JoinSet;
use warden::app::Surroundings;
use warden::config::{Config, Sources};
use warden::model::{Clock, SeededRandom};
use warden::warden::{Loops, Warden};

use crate::clients::Client;
use crate::clock::SimulatedClock;
use crate::idle::Idle;
use crate::operator::Operator;
use crate::runs;
use crate::settings::Settings;
use crate::store::SimulatedStore;
use crate::watch::Watch;
use crate::world::World;

/// Where the daemon would listen if it had sockets.
const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 8470);

/// The daemon, and those who meet it.
pub struct Life {
    pub client: Client,
    pub operator: Operator,
    /// What clients and people do at the moment.
    pub acts: JoinSet<()>,
    pub store: Arc<SimulatedStore>,
    pub watch: Watch,
    loops: Loops,
    idle: Arc<Idle>,
    clock: SimulatedClock,
}

impl Life {
    /// Starts the daemon over what is on the disk. `number` says which of its lives this is.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn begin(world: &World, number: u64, idle: Arc<Idle>) -> Result<Self, String> {
        let World { disk, network, clock, dice, history, quiet, .. } = world;
        let store = SimulatedStore::open(disk, clock.clone(), dice.clone());
        tokio::spawn(store.clone().commit());
        // It waits before anything else does: what follows reads the store on another thread, and when that
        // one is done is no part of the story.
        tokio::task::yield_now().await;
        network.life_began();
        let Settings { config, group_wait, damping } = Settings::any(dice);
        let surroundings = Surroundings {
            clock: Arc::new(clock.clone()),
            random: Arc::new(SeededRandom::new(world.seed ^ (number << 32))),
            outbound: network.clone(),
            store: store.clone(),
            configuration: Arc::new(|_| Config::load(Sources::default())),
        };
        let parts = surroundings.parts(&config, ADDRESS.into());
        let (warden, loops) =
            Warden::start(parts).await.map_err(|error| format!("it does not start: {error}"))?;
        Ok(Self {
            client: Client {
                warden: warden.clone(),
                disk: disk.clone(),
                history: history.clone(),
                clock: clock.clone(),
                dice: dice.clone(),
            },
            operator: Operator {
                warden: warden.clone(),
                network: network.clone(),
                history: history.clone(),
                quiet: quiet.clone(),
                clock: clock.clone(),
                dice: dice.clone(),
            },
            acts: JoinSet::new(),
            store,
            watch: Watch {
                warden,
                disk: disk.clone(),
                network: network.clone(),
                quiet: quiet.clone(),
                weather: world.weather.clone(),
                clock: clock.clone(),
                group_wait,
                damping,
                free: BTreeMap::new(),
                untold: BTreeMap::new(),
            },
            loops,
            idle,
            clock: clock.clone(),
        })
    }

    /// Waits until nobody has anything to do before time passes.
    pub async fn settle(&self) {
        self.idle.wait().await;
    }

    /// Lets time pass, event by event, but none closer to the next than `step`.
    pub async fn pass(&self, duration: Duration, step: Duration) {
        pass(&self.idle, &self.clock, duration, step).await;
    }

    /// Looks whether all is as it must be, as far as that can be told in the midst of it.
    ///
    /// # Errors
    /// When it is not.
    pub fn look(&mut self, world: &World) -> Result<(), String> {
        while self.acts.try_join_next().is_some() {}
        world.check()?;
        runs::check_told(world.disk.durable(), &world.history.lock())?;
        if self.loops.ended().now_or_never().is_some() {
            return Err("a loop of the daemon has ended".into());
        }
        self.operator.resume_receivers();
        self.watch.look(self.clock.now())
    }

    /// An orderly end: the daemon takes nothing more, and the store writes what it has taken.
    pub async fn stop(self) {
        let Self { mut acts, store, loops, idle, clock, .. } = self;
        let wait = Duration::from_millis(50);
        let stopping = tokio::spawn(loops.stop());
        while !stopping.is_finished() {
            pass(&idle, &clock, wait, Duration::ZERO).await;
        }
        acts.shutdown().await;
        while !store.is_idle() {
            pass(&idle, &clock, wait, Duration::ZERO).await;
        }
    }
}

async fn pass(idle: &Idle, clock: &SimulatedClock, duration: Duration, step: Duration) {
    let end = clock.now().after(duration);
    loop {
        idle.wait().await;
        let now = clock.now();
        if now >= end {
            return;
        }
        let next = clock.next_event().unwrap_or(end);
        clock.set(next.max(now.after(step)).min(end));
    }
}
