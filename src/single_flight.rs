//! Single flight: one piece of work at a time, and any number of requests that wait for its outcome.
//!
//! Fetches of keys and calls of a resolver use it. It has three parts:
//!
//! 1. The *work* runs in a task of its own, so that the runtime catches a panic of user code.
//! 2. The *flight* is a second task. It waits for the work up to its time limit, then runs `on_done`, which stores the
//!    outcome and announces it to the waiters. It belongs to no request: a client that disconnects stops nothing for
//!    which others wait.
//! 3. A *waiter* waits for the announcement, up to the same limit and [`GRACE`].
//!
//! The waiter's own limit matters only if the runtime of the flight is not polled: the process was suspended, or many
//! short runtimes share one verifier, as in tests. The flight would then never end. The first waiter that times out
//! ends it, and even without a waiter it stops being [live](Flight::is_live), so that the next request starts another.
//!
//! A flight has an id, and the owner of the flight compares it before it stores an outcome. Otherwise a flight that was
//! replaced could end late and overwrite the newer outcome with an older one.
//!
//! Limits are kept by timers that need no time driver of the runtime: an application may build its runtime without one,
//! and Tokio reports a missing driver only by a panic.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use futures_timer::Delay;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{AbortHandle, JoinSet},
};

use crate::telemetry::Span;

/// The result of a lookup that may have to wait for something first: `T` if it is found, `E` if the lookup failed, `W`
/// for what to wait for.
pub(crate) enum Lookup<T, E, W> {
    Failed(E),
    Found(T),
    Wait(W),
}

/// Work in progress, of which waiters get the outcome `T`. A clone is a handle to the same flight.
#[derive(Clone)]
pub(crate) struct Flight<T> {
    id: u64,
    /// A `watch` channel keeps its last value: a waiter that comes after the announcement still reads it.
    outcome: watch::Receiver<Option<T>>,
    /// On the injected monotonic clock: when the runtime of the flight is assumed not to be polled any more.
    overdue_at: Duration,
    task: AbortHandle,
    time_limit: Duration,
}

/// How the work of a flight ended. If its runtime ended instead, `on_done` does not run and there is no value.
pub(crate) enum Completion<U> {
    Finished(U),
    Panicked,
    TimedOut,
}

/// Announces the outcome of a flight to its waiters. Dropping it without an announcement wakes them too, with
/// [`WaitEnd::Lost`].
pub(crate) struct Announcer<T> {
    sender: watch::Sender<Option<T>>,
}

/// A waiter: it waits for at most the time limit of the flight and [`GRACE`], or a shorter limit of its own, counted
/// from [`Flight::wait`].
pub(crate) struct FlightWait<T> {
    flight: Flight<T>,
    limit: Delay,
    /// Bounds the memory that a herd of requests takes.
    _permit: OwnedSemaphorePermit,
}

/// How a wait ended.
pub(crate) enum WaitEnd<T> {
    /// With the outcome that was announced.
    Announced(T),
    /// Without one: the flight was stopped, or its runtime ended. Another flight may succeed.
    Lost,
    /// At the waiter's limit. Unless that is shorter than the work may take, the runtime of the flight is not polled,
    /// and the owner should end the flight.
    TimedOut,
}

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// Spawns `work`, then runs `on_done` unless the flight was [stopped](Self::stop) before; `None` outside a Tokio
    /// runtime.
    ///
    /// Callers hold a lock while they start a flight. So the span is made in the task: a subscriber is user code, and
    /// must not run under that lock.
    pub(crate) fn start<U: Send + 'static>(
        id: u64,
        now: Duration,
        time_limit: Duration,
        span: fn() -> Span,
        work: impl Future<Output = U> + Send + 'static,
        on_done: impl FnOnce(Completion<U>, Announcer<T>) + Send + 'static,
    ) -> Option<Self> {
        let runtime = Handle::try_current().ok()?;
        let (sender, outcome) = watch::channel(None);
        let task = async move {
            let span = span();
            let work = span.wrap(work);
            let whole = async move {
                if let Some(completion) = complete(work, time_limit).await {
                    on_done(completion, Announcer { sender });
                }
            };
            span.wrap(whole).await;
        };
        let task = runtime.spawn(task).abort_handle();
        let overdue_at = now.saturating_add(time_limit + GRACE);
        Some(Self { id, outcome, overdue_at, task, time_limit })
    }

    /// The id that the owner gave the flight, unique for each owner.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Whether the flight may still announce an outcome.
    ///
    /// A closed channel means that the task was stopped, or its runtime ended. The channel closes before the waiters
    /// are woken, so a waiter that finds its flight lost cannot join the same one again.
    pub(crate) fn is_live(&self, now: Duration) -> bool {
        now < self.overdue_at && self.outcome.has_changed().is_ok()
    }

    /// Stops the work. Its waiters get [`WaitEnd::Lost`].
    pub(crate) fn stop(&self) {
        self.task.abort();
    }

    /// Takes one of the permits for `waiters`; `None` if all are taken.
    pub(crate) fn wait(self, waiters: &Arc<Semaphore>) -> Option<FlightWait<T>> {
        let longest = self.time_limit + GRACE;
        self.wait_for(longest, waiters)
    }

    /// As [`wait`](Self::wait), for at most `limit`. If that is shorter than the work may take, a wait that times out
    /// says nothing about the flight.
    pub(crate) fn wait_for(self, limit: Duration, waiters: &Arc<Semaphore>) -> Option<FlightWait<T>> {
        let permit = Arc::clone(waiters).try_acquire_owned().ok()?;
        Some(FlightWait { flight: self, limit: Delay::new(limit), _permit: permit })
    }
}

impl<T: Clone> FlightWait<T> {
    pub(crate) fn flight(&self) -> &Flight<T> {
        &self.flight
    }

    /// Waits for the announcement.
    pub(crate) async fn end(&mut self) -> WaitEnd<T> {
        let announced = self.flight.outcome.wait_for(Option::is_some);
        match before(announced, &mut self.limit).await {
            Some(Ok(outcome)) => outcome.clone().map_or(WaitEnd::Lost, WaitEnd::Announced),
            Some(Err(_)) => WaitEnd::Lost,
            None => WaitEnd::TimedOut,
        }
    }
}

impl<T> Announcer<T> {
    /// Wakes all waiters with `outcome`. It replaces the value even if no receiver is left, so it cannot fail.
    pub(crate) fn announce(&self, outcome: T) {
        self.sender.send_replace(Some(outcome));
    }
}

/// Runs `work` for at most `time_limit`, in a task of its own so that the runtime catches a panic; `None` if the
/// runtime ends.
///
/// `catch_unwind` would catch it too, but needs `UnwindSafe` work, and a panic while a future is polled may leave it in
/// any state. A task is dropped after a panic.
async fn complete<U: Send + 'static>(
    work: impl Future<Output = U> + Send + 'static,
    time_limit: Duration,
) -> Option<Completion<U>> {
    // A set and not a plain `spawn`: dropping it, at the time limit or when the flight is stopped, stops the work.
    let mut tasks = JoinSet::new();
    tasks.spawn(work);
    match within(time_limit, tasks.join_next()).await {
        Some(Some(Ok(output))) => Some(Completion::Finished(output)),
        Some(Some(Err(error))) => error.is_panic().then_some(Completion::Panicked),
        Some(None) => None,
        None => Some(Completion::TimedOut),
    }
}

/// The output of `future`, or `None` if it takes longer than `limit`.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    before(future, &mut Delay::new(limit)).await
}

/// The output of `future`, or `None` if `limit` passes first. If both are ready, the output wins.
async fn before<F: Future>(future: F, limit: &mut Delay) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut limit = pin!(limit);
    let first = poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => limit.as_mut().poll(context).map(|()| None),
    });
    first.await
}

/// How much longer a waiter waits than the work may take. Half a second is long enough that on a runtime that is polled
/// the time limit of the work always comes first, with its more precise error, and too short for a user to notice.
const GRACE: Duration = Duration::from_millis(500);

/// Requests that wait for the keys of one instance, or for the resolver of a verifier: a burst that a server can hold
/// anyway, and a bound on its memory.
pub(crate) const MAX_WAITING: usize = 16_384;
