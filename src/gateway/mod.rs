//! Configuration from the policy of an API gateway.
//!
//! A service behind a Zuplo gateway leaves the verification of tokens to an inbound policy of the gateway.
//! [`GatewayPolicy`] reads that policy from the gateway's `policies.json` and makes a [`ClerkAuthLayer`] of it, so the
//! service can verify the tokens itself. The program in `examples/gateway` takes the place of the whole gateway: it
//! reads the routes too. See [leaving a hosted gateway](crate::guide::leaving_a_hosted_gateway).
//!
//! `handler.export` and `handler.module` decide what a policy is; `policyType` is only a label. Two are supported, both
//! of the module `$import(@zuplo/runtime)`.
//!
//! | option of `ClerkJwtInboundPolicy` | default | layer |
//! |---|---|---|
//! | `frontendApiUrl` | required | [`ClerkConfig::from_frontend_api_url`] |
//! | `allowUnauthenticatedRequests` | `false` | [`ClerkAuthLayer::allow_unauthenticated_requests`] |
//! | `oAuthResourceMetadataEnabled` | `false` | [`ClerkAuthLayer::oauth_resource_metadata`] |
//!
//! | option of `OpenIdJwtInboundPolicy` | default | layer |
//! |---|---|---|
//! | `issuer`, `jwkUrl` | required | [`ClerkConfig::from_issuer_and_jwks_url`] |
//! | `audience`, a string or a list | not checked | [`ClerkConfig::audience`] and [`ClerkConfig::allow_template_tokens`] |
//! | `authHeader` | `Authorization` | `Authorization`: `Bearer <token>`; any other header ([`TokenSource::header`]): also the token alone |
//! | `allowUnauthenticatedRequests` | `false` | [`ClerkAuthLayer::allow_unauthenticated_requests`] |
//! | `oAuthResourceMetadataEnabled` | `false` | [`ClerkAuthLayer::oauth_resource_metadata`] |
//! | `subPropertyName` | `sub` | no other claim is accepted |
//! | `headers`, `secret` | | an error |
//!
//! Session tokens of Clerk have no `aud` by default. A policy with `audience` therefore usually means tokens of a JWT
//! template, and accepts them beside session tokens to which an `aud` was added. A token without `aud` is rejected.
//!
//! A string option may be `$env(NAME)`, which stands for the environment variable `NAME`, or have it in its text, as in
//! `https://$env(HOST)`. Elsewhere it is an error.
//!
//! # Differences from the gateway
//!
//! - Without `audience`, tokens of JWT templates are rejected. The gateway accepts them.
//! - A variable `$env(NAME)` that is not set, or blank, is an error. The gateway puts in an empty text.
//! - Unknown fields are errors: a newer option that this crate ignored could make the layer more lenient. The gateway
//!   ignores them.
//! - `secret`, `headers` and another `subPropertyName` than `sub` are errors. The gateway has them.
//!
//! # Example
//!
//! ```
//! # #[cfg(all(feature = "reqwest", feature = "testing"))]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_clerk::{ClerkAuthLayer, gateway::GatewayPolicy, testing::TestIssuer};
//!
//! let document = r#"{
//!     "name": "clerk",
//!     "policyType": "clerk-jwt-auth-inbound",
//!     "handler": {
//!         "export": "ClerkJwtInboundPolicy",
//!         "module": "$import(@zuplo/runtime)",
//!         "options": { "frontendApiUrl": "$env(CLERK_FRONTEND_API_URL)" }
//!     }
//! }"#;
//! let issuer = TestIssuer::start().await?;
//! // In production: `GatewayPolicy::from_json(document)?`, which reads the environment.
//! let policy = GatewayPolicy::from_json_with(document, None, |_| Some(issuer.url().to_owned()))?;
//!
//! let service = ServiceBuilder::new()
//!     .layer(ClerkAuthLayer::from_gateway_policy(&policy)?)
//!     .service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
//!
//! let bearer = format!("Bearer {}", issuer.token("user_ada").sign());
//! let request = Request::builder().header("authorization", bearer).body(String::new())?;
//! assert_eq!(service.clone().oneshot(request).await?.status(), 200);
//! assert_eq!(service.oneshot(Request::new(String::new())).await?.status(), 401);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod document;
mod layer;
mod node;
mod options;
mod policy;
mod variables;

pub use self::{options::GatewayPolicyOptions, policy::GatewayPolicy};
#[cfg(doc)]
use crate::{ClerkAuthLayer, ClerkConfig, TokenSource};
