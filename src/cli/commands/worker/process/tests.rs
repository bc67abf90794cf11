use std::os::unix::process::ExitStatusExt as _;

use super::*;
use crate::cli::commands::worker::events::{Event, EventReceiver, EventSender};

fn shell(script: &str) -> CommandLine {
    CommandLine { program: "sh".into(), arguments: vec!["-c".into(), script.into()] }
}

/// The results of a script.
struct Ran {
    status: ExitStatus,
    said: String,
    lines: Vec<Bytes>,
}

async fn run(script: &str, input: Bytes, stop: watch::Receiver<StopLevel>) -> Ran {
    let (mut stdout, mut received) = stdout();
    let process = Process::start(&shell(script), &[], Output::Lines).unwrap();
    let ran = timeout(Duration::from_secs(30), process.run(input, stop, &mut stdout)).await;
    let (status, said) = ran.expect("it ends").unwrap();
    let lines = std::iter::from_fn(|| received.events.try_recv().ok()).map(line).collect();
    Ran { status, said: said.text(), lines }
}

fn stdout() -> (StdoutHandler, EventReceiver) {
    let (events, received) = EventSender::new();
    (StdoutHandler::new(false, events), received)
}

fn line(said: Event) -> Bytes {
    match said {
        Event::Output(line) => line,
        other => panic!("a line: {other:?}"),
    }
}

/// Starts a script, and returns it with the first line of its output.
async fn start(
    script: &str,
    stopping: watch::Receiver<StopLevel>,
) -> (tokio::task::JoinHandle<(ExitStatus, Tail)>, Bytes) {
    let (mut stdout, mut received) = stdout();
    let process = Process::start(&shell(script), &[], Output::Lines).unwrap();
    let running =
        tokio::spawn(async move { process.run(Bytes::from("go\n"), stopping, &mut stdout).await.unwrap() });
    let first = timeout(Duration::from_secs(30), received.events.recv()).await.expect("it writes a line");
    (running, line(first.unwrap()))
}

/// Runs a script to its end.
async fn run_through(script: &str, input: impl Into<Bytes>) -> Ran {
    let (_orders, stopping) = watch::channel(StopLevel::Run);
    run(script, input.into(), stopping).await
}

#[tokio::test]
async fn input_and_output_pass_byte_for_byte_and_what_is_said_is_kept() {
    let input: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    let ran = run_through("cat; echo no host >&2; exit 3", input.clone()).await;
    assert_eq!((ran.status.code(), &*ran.said), (Some(3), "no host"));
    assert_eq!(ran.lines, [Bytes::from(input)]);
    let ran = run_through("printf 'a\\n\\nb'", "").await;
    assert_eq!(ran.lines, ["a", "", "b"].map(Bytes::from));
}

#[tokio::test]
async fn a_command_that_does_not_read_its_input_holds_up_nothing() {
    let large = vec![0; 4 << 20];
    assert!(run_through("exit 0", large.clone()).await.status.success());
    assert!(run_through("exec 0<&-; exit 0", large).await.status.success());
}

#[tokio::test]
async fn a_command_that_says_much_before_it_reads_holds_up_nothing() {
    let ran = run_through("head -c 1000000 /dev/zero >&2; wc -c", vec![b'x'; 1 << 20]).await;
    assert_eq!(ran.lines, [Bytes::from("1048576")]);
}

#[tokio::test]
async fn somebody_left_behind_who_holds_the_output_holds_up_nothing() {
    let ran = run_through("sleep 60 & echo $!", "").await;
    assert!(ran.status.success());
    let left = std::str::from_utf8(&ran.lines[0]).unwrap().trim().parse().unwrap();
    rustix::process::kill_process(Pid::from_raw(left).unwrap(), Signal::KILL)
        .expect("it was left alone, since nobody told the command to end");
}

#[tokio::test]
async fn a_line_without_end_comes_in_pieces() {
    let ran = run_through("head -c 200000 /dev/zero", "").await;
    assert!(ran.lines.len() > 1 && ran.lines.iter().all(|line| line.len() <= LINE_MAX + 8 * 1024));
    assert_eq!(ran.lines.concat().len(), 200_000);
}

#[tokio::test]
async fn whoever_is_told_to_end_may_tidy_up_and_takes_along_what_it_started() {
    let (stop, stopping) = watch::channel(StopLevel::Run);
    let script = "trap 'echo tidy >&2; exit 7' TERM; sleep 60 & echo $!; read line; wait";
    let (running, started) = start(script, stopping).await;
    stop.send_replace(StopLevel::Terminate);
    let (status, said) = running.await.unwrap();
    assert_eq!((status.code(), &*said.text()), (Some(7), "tidy"));
    let started = Pid::from_raw(std::str::from_utf8(&started).unwrap().parse().unwrap()).unwrap();
    // A signal sent before `exec` may be lost; then the process is killed at the end of the grace period,
    // which takes a moment.
    for _ in 0..500 {
        if has_ended(started) {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("what it started lives on");
}

/// A process that has ended is absent, or a zombie until it is reaped.
fn has_ended(process: Pid) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())) else {
        return true;
    };
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X']))
}

#[tokio::test]
async fn whoever_does_not_listen_is_killed() {
    let (stop, stopping) = watch::channel(StopLevel::Run);
    let script = "trap '' TERM; echo up; while :; do sleep 1; done";
    let (running, _) = start(script, stopping).await;
    stop.send_replace(StopLevel::Terminate);
    tokio::task::yield_now().await;
    stop.send_replace(StopLevel::Kill);
    let (status, _) = running.await.unwrap();
    assert_eq!(status.signal(), Some(9));
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let line = CommandLine { program: "/no/such/program".into(), arguments: Vec::new() };
    let error = Process::start(&line, &[], Output::Stdout).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[tokio::test]
async fn an_order_is_never_weakened() {
    let (stop, mut stopping) = watch::channel(StopLevel::Run);
    raise(&stop, StopLevel::Terminate);
    raise(&stop, StopLevel::Drain);
    assert_eq!(reached(&mut stopping, StopLevel::Drain).await, StopLevel::Terminate);
}
