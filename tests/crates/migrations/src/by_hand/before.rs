use std::{collections::HashMap, error::Error, sync::Arc};

use axum::{
    Extension, Router,
    extract::{Path, Request, State},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::get,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde::Deserialize;
use tokio::sync::RwLock;

#[derive(Clone, Deserialize)]
pub struct Claims {
    pub sub: String,
    pub org_role: Option<String>,
}

#[derive(Clone)]
pub struct AuthState {
    issuer: String,
    keys: Arc<RwLock<HashMap<String, DecodingKey>>>,
}

impl AuthState {
    pub async fn new(issuer: &str) -> Result<Self, Box<dyn Error>> {
        let keys = fetch_keys(issuer).await?;
        Ok(Self { issuer: issuer.to_owned(), keys: Arc::new(RwLock::new(keys)) })
    }

    async fn verify(&self, token: &str) -> Result<Claims, Box<dyn Error>> {
        let kid = decode_header(token)?.kid.ok_or("no kid")?;
        if !self.keys.read().await.contains_key(&kid) {
            // The key may be a new one.
            let keys = fetch_keys(&self.issuer).await?;
            *self.keys.write().await = keys;
        }
        let keys = self.keys.read().await;
        let key = keys.get(&kid).ok_or("unknown kid")?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[&self.issuer]);
        validation.validate_aud = false;
        Ok(decode::<Claims>(token, key, &validation)?.claims)
    }
}

async fn fetch_keys(issuer: &str) -> Result<HashMap<String, DecodingKey>, Box<dyn Error>> {
    let response = reqwest::get(format!("{issuer}/.well-known/jwks.json")).await?;
    let set: JwkSet = response.error_for_status()?.json().await?;
    let mut keys = HashMap::new();
    for jwk in &set.keys {
        if let Some(kid) = &jwk.common.key_id {
            keys.insert(kid.clone(), DecodingKey::from_jwk(jwk)?);
        }
    }
    Ok(keys)
}

async fn require_auth(State(auth): State<AuthState>, mut request: Request, next: Next) -> Result<Response, StatusCode> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer ")).ok_or(StatusCode::UNAUTHORIZED)?;
    let claims = auth.verify(token).await.map_err(|_| StatusCode::UNAUTHORIZED)?;
    request.extensions_mut().insert(claims);
    Ok(next.run(request).await)
}

async fn me(Extension(claims): Extension<Claims>) -> String {
    claims.sub
}

async fn admin(Extension(claims): Extension<Claims>) -> Result<String, StatusCode> {
    match claims.org_role.as_deref() {
        Some("org:admin") => Ok(claims.sub),
        _ => Err(StatusCode::FORBIDDEN),
    }
}

async fn invoice(Path(id): Path<String>) -> String {
    id
}

pub fn app(auth: AuthState) -> Router {
    Router::new()
        .route("/me", get(me))
        .route("/admin", get(admin))
        .route("/invoices/{id}", get(invoice))
        .route_layer(from_fn_with_state(auth, require_auth))
}
