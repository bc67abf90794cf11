//! On a terminal: progress bar and confirmation.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{Scene, in_state, lose_many};
use crate::support::{TestDaemon, eventually};

/// A recovery whose stdin, stdout and stderr are a terminal.
struct OnTerminal {
    child: Child,
    terminal: File,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl OnTerminal {
    fn start(scene: &Scene, daemon: &TestDaemon, flags: &str, script: &str) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("a terminal that can be opened");
        let name = ptsname(&ours, Vec::new()).expect("a name");
        let open = || {
            let name = name.to_str().expect("a path");
            File::options().read(true).write(true).open(name).expect("the terminal's other end")
        };
        let mut command = scene.recover(&daemon.url(""), flags, script);
        command.stdin(Stdio::from(open())).stdout(Stdio::from(open())).stderr(Stdio::from(open()));
        let child = command.spawn().expect("the binary can be run");
        drop(command);
        let terminal = File::from(ours);
        let mut screen = terminal.try_clone().expect("a second handle");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sees = seen.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // It fails when nobody has the other end open any more.
            while let Ok(count @ 1..) = screen.read(&mut buffer) {
                sees.lock().expect("not poisoned").extend_from_slice(&buffer[..count]);
            }
        });
        Self { child, terminal, seen }
    }

    /// What was shown so far.
    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().expect("not poisoned")).into_owned()
    }

    async fn shows(&self, words: &str) {
        eventually(words, || async { self.screen().contains(words).then_some(()) }).await;
    }

    fn answer(&mut self, words: &str) {
        self.terminal.write_all(words.as_bytes()).expect("it can be typed");
    }

    async fn ended(&mut self) -> i32 {
        eventually("the recovery to end", || {
            let status = self.child.try_wait().expect("it can be asked");
            async move { status.map(|status| status.code().expect("an exit code")) }
        })
        .await
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn whoever_sits_there_is_asked_after_the_canary_and_a_yes_goes_on() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let ids = lose_many(&daemon, 5).await;
    // The last waits until the bar has been drawn without it.
    let script = "echo it is $WARDEN_ITEM_ID; [ $WARDEN_ITEM_ID = file-004 ] || exit 0; \
        until [ -e go ]; do sleep 0.01; done";
    let mut running = OnTerminal::start(&scene, &daemon, "--canary 2", script);
    running.shows("2 of the first 2 are done. Go on with the other 3? [y/N] ").await;
    assert_eq!(in_state(&daemon, "closed").await, ids[..2]);
    running.answer("y\n");
    running.shows("4/5  4 done").await;
    std::fs::write(scene.path("go"), "").unwrap();
    assert_eq!(running.ended().await, 0);
    running.shows("done 5, failed 0, to be retried 0, lost 0, skipped 0").await;
    let screen = running.screen();
    assert!(ids.iter().all(|id| screen.contains(&format!("it is {id}\r\n"))), "{screen}");
}

#[tokio::test]
async fn a_no_after_the_canary_is_the_end() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let ids = lose_many(&daemon, 5).await;
    let mut running = OnTerminal::start(&scene, &daemon, "--canary 2", "[ $WARDEN_ITEM_ID = file-001 ]");
    running.shows("1 of the first 2 are done. Go on with the other 3? [y/N] ").await;
    running.answer("\n");
    assert_eq!(running.ended().await, 1);
    assert_eq!(in_state(&daemon, "overdue").await, ids[2..]);
}

#[tokio::test]
async fn a_no_after_a_canary_that_did_well_is_no_success_either() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let ids = lose_many(&daemon, 5).await;
    let mut running = OnTerminal::start(&scene, &daemon, "--canary 2", "exit 0");
    running.shows("2 of the first 2 are done. Go on with the other 3? [y/N] ").await;
    running.answer("n\n");
    assert_eq!(running.ended().await, 1);
    running.shows("stopped after the canary").await;
    assert_eq!(in_state(&daemon, "overdue").await, ids[2..]);
}

#[tokio::test]
async fn whoever_wants_no_questions_is_asked_none() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let ids = lose_many(&daemon, 5).await;
    let mut running = OnTerminal::start(&scene, &daemon, "--canary 2 --yes", "exit 0");
    assert_eq!(running.ended().await, 0);
    assert!(!running.screen().contains("[y/N]"), "{}", running.screen());
    assert_eq!(in_state(&daemon, "closed").await, ids);
}
