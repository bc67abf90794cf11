//! The place of a request among those in flight.
//!
//! A read that has begun in the store is not stopped by its client going away. So that no more of them are under way than
//! there are places, however many clients ask and go, it is done in a task of its own, which keeps the place.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

/// What a request has taken of the requests in flight; the paths of operation take nothing. It is given back when all that
/// keep it have let go of it.
#[derive(Clone, Default)]
pub struct Place(Option<Arc<OwnedSemaphorePermit>>);

impl Place {
    /// The place that this permit stands for.
    pub fn new(permit: OwnedSemaphorePermit) -> Self {
        Self(Some(Arc::new(permit)))
    }

    /// Whether anything was taken.
    pub fn is_taken(&self) -> bool {
        self.0.is_some()
    }

    /// Does some work, and keeps the place meanwhile. When whoever waits for it goes away, it still goes on to where it waits
    /// next: by then a read that it had begun is over. Not for work that may wait for long.
    pub async fn keep<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let (place, left) = (self.clone(), CancellationToken::new());
        let _leaving = left.clone().drop_guard();
        let task = tokio::spawn(async move {
            let mut work = pin!(work);
            // Only what the work itself waits for has it looked at again, so that it is not dropped amid a read.
            let done = poll_fn(|context| match left.is_cancelled() {
                true => Poll::Ready(None),
                false => work.as_mut().poll(context).map(Some),
            });
            let done = done.await;
            drop(place);
            done
        });
        match task.await {
            Ok(Some(done)) => done,
            // Nobody has left, for somebody waits here.
            Ok(None) => pending().await,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The daemon has ended.
                Err(_) => pending().await,
            },
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Place {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}
