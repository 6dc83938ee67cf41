use std::{future, sync::Arc, time::Duration};

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use axum::{
    Extension, Router,
    body::Body,
    extract::FromRef,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use clerk_rs::validators::{axum::ClerkLayer, jwks::MemoryCacheJwksProvider};
use jwt_authorizer::layer::AuthorizationLayer;
use serde::Deserialize;
use tower_clerk::{ClerkAuth, ClerkAuthLayer, Verifier, testing::TestIssuer};
use tower_jwt::JwtLayer;
use tower_oauth2_resource_server::layer::OAuth2ResourceServerLayer;

use crate::{
    USER,
    measure::{Operation, Plain, Subject, Target, target},
};

/// The claims that the generic crates decode: the minimum, which favours them. tower-clerk and clerk-rs decode all
/// claims of Clerk.
#[derive(Clone, Deserialize)]
pub struct User {
    sub: String,
}

/// All crates, with their keys in memory. They get many tokens in turn; for a hit, the same token each time.
pub async fn all(issuer: &TestIssuer, tokens: &[String]) -> Vec<Subject> {
    let peer =
        |name, version, crypto, target| Subject { base: bare(tokens), crypto, is_hit: false, name, target, version };
    let jwks = format!("{}/.well-known/jwks.json", issuer.url());
    vec![
        Subject { is_hit: true, ..ours("tower-clerk, hit", issuer, 10_000, &tokens[..1]).await },
        ours("tower-clerk, first sight", issuer, FEW, tokens).await,
        ours("tower-clerk, cache off", issuer, 0, tokens).await,
        Subject { base: bare07(tokens), ..peer("jwt-authorizer", "0.15.0", RING, jwt_authorizer(&jwks, tokens).await) },
        peer("tower-jwt", "0.2.1", RING, tower_jwt(issuer, tokens)),
        peer("clerk-rs", "0.5.0", RING, clerk_rs(issuer, tokens).await),
        peer("axum-jwks", "0.12.0", RING, axum_jwks(&jwks, tokens).await),
        peer("tower-oauth2-resource-server", "0.12.5", AWS_LC, resource_server(issuer.url(), &jwks, tokens).await),
        #[cfg(feature = "mcp")]
        tower_mcp(issuer, &jwks, tokens.len()).await,
        peer("axum-jwt-auth", "0.7.0", RUST_CRYPTO, axum_jwt_auth(&jwks, tokens).await),
    ]
}

/// Only the signature, with the crypto library and the key format that tower-clerk uses.
pub fn raw(issuer: &TestIssuer, token: &str) -> Box<dyn Operation> {
    let der = pem::parse(issuer.public_key_pem()).expect("a PEM");
    let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.contents()).expect("an RSA key");
    let (message, signature) = token.rsplit_once('.').expect("a token");
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("a signature");
    let message = message.to_owned();
    Box::new(Plain(move || key.verify_sig(message.as_bytes(), &signature).expect("a good signature")))
}

fn bare(tokens: &[String]) -> Box<dyn Target> {
    let app = Router::new().route("/me", get(|| future::ready(USER.to_owned())));
    target(app, Body::empty, tokens)
}

fn bare07(tokens: &[String]) -> Box<dyn Target> {
    let app = axum07::Router::new().route("/me", axum07::routing::get(|| future::ready(USER.to_owned())));
    target(app, axum07::body::Body::empty, tokens)
}

async fn ours(name: &'static str, issuer: &TestIssuer, remembered: usize, tokens: &[String]) -> Subject {
    let verifier = Verifier::builder(issuer.config())
        .token_cache_entries(remembered)
        .token_cache_bytes(32 << 20)
        .build()
        .expect("a verifier");
    verifier.warm_up().await.expect("keys");
    let app = Router::new()
        .route("/me", get(|user: ClerkAuth| future::ready(user.user_id().to_owned())))
        .layer(ClerkAuthLayer::from(verifier));
    let version = OUR_MANIFEST.lines().find_map(|line| line.strip_prefix("version = ")).unwrap_or_default();
    let version = version.trim_matches('"');
    let target = target(app, Body::empty, tokens);
    Subject { base: bare(tokens), crypto: AWS_LC, is_hit: false, name, target, version }
}

async fn clerk_rs(issuer: &TestIssuer, tokens: &[String]) -> Box<dyn Target> {
    let app = clerk_rs_route().layer(clerk_rs_layer(issuer));
    warm(app.clone(), &tokens[0]).await;
    target(app, Body::empty, tokens)
}

pub fn clerk_rs_route() -> Router {
    use clerk_rs::validators::authorizer::ClerkJwt;
    Router::new().route("/me", get(|Extension(user): Extension<ClerkJwt>| future::ready(user.sub)))
}

pub fn clerk_rs_layer(issuer: &TestIssuer) -> ClerkLayer<MemoryCacheJwksProvider> {
    use clerk_rs::{ClerkConfiguration, clerk::Clerk};
    let clerk = Clerk::new(ClerkConfiguration::new("sk_test_x").with_base_path(format!("{}/v1", issuer.url())));
    ClerkLayer::new(MemoryCacheJwksProvider::new(clerk), None, true)
}

async fn jwt_authorizer(jwks: &str, tokens: &[String]) -> Box<dyn Target> {
    let app = jwt_authorizer_route().layer(jwt_authorizer_layer(jwks).await);
    let request = http::Request::get("/me").header("authorization", format!("Bearer {}", tokens[0]));
    let request = request.body(axum07::body::Body::empty()).expect("a request");
    tower::ServiceExt::oneshot(app.clone(), request).await.expect("a response");
    target(app, axum07::body::Body::empty, tokens)
}

pub fn jwt_authorizer_route() -> axum07::Router {
    use jwt_authorizer::JwtClaims;
    axum07::Router::new().route("/me", axum07::routing::get(|JwtClaims(user): JwtClaims<User>| future::ready(user.sub)))
}

pub async fn jwt_authorizer_layer(jwks: &str) -> AuthorizationLayer<User> {
    use jwt_authorizer::{Authorizer, IntoLayer, JwtAuthorizer};
    let authorizer: Authorizer<User> = JwtAuthorizer::from_jwks_url(jwks).build().await.expect("an authorizer");
    authorizer.into_layer()
}

async fn resource_server(issuer: &str, jwks: &str, tokens: &[String]) -> Box<dyn Target> {
    let app = resource_server_route().layer(resource_server_layer(issuer, jwks).await);
    // It fetches its keys in the background.
    for _ in 0..100 {
        if warm(app.clone(), &tokens[0]).await == StatusCode::OK {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    target(app, Body::empty, tokens)
}

pub fn resource_server_route() -> Router {
    Router::new().route("/me", get(|Extension(user): Extension<User>| future::ready(user.sub)))
}

pub async fn resource_server_layer(issuer: &str, jwks: &str) -> OAuth2ResourceServerLayer<Body, User> {
    use tower_oauth2_resource_server::{server::OAuth2ResourceServer, tenant::TenantConfiguration};
    let tenant = TenantConfiguration::builder(issuer).jwks_url(jwks).build().await.expect("a tenant");
    let server = OAuth2ResourceServer::<User>::builder().add_tenant(tenant).build().await.expect("a server");
    server.into_layer()
}

async fn axum_jwks(jwks: &str, tokens: &[String]) -> Box<dyn Target> {
    target(axum_jwks_app(jwks).await.expect("keys"), Body::empty, tokens)
}

/// `None` if it cannot read the keys.
pub async fn axum_jwks_app(jwks: &str) -> Option<Router> {
    use axum_jwks::{Claims, Jwks};

    #[derive(Clone)]
    struct AppState {
        jwks: Jwks,
    }

    impl FromRef<AppState> for Jwks {
        fn from_ref(state: &AppState) -> Self {
            state.jwks.clone()
        }
    }

    let state = AppState { jwks: Jwks::from_jwks_url(jwks, None, None).await.ok()? };
    Some(Router::new().route("/me", get(|Claims(user): Claims<User>| future::ready(user.sub))).with_state(state))
}

async fn axum_jwt_auth(jwks: &str, tokens: &[String]) -> Box<dyn Target> {
    target(axum_jwt_auth_app(jwks).await.expect("keys"), Body::empty, tokens)
}

/// `None` if it cannot read the keys.
pub async fn axum_jwt_auth_app(jwks: &str) -> Option<Router> {
    use axum_jwt_auth::{Claims, Decoder, RemoteJwksDecoder};
    use jsonwebtoken10::{Algorithm, Validation};

    #[derive(Clone)]
    struct AppState {
        decoder: Decoder<User>,
    }

    impl FromRef<AppState> for Decoder<User> {
        fn from_ref(state: &AppState) -> Self {
            Arc::clone(&state.decoder)
        }
    }

    let decoder = RemoteJwksDecoder::builder()
        .jwks_url(jwks.to_owned())
        .validation(Validation::new(Algorithm::RS256))
        .build()
        .expect("a decoder");
    // Its refresh runs until the cancellation token is cancelled or the program ends.
    decoder.initialize().await.ok()?;
    let me = |user: Claims<User>| future::ready(user.claims.sub);
    Some(Router::new().route("/me", get(me)).with_state(AppState { decoder: Arc::new(decoder) }))
}

fn tower_jwt(issuer: &TestIssuer, tokens: &[String]) -> Box<dyn Target> {
    target(tower_jwt_route().layer(tower_jwt_layer(issuer)), Body::empty, tokens)
}

pub fn tower_jwt_route() -> Router {
    use tower_jwt::RequestClaim;
    Router::new().route("/me", get(|Extension(user): Extension<RequestClaim<User>>| future::ready(user.claim.sub)))
}

pub fn tower_jwt_layer(issuer: &TestIssuer) -> JwtLayer<User> {
    use tower_jwt::{DecodingKey, Validation};
    let key = DecodingKey::from_rsa_pem(issuer.public_key_pem().as_bytes()).expect("a key");
    JwtLayer::<User>::new(Validation::new(jsonwebtoken9::Algorithm::RS256), key)
}

/// The layer that its `into_oauth_router` puts around an MCP server, here around our route. It decodes into its own
/// type, with all claims, and requires an `aud`, which most of the others reject. So its tokens, and those of the router
/// that it is compared with, are longer by 44 bytes.
#[cfg(feature = "mcp")]
async fn tower_mcp(issuer: &TestIssuer, jwks: &str, count: usize) -> Subject {
    use tower_mcp::oauth::{JwksValidator, OAuthLayer, ProtectedResourceMetadata, TokenClaims};
    const RESOURCE: &str = "https://api.test.example";
    let tokens: Vec<_> = (0..count).map(|number| crate::token(issuer, number).claim("aud", RESOURCE).sign()).collect();
    let validator = JwksValidator::builder(jwks).expected_issuer(issuer.url()).expected_audience(RESOURCE);
    let validator = validator.build().await.expect("keys");
    let metadata = ProtectedResourceMetadata::new(RESOURCE).authorization_server(issuer.url());
    let app = Router::new()
        .route("/me", get(|Extension(user): Extension<TokenClaims>| future::ready(user.sub.unwrap_or_default())))
        .layer(OAuthLayer::new(validator, metadata));
    let (base, target) = (bare(&tokens), target(app, Body::empty, &tokens));
    Subject { base, crypto: AWS_LC, is_hit: false, name: "tower-mcp", target, version: "0.25.0" }
}

impl axum_jwks::ParseTokenClaims for User {
    type Rejection = Unauthorized;
}

pub struct Unauthorized;

impl From<axum_jwks::TokenError> for Unauthorized {
    fn from(_: axum_jwks::TokenError) -> Self {
        Self
    }
}

impl IntoResponse for Unauthorized {
    fn into_response(self) -> Response {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

/// One request within the runtime, which fetches missing keys.
async fn warm(app: Router, token: &str) -> StatusCode {
    let request = http::Request::get("/me").header("authorization", format!("Bearer {token}"));
    let request = request.body(Body::empty()).expect("a request");
    tower::ServiceExt::oneshot(app, request).await.expect("a response").status()
}

/// The cache size in tokens: so small that each of the many tokens has been evicted when its turn comes again.
const FEW: usize = 8;
const AWS_LC: &str = "aws-lc";
const OUR_MANIFEST: &str = include_str!("../../../Cargo.toml");
const RING: &str = "ring";
const RUST_CRYPTO: &str = "rust-crypto";
