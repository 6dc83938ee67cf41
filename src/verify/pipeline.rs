//! A token on its way through the checks: `Segments` → `Compact` → `VerifiedPayload` → `CheckedClaims` → [`Claims`].

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    UnavailableReason, VerifyError, VerifyErrorKind, cache::CachedToken, checks::check_claims, verifier::Verifier,
};
use crate::{
    claims::Claims,
    instance::{ResolveWait, TrustedInstance},
    jwks::{KeyWait, LookupAttempts, SignedPayload},
    jwt::{CheckedHeader, Segments},
    single_flight::Lookup,
    telemetry,
};

/// The verification of a token, as far as it gets without waiting.
pub(crate) enum Verification {
    Pending(PendingVerification),
    Ready(Result<Claims, VerifyError>),
}

/// A verification that waits for keys, or for the instance that a resolver may know.
pub(crate) struct PendingVerification {
    future: Pin<Box<dyn Future<Output = Result<Claims, VerifyError>> + Send>>,
}

/// What a token waits for.
enum Wait {
    Instance(ResolveWait),
    Key(Arc<TrustedInstance>, KeyWait),
}

/// What was found out about a token before it had to wait.
#[derive(Default)]
struct Progress {
    instance: Option<Arc<TrustedInstance>>,
    attempts: LookupAttempts,
}

/// # Verifying tokens
impl Verifier {
    /// Verifies a token, waiting for keys if they have to be fetched: at most their timeout, and as long again where a
    /// fetch that was under way has not brought its key.
    ///
    /// # Errors
    ///
    /// [`VerifyError`], with the first check that failed as its kind;
    /// [`KeysUnavailable`](VerifyErrorKind::KeysUnavailable) says nothing about the token.
    pub async fn verify(&self, token: &str) -> Result<Claims, VerifyError> {
        match self.start(token) {
            Verification::Pending(pending) => pending.await,
            Verification::Ready(result) => result,
        }
    }

    /// Verifies a token with the keys at hand, without waiting; if they are not, a fetch is started.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify), with [`KeysUnavailable`](VerifyErrorKind::KeysUnavailable) for all that
    /// would have to wait.
    pub fn try_verify(&self, token: &str) -> Result<Claims, VerifyError> {
        match self.start(token) {
            Verification::Pending(_) => {
                Err(VerifyError::unavailable(UnavailableReason::InProgress, Duration::from_secs(1)))
            }
            Verification::Ready(result) => result,
        }
    }

    /// Verifies a token, without waiting if its keys are there.
    pub(crate) fn start(&self, token: &str) -> Verification {
        if token.len() > self.inner.max_token_length {
            return Verification::Ready(Err(VerifyError::rejected(VerifyErrorKind::TooLong)));
        }
        if let Some(claims) = self.cached(token) {
            return Verification::Ready(Ok(claims));
        }
        let mut progress = Progress::default();
        match self.verify_uncached(token, &mut progress).unwrap_or_else(Lookup::Failed) {
            Lookup::Failed(error) => Verification::Ready(Err(error)),
            Lookup::Found(claims) => Verification::Ready(Ok(claims)),
            Lookup::Wait(wait) => {
                let (verifier, token) = (self.clone(), token.to_owned());
                let future = Box::pin(async move { verifier.resume(&token, wait, progress).await });
                Verification::Pending(PendingVerification { future })
            }
        }
    }

    /// Waits, and verifies the token again, until nothing is left to wait for.
    async fn resume(&self, token: &str, mut wait: Wait, mut progress: Progress) -> Result<Claims, VerifyError> {
        loop {
            match wait {
                Wait::Instance(wait) => progress.instance = Some(wait.end().await?),
                Wait::Key(instance, wait) => {
                    instance.keys.wait(wait, &mut progress.attempts).await?;
                    // The attempts are those of this instance; one that has come in its place would have none.
                    progress.instance = Some(instance);
                }
            }
            // Another request may have verified it meanwhile.
            if let Some(claims) = self.cached(token) {
                return Ok(claims);
            }
            match self.verify_uncached(token, &mut progress)? {
                Lookup::Failed(error) => return Err(error),
                Lookup::Found(claims) => return Ok(claims),
                Lookup::Wait(next) => wait = next,
            }
        }
    }

    /// The claims of a token that was verified before, if they are still valid.
    fn cached(&self, token: &str) -> Option<Claims> {
        let cached = self.inner.token_cache.as_ref()?.get(token)?;
        let is_valid = self.inner.instances.is_current(cached.instance(), cached.claims().issuer())
            && cached.claims().is_valid_at(self.inner.clock.now())
            && cached.is_key_current();
        is_valid.then(|| cached.claims().clone())
    }

    fn verify_uncached(
        &self,
        token: &str,
        progress: &mut Progress,
    ) -> Result<Lookup<Claims, VerifyError, Wait>, VerifyError> {
        let inner = &*self.inner;
        let mut for_header = [0; USUAL_HEADER];
        let segments = Segments::parse(token, &mut for_header)?;
        let header = segments.header()?;
        // Forgeries come in floods: what the header alone decides is rejected before the rest is decoded.
        let only = inner.instances.only();
        let allow_template_tokens = only.is_none_or(|only| only.config.allow_template_tokens);
        let header = CheckedHeader::check(&header, allow_template_tokens)?;
        let only = match only {
            Some(only) => Some((only, only.keys.candidates(&header)?)),
            None => None,
        };
        let (mut for_payload, mut for_signature) = ([0; USUAL_PAYLOAD], [0; USUAL_SIGNATURE]);
        let decoded = segments.decode(&mut for_payload, &mut for_signature)?;
        let compact = decoded.parse()?;
        let found;
        let (instance, candidates) = match only {
            Some(only) => only,
            None => {
                found = match &progress.instance {
                    Some(instance) => Arc::clone(instance),
                    None => match inner.instances.find(compact.claimed_issuer().as_deref()) {
                        Lookup::Failed(failure) => return Err(failure.into()),
                        Lookup::Found(instance) => instance,
                        Lookup::Wait(wait) => return Ok(Lookup::Wait(Wait::Instance(wait))),
                    },
                };
                // What could only be checked by the widest rule before.
                if token.len() > found.config.max_token_length {
                    return Err(VerifyError::rejected(VerifyErrorKind::TooLong));
                }
                if header.is_template && !found.config.allow_template_tokens {
                    return Err(VerifyError::rejected(VerifyErrorKind::UnsupportedCategory));
                }
                (&found, found.keys.candidates(&header)?)
            }
        };
        let SignedPayload { payload, signed_by } = match candidates.verify(compact, &header, &mut progress.attempts) {
            Lookup::Failed(error) => return Err(error.into()),
            Lookup::Found(signed) => signed,
            Lookup::Wait(wait) => return Ok(Lookup::Wait(Wait::Key(Arc::clone(instance), wait))),
        };
        let checked = check_claims(payload, &instance.config, inner.clock.now()).map_err(VerifyError::rejected)?;
        let claims = Claims::new(&checked, header.is_template, &instance.info);
        if claims.are_permissions_ambiguous() {
            telemetry::ambiguous_permissions();
        }
        if let Some(cache) = &inner.token_cache {
            cache.insert(token, CachedToken::new(token, claims.clone(), Arc::clone(instance), signed_by));
        }
        Ok(Lookup::Found(claims))
    }
}

impl Future for PendingVerification {
    type Output = Result<Claims, VerifyError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.future.as_mut().poll(context)
    }
}

// In bytes, decoded, so that a usual token needs no memory of the heap before its signature is verified.
/// Twice the header of Clerk's.
const USUAL_HEADER: usize = 256;
/// A session token with an organization and custom claims; Clerk advises to keep those below 1.2 KB.
const USUAL_PAYLOAD: usize = 1024;
/// Of a key of 4096 bits.
const USUAL_SIGNATURE: usize = 512;
