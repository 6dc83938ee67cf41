//! Instances that a resolver knows, looked up by issuer and kept for a while.

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
    single_flight::{Announcer, Completion, Flight, FlightWait, Lookup, WaitEnd},
    telemetry::{self, Span},
};

/// Answers of a resolver by issuer, and the calls that bring them: at most one at once for an issuer.
///
/// Dropping it stops the calls.
pub(crate) struct ResolverCache {
    shared: Arc<Shared>,
}

/// Why an issuer has no instance now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ResolveFailure {
    NoRuntime,
    ResolverFailed,
    ResolverPanicked,
    ResolverTimeout,
    TooManyLookups,
    TooManyWaiting,
    /// The resolver knows no such instance, or none could have that issuer.
    UnknownIssuer,
}

/// Waiting for the resolver.
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
    /// The negative cache: issuers that the resolver does not know, and since when.
    unknown: Cache<IssuerUrl, Duration>,
    calls: Mutex<Calls>,
    /// Places for requests that wait.
    places: Arc<Semaphore>,
}

/// An instance as the resolver returned it. Times are those of the monotonic clock.
struct CachedInstance {
    instance: Instance,
    trusted: Arc<TrustedInstance>,
    resolved_at: Duration,
    /// When the resolver is called again, in nanoseconds.
    refresh_at: AtomicU64,
}

struct Calls {
    in_flight: HashMap<IssuerUrl, Flight<Resolution>>,
    /// The id of the last call.
    count: u64,
    limit: RateLimit,
    warnings: Throttle,
}

/// For whom the resolver is called.
#[derive(Clone, Copy, Eq, PartialEq)]
enum CallKind {
    /// An issuer that is not known, and that anyone may have made up.
    Initial,
    /// A known instance, in the background.
    Refresh,
}

impl ResolverCache {
    pub(crate) fn new(
        resolver: Arc<dyn InstanceResolver>,
        allow_local_issuers: bool,
        resources: Arc<InstanceResources>,
    ) -> Self {
        let places = u64::try_from(MAX_RESOLVED).unwrap_or(u64::MAX);
        let shared = Shared {
            resolver,
            allow_local_issuers,
            resources,
            // moka frees what is past its age, and the keys with it.
            known: Cache::builder()
                .max_capacity(places)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(MAX_AGE * 2)
                .build(),
            unknown: Cache::builder().max_capacity(places).eviction_policy(EvictionPolicy::lru()).build(),
            calls: Mutex::new(Calls {
                in_flight: HashMap::new(),
                count: 0,
                limit: RateLimit::new(INITIAL_BURST, INITIAL_INTERVAL),
                warnings: Throttle::new(WARNING_INTERVAL),
            }),
            places: Arc::new(Semaphore::new(MAX_WAITING)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Looks up the issuer that a token claims, which is not verified yet.
    pub(crate) fn find(&self, issuer: &str) -> Lookup<Arc<TrustedInstance>, ResolveFailure, ResolveWait> {
        let shared = &self.shared;
        let Some(issuer) = IssuerUrl::parse(issuer, shared.allow_local_issuers) else {
            return Lookup::Failed(ResolveFailure::UnknownIssuer);
        };
        let now = shared.now();
        if let Some(known) = shared.known(&issuer, now) {
            if known.is_refresh_due(now) {
                // Whether that succeeds does not matter to this request.
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
        // Whether the call was started for this request makes no difference: an issuer is known or it is not.
        match flight.wait(&shared.places, true) {
            Some(wait) => Lookup::Wait(ResolveWait { shared: Arc::clone(shared), issuer, wait }),
            None => Lookup::Failed(ResolveFailure::TooManyWaiting),
        }
    }

    /// The instances that were resolved and are not too old.
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
    pub(crate) async fn end(mut self) -> Resolution {
        match self.wait.end().await {
            WaitEnd::Announced(resolution) => resolution,
            WaitEnd::Lost => Err(ResolveFailure::ResolverPanicked),
            WaitEnd::TimedOut => {
                self.shared.give_up(&self.issuer, self.wait.flight());
                Err(ResolveFailure::ResolverTimeout)
            }
        }
    }
}

impl Shared {
    /// Joins the call for `issuer` or makes one, if one may be made; otherwise what is known without.
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
        // A call may have ended since the caches were looked at.
        match shared.known(issuer, now) {
            Some(known) if kind == CallKind::Initial || !known.is_refresh_due(now) => {
                return Lookup::Found(Arc::clone(&known.trusted));
            }
            Some(known) => known.defer_refresh(now),
            None if shared.is_unknown(issuer, now) => return Lookup::Failed(ResolveFailure::UnknownIssuer),
            None => {}
        }
        for (_, overdue) in calls.in_flight.extract_if(|_, flight| !flight.is_live(now)) {
            overdue.stop();
        }
        let (places, has_capacity) = match kind {
            CallKind::Initial => (MAX_CALLS - RESERVED_CALLS, calls.limit.has_capacity(now)),
            CallKind::Refresh => (MAX_CALLS, true),
        };
        if calls.in_flight.len() >= places || !has_capacity {
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

    /// Starts a call; `None` without a runtime.
    fn start(shared: &Arc<Self>, issuer: &IssuerUrl, id: u64, now: Duration) -> Option<Flight<Resolution>> {
        let (resolver, asked) = (Arc::clone(&shared.resolver), issuer.clone());
        let call = async move { resolver.resolve(asked).await };
        // Weak, so that the last handle to a verifier stops its calls.
        let (cache, issuer) = (Arc::downgrade(shared), issuer.clone());
        let on_done = move |resolved: Completion<_>, waiters: Announcer<Resolution>| {
            if let Some(cache) = cache.upgrade() {
                cache.finish(&issuer, id, resolved, &waiters);
            }
        };
        Flight::start(id, now, TIMEOUT, Span::resolve_instance, call, on_done)
    }

    /// Takes in what a call brought, unless it was given up before.
    ///
    /// Whoever waits is told before anything is logged: a subscriber that panics is no reason for them to go without.
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
            Completion::Panicked => Err((ResolveFailure::ResolverPanicked, None)),
            Completion::TimedOut => {
                Err((ResolveFailure::ResolverTimeout, Some(ResolveError::new("timed out after 2 seconds"))))
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

    /// Makes an instance ready for use, with the keys that it has if it is the one that was known.
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

    /// Ends a call whose runtime is not polled.
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

    /// Backs off: a resolver that fails for one instance is not called again at once.
    fn defer_refresh(&self, now: Duration) {
        self.refresh_at.store(nanos(now.saturating_add(RETRY_INTERVAL)), Ordering::Relaxed);
    }
}

/// Instances that are kept, and as many issuers that are unknown: a bound on what made-up issuers take of memory.
pub(crate) const MAX_RESOLVED: usize = 10_000;
/// Calls of the resolver at once: what a small pool of database connections can serve.
const MAX_CALLS: usize = 16;
/// Of those, for known instances: issuers that anyone may have made up never take all places.
const RESERVED_CALLS: usize = 4;
/// Calls for issuers that are not known: a burst that a start with many tenants needs, and ten a second more, which a
/// database does not notice.
const INITIAL_BURST: u32 = 64;
const INITIAL_INTERVAL: Duration = Duration::from_millis(100);
/// The time limit of a call: a lookup in a table, not a page that a user waits for.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How old an answer is when the resolver is called again, as for keys.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// How old an answer may be while calling again fails: an outage of the application's own database of up to an hour.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// How soon the resolver is called again for a known instance where that failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// How long an unknown issuer is rejected without a call: a new tenant waits no longer than that.
const NEGATIVE_TTL: Duration = Duration::from_secs(60);
/// Requests that wait for the resolver, as for keys.
const MAX_WAITING: usize = 16_384;
/// A failure that repeats is logged as a warning once a minute.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);
