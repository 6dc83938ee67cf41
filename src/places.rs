//! Bounds on how much runs at once.
//!
//! Unlike a [rate limit](crate::rate_limit), work that finds no place waits for one.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Places for work in `N` classes. The first class may take all places, each further one only a part of them.
///
/// So whatever the later classes do, some places are left to the earlier ones. Within a class, work gets its place in
/// the order in which it asked.
#[derive(Debug)]
pub(crate) struct Places<const N: usize> {
    /// The places of each class, which are among those of the class before.
    classes: [Semaphore; N],
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place<'p> {
    _permits: Vec<SemaphorePermit<'p>>,
}

impl<const N: usize> Places<N> {
    /// Makes places for each class, from the largest number to the smallest.
    pub(crate) fn new(places: [usize; N]) -> Self {
        Self { classes: places.map(|places| Semaphore::new(places.min(Semaphore::MAX_PERMITS))) }
    }

    /// Waits for a place of this class, counted from zero.
    pub(crate) async fn acquire(&self, class: usize) -> Place<'_> {
        let mut permits = Vec::with_capacity(N);
        // From the smallest number to the largest: work that waits for a place of its own class takes none of another.
        for semaphore in self.classes.iter().take(class.saturating_add(1)).rev() {
            // It cannot fail, because nothing closes the semaphore.
            permits.extend(semaphore.acquire().await.ok());
        }
        Place { _permits: permits }
    }
}

/// Runs all of `work`, at most `limit` at once, and passes each output to `on_output`. Dropping it drops the work.
///
/// It polls the work itself and spawns nothing, so it needs no runtime.
pub(crate) async fn run_all<F: Future>(
    limit: usize,
    work: impl IntoIterator<Item = F>,
    mut on_output: impl FnMut(F::Output),
) {
    let mut queue = work.into_iter().fuse();
    let mut running: Vec<Pin<Box<F>>> = Vec::new();
    let all = poll_fn(|context| {
        loop {
            let free = limit.max(1).saturating_sub(running.len());
            running.extend(queue.by_ref().take(free).map(Box::pin));
            if running.is_empty() {
                return Poll::Ready(());
            }
            let before = running.len();
            running.retain_mut(|work| match work.as_mut().poll(context) {
                Poll::Ready(output) => {
                    on_output(output);
                    false
                }
                Poll::Pending => true,
            });
            if running.len() == before {
                return Poll::Pending;
            }
        }
    });
    all.await;
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    fn poll<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_later_class_leaves_places_to_an_earlier_one() {
        let places = Places::new([3, 2]);
        let acquire = |class| poll(pin!(places.acquire(class)));
        let (first, second) = (acquire(1), acquire(1));
        assert!(first.is_some() && second.is_some() && acquire(1).is_none());
        let third = acquire(0);
        assert!(third.is_some() && acquire(0).is_none() && acquire(1).is_none());
        drop(third);
        assert!(acquire(1).is_none() && acquire(0).is_some());
        drop(first);
        assert!(acquire(1).is_some());
    }

    #[test]
    fn an_earlier_class_may_take_all_places() {
        let places = Places::new([2, 1]);
        let acquire = |class| poll(pin!(places.acquire(class)));
        let taken = (acquire(0), acquire(0));
        assert!(taken.0.is_some() && taken.1.is_some());
        assert!(acquire(1).is_none());
    }

    #[test]
    fn a_wait_for_a_place_that_is_dropped_takes_none() {
        let places = Places::new([2, 1]);
        let taken = poll(pin!(places.acquire(1)));
        {
            let mut waiting = pin!(places.acquire(1));
            assert!(poll(waiting.as_mut()).is_none());
        }
        drop(taken);
        assert!(poll(pin!(places.acquire(1))).is_some());
    }

    #[test]
    fn all_work_runs_and_never_more_than_the_limit_at_once() {
        let (now, most, outputs) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let work = |output: usize| {
            let (now, most) = (&now, &most);
            async move {
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                let mut polls = 0;
                poll_fn(|_| {
                    polls += 1;
                    if polls > 1 + output % 3 { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                now.set(now.get() - 1);
                output
            }
        };
        let mut all = pin!(run_all(3, (0..10).map(work), |output| outputs.set(outputs.get() + output)));
        while poll(all.as_mut()).is_none() {}
        assert_eq!((now.get(), most.get(), outputs.get()), (0, 3, 45));
    }
}
