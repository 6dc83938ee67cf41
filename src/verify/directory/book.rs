//! What is remembered of issuers, and the calls that find it out.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::{sync::watch, task::AbortHandle, time::timeout};

use super::{Answer, DEADLINE, GRACE, MAX_RESOLVED, Resolution};
use crate::{
    clock::nanos,
    config::IssuerUrl,
    jwks::{Budget, FetchErrorKind, launch},
    telemetry,
    verify::{
        instance::{Instance, Shared, Trusted},
        resolver::{InstanceResolver, ResolveError},
    },
};

pub(super) struct Book {
    calls: Mutex<Calls>,
    known: Cache<IssuerUrl, Arc<Known>>,
    pub(super) local_issuers_are_allowed: bool,
    resolver: Arc<dyn InstanceResolver>,
    shared: Arc<Shared>,
    /// Issuers that are none of the application's, and since when.
    strangers: Cache<IssuerUrl, Duration>,
    pub(super) waiting: AtomicUsize,
}

pub(super) struct Known {
    /// When it may be asked for again, in nanoseconds: records that fail for one tenant are not asked without end.
    ask_at: AtomicU64,
    instance: Instance,
    resolved_at: Duration,
    pub(super) trusted: Arc<Trusted>,
}

struct Calls {
    budget: Budget,
    count: u64,
    in_flight: HashMap<IssuerUrl, Call>,
    warned_at: Option<Duration>,
}

#[derive(Clone)]
pub(super) struct Call {
    pub(super) answer: watch::Receiver<Option<Answer>>,
    number: u64,
    /// When its runtime must be taken for one that no one drives.
    overdue_at: Duration,
    task: AbortHandle,
}

/// On whose account the resolver is asked.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Asking {
    /// A tenant that is known, in the background.
    Again,
    /// An issuer that anyone may have made up.
    Anew,
}

/// What a call brought.
enum Brought {
    Failed(FetchErrorKind),
    Known(Box<Instance>, Arc<Trusted>),
    Unknown,
}

impl Book {
    pub(super) fn new(
        resolver: Arc<dyn InstanceResolver>,
        shared: Arc<Shared>,
        local_issuers_are_allowed: bool,
    ) -> Self {
        let places = u64::try_from(MAX_RESOLVED).unwrap_or(u64::MAX);
        let calls = Calls { budget: Budget::new(BURST, EVERY), count: 0, in_flight: HashMap::new(), warned_at: None };
        Self {
            calls: Mutex::new(calls),
            // What is kept no longer is freed some day, with the keys that it has.
            known: Cache::builder()
                .max_capacity(places)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(KEPT * 2)
                .build(),
            local_issuers_are_allowed,
            resolver,
            shared,
            strangers: Cache::builder().max_capacity(places).eviction_policy(EvictionPolicy::lru()).build(),
            waiting: AtomicUsize::new(0),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.shared.clock.monotonic()
    }

    pub(super) fn all_known(&self) -> Vec<Arc<Trusted>> {
        let now = self.now();
        let known = self.known.iter().filter(|(_, known)| known.is_kept(now));
        known.map(|(_, known)| Arc::clone(&known.trusted)).collect()
    }

    /// Ends a call that its runtime does not bring to an end.
    pub(super) fn give_up(&self, issuer: &IssuerUrl, call: &Call) {
        let mut calls = self.calls();
        if calls.in_flight.get(issuer).is_some_and(|current| current.number == call.number) {
            calls.in_flight.remove(issuer);
            call.task.abort();
        }
    }

    /// Ends all calls.
    pub(super) fn close(&self) {
        for (_, call) in self.calls().in_flight.drain() {
            call.task.abort();
        }
    }

    pub(super) fn known(&self, issuer: &IssuerUrl, now: Duration) -> Option<Arc<Known>> {
        self.known.get(issuer).filter(|known| known.is_kept(now))
    }

    pub(super) fn is_stranger(&self, issuer: &IssuerUrl, now: Duration) -> bool {
        self.strangers.get(issuer).is_some_and(|since| now.saturating_sub(since) < STRANGE)
    }

    /// Joins the call for `issuer` or makes one, if one may be made.
    pub(super) fn call(
        book: &Arc<Self>,
        issuer: &IssuerUrl,
        now: Duration,
        asking: Asking,
    ) -> Result<Call, Resolution> {
        let mut calls = book.calls();
        match calls.in_flight.get(issuer) {
            Some(call) if call.is_live(now) => return Ok(call.clone()),
            _ => {}
        }
        // A call may have ended since this was looked at.
        match book.known(issuer, now) {
            Some(known) if asking == Asking::Anew || !known.is_due(now) => {
                return Err(Resolution::Known(Arc::clone(&known.trusted)));
            }
            Some(known) => known.put_off(now),
            None if book.is_stranger(issuer, now) => return Err(Resolution::Unknown),
            None => {}
        }
        for call in calls.in_flight.extract_if(|_, call| !call.is_live(now)) {
            call.1.task.abort();
        }
        // Issuers that anyone may have made up leave room for tenants that are known.
        let (places, is_left) = match asking {
            Asking::Again => (MAX_CALLS, true),
            Asking::Anew => (MAX_CALLS - RESERVED_CALLS, calls.budget.is_left(now)),
        };
        if calls.in_flight.len() >= places || !is_left {
            return Err(Resolution::Failed(FetchErrorKind::TooManyLookups));
        }
        calls.count += 1;
        let number = calls.count;
        let (sender, answer) = watch::channel(None);
        let work = Self::answer(Arc::downgrade(book), Arc::clone(&book.resolver), issuer.clone(), number, sender);
        // The span is made by the task: here the calls are locked, and what a subscriber does is its own affair.
        let task = launch(async { telemetry::in_resolve_span(work).await });
        let task = task.ok_or(Resolution::Failed(FetchErrorKind::NoRuntime))?;
        if asking == Asking::Anew {
            calls.budget.spend(now);
        }
        let call = Call { answer, number, overdue_at: now.saturating_add(DEADLINE + GRACE), task };
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
            Ok(Ok(Some(instance))) => book.trust(&issuer, instance),
            Ok(Ok(None)) => (Brought::Unknown, None),
            Ok(Err(error)) => (Brought::Failed(FetchErrorKind::Resolver), Some(error)),
            Err(_) => (Brought::Failed(FetchErrorKind::Timeout), Some(ResolveError::new("it took too long"))),
        };
        let Some(is_due) = book.end(&issuer, number, &answer, error.is_some(), now) else { return };
        sender.send_replace(Some(answer.into()));
        if let Some(error) = error {
            telemetry::resolve_failed(&error, is_due);
        }
    }

    /// Ends a call and keeps what it brought; `None` if it was given up before. Says whether an error is due to be
    /// told aloud.
    fn end(&self, issuer: &IssuerUrl, number: u64, answer: &Brought, failed: bool, now: Duration) -> Option<bool> {
        let mut calls = self.calls();
        calls.in_flight.get(issuer).filter(|call| call.number == number)?;
        calls.in_flight.remove(issuer);
        match answer {
            Brought::Failed(_) => {}
            Brought::Known(instance, trusted) => {
                let known = Known {
                    ask_at: AtomicU64::new(nanos(now.saturating_add(FRESH))),
                    instance: Instance::clone(instance),
                    resolved_at: now,
                    trusted: Arc::clone(trusted),
                };
                self.known.insert(issuer.clone(), Arc::new(known));
                self.strangers.invalidate(issuer);
            }
            Brought::Unknown => {
                self.known.invalidate(issuer);
                self.strangers.insert(issuer.clone(), now);
            }
        }
        let is_due = failed && calls.warned_at.is_none_or(|at| now.saturating_sub(at) >= Duration::from_secs(60));
        if is_due {
            calls.warned_at = Some(now);
        }
        Some(is_due)
    }

    /// Makes an instance ready, with the keys that it has if it is the one that was known.
    fn trust(&self, issuer: &IssuerUrl, instance: Instance) -> (Brought, Option<ResolveError>) {
        let failed = |error| (Brought::Failed(FetchErrorKind::Resolver), Some(error));
        if !instance.config.issuers().contains(&issuer.as_str()) {
            return failed(ResolveError::new("the resolver answered with an instance that has another issuer"));
        }
        let before = self.known.get(issuer).filter(|known| known.instance.is_same(&instance));
        let trusted = match before {
            Some(known) => Arc::clone(&known.trusted),
            None => match Trusted::new(instance.clone(), &self.shared) {
                Ok(trusted) => Arc::new(trusted),
                Err(error) => return failed(ResolveError::new(error)),
            },
        };
        (Brought::Known(Box::new(instance), trusted), None)
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_kept(&self, now: Duration) -> bool {
        now.saturating_sub(self.resolved_at) < KEPT
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.ask_at.load(Ordering::Relaxed) <= nanos(now)
    }

    fn put_off(&self, now: Duration) {
        self.ask_at.store(nanos(now.saturating_add(ASK_AGAIN)), Ordering::Relaxed);
    }
}

impl Call {
    fn is_live(&self, now: Duration) -> bool {
        now < self.overdue_at && self.answer.has_changed().is_ok()
    }
}

impl From<Brought> for Answer {
    fn from(brought: Brought) -> Self {
        match brought {
            Brought::Failed(cause) => Self::Failed(cause),
            Brought::Known(_, trusted) => Self::Known(trusted),
            Brought::Unknown => Self::Unknown,
        }
    }
}

/// Calls of the resolver at once, and how many of them are kept for tenants that are known.
const MAX_CALLS: usize = 16;
const RESERVED_CALLS: usize = 4;
/// Calls for made-up issuers in a row, and how soon each further one.
const BURST: u32 = 64;
const EVERY: Duration = Duration::from_millis(100);
/// How old an answer is when it is asked for again, and when it counts no longer.
const FRESH: Duration = Duration::from_secs(5 * 60);
const KEPT: Duration = Duration::from_secs(60 * 60);
/// How soon a tenant is asked for again where that failed.
const ASK_AGAIN: Duration = Duration::from_secs(10);
const STRANGE: Duration = Duration::from_secs(60);
