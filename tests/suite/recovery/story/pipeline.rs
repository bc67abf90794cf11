//! The pipeline: services that can be killed, and workers that move files from step to step.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use tokio::task::JoinSet;

use crate::support::{DaemonProcess, client};

/// How many files a worker takes at a time.
const BITE: usize = 20;

/// What a file holds: bytes that are different in each, and no text.
pub fn payload(number: usize) -> Vec<u8> {
    let seed = number as u32;
    (0..64 + number as u32 % 200)
        .map(|place| (seed.wrapping_mul(31).wrapping_add(place * 7) >> 3) as u8)
        .collect()
}

/// The files that a service keeps.
struct Shelf {
    files: Mutex<HashMap<String, Bytes>>,
    /// When it has so many, further requests hang: its machine is about to be taken away.
    hangs_at: AtomicUsize,
}

type Files = Arc<Shelf>;

/// A service that keeps files by their ids. A file that comes again changes nothing, and must be the same.
pub struct Service {
    address: SocketAddr,
    files: Files,
    router: Router,
    /// Its own, so that all of its connections die with it.
    runtime: Option<Runtime>,
}

async fn keep(State(files): State<Files>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    if files.files.lock().unwrap().len() >= files.hangs_at.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    let mut files = files.files.lock().unwrap();
    match files.get(&id) {
        Some(known) if *known != body => StatusCode::CONFLICT,
        _ => {
            files.insert(id, body);
            StatusCode::NO_CONTENT
        }
    }
}

impl Service {
    /// A service that hangs once it has so many files.
    pub async fn start(hangs_at: usize) -> Self {
        let files = Files::new(Shelf { files: Mutex::default(), hangs_at: AtomicUsize::new(hangs_at) });
        let router = Router::new().route("/{id}", post(keep)).with_state(files.clone());
        Self::serve(files, router).await
    }

    /// The entrance of the pipeline: what comes there is copied and backed up. The file's id is in a header.
    pub async fn entrance(copy: &Self, backup: &Self) -> Self {
        async fn take(
            State((own, services)): State<(Files, [Files; 2])>,
            headers: HeaderMap,
            body: Bytes,
        ) -> StatusCode {
            let id =
                headers.get("warden-item-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
            for files in services.into_iter().chain([own]) {
                let kept = keep(State(files), Path(id.clone()), body.clone()).await;
                if kept != StatusCode::NO_CONTENT {
                    return kept;
                }
            }
            StatusCode::NO_CONTENT
        }
        let files = Files::new(Shelf { files: Mutex::default(), hangs_at: AtomicUsize::new(usize::MAX) });
        let state = (files.clone(), [copy.files.clone(), backup.files.clone()]);
        Self::serve(files, Router::new().route("/", post(take)).with_state(state)).await
    }

    async fn serve(files: Files, router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let runtime = Some(spawn(listener, router.clone()));
        Self { address, files, router, runtime }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it at once, whatever is under way.
    pub fn kill(&mut self) {
        self.runtime.take().expect("it runs").shutdown_background();
    }

    /// Starts it again where it was, with what it had, on a machine that stays.
    pub async fn come_back(&mut self) {
        self.files.hangs_at.store(usize::MAX, Ordering::SeqCst);
        let listener = crate::support::eventually("the port to be free", || async {
            TcpListener::bind(self.address).await.ok()
        })
        .await;
        self.runtime = Some(spawn(listener, self.router.clone()));
    }

    pub fn count(&self) -> usize {
        self.files.files.lock().unwrap().len()
    }

    pub fn has(&self, id: &str, payload: &[u8]) -> bool {
        self.files.files.lock().unwrap().get(id).is_some_and(|file| file[..] == *payload)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn spawn(listener: TcpListener, router: Router) -> Runtime {
    let runtime =
        runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let listener = listener.into_std().expect("a plain listener");
    runtime.spawn(async move {
        let listener = TcpListener::from_std(listener).expect("a listener");
        axum::serve(listener, router).await.expect("a server that serves");
    });
    runtime
}

/// The application.
pub struct Pipeline {
    warden: String,
    /// Each step with the service behind it; the last has none.
    steps: [(&'static str, Option<String>); 3],
}

/// Workers that work.
pub struct Workers {
    running: JoinSet<()>,
    stop: Arc<AtomicBool>,
}

impl Workers {
    /// Stops them where they are.
    pub async fn end(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.running.join_next().await {
            ended.expect("no panic");
        }
    }
}

impl Pipeline {
    pub fn of(daemon: &DaemonProcess, copy: &Service, backup: &Service) -> Self {
        let steps = [("copy", Some(copy.url())), ("backup", Some(backup.url())), ("done", None)];
        Self { warden: format!("http://{}", daemon.address()), steps }
    }

    /// Creates so many files.
    pub async fn hand_in(&self, count: usize) {
        let line = |number: usize| {
            json!({"op": "create", "workflow": "uploads", "id": format!("file-{number}"),
                "payload_base64": STANDARD.encode(payload(number))})
            .to_string()
        };
        let lines: Vec<String> = (0..count).map(line).collect();
        let request =
            client().request(Method::POST, format!("{}/v1/batch", self.warden)).body(lines.join("\n"));
        let answers = request.send().await.expect("an answer").text().await.expect("a body");
        assert_eq!(answers.lines().filter(|line| line.contains("\"status\":201")).count(), count);
    }

    /// Starts workers for each step. What they cannot do, because their service is gone, hangs with them:
    /// they report nothing.
    pub fn work(&self) -> Workers {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = JoinSet::new();
        for (step, service) in &self.steps {
            for _ in 0..4 {
                running.spawn(work(self.warden.clone(), step, service.clone(), stop.clone()));
            }
        }
        Workers { running, stop }
    }
}

async fn work(warden: String, step: &'static str, service: Option<String>, stop: Arc<AtomicBool>) {
    let http = client();
    let post = async |path: String, document: Value| {
        http.post(format!("{warden}{path}")).json(&document).send().await.expect("an answer")
    };
    while !stop.load(Ordering::SeqCst) {
        let claim = json!({"workflows": ["uploads"], "states": ["open", "overdue"], "step": step, "max": BITE,
            "ttl": "5s",
            "wait": "200ms"});
        let claimed: Value = post("/v1/leases".into(), claim).await.json().await.expect("JSON");
        for lease in claimed["leases"].as_array().expect("a list") {
            if let Some(service) = &service {
                let id = lease["item"]["id"].as_str().expect("an id");
                let file =
                    STANDARD.decode(lease["payload_base64"].as_str().expect("a payload")).expect("base64");
                match http.post(format!("{service}/{id}")).body(file).send().await {
                    Ok(answer) => assert_eq!(answer.status(), StatusCode::NO_CONTENT),
                    // The service is gone, and so is this worker, with all that it holds.
                    Err(_) => return,
                }
            }
            let id = lease["id"].as_str().expect("an id");
            let answer = post(format!("/v1/leases/{id}/complete"), json!({})).await;
            // Late is lost, and done again by whoever has it now.
            assert!([200, 409].contains(&answer.status().as_u16()), "{answer:?}");
        }
    }
}
