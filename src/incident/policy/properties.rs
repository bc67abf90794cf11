//! The policy through random histories, decided every second, and only after changes and at the requested
//! wake-ups. Both must send the same notifications, and those must keep the promises.

use std::collections::HashMap;

use proptest::prelude::*;

use super::tests::{items, key};
use super::*;
use crate::model::{Action, ActionKind, Escalation, Flapping, Severity};

const RECEIVERS: [&str; 3] = ["chat", "oncall", "pager"];
const MANAGER: &str = "manager";
const FALLBACK: &str = "fallback";

/// What a person does.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Nothing,
    Acknowledge,
    /// In seconds.
    Snooze(u64),
}

/// A change of what is observed, and of the policy.
#[derive(Clone, Debug)]
struct Change {
    /// Seconds since the previous change.
    after: u64,
    by_step: [u64; 3],
    receivers: Vec<Arc<str>>,
    silenced: bool,
    /// Whether the notifications so far reach nobody.
    failing: bool,
    deed: Deed,
}

#[derive(Clone, Debug, PartialEq)]
struct Told {
    began_at: Timestamp,
    at: Timestamp,
    incident: IncidentId,
    event: Event,
    receivers: Vec<Arc<str>>,
}

/// The warden's part: keeps the last incident and records notifications.
struct Simulation {
    policy: AlertPolicy,
    seen: Observation,
    silenced: bool,
    /// The incident whose notifications did not reach the receivers that were notified by then, and when it
    /// began.
    unheard: Option<(IncidentId, Timestamp, BTreeSet<Arc<str>>)>,
    last: Option<Incident>,
    told: Vec<Told>,
    ids: u32,
}

impl Simulation {
    fn new(policy: AlertPolicy) -> Self {
        Self {
            policy,
            seen: items(&[]),
            silenced: false,
            unheard: None,
            last: None,
            told: Vec::new(),
            ids: 0,
        }
    }

    fn ask_once(&mut self, now: Timestamp) -> Option<Decision> {
        let ids = &mut self.ids;
        let id = || {
            *ids += 1;
            IncidentId(format!("inc_{ids}").into())
        };
        let now_lives = self.last.as_ref().map(life);
        let unheard = self.unheard.as_ref().filter(|(id, began, _)| now_lives == Some((id.clone(), *began)));
        let silenced = self.silenced;
        let circumstances = Circumstances {
            policy: &self.policy,
            silence: &|_| silenced.then_some(Timestamp::MAX),
            successor: None,
            is_failing: &|name| name != FALLBACK && unheard.is_some_and(|(.., told)| told.contains(name)),
            now,
        };
        decide(self.last.as_ref(), &key(), &self.seen, &circumstances, id)
    }

    fn ask(&mut self, now: Timestamp) -> Option<Timestamp> {
        let decision = self.ask_once(now)?;
        let incident = &decision.incident;
        let mut hearers = BTreeSet::new();
        for Dispatch { event, receivers } in &decision.dispatches {
            assert!(decision.commit, "what is told must be committed");
            assert!(!receivers.is_empty());
            assert!(receivers.iter().all(|name| hearers.insert(name.clone())), "nobody is told two things");
            let (at, began_at, incident) = (now, incident.began_at(), incident.id.clone());
            self.told.push(Told { at, began_at, incident, event: *event, receivers: receivers.clone() });
        }
        assert!(decision.wake_at.is_none_or(|at| at > now), "{:?} is not after {now}", decision.wake_at);
        self.last = Some(decision.incident);
        self.nothing_new(now);
        decision.wake_at
    }

    /// Deciding again at the same instant changes nothing.
    fn nothing_new(&mut self, now: Timestamp) {
        if let Some(again) = self.ask_once(now) {
            assert_eq!(Some(&again.incident), self.last.as_ref());
            assert_eq!((again.commit, again.dispatches), (false, Vec::new()));
        }
    }

    fn is_quiet(&self) -> bool {
        self.silenced || self.last.as_ref().is_some_and(|incident| incident.snoozed_until.is_some())
    }

    fn apply(&mut self, change: &Change, now: Timestamp) {
        let [copy, backup, none] = change.by_step;
        self.seen = items(&[("copy", copy), ("backup", backup), ("", none)]);
        self.policy.receivers.clone_from(&change.receivers);
        self.silenced = change.silenced;
        let told = self.last.as_ref().filter(|incident| incident.first_notified_at.is_some());
        self.unheard = told.filter(|_| change.failing).map(|incident| {
            let (id, began) = life(incident);
            (id, began, incident.told.clone())
        });
        let kind = match change.deed {
            Deed::Nothing => return,
            Deed::Acknowledge => ActionKind::Acknowledge,
            Deed::Snooze(seconds) => ActionKind::Snooze { until: now.after(Duration::from_secs(seconds)) },
        };
        let open = self.last.as_mut().filter(|incident| incident.status == IncidentStatus::Open);
        if let Some(incident) = open {
            incident.record_action(Action { kind, by: "kim".into(), at: now, comment: None });
        }
    }
}

/// Which incident, and when it began.
fn life(incident: &Incident) -> (IncidentId, Timestamp) {
    (incident.id.clone(), incident.began_at())
}

/// Decides before and after each change, and every second in between; `watch` observes each decision.
fn asked_every_second(
    policy: &AlertPolicy,
    history: &[Change],
    mut watch: impl FnMut(&Simulation, Timestamp),
) -> Simulation {
    let mut simulation = Simulation::new(policy.clone());
    let mut now = Timestamp::from_millis(0);
    for change in history {
        for _ in 0..change.after {
            simulation.ask(now);
            watch(&simulation, now);
            now = now.after(Duration::from_secs(1));
        }
        simulation.ask(now);
        watch(&simulation, now);
        simulation.apply(change, now);
        simulation.ask(now);
        watch(&simulation, now);
    }
    simulation
}

/// Decides after changes, and at the requested wake-ups.
fn asked_when_it_wants(policy: &AlertPolicy, history: &[Change]) -> Simulation {
    let mut simulation = Simulation::new(policy.clone());
    let mut now = Timestamp::from_millis(0);
    let mut wake_at = None;
    for change in history {
        let next = now.after(Duration::from_secs(change.after));
        while let Some(instant) = wake_at.filter(|instant| *instant <= next) {
            wake_at = simulation.ask(instant);
        }
        now = next;
        simulation.apply(change, now);
        wake_at = simulation.ask(now);
    }
    simulation
}

fn policies() -> impl Strategy<Value = AlertPolicy> {
    let seconds = |range: std::ops::Range<u64>| range.prop_map(Duration::from_secs);
    let level = |after| Escalation { after, receivers: vec![MANAGER.into()] };
    let flapping = (0_usize..5, seconds(1..900), seconds(0..300));
    let flapping = flapping.prop_map(|(after, window, damping)| Flapping { after, window, damping });
    let intervals = (seconds(0..60), seconds(1..300), seconds(1..900));
    (intervals, flapping, 1.01_f64..4.0, prop::option::of(seconds(1..600))).prop_map(
        move |((group_wait, group_interval, repeat_interval), flapping, grow_factor, escalate)| AlertPolicy {
            group_wait,
            group_interval,
            flapping,
            repeat_interval,
            grow_factor,
            receivers: vec!["oncall".into()],
            escalate: escalate.map(level).into_iter().collect(),
            fallback: vec![FALLBACK.into()],
            group_by: Vec::new(),
            severity: Severity::Critical,
            runbook_url: None,
        },
    )
}

fn changes() -> impl Strategy<Value = Change> {
    let after = prop_oneof![2 => 0_u64..3, 3 => 3_u64..100, 1 => 100_u64..1500];
    let count = || prop_oneof![3 => Just(0_u64), 3 => 1_u64..4, 1 => 4_u64..40];
    let by_step = prop_oneof![2 => Just([0, 0, 0]), 4 => [count(), count(), count()]];
    let receivers = prop::sample::subsequence(RECEIVERS.map(Arc::<str>::from).to_vec(), 1..=3);
    let deed = prop_oneof![
        4 => Just(Deed::Nothing),
        1 => Just(Deed::Acknowledge),
        1 => (1_u64..600).prop_map(Deed::Snooze),
    ];
    (after, by_step, receivers, prop::bool::weighted(0.2), prop::bool::weighted(0.2), deed).prop_map(
        |(after, by_step, receivers, silenced, failing, deed)| Change {
            after,
            by_step,
            receivers,
            silenced,
            failing,
            deed,
        },
    )
}

/// Each receiver gets a consistent story of each incident: an opening, then the resolution; at the end only
/// open incidents lack their resolution.
fn stories_are_whole(simulation: &Simulation) -> Result<(), TestCaseError> {
    let mut owed: HashMap<(&IncidentId, &Arc<str>), Timestamp> = HashMap::new();
    // For each incident when its resolution was notified, and the reopenings that were notified before.
    let mut ended: HashMap<&IncidentId, Timestamp> = HashMap::new();
    let mut begun: HashMap<&IncidentId, Vec<Timestamp>> = HashMap::new();
    let Flapping { after, window, damping } = simulation.policy.flapping;
    for told in &simulation.told {
        for receiver in &told.receivers {
            let lane = (&told.incident, receiver);
            if told.event == Event::Resolved {
                prop_assert!(owed.remove(&lane).is_some(), "{receiver} gets a resolution without an opening");
            } else {
                owed.insert(lane, told.at);
            }
        }
        match told.event {
            Event::Resolved => {
                ended.insert(&told.incident, told.at);
            }
            _ => {
                if let Some(end) = ended.remove(&told.incident) {
                    let begun = begun.entry(&told.incident).or_default();
                    // By the reopening itself, since a snooze or a silence may delay its notification.
                    let flaps =
                        begun.iter().filter(|at| at.after(window) > told.began_at).count() + 1 >= after;
                    let pause = told.at.since(end);
                    prop_assert!(after == 0 || !flaps || pause >= damping, "told again after {pause:?}");
                    begun.push(told.began_at);
                }
            }
        }
    }
    let last = simulation.last.as_ref().filter(|incident| incident.status == IncidentStatus::Open);
    for ((incident, receiver), at) in owed {
        let is_open = last.is_some_and(|last| last.id == *incident && last.told.contains(receiver));
        prop_assert!(is_open, "{receiver} waits since {at} for the end of {}", incident.0);
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_receiver_hears_a_whole_story(
        policy in policies(),
        history in prop::collection::vec(changes(), 1..16),
    ) {
        stories_are_whole(&asked_every_second(&policy, &history, |_, _| {}))?;
    }

    #[test]
    fn nobody_is_left_in_the_dark_and_nobody_is_disturbed_in_the_quiet(
        policy in policies(),
        history in prop::collection::vec(changes(), 1..16),
    ) {
        let mut heard = 0;
        let mut dark_since = None;
        let patience = policy.group_wait.max(policy.flapping.damping).max(policy.repeat_interval);
        let simulation = asked_every_second(&policy, &history, |simulation, now| {
            let told = &simulation.told[heard..];
            heard = simulation.told.len();
            let quiet = simulation.is_quiet();
            assert!(!quiet || told.iter().all(|told| told.event == Event::Resolved), "{told:?} in the quiet");
            let open = simulation.last.as_ref().is_some_and(|last| last.status == IncidentStatus::Open);
            let news = told.iter().any(|told| {
                matches!(told.event, Event::Opened | Event::Grown | Event::Reminder)
            });
            if !open || quiet || news {
                dark_since = None;
            } else {
                let since = *dark_since.get_or_insert(now);
                assert!(now.since(since) <= patience, "nothing was told since {since}, and it is {now}");
            }
            // Without acknowledgement in time it is escalated.
            if let Some(incident) = simulation.last.as_ref().filter(|_| open && !quiet)
                && let (Some(level), Some(first)) = (policy.escalate.first(), incident.first_notified_at)
                && !incident.acknowledged
            {
                let told = incident.told.contains(MANAGER);
                assert_eq!(told, first.after(level.after) <= now || incident.escalations > 0);
            }
        });
        drop(simulation);
    }

    #[test]
    fn sleeping_until_it_wants_to_be_asked_misses_nothing(
        policy in policies(),
        history in prop::collection::vec(changes(), 1..16),
    ) {
        let watched = asked_every_second(&policy, &history, |_, _| {});
        let slept = asked_when_it_wants(&policy, &history);
        prop_assert_eq!(&watched.told, &slept.told);
        prop_assert_eq!(&watched.last, &slept.last);
    }

    #[test]
    fn an_incident_remembers_the_most_that_it_held(
        policy in policies(),
        counts in prop::collection::vec(1_u64..1000, 1..20),
    ) {
        let mut simulation = Simulation::new(policy);
        for (second, count) in (0..).zip(&counts) {
            simulation.seen = items(&[("", *count)]);
            simulation.ask(Timestamp::from_millis(second * 1000));
        }
        let incident = simulation.last.unwrap();
        prop_assert_eq!(incident.peak, counts.iter().copied().max().unwrap());
        prop_assert_eq!(Some(incident.count), counts.last().copied());
    }
}
