//! The end of a story: all faults around the daemon end, and enough time passes for every promise to be due.

use std::time::Duration;

use warden::model::{Clock, Item, ReplayStatus};
use warden::warden::Warden;

use crate::artifacts;
use crate::disk::Faults;
use crate::life::Life;
use crate::names;
use crate::network::{Mood, RECOVERY};
use crate::runs;
use crate::settings::{DAMPING_MAX, GROUP_WAIT_MAX, RETENTION};
use crate::watch::{SLACK, items};
use crate::world::{HOSTS, World};

/// How closely time is followed while nothing is wrong.
const STEP: Duration = Duration::from_secs(2);
/// How long it takes at most until a workflow is forgotten of which nothing is left.
const FORGETTING_MAX: Duration = Duration::from_secs(120);

impl World {
    /// Lets the calm come, and looks closely then.
    pub async fn calm_down(&mut self, life: &mut Life) -> Result<(), String> {
        self.disk.set_faults(Faults::default());
        for host in HOSTS {
            self.network.set_mood(host, Mood::Up);
        }
        // Whatever is said is said by now.
        life.pass(Duration::from_secs(180), Duration::from_secs(1)).await;
        if self.dice.chance(500) {
            tokio::spawn(life.operator.clone().tidy());
            // A receiver may be told only so fast of all that was held back.
            life.pass(Duration::from_secs(60), Duration::from_secs(1)).await;
            life.look(self)?;
            self.quiet.end();
        }
        let closes_all = self.dice.chance(500);
        if closes_all {
            tokio::spawn(life.client.clone().close_all());
        }
        life.look(self)?;
        let rounds = (RECOVERY + GROUP_WAIT_MAX + DAMPING_MAX + SLACK * 2).as_secs() / 30;
        for _ in 0..rounds {
            tokio::spawn(life.operator.clone().resume_replays());
            life.pass(Duration::from_secs(30), STEP).await;
            life.look(self)?;
        }
        check_replays(&life.operator.warden)?;
        runs::check_calm(self.disk.durable(), &life.operator.warden, self.clock.now())?;
        // A removal is seen before it is durable: a little longer, unless it goes on for ever.
        for _ in 0..10 {
            if artifacts::check_found(self.disk.durable(), &life.operator.warden).await.is_ok() {
                break;
            }
            life.pass(Duration::from_secs(5), STEP).await;
            life.look(self)?;
        }
        artifacts::check_found(self.disk.durable(), &life.operator.warden).await?;
        // What becomes overdue in the last moments is not told yet.
        for _ in 0..40 {
            if self.check_events().is_ok() {
                break;
            }
            life.pass(Duration::from_secs(30), STEP).await;
            life.look(self)?;
        }
        self.check_events()?;
        if self.clock.drift() != 0 {
            return Err("the wall clock was set, and nobody noticed".into());
        }
        // What falls overdue in the last moments is not told yet: a little longer, unless it goes on for
        // ever.
        for _ in 0..40 {
            match life.watch.look_closely(self.clock.now()).await {
                Ok(()) => break,
                Err(_) => life.pass(Duration::from_secs(30), STEP).await,
            }
            life.look(self)?;
        }
        life.watch.look_closely(self.clock.now()).await?;
        let now = self.clock.now();
        match items(self.disk.durable(), now).iter().find(|item| closes_all && item.closed.is_none()) {
            Some(Item { workflow, id, .. }) => {
                Err(format!("{workflow} {id} is open, though all were closed"))
            }
            None if closes_all => self.wait_for_the_end_of_names(life).await,
            None => Ok(()),
        }
    }

    /// Who asks for events has heard all.
    fn check_events(&self) -> Result<(), String> {
        let courses = self.disk.runs().courses();
        self.network.chain(|chain| courses.check(chain, self.disk.durable(), &self.clock))
    }

    /// Nothing is open any more: so much time passes that nothing is remembered either.
    async fn wait_for_the_end_of_names(&mut self, life: &mut Life) -> Result<(), String> {
        let rounds = (RETENTION + FORGETTING_MAX).as_secs() / 60 + 1;
        for _ in 0..rounds {
            life.pass(Duration::from_secs(60), Duration::from_secs(5)).await;
            life.look(self)?;
        }
        names::check_gone(self.disk.durable(), &life.watch.warden)
    }
}

fn check_replays(warden: &Warden) -> Result<(), String> {
    for entry in warden.replays.list() {
        let replay = entry.replay;
        let (id, left) = (&replay.id.0, replay.left());
        let counted = replay.succeeded + replay.failed + replay.skipped;
        match replay.status {
            ReplayStatus::Running => {
                return Err(format!("the replay {id} does not come to its end: {left} items are left"));
            }
            // People have had all of them go on.
            ReplayStatus::Paused => {
                let reason = replay.reason.as_deref().unwrap_or("nobody knows why");
                return Err(format!("the replay {id} pauses though nothing is wrong any more: {reason}"));
            }
            ReplayStatus::Completed if counted != replay.total => {
                return Err(format!("the replay {id} counted {counted} of {} items", replay.total));
            }
            ReplayStatus::Completed | ReplayStatus::Cancelled => {}
        }
    }
    Ok(())
}
