//! The one fetch in flight and those who wait for it.

use std::{
    future::{Future, poll_fn},
    panic::catch_unwind,
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::Poll,
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch, task::AbortHandle, time::Sleep};

use super::{
    gate::InFlight,
    source::{FetchError, FetchErrorKind, KeySource},
    store::Shared,
};
use crate::telemetry;

/// A fetch running in a task of its own, so that no request's end stops it.
#[derive(Clone)]
pub(super) struct Flight {
    number: u64,
    outcome: watch::Receiver<Option<Result<(), FetchErrorKind>>>,
    /// On the clock of the store, when its runtime must be taken for one that no one drives.
    overdue_at: Duration,
    task: AbortHandle,
}

/// How a flight ended for someone who waited for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Failed(FetchErrorKind),
    Fetched,
    /// Its task was stopped; another flight may do better.
    Lost,
}

/// Waiting for a flight to end.
pub(crate) struct Wait {
    flight: Flight,
    is_own: bool,
    shared: Arc<Shared>,
    timer: Pin<Box<Sleep>>,
}

/// A timer on the current runtime; `None` without a runtime, or with one that has no timers, which shows
/// only as a panic.
pub(crate) fn timer(duration: Duration) -> Option<Pin<Box<Sleep>>> {
    Handle::try_current().ok()?;
    catch_unwind(|| tokio::time::sleep(duration)).ok().map(Box::pin)
}

/// What a task announces before the timer runs out: `None` if it does, and nothing within if the task ended
/// without an announcement.
pub(crate) async fn in_time<T: Clone>(
    outcome: &mut watch::Receiver<Option<T>>,
    mut timer: Pin<&mut Sleep>,
) -> Option<Option<T>> {
    let mut announced = pin!(outcome.wait_for(Option::is_some));
    let either = poll_fn(|context| match announced.as_mut().poll(context) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome.map(|outcome| outcome.clone()).ok().flatten())),
        Poll::Pending => timer.as_mut().poll(context).map(|()| None),
    });
    either.await
}

/// Runs `work` in a task of its own; `None` without a runtime. The only place of the library that spawns.
pub(crate) fn launch(work: impl Future<Output = ()> + Send + 'static) -> Option<AbortHandle> {
    Some(Handle::try_current().ok()?.spawn(work).abort_handle())
}

impl Flight {
    /// Starts a fetch; `None` without a runtime, or with one that has no timers.
    pub(super) fn start(
        store: &Arc<Shared>,
        number: u64,
        source: Arc<dyn KeySource>,
        timeout: Duration,
        overdue_at: Duration,
    ) -> Option<Self> {
        drop(timer(timeout)?);
        let (sender, outcome) = watch::channel(None);
        let landing = Landing { number, sender, store: Arc::downgrade(store) };
        let fetch = async move {
            let result = Shared::fetch(source.as_ref(), timeout).await;
            landing.land(result);
        };
        // The span is made by the task: here the gate is locked, and what a subscriber does is its own affair.
        let task = launch(async { telemetry::in_fetch_span(fetch).await })?;
        Some(Self { number, outcome, overdue_at, task })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

impl InFlight for Flight {
    fn abort(&self) {
        self.task.abort();
    }

    /// Not if its task panicked or was stopped, or its runtime ended: then its end of the channel is gone before
    /// anyone who waits is told.
    fn is_live(&self, now: Duration) -> bool {
        now < self.overdue_at && self.outcome.has_changed().is_ok()
    }
}

impl Wait {
    pub(super) fn new(shared: Arc<Shared>, flight: Flight, timer: Pin<Box<Sleep>>, is_own: bool) -> Self {
        Self { flight, is_own, shared, timer }
    }

    /// Whether the fetch started for this request. One that was joined may have been answered before the
    /// key in question existed.
    pub(crate) fn is_own(&self) -> bool {
        self.is_own
    }

    pub(crate) async fn ended(mut self) -> Outcome {
        let outcome = self.landed().await;
        if outcome == Outcome::Failed(FetchErrorKind::Timeout) {
            self.shared.give_up(&self.flight);
        }
        outcome
    }

    async fn landed(&mut self) -> Outcome {
        match in_time(&mut self.flight.outcome, self.timer.as_mut()).await {
            Some(Some(Ok(()))) => Outcome::Fetched,
            Some(Some(Err(kind))) => Outcome::Failed(kind),
            Some(None) => Outcome::Lost,
            None => Outcome::Failed(FetchErrorKind::Timeout),
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.shared.stop_waiting();
    }
}

/// The end of a flight, whichever way it comes.
struct Landing {
    number: u64,
    sender: watch::Sender<Option<Result<(), FetchErrorKind>>>,
    store: Weak<Shared>,
}

impl Landing {
    fn land(self, result: Result<super::key_set::KeySet, FetchError>) {
        if let Some(store) = self.store.upgrade() {
            store.finish(self.number, result, |outcome| self.announce(outcome));
        }
    }

    fn announce(&self, outcome: Result<(), FetchErrorKind>) {
        self.sender.send_replace(Some(outcome));
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        // A task that is stopped drops this as well, but not while panicking: that is no failure of the
        // source, and the next request starts another flight.
        if std::thread::panicking() && self.sender.borrow().is_none() {
            let error = FetchError::of_kind(FetchErrorKind::Panicked);
            if let Some(store) = self.store.upgrade() {
                store.fail(self.number, &error, || self.announce(Err(error.kind())));
            }
        }
    }
}
