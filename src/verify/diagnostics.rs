//! Warnings about mistakes of the operator, which would otherwise show only as rejected tokens.
//!
//! A client can cause a rejection, so a rejection by itself is no warning. A token whose signature is valid is another
//! matter: Clerk made it, so if a check of its claims fails, a setting or the clock may be wrong, and then every token
//! fails. The signature cannot help where the keys themselves are wrong. Forgeries look the same there, and the warning
//! says so.
//!
//! Each reason warns at most once a minute, with the number of tokens since its last warning. A single token of another
//! application is thus one line, and so is a flood.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{VerifyErrorKind, checks::FailedCheck};
use crate::{
    claims::CustomClaimsError,
    clock::Clock,
    instance::TrustedInstance,
    jwks::{InstanceKeys, KeyError},
    rate_limit::Throttle,
    telemetry::{self, WARNING_INTERVAL},
    token_kind::TokenKind,
};

/// The warnings of one verifier. Its clones share them.
///
/// Only a rejection takes the lock of its reason. A verified token costs nothing here.
#[derive(Default)]
pub(super) struct Diagnostics {
    audience: Warning,
    authorized_party: Warning,
    clock: Warning,
    custom_claims: Warning,
    issuer: Warning,
    keys: Warning,
    lifetime: Warning,
    opaque_tokens: Warning,
}

/// One reason to warn.
struct Warning(Mutex<Tally>);

/// The tokens since the last warning.
struct Tally {
    throttle: Throttle,
    count: u64,
    /// How far the latest of their times was in the future. A token loses drift while it ages, so the largest drift is
    /// nearest to the error of the clock.
    drift: Duration,
}

impl Diagnostics {
    /// Notes that a token with a valid signature failed a check of its claims.
    ///
    /// An expired token is no reason for a warning, since every client has one at times. Neither are users and sessions
    /// that are not accepted.
    pub(super) fn check_failed(
        &self,
        failed: &FailedCheck,
        token: TokenKind,
        instance: &TrustedInstance,
        clock: &dyn Clock,
    ) {
        let name = instance.config.name();
        let (warning, setting) = match failed.kind {
            VerifyErrorKind::IssuedInFuture | VerifyErrorKind::NotYetValid => {
                let Some(drift) = failed.drift.filter(|drift| *drift < MAX_DRIFT) else { return };
                if let Some((count, drift)) = self.clock.note(drift, clock) {
                    telemetry::clock_drift(name, count, drift);
                }
                return;
            }
            VerifyErrorKind::InvalidAudience => (&self.audience, audience_setting(token)),
            VerifyErrorKind::MachineNotInScope => (&self.audience, "machine_id"),
            VerifyErrorKind::InvalidAuthorizedParty => (&self.authorized_party, "authorized_parties"),
            VerifyErrorKind::InvalidIssuer => (&self.issuer, "issuer"),
            VerifyErrorKind::LifetimeTooLong => (&self.lifetime, lifetime_setting(token)),
            _ => return,
        };
        if let Some((count, _)) = warning.note(Duration::ZERO, clock) {
            telemetry::setting_rejects_tokens(name, setting, failed.kind.as_str(), count);
        }
    }

    /// Notes that a verified token lacks the custom claims of the layer.
    pub(super) fn custom_claims_failed(&self, error: &CustomClaimsError, instance: &str, clock: &dyn Clock) {
        if let Some((count, _)) = self.custom_claims.note(Duration::ZERO, clock) {
            telemetry::custom_claims_rejected(instance, error, count);
        }
    }

    /// Notes that an opaque token was refused without a call, because too many before it were not valid.
    pub(super) fn opaque_token_refused(&self, clock: &dyn Clock) {
        if let Some((count, _)) = self.opaque_tokens.note(Duration::ZERO, clock) {
            telemetry::opaque_tokens_refused(count);
        }
    }

    /// Notes that no key verifies a token, if the keys never change and have not verified any token yet. They may be
    /// those of another instance. Once they have verified one, the token is more likely forged.
    ///
    /// `is_of_instance` is whether the token claims to be of this instance. It is asked only if the signature failed: a
    /// token whose `kid` is unknown is rejected before its payload is read.
    pub(super) fn keys_failed(
        &self,
        error: KeyError,
        instance: &TrustedInstance,
        clock: &dyn Clock,
        is_of_instance: impl FnOnce() -> bool,
    ) {
        let setting = match &instance.keys {
            InstanceKeys::Fetched(_) => return,
            InstanceKeys::One(_) => "jwt_key",
            InstanceKeys::Set(_) => "jwks",
        };
        let is_suspicious = match error {
            KeyError::InvalidSignature => !instance.has_verified() && is_of_instance(),
            KeyError::UnknownKid => !instance.has_verified(),
            KeyError::AlgorithmMismatch | KeyError::InvalidKeyId | KeyError::Unavailable(_) => false,
        };
        if is_suspicious && let Some((count, _)) = self.keys.note(Duration::ZERO, clock) {
            telemetry::keys_verify_nothing(instance.config.name(), setting, count);
        }
    }
}

fn audience_setting(token: TokenKind) -> &'static str {
    match token {
        TokenKind::OAuth => "oauth_audience",
        TokenKind::M2m => "m2m_audience",
        TokenKind::ApiKey | TokenKind::Session => "audience",
    }
}

fn lifetime_setting(token: TokenKind) -> &'static str {
    match token {
        TokenKind::OAuth => "max_oauth_token_lifetime",
        TokenKind::M2m => "max_m2m_token_lifetime",
        TokenKind::ApiKey | TokenKind::Session => "max_token_lifetime",
    }
}

impl Warning {
    /// Counts one more token. If a warning is due, returns the number of tokens and the largest drift for it.
    ///
    /// The caller logs after this has released the lock.
    fn note(&self, drift: Duration, clock: &dyn Clock) -> Option<(u64, Duration)> {
        let now = clock.monotonic();
        let mut tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tally.count = tally.count.saturating_add(1);
        tally.drift = tally.drift.max(drift);
        let is_due = tally.throttle.is_due(now);
        is_due.then(|| (std::mem::take(&mut tally.count), std::mem::take(&mut tally.drift)))
    }
}

impl Default for Warning {
    fn default() -> Self {
        Self(Mutex::new(Tally { throttle: Throttle::new(WARNING_INTERVAL), count: 0, drift: Duration::ZERO }))
    }
}

/// The longest [`clock_skew`](crate::ClerkConfig::clock_skew). A time that is further in the future is no drift.
const MAX_DRIFT: Duration = Duration::from_secs(300);
