//! Tokens that are no sessions: how they are recognized and checked, and which handlers get them.

mod audiences;
mod cookies;
mod extractors;
mod instances;
mod layers;
mod m2m;
mod oauth;
mod opaque;
mod recognition;
mod requirements;
mod scopes;
mod sockets;

use std::{convert::Infallible, fmt::Debug, future::Future, pin::Pin};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Service, service_fn, util::ServiceFn};
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, ClerkConfig, ConfigError, M2mToken, OAuthToken, Principal, Rejection, TokenKind,
    Verifier, testing::TokenBuilder, verify::VerifyErrorKind,
};
use tower_layer::Layer;

use crate::support::{Answer, get, issuer, send, verifier};

/// The kinds whose tokens are JWTs.
const JWTS: [TokenKind; 3] = [TokenKind::Session, TokenKind::OAuth, TokenKind::M2m];

type Change = fn(ClerkConfig) -> Result<ClerkConfig, ConfigError>;

fn oauth() -> TokenBuilder {
    issuer().oauth_token("user_ada")
}

fn m2m() -> TokenBuilder {
    issuer().m2m_token("mch_orders")
}

/// A token of each kind in [`JWTS`].
fn tokens() -> [TokenBuilder; 3] {
    [issuer().token("user_ada"), oauth(), m2m()]
}

/// A configuration that accepts these kinds.
fn accepting(kinds: impl IntoIterator<Item = TokenKind>) -> ClerkConfig {
    issuer().config().accept(kinds).expect("kinds")
}

/// A verifier that accepts every kind of JWT, with a changed configuration.
fn verifier_with(change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>) -> Verifier {
    verifier(change(accepting(JWTS)).expect("a configuration"))
}

/// A layer around such a verifier.
fn layer_with(change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>) -> ClerkAuthLayer {
    verifier_with(change).into()
}

fn verify_by(verifier: &Verifier, token: &str) -> Result<Principal, VerifyErrorKind> {
    verifier.try_verify_principal(token).map_err(|error| error.kind())
}

fn verify(token: &TokenBuilder) -> Result<Principal, VerifyErrorKind> {
    verify_by(&verifier_with(Ok), &token.sign())
}

/// The reason for which a verifier with a changed configuration rejects the token.
fn rejected(token: &TokenBuilder, change: Change) -> Option<VerifyErrorKind> {
    verify_by(&verifier_with(change), &token.sign()).err()
}

#[track_caller]
fn assert_rejected(token: &TokenBuilder, kind: VerifyErrorKind) {
    assert_eq!(verify(token).err(), Some(kind), "{}", token.payload());
}

#[track_caller]
fn accepted_oauth(token: &TokenBuilder) -> OAuthToken {
    match verify(token) {
        Ok(Principal::OAuth(token)) => token,
        other => panic!("{other:?} for {}", token.payload()),
    }
}

#[track_caller]
fn accepted_m2m(token: &TokenBuilder) -> M2mToken {
    match verify(token) {
        Ok(Principal::M2m(token)) => token,
        other => panic!("{other:?} for {}", token.payload()),
    }
}

/// Tells which types are in the extensions of a request, and whose they are.
async fn tell<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    let extensions = request.extensions();
    let user = extensions.get::<ClerkAuth>().map(|user| format!("ClerkAuth {}", user.user_id()));
    let oauth = extensions.get::<OAuthToken>().map(|token| format!("OAuthToken {}", token.user_id()));
    let m2m = extensions.get::<M2mToken>().map(|token| format!("M2mToken {}", token.machine_id()));
    let any = extensions.get::<Principal>().map(|any| format!("Principal {} {}", any.kind(), any.subject()));
    let rejection = extensions.get::<Rejection>().map(|rejection| format!("Rejection {}", rejection.code()));
    let told: Vec<String> = [user, oauth, m2m, any, rejection].into_iter().flatten().collect();
    Ok(Response::new(Full::from(told.join(", "))))
}

/// Sends a request with these headers through the layer to [`tell`].
async fn told<L, S, B>(layer: &L, headers: &[(&str, &str)]) -> Answer
where
    L: Layer<ServiceFn<fn(Request<Body>) -> Telling>, Service = S>,
    S: Service<Request<Body>, Response = Response<B>> + Clone,
    S::Error: Debug,
    B: http_body::Body<Data = Bytes>,
    B::Error: Debug,
{
    let teller: fn(Request<Body>) -> Telling = |request| Box::pin(tell(request));
    send(&layer.layer(service_fn(teller)), get(headers)).await
}

type Telling = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;
