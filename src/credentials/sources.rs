//! The token sources of a layer: they find the token of a request, and verify it.

use http::{
    HeaderMap, HeaderName, Method,
    header::{AUTHORIZATION, COOKIE},
};

use super::{
    CredentialLocation, CredentialOrigin, Kind, TokenSource, bearer,
    candidates::{Choice, CookieCandidates},
    cookie::{SuffixedCookies, cookies, session_cookies},
    credential::{SourceValue, is_b64token},
    cross_site::{CrossSitePolicy, CrossSiteVerdict},
    pending::{PendingCredential, Waited},
};
use crate::{
    claims::VerifiedToken,
    config::ConfigError,
    instruments::Timer,
    token_kind::TokenKinds,
    verify::{Verification, Verifier, VerifyError},
};

/// The token sources of a layer in their order, with everything of its instances that they need. Computed once, so that
/// a request copies and hashes nothing.
#[derive(Clone, Debug)]
pub(crate) struct TokenSources {
    sources: Vec<TokenSource>,
    /// In bytes: the longest token that any instance accepts.
    max_length: usize,
    cross_site: CrossSitePolicy,
    /// One for each instance with a publishable key, in the order of the instances.
    suffixed_cookies: Vec<SuffixedCookies>,
}

/// The head of a request, and what its credential is verified with.
pub(crate) struct CredentialContext<'a> {
    pub(crate) verifier: &'a Verifier,
    /// The kinds of which a token may be, outside of a cookie.
    pub(crate) kinds: TokenKinds,
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) timer: &'a mut Timer,
}

/// What the credential of a request is worth.
pub(crate) enum Authentication {
    /// Cookies with valid tokens of two users (401).
    AmbiguousCookies,
    /// A cookie on a request that another site may have caused (403).
    CrossSite,
    /// A token that does not verify, or cannot be verified now.
    Invalid(VerifyError, CredentialOrigin),
    /// A credential that cannot be a token (400; RFC 6750, section 3.1, `invalid_request`).
    Malformed(CredentialLocation),
    /// No credential in any source.
    Missing,
    Verified(VerifiedToken, CredentialOrigin),
    /// The request has to wait, and is then to be verified again.
    Wait(PendingCredential),
}

impl TokenSources {
    /// The default. It cannot fail, because no rule of cookies applies.
    pub(crate) fn authorization_only(verifier: &Verifier) -> Self {
        Self {
            sources: vec![TokenSource::authorization()],
            max_length: verifier.max_token_length(),
            cross_site: CrossSitePolicy::default(),
            suffixed_cookies: Vec::new(),
        }
    }

    /// Checks the sources against the instances of the verifier. Instances that a resolver returns later are checked
    /// for each request instead, by [`check_cookie`](super::check_cookie).
    pub(crate) fn new(sources: Vec<TokenSource>, verifier: &Verifier) -> Result<Self, ConfigError> {
        if sources.is_empty() {
            return Err(ConfigError::invalid("token_sources", "must not be empty"));
        }
        // Names of cookies and of headers are tokens alike (RFC 6265, section 4.1.1).
        let is_token = |name: &str| HeaderName::from_bytes(name.as_bytes()).is_ok();
        if sources.iter().any(|source| matches!(&source.0, Kind::Cookie(name) if !is_token(name))) {
            return Err(ConfigError::invalid(
                "token_sources",
                "must contain only cookie names that are tokens (RFC 6265)",
            ));
        }
        if sources.iter().any(|source| matches!(&source.0, Kind::Header(name) if *name == COOKIE)) {
            return Err(ConfigError::invalid(
                "token_sources",
                "must read cookies as cookies: with session_cookie, cookie or custom_cookie",
            ));
        }
        if sources.iter().any(TokenSource::is_cookie) && !verifier.configs().all(|config| config.allows_cookies()) {
            return Err(ConfigError::missing("authorized_parties", "required when a cookie is a token source"));
        }
        Ok(Self {
            sources,
            max_length: verifier.max_token_length(),
            cross_site: CrossSitePolicy::new(verifier),
            suffixed_cookies: verifier.configs().filter_map(SuffixedCookies::of).collect(),
        })
    }

    /// Searches the sources in their order and verifies the token of the first one with a credential, as far as
    /// possible without waiting. After a wait, `pending` says where it stopped.
    ///
    /// The first source with a credential decides, even if its token is invalid. If a later source could replace an
    /// invalid token, a client could choose under which of two users it acts, and a rejected header would silently
    /// become a cookie.
    ///
    /// A token in a cookie is a session token or invalid: a browser must not act with the token of a machine.
    pub(crate) fn verify(
        &self,
        mut context: CredentialContext<'_>,
        pending: Option<&mut PendingCredential>,
    ) -> Authentication {
        let CredentialContext { verifier, kinds, headers, .. } = context;
        let mut waited = pending.and_then(PendingCredential::take_waited);
        let first = waited.as_ref().map_or(0, |waited| waited.source);
        for (index, TokenSource(kind)) in self.sources.iter().enumerate().skip(first) {
            let (value, location) = match kind {
                Kind::Authorization => (bearer::authorization(headers), CredentialLocation::Authorization),
                Kind::Custom(find) => {
                    (find(headers).map_or(SourceValue::Absent, SourceValue::Token), CredentialLocation::Other)
                }
                Kind::Header(name) if *name == AUTHORIZATION => {
                    (bearer::header(headers, name), CredentialLocation::Authorization)
                }
                Kind::Header(name) => (bearer::header(headers, name), CredentialLocation::Header),
                Kind::Cookie(_) | Kind::CustomCookie(_) | Kind::SessionCookie => {
                    let candidates = self.candidates(kind, headers, verifier);
                    match self.verify_cookie(candidates, &mut context, index, &mut waited) {
                        Some(authentication) => return authentication,
                        None => continue,
                    }
                }
            };
            let (text, must_be_b64token) = match &value {
                SourceValue::Absent => continue,
                SourceValue::Malformed => return Authentication::Malformed(location),
                SourceValue::Bearer(text) => (*text, true),
                SourceValue::Token(text) => (text.as_bytes(), false),
            };
            if text.len() > self.max_length {
                return Authentication::Malformed(location);
            }
            let verification = match &mut waited {
                None => verifier.start(text, kinds, context.timer),
                Some(waited) => waited.resume(verifier, text, kinds),
            };
            let origin = CredentialOrigin { location, is_cross_site_checked: false };
            return match verification {
                Verification::Ready(Ok(claims)) => Authentication::Verified(claims, origin),
                // For rejected tokens only: a valid token is a `b64token`, so that a cache hit need not be scanned.
                _ if must_be_b64token && !is_b64token(text) => Authentication::Malformed(location),
                Verification::Ready(Err(error)) => Authentication::Invalid(error, origin),
                Verification::Pending(wait) => {
                    Authentication::Wait(PendingCredential::new(wait, text, index, origin, waited))
                }
            };
        }
        Authentication::Missing
    }

    /// The header fields that may hold a token, besides `Authorization`, to mark them as sensitive. The fields that a
    /// closure reads are not known.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &HeaderName> {
        self.sources.iter().filter_map(|source| match &source.0 {
            Kind::Authorization | Kind::Custom(_) => None,
            Kind::Cookie(_) | Kind::CustomCookie(_) | Kind::SessionCookie => Some(&COOKIE),
            Kind::Header(name) => Some(name),
        })
    }

    fn candidates<'a>(&self, kind: &Kind, headers: &'a HeaderMap, verifier: &Verifier) -> CookieCandidates<'a> {
        match kind {
            Kind::Cookie(name) => cookies(headers, name, verifier),
            Kind::CustomCookie(find) => {
                find(headers).map(|text| CookieCandidates::one(text, verifier)).unwrap_or_default()
            }
            Kind::SessionCookie => session_cookies(headers, &self.suffixed_cookies, verifier),
            Kind::Authorization | Kind::Custom(_) | Kind::Header(_) => CookieCandidates::default(),
        }
    }

    /// Verifies the token of a cookie source; `None` if it has none.
    ///
    /// The cross-site rule comes first where it does not depend on the instance: another site then cannot make a
    /// browser cause fetches or cost signatures.
    fn verify_cookie(
        &self,
        mut candidates: CookieCandidates<'_>,
        context: &mut CredentialContext<'_>,
        source: usize,
        waited: &mut Option<Waited>,
    ) -> Option<Authentication> {
        let CredentialContext { verifier, kinds, method, headers, timer } = context;
        if candidates.is_empty() {
            return None;
        }
        let verdict = self.cross_site.verdict(method, headers);
        if verdict == CrossSiteVerdict::Denied {
            candidates.examine(verifier);
            return (!candidates.is_empty()).then_some(Authentication::CrossSite);
        }
        let is_cross_site_checked = verdict == CrossSiteVerdict::Allowed;
        let origin = CredentialOrigin { location: CredentialLocation::Cookie, is_cross_site_checked };
        Some(match candidates.verify(verifier, kinds.and(TokenKinds::SESSIONS), waited, timer) {
            Choice::Ambiguous => Authentication::AmbiguousCookies,
            Choice::Invalid(error) => Authentication::Invalid(error, origin),
            Choice::Missing => return None,
            Choice::Verified(claims) => Authentication::Verified(VerifiedToken::Session(claims), origin),
            Choice::Wait(text, wait) => {
                Authentication::Wait(PendingCredential::new(wait, text.as_bytes(), source, origin, waited.take()))
            }
        })
    }
}
