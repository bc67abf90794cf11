//! Reading ahead: what is read at start is made use of in one thread while another one reads on.

use std::panic::resume_unwind;
use std::sync::mpsc::{IntoIter, sync_channel};
use std::thread;

/// How much is handed over at a time.
const CHUNK: usize = 1024;
/// How many chunks may lie ready.
const CHUNKS_AHEAD: usize = 4;

/// Goes through `source`, and has a thread of its own `consume` what comes of it, in its order, chunk by chunk. When `consume`
/// ends before its time, so does the reading. It is the reading that stays where it is: what the database allocates for its
/// cache would otherwise belong to threads that are gone.
///
/// # Panics
/// When either does, or when the system has no thread left.
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
