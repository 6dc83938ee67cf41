use std::{sync::Barrier, thread};

use tower_clerk::Verifier;

use super::harness::{Verdict, kind_of};

/// The verdict of every thread about a token that it holds beside the cache, after `change`.
pub(crate) fn verdicts_after(verifier: &Verifier, token: &str, change: impl FnOnce()) -> Vec<Verdict> {
    let barrier = Barrier::new(THREADS + 1);
    thread::scope(|scope| {
        let verify_after_change = || {
            for _ in 0..HITS {
                assert_eq!(kind_of(verifier.try_verify(token)), Ok(()));
            }
            barrier.wait();
            barrier.wait();
            kind_of(verifier.try_verify(token))
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(verify_after_change)).collect();
        barrier.wait();
        change();
        barrier.wait();
        threads.into_iter().map(|thread| thread.join().expect("a verdict")).collect()
    })
}

pub(crate) const THREADS: usize = 4;
/// More than it takes until a thread holds a token.
pub(crate) const HITS: usize = 4;
