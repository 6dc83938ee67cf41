//! Where the token of a request comes from, and which cookies count.

mod bearer;
mod candidates;
mod cookie;
mod credential;
mod cross_site;
mod pending;
mod sources;

use std::{borrow::Cow, fmt, sync::Arc};

use http::{HeaderMap, HeaderName};

pub(crate) use self::{
    credential::{CredentialLocation, CredentialOrigin},
    cross_site::{CookieError, check_cookie},
    pending::PendingCredential,
    sources::{Authentication, CredentialContext, TokenSources},
};

/// A place in a request where a token may be, for
/// [`ClerkAuthLayer::token_sources`](crate::ClerkAuthLayer::token_sources).
///
/// The sources of a layer are tried in their order, and the first one with a credential decides. There is none for the
/// query or the body: tokens in URLs end up in logs and histories (RFC 6750, section 5.3).
///
/// | source | reads | no credential | malformed (400) |
/// |---|---|---|---|
/// | [`authorization`](Self::authorization) | `Authorization: Bearer <token>` | absent, empty, `Bearer` alone, another scheme | repeated, a list, several words after `Bearer`, not visible ASCII, or too long |
/// | [`header`](Self::header) | another header, with or without `Bearer` | absent, empty, `Bearer` alone | the same, and another scheme |
/// | [`session_cookie`](Self::session_cookie) | Clerk's session cookies | see [Cookies](#cookies) | never |
/// | [`cookie`](Self::cookie) | another cookie | the same | never |
/// | [`custom_cookie`](Self::custom_cookie) | anything in the cookies | the same | never |
/// | [`custom`](Self::custom) | anything in the headers | `None` | too long |
///
/// The limit is [`max_token_length`](crate::ClerkConfig::max_token_length). One word after `Bearer` is always a token,
/// also `null` and `undefined`, which front ends send by mistake: it is rejected as invalid (401).
///
/// # Cookies
///
/// A cookie carries a session token or nothing, whatever the layer [accepts](crate::ClerkConfig::accept) in a header: a
/// JWT of an OAuth client or a machine in a cookie is invalid, and an opaque token there counts as absent.
///
/// Browsers send cookies along with requests that other sites cause, so a cookie alone does not prove that the user
/// meant the request (cross-site request forgery). A layer that reads cookies therefore needs
/// [`authorized_parties`](crate::ClerkConfig::authorized_parties).
///
/// A request with a cookie and an `Origin` must come from one of these parties. An unsafe one must show it in any case:
/// by its `Origin`, or by `Sec-Fetch-Site: same-origin` if its `Origin` is absent or `null`. Otherwise it is rejected
/// with 403. Every method except GET, HEAD and OPTIONS is unsafe, and so is a WebSocket handshake.
///
/// A cookie can stand in a request several times: for the host and for its domain, of another environment, of another
/// framework. Its user cannot repair that, so it never makes a request malformed. These rules hold for every cookie
/// source:
///
/// - A value that is not a JWT, is too long, or whose issuer belongs to no trusted instance counts as absent.
/// - Up to four different values are tried, and the first valid token counts.
/// - Valid tokens of two users are rejected (401): one of them may be planted, and nobody can tell which.
/// - If none is valid, the first one decides how the request is rejected. But while keys are missing for one that could
///   be the user's, or another user's, the request waits, and is rejected with 503 if they cannot be fetched.
///
/// With a [resolver](crate::verify::InstanceResolver) any issuer may belong to an instance. One request waits for one
/// call of it: a further cookie that would need another call gets 503, until the first one is cached.
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
    CustomCookie(Arc<CustomSource>),
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

    /// Clerk's session cookie: `__session_<suffix>` or `__session`.
    ///
    /// The suffix is derived from the publishable key, so that several Clerk applications can share a domain. Without a
    /// [`publishable_key`](crate::ClerkConfig::publishable_key) in the configuration only `__session` is read.
    ///
    /// With a key both are read, as front ends of different versions and several applications leave them side by side.
    /// Which one is tried first follows Clerk's SDKs: usually the suffixed one, and the plain one if it is newer or if
    /// `__client_uat_<suffix>` is absent. An empty suffixed cookie beside `__client_uat_<suffix>=0` means that the user
    /// has signed out: the plain cookie of the same application then counts as absent. Any other empty cookie is
    /// ignored.
    ///
    /// Clerk leaves out `azp` in a token that it makes on a top-level navigation, for example after a redirect from the
    /// sign-in page of another origin. With [`authorized_parties`](crate::ClerkConfig::authorized_parties) alone, such
    /// a user gets 401 until the front end has a new token. Where the cookie authenticates pages and not only calls of
    /// an API, set [`allow_missing_azp`](crate::ClerkConfig::allow_missing_azp) too: a cookie without `azp` then counts
    /// on GET and HEAD.
    ///
    /// See [Cookies](#cookies) for the rules, and the type for an example.
    #[must_use]
    pub fn session_cookie() -> Self {
        Self(Kind::SessionCookie)
    }

    /// The cookie with this name, which must be a token of RFC 6265, section 4.1.1. See [Cookies](#cookies) for the
    /// rules.
    ///
    /// Its value is percent-decoded, as Clerk's SDKs do. An empty one counts as absent.
    #[must_use]
    pub fn cookie(name: impl Into<String>) -> Self {
        Self(Kind::Cookie(name.into()))
    }

    /// Another header, with the token alone or after `Bearer`.
    ///
    /// Use it behind a proxy that moves the credential of the client to another header. The layer marks the header as
    /// sensitive, so that `Debug` hides it. `Cookie` is no such header:
    /// [`token_sources`](crate::ClerkAuthLayer::token_sources) returns an error for it.
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
    /// **It leaves the rules of [Cookies](#cookies).** A token from here is never treated as a cookie, so a cookie that
    /// the closure reads would authenticate requests that other sites cause: use [`custom_cookie`](Self::custom_cookie)
    /// for one. The layer does not know which header the closure reads, and does not mark it as sensitive.
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

    /// A token that a closure finds in the cookies, such as in one whose name differs per tenant. `None` means that
    /// there is no credential.
    ///
    /// As [`custom`](Self::custom), but under the rules of [Cookies](#cookies), and the layer marks `Cookie` as
    /// sensitive. Write the closure directly in the call here too.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # use std::convert::Infallible;
    /// # use tower::{ServiceBuilder, ServiceExt};
    /// use std::borrow::Cow;
    ///
    /// use http::{Request, Response, header::COOKIE};
    /// use tower_clerk::{ClerkAuthLayer, TokenSource, testing::TestIssuer};
    ///
    /// // The whole of the last pair, whatever its name.
    /// let last = TokenSource::custom_cookie(|headers| {
    ///     let pairs = headers.get(COOKIE)?.to_str().ok()?;
    ///     pairs.rsplit('=').next().map(Cow::Borrowed)
    /// });
    ///
    /// let issuer = TestIssuer::new();
    /// let config = issuer.config().authorized_parties(["https://app.example.com"])?;
    /// let clerk = ClerkAuthLayer::from_config(config)?.token_sources([last])?;
    /// let service = ServiceBuilder::new()
    ///     .layer(clerk)
    ///     .service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
    ///
    /// let token = issuer.token("user_ada").authorized_party("https://app.example.com").sign();
    /// for (origin, status) in [("https://app.example.com", 200), ("https://evil.example.com", 403)] {
    ///     let request = Request::post("/invoices")
    ///         .header("cookie", format!("session_of_acme={token}"))
    ///         .header("origin", origin)
    ///         .body(String::new())?;
    ///     assert_eq!(service.clone().oneshot(request).await?.status(), status);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn custom_cookie<F>(find: F) -> Self
    where
        F: for<'a> Fn(&'a HeaderMap) -> Option<Cow<'a, str>> + Send + Sync + 'static,
    {
        Self(Kind::CustomCookie(Arc::new(find)))
    }

    /// Whether browsers send its credential along by themselves.
    fn is_cookie(&self) -> bool {
        match self.0 {
            Kind::Authorization | Kind::Custom(_) | Kind::Header(_) => false,
            Kind::Cookie(_) | Kind::CustomCookie(_) | Kind::SessionCookie => true,
        }
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Authorization => formatter.write_str("Authorization"),
            Kind::Cookie(name) => formatter.debug_tuple("Cookie").field(name).finish(),
            Kind::Custom(_) => formatter.write_str("Custom"),
            Kind::CustomCookie(_) => formatter.write_str("CustomCookie"),
            Kind::Header(name) => formatter.debug_tuple("Header").field(name).finish(),
            Kind::SessionCookie => formatter.write_str("SessionCookie"),
        }
    }
}
