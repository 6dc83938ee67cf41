//! The token sources of a layer: they find at most one credential in a request.

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderName, Method,
    header::{AUTHORIZATION, COOKIE},
};

use super::{
    CredentialLocation, CredentialOrigin, Kind, TokenSource, bearer, cookie,
    cookie::suffixed_session_cookie,
    credential::{Credential, SourceValue},
    cross_site::{CrossSitePolicy, CrossSiteVerdict},
};
use crate::{config::ConfigError, verify::Verifier};

/// The token sources of a layer in their order, with everything of its instances that they need. Computed once, so that
/// a request copies and hashes nothing.
#[derive(Clone, Debug)]
pub(crate) struct TokenSources {
    sources: Vec<TokenSource>,
    /// In bytes: the longest token that any instance accepts.
    max_length: usize,
    cross_site: CrossSitePolicy,
    /// One for each instance with a publishable key, in the order of the instances.
    suffixed_session_cookies: Vec<String>,
}

/// The result of searching all sources.
pub(crate) enum Extracted<'a> {
    /// A cookie on a request that another site may have caused (403).
    CrossSite,
    /// A credential that cannot be a token (400; RFC 6750, section 3.1, `invalid_request`).
    Malformed,
    /// No credential in any source.
    Missing,
    /// A credential that may be a token.
    Token(Credential<'a>),
}

impl TokenSources {
    /// The default. It cannot fail, because no rule of cookies applies.
    pub(crate) fn authorization_only(verifier: &Verifier) -> Self {
        Self {
            sources: vec![TokenSource::authorization()],
            max_length: verifier.max_token_length(),
            cross_site: CrossSitePolicy::default(),
            suffixed_session_cookies: Vec::new(),
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
        let has_cookie = sources.iter().any(|source| matches!(source.0, Kind::Cookie(_) | Kind::SessionCookie));
        if has_cookie && !verifier.configs().all(|config| config.allows_cookies()) {
            return Err(ConfigError::missing("authorized_parties", "required when a cookie is a token source"));
        }
        let keys = verifier.configs().filter_map(|config| config.publishable_key.as_ref());
        Ok(Self {
            sources,
            max_length: verifier.max_token_length(),
            cross_site: CrossSitePolicy::new(verifier),
            suffixed_session_cookies: keys.map(suffixed_session_cookie).collect(),
        })
    }

    /// Searches the sources in their order. The first one with a credential decides, even if its token is invalid.
    ///
    /// If a later source could replace an invalid token, a client could choose under which of two users it acts, and a
    /// rejected header would silently become a cookie.
    pub(crate) fn extract<'a>(&self, method: &Method, headers: &'a HeaderMap) -> Extracted<'a> {
        for TokenSource(kind) in &self.sources {
            let (value, location) = match kind {
                Kind::Authorization => (bearer::authorization(headers), CredentialLocation::Authorization),
                Kind::Cookie(name) => (cookie::cookie(headers, name), CredentialLocation::Cookie),
                Kind::Custom(find) => {
                    (find(headers).map_or(SourceValue::Absent, SourceValue::Token), CredentialLocation::Other)
                }
                Kind::Header(name) if *name == AUTHORIZATION => {
                    (bearer::header(headers, name), CredentialLocation::Authorization)
                }
                Kind::Header(name) => (bearer::header(headers, name), CredentialLocation::Other),
                Kind::SessionCookie => {
                    (cookie::session_cookie(headers, &self.suffixed_session_cookies), CredentialLocation::Cookie)
                }
            };
            let (text, must_be_b64token) = match value {
                SourceValue::Absent | SourceValue::EmptyCookie => continue,
                SourceValue::Malformed => return Extracted::Malformed,
                SourceValue::Bearer(text) => (Cow::Borrowed(text), true),
                SourceValue::Token(text) => (text, false),
            };
            if text.len() > self.max_length {
                return Extracted::Malformed;
            }
            let is_cross_site_checked = location == CredentialLocation::Cookie
                && match self.cross_site.verdict(method, headers) {
                    CrossSiteVerdict::Allowed => true,
                    CrossSiteVerdict::Denied => return Extracted::CrossSite,
                    CrossSiteVerdict::DependsOnInstance => false,
                };
            let origin = CredentialOrigin { location, is_cross_site_checked };
            return Extracted::Token(Credential { text, origin, must_be_b64token });
        }
        Extracted::Missing
    }

    /// The header fields that may hold a token, besides `Authorization`, to mark them as sensitive. The fields that a
    /// closure reads are not known.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &HeaderName> {
        self.sources.iter().filter_map(|TokenSource(kind)| match kind {
            Kind::Authorization | Kind::Custom(_) => None,
            Kind::Cookie(_) | Kind::SessionCookie => Some(&COOKIE),
            Kind::Header(name) => Some(name),
        })
    }
}
