//! Instances that a resolver knows, looked up by issuer and kept for a while.

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Sleep, timeout},
};

use super::{
    instance::{Instance, Shared, Trusted},
    resolver::{InstanceResolver, ResolveError},
};
use crate::{
    config::IssuerUrl,
    jwks::{Budget, FetchErrorKind, launch, timer},
    telemetry,
};

/// Dropping it stops the calls of the resolver.
pub(super) struct Directory {
    book: Arc<Book>,
}

/// What is known of an issuer now.
pub(super) enum Resolution {
    Failed(FetchErrorKind),
    Known(Arc<Trusted>),
    Unknown,
    Wait(ResolutionWait),
}

/// Waiting for the resolver.
pub(crate) struct ResolutionWait {
    book: Arc<Book>,
    call: Call,
    issuer: IssuerUrl,
    timer: Pin<Box<Sleep>>,
}

#[derive(Clone)]
pub(super) enum Answer {
    Failed(FetchErrorKind),
    Known(Arc<Trusted>),
    Unknown,
}

struct Book {
    calls: Mutex<Calls>,
    known: Cache<IssuerUrl, Arc<Known>>,
    local_issuers_are_allowed: bool,
    resolver: Arc<dyn InstanceResolver>,
    shared: Arc<Shared>,
    /// Issuers that are none of the application's, and since when.
    strangers: Cache<IssuerUrl, Duration>,
    waiting: AtomicUsize,
}

struct Known {
    instance: Instance,
    resolved_at: Duration,
    trusted: Arc<Trusted>,
}

struct Calls {
    budget: Budget,
    count: u64,
    in_flight: HashMap<IssuerUrl, Call>,
    warned_at: Option<Duration>,
}

#[derive(Clone)]
struct Call {
    answer: watch::Receiver<Option<Answer>>,
    number: u64,
    task: AbortHandle,
}

impl Directory {
    pub(super) fn new(
        resolver: Arc<dyn InstanceResolver>,
        shared: Arc<Shared>,
        local_issuers_are_allowed: bool,
    ) -> Self {
        let places = u64::try_from(MAX_RESOLVED).unwrap_or(u64::MAX);
        let calls = Calls { budget: Budget::new(BURST, EVERY), count: 0, in_flight: HashMap::new(), warned_at: None };
        let book = Book {
            calls: Mutex::new(calls),
            known: Cache::builder().max_capacity(places).eviction_policy(EvictionPolicy::lru()).build(),
            local_issuers_are_allowed,
            resolver,
            shared,
            strangers: Cache::builder().max_capacity(places).eviction_policy(EvictionPolicy::lru()).build(),
            waiting: AtomicUsize::new(0),
        };
        Self { book: Arc::new(book) }
    }

    /// Looks up an issuer of which nothing is believed.
    pub(super) fn look_up(&self, issuer: &str) -> Resolution {
        let book = &self.book;
        let Some(issuer) = IssuerUrl::parse(issuer, book.local_issuers_are_allowed) else {
            return Resolution::Unknown;
        };
        let now = book.shared.clock.monotonic();
        match book.remembered(&issuer, now) {
            Some((Resolution::Known(trusted), true)) => {
                // Whether that succeeds is of no matter to this request.
                let _ = Book::call(book, &issuer, now);
                return Resolution::Known(trusted);
            }
            Some((resolution, _)) => return resolution,
            None => {}
        }
        let call = match Book::call(book, &issuer, now) {
            Ok(call) => call,
            Err(resolution) => return resolution,
        };
        let Some(timer) = timer(DEADLINE + GRACE) else { return Resolution::Failed(FetchErrorKind::NoRuntime) };
        if book.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            book.waiting.fetch_sub(1, Ordering::Relaxed);
            return Resolution::Failed(FetchErrorKind::TooManyWaiting);
        }
        Resolution::Wait(ResolutionWait { book: Arc::clone(book), call, issuer, timer })
    }

    /// The instances that were resolved and are not forgotten.
    pub(super) fn resolved(&self) -> Vec<Arc<Trusted>> {
        self.book.known.iter().map(|(_, known)| Arc::clone(&known.trusted)).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        for (_, call) in self.book.calls().in_flight.drain() {
            call.task.abort();
        }
    }
}

impl Book {
    /// What was answered before, and whether it is time to ask again.
    fn remembered(&self, issuer: &IssuerUrl, now: Duration) -> Option<(Resolution, bool)> {
        if let Some(known) = self.known.get(issuer) {
            let age = now.saturating_sub(known.resolved_at);
            if age < KEPT {
                return Some((Resolution::Known(Arc::clone(&known.trusted)), age >= FRESH));
            }
        }
        let since = self.strangers.get(issuer)?;
        (now.saturating_sub(since) < STRANGE).then_some((Resolution::Unknown, false))
    }

    /// Joins the call for `issuer` or makes one, if one may be made.
    fn call(book: &Arc<Self>, issuer: &IssuerUrl, now: Duration) -> Result<Call, Resolution> {
        let mut calls = book.calls();
        match calls.in_flight.get(issuer) {
            Some(call) if !call.task.is_finished() => return Ok(call.clone()),
            _ => {}
        }
        // A call may have ended since this was looked at.
        if let Some((resolution, false)) = book.remembered(issuer, now) {
            return Err(resolution);
        }
        calls.in_flight.retain(|_, call| !call.task.is_finished());
        if calls.in_flight.len() >= MAX_CALLS || !calls.budget.is_left(now) {
            return Err(Resolution::Failed(FetchErrorKind::TooManyWaiting));
        }
        calls.budget.spend(now);
        calls.count += 1;
        let number = calls.count;
        let (sender, answer) = watch::channel(None);
        let work = Self::answer(Arc::downgrade(book), Arc::clone(&book.resolver), issuer.clone(), number, sender);
        let task = launch(telemetry::in_resolve_span(work)).ok_or(Resolution::Failed(FetchErrorKind::NoRuntime))?;
        let call = Call { answer, number, task };
        calls.in_flight.insert(issuer.clone(), call.clone());
        Ok(call)
    }

    /// The call itself, run in its own task.
    async fn answer(
        book: Weak<Self>,
        resolver: Arc<dyn InstanceResolver>,
        issuer: IssuerUrl,
        number: u64,
        sender: watch::Sender<Option<Answer>>,
    ) {
        let resolved = timeout(DEADLINE, resolver.resolve(issuer.clone())).await;
        let Some(book) = book.upgrade() else { return };
        let now = book.shared.clock.monotonic();
        let (answer, error) = match resolved {
            Ok(Ok(Some(instance))) => book.take_in(&issuer, instance, now),
            Ok(Ok(None)) => (Answer::Unknown, None),
            Ok(Err(error)) => (Answer::Failed(FetchErrorKind::Resolver), Some(error)),
            Err(_) => (Answer::Failed(FetchErrorKind::Timeout), Some(ResolveError::new("it took too long"))),
        };
        let is_due = {
            let mut calls = book.calls();
            if calls.in_flight.get(&issuer).is_some_and(|call| call.number == number) {
                calls.in_flight.remove(&issuer);
            }
            if matches!(answer, Answer::Unknown) {
                book.known.invalidate(&issuer);
                book.strangers.insert(issuer, now);
            }
            let is_due = calls.warned_at.is_none_or(|at| now.saturating_sub(at) >= Duration::from_secs(60));
            if is_due && error.is_some() {
                calls.warned_at = Some(now);
            }
            is_due
        };
        sender.send_replace(Some(answer));
        if let Some(error) = error {
            telemetry::resolve_failed(&error, is_due);
        }
    }

    /// Keeps an instance, with the keys that it has if it is the one that was known.
    fn take_in(&self, issuer: &IssuerUrl, instance: Instance, now: Duration) -> (Answer, Option<ResolveError>) {
        if !instance.config.issuers().contains(&issuer.as_str()) {
            let error = ResolveError::new("the resolver answered with an instance that has another issuer");
            return (Answer::Failed(FetchErrorKind::Resolver), Some(error));
        }
        let before = self.known.get(issuer).filter(|known| known.instance.is_same(&instance));
        let trusted = match before {
            Some(known) => Arc::clone(&known.trusted),
            None => match Trusted::new(instance.clone(), &self.shared) {
                Ok(trusted) => Arc::new(trusted),
                Err(error) => return (Answer::Failed(FetchErrorKind::Resolver), Some(ResolveError::new(error))),
            },
        };
        let known = Known { instance, resolved_at: now, trusted: Arc::clone(&trusted) };
        self.known.insert(issuer.clone(), Arc::new(known));
        self.strangers.invalidate(issuer);
        (Answer::Known(trusted), None)
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolutionWait {
    pub(super) async fn ended(mut self) -> Answer {
        let mut timer = self.timer.as_mut();
        let mut answered = pin!(self.call.answer.wait_for(Option::is_some));
        let answer = poll_fn(|context| match answered.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(answer.map(|answer| answer.clone()).ok().flatten()),
            Poll::Pending => timer.as_mut().poll(context).map(|()| Some(Answer::Failed(FetchErrorKind::Timeout))),
        });
        // Without an answer its task has panicked or was stopped.
        answer.await.unwrap_or(Answer::Failed(FetchErrorKind::Panicked))
    }
}

impl Drop for ResolutionWait {
    fn drop(&mut self) {
        self.book.waiting.fetch_sub(1, Ordering::Relaxed);
        // On a runtime that no one drives a call never ends by itself.
        if self.timer.is_elapsed() {
            let mut calls = self.book.calls();
            if calls.in_flight.get(&self.issuer).is_some_and(|call| call.number == self.call.number) {
                calls.in_flight.remove(&self.issuer);
                self.call.task.abort();
            }
        }
    }
}

/// Instances, and as many issuers that are none.
pub(super) const MAX_RESOLVED: usize = 10_000;
/// Calls of the resolver at once.
const MAX_CALLS: usize = 16;
/// Requests waiting for the resolver at once.
const MAX_WAITING: usize = 16_384;
/// Calls of the resolver in a row, and how soon each further one.
const BURST: u32 = 64;
const EVERY: Duration = Duration::from_millis(100);
const DEADLINE: Duration = Duration::from_secs(2);
/// How much longer than a call may take a request waits for it.
const GRACE: Duration = Duration::from_millis(500);
/// How old an answer is when it is asked for again, and when it counts no longer.
const FRESH: Duration = Duration::from_secs(5 * 60);
const KEPT: Duration = Duration::from_secs(60 * 60);
const STRANGE: Duration = Duration::from_secs(60);
