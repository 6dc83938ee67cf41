//! One piece of work at a time, and everyone who waits for it.
//!
//! The work runs in a task of its own, so that the end of no request stops it, and has a time limit. Whoever waits has
//! a limit too, a little longer: the task's own comes first wherever its runtime is polled. Where it is not (a process
//! that was frozen, or a verifier that many short runtimes share, as in tests), the work would never end, so the flight
//! stops being [live](Flight::is_live) then and the next request starts another.
//!
//! Limits are kept by timers that need no time driver of the runtime: Tokio says whether a runtime has one only by a
//! panic.

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

/// What a request gets where something may have to be fetched first.
pub(crate) enum Lookup<T, E, W> {
    Failed(E),
    Found(T),
    Wait(W),
}

/// Work that runs in a task of its own; `T` is what those who wait are told. A clone is the same flight.
#[derive(Clone)]
pub(crate) struct Flight<T> {
    id: u64,
    outcome: watch::Receiver<Option<T>>,
    /// On the injected clock: the work can no longer be expected to end.
    overdue_at: Duration,
    task: AbortHandle,
    time_limit: Duration,
}

/// How the work of a flight ended.
pub(crate) enum Completion<U> {
    Finished(U),
    Panicked,
    TimedOut,
}

/// Tells those who wait for a flight how it ended.
pub(crate) struct Announcer<T> {
    sender: watch::Sender<Option<T>>,
}

/// Waiting for a flight, for at most its time limit and [`GRACE`].
pub(crate) struct FlightWait<T> {
    flight: Flight<T>,
    is_own: bool,
    limit: Delay,
    _permit: OwnedSemaphorePermit,
}

/// What became of a flight for one who waited.
pub(crate) enum WaitEnd<T> {
    /// What was announced.
    Announced(T),
    /// Its task was stopped, or its runtime ended; another flight may do better.
    Lost,
    /// Its runtime is not polled.
    TimedOut,
}

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// Spawns `work`, then runs `on_done` unless the flight was [stopped](Self::stop) before; `None` without a runtime.
    ///
    /// Both run inside the span that `span` makes: in the task, so that a subscriber is never called under a lock of
    /// the caller's.
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

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Whether it may still bring something. Not if its task was stopped or its runtime ended: then the sender is gone
    /// before anyone who waits is woken.
    pub(crate) fn is_live(&self, now: Duration) -> bool {
        now < self.overdue_at && self.outcome.has_changed().is_ok()
    }

    /// Stops the work; those who wait find the flight lost.
    pub(crate) fn stop(&self) {
        self.task.abort();
    }

    /// Waits for it, in one of the `places`; `None` if all are taken. `is_own` says that the flight was started for
    /// this request.
    pub(crate) fn wait(self, places: &Arc<Semaphore>, is_own: bool) -> Option<FlightWait<T>> {
        let permit = Arc::clone(places).try_acquire_owned().ok()?;
        let limit = Delay::new(self.time_limit + GRACE);
        Some(FlightWait { flight: self, is_own, limit, _permit: permit })
    }
}

impl<T: Clone> FlightWait<T> {
    pub(crate) fn flight(&self) -> &Flight<T> {
        &self.flight
    }

    /// Whether the flight was started for this request. One that was joined may have been answered before whatever the
    /// request needs existed.
    pub(crate) fn is_own(&self) -> bool {
        self.is_own
    }

    /// Waits for the end.
    pub(crate) async fn end(&mut self) -> WaitEnd<T> {
        let announced = self.flight.outcome.wait_for(Option::is_some);
        match within(announced, &mut self.limit).await {
            Some(Ok(outcome)) => outcome.clone().map_or(WaitEnd::Lost, WaitEnd::Announced),
            Some(Err(_)) => WaitEnd::Lost,
            None => WaitEnd::TimedOut,
        }
    }
}

impl<T> Announcer<T> {
    pub(crate) fn announce(&self, outcome: T) {
        self.sender.send_replace(Some(outcome));
    }
}

/// Runs `work` for at most `time_limit`, in a task of its own so that the runtime catches a panic; `None` if the runtime
/// ends.
async fn complete<U: Send + 'static>(
    work: impl Future<Output = U> + Send + 'static,
    time_limit: Duration,
) -> Option<Completion<U>> {
    // Dropping the set, at the time limit or with the flight, stops the task.
    let mut tasks = JoinSet::new();
    tasks.spawn(work);
    match within(tasks.join_next(), &mut Delay::new(time_limit)).await {
        Some(Some(Ok(output))) => Some(Completion::Finished(output)),
        Some(Some(Err(error))) => error.is_panic().then_some(Completion::Panicked),
        Some(None) => None,
        None => Some(Completion::TimedOut),
    }
}

/// What `future` returns before `limit` has passed.
async fn within<F: Future>(future: F, limit: &mut Delay) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut limit = pin!(limit);
    let first = poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => limit.as_mut().poll(context).map(|()| None),
    });
    first.await
}

/// How much longer a request waits than the work may take: enough that on a runtime that is polled the task's own time
/// limit always comes first, too short for a user to notice.
const GRACE: Duration = Duration::from_millis(500);
