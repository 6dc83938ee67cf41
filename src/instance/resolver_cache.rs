//! The cache of instances that a resolver returns, and the calls of the resolver.
//!
//! The issuer of a token is not verified when it is looked up here, so a client can send any number of made-up issuers.
//! Every rule of this file keeps them from harming tenants that exist:
//!
//! - One call at once for an issuer: a herd of requests of one tenant costs one lookup.
//! - A rate limit and a part of the places for issuers that were never known: made-up ones can neither flood the
//!   application's database nor delay the others.
//! - Issuers that were known once are remembered without their instance, so their tenants never count as unknown.
//! - A negative cache: an issuer that is not known costs one lookup a minute.
//! - Separate, bounded caches for known and unknown issuers: made-up ones cannot evict an instance and its keys.
//!
//! One mutex guards the calls in flight, the rate limit, and the writes to the caches. Under it a request finds a call
//! either in flight or with its outcome in a cache, so no second call starts in between. No user code runs under it:
//! the resolver runs in a task, and the log is written after the lock is released.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::sync::Semaphore;

use super::{Instance, InstanceResolver, InstanceResources, ResolveError, ResolverLimits, TrustedInstance};
use crate::{
    clock::{Moment, nanos},
    config::IssuerUrl,
    places::Places,
    rate_limit::{RateLimit, Throttle},
    single_flight::{Announcer, Completion, Flight, FlightWait, Lookup, MAX_WAITING, WaitEnd, within},
    telemetry::{self, Span, WARNING_INTERVAL},
    token_kind::{TokenKind, TokenKinds},
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

/// Whether an instance is the one with an issuer.
pub(crate) enum InstanceCheck {
    Current,
    /// It was, but nobody has used it for so long that the tenant may have been removed unnoticed. The token waits for
    /// the lookup. If that fails, the instance is used as it is: an outage of the records must not reject the tokens of
    /// their tenants, and once a lookup has failed, no further token waits.
    Late(ResolveWait),
    /// It is not any more.
    Replaced(Lookup<Arc<TrustedInstance>, ResolveFailure, ResolveWait>),
}

/// A request that waits for a call of the resolver.
pub(crate) struct ResolveWait {
    shared: Arc<Shared>,
    issuer: IssuerUrl,
    wait: FlightWait<Resolution>,
}

type Resolution = Result<Arc<TrustedInstance>, ResolveFailure>;

/// The settings that apply to instances of a resolver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResolverRules {
    pub(crate) allow_local_issuers: bool,
    pub(crate) limits: ResolverLimits,
    /// In bytes. Instances may lower it.
    pub(crate) max_token_length: usize,
    /// The kinds of tokens that instances may accept. They may accept fewer.
    pub(crate) kinds: TokenKinds,
}

struct Shared {
    resolver: Arc<dyn InstanceResolver>,
    rules: ResolverRules,
    resources: Arc<InstanceResources>,
    known: Cache<IssuerUrl, Arc<CachedInstance>>,
    /// The negative cache: issuers for which the resolver returned `None`, and when it did.
    unknown: Cache<IssuerUrl, Duration>,
    /// Issuers for which the last call returned an instance, or that the application named. Clients cannot add to them.
    remembered: Cache<IssuerUrl, ()>,
    places: Arc<Places<2>>,
    calls: Mutex<Calls>,
    /// One permit for each request that may wait.
    waiters: Arc<Semaphore>,
}

/// An instance as the resolver returned it.
struct CachedInstance {
    /// To compare the next one with: an equal instance keeps the keys.
    instance: Instance,
    trusted: Arc<TrustedInstance>,
    resolved_at: Moment,
    /// Before this time the resolver is not called again, in nanoseconds of the monotonic clock. Atomic, so that a
    /// failed refresh moves it without a new entry.
    not_before: AtomicU64,
    /// Whether a refresh has failed. Only an instance whose refresh has not failed makes requests wait.
    has_failed: AtomicBool,
}

/// The calls in flight and the limits on new ones.
struct Calls {
    in_flight: HashMap<IssuerUrl, Flight<Resolution>>,
    /// The number of calls so far, which is the id of the last one.
    count: u64,
    /// For [`CallKind::Initial`] only.
    limit: RateLimit,
    sweeps: Throttle,
    warnings: Throttle,
}

/// Why the resolver is called. It decides which limits apply.
#[derive(Clone, Copy, Eq, PartialEq)]
enum CallKind {
    /// The issuer was never known, so a client may have made it up.
    Initial,
    /// A cached instance has the issuer.
    Refresh,
    /// The issuer was known once, or the application has named it.
    Returning,
}

impl ResolverCache {
    pub(crate) fn new(
        resolver: Arc<dyn InstanceResolver>,
        rules: ResolverRules,
        resources: Arc<InstanceResources>,
    ) -> Self {
        let capacity = u64::try_from(MAX_RESOLVED).unwrap_or(u64::MAX);
        let shared = Shared {
            resolver,
            rules,
            resources,
            // Entries past `MAX_AGE` are never used. moka frees them, and their keys, at twice that age: its clock
            // cannot be injected, so it must not decide what may be used.
            known: Cache::builder()
                .max_capacity(capacity)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(MAX_AGE * 2)
                .build(),
            unknown: Cache::builder().max_capacity(capacity).eviction_policy(EvictionPolicy::lru()).build(),
            remembered: Cache::builder().max_capacity(capacity).eviction_policy(EvictionPolicy::lru()).build(),
            places: Arc::new(rules.limits.places()),
            calls: Mutex::new(Calls {
                in_flight: HashMap::new(),
                count: 0,
                limit: rules.limits.rate(),
                sweeps: Throttle::new(SWEEP_INTERVAL),
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
        let Some(issuer) = self.issuer(issuer) else { return Lookup::Failed(ResolveFailure::UnknownIssuer) };
        let now = shared.now();
        if let Some(known) = shared.known(&issuer, now) {
            Shared::refresh_if_due(shared, &issuer, &known, now);
            return Lookup::Found(Arc::clone(&known.trusted));
        }
        if !shared.may_know(&issuer, now) {
            return Lookup::Failed(ResolveFailure::UnknownIssuer);
        }
        let kind = if shared.remembered.contains_key(&issuer) { CallKind::Returning } else { CallKind::Initial };
        Shared::wait(shared, issuer, now, kind)
    }

    /// As [`find`](Self::find), for an issuer that the application names, so that no limit on unknown issuers applies.
    pub(crate) fn find_ahead(&self, issuer: IssuerUrl) -> Lookup<Arc<TrustedInstance>, ResolveFailure, ResolveWait> {
        let now = self.shared.now();
        match self.shared.known(&issuer, now) {
            Some(known) => Lookup::Found(Arc::clone(&known.trusted)),
            None => Shared::wait(&self.shared, issuer, now, CallKind::Returning),
        }
    }

    /// Checks the instance of a token whose signature holds: it was found a moment ago, or before a wait.
    pub(crate) fn check(&self, issuer: &str, instance: &Arc<TrustedInstance>) -> InstanceCheck {
        let (shared, now) = (&self.shared, self.shared.now());
        let known = self.issuer(issuer).and_then(|issuer| Some((shared.known(&issuer, now)?, issuer)));
        let Some((known, issuer)) = known.filter(|(known, _)| Arc::ptr_eq(&known.trusted, instance)) else {
            return InstanceCheck::Replaced(self.find(issuer));
        };
        if !known.is_late(now) {
            return InstanceCheck::Current;
        }
        match Shared::wait(shared, issuer, now, CallKind::Refresh) {
            Lookup::Failed(ResolveFailure::UnknownIssuer) => {
                InstanceCheck::Replaced(Lookup::Failed(ResolveFailure::UnknownIssuer))
            }
            Lookup::Found(current) if !Arc::ptr_eq(&current, instance) => {
                InstanceCheck::Replaced(Lookup::Found(current))
            }
            // Where no lookup is possible the instance is used as it is.
            Lookup::Failed(_) | Lookup::Found(_) => InstanceCheck::Current,
            Lookup::Wait(wait) => InstanceCheck::Late(wait),
        }
    }

    /// Whether `instance` is still the one with this issuer, and not late. Starts a refresh that is due.
    pub(crate) fn is_current(&self, issuer: &str, instance: &Arc<TrustedInstance>) -> bool {
        let now = self.shared.now();
        let Some(issuer) = self.issuer(issuer) else { return false };
        let Some(known) = self.shared.known(&issuer, now) else { return false };
        Shared::refresh_if_due(&self.shared, &issuer, &known, now);
        Arc::ptr_eq(&known.trusted, instance) && !known.is_late(now)
    }

    /// Forgets what the resolver has said about an issuer, and stops a call in flight, which may have read the records
    /// before the caller's reason to call this. The next request calls the resolver.
    ///
    /// The issuer is remembered: the application knows it, so it must not have to compete with made-up ones.
    ///
    /// An instance behind a proxy has several issuers. All of them are forgotten.
    pub(crate) fn forget(&self, issuer: &IssuerUrl) {
        let has_issuer = |known: &CachedInstance| known.instance.config.issuers().contains(&issuer.as_str());
        let known: Vec<_> = {
            let mut calls = self.shared.calls();
            let cached = self.shared.known.iter().filter(|(_, known)| has_issuer(known));
            let others: Vec<_> = cached.map(|(other, _)| IssuerUrl::clone(&other)).collect();
            let issuers = others.iter().chain([issuer]);
            issuers.filter_map(|issuer| self.shared.forget(&mut calls, issuer)).collect()
        };
        known.iter().for_each(|known| known.forget_keys());
    }

    /// [Forgets](Self::forget) all issuers, known and unknown.
    pub(crate) fn forget_all(&self) {
        let known: Vec<_> = {
            let mut calls = self.shared.calls();
            calls.in_flight.drain().for_each(|(_, flight)| flight.stop());
            // One by one: `invalidate_all` of moka compares times of its own clock, and may miss an entry of this
            // moment.
            self.shared.unknown.iter().for_each(|(issuer, _)| self.shared.unknown.invalidate(&*issuer));
            let issuers: Vec<_> = self.shared.known.iter().map(|(issuer, _)| issuer).collect();
            issuers.iter().filter_map(|issuer| self.shared.forget(&mut calls, issuer)).collect()
        };
        known.iter().for_each(|known| known.forget_keys());
    }

    /// Whether the resolver has to be called for an issuer: neither an instance nor the lack of one is known.
    pub(crate) fn needs_lookup(&self, issuer: &str) -> bool {
        let now = self.shared.now();
        let is_known = |issuer: &IssuerUrl| self.shared.known(issuer, now).is_some();
        self.issuer(issuer).is_some_and(|issuer| !is_known(&issuer) && self.shared.may_know(&issuer, now))
    }

    /// Whether an instance may have this issuer, as the resolver says without a call.
    ///
    /// The negative cache does not count: a request that waits asks again, and must get the same answer.
    pub(crate) fn may_know(&self, issuer: &str) -> bool {
        let now = self.shared.now();
        let is_known = |issuer: &IssuerUrl| self.shared.known(issuer, now).is_some();
        self.issuer(issuer).is_some_and(|issuer| is_known(&issuer) || self.shared.resolver.may_know(&issuer))
    }

    /// The instances that may be used now, for warm-up, status and refresh.
    pub(crate) fn all(&self) -> Vec<Arc<TrustedInstance>> {
        let now = self.shared.now();
        let known = self.shared.known.iter().filter(|(_, known)| known.is_usable(now));
        known.map(|(_, known)| Arc::clone(&known.trusted)).collect()
    }

    /// Whether an instance may accept tokens of this kind.
    pub(crate) fn may_accept(&self, kind: TokenKind) -> bool {
        self.shared.rules.kinds.contains(kind)
    }

    /// The number of calls that may run at once.
    pub(crate) fn max_concurrent_calls(&self) -> usize {
        self.shared.rules.limits.calls()
    }

    fn issuer(&self, claimed: &str) -> Option<IssuerUrl> {
        IssuerUrl::from_claim(claimed, self.shared.rules.allow_local_issuers)
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
    /// Waits for the outcome of the call; `None` if the call was stopped or its runtime has ended. Then another call
    /// may succeed.
    pub(crate) async fn end(mut self) -> Option<Result<Arc<TrustedInstance>, ResolveFailure>> {
        match self.wait.end().await {
            WaitEnd::Announced(resolution) => Some(resolution),
            WaitEnd::Lost => None,
            WaitEnd::TimedOut => {
                self.shared.give_up(&self.issuer, self.wait.flight());
                Some(Err(ResolveFailure::ResolverTimeout))
            }
        }
    }
}

impl Shared {
    /// Starts a refresh that no request waits for, if it is due.
    fn refresh_if_due(shared: &Arc<Self>, issuer: &IssuerUrl, known: &CachedInstance, now: Moment) {
        if known.is_refresh_due(now) {
            // Ignored: a refresh that cannot start now is tried again by a later request.
            let _ = Self::call(shared, issuer, now, CallKind::Refresh);
        }
    }

    /// Forgets one issuer, and returns its instance. The caller holds the lock.
    fn forget(&self, calls: &mut Calls, issuer: &IssuerUrl) -> Option<Arc<CachedInstance>> {
        if let Some(flight) = calls.in_flight.remove(issuer) {
            flight.stop();
        }
        self.unknown.invalidate(issuer);
        self.remembered.insert(issuer.clone(), ());
        self.known.remove(issuer)
    }

    /// Waits for a call, one of the caller's own or one in flight.
    ///
    /// Unlike a fetch of keys, a call that was joined is not followed by one of the request's own: its `None` is cached
    /// for a minute anyway.
    fn wait(
        shared: &Arc<Self>,
        issuer: IssuerUrl,
        now: Moment,
        kind: CallKind,
    ) -> Lookup<Arc<TrustedInstance>, ResolveFailure, ResolveWait> {
        let flight = match Self::call(shared, &issuer, now, kind) {
            Lookup::Failed(failure) => return Lookup::Failed(failure),
            Lookup::Found(trusted) => return Lookup::Found(trusted),
            Lookup::Wait(flight) => flight,
        };
        match flight.wait(&shared.waiters) {
            Some(wait) => Lookup::Wait(ResolveWait { shared: Arc::clone(shared), issuer, wait }),
            None => Lookup::Failed(ResolveFailure::TooManyWaiting),
        }
    }

    /// Joins the call in flight for `issuer`, or starts one if the limits allow it.
    ///
    /// It returns `Found` if a call ended since the caller looked into the caches.
    fn call(
        shared: &Arc<Self>,
        issuer: &IssuerUrl,
        now: Moment,
        kind: CallKind,
    ) -> Lookup<Arc<TrustedInstance>, ResolveFailure, Flight<Resolution>> {
        let mut calls = shared.calls();
        match calls.in_flight.get(issuer) {
            Some(flight) if flight.is_live(now.monotonic) => return Lookup::Wait(flight.clone()),
            _ => {}
        }
        // A call may have ended since the caller looked into the caches, without this lock. Outcomes are stored under
        // it, so what the caches hold now is final.
        let known = shared.known(issuer, now);
        match &known {
            // A late instance is looked up even if that was tried a moment ago: the call was stopped, or it would not
            // be late any more.
            Some(known) if kind != CallKind::Refresh || !(known.is_refresh_due(now) || known.is_late(now)) => {
                return Lookup::Found(Arc::clone(&known.trusted));
            }
            None if shared.is_unknown(issuer, now) => return Lookup::Failed(ResolveFailure::UnknownIssuer),
            Some(_) | None => {}
        }
        if calls.sweeps.is_due(now.monotonic) {
            for (_, overdue) in calls.in_flight.extract_if(|_, flight| !flight.is_live(now.monotonic)) {
                overdue.stop();
            }
        }
        let is_allowed = kind != CallKind::Initial
            || (calls.in_flight.len() < MAX_IN_FLIGHT && calls.limit.has_capacity(now.monotonic));
        if !is_allowed {
            return Lookup::Failed(ResolveFailure::TooManyLookups);
        }
        calls.count += 1;
        let Some(flight) = Self::start(shared, issuer, kind, calls.count, now.monotonic) else {
            return Lookup::Failed(ResolveFailure::NoRuntime);
        };
        if kind == CallKind::Initial {
            calls.limit.take(now.monotonic);
        }
        // At the start, not after a failure: a call that fails does not cause one per request.
        known.iter().for_each(|known| known.defer_refresh(now));
        if let Some(overdue) = calls.in_flight.insert(issuer.clone(), flight.clone()) {
            overdue.stop();
        }
        Lookup::Wait(flight)
    }

    /// Starts a call, which waits for a place first; `None` outside a Tokio runtime.
    fn start(
        shared: &Arc<Self>,
        issuer: &IssuerUrl,
        kind: CallKind,
        id: u64,
        now: Duration,
    ) -> Option<Flight<Resolution>> {
        // Weak, because the task would otherwise keep the cache alive, and dropping the verifier would not stop the
        // call.
        let cache = Arc::downgrade(shared);
        let (resolver, places) = (Arc::clone(&shared.resolver), Arc::clone(&shared.places));
        let (asked, class) = (issuer.clone(), usize::from(kind == CallKind::Initial));
        let call = async move {
            match within(PLACE_TIMEOUT, places.acquire(class)).await {
                Some(_place) => Some(resolver.resolve(asked).await),
                None => None,
            }
        };
        let issuer = issuer.clone();
        let on_done = move |resolved: Completion<_>, waiters: Announcer<Resolution>| {
            if let Some(cache) = cache.upgrade() {
                let found = cache.outcome(&issuer, resolved);
                cache.finish(&issuer, id, found, &waiters);
            }
        };
        Flight::start(id, now, TIMEOUT, Span::resolve_instance, call, on_done)
    }

    /// What a call has found, or why it failed, with the error to log. `None` is a call that found no place.
    fn outcome(
        &self,
        issuer: &IssuerUrl,
        resolved: Completion<Option<Result<Option<Instance>, ResolveError>>>,
    ) -> Result<Arc<CachedInstance>, (ResolveFailure, Option<ResolveError>)> {
        match resolved {
            Completion::Finished(None) => {
                let error = ResolveError::new("no place for a call of the resolver: too many are in progress");
                Err((ResolveFailure::TooManyLookups, Some(error)))
            }
            Completion::Finished(Some(Ok(Some(instance)))) => {
                self.trust(issuer, instance).map_err(|error| (ResolveFailure::ResolverFailed, Some(error)))
            }
            Completion::Finished(Some(Ok(None))) => Err((ResolveFailure::UnknownIssuer, None)),
            Completion::Finished(Some(Err(error))) => Err((ResolveFailure::ResolverFailed, Some(error))),
            Completion::Panicked => {
                Err((ResolveFailure::ResolverPanicked, Some(ResolveError::new("the resolver panicked"))))
            }
            Completion::TimedOut => {
                let error = ResolveError::new(format!("timed out after {} seconds", TIMEOUT.as_secs()));
                Err((ResolveFailure::ResolverTimeout, Some(error)))
            }
        }
    }

    /// Stores the outcome of a call, unless another call has taken its place, and announces it.
    ///
    /// An overdue call is replaced, but its task may still end. Its id then differs from the one in flight, and its
    /// outcome is dropped: the newer call has read the records later.
    ///
    /// The announcement comes before the log, because a subscriber is user code: if it panics or blocks, the waiters
    /// have their outcome all the same. After a failure a cached instance stays in use up to [`MAX_AGE`].
    fn finish(
        &self,
        issuer: &IssuerUrl,
        id: u64,
        found: Result<Arc<CachedInstance>, (ResolveFailure, Option<ResolveError>)>,
        waiters: &Announcer<Resolution>,
    ) {
        let now = self.now().monotonic;
        let is_due = {
            let mut calls = self.calls();
            if calls.in_flight.get(issuer).is_none_or(|flight| flight.id() != id) {
                return;
            }
            calls.in_flight.remove(issuer);
            match &found {
                Ok(known) => {
                    self.known.insert(issuer.clone(), Arc::clone(known));
                    self.remembered.insert(issuer.clone(), ());
                    self.unknown.invalidate(issuer);
                }
                Err((ResolveFailure::UnknownIssuer, _)) => {
                    self.known.invalidate(issuer);
                    self.remembered.invalidate(issuer);
                    self.unknown.insert(issuer.clone(), now);
                }
                Err(_) => {
                    if let Some(known) = self.known.get(issuer) {
                        known.has_failed.store(true, Ordering::Release);
                    }
                }
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

    /// Makes an instance ready for use. If it equals the cached one, also under another of its issuers, its keys are
    /// kept.
    ///
    /// The instance must have the issuer that was asked for. Otherwise a mistake in the records, such as a wrong join,
    /// would let the keys of one tenant verify the tokens of another.
    fn trust(&self, issuer: &IssuerUrl, instance: Instance) -> Result<Arc<CachedInstance>, ResolveError> {
        if !instance.config.issuers().contains(&issuer.as_str()) {
            return Err(ResolveError::new("the resolver returned an instance with another issuer"));
        }
        let issuers = instance.config.issuers().into_iter();
        let cached = issuers.filter_map(|issuer| {
            let issuer = IssuerUrl::from_claim(issuer, self.rules.allow_local_issuers)?;
            self.known.get(&issuer)
        });
        let trusted = match cached.into_iter().find(|known| known.instance.is_same(&instance)) {
            Some(known) => Arc::clone(&known.trusted),
            None => {
                let mut limited = instance.clone();
                limited.config.max_token_length = limited.config.max_token_length.min(self.rules.max_token_length);
                limited.config.accepted = limited.config.accepted.and(self.rules.kinds);
                Arc::new(TrustedInstance::new(limited, &self.resources, false).map_err(ResolveError::new)?)
            }
        };
        Ok(Arc::new(CachedInstance {
            instance,
            trusted,
            resolved_at: self.now(),
            not_before: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
        }))
    }

    /// Ends a call whose runtime is not polled, so that the next request starts another. The id keeps a late waiter
    /// from ending a newer call.
    fn give_up(&self, issuer: &IssuerUrl, flight: &Flight<Resolution>) {
        let mut calls = self.calls();
        if calls.in_flight.get(issuer).is_some_and(|current| current.id() == flight.id()) {
            calls.in_flight.remove(issuer);
            flight.stop();
            if let Some(known) = self.known.get(issuer) {
                known.has_failed.store(true, Ordering::Release);
            }
        }
    }

    fn known(&self, issuer: &IssuerUrl, now: Moment) -> Option<Arc<CachedInstance>> {
        self.known.get(issuer).filter(|known| known.is_usable(now))
    }

    /// Whether a call may find an instance that is not cached. It runs user code, so the caller must hold no lock.
    fn may_know(&self, issuer: &IssuerUrl, now: Moment) -> bool {
        !self.is_unknown(issuer, now) && self.resolver.may_know(issuer)
    }

    fn is_unknown(&self, issuer: &IssuerUrl, now: Moment) -> bool {
        // The difference: the caller may have read the clock before the call ended.
        self.unknown.get(issuer).is_some_and(|since| now.monotonic.abs_diff(since) < NEGATIVE_TTL)
    }

    fn now(&self) -> Moment {
        Moment::now(&*self.resources.keys.clock)
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CachedInstance {
    /// The monotonic clock alone decides, as for keys.
    fn is_usable(&self, now: Moment) -> bool {
        now.running_since(self.resolved_at) < MAX_AGE
    }

    fn is_refresh_due(&self, now: Moment) -> bool {
        now.elapsed_since(self.resolved_at) >= REFRESH_INTERVAL
            && nanos(now.monotonic) >= self.not_before.load(Ordering::Relaxed)
    }

    fn is_late(&self, now: Moment) -> bool {
        now.elapsed_since(self.resolved_at) >= LATE_AGE && !self.has_failed.load(Ordering::Acquire)
    }

    /// Drops its keys, which cached tokens would otherwise hold for as long as they are cached.
    fn forget_keys(&self) {
        self.trusted.keys.forget();
    }

    /// Allows the next refresh [`RETRY_INTERVAL`] from now. A success replaces the whole entry.
    fn defer_refresh(&self, now: Moment) {
        self.not_before.store(nanos(now.monotonic.saturating_add(RETRY_INTERVAL)), Ordering::Relaxed);
    }
}

/// Cached instances, and as many unknown and remembered issuers: at 255 bytes each, made-up issuers take a few
/// megabytes at most.
pub(crate) const MAX_RESOLVED: usize = 10_000;
/// Calls in flight that unknown issuers may add to, waiting for a place or running: a bound on memory, which only
/// raised limits can reach.
const MAX_IN_FLIGHT: usize = 16_384;
/// How often calls are looked for whose runtime is not polled. Each look visits all calls.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// The time limit of a call. A lookup in a table takes milliseconds, and a request waits for it.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long a call waits for a place, within [`TIMEOUT`]: what is left is enough for a lookup.
const PLACE_TIMEOUT: Duration = Duration::from_millis(1500);
/// The age at which an instance is looked up again: as for keys, this is how long a removed tenant stays accepted.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// The age from which requests wait for the lookup: as for keys, two intervals.
const LATE_AGE: Duration = Duration::from_secs(2 * 5 * 60);
/// The longest use of an instance while lookups fail: the application's database may be down for an hour.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// The time to the next lookup of an instance after one that failed: soon after an outage, and no call per request in
/// it.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// How long an unknown issuer is rejected without a call. A tenant that signs up waits no longer than this.
const NEGATIVE_TTL: Duration = Duration::from_secs(60);
