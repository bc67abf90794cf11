//! Catches panics that tokio and the daemon's loops catch, so that they fail the story.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static FIRST: RefCell<Option<String>> = const { RefCell::new(None) };
}

static WATCHED: Once = Once::new();

/// What panicked first on this thread in the story that it tells.
pub fn first() -> Option<String> {
    FIRST.with_borrow(Clone::clone)
}

/// Tells a story. That something panics in it is an error, whoever catches it.
pub fn caught<T>(tell: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    WATCHED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            FIRST.with_borrow_mut(|first| {
                // In one line, like all that goes wrong.
                first.get_or_insert_with(|| format!("it {panic}").replace('\n', " "));
            });
            before(panic);
        }));
    });
    FIRST.with_borrow_mut(|first| *first = None);
    let told = catch_unwind(AssertUnwindSafe(tell));
    match (first(), told) {
        (Some(panic), _) => Err(panic),
        (None, Ok(told)) => told,
        (None, Err(_)) => Err("it panicked".into()),
    }
}
