//! What a verified user may do, and the responses to users without the permission.

mod bodies;
mod clerk_table;
mod decoding;
mod extractors;
mod factors;
mod has;
mod layer;
mod organizations;
mod other_schemes;
mod readiness;
mod reverification;
mod stored_rejection;
mod templates;
mod traits;

use std::fmt::Debug;

use bytes::Bytes;
use http::Request;
use serde_json::Value;
use tower::{Service, ServiceExt};
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, ClerkConfig, Requirement, Verifier,
    testing::{ManualClock, TokenBuilder},
    verify::Instance,
};

use crate::support::{issuer, token, verifier, with_body};

/// The user of a version 1 session token with these claims added.
fn v1(claims: &Value) -> ClerkAuth {
    user(&with(token().v1(), claims))
}

/// The user of a version 2 session token with these claims added.
fn v2(claims: &Value) -> ClerkAuth {
    user(&with(token(), claims))
}

fn with(token: TokenBuilder, claims: &Value) -> TokenBuilder {
    let claims = claims.as_object().expect("an object");
    claims.iter().fold(token, |token, (name, value)| token.claim(name, value))
}

#[track_caller]
fn user(token: &TokenBuilder) -> ClerkAuth {
    user_by(issuer().config(), token)
}

#[track_caller]
fn user_by(config: ClerkConfig, token: &TokenBuilder) -> ClerkAuth {
    let claims = verifier(config).try_verify(&token.sign());
    claims.unwrap_or_else(|error| panic!("{error}: {}", token.payload())).into()
}

/// A layer whose first token has to wait for its key.
fn layer_that_waits() -> ClerkAuthLayer {
    let source = || async {
        tokio::task::yield_now().await;
        Ok(Bytes::from(issuer().jwks()))
    };
    let verifier =
        Verifier::builder(Instance::new(issuer().config()).key_source(source)).clock(ManualClock::new()).build();
    verifier.expect("a verifier").into()
}

/// The requirement of the tests' routes. [`reader`] meets it, and [`member`] does not.
fn may_read() -> Requirement {
    Requirement::permission("org:invoices:read")
}

fn reader() -> TokenBuilder {
    token().organization("org_acme", "admin").permission("invoices", "read")
}

fn member() -> TokenBuilder {
    token().organization("org_acme", "member")
}

/// A request that has passed a layer, with this token's user.
fn of<B>(token: &TokenBuilder, body: B) -> Request<B> {
    let mut request = with_body("POST", "/", &[], body);
    request.extensions_mut().insert(user(token));
    request
}

/// Waits until a service is ready, then calls it.
async fn call<S, R>(service: &mut S, request: R) -> S::Future
where
    S: Service<R>,
    S::Error: Debug,
{
    service.ready().await.expect("a ready service").call(request)
}
