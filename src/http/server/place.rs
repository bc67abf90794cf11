//! The permit of a request in flight.
//!
//! A store read continues when its client disconnects. To bound the number of reads by the number of permits,
//! a read runs in a task of its own that holds the permit.

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

use super::serve::Call;

/// The permit of a request, shared by everything that it is doing; health checks have none. Released with the
/// last clone.
#[derive(Clone, Default)]
pub struct Place(Option<Arc<OwnedSemaphorePermit>>);

impl Place {
    pub fn new(permit: OwnedSemaphorePermit) -> Self {
        Self(Some(Arc::new(permit)))
    }

    pub fn is_taken(&self) -> bool {
        self.0.is_some()
    }

    /// Runs some work that holds the permit. If the caller is dropped the work continues to its next await,
    /// by which time a read has ended. Not for work that may wait for long.
    pub async fn keep<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let (place, left) = (self.clone(), CancellationToken::new());
        let _leaving = left.clone().drop_guard();
        let task = tokio::spawn(async move {
            let mut work = pin!(work);
            // Checked only when the work is woken, so that it is not dropped during a read.
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
            // Cannot happen: the caller still waits here.
            Ok(None) => pending().await,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime is shutting down.
                Err(_) => pending().await,
            },
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Place {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Call>().map(|call| call.place.clone()).unwrap_or_default())
    }
}
