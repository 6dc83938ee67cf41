//! What a token says about itself, before anything of it is verified.

use super::{UnavailableReason, VerifyError, error::RETRY_AFTER, verifier::Verifier};
use crate::{
    claims::{Claims, NumericDate},
    json::Value,
    jwt::{Compact, MalformedToken, Segments},
};

/// Claims of a token that nobody has verified: anybody can write such a token.
///
/// They decide which of several cookies are tried, and in which order. They never decide whether a user is signed in.
pub(crate) struct ClaimedToken {
    pub(crate) issuer: String,
    subject: Option<String>,
    /// Whether `exp` has passed, without clock skew.
    pub(crate) is_expired: bool,
    issued_at: Option<NumericDate>,
}

impl Verifier {
    /// Reads the claims of a token; `None` if it is no compact JWT, or its issuer cannot belong to a trusted instance.
    ///
    /// The resolver is not called here, but asked whether it [may know](crate::verify::InstanceResolver::may_know) it.
    pub(crate) fn claimed(&self, token: &[u8]) -> Option<ClaimedToken> {
        let claimed = self.read_claims(token).ok()?;
        (!claimed.issuer.is_empty() && self.inner.instances.may_know(&claimed.issuer)).then_some(claimed)
    }

    /// Whether the resolver has to be called before a token of this issuer can be verified.
    pub(crate) fn needs_lookup(&self, issuer: &str) -> bool {
        self.inner.instances.needs_lookup(issuer)
    }

    /// The error of a token that needs a call of the resolver which its request may not cause.
    pub(crate) fn no_lookup(&self) -> VerifyError {
        VerifyError::unavailable(UnavailableReason::TooManyLookups, RETRY_AFTER)
    }

    fn read_claims(&self, token: &[u8]) -> Result<ClaimedToken, MalformedToken> {
        let segments = Segments::parse(token, &mut [])?;
        segments.header()?;
        let decoded = segments.decode(&mut [], &mut [])?;
        let token = decoded.parse()?;
        let now = NumericDate::from(self.inner.clock.now());
        Ok(ClaimedToken {
            issuer: token.claimed_issuer().ok_or(MalformedToken)?.into_owned(),
            subject: string(&token, "sub"),
            is_expired: date(&token, "exp").is_some_and(|exp| exp <= now),
            issued_at: date(&token, "iat"),
        })
    }
}

impl ClaimedToken {
    /// Whether the token, if it verifies, is of the same user as `claims`.
    pub(crate) fn is_of_user(&self, claims: &Claims) -> bool {
        self.issuer == claims.issuer() && self.subject.as_deref() == Some(claims.user_id())
    }

    /// Whether the token claims to be issued later than `other`. One without `iat` is the older.
    pub(crate) fn is_newer_than(&self, other: &Self) -> bool {
        self.issued_at > other.issued_at
    }
}

fn string(token: &Compact<'_>, name: &str) -> Option<String> {
    match token.claimed(name) {
        Some(Value::String(text)) => Some(text.into_owned()),
        _ => None,
    }
}

fn date(token: &Compact<'_>, name: &str) -> Option<NumericDate> {
    match token.claimed(name) {
        Some(Value::Number(number)) => NumericDate::parse(number),
        _ => None,
    }
}
