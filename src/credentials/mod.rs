//! Where the token of a request comes from, and which cookies count.

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

/// A place in a request where a token may be, for
/// [`ClerkAuthLayer::token_sources`](crate::ClerkAuthLayer::token_sources).
///
/// The sources of a layer are tried in their order, and the first one with a credential decides. There is none for the
/// query or the body: tokens in URLs end up in logs and histories (RFC 6750, section 5.3).
///
/// | source | reads | rejected as malformed (400) |
/// |---|---|---|
/// | [`authorization`](Self::authorization) | `Authorization: Bearer <token>` | repeated, empty, a list, or not a `b64token` |
/// | [`header`](Self::header) | another header, with or without `Bearer` | the same |
/// | [`session_cookie`](Self::session_cookie) | Clerk's session cookie | two cookies with different values |
/// | [`cookie`](Self::cookie) | another cookie | the same |
/// | [`custom`](Self::custom) | anything in the headers | nothing |
///
/// A token longer than [`max_token_length`](crate::ClerkConfig::max_token_length) is malformed in every place.
///
/// # Cookies
///
/// Browsers send cookies along with requests that other sites cause, so a cookie alone does not prove that the user
/// meant the request (cross-site request forgery). A layer that reads cookies therefore needs
/// [`authorized_parties`](crate::ClerkConfig::authorized_parties).
///
/// An unsafe request with a cookie must show that one of these parties sent it: by its `Origin`, or by
/// `Sec-Fetch-Site: same-origin` if it has no `Origin`. Otherwise it is rejected with 403. Every method except GET,
/// HEAD and OPTIONS is unsafe, and so is every upgrade, such as a WebSocket handshake.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "testing")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use std::convert::Infallible;
///
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_clerk::{ClerkAuthLayer, TokenSource, testing::TestIssuer};
///
/// let issuer = TestIssuer::new();
/// let config = issuer.config().authorized_parties(["https://app.example.com"])?;
/// let clerk = ClerkAuthLayer::from_config(config)?
///     .token_sources([TokenSource::authorization(), TokenSource::session_cookie()])?;
/// let service = ServiceBuilder::new()
///     .layer(clerk)
///     .service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
///
/// let token = issuer.token("user_ada").authorized_party("https://app.example.com").sign();
/// for (origin, status) in [("https://app.example.com", 200), ("https://evil.example.com", 403)] {
///     let request = Request::post("/invoices")
///         .header("cookie", format!("__session={token}"))
///         .header("origin", origin)
///         .body(String::new())?;
///     assert_eq!(service.clone().oneshot(request).await?.status(), status);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

/// A closure that finds a token in the headers of a request.
type CustomSource = dyn for<'a> Fn(&'a HeaderMap) -> Option<Cow<'a, str>> + Send + Sync;

impl TokenSource {
    /// `Authorization: Bearer <token>` (RFC 6750, section 2.1), the default.
    ///
    /// The scheme is case-insensitive (RFC 9110, section 11.1). A credential of another scheme, such as `Basic`, counts
    /// as no credential.
    #[must_use]
    pub fn authorization() -> Self {
        Self(Kind::Authorization)
    }

    /// Clerk's session cookie: `__session_<suffix>`, or `__session` if that one is absent.
    ///
    /// The suffix is derived from the publishable key, so that several Clerk applications can share a domain. Without a
    /// [`publishable_key`](crate::ClerkConfig::publishable_key) in the configuration only `__session` is read. An empty
    /// cookie means that the user has signed out, and counts as no credential. See [Cookies](#cookies) for the rules,
    /// and the type for an example.
    #[must_use]
    pub fn session_cookie() -> Self {
        Self(Kind::SessionCookie)
    }

    /// The cookie with this name, which must be a token of RFC 6265, section 4.1.1. See [Cookies](#cookies) for the
    /// rules.
    ///
    /// Its value is percent-decoded, as Clerk's SDKs do.
    #[must_use]
    pub fn cookie(name: impl Into<String>) -> Self {
        Self(Kind::Cookie(name.into()))
    }

    /// Another header, with the token alone or after `Bearer`.
    ///
    /// Use it behind a proxy that moves the credential of the client to another header. The layer marks the header as
    /// sensitive, so that `Debug` hides it.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # use std::convert::Infallible;
    /// # use tower::{ServiceBuilder, ServiceExt};
    /// use http::{HeaderName, Request, Response};
    /// use tower_clerk::{ClerkAuthLayer, TokenSource, testing::TestIssuer};
    ///
    /// let issuer = TestIssuer::new();
    /// let forwarded = TokenSource::header(HeaderName::from_static("x-forwarded-authorization"));
    /// let clerk = ClerkAuthLayer::from_config(issuer.config())?.token_sources([forwarded])?;
    /// let service = ServiceBuilder::new()
    ///     .layer(clerk)
    ///     .service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
    ///
    /// let bearer = format!("Bearer {}", issuer.token("user_ada").sign());
    /// for (name, status) in [("x-forwarded-authorization", 200), ("authorization", 401)] {
    ///     let request = Request::builder().header(name, &bearer).body(String::new())?;
    ///     assert_eq!(service.clone().oneshot(request).await?.status(), status);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn header(name: HeaderName) -> Self {
        Self(Kind::Header(name))
    }

    /// A token that a closure finds in the headers, such as in the subprotocols of a WebSocket. `None` means that there
    /// is no credential.
    ///
    /// Write the closure directly in the call. Only there does the compiler infer its type, `for<'a> Fn(&'a HeaderMap)
    /// -> Option<Cow<'a, str>>`: a closure in a variable is inferred for one lifetime and does not compile.
    ///
    /// A token from here is never treated as a cookie, so do not read one here: the rules against cross-site requests
    /// would not apply. The layer does not know which header the closure reads, and does not mark it as sensitive.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # use std::convert::Infallible;
    /// # use tower::{ServiceBuilder, ServiceExt};
    /// use std::borrow::Cow;
    ///
    /// use http::{Request, Response, header::SEC_WEBSOCKET_PROTOCOL};
    /// use tower_clerk::{ClerkAuthLayer, TokenSource, testing::TestIssuer};
    ///
    /// // A browser offers it with `new WebSocket(url, ["chat", "bearer." + token])`.
    /// let subprotocol = TokenSource::custom(|headers| {
    ///     let offered = headers.get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    ///     offered.split(',').find_map(|protocol| protocol.trim().strip_prefix("bearer.")).map(Cow::Borrowed)
    /// });
    ///
    /// let issuer = TestIssuer::new();
    /// let clerk = ClerkAuthLayer::from_config(issuer.config())?.token_sources([subprotocol])?;
    /// let service = ServiceBuilder::new()
    ///     .layer(clerk)
    ///     .service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
    ///
    /// let offer = format!("chat, bearer.{}", issuer.token("user_ada").sign());
    /// for (offer, status) in [(offer.as_str(), 200), ("chat", 401)] {
    ///     let request = Request::builder().header(SEC_WEBSOCKET_PROTOCOL, offer).body(String::new())?;
    ///     assert_eq!(service.clone().oneshot(request).await?.status(), status);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
