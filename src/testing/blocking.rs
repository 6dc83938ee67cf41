use std::{future::Future, thread};

use tokio::runtime::Builder;

use super::expect;

/// Runs a future to its end on a thread of its own: the caller may be inside a Tokio runtime, where blocking on another
/// one panics.
pub(super) fn block_on<F>(future: F) -> F::Output
where
    F: Future<Output: Send> + Send,
{
    let run = || expect(Builder::new_current_thread().build(), "a Tokio runtime").block_on(future);
    thread::scope(|scope| expect(scope.spawn(run).join(), "no panic"))
}
