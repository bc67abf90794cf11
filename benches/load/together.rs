//! Connections that do the same at once, and what they see.

use std::time::Duration;

use tokio::task::JoinSet;

use super::failure::Failure;
use super::statistics::quantile;

/// What connections saw that did something again and again.
pub struct Seen {
    /// How often all of them together did it.
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
}

impl Seen {
    /// `took` is how long it took each time, and `length` how long they went on.
    pub fn of(mut took: Vec<Duration>, length: Duration) -> Result<Self, Failure> {
        if took.is_empty() {
            return Err(Failure::Answer("nothing was done".to_owned()));
        }
        let per_second = took.len() as f64 / length.as_secs_f64();
        Ok(Self { per_second, p50: quantile(&mut took, 0.5), p99: quantile(&mut took, 0.99) })
    }
}

/// Has so many of these go on at once; what each gives at its end.
pub async fn together<T, F>(count: usize, begin: impl Fn() -> F) -> Result<Vec<T>, Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    let mut running = JoinSet::new();
    for _ in 0..count {
        running.spawn(begin());
    }
    let mut given = Vec::with_capacity(count);
    while let Some(ended) = running.join_next().await {
        given.push(ended.map_err(|error| Failure::Answer(error.to_string()))??);
    }
    Ok(given)
}
