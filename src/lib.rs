//! Tower middleware that verifies [Clerk](https://clerk.com) session tokens, and if you wish OAuth tokens, M2M tokens
//! and API keys. Only requests with a valid token reach your service, and the handler knows who calls.
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower_clerk::{ClerkAuth, ClerkAuthLayer};
//!
//! async fn me(user: ClerkAuth) -> String {
//!     format!("hello {}", user.user_id())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use axum::{body::Body, http::Request};
//! # use tower::ServiceExt;
//! # use tower_clerk::testing::TestIssuer;
//! # let issuer = TestIssuer::start().await?;
//! # let url = issuer.url();
//! // `url` is the Frontend API URL: "https://your-app.clerk.accounts.dev".
//! let clerk = ClerkAuthLayer::new(url)?;
//! // The layer guards the routes before it. Routes that are added or merged after it are open.
//! let app = Router::new().route("/me", get(me)).route_layer(clerk);
//!
//! let request = Request::get("/me").body(Body::empty())?;
//! assert_eq!(app.clone().oneshot(request).await?.status(), 401);
//!
//! let bearer = format!("Bearer {}", issuer.token("user_ada").sign());
//! let request = Request::get("/me").header("authorization", bearer).body(Body::empty())?;
//! assert_eq!(app.oneshot(request).await?.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! Keys are fetched from the instance's Frontend API when the first token needs them, refreshed in the background, and
//! kept in use while Clerk is unreachable. Here `issuer` is a `testing::TestIssuer`: it serves keys on a loopback
//! socket and makes real tokens.
//!
//! # Any Tower service
//!
//! [`ClerkAuthLayer`] wraps any Tower service over HTTP that is `Clone`, with any request body and any response body
//! whose data is `Bytes`. Services of axum and tonic are `Clone`; box others with `tower::util::BoxCloneService`, or
//! put `tower::buffer::Buffer` around one that cannot be cloned. The verified user, a [`ClerkAuth`], is in the
//! extensions of the request.
//!
//! ```
//! use http::{Request, Response};
//! use std::convert::Infallible;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_clerk::{ClerkAuth, ClerkAuthLayer, testing::TestIssuer};
//!
//! async fn hello(request: Request<String>) -> Result<Response<String>, Infallible> {
//!     let user = request.extensions().get::<ClerkAuth>().map_or("nobody", |user| user.user_id());
//!     Ok(Response::new(format!("hello {user}")))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let issuer = TestIssuer::new();
//! let clerk = ClerkAuthLayer::from_config(issuer.config())?;
//! let service = ServiceBuilder::new().layer(clerk).service_fn(hello);
//!
//! let response = service.clone().oneshot(Request::new(String::new())).await?;
//! assert_eq!(response.status(), 401);
//!
//! let bearer = format!("Bearer {}", issuer.token("user_ada").sign());
//! let response = service.oneshot(Request::builder().header("authorization", bearer).body(String::new())?).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! # gRPC
//!
//! gRPC calls get rejections as gRPC statuses. With the feature `tonic`, `ClerkAuth::from_tonic(&request)?` is the user
//! in a handler. `Server::builder().layer(clerk)` guards all services of a server; [`ClerkAuthService`] guards one
//! service and keeps its name.
//!
//! ```
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::Full;
//! use tonic::service::Routes;
//! use tower::ServiceExt;
//! use tower_clerk::{ClerkAuthLayer, ClerkAuthService, testing::TestIssuer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let issuer = TestIssuer::new();
//! let clerk = ClerkAuthLayer::from_config(issuer.config())?;
//! let (_, health) = tonic_health::server::health_reporter();
//! // `Server::builder().add_service(…)` takes the same service.
//! let routes = Routes::new(ClerkAuthService::new(health, clerk));
//!
//! let call = || Request::post("/grpc.health.v1.Health/Check").header("content-type", "application/grpc");
//! let message = || Full::new(Bytes::from_static(&[0; 5]));
//! let response = routes.clone().oneshot(call().body(message())?).await?;
//! assert_eq!(response.headers()["grpc-status"], "16"); // UNAUTHENTICATED
//!
//! let bearer = format!("Bearer {}", issuer.token("user_ada").sign());
//! let response = routes.oneshot(call().header("authorization", bearer).body(message())?).await?;
//! assert!(!response.headers().contains_key("grpc-status")); // it is in the trailers
//! # Ok(())
//! # }
//! ```
//!
//! # Agents, services and API keys
//!
//! Sessions alone are accepted until [`ClerkConfig::accept`] names other kinds of tokens. The handler's signature says
//! which kind it takes, so one that takes [`ClerkAuth`] never sees a machine. See [machines](guide::machines) and
//! [MCP servers](guide::mcp_servers).
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower_clerk::{ClerkAuthLayer, OAuthToken, TokenKind, testing::TestIssuer};
//!
//! async fn agent(token: OAuthToken) -> String {
//!     format!("{} for {}", token.client_id().unwrap_or("a client"), token.user_id())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use axum::{body::Body, http::Request};
//! # use tower::ServiceExt;
//! let issuer = TestIssuer::new();
//! let config = issuer.config().accept([TokenKind::OAuth])?;
//! let app = Router::new().route("/agent", get(agent)).route_layer(ClerkAuthLayer::from_config(config)?);
//!
//! for (token, status) in [(issuer.oauth_token("user_ada"), 200), (issuer.token("user_ada"), 401)] {
//!     let bearer = format!("Bearer {}", token.sign());
//!     let request = Request::get("/agent").header("authorization", bearer).body(Body::empty())?;
//!     assert_eq!(app.clone().oneshot(request).await?.status(), status);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Without HTTP
//!
//! A [`Verifier`] takes a token and returns its [`Claims`].
//!
//! ```
//! use tower_clerk::{Verifier, testing::TestIssuer, verify::VerifyErrorKind};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let issuer = TestIssuer::new();
//! let verifier = Verifier::new(issuer.config())?;
//!
//! let claims = verifier.verify(&issuer.token("user_ada").sign()).await?;
//! assert_eq!(claims.user_id(), "user_ada");
//!
//! let error = verifier.verify(&issuer.token("user_ada").expired().sign()).await.unwrap_err();
//! assert_eq!(error.kind(), VerifyErrorKind::Expired);
//! # Ok(())
//! # }
//! ```
//!
//! # Configuration
//!
//! [`ClerkConfig`] names the instance and says which tokens are accepted. The methods of [`ClerkAuthLayer`] say what
//! happens to requests. [`ClerkAuthLayer::from_env`] reads the configuration from the environment.
//!
//! ```
//! use std::time::Duration;
//! use tower_clerk::{ClerkAuthLayer, ClerkConfig};
//!
//! let config = ClerkConfig::from_publishable_key("pk_test_Y2xlcmsuY2xlcmsuZGV2JA")?
//!     .authorized_parties(["https://app.example.com"])?
//!     .clock_skew(Duration::from_secs(10))?;
//! # #[cfg(feature = "reqwest")]
//! let clerk = ClerkAuthLayer::from_config(config)?.allow_missing_token();
//! # Ok::<(), tower_clerk::ConfigError>(())
//! ```
//!
//! # Modules
//!
//! - [`authenticate`]: the middleware, its modes, and the order of layers.
//! - [`authorize`]: requirements on roles, permissions, features, plans, reverification and scopes.
//! - [`backend_api`]: how Clerk is asked about opaque tokens, and how rarely.
//! - [`claims`]: the claims of a verified token.
//! - [`config`]: every setting and its default.
//! - [`gateway`]: a layer from the policy file of an API gateway.
//! - [`jwks`]: how keys are fetched, refreshed and kept.
//! - [`rejection`]: the responses to rejected requests.
//! - `testing`: tokens and users for your own tests.
//! - [`verify`]: every check in order, several instances, and the token cache.
//!
//! # Guide
//!
//! - [Deployment](guide::deployment): compiler, TLS, runtime, proxy, certificates, start.
//! - [Replicas](guide::replicas): many processes: load on Clerk, memory, probes, rotation of keys, deploys.
//! - [Outages](guide::outages): what a service does while Clerk is down.
//! - [Events](guide::events): what is logged.
//! - [Dashboards](guide::dashboards): every metric, with a dashboard and alerts.
//! - [Defaults](guide::defaults): every number, with its reason.
//! - [Recipes](guide::recipes): complete examples.
//! - [Browsers](guide::browsers): other origins, visitors, cookies, WebSockets, server-sent events.
//! - [In front of anything](guide::in_front_of_anything): in the process, nginx, Caddy, Envoy: which, at what cost.
//! - [Leaving a hosted gateway](guide::leaving_a_hosted_gateway): its two files, run by a program of your own.
//! - [Machines](guide::machines): OAuth tokens, M2M tokens and API keys beside sessions, and what each costs.
//! - [MCP servers](guide::mcp_servers): tools for AI agents, guarded by OAuth.
//! - [Migration](guide::migration): from `jsonwebtoken`, clerk-rs and jwt-authorizer.
//! - [OpenAPI](guide::openapi): a security scheme with aide or utoipa.
//! - [Settings](guide::settings): what people set by mistake, and the error that it gets.
//! - [Threats](guide::threats): who is trusted with what.
//!
//! # Features
//!
//! A feature adds something and never changes a response.
//!
//! | Name | Description | Default? |
//! |---|---|---|
//! | `axum` | [`ClerkAuth`], the other kinds of tokens and [`CustomClaims`] as extractors of axum 0.8 | Yes |
//! | `reqwest` | Fetching keys, and asking about opaque tokens, over HTTPS | Yes |
//! | `tracing` | Events and spans | Yes |
//! | `tonic` | [`ClerkAuth`] and the other kinds from a request of tonic 0.14, [`Rejection`] as its `Status`, named services | No |
//! | `metrics` | [Counters, gauges and histograms](guide::dashboards) for the recorder of the facade `metrics` 0.24 | No |
//! | `full` | All of the above | No |
//! | `testing` | The test kit: an issuer, tokens of every kind, a Backend API, users, a clock | No |
//! | `fips` | The FIPS build of aws-lc | No |

// For the library alone: a test or an example fails where it stands.
#![warn(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod macros;

pub mod authenticate;
pub mod authorize;
#[cfg(feature = "axum")]
mod axum;
pub mod backend_api;
pub mod claims;
mod clock;
pub mod config;
mod credentials;
pub mod gateway;
pub mod guide;
mod instance;
mod instruments;
mod json;
pub mod jwks;
mod jwt;
mod places;
mod rate_limit;
pub mod rejection;
mod resource;
mod single_flight;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
mod token_kind;
#[cfg(feature = "tonic")]
mod tonic;
pub mod verify;

pub use self::{
    authenticate::{
        ApiKey, ClerkAuth, ClerkAuthLayer, ClerkAuthService, CustomClaims, M2mToken, OAuthToken, Principal, Subject,
    },
    authorize::{RequireLayer, Requirement},
    claims::Claims,
    config::{ClerkConfig, ConfigError},
    credentials::TokenSource,
    rejection::Rejection,
    resource::ProtectedResource,
    token_kind::TokenKind,
    verify::Verifier,
};
