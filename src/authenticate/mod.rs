//! Middleware that authenticates requests by their Clerk session token, and by tokens of other kinds where they are
//! accepted.
//!
//! [`ClerkAuthLayer`] wraps any Tower service that takes an `http::Request` and returns an `http::Response`. It does
//! one of three things with a request:
//!
//! - **Forward.** The token is valid. The layer inserts a [`ClerkAuth`] into the request's extensions, or the type of
//!   [another kind](#kinds-of-tokens), and calls the inner service at once. This path waits for no fetch and boxes no
//!   future.
//! - **Reject.** The token is missing or invalid. The layer responds as described in [`rejection`](crate::rejection).
//!   It neither calls the inner service nor reads the request's body.
//! - **Wait.** The token's key is not in the key set yet. The request waits for the fetch described in
//!   [`jwks`](crate::jwks) and is then forwarded or rejected. It reserves no capacity of the inner service meanwhile.
//!   All requests that wait at one verifier may take 64 MiB with their targets and headers; beyond that they get 503.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use std::convert::Infallible;
//!
//! use http::{Request, Response, StatusCode, header::AUTHORIZATION};
//! use http_body_util::BodyExt;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_clerk::{ClerkAuth, ClerkAuthLayer, testing::TestIssuer};
//!
//! async fn me(request: Request<String>) -> Result<Response<String>, Infallible> {
//!     let user = request.extensions().get::<ClerkAuth>();
//!     Ok(Response::new(user.map(|user| user.user_id().to_owned()).unwrap_or_default()))
//! }
//!
//! // In production: `ClerkAuthLayer::new("https://sensible-skunk-49.clerk.accounts.dev")?`.
//! let issuer = TestIssuer::new();
//! let clerk = ClerkAuthLayer::from_config(issuer.config())?;
//! let service = ServiceBuilder::new().layer(clerk).service_fn(me);
//!
//! let bearer = format!("Bearer {}", issuer.token("user_ada").sign());
//! let request = Request::builder().header(AUTHORIZATION, bearer).body(String::new())?;
//! let response = service.clone().oneshot(request).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//! assert_eq!(response.into_body().collect().await?.to_bytes(), "user_ada");
//!
//! let response = service.oneshot(Request::new(String::new())).await?;
//! assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
//! assert_eq!(response.headers()["www-authenticate"], "Bearer");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In axum, handlers take [`ClerkAuth`] as an extractor; see [`ClerkAuthLayer`].
//!
//! # Which requests pass without a user
//!
//! | request | by default | [`allow_missing_token`] | [`allow_unauthenticated_requests`] |
//! |---|---|---|---|
//! | valid token | passes | passes | passes |
//! | no credential; `Authorization` that is empty or `Bearer` alone | 401 | passes | passes |
//! | invalid or expired token, also `Bearer null` and `Bearer undefined` | 401 | 401 | passes |
//! | cookie on a cross-site request | 403 | 403 | passes |
//! | keys unavailable | 503 | 503 | passes |
//! | malformed credential | 400 | 400 | 400 |
//!
//! For a page that visitors may read, the front end decides which mode it wants. With [`allow_missing_token`] a user
//! whose token has expired gets a 401, so that the front end can get a new token and try again: choose it where the
//! front end sends no credential, or an empty one, while nobody is signed in. Some front ends send the text of a
//! missing value instead, `Bearer null` or `Bearer undefined`. These are tokens, and invalid ones. Where you cannot
//! change such a front end, choose [`allow_unauthenticated_requests`]: its visitors pass, and a user with an expired
//! token passes as a visitor too.
//!
//! A request that passes has exactly one of the two in its extensions: [`ClerkAuth`] if the token is valid (or the type
//! of its kind), otherwise the [`Rejection`](crate::Rejection) that the default mode would have responded with. A
//! malformed credential never passes, since an inner service could parse it in another way than this layer did.
//!
//! # Kinds of tokens
//!
//! A backend on Clerk receives more than sessions: OAuth access tokens of agents, M2M tokens of its own services, API
//! keys of its customers. A layer accepts sessions alone until [`ClerkConfig::accept`](crate::ClerkConfig::accept)
//! names other [kinds](crate::TokenKind); [`ClerkAuthLayer::accept`] narrows them for some routes. A token of a kind
//! that is not accepted is an invalid token: 401, before any key or the Backend API is asked for it.
//!
//! The signature of a handler says which kinds it takes:
//!
//! | extractor and extension | requests with |
//! |---|---|
//! | [`ClerkAuth`] | a session: a signed-in user, and nobody else |
//! | [`OAuthToken`] | an OAuth token: a client that acts for a user |
//! | [`M2mToken`] | an M2M token: a machine |
//! | [`ApiKey`] | an API key, of a user, an organization or a machine |
//! | [`Principal`] | any of these that the layer accepts |
//!
//! A request with another kind gets 401 `invalid_token`, and `Option` of one of these types is `None` for it. What was
//! written for users therefore never sees a machine: [`ClerkAuth`], [`CustomClaims`],
//! [`Authorized`](crate::authorize::Authorized) and
//! [`RequireAuthenticatedLayer`](crate::authorize::RequireAuthenticatedLayer) take sessions alone. An inner service
//! that takes none of these types is called for every kind that its layer accepts.
//!
//! Where a route takes one kind, let its layer accept that kind alone: a handler that rejects another kind has already
//! paid for the call that an opaque token costs. Cookies carry sessions and nothing else: a JWT of another kind in a
//! cookie is invalid, and an opaque token there counts as absent.
//!
//! # Layer order
//!
//! From the outside in: sensitive headers, trace, CORS, catch-panic, timeout, **`ClerkAuthLayer`**, concurrency and
//! rate limits, routes. CORS stands outside for two reasons: rejections must carry its headers, or a browser hides them
//! from the page, and preflight requests have no token. `ClerkAuthLayer` does not exempt OPTIONS.
//!
//! # The inner service must be `Clone`
//!
//! A request that waits for keys needs a service to call afterwards, but a response future cannot borrow the inner
//! service beyond [`Service::call`](tower_service::Service::call). The future therefore owns a clone, which it polls
//! until it is ready once the keys are there. The services of axum, tonic and `ServiceBuilder::service_fn` are `Clone`.
//! Box others with `tower::util::BoxCloneService` or `BoxCloneSyncService`, not with `BoxService`; put
//! `tower::buffer::Buffer` around one that cannot be cloned. See [`CloneService`].
//!
//! # tonic
//!
//! `Server::builder().layer(clerk)` authenticates all services of a tonic server. [`ClerkAuthService::new`] wraps a
//! single one. With the feature `tonic`, the wrapped service keeps the name of the inner one
//! (`tonic::server::NamedService`), so tonic's router accepts it as it is and routes the same paths to it.
//!
//! # Metadata for OAuth clients
//!
//! OAuth clients, such as clients of MCP servers, read a document about the service before they have a token (RFC
//! 9728). [`ClerkAuthLayer::protected_resource`] names it in challenges, and serves it where the layer sees its path,
//! which begins with `/.well-known/oauth-protected-resource`:
//!
//! | where the layer stands | who serves the document |
//! |---|---|
//! | around the whole server, or `Router::layer` of the outermost router | the layer |
//! | `Router::route_layer`, inside `Router::nest`, around one service of several | [`ResourceMetadataService`], as a route outside |
//! | behind a proxy that sends only a part of all paths here | either, if the proxy sends on the path of the document too |
//!
//! A proxy that changes `Host` or cuts off a part of the path does no harm if the resource is named by its public URL
//! ([`ProtectedResource::new`](crate::ProtectedResource::new)). If it changes the path of the document as well, mount
//! the service at the path that arrives.
//!
//! # How long a decision holds
//!
//! The layer checks a token once, when the head of the request arrives. A handler that streams its response ends it at
//! [`expires_at`](crate::claims::Claims::expires_at). Session tokens are not revocable: after a user signs out, the
//! token remains valid until its `exp`, 60 seconds after it was issued by default. Neither are the JWTs of OAuth
//! clients and machines, and an OAuth token lives for a day by default:
//! [`max_oauth_token_lifetime`](crate::ClerkConfig::max_oauth_token_lifetime) limits it.
//!
//! [`allow_missing_token`]: ClerkAuthLayer::allow_missing_token
//! [`allow_unauthenticated_requests`]: ClerkAuthLayer::allow_unauthenticated_requests

mod api_key;
mod authenticator;
mod body;
mod extension;
mod future;
mod holder;
mod layer;
mod m2m_token;
mod machine;
mod oauth_token;
mod principal;
mod resource_metadata;
mod service;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod taken;

#[cfg(feature = "axum")]
pub(crate) use self::taken::RequestPrincipal;
#[cfg(any(feature = "axum", feature = "tonic"))]
pub(crate) use self::taken::{Taken, take};
pub use self::{
    api_key::{ApiKey, Subject},
    body::ResponseBody,
    extension::{ClerkAuth, CustomClaims},
    future::ResponseFuture,
    layer::ClerkAuthLayer,
    m2m_token::M2mToken,
    oauth_token::OAuthToken,
    principal::Principal,
    resource_metadata::ResourceMetadataService,
    service::{ClerkAuthService, CloneService},
};
pub(crate) use self::{future::polled_after_completion, holder::Holder};
