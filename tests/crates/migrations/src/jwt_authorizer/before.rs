use axum07::{Router, extract::Path, http::StatusCode, routing::get};
use jwt_authorizer::{Authorizer, IntoLayer, JwtAuthorizer, JwtClaims, Validation, error::InitError};
use serde::Deserialize;

#[derive(Clone, Deserialize)]
pub struct User {
    sub: String,
    org_role: Option<String>,
}

async fn me(JwtClaims(user): JwtClaims<User>) -> String {
    user.sub
}

async fn admin(JwtClaims(user): JwtClaims<User>) -> Result<String, StatusCode> {
    match user.org_role.as_deref() {
        Some("org:admin") => Ok(user.sub),
        _ => Err(StatusCode::FORBIDDEN),
    }
}

async fn invoice(Path(id): Path<String>) -> String {
    id
}

pub async fn app(issuer: &str) -> Result<Router, InitError> {
    let jwks_url = format!("{issuer}/.well-known/jwks.json");
    let authorizer: Authorizer<User> =
        JwtAuthorizer::from_jwks_url(&jwks_url).validation(Validation::new().iss(&[issuer])).build().await?;
    Ok(Router::new()
        .route("/me", get(me))
        .route("/admin", get(admin))
        .route("/invoices/:id", get(invoice))
        .layer(authorizer.into_layer()))
}
