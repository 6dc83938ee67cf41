//! The cache of instances that a resolver returns, and the limits on calls of the resolver.
//!
//! The issuer of a token is not verified when it is looked up here, so a client can send any number of made-up issuers.
//! Every rule of this file keeps them from harming tenants that exist:
//!
//! - One call at once for an issuer: a herd of requests of one tenant costs one lookup.
//! - A rate limit for issuers that are not cached: made-up ones cannot flood the application's database.
//! - [`RESERVED_CALLS`] for refreshes of cached instances: slow lookups of made-up issuers cannot delay them.
//! - A negative cache: an issuer that is not known costs one lookup a minute.
//! - Separate, bounded caches for known and unknown issuers: made-up ones cannot evict an instance and its keys.
//!
//! One mutex guards the calls in flight, the rate limit, and the writes to both caches. Under it a request finds a call
//! either in flight or with its outcome in a cache, so no second call starts in between. No user code runs under it:
//! the resolver runs in a task, and the log is written after the lock is released.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::sync::Semaphore;

use super::{Instance, InstanceResolver, InstanceResources, ResolveError, TrustedInstance};
use crate::{
    clock::nanos,
    config::IssuerUrl,
    rate_limit::{RateLimit, Throttle},
    single_flight::{Announcer, Completion, Flight, FlightWait, Lookup, MAX_WAITING, WaitEnd},
    telemetry::{self, Span, WARNING_INTERVAL},
};

/// The instances that a resolver returned, by issuer, and the calls in flight.
///
/// Dropping it stops the calls: nothing of a verifier outlives its last handle.
pub(crate) struct ResolverCache {
    shared: Arc<Shared>,
}

/// Why an issuer has no instance now. Only [`UnknownIssuer`](Self::UnknownIssuer) says something about the token; the
/// others are temporary.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ResolveFailure {
    NoRuntime,
    ResolverFailed,
    ResolverPanicked,
    ResolverTimeout,
    TooManyLookups,
    TooManyWaiting,
    /// The resolver returned `None`, or the text is not a valid [`IssuerUrl`].
    UnknownIssuer,
}

/// A request that waits for a call of the resolver.
pub(crate) struct ResolveWait {
    shared: Arc<Shared>,
    issuer: IssuerUrl,
    wait: FlightWait<Resolution>,
}

type Resolution = Result<Arc<TrustedInstance>, ResolveFailure>;

struct Shared {
    resolver: Arc<dyn InstanceResolver>,
    allow_local_issuers: bool,
    resources: Arc<InstanceResources>,
    known: Cache<IssuerUrl, Arc<CachedInstance>>,
    /// The negative cache: issuers for which the resolver returned `None`, and when it did.
    unknown: Cache<IssuerUrl, Duration>,
    calls: Mutex<Calls>,
    /// One permit for each request that may wait.
    waiters: Arc<Semaphore>,
}

/// An instance as the resolver returned it. All times are monotonic.
struct CachedInstance {
    /// To compare the next one with: an equal instance keeps the keys.
    instance: Instance,
    trusted: Arc<TrustedInstance>,
    resolved_at: Duration,
    /// When the resolver is called again, in nanoseconds. Atomic, so that a failed refresh moves it without a new
    /// entry.
    refresh_at: AtomicU64,
}

/// The calls in flight and the limits on new ones.
struct Calls {
    in_flight: HashMap<IssuerUrl, Flight<Resolution>>,
    /// The number of calls so far, which is the id of the last one.
    count: u64,
    /// For [`CallKind::Initial`] only.
    limit: RateLimit,
    warnings: Throttle,
}

/// Why the resolver is called. It decides which limits apply.
#[derive(Clone, Copy, Eq, PartialEq)]
enum CallKind {
    /// The issuer is not cached, so a client may have made it up. A request waits for the call.
    Initial,
    /// A cached instance has the issuer, so clients cannot cause more of these calls. No request waits for the call.
    Refresh,
}

impl ResolverCache {
    pub(crate) fn new(
        resolver: Arc<dyn InstanceResolver>,
        allow_local_issuers: bool,
        resources: Arc<InstanceResources>,
    ) -> Self {
        let capacity = u64::try_from(MAX_RESOLVED).unwrap_or(u64::MAX);
        let shared = Shared {
            resolver,
            allow_local_issuers,
            resources,
            // Entries past `MAX_AGE` are never used. moka frees them, and their keys, at twice that age: its clock
            // cannot be injected, so it must not decide what may be used.
            known: Cache::builder()
                .max_capacity(capacity)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(MAX_AGE * 2)
                .build(),
            unknown: Cache::builder().max_capacity(capacity).eviction_policy(EvictionPolicy::lru()).build(),
            calls: Mutex::new(Calls {
                in_flight: HashMap::new(),
                count: 0,
                limit: RateLimit::new(INITIAL_BURST, INITIAL_INTERVAL),
                warnings: Throttle::new(WARNING_INTERVAL),
            }),
            waiters: Arc::new(Semaphore::new(MAX_WAITING)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Looks up the issuer that a token claims, which is not verified yet.
    ///
    /// A cached instance is returned at once, even if a refresh is due: the refresh runs in the background. Otherwise
    /// the request waits for the call, one of its own or one in flight.
    pub(crate) fn find(&self, issuer: &str) -> Lookup<Arc<TrustedInstance>, ResolveFailure, ResolveWait> {
        let shared = &self.shared;
        let Some(issuer) = IssuerUrl::from_claim(issuer, shared.allow_local_issuers) else {
            return Lookup::Failed(ResolveFailure::UnknownIssuer);
        };
        let now = shared.now();
        if let Some(known) = shared.known(&issuer, now) {
            if known.is_refresh_due(now) {
                // Ignored: a refresh that cannot start now is tried again by a later request.
                let _ = Shared::call(shared, &issuer, now, CallKind::Refresh);
            }
            return Lookup::Found(Arc::clone(&known.trusted));
        }
        if shared.is_unknown(&issuer, now) {
            return Lookup::Failed(ResolveFailure::UnknownIssuer);
        }
        let flight = match Shared::call(shared, &issuer, now, CallKind::Initial) {
            Lookup::Failed(failure) => return Lookup::Failed(failure),
            Lookup::Found(trusted) => return Lookup::Found(trusted),
            Lookup::Wait(flight) => flight,
        };
        // Unlike a fetch of keys, a call that was joined is not followed by one of the request's own: its `None` is
        // cached for a minute anyway.
        match flight.wait(&shared.waiters) {
            Some(wait) => Lookup::Wait(ResolveWait { shared: Arc::clone(shared), issuer, wait }),
            None => Lookup::Failed(ResolveFailure::TooManyWaiting),
        }
    }

    /// Whether the resolver has to be called for an issuer: neither an instance nor the lack of one is cached.
    pub(crate) fn needs_lookup(&self, issuer: &str) -> bool {
        let shared = &self.shared;
        let now = shared.now();
        IssuerUrl::from_claim(issuer, shared.allow_local_issuers)
            .is_some_and(|issuer| shared.known(&issuer, now).is_none() && !shared.is_unknown(&issuer, now))
    }

    /// The instances that may be used now, for warm-up, status and refresh.
    pub(crate) fn all(&self) -> Vec<Arc<TrustedInstance>> {
        let now = self.shared.now();
        let known = self.shared.known.iter().filter(|(_, known)| known.is_usable(now));
        known.map(|(_, known)| Arc::clone(&known.trusted)).collect()
    }
}

impl Drop for ResolverCache {
    fn drop(&mut self) {
        for (_, flight) in self.shared.calls().in_flight.drain() {
            flight.stop();
        }
    }
}

impl ResolveWait {
    /// Waits for the outcome of the call.
    ///
    /// A lost flight counts as a timeout and is not started again, unlike a fetch of keys: it was overdue, so that
    /// another call took its place or another waiter gave it up, or its runtime has ended. The 503 makes the client
    /// try again.
    pub(crate) async fn end(mut self) -> Resolution {
        match self.wait.end().await {
            WaitEnd::Announced(resolution) => resolution,
            WaitEnd::Lost => Err(ResolveFailure::ResolverTimeout),
            WaitEnd::TimedOut => {
                self.shared.give_up(&self.issuer, self.wait.flight());
                Err(ResolveFailure::ResolverTimeout)
            }
        }
    }
}

impl Shared {
    /// Joins the call in flight for `issuer`, or starts one if the limits allow it.
    ///
    /// It returns `Found` if a call ended since the caller looked into the caches.
    fn call(
        shared: &Arc<Self>,
        issuer: &IssuerUrl,
        now: Duration,
        kind: CallKind,
    ) -> Lookup<Arc<TrustedInstance>, ResolveFailure, Flight<Resolution>> {
        let mut calls = shared.calls();
        match calls.in_flight.get(issuer) {
            Some(flight) if flight.is_live(now) => return Lookup::Wait(flight.clone()),
            _ => {}
        }
        // A call may have ended since the caller looked into the caches, without this lock. Outcomes are stored under
        // it, so what the caches hold now is final.
        match shared.known(issuer, now) {
            Some(known) if kind == CallKind::Initial || !known.is_refresh_due(now) => {
                return Lookup::Found(Arc::clone(&known.trusted));
            }
            // Before the call, not after its failure: neither a failure nor a lack of places causes a call per request.
            Some(known) => known.defer_refresh(now),
            None if shared.is_unknown(issuer, now) => return Lookup::Failed(ResolveFailure::UnknownIssuer),
            None => {}
        }
        for (_, overdue) in calls.in_flight.extract_if(|_, flight| !flight.is_live(now)) {
            overdue.stop();
        }
        let (max_calls, has_capacity) = match kind {
            CallKind::Initial => (MAX_CALLS - RESERVED_CALLS, calls.limit.has_capacity(now)),
            CallKind::Refresh => (MAX_CALLS, true),
        };
        if calls.in_flight.len() >= max_calls || !has_capacity {
            return Lookup::Failed(ResolveFailure::TooManyLookups);
        }
        calls.count += 1;
        let Some(flight) = Self::start(shared, issuer, calls.count, now) else {
            return Lookup::Failed(ResolveFailure::NoRuntime);
        };
        if kind == CallKind::Initial {
            calls.limit.take(now);
        }
        calls.in_flight.insert(issuer.clone(), flight.clone());
        Lookup::Wait(flight)
    }

    /// Starts a call; `None` outside a Tokio runtime.
    fn start(shared: &Arc<Self>, issuer: &IssuerUrl, id: u64, now: Duration) -> Option<Flight<Resolution>> {
        let (resolver, asked) = (Arc::clone(&shared.resolver), issuer.clone());
        let call = async move { resolver.resolve(asked).await };
        // Weak, because the task would otherwise keep the cache alive, and dropping the verifier would not stop the
        // call.
        let (cache, issuer) = (Arc::downgrade(shared), issuer.clone());
        let on_done = move |resolved: Completion<_>, waiters: Announcer<Resolution>| {
            if let Some(cache) = cache.upgrade() {
                cache.finish(&issuer, id, resolved, &waiters);
            }
        };
        Flight::start(id, now, TIMEOUT, Span::resolve_instance, call, on_done)
    }

    /// Stores the outcome of a call, unless another call has taken its place, and announces it.
    ///
    /// An overdue call is replaced, but its task may still end. Its id then differs from the one in flight, and its
    /// outcome is dropped: the newer call has read the records later.
    ///
    /// The announcement comes before the log, because a subscriber is user code: if it panics or blocks, the waiters
    /// have their outcome all the same. A failure changes neither cache, so a cached instance stays in use up to
    /// [`MAX_AGE`].
    fn finish(
        &self,
        issuer: &IssuerUrl,
        id: u64,
        resolved: Completion<Result<Option<Instance>, ResolveError>>,
        waiters: &Announcer<Resolution>,
    ) {
        let now = self.now();
        let found = match resolved {
            Completion::Finished(Ok(Some(instance))) => {
                self.trust(issuer, instance, now).map_err(|error| (ResolveFailure::ResolverFailed, Some(error)))
            }
            Completion::Finished(Ok(None)) => Err((ResolveFailure::UnknownIssuer, None)),
            Completion::Finished(Err(error)) => Err((ResolveFailure::ResolverFailed, Some(error))),
            Completion::Panicked => {
                Err((ResolveFailure::ResolverPanicked, Some(ResolveError::new("the resolver panicked"))))
            }
            Completion::TimedOut => {
                let error = ResolveError::new(format!("timed out after {} seconds", TIMEOUT.as_secs()));
                Err((ResolveFailure::ResolverTimeout, Some(error)))
            }
        };
        let is_due = {
            let mut calls = self.calls();
            if calls.in_flight.get(issuer).is_none_or(|flight| flight.id() != id) {
                return;
            }
            calls.in_flight.remove(issuer);
            match &found {
                Ok(known) => {
                    self.known.insert(issuer.clone(), Arc::clone(known));
                    self.unknown.invalidate(issuer);
                }
                Err((ResolveFailure::UnknownIssuer, _)) => {
                    self.known.invalidate(issuer);
                    self.unknown.insert(issuer.clone(), now);
                }
                Err(_) => {}
            }
            matches!(found, Err((_, Some(_)))) && calls.warnings.is_due(now)
        };
        match found {
            Ok(known) => waiters.announce(Ok(Arc::clone(&known.trusted))),
            Err((failure, error)) => {
                waiters.announce(Err(failure));
                if let Some(error) = error {
                    telemetry::resolve_failed(&error, is_due);
                }
            }
        }
    }

    /// Makes an instance ready for use. If it equals the cached one, its keys are kept.
    ///
    /// The instance must have the issuer that was asked for. Otherwise a mistake in the records, such as a wrong join,
    /// would let the keys of one tenant verify the tokens of another.
    fn trust(
        &self,
        issuer: &IssuerUrl,
        instance: Instance,
        now: Duration,
    ) -> Result<Arc<CachedInstance>, ResolveError> {
        if !instance.config.issuers().contains(&issuer.as_str()) {
            return Err(ResolveError::new("the resolver returned an instance with another issuer"));
        }
        let before = self.known.get(issuer).filter(|known| known.instance.is_same(&instance));
        let trusted = match before {
            Some(known) => Arc::clone(&known.trusted),
            None => Arc::new(TrustedInstance::new(instance.clone(), &self.resources).map_err(ResolveError::new)?),
        };
        let refresh_at = AtomicU64::new(nanos(now.saturating_add(REFRESH_INTERVAL)));
        Ok(Arc::new(CachedInstance { instance, trusted, resolved_at: now, refresh_at }))
    }

    /// Ends a call whose runtime is not polled, so that the next request starts another. The id keeps a late waiter
    /// from ending a newer call.
    fn give_up(&self, issuer: &IssuerUrl, flight: &Flight<Resolution>) {
        let mut calls = self.calls();
        if calls.in_flight.get(issuer).is_some_and(|current| current.id() == flight.id()) {
            calls.in_flight.remove(issuer);
            flight.stop();
        }
    }

    fn known(&self, issuer: &IssuerUrl, now: Duration) -> Option<Arc<CachedInstance>> {
        self.known.get(issuer).filter(|known| known.is_usable(now))
    }

    fn is_unknown(&self, issuer: &IssuerUrl, now: Duration) -> bool {
        self.unknown.get(issuer).is_some_and(|since| now.saturating_sub(since) < NEGATIVE_TTL)
    }

    fn now(&self) -> Duration {
        self.resources.clock.monotonic()
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CachedInstance {
    fn is_usable(&self, now: Duration) -> bool {
        now.saturating_sub(self.resolved_at) < MAX_AGE
    }

    fn is_refresh_due(&self, now: Duration) -> bool {
        self.refresh_at.load(Ordering::Relaxed) <= nanos(now)
    }

    /// Sets the next refresh to [`RETRY_INTERVAL`] from now. A success replaces the whole entry.
    fn defer_refresh(&self, now: Duration) {
        self.refresh_at.store(nanos(now.saturating_add(RETRY_INTERVAL)), Ordering::Relaxed);
    }
}

/// Cached instances, and as many unknown issuers: at 255 bytes each, made-up issuers take a few megabytes at most.
pub(crate) const MAX_RESOLVED: usize = 10_000;
/// Calls of the resolver at once: a small pool of database connections serves as many.
const MAX_CALLS: usize = 16;
/// Calls of those 16 that only refreshes may use. Four are enough for the refreshes of all instances: a lookup takes
/// milliseconds, and each instance needs one in five minutes.
const RESERVED_CALLS: usize = 4;
/// Calls for issuers that are not cached. A service that starts in front of many tenants needs the burst; ten more a
/// second are a load that a database does not notice.
const INITIAL_BURST: u32 = 64;
const INITIAL_INTERVAL: Duration = Duration::from_millis(100);
/// The time limit of a call. A lookup in a table takes milliseconds, and a request waits for it.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The age at which an instance is looked up again: as for keys, this is how long a removed tenant stays accepted.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// The longest use of an instance while lookups fail: the application's database may be down for an hour.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// The time to the next lookup of an instance after one that failed: soon after an outage, and no call per request in
/// it.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// How long an unknown issuer is rejected without a call. A tenant that signs up waits no longer than this.
const NEGATIVE_TTL: Duration = Duration::from_secs(60);
