//! Read-ahead at start: one thread reads while another consumes.

use std::panic::resume_unwind;
use std::sync::mpsc::{IntoIter, sync_channel};
use std::thread;

/// Values per hand-over.
const CHUNK: usize = 1024;
/// Hand-overs that may be queued.
const CHUNKS_AHEAD: usize = 4;

/// Iterates over `source` on this thread, and runs `consume` on a thread of its own on the values, in order.
/// When `consume` returns early, reading ends. The reading stays on this thread so that what sled allocates
/// for its cache does not belong to a thread that ends.
///
/// # Panics
/// `source` or `consume` panics, or no thread can be started.
pub(super) fn read_ahead<T: Send, R: Send>(
    mut source: impl Iterator<Item = T>,
    consume: impl FnOnce(IntoIter<Vec<T>>) -> R + Send,
) -> R {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(CHUNKS_AHEAD);
        let consumer = scope.spawn(move || consume(receiver.into_iter()));
        loop {
            let chunk: Vec<T> = source.by_ref().take(CHUNK).collect();
            if chunk.is_empty() || sender.send(chunk).is_err() {
                break;
            }
        }
        drop(sender);
        consumer.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_in_its_order() {
        let seen: Vec<usize> = read_ahead(0..3 * CHUNK + 1, |chunks| chunks.flatten().collect());
        assert!(seen.into_iter().eq(0..3 * CHUNK + 1));
    }

    #[test]
    fn who_has_seen_enough_ends_the_reading() {
        let first = read_ahead(0_u64.., |mut chunks| chunks.next().map(|chunk| chunk[0]));
        assert_eq!(first, Some(0));
    }
}
