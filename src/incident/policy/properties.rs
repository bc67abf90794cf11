//! The policy through random histories, asked in two ways: every second, and only when something changed or when it
//! wanted to be asked again. Both must tell the same, and what they tell must keep the promises.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::tests::items;
use super::*;

const RECEIVERS: [&str; 3] = ["chat", "oncall", "pager"];

/// From now on this is observed, and these are to be told.
#[derive(Clone, Debug)]
struct Change {
    /// Seconds since the change before.
    after: u64,
    by_step: [u64; 3],
    receivers: Vec<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Told {
    at: Timestamp,
    incident: IncidentId,
    event: Event,
    receivers: Vec<Arc<str>>,
}

/// The warden's part: keeps the open incident and notes what is told.
struct Simulation {
    policy: AlertPolicy,
    seen: Observation,
    open: Option<Incident>,
    ended: Vec<Incident>,
    told: Vec<Told>,
    ids: u32,
}

impl Simulation {
    fn new(policy: AlertPolicy) -> Self {
        Self { policy, seen: items(&[]), open: None, ended: Vec::new(), told: Vec::new(), ids: 0 }
    }

    fn ask(&mut self, now: Timestamp) -> Option<Timestamp> {
        let workflow = WorkflowName::new("uploads").unwrap();
        let ids = &mut self.ids;
        let id = || {
            *ids += 1;
            IncidentId(format!("inc_{ids}").into())
        };
        let kind = IncidentKind::Overdue;
        let decision = decide(self.open.as_ref(), &workflow, kind, &self.seen, &self.policy, now, id)?;
        let incident = decision.incident.clone();
        if let Some(Telling { event, receivers }) = decision.telling {
            assert!(decision.commit, "what is told must be committed");
            self.told.push(Told { at: now, incident: incident.id.clone(), event, receivers });
        }
        if incident.status == IncidentStatus::Open {
            let wake_at = decision.wake_at.expect("an open incident is asked about again");
            assert!(wake_at > now, "{wake_at} is not after {now}");
            self.open = Some(incident);
            self.nothing_new(now);
        } else {
            assert_eq!(decision.wake_at, None);
            self.open = None;
            self.ended.push(incident);
        }
        decision.wake_at
    }

    /// Asking again at the same instant says nothing new.
    fn nothing_new(&self, now: Timestamp) {
        let workflow = WorkflowName::new("uploads").unwrap();
        let id = || unreachable!("there is an open incident");
        let again =
            decide(self.open.as_ref(), &workflow, IncidentKind::Overdue, &self.seen, &self.policy, now, id)
                .unwrap();
        assert_eq!(Some(&again.incident), self.open.as_ref());
        assert_eq!((again.commit, again.telling), (false, None));
    }

    fn apply(&mut self, change: &Change) {
        let [copy, backup, none] = change.by_step;
        self.seen = items(&[("copy", copy), ("backup", backup), ("", none)]);
        self.policy.receivers.clone_from(&change.receivers);
    }
}

/// Asks before and after each change, and every second in between.
fn asked_every_second(policy: &AlertPolicy, history: &[Change]) -> Simulation {
    let mut simulation = Simulation::new(policy.clone());
    let mut now = Timestamp::from_millis(0);
    for change in history {
        for _ in 0..change.after {
            simulation.ask(now);
            now = now.after(Duration::from_secs(1));
        }
        simulation.ask(now);
        simulation.apply(change);
        simulation.ask(now);
    }
    simulation
}

/// Asks when something changed, and otherwise sleeps until it is to be asked again.
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
        simulation.apply(change);
        wake_at = simulation.ask(now);
    }
    simulation
}

fn policies() -> impl Strategy<Value = AlertPolicy> {
    let seconds = |range: std::ops::Range<u64>| range.prop_map(Duration::from_secs);
    (seconds(0..60), seconds(1..300), seconds(1..900), 1.01_f64..4.0).prop_map(
        |(group_wait, group_interval, repeat_interval, grow_factor)| AlertPolicy {
            group_wait,
            group_interval,
            repeat_interval,
            grow_factor,
            receivers: vec!["oncall".into()],
            severity: "critical".into(),
            runbook_url: None,
        },
    )
}

fn changes() -> impl Strategy<Value = Change> {
    let after = prop_oneof![2 => 0_u64..3, 3 => 3_u64..100, 1 => 100_u64..1500];
    let count = || prop_oneof![3 => Just(0_u64), 3 => 1_u64..4, 1 => 4_u64..40];
    let by_step = prop_oneof![1 => Just([0, 0, 0]), 4 => [count(), count(), count()]];
    let receivers = prop::sample::subsequence(RECEIVERS.map(Arc::<str>::from).to_vec(), 1..=3);
    (after, by_step, receivers).prop_map(|(after, by_step, receivers)| Change { after, by_step, receivers })
}

/// Everything that was told about one incident, in order.
fn told_about<'a>(simulation: &'a Simulation, incident: &Incident) -> Vec<&'a Told> {
    simulation.told.iter().filter(|told| told.incident == incident.id).collect()
}

fn everybody(told: &[&Told]) -> BTreeSet<Arc<str>> {
    told.iter().flat_map(|told| told.receivers.iter().cloned()).collect()
}

fn check(simulation: &Simulation, policy: &AlertPolicy, end: Timestamp) -> Result<(), TestCaseError> {
    for incident in simulation.ended.iter().chain(&simulation.open) {
        let told = told_about(simulation, incident);
        let due = incident.opened_at.after(policy.group_wait);
        let over = incident.resolved_at.unwrap_or(end);
        // Before a change is seen the question is asked once more, so the instant of the end counts.
        prop_assert_eq!(told.is_empty(), due > over, "told {} times", told.len());
        let Some((first, rest)) = told.split_first() else { continue };
        prop_assert_eq!((first.at, first.event), (due, Event::Opened));

        let ends = rest.iter().filter(|told| told.event == Event::Resolved).count();
        let before: &[&Told] = match rest.split_last() {
            Some((last, rest)) if last.event == Event::Resolved => {
                let listeners = everybody(&told[..told.len() - 1]);
                prop_assert_eq!(last.receivers.iter().cloned().collect::<BTreeSet<_>>(), listeners);
                prop_assert_eq!(last.receivers.len(), everybody(&[last]).len(), "nobody is told twice");
                prop_assert_eq!(Some(last.at), incident.resolved_at);
                rest
            }
            _ => {
                let owed = incident.status == IncidentStatus::Resolved && !everybody(&told).is_empty();
                prop_assert!(!owed, "somebody waits for the end");
                rest
            }
        };
        prop_assert!(ends <= 1);
        let mut last = first.at;
        for told in before {
            let silence = told.at.since(last);
            match told.event {
                Event::Grown => prop_assert!(silence >= policy.group_interval, "{silence:?}"),
                Event::Reminder => prop_assert_eq!(silence, policy.repeat_interval),
                event => prop_assert!(false, "{event:?} in the middle"),
            }
            last = told.at;
        }
        let times = told.iter().map(|told| told.at).chain([over]);
        for pair in times.collect::<Vec<_>>().windows(2) {
            prop_assert!(pair[1].since(pair[0]) <= policy.repeat_interval, "silent for too long");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn whatever_happens_people_are_told_what_they_are_promised(
        policy in policies(),
        history in prop::collection::vec(changes(), 1..12),
    ) {
        let end = history.iter().map(|change| change.after).sum();
        let end = Timestamp::from_millis(0).after(Duration::from_secs(end));
        let simulation = asked_every_second(&policy, &history);
        check(&simulation, &policy, end)?;
    }

    #[test]
    fn sleeping_until_it_wants_to_be_asked_misses_nothing(
        policy in policies(),
        history in prop::collection::vec(changes(), 1..12),
    ) {
        let watched = asked_every_second(&policy, &history);
        let slept = asked_when_it_wants(&policy, &history);
        prop_assert_eq!(&watched.told, &slept.told);
        prop_assert_eq!(&watched.ended, &slept.ended);
        prop_assert_eq!(&watched.open, &slept.open);
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
        let incident = simulation.open.unwrap();
        prop_assert_eq!(incident.peak, counts.iter().copied().max().unwrap());
        prop_assert_eq!(Some(incident.count), counts.last().copied());
    }
}
