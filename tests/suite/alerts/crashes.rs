//! The daemon dies at a point between a decision and its delivery: after the next start its receiver gets the
//! opening, under one id, and then the end.

use std::sync::{Arc, Mutex};

use warden::model::{DeliveryStatus, IncidentStatus};
use warden::store::{Command, Document, StoreError};

use super::*;
use crate::support::interference::{InterferedStore, Interference, Interruption};
use crate::support::receiver::Received;

/// Where the daemon dies: the store takes nothing from then on, as if the process were gone.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Point {
    BeforeTheDecision,
    AfterTheDecision,
    BeforeTheAttempt,
    AfterTheAttempt,
    BeforeTheEnd,
    AfterTheEnd,
    BeforeTheAttemptToTellTheEnd,
    AfterTheAttemptToTellTheEnd,
}

const POINTS: [Point; 8] = [
    Point::BeforeTheDecision,
    Point::AfterTheDecision,
    Point::BeforeTheAttempt,
    Point::AfterTheAttempt,
    Point::BeforeTheEnd,
    Point::AfterTheEnd,
    Point::BeforeTheAttemptToTellTheEnd,
    Point::AfterTheAttemptToTellTheEnd,
];

/// What is written, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Write {
    Decision,
    Attempt,
    End,
    AttemptToTellTheEnd,
}

impl Write {
    fn of(command: &Command) -> Option<Self> {
        match command.documents() {
            [Document::Incident(incident), Document::Delivery(_), ..] => {
                Some(if incident.status == IncidentStatus::Open { Self::Decision } else { Self::End })
            }
            [Document::Delivery(delivery)] => {
                assert_ne!(delivery.status, DeliveryStatus::Dead);
                let is_end = delivery.event.as_str() == "incident.resolved";
                Some(if is_end { Self::AttemptToTellTheEnd } else { Self::Attempt })
            }
            _ => None,
        }
    }
}

impl Point {
    fn write(self) -> Write {
        match self {
            Self::BeforeTheDecision | Self::AfterTheDecision => Write::Decision,
            Self::BeforeTheAttempt | Self::AfterTheAttempt => Write::Attempt,
            Self::BeforeTheEnd | Self::AfterTheEnd => Write::End,
            Self::BeforeTheAttemptToTellTheEnd | Self::AfterTheAttemptToTellTheEnd => {
                Write::AttemptToTellTheEnd
            }
        }
    }

    fn is_before(self) -> bool {
        matches!(
            self,
            Self::BeforeTheDecision
                | Self::BeforeTheAttempt
                | Self::BeforeTheEnd
                | Self::BeforeTheAttemptToTellTheEnd
        )
    }
}

/// What kills the daemon, once.
#[derive(Default)]
struct Death(Mutex<State>);

#[derive(Clone, Copy, Default)]
struct State {
    planned: Option<Point>,
    dead: bool,
}

impl Death {
    fn plan(&self, point: Point) {
        *self.0.lock().unwrap() = State { planned: Some(point), dead: false };
    }

    fn is_dead(&self) -> bool {
        self.0.lock().unwrap().dead
    }

    /// What comes before the next start.
    fn bury(&self) {
        *self.0.lock().unwrap() = State::default();
    }

    fn meet(&self, commands: &[Command], before: bool) -> Result<(), StoreError> {
        let mut state = self.0.lock().unwrap();
        let is_planned = |point: Point| {
            point.is_before() == before && commands.iter().any(|it| Write::of(it) == Some(point.write()))
        };
        state.dead |= state.planned.is_some_and(is_planned);
        if state.dead { Err(StoreError::Fatal("the daemon is dead".into())) } else { Ok(()) }
    }
}

impl Interference for Death {
    fn before_write(&self, commands: &[Command]) -> Result<(), Interruption> {
        Ok(self.meet(commands, true)?)
    }

    fn after_write(&self, commands: &[Command]) -> Result<(), StoreError> {
        self.meet(commands, false)
    }
}

/// Reads on until something says that the incident is over.
async fn story(receiver: &TestReceiver) -> Vec<Received> {
    let mut story: Vec<Received> = Vec::new();
    while story.last().is_none_or(|received| received.event() != "incident.resolved") {
        story.push(receiver.next().await);
    }
    story
}

#[tokio::test]
async fn wherever_the_daemon_dies_its_receiver_hears_of_the_beginning_and_then_of_the_end() {
    for point in POINTS {
        let receiver = TestReceiver::start().await;
        let death = Arc::new(Death::default());
        let mut daemon = oncall(&receiver).on(InterferedStore::starts(&death)).start().await;
        death.plan(point);
        lose(&daemon, "uploads", "file-1").await;
        let incident = daemon.open_incidents(1).await.remove(0);
        daemon.advance(10 * SECOND);
        let mut heard = Vec::new();
        if matches!(point.write(), Write::End | Write::AttemptToTellTheEnd) {
            heard.push(receiver.next().await);
            delivery_when(&daemon, id(&incident), "its end", |delivery| delivery["status"] == "delivered")
                .await;
            daemon.close("uploads", "file-1").await;
        }
        eventually("the death", || async { death.is_dead().then_some(()) }).await;
        daemon.stop().await;
        death.bury();
        daemon.start_again().await;
        if point == Point::BeforeTheDecision {
            // Nobody would hear of what was over before it was decided anew.
            heard.push(receiver.next().await);
        }
        if matches!(point.write(), Write::Decision | Write::Attempt) {
            daemon.close("uploads", "file-1").await;
        }
        heard.extend(story(&receiver).await);
        daemon.open_incidents(0).await;

        let of = |event: &str| -> Vec<&Received> {
            heard.iter().filter(|received| received.event() == event).collect()
        };
        let (begun, ended) = (of("incident.opened"), of("incident.resolved"));
        assert_eq!(begun.len() + ended.len(), heard.len(), "{point:?}: nothing else is told");
        assert!(!begun.is_empty() && !ended.is_empty(), "{point:?}");
        for told in [begun, ended] {
            let ids: std::collections::BTreeSet<_> =
                told.iter().map(|received| received.header("webhook-id").to_owned()).collect();
            assert_eq!(ids.len(), 1, "{point:?}: it is repeated under the same id");
            assert!(told.iter().all(|received| received.json()["data"]["id"] == incident["id"]));
            assert!(told.iter().all(|received| received.body == told[0].body));
        }
        let deliveries = eventually("the record of both", || async {
            let deliveries = deliveries(&daemon, id(&incident)).await;
            deliveries.iter().all(|delivery| delivery["status"] == "delivered").then_some(deliveries)
        })
        .await;
        assert_eq!(deliveries.len(), 2, "{point:?}");
    }
}
