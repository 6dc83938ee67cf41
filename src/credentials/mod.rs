//! Where the token of a request comes from.

mod bearer;
mod cookie;
mod credential;
mod cross_site;
mod sources;

use std::{borrow::Cow, fmt, sync::Arc};

use http::{HeaderMap, HeaderName};

pub(crate) use self::{
    credential::{CredentialLocation, CredentialOrigin},
    cross_site::{CookieError, check_cookie},
    sources::{Extracted, TokenSources},
};

/// A place in a request where a token may be.
///
/// The query and the body are no such places: tokens in URLs end up in logs and histories.
#[derive(Clone)]
pub struct TokenSource(Kind);

#[derive(Clone)]
enum Kind {
    Authorization,
    Cookie(String),
    Custom(Arc<CustomSource>),
    Header(HeaderName),
    SessionCookie,
}

/// Looks for a token in the headers of a request.
type CustomSource = dyn for<'a> Fn(&'a HeaderMap) -> Option<Cow<'a, str>> + Send + Sync;

impl TokenSource {
    /// `Authorization: Bearer <token>` (RFC 6750, section 2.1), the default.
    #[must_use]
    pub fn authorization() -> Self {
        Self(Kind::Authorization)
    }

    /// Clerk's own session cookie, `__session_<suffix>`, or `__session` if that is absent.
    ///
    /// The suffix is known if the configuration has a publishable key. Cookies need
    /// [`authorized_parties`](crate::ClerkConfig::authorized_parties).
    #[must_use]
    pub fn session_cookie() -> Self {
        Self(Kind::SessionCookie)
    }

    /// The cookie called `name`. Cookies need [`authorized_parties`](crate::ClerkConfig::authorized_parties).
    #[must_use]
    pub fn cookie(name: impl Into<String>) -> Self {
        Self(Kind::Cookie(name.into()))
    }

    /// Another header, holding a token with or without `Bearer` before it.
    #[must_use]
    pub fn header(name: HeaderName) -> Self {
        Self(Kind::Header(name))
    }

    /// Wherever `find` finds it in the headers, such as a WebSocket's subprotocols.
    #[must_use]
    pub fn custom<F>(find: F) -> Self
    where
        F: for<'a> Fn(&'a HeaderMap) -> Option<Cow<'a, str>> + Send + Sync + 'static,
    {
        Self(Kind::Custom(Arc::new(find)))
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Authorization => formatter.write_str("Authorization"),
            Kind::Cookie(name) => formatter.debug_tuple("Cookie").field(name).finish(),
            Kind::Custom(_) => formatter.write_str("Custom"),
            Kind::Header(name) => formatter.debug_tuple("Header").field(name).finish(),
            Kind::SessionCookie => formatter.write_str("SessionCookie"),
        }
    }
}
