//! Detects that every task waits for time to pass.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

/// Wakes who waits for everybody else to have nothing left to do.
#[derive(Default)]
pub struct Idle {
    waiting: Mutex<Option<Waker>>,
    has_come: AtomicBool,
}

impl Idle {
    /// Nobody has anything to do.
    pub fn come(&self) {
        if let Some(waker) = self.waiting.lock().expect("nothing panics under the lock").take() {
            self.has_come.store(true, Ordering::SeqCst);
            waker.wake();
        }
    }

    /// Completes when nobody has.
    pub async fn wait(&self) {
        self.has_come.store(false, Ordering::SeqCst);
        std::future::poll_fn(|context| {
            if self.has_come.load(Ordering::SeqCst) {
                return Poll::Ready(());
            }
            *self.waiting.lock().expect("nothing panics under the lock") = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
