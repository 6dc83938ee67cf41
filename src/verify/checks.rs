//! The checks of the claims, in the order of the [module docs](super#checks). All of them follow the signature.
//!
//! The order is part of the API: the first check that fails gives the error its kind. The times come late, so that only
//! a token whose user, issuer, party and audience are accepted is reported as expired, and clients may act on it.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use super::VerifyErrorKind;
use crate::{
    claims::{CheckedClaims, NumericDate, RawClaim, RawClaims},
    clock::millis,
    config::ClerkConfig,
    json::Value,
    jwt::VerifiedPayload,
    token_kind::{MACHINE_ID_PREFIX, TokenKind},
};

/// The first check that failed.
pub(super) struct FailedCheck {
    pub(super) kind: VerifyErrorKind,
    /// How far the later of `nbf` and `iat` is in the future, if the check is one of theirs.
    pub(super) drift: Option<Duration>,
}

/// Checks the claims of a verified payload against the configuration of the instance whose key verified it.
///
/// `sub` and `iss` are moved out of the raw claims, because [`CheckedClaims`] holds them as values that are present.
pub(super) fn check_claims<'p>(
    payload: VerifiedPayload<'p>,
    config: &ClerkConfig,
    now: SystemTime,
) -> Result<CheckedClaims<'p>, FailedCheck> {
    let mut raw = RawClaims::read(&payload);
    let sub = subject(std::mem::take(&mut raw.sub))?;
    session_id(&raw.sid, config)?;
    let iss = issuer(std::mem::take(&mut raw.iss), config)?;
    authorized_party(&raw.azp, config)?;
    audience(raw.aud.as_ref(), config)?;
    if matches!(raw.act, RawClaim::Invalid) {
        return Err(VerifyErrorKind::InvalidActor.into());
    }
    let exp = times(&raw, config, TokenKind::Session, now)?;
    session_status(&raw.sts, config)?;
    Ok(CheckedClaims::assertion(payload, raw, sub, iss, exp))
}

impl From<VerifyErrorKind> for FailedCheck {
    fn from(kind: VerifyErrorKind) -> Self {
        Self { kind, drift: None }
    }
}

/// The user id. Machine tokens of Clerk have a subject `mch_…`; a machine must not pass as a user.
fn subject(sub: RawClaim<Cow<'_, str>>) -> Result<Cow<'_, str>, VerifyErrorKind> {
    match sub {
        RawClaim::Value(sub) if !sub.is_empty() && !sub.starts_with(MACHINE_ID_PREFIX) => Ok(sub),
        _ => Err(VerifyErrorKind::InvalidSubject),
    }
}

/// A session id is required, except in tokens made from a JWT template, which have none.
fn session_id(sid: &RawClaim<Cow<'_, str>>, config: &ClerkConfig) -> Result<(), VerifyErrorKind> {
    match sid {
        RawClaim::Value(sid) if !sid.is_empty() => Ok(()),
        RawClaim::Absent if config.allow_template_tokens => Ok(()),
        _ => Err(VerifyErrorKind::InvalidSessionId),
    }
}

/// The issuer, compared byte by byte (RFC 8725, section 3.8). With one instance nothing has compared it before. If no
/// issuer is configured, every one that is not empty is accepted.
pub(super) fn issuer<'p>(iss: RawClaim<Cow<'p, str>>, config: &ClerkConfig) -> Result<Cow<'p, str>, VerifyErrorKind> {
    match iss {
        RawClaim::Value(iss) if config.accepts_issuer(&iss) => Ok(iss),
        _ => Err(VerifyErrorKind::InvalidIssuer),
    }
}

/// The origin to which Clerk issued the token. Comparing it keeps a token of one subdomain from being used on another.
fn authorized_party(azp: &RawClaim<Cow<'_, str>>, config: &ClerkConfig) -> Result<(), VerifyErrorKind> {
    let parties = &config.authorized_parties;
    match azp {
        RawClaim::Absent if parties.is_empty() || config.allow_missing_azp => Ok(()),
        RawClaim::Value(_) if parties.is_empty() => Ok(()),
        RawClaim::Value(azp) if parties.iter().any(|party| party == azp) => Ok(()),
        _ => Err(VerifyErrorKind::InvalidAuthorizedParty),
    }
}

/// A string, or an array of strings of which one must be accepted (RFC 7519, section 4.1.3). An array with an element
/// of another type is rejected as a whole.
fn audience(aud: Option<&Value<'_>>, config: &ClerkConfig) -> Result<(), VerifyErrorKind> {
    let is_accepted = |audience: &Value<'_>| match audience {
        Value::String(audience) => Some(config.audience.iter().any(|accepted| accepted == audience)),
        _ => None,
    };
    let one_is_accepted = match aud {
        _ if config.audience.is_empty() => Some(true),
        Some(list @ Value::Array(_)) => list.elements().and_then(|elements| {
            elements.iter().map(is_accepted).try_fold(false, |found, is_accepted| Some(found | is_accepted?))
        }),
        Some(audience) => is_accepted(audience),
        None => None,
    };
    if one_is_accepted == Some(true) { Ok(()) } else { Err(VerifyErrorKind::InvalidAudience) }
}

/// Checks `exp`, `nbf` and `iat` (RFC 7519, sections 4.1.4 to 4.1.6), and returns `exp`.
///
/// All times are milliseconds, as in Clerk's SDKs. `exp` is exclusive: at `exp` plus the clock skew the token has
/// expired. With a maximum lifetime, a token without `iat` is rejected, because its lifetime is unknown.
pub(super) fn times(
    raw: &RawClaims<'_>,
    config: &ClerkConfig,
    kind: TokenKind,
    now: SystemTime,
) -> Result<NumericDate, FailedCheck> {
    let (now, skew) = (NumericDate::from(now).millis(), millis(config.clock_skew));
    let (earliest, latest) = (now - skew, now + skew);
    let too_early = |kind| {
        let latest =
            [raw.nbf, raw.iat].into_iter().filter_map(RawClaim::value).map(NumericDate::millis).reduce(f64::max);
        let ahead = latest.map(|latest| (latest - now) / 1000.0);
        FailedCheck { kind, drift: ahead.and_then(|ahead| Duration::try_from_secs_f64(ahead).ok()) }
    };
    let RawClaim::Value(exp) = raw.exp else { return Err(VerifyErrorKind::InvalidExpiry.into()) };
    if exp.millis() <= earliest {
        return Err(VerifyErrorKind::Expired.into());
    }
    match raw.nbf {
        RawClaim::Invalid => return Err(VerifyErrorKind::InvalidNotBefore.into()),
        RawClaim::Value(nbf) if nbf.millis() > latest => return Err(too_early(VerifyErrorKind::NotYetValid)),
        RawClaim::Absent | RawClaim::Value(_) => {}
    }
    match raw.iat {
        RawClaim::Invalid => return Err(VerifyErrorKind::InvalidIssuedAt.into()),
        RawClaim::Value(iat) if iat.millis() > latest => return Err(too_early(VerifyErrorKind::IssuedInFuture)),
        RawClaim::Absent | RawClaim::Value(_) => {}
    }
    let lifetime = raw.iat.value().map(|iat| exp.millis() - iat.millis());
    match config.max_lifetime(kind) {
        Some(longest) if lifetime.is_none_or(|lifetime| lifetime > millis(longest)) => {
            Err(VerifyErrorKind::LifetimeTooLong.into())
        }
        _ => Ok(exp),
    }
}

/// `pending` is a user who has signed in but has tasks left. Other values pass: Clerk may add some.
fn session_status(sts: &RawClaim<Cow<'_, str>>, config: &ClerkConfig) -> Result<(), VerifyErrorKind> {
    match sts {
        RawClaim::Invalid => Err(VerifyErrorKind::InvalidSessionStatus),
        RawClaim::Value(status) if status == "pending" && !config.allow_pending_sessions => {
            Err(VerifyErrorKind::PendingSession)
        }
        RawClaim::Absent | RawClaim::Value(_) => Ok(()),
    }
}
