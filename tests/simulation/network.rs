//! A network whose other side fails in every way, and what arrived there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::de::IgnoredAny;
use warden::model::notification::Notification;
use warden::model::{Clock, DeliveryId, Event, ItemId, ItemKey, ItemNotification, Timestamp, WorkflowName};
use warden::outbound::{Outbound, OutboundError, OutboundRequest, OutboundResponse};

use crate::chain::{CHAIN, Chain};
use crate::clock::SimulatedClock;
use crate::dice::Dice;
use crate::digest::digest;
use crate::history::History;
use crate::story::Story;
use crate::target::{Posted, Target};

/// The longest that a receiver asks to be left alone, in seconds.
const WAIT_MAX: u64 = 120;
/// How long it may take until the daemon has written down an answer, and heeds it. Until then it may call
/// again.
const NOTED_WITHIN: Duration = Duration::from_secs(30);

/// How a host answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Up,
    /// It takes its time, at times more than it is given.
    Slow,
    /// Nobody listens.
    Refusing,
    /// Nothing is ever answered, nor taken.
    Hanging,
    /// The connection breaks, before or after the message was taken.
    Resetting,
    Failing,
    Redirecting,
    /// What comes is no HTTP, whether the message was taken or not.
    Garbage,
    /// It asks to be left alone for a while.
    Busy,
    /// It says that it is there no longer.
    Gone,
    /// Now this, now that.
    Flaky,
}

impl Mood {
    pub const BAD: [Self; 10] = [
        Self::Slow,
        Self::Refusing,
        Self::Hanging,
        Self::Resetting,
        Self::Failing,
        Self::Redirecting,
        Self::Garbage,
        Self::Busy,
        Self::Gone,
        Self::Flaky,
    ];
}

struct Host {
    mood: Mood,
    /// Since when it has been up.
    since: Timestamp,
    /// Between which instants it has said that it wants to be left alone, as far as the daemon must have
    /// taken note of it.
    quiet: Option<(Timestamp, Timestamp)>,
    story: Story,
    chain: Chain,
}

struct State {
    hosts: BTreeMap<String, Host>,
    wrong: Vec<String>,
    calls: u64,
}

/// The network.
pub struct Network {
    state: Mutex<State>,
    target: Target,
    history: History,
    clock: SimulatedClock,
    dice: Dice,
}

impl Network {
    pub fn new(
        hosts: &[&str],
        target: Target,
        history: History,
        clock: SimulatedClock,
        dice: Dice,
    ) -> Arc<Self> {
        let host = |name: &&str| {
            let (story, chain) = (Story::default(), Chain::default());
            let (mood, since) = (Mood::Up, Timestamp::MIN);
            (format!("{name}.test"), Host { mood, since, quiet: None, story, chain })
        };
        let hosts = hosts.iter().map(host).collect();
        let state = State { hosts, wrong: Vec::new(), calls: 0 };
        Arc::new(Self { state: Mutex::new(state), target, history, clock, dice })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under the lock")
    }

    pub fn set_mood(&self, host: &str, mood: Mood) {
        let now = self.clock.now();
        let mut state = self.lock();
        let host = state.hosts.get_mut(&format!("{host}.test")).expect("a host that there is");
        if mood == Mood::Up && host.mood != Mood::Up {
            host.since = now;
        }
        host.mood = mood;
    }

    /// Since when a host has been up, if it is.
    pub fn up_since(&self, host: &str) -> Option<Timestamp> {
        let state = self.lock();
        let host = &state.hosts[&format!("{host}.test")];
        (host.mood == Mood::Up).then_some(host.since)
    }

    /// The daemon starts: it knows of nothing that it was asked before.
    pub fn life_began(&self) {
        self.lock().hosts.values_mut().for_each(|host| host.quiet = None);
        self.target.life_began();
    }

    /// Somebody has what waits for a receiver go at once, whatever kept it back.
    pub fn resumed(&self, host: &str) {
        self.lock().hosts.get_mut(&format!("{host}.test")).expect("a host that there is").quiet = None;
    }

    /// A receiver is called, which may have asked to be left alone.
    fn check_quiet(&self, request: &OutboundRequest) {
        let (name, now) = (host_of(request), self.clock.now());
        let mut state = self.lock();
        let Some((from, until)) = state.hosts.get(&name).and_then(|host| host.quiet) else { return };
        // People try a receiver out whenever they want to.
        if from < now && now < until && event_of(request) != Some(Event::Test) {
            let wrong = format!("{name} was called at {now}, and asked to be left alone until {until}");
            state.wrong.push(wrong);
        }
    }

    /// It was taken. Where people have tried a receiver out, all that waits for it goes then.
    fn note_success(&self, request: &OutboundRequest) {
        if event_of(request) == Some(Event::Test) {
            self.lock().hosts.get_mut(&host_of(request)).expect("it was called").quiet = None;
        }
    }

    /// Where items are sent.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Looks at what a receiver knows.
    pub fn story<T>(&self, host: &str, look: impl FnOnce(&Story) -> T) -> T {
        look(&self.lock().hosts[&format!("{host}.test")].story)
    }

    /// What receivers heard out of turn since this was last called.
    pub fn take_early(&self, host: &str) -> Vec<(DeliveryId, Arc<str>, Arc<str>)> {
        let mut state = self.lock();
        let host = state.hosts.get_mut(&format!("{host}.test")).expect("a host that there is");
        std::mem::take(&mut host.story.early)
    }

    /// What no receiver should ever hear, if any did.
    pub fn wrong(&self) -> Option<String> {
        self.lock().wrong.first().cloned()
    }

    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    async fn pass(&self, most: u64) {
        let until = self.clock.now().after(self.dice.millis(most));
        self.clock.sleep_until(until).await;
    }

    /// The message has arrived and was taken.
    fn take(&self, request: &OutboundRequest) {
        if let Some(posted) = posted(request) {
            return self.target.take(&posted);
        }
        let webhook_id = header(request, "webhook-id");
        if host_of(request) == format!("{CHAIN}.test") {
            return self.take_event(webhook_id, request);
        }
        let notification: Notification =
            serde_json::from_slice(&request.body).expect("a notification in the standard form");
        let host = host_of(request);
        let (event, incident) = (notification.event.as_str(), &notification.data.id);
        self.history.tell(|| format!("{host} heard {webhook_id}: {event} of {incident}"));
        let mut state = self.lock();
        let story = &mut state.hosts.get_mut(&host).expect("a host that there is").story;
        if let Some(wrong) = story.hear(webhook_id, notification) {
            state.wrong.push(format!("{host} heard {wrong}"));
        }
    }

    /// An event of an item has arrived.
    fn take_event(&self, webhook_id: String, request: &OutboundRequest) {
        let notification: ItemNotification =
            serde_json::from_slice(&request.body).expect("a notification in the standard form");
        let (event, id) = (notification.event.as_str(), &notification.data.id);
        self.history.tell(|| format!("{CHAIN} heard {webhook_id}: {event} of {id}"));
        let mut state = self.lock();
        let chain = &mut state.hosts.get_mut(&host_of(request)).expect("a host that there is").chain;
        if let Some(wrong) = chain.hear(webhook_id, &notification) {
            state.wrong.push(format!("{CHAIN} heard {wrong}"));
        }
    }

    /// Looks at what the receiver of events has heard.
    pub fn chain<T>(&self, look: impl FnOnce(&Chain) -> T) -> T {
        look(&self.lock().hosts[&format!("{CHAIN}.test")].chain)
    }

    async fn answer(&self, request: &OutboundRequest) -> Result<OutboundResponse, OutboundError> {
        let status = |status| {
            Ok(OutboundResponse { status, retry_after: None, location: None, excerpt: String::new() })
        };
        let host = host_of(request);
        self.pass(30).await;
        if let Some(posted) = posted(request) {
            self.target.arrive(&posted);
        }
        let mood = match self.lock().hosts.get(&host).map(|host| host.mood) {
            Some(Mood::Flaky) if self.dice.chance(350) => Mood::Up,
            Some(Mood::Flaky) if self.dice.chance(150) => Mood::Gone,
            Some(Mood::Flaky) => *self.dice.pick(&Mood::BAD[..9]),
            Some(mood) => mood,
            None => return Err(OutboundError::Connect(host)),
        };
        match mood {
            Mood::Up | Mood::Flaky => {
                self.take(request);
                self.pass(200).await;
                self.note_success(request);
                status(204)
            }
            Mood::Slow => {
                self.pass(10_000).await;
                self.take(request);
                self.pass(10_000).await;
                self.note_success(request);
                status(200)
            }
            Mood::Refusing => Err(OutboundError::Connect(host)),
            Mood::Hanging => std::future::pending().await,
            Mood::Resetting | Mood::Garbage => {
                if self.dice.chance(500) {
                    self.take(request);
                }
                self.pass(200).await;
                Err(OutboundError::Other("the connection broke".into()))
            }
            Mood::Failing => status(500),
            Mood::Redirecting => status(302),
            Mood::Busy => {
                let wait = 1 + self.dice.below(WAIT_MAX);
                let retry_after = self.dice.chance(800).then(|| wait.to_string());
                let status = *self.dice.pick(&[429, 503]);
                // What is said to people who try a receiver out is said to them.
                let is_told = event_of(request).is_some_and(|event| event != Event::Test);
                if retry_after.is_some() && is_told {
                    let now = self.clock.now();
                    let quiet = (now.after(NOTED_WITHIN), now.after(Duration::from_secs(wait)));
                    self.lock().hosts.get_mut(&host).expect("it was called").quiet = Some(quiet);
                }
                Ok(OutboundResponse { status, retry_after, location: None, excerpt: String::new() })
            }
            Mood::Gone => status(410),
        }
    }
}

impl Outbound for Network {
    fn send(&self, request: OutboundRequest) -> BoxFuture<'_, Result<OutboundResponse, OutboundError>> {
        Box::pin(async move {
            let call = {
                let mut state = self.lock();
                state.calls += 1;
                state.calls
            };
            self.history.tell(|| format!("call {call} to {}", described(&request)));
            self.check_quiet(&request);
            let _on_its_way = posted(&request).map(|posted| self.target.send(&posted));
            let ends = self.clock.sleep_until(self.clock.now().after(request.timeout));
            let answer = tokio::select! {
                biased;
                () = ends => Err(OutboundError::Timeout(request.timeout)),
                answer = self.answer(&request) => answer,
            };
            self.history.tell(|| match &answer {
                Ok(answer) => format!("call {call} was answered with {answer:?}"),
                Err(error) => format!("call {call} failed: {error}"),
            });
            answer
        })
    }
}

/// All that is sent, so that a story which differs in it is another one.
fn described(request: &OutboundRequest) -> String {
    let url = request.url.url();
    let body = digest(&String::from_utf8_lossy(&request.body));
    format!("{url}: {:?} {body:?}", request.headers)
}

fn header(request: &OutboundRequest, name: &str) -> String {
    let value = request.headers.get(name).map(|value| value.to_str().expect("plain text"));
    value.unwrap_or_default().to_owned()
}

/// What is told, if anything is.
fn event_of(request: &OutboundRequest) -> Option<Event> {
    let notification: Option<Notification<IgnoredAny>> = serde_json::from_slice(&request.body).ok();
    notification.filter(|_| posted(request).is_none()).map(|notification| notification.event)
}

/// What is posted, if it is an item.
fn posted(request: &OutboundRequest) -> Option<Posted> {
    request.headers.contains_key("warden-item-id").then(|| Posted {
        key: ItemKey {
            workflow: WorkflowName::new(header(request, "warden-workflow")).expect("a workflow's name"),
            id: ItemId::new(header(request, "warden-item-id")).expect("an item's id"),
        },
        webhook_id: header(request, "webhook-id"),
        path: request.url.url().path().to_owned(),
        body: request.body.clone(),
    })
}

fn host_of(request: &OutboundRequest) -> String {
    request.url.url().host_str().expect("an address with a host").to_owned()
}

/// How long after its trouble a receiver may have to wait for what it is owed: the longest pause between two
/// attempts with its jitter, what it asked for itself, a probe, and what has gathered meanwhile, one after
/// the other.
pub const RECOVERY: Duration = Duration::from_secs(6 * 60 + WAIT_MAX + 65 + 240);
