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

/// The token sources of a layer in their order, with what they need to know of its instances.
#[derive(Clone, Debug)]
pub(crate) struct TokenSources {
    sources: Vec<TokenSource>,
    max_length: usize,
    cross_site: CrossSitePolicy,
    suffixed_session_cookies: Vec<String>,
}

/// What the sources found.
pub(crate) enum Extracted<'a> {
    /// A cookie that another site may have made the browser send.
    CrossSite,
    /// A credential that cannot be a token (RFC 6750, section 3.1).
    Malformed,
    Missing,
    Token(Credential<'a>),
}

impl TokenSources {
    pub(crate) fn authorization_only(verifier: &Verifier) -> Self {
        Self {
            sources: vec![TokenSource::authorization()],
            max_length: verifier.max_token_length(),
            cross_site: CrossSitePolicy::default(),
            suffixed_session_cookies: Vec::new(),
        }
    }

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

    /// Asks the sources in order; the first that has something decides, whether its token is valid or not.
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

    /// The header fields that may hold a token, besides `Authorization`.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &HeaderName> {
        self.sources.iter().filter_map(|TokenSource(kind)| match kind {
            Kind::Authorization | Kind::Custom(_) => None,
            Kind::Cookie(_) | Kind::SessionCookie => Some(&COOKIE),
            Kind::Header(name) => Some(name),
        })
    }
}
