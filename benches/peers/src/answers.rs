//! What the crates answer to requests and to keys that a service should be ready for. The README shows it.

use axum::{Router, body::Body};
use http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer};
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer,
    testing::{TestIssuer, TokenBuilder},
};

use crate::peers;

/// A document with a row for each request, and a cell for each crate.
pub async fn to_json() -> String {
    let mut rows = requests().await;
    rows.push(row("a token of a new key", rotated).await);
    rows.push(row("the same, while keys cannot be fetched", outage).await);
    rows.push(row("keys with one of an unknown type", odd).await);
    rows.push(row("fetches by 20 tokens with made-up `kid`s", made_up).await);
    rows.push(row("in front of `ConcurrencyLimit`", limited).await);
    let document = json!({ "crates": CRATES.map(|(name, _)| name), "rows": rows });
    serde_json::to_string_pretty(&document).expect("JSON") + "\n"
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Crate {
    AxumJwks,
    AxumJwtAuth,
    ClerkRs,
    JwtAuthorizer,
    ResourceServer,
    TowerClerk,
    TowerJwt,
}

enum App {
    Axum07(axum07::Router),
    Axum08(Router),
}

/// The statuses of responses that depend on no other request.
async fn requests() -> Vec<Value> {
    let issuer = issuer().await;
    let good = || issuer.token(crate::USER);
    let bearer = |token: TokenBuilder| request(&token.sign());
    let later = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs() + 3600;
    let requests = || {
        let mut two = bearer(good());
        two.headers_mut().append(header::AUTHORIZATION, "Bearer a.b.c".parse().expect("a value"));
        [
            ("a token with `nbf` in an hour", bearer(good().claim("nbf", later))),
            ("a token with `crit`", bearer(good().header("crit", ["b64"]))),
            ("a session with sign-in tasks left", bearer(good().claim("sts", "pending"))),
            ("an OAuth token of another app", bearer(issuer.oauth_token(crate::USER))),
            ("two `Authorization` fields", two),
        ]
    };
    let names = requests().map(|(name, _)| name);
    let mut cells = vec![Vec::new(); names.len() + 1];
    for (_, peer) in CRATES {
        let app = warm(peer, &issuer).await;
        for ((_, request), cells) in requests().into_iter().zip(&mut cells) {
            cells.push(app.response(request).await.0.as_u16().to_string());
        }
        let (status, has_challenge) = app.response(request("a.b.c")).await;
        let challenge = if has_challenge { "and a challenge" } else { "" };
        cells[names.len()].push(format!("{} {challenge}", status.as_u16()).trim_end().to_owned());
    }
    let names = names.into_iter().chain(["no valid token"]);
    names.zip(cells).map(|(name, cells)| json!({ "answers": cells, "name": name })).collect()
}

async fn row(name: &str, story: impl AsyncFn(Crate) -> String) -> Value {
    let mut cells = Vec::new();
    for (_, peer) in CRATES {
        cells.push(story(peer).await);
    }
    json!({ "answers": cells, "name": name })
}

async fn rotated(peer: Crate) -> String {
    if peer == Crate::TowerJwt {
        return NO_KEYS.to_owned();
    }
    let issuer = issuer().await;
    let app = warm(peer, &issuer).await;
    issuer.rotate();
    app.status(&issuer.token(crate::USER).sign()).await
}

async fn outage(peer: Crate) -> String {
    if peer == Crate::TowerJwt {
        return NO_KEYS.to_owned();
    }
    let issuer = issuer().await;
    let app = warm(peer, &issuer).await;
    issuer.rotate();
    issuer.serve_status(503);
    app.status(&issuer.token(crate::USER).sign()).await
}

async fn odd(peer: Crate) -> String {
    if peer == Crate::TowerJwt {
        return NO_KEYS.to_owned();
    }
    let issuer = issuer().await;
    let mut keys: Value = serde_json::from_str(&issuer.jwks()).expect("keys");
    let odd = json!({ "kty": "AKP", "kid": "ins_next", "alg": "ML-DSA-44", "use": "sig", "pub": "AAAA" });
    keys["keys"].as_array_mut().expect("an array").push(odd);
    issuer.serve_document(keys.to_string());
    let Some(app) = App::start(peer, &issuer).await else { return "no start".to_owned() };
    app.settled_status(peer, &issuer).await.as_u16().to_string()
}

async fn made_up(peer: Crate) -> String {
    if peer == Crate::TowerJwt {
        return NO_KEYS.to_owned();
    }
    let issuer = issuer().await;
    let app = warm(peer, &issuer).await;
    let fetched = issuer.fetches();
    for number in 0..20 {
        let token = issuer.token(crate::USER).header("kid", format!("ins_{number}")).sign();
        assert_ne!(app.status(&token).await, "200");
    }
    (issuer.fetches() - fetched).to_string()
}

/// Only a layer can stand in front of one.
async fn limited(peer: Crate) -> String {
    let issuer = issuer().await;
    let jwks = jwks(&issuer);
    let limit = ConcurrencyLimitLayer::new(8);
    let inside = ServiceBuilder::new();
    let app = match peer {
        Crate::AxumJwks | Crate::AxumJwtAuth => return "no layer".to_owned(),
        Crate::ClerkRs => {
            App::Axum08(peers::clerk_rs_route().layer(inside.layer(peers::clerk_rs_layer(&issuer)).layer(limit)))
        }
        Crate::JwtAuthorizer => App::Axum07(
            peers::jwt_authorizer_route().layer(inside.layer(peers::jwt_authorizer_layer(&jwks).await).layer(limit)),
        ),
        Crate::ResourceServer => {
            let layer = peers::resource_server_layer(issuer.url(), &jwks).await;
            App::Axum08(peers::resource_server_route().layer(inside.layer(layer).layer(limit)))
        }
        Crate::TowerClerk => App::Axum08(our_route().layer(inside.layer(our_layer(&issuer)).layer(limit))),
        Crate::TowerJwt => {
            App::Axum08(peers::tower_jwt_route().layer(inside.layer(peers::tower_jwt_layer(&issuer)).layer(limit)))
        }
    };
    match tokio::spawn(async move { app.settled_status(peer, &issuer).await }).await {
        Ok(status) => status.as_u16().to_string(),
        Err(_) => "panic".to_owned(),
    }
}

impl App {
    /// `None` if it cannot read the keys.
    async fn start(peer: Crate, issuer: &TestIssuer) -> Option<Self> {
        let jwks = jwks(issuer);
        Some(Self::Axum08(match peer {
            Crate::AxumJwks => peers::axum_jwks_app(&jwks).await?,
            Crate::AxumJwtAuth => peers::axum_jwt_auth_app(&jwks).await?,
            Crate::ClerkRs => peers::clerk_rs_route().layer(peers::clerk_rs_layer(issuer)),
            Crate::JwtAuthorizer => {
                let layer = peers::jwt_authorizer_layer(&jwks).await;
                return Some(Self::Axum07(peers::jwt_authorizer_route().layer(layer)));
            }
            Crate::ResourceServer => {
                peers::resource_server_route().layer(peers::resource_server_layer(issuer.url(), &jwks).await)
            }
            Crate::TowerClerk => our_route().layer(our_layer(issuer)),
            Crate::TowerJwt => peers::tower_jwt_route().layer(peers::tower_jwt_layer(issuer)),
        }))
    }

    /// The status, and whether there is a challenge.
    async fn response(&self, request: Request<()>) -> (StatusCode, bool) {
        let (status, headers) = match self {
            Self::Axum07(app) => {
                let response = app.clone().oneshot(request.map(|()| axum07::body::Body::empty())).await;
                let (parts, _) = response.expect("a response").into_parts();
                (parts.status, parts.headers)
            }
            Self::Axum08(app) => {
                let response = app.clone().oneshot(request.map(|()| Body::empty())).await;
                let (parts, _) = response.expect("a response").into_parts();
                (parts.status, parts.headers)
            }
        };
        (status, headers.contains_key(header::WWW_AUTHENTICATE))
    }

    async fn status(&self, token: &str) -> String {
        self.response(request(token)).await.0.as_u16().to_string()
    }

    /// The status of a good token. One of the crates fetches its keys in the background and rejects tokens until then.
    async fn settled_status(&self, peer: Crate, issuer: &TestIssuer) -> StatusCode {
        let tries = if peer == Crate::ResourceServer { 100 } else { 1 };
        let mut status = StatusCode::UNAUTHORIZED;
        for _ in 0..tries {
            status = self.response(request(&issuer.token(crate::USER).sign())).await.0;
            if status == StatusCode::OK {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        status
    }
}

/// An application with keys.
async fn warm(peer: Crate, issuer: &TestIssuer) -> App {
    let app = App::start(peer, issuer).await.expect("keys");
    assert_eq!(app.settled_status(peer, issuer).await, StatusCode::OK);
    app
}

fn our_route() -> Router {
    let me = |user: ClerkAuth| std::future::ready(user.user_id().to_owned());
    Router::new().route("/me", axum::routing::get(me))
}

fn our_layer(issuer: &TestIssuer) -> ClerkAuthLayer {
    ClerkAuthLayer::new(issuer.url()).expect("a layer")
}

async fn issuer() -> TestIssuer {
    TestIssuer::start().await.expect("a loopback socket")
}

fn jwks(issuer: &TestIssuer) -> String {
    format!("{}/.well-known/jwks.json", issuer.url())
}

fn request(token: &str) -> Request<()> {
    Request::get("/me").header(header::AUTHORIZATION, format!("Bearer {token}")).body(()).expect("a request")
}

/// In the order of the README's columns.
const CRATES: [(&str, Crate); 7] = [
    ("tower-clerk", Crate::TowerClerk),
    ("clerk-rs", Crate::ClerkRs),
    ("jwt-authorizer", Crate::JwtAuthorizer),
    ("tower-oauth2-resource-server", Crate::ResourceServer),
    ("tower-jwt", Crate::TowerJwt),
    ("axum-jwks", Crate::AxumJwks),
    ("axum-jwt-auth", Crate::AxumJwtAuth),
];

/// A crate that is given its key.
const NO_KEYS: &str = "one key";
