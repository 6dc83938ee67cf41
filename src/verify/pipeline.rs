//! A JWT on its way through the checks: `Segments` → `Compact` → `VerifiedPayload` → `CheckedClaims` → [`Claims`], and
//! from `VerifiedPayload` to [`MachineClaims`] for OAuth and M2M tokens. Opaque tokens branch off at the start.
//!
//! Each type is made from the one before, which it consumes, so no check can be skipped by mistake.
//!
//! The pipeline is synchronous. If a token needs keys that have to be fetched, or an instance that has to be resolved,
//! the pipeline stops and returns what to wait for. After the wait it starts again from the text of the token, which
//! the caller has kept: a waiting request holds its token already, and a copy would double the memory of a flood. A
//! request whose keys are present therefore needs no future and no allocation for one, and after a wait every decision
//! is made with the keys and the time of that moment. Only [`Progress`] is carried over, which bounds how often a token
//! waits.

use std::{
    borrow::Cow,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    UnavailableReason, VerifyError, VerifyErrorKind,
    cached_token::CachedToken,
    checks::{FailedCheck, check_claims},
    error::RETRY_AFTER,
    machine_checks::check_machine_claims,
    verifier::Verifier,
    waiting::WaitingPermit,
};
use crate::{
    claims::{Claims, MachineClaims, VerifiedToken},
    instance::{InstanceCheck, ResolveFailure, ResolveWait, TrustedInstance},
    instruments::Timer,
    jwks::{CandidateKeys, KeyWait, LookupAttempts, SignedPayload},
    jwt::{Category, CheckedHeader, Segments},
    single_flight::Lookup,
    telemetry,
    token_kind::{TokenKind, TokenKinds},
};

/// The verification of a token, as far as it gets without waiting.
pub(crate) enum Verification {
    Pending(PendingVerification),
    Ready(Result<VerifiedToken, VerifyError>),
}

/// A wait for keys, or for the instance that a resolver may know. After it the token is tried again with
/// [`Verifier::resume`]; an error of the wait is final.
pub(crate) struct PendingVerification {
    pub(super) future: Pin<Box<dyn Future<Output = Result<Progress, VerifyError>> + Send>>,
    /// Whether it waits for the resolver.
    pub(crate) is_lookup: bool,
    /// Whether the token is valid with what is in memory, and waits only because that is late.
    pub(crate) is_late: bool,
}

/// How far one attempt at a token came.
enum Attempt {
    Verified(VerifiedToken),
    WaitForInstance(ResolveWait),
    /// The signature holds, but the resolver has not confirmed the instance for so long that it must be asked first.
    WaitForLateInstance(Arc<TrustedInstance>, ResolveWait),
    /// The instance comes along because the attempts that follow count for it alone.
    WaitForKey(Arc<TrustedInstance>, KeyWait),
}

/// What is carried from one attempt at a token to the next. It bounds how often a token waits.
#[derive(Default)]
pub(crate) struct Progress {
    /// The instance, once the token has waited for it or for its keys.
    instance: Option<Arc<TrustedInstance>>,
    /// Whether the resolver has named or confirmed the instance for this token: it waits for a late one at most once.
    has_asked_resolver: bool,
    /// Whether the instance was replaced while the token was verified. It is tried with one more.
    has_been_replaced: bool,
    /// Whether it has waited for a call of the resolver or of the Backend API that was stopped. It waits for one more.
    pub(super) has_lost_call: bool,
    attempts: LookupAttempts,
    /// The kind of the token by what it claims, once that was read. For errors, which metrics count by it.
    claimed: Option<TokenKind>,
    /// What the Backend API has said about it, if it is opaque and has waited for that.
    pub(super) answer: Option<MachineClaims>,
}

/// # Verifying tokens
impl Verifier {
    /// Verifies a token and returns its claims. It waits if keys have to be fetched first.
    ///
    /// It waits for one fetch, at most [`jwks_timeout`](crate::ClerkConfig::jwks_timeout) (3 seconds by default). If it
    /// joined a fetch that had started before, and that fetch did not bring the key, it waits for a second one. It also
    /// waits for one fetch if nobody has used the keys for two refresh intervals. A call of the resolver adds at most 2
    /// seconds. Dropping the future stops none of these: other requests may wait for
    /// them.
    ///
    /// See the [type](Self) for an example, and the [module docs](super#checks) for the checks.
    ///
    /// # Errors
    ///
    /// [`VerifyError`] of the kind of the first check that failed. The kind
    /// [`KeysUnavailable`](VerifyErrorKind::KeysUnavailable) says nothing about the token: respond with 503, not 401.
    pub async fn verify(&self, token: &str) -> Result<Claims, VerifyError> {
        self.verify_kinds(token, TokenKinds::SESSIONS).await.and_then(session)
    }

    /// Verifies a token of one of these kinds. It waits if keys have to be fetched or the Backend API has to be asked
    /// first.
    pub(crate) async fn verify_kinds(&self, token: &str, kinds: TokenKinds) -> Result<VerifiedToken, VerifyError> {
        let mut pending = match self.start(token.as_bytes(), kinds, &mut Timer::off()) {
            Verification::Pending(pending) => pending,
            Verification::Ready(result) => return result,
        };
        let _permit = match self.reserve_waiting(token.len()) {
            Ok(permit) => permit,
            Err(_) if pending.is_late => return self.attempt(token.as_bytes(), kinds, &mut Progress::late()).ready(),
            Err(error) => return Err(error),
        };
        loop {
            let mut progress = pending.await?;
            match self.resume(token.as_bytes(), kinds, &mut progress) {
                Verification::Pending(next) => pending = next,
                Verification::Ready(result) => return result,
            }
        }
    }

    /// Verifies a token without waiting, for synchronous code.
    ///
    /// If keys are missing it starts a fetch, as [`verify`](Self::verify) does, and returns at once. Fetches need a
    /// Tokio runtime around the call. Keys from a PEM or a document need none.
    ///
    /// ```
    /// # #[cfg(all(feature = "reqwest", feature = "testing"))]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use tower_clerk::{Verifier, testing::TestIssuer, verify::UnavailableReason};
    ///
    /// let issuer = TestIssuer::start().await?;
    /// let verifier = Verifier::new(issuer.config())?;
    /// let token = issuer.token("user_ada").sign();
    ///
    /// // There are no keys yet, so this starts a fetch.
    /// let error = verifier.try_verify(&token).unwrap_err();
    /// assert_eq!(error.unavailable_reason(), Some(UnavailableReason::InProgress));
    ///
    /// // This waits for the same fetch.
    /// verifier.warm_up().await?;
    /// assert_eq!(verifier.try_verify(&token)?.user_id(), "user_ada");
    /// assert_eq!(issuer.fetches(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify). Where that would wait, the kind is
    /// [`KeysUnavailable`](VerifyErrorKind::KeysUnavailable) and the reason
    /// [`InProgress`](UnavailableReason::InProgress).
    pub fn try_verify(&self, token: &str) -> Result<Claims, VerifyError> {
        self.try_verify_kinds(token, TokenKinds::SESSIONS).and_then(session)
    }

    /// Verifies a token of one of these kinds without waiting.
    pub(crate) fn try_verify_kinds(&self, token: &str, kinds: TokenKinds) -> Result<VerifiedToken, VerifyError> {
        self.start(token.as_bytes(), kinds, &mut Timer::off()).ready()
    }

    /// Verifies a token as far as possible without waiting. One of another kind than `kinds` is rejected. `timer` is
    /// started unless the token is cached.
    pub(crate) fn start(&self, token: &[u8], kinds: TokenKinds, timer: &mut Timer) -> Verification {
        if token.len() > self.inner.max_token_length {
            return Verification::Ready(Err(VerifyError::rejected(VerifyErrorKind::TooLong)));
        }
        if let Some(kind) = TokenKind::of_opaque(token) {
            let verification = self.verify_opaque(kind, token, kinds, &mut Progress::default());
            // Valid at once is only a token about which the Backend API was asked before.
            if !matches!(verification, Verification::Ready(Ok(_))) {
                timer.start(|| self.monotonic());
            }
            return verification;
        }
        if let Some(claims) = self.cached(token, kinds) {
            return Verification::Ready(Ok(claims));
        }
        timer.start(|| self.monotonic());
        self.attempt(token, kinds, &mut Progress::default())
    }

    /// Verifies a token again after it has waited. `progress` must be of the same token.
    ///
    /// Requests that waited for the same keys often have the same token: one verification serves them all.
    pub(crate) fn resume(&self, token: &[u8], kinds: TokenKinds, progress: &mut Progress) -> Verification {
        if let Some(kind) = TokenKind::of_opaque(token) {
            return self.verify_opaque(kind, token, kinds, progress);
        }
        match self.cached(token, kinds) {
            Some(claims) => Verification::Ready(Ok(claims)),
            None => self.attempt(token, kinds, progress),
        }
    }

    /// Verifies a token that is not cached, and not longer than [`max_token_length`](Self::max_token_length). If it has
    /// to wait, the wait takes `progress` and returns it at its end.
    ///
    /// Only a wait is boxed. It owns a clone of the verifier, so that it keeps the fetch alive.
    pub(crate) fn attempt(&self, token: &[u8], kinds: TokenKinds, progress: &mut Progress) -> Verification {
        let attempt = match self.verify_uncached(token, kinds, progress) {
            Err(error) => return Verification::Ready(Err(error.of_token(progress.claimed))),
            Ok(Attempt::Verified(claims)) => return Verification::Ready(Ok(claims)),
            Ok(attempt) => attempt,
        };
        let is_lookup = matches!(attempt, Attempt::WaitForInstance(_) | Attempt::WaitForLateInstance(..));
        let is_late = match &attempt {
            Attempt::WaitForLateInstance(..) => true,
            Attempt::WaitForKey(_, wait) => wait.is_late(),
            Attempt::Verified(_) | Attempt::WaitForInstance(_) => false,
        };
        let (verifier, mut progress) = (self.clone(), mem::take(progress));
        let future = Box::pin(async move {
            let _verifier = verifier;
            progress.wait(attempt).await.map_err(|error| error.of_token(progress.claimed))?;
            Ok(progress)
        });
        Verification::Pending(PendingVerification { future, is_lookup, is_late })
    }

    /// Takes `bytes` of what may wait at this verifier.
    ///
    /// # Errors
    ///
    /// [`TooManyWaiting`](UnavailableReason::TooManyWaiting) if less is left.
    pub(crate) fn reserve_waiting(&self, bytes: usize) -> Result<WaitingPermit, VerifyError> {
        let too_many = || VerifyError::unavailable(UnavailableReason::TooManyWaiting, RETRY_AFTER);
        self.inner.waiting.take(bytes).ok_or_else(too_many)
    }

    /// The claims of a cached token, if they are still valid.
    ///
    /// All that may have changed since the token was verified is checked again: the resolver may have removed or
    /// replaced the instance, the time has moved on, and the key may have been withdrawn. The signature and the other
    /// claims cannot change: a hit has exactly the text that was verified, and the settings of an instance are fixed.
    ///
    /// The time comes first, because the other two may start a refresh: an expired token is no reason for one.
    pub(crate) fn cached(&self, token: &[u8], kinds: TokenKinds) -> Option<VerifiedToken> {
        let cache = self.inner.token_cache.as_ref()?;
        let mut expired_at = None;
        let claims = cache.get(token, |cached| {
            let now = self.inner.clock.now();
            let claims = cached.claims();
            expired_at = claims.has_expired_at(now).then_some(now);
            claims.is_valid_at(now)
                && kinds.contains(claims.kind())
                && self.inner.instances.is_current(cached.instance(), claims.issuer())
                && cached.is_key_current(now)
        });
        if let Some(now) = expired_at {
            // It will never be valid again, and its claims are personal data.
            cache.remove_expired(token, now);
        }
        self.inner.instruments.cache.looked_up(claims.is_some());
        claims
    }

    /// Runs all checks on a token, or stops where it has to wait. An `Err` is a check that failed.
    ///
    /// The order keeps a forgery cheap. The header is decoded and checked first, because many forgeries fail there, and
    /// the payload may be many kilobytes long. With one instance, the header also finds the key: an unknown `kid` for
    /// which no fetch is allowed is rejected before the payload is decoded. With several, the payload has to be decoded
    /// first, because its `iss` selects the instance.
    ///
    /// The kind is checked before a key is fetched: with the header if `typ` or `cat` names it, and else with the
    /// unverified `sub`. With one instance, a `kid` that its keys lack is rejected before that `sub` is read.
    fn verify_uncached(
        &self,
        token: &[u8],
        kinds: TokenKinds,
        progress: &mut Progress,
    ) -> Result<Attempt, VerifyError> {
        let inner = &*self.inner;
        let mut for_header = [0; USUAL_HEADER];
        let segments = Segments::parse(token, &mut for_header)?;
        let header = segments.header()?;
        // With several instances the settings of this one are not known yet. The most permissive rule applies until
        // then.
        let only = inner.instances.only();
        let allow_template_tokens = only.is_none_or(|only| only.config.allow_template_tokens);
        let kinds = only.map_or(kinds, |only| kinds.and(only.config.accepted));
        let header = CheckedHeader::check(&header, kinds, allow_template_tokens)?;
        let only = match only {
            Some(only) => Some((only, self.candidates(only, &header)?)),
            None => None,
        };
        let (mut for_payload, mut for_signature) = ([0; USUAL_PAYLOAD], [0; USUAL_SIGNATURE]);
        let decoded = segments.decode(&mut for_payload, &mut for_signature)?;
        let compact = decoded.parse()?;
        let kind = compact.claimed_kind(&header);
        progress.claimed = Some(kind);
        if !kinds.contains(kind) {
            return Err(VerifyError::rejected(VerifyErrorKind::TokenKindNotAccepted));
        }
        header.check_kind(kind)?;
        let is_template = header.category == Category::Template;
        let found;
        let (instance, candidates) = match only {
            Some(only) => only,
            None => {
                found = match &progress.instance {
                    Some(instance) => Arc::clone(instance),
                    None => {
                        let issuer = compact.claimed_issuer();
                        if !inner.instances.may_accept(kind, issuer.as_deref()) {
                            return Err(VerifyError::rejected(VerifyErrorKind::TokenKindNotAccepted));
                        }
                        match inner.instances.find(issuer.as_deref()) {
                            Lookup::Failed(failure) => return Err(failure.into()),
                            Lookup::Found(instance) => instance,
                            Lookup::Wait(wait) => return Ok(Attempt::WaitForInstance(wait)),
                        }
                    }
                };
                // Until here the most permissive rules applied; the instance may have stricter ones.
                if token.len() > found.config.max_token_length {
                    return Err(VerifyError::rejected(VerifyErrorKind::TooLong));
                }
                if !found.config.accepted.contains(kind) {
                    return Err(VerifyError::rejected(VerifyErrorKind::TokenKindNotAccepted));
                }
                if is_template && !found.config.allow_template_tokens {
                    return Err(VerifyError::rejected(VerifyErrorKind::UnsupportedCategory));
                }
                (&found, self.candidates(&found, &header)?)
            }
        };
        let SignedPayload { payload, signed_by } =
            match candidates.verify(compact, &header, &instance.config, &mut progress.attempts) {
                Lookup::Failed(error) => {
                    // The failed verification has consumed the payload, so this parses it again.
                    let accepts = |iss: Cow<'_, str>| instance.config.accepts_issuer(&iss);
                    let is_of_instance =
                        || decoded.parse().is_ok_and(|token| token.claimed_issuer().is_some_and(accepts));
                    inner.diagnostics.keys_failed(error, instance, &*inner.clock, is_of_instance);
                    return Err(error.into());
                }
                Lookup::Found(signed) => signed,
                Lookup::Wait(wait) => return Ok(Attempt::WaitForKey(Arc::clone(instance), wait)),
            };
        instance.note_verified();
        let now = inner.clock.now();
        let failed = |failed: FailedCheck| {
            inner.diagnostics.check_failed(&failed, kind, instance, &*inner.clock);
            VerifyError::rejected(failed.kind)
        };
        let checked = if kind == TokenKind::Session {
            let checked = check_claims(payload, &instance.config, now).map_err(failed)?;
            VerifiedToken::Session(Claims::new(&checked, is_template, &instance.info))
        } else {
            let checked = check_machine_claims(&payload, kind, &instance.config, &instance.info, now);
            VerifiedToken::Machine(checked.map_err(failed)?)
        };
        match inner.instances.check(instance, checked.issuer()) {
            InstanceCheck::Current => {}
            InstanceCheck::Late(_) if progress.has_asked_resolver => {}
            InstanceCheck::Late(wait) => return Ok(Attempt::WaitForLateInstance(Arc::clone(instance), wait)),
            // Records that change under each attempt could hold a request for ever.
            InstanceCheck::Replaced(_) if progress.has_been_replaced => {
                return Err(ResolveFailure::ResolverTimeout.into());
            }
            InstanceCheck::Replaced(lookup) => {
                let Progress { has_lost_call, .. } = *progress;
                *progress = Progress { has_lost_call, has_been_replaced: true, ..Progress::default() };
                match lookup {
                    Lookup::Failed(failure) => return Err(failure.into()),
                    Lookup::Found(current) => progress.resolved(current),
                    Lookup::Wait(wait) => return Ok(Attempt::WaitForInstance(wait)),
                }
                return self.verify_uncached(token, kinds, progress);
            }
        }
        if let VerifiedToken::Session(claims) = &checked
            && claims.are_permissions_ambiguous()
        {
            telemetry::ambiguous_permissions();
        }
        // A token that is valid only within the clock skew would never be a hit.
        if let Some(cache) = inner.token_cache.as_ref().filter(|_| checked.is_valid_at(now))
            && let Some(cached) = CachedToken::new(&segments, checked.clone(), Arc::clone(instance), signed_by)
        {
            cache.insert(cached, now);
            inner.instruments.cache.evicted(cache.take_evictions());
        }
        Ok(Attempt::Verified(checked))
    }

    /// The keys of an instance that may have signed a token with this header.
    fn candidates<'k>(
        &self,
        instance: &'k TrustedInstance,
        header: &CheckedHeader<'_>,
    ) -> Result<CandidateKeys<'k>, VerifyError> {
        instance.keys.candidates(header).map_err(|error| {
            self.inner.diagnostics.keys_failed(error, instance, &*self.inner.clock, || false);
            error.into()
        })
    }
}

/// The claims of a session token. The kinds were checked, so that there is no other.
pub(crate) fn session(token: VerifiedToken) -> Result<Claims, VerifyError> {
    token.into_session().ok_or_else(|| VerifyError::rejected(VerifyErrorKind::TokenKindNotAccepted))
}

impl Verification {
    /// The result, or the error of a token that would have to wait.
    fn ready(self) -> Result<VerifiedToken, VerifyError> {
        match self {
            Self::Pending(_) => Err(VerifyError::unavailable(UnavailableReason::InProgress, RETRY_AFTER)),
            Self::Ready(result) => result,
        }
    }
}

impl Progress {
    /// The progress of a token that takes what is in memory, however late: it cannot wait.
    pub(crate) fn late() -> Self {
        Self { has_asked_resolver: true, attempts: LookupAttempts::late(), ..Self::default() }
    }

    /// Whether the token need not wait for the resolver any more.
    pub(crate) fn has_instance(&self) -> bool {
        self.instance.is_some()
    }

    /// The progress of another token of the same request, with the same issuer.
    pub(crate) fn for_another_token(&self) -> Self {
        Self {
            instance: self.instance.clone(),
            attempts: self.attempts.for_another_token(),
            claimed: None,
            answer: None,
            ..*self
        }
    }

    /// Notes that the resolver has named the instance.
    fn resolved(&mut self, instance: Arc<TrustedInstance>) {
        self.instance = Some(instance);
        self.has_asked_resolver = true;
    }

    async fn wait(&mut self, attempt: Attempt) -> Result<(), VerifyError> {
        match attempt {
            Attempt::Verified(_) => {}
            Attempt::WaitForInstance(wait) => match wait.end().await {
                Some(resolved) => self.resolved(resolved?),
                None if self.has_lost_call => return Err(ResolveFailure::ResolverTimeout.into()),
                None => self.has_lost_call = true,
            },
            Attempt::WaitForLateInstance(instance, wait) => {
                let resolved = match wait.end().await {
                    Some(Ok(resolved)) => resolved,
                    Some(Err(ResolveFailure::UnknownIssuer)) => return Err(ResolveFailure::UnknownIssuer.into()),
                    // The instance may have been forgotten: the token is tried with what the resolver says now.
                    None if !self.has_lost_call => {
                        self.has_lost_call = true;
                        return Ok(());
                    }
                    // An outage of the application's records must not reject the tokens of its tenants.
                    Some(Err(_)) | None => Arc::clone(&instance),
                };
                if !Arc::ptr_eq(&resolved, &instance) {
                    self.attempts = LookupAttempts::default();
                }
                self.resolved(resolved);
            }
            Attempt::WaitForKey(instance, wait) => {
                instance.keys.wait(wait, &mut self.attempts).await?;
                // The attempts count for the keys of this instance. If the resolver has returned another one since,
                // the token would otherwise be tried with its keys under a budget that is used up.
                self.instance = Some(instance);
            }
        }
        Ok(())
    }
}

impl Future for PendingVerification {
    type Output = Result<Progress, VerifyError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.future.as_mut().poll(context)
    }
}

// Sizes of stack buffers in bytes: a usual token is decoded without the heap, a longer one onto the heap.
/// Twice the length of the header that Clerk writes.
const USUAL_HEADER: usize = 256;
/// A session token with an organization and custom claims, for which Clerk recommends at most 1.2 KB.
const USUAL_PAYLOAD: usize = 1024;
/// The signature of a 4096-bit key; Clerk's keys have 2048 bits, which make 256 bytes.
const USUAL_SIGNATURE: usize = 512;
