use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::events::EventSender;
use super::super::process::{CommandLine, Output};
use super::super::report::Ending;
use super::super::verdict::OnSuccess;
use super::super::work::AdvancedItems;
use super::*;
use crate::cli::commands::sample::{lease, lease_document as document};
use crate::cli::commands::worker::events::{Event, EventReceiver};
use crate::cli::commands::worker::fake_daemon::{FakeDaemon, Reply, START, TTL};
use warden_client::Clock as _;

fn item(state: &str) -> Reply {
    let mut document = document("uploads", "a")["item"].clone();
    document["state"] = state.into();
    Reply::Document(document)
}

/// An attempt at items with these ids by a script, and its results.
struct Stage {
    daemon: FakeDaemon,
    stop: watch::Sender<StopLevel>,
    script: &'static str,
    in_batches: bool,
    events: EventSender,
    received: Mutex<EventReceiver>,
}

impl Stage {
    async fn new(script: &'static str, replies: impl IntoIterator<Item = Reply>) -> Self {
        let daemon = FakeDaemon::answering(replies).await;
        let (events, received) = EventSender::new();
        let (stop, received) = (watch::Sender::new(StopLevel::Run), Mutex::new(received));
        Self { daemon, stop, script, in_batches: false, events, received }
    }

    fn work(&self) -> Work {
        let arguments = vec!["-c".into(), self.script.into()];
        Work {
            leases: self.daemon.leases.clone(),
            line: CommandLine { program: "sh".into(), arguments },
            in_batches: self.in_batches,
            timeout: None,
            on_success: OnSuccess::Complete,
            output: Output::Lines,
            events: self.events.clone(),
            advanced: AdvancedItems::default(),
        }
    }

    async fn play(&self, ids: &[&str], work: Work) -> (io::Result<()>, Vec<Report>, Vec<Bytes>) {
        let (tell, mut told) = mpsc::channel(1_000);
        let leases = ids.iter().map(|id| lease("uploads", id)).collect();
        let attempt =
            Attempt::at(leases, START.after(TTL), Arc::new(work), self.stop.subscribe(), tell).run();
        let result = tokio::time::timeout(Duration::from_secs(30), attempt).await.expect("it ends");
        let mut reports: Vec<Report> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        let mut received = self.received.lock().unwrap();
        let lines = std::iter::from_fn(|| received.events.try_recv().ok());
        let lines = lines.map(|said| match said {
            Event::Output(line) => line,
            other => panic!("a line: {other:?}"),
        });
        let lines = lines.collect();
        reports.sort_by(|one, other| one.id.cmp(&other.id));
        (result, reports, lines)
    }
}

fn report(id: &str, ending: Ending, reason: &str) -> Report {
    Report { workflow: "uploads".to_owned(), id: id.to_owned(), ending, reason: reason.to_owned() }
}

#[tokio::test]
async fn how_the_daemon_takes_a_failure_is_how_it_is_reported() {
    for (state, ending) in [("failed", Ending::Failed), ("overdue", Ending::Retry)] {
        let stage = Stage::new("echo no host >&2; exit 75", [item(state)]).await;
        let (_, reports, _) = stage.play(&["a"], stage.work()).await;
        assert_eq!(reports, [report("a", ending, "exit 75: no host")]);
    }
}

#[tokio::test]
async fn an_item_that_the_command_closed_itself_is_done() {
    let lost = || Reply::Problem(409, "closed since");
    let stage = Stage::new("exit 0", [lost(), item("closed")]).await;
    assert_eq!(stage.play(&["a"], stage.work()).await.1, [report("a", Ending::Done, "")]);
    let stage = Stage::new("exit 0", [lost(), item("overdue")]).await;
    assert_eq!(stage.play(&["a"], stage.work()).await.1, [report("a", Ending::Lost, "closed since")]);
    let stage = Stage::new("exit 1", [lost(), item("closed")]).await;
    assert_eq!(stage.play(&["a"], stage.work()).await.1, [report("a", Ending::Lost, "closed since")]);
}

#[tokio::test]
async fn a_command_whose_lease_is_lost_is_killed_at_once() {
    let stage = Stage::new("trap '' TERM; echo up; sleep 60", [Reply::Problem(409, "taken")]).await;
    let beat = async {
        // When the keeper begins to wait is not determined.
        loop {
            stage.daemon.clock.advance(Duration::from_millis(500));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        (result, reports, _) = stage.play(&["a"], stage.work()) => {
            result.unwrap();
            assert_eq!(reports, [report("a", Ending::Lost, "taken")]);
        }
        () = beat => unreachable!("the clock is moved for ever"),
    }
    let asked: Vec<String> = stage.daemon.requests().into_iter().map(|(path, _)| path).collect();
    assert_eq!(asked, ["POST /v1/leases/lse_a/heartbeat"]);
}

#[tokio::test]
async fn what_was_not_begun_is_given_back() {
    let stage = Stage::new("exit 0", [item("overdue")]).await;
    raise(&stage.stop, StopLevel::Drain);
    let (result, reports, _) = stage.play(&["a"], stage.work()).await;
    result.unwrap();
    assert_eq!(reports, [report("a", Ending::Skipped, "not begun")]);
    assert_eq!(stage.daemon.requests(), [("POST /v1/leases/lse_a/release".to_owned(), json!({}))]);
}

#[tokio::test]
async fn a_command_that_cannot_be_run_has_its_items_given_back() {
    let stage = Stage::new("", [item("overdue")]).await;
    let mut work = stage.work();
    work.line.program = "/no/such/program".into();
    let (result, reports, _) = stage.play(&["a"], work).await;
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(reports, [report("a", Ending::Skipped, "the command cannot be run")]);
    assert_eq!(stage.daemon.requests()[0].0, "POST /v1/leases/lse_a/release");
}

#[tokio::test]
async fn a_command_that_is_ended_because_somebody_wants_it_has_its_item_given_back_whatever_it_says() {
    let mut stage =
        Stage::new("trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done", [item("overdue")]).await;
    let (tell, mut told) = mpsc::channel(10);
    let leases = vec![lease("uploads", "a")];
    let work = Arc::new(stage.work());
    let attempt = Attempt::at(leases, START.after(TTL), work, stage.stop.subscribe(), tell);
    let running = tokio::spawn(attempt.run());
    let up = stage.received.get_mut().unwrap().events.recv().await;
    assert!(matches!(up, Some(Event::Output(_))), "{up:?}");
    raise(&stage.stop, StopLevel::Drain);
    raise(&stage.stop, StopLevel::Terminate);
    assert_eq!(told.recv().await, Some(report("a", Ending::Skipped, "interrupted")));
    running.await.unwrap().unwrap();
}

/// The settlements by path, in the order of the leases.
fn settled(daemon: &FakeDaemon) -> Vec<(String, Value)> {
    let mut settled = daemon.requests();
    settled.retain(|(path, _)| path.starts_with("POST"));
    settled.sort_by(|one, other| one.0.cmp(&other.0));
    settled
}

#[tokio::test]
async fn of_a_batch_each_item_ends_as_the_command_says_and_the_others_as_it_does() {
    let script = "ids=$(sed 's/.*\"id\":\"\\([a-z]*\\)\".*/\\1/' | tr '\\n' ' '); echo got $ids; \
        echo '{\"workflow\":\"uploads\",\"id\":\"a\",\"outcome\":\"done\"}'; \
        echo '{\"workflow\":\"uploads\",\"id\":\"b\",\"outcome\":\"retry\",\"message\":\"busy\"}'; \
        echo '{\"workflow\":\"uploads\",\"id\":\"z\",\"outcome\":\"done\"}'; \
        echo broken >&2; exit 3";
    let mut stage = Stage::new(script, (0..3).map(|_| item("failed"))).await;
    stage.in_batches = true;
    let (result, reports, lines) = stage.play(&["a", "b", "c"], stage.work()).await;
    result.unwrap();
    assert_eq!(lines, [Bytes::from("got a b c")]);
    let expected = [
        report("a", Ending::Done, ""),
        report("b", Ending::Failed, "retry: busy"),
        report("c", Ending::Failed, "exit 3: broken"),
    ];
    assert_eq!(reports, expected);
    let error = |kind: &str, message: &str, retryable: bool| {
        json!({"error": {"type": kind,
    "message": message, "retryable": retryable}})
    };
    let expected = [
        ("POST /v1/leases/lse_a/complete".to_owned(), json!({"close": false})),
        ("POST /v1/leases/lse_b/fail".to_owned(), error("retry", "busy", true)),
        ("POST /v1/leases/lse_c/fail".to_owned(), error("exit 3", "broken", false)),
    ];
    assert_eq!(settled(&stage.daemon), expected);
}

#[tokio::test]
async fn an_item_whose_payload_is_gone_is_lost() {
    let replies = [Reply::Problem(410, "closed since")];
    let stage = Stage::new("exit 0", replies).await;
    let (tell, mut told) = mpsc::channel(10);
    let leases = vec![lease("uploads", "a")];
    let work = Arc::new(stage.work());
    Attempt::at(leases, START.after(TTL), work, stage.stop.subscribe(), tell).run().await.unwrap();
    assert_eq!(told.recv().await, Some(report("a", Ending::Lost, "closed since")));
    let asked = stage.daemon.requests();
    assert_eq!(asked.len(), 1, "the command did not run, and nothing is settled: {asked:?}");
    assert_eq!(asked[0].0, "GET /v1/workflows/uploads/items/a/payload");
    assert_eq!(stage.daemon.clock.now(), START);
}

#[tokio::test]
async fn an_outcome_does_not_wait_behind_what_nobody_looks_at() {
    let script = "yes | head -n 5000; echo \
    '{\"workflow\":\"uploads\",\"id\":\"a\",\"outcome\":\"failed\",\"message\":\"no\"}'";
    let mut stage = Stage::new(script, [item("failed")]).await;
    stage.in_batches = true;
    let (_, reports, _) = stage.play(&["a"], stage.work()).await;
    assert_eq!(reports, [report("a", Ending::Failed, "failed: no")]);
}

#[tokio::test]
async fn an_item_of_which_something_may_have_been_missed_is_not_done() {
    for (script, doubt) in [
        ("sleep 2 & exit 0", "a process that the command left behind holds stdout, and may report more"),
        (
            "echo '{\"workflow\":\"uploads\",\"id\":\"a\",\"outcome\":\"failed\",\
                \"message\":\"no \"host\"\"}'",
            "the command wrote a result that is not valid JSON, possibly for this item",
        ),
    ] {
        let mut stage = Stage::new(script, [item("overdue")]).await;
        stage.in_batches = true;
        let (_, reports, _) = stage.play(&["a"], stage.work()).await;
        assert_eq!(reports, [report("a", Ending::Skipped, doubt)]);
        assert_eq!(stage.daemon.requests()[0].0, "POST /v1/leases/lse_a/release");
    }
}

#[tokio::test]
async fn what_is_lost_while_another_part_of_its_batch_runs_is_not_begun() {
    let mut stage = Stage::new("echo up; sleep 60", (0..2).map(|_| Reply::Problem(409, "taken"))).await;
    stage.in_batches = true;
    let (tell, mut told) = mpsc::channel(10);
    let mut leases = vec![lease("uploads", "a"), lease("uploads", "b")];
    leases.iter_mut().for_each(|lease| lease.item.payload.size = batch::BYTES_MAX);
    let work = Arc::new(stage.work());
    let attempt = Attempt::at(leases, START.after(TTL), work, stage.stop.subscribe(), tell);
    let running = tokio::spawn(attempt.run());
    let up = stage.received.get_mut().unwrap().events.recv().await;
    assert!(matches!(up, Some(Event::Output(_))), "{up:?}");
    let mut reports = Vec::new();
    while reports.len() < 2 {
        stage.daemon.clock.advance(Duration::from_millis(500));
        tokio::time::sleep(Duration::from_millis(5)).await;
        reports.extend(told.try_recv());
        // The lease must not last longer than this.
        assert!(stage.daemon.clock.now() < START.after(TTL * 4), "{reports:?}");
    }
    running.await.unwrap().unwrap();
    assert_eq!(reports, [report("a", Ending::Lost, "taken"), report("b", Ending::Lost, "taken")]);
}

#[tokio::test]
async fn an_item_that_has_come_to_its_next_step_is_known_again() {
    for (state, advanced) in [("overdue", true), ("closed", false)] {
        let stage = Stage::new("exit 0", [item(state)]).await;
        let (tell, _told) = mpsc::channel(10);
        let work = Arc::new(stage.work());
        let stop = stage.stop.subscribe();
        Attempt::at(vec![lease("uploads", "a")], START.after(TTL), work.clone(), stop, tell)
            .run()
            .await
            .unwrap();
        assert_eq!(work.advanced.has(&lease("uploads", "a")), advanced, "{state}");
    }
}
