use axum::{Extension, Router, extract::Path, http::StatusCode, routing::get};
use clerk_rs::{
    ClerkConfiguration,
    clerk::Clerk,
    validators::{authorizer::ClerkJwt, axum::ClerkLayer, jwks::MemoryCacheJwksProvider},
};

async fn me(Extension(jwt): Extension<ClerkJwt>) -> String {
    jwt.sub
}

async fn admin(Extension(jwt): Extension<ClerkJwt>) -> Result<String, StatusCode> {
    match &jwt.org {
        Some(organization) if organization.has_role("org:admin") => Ok(jwt.sub),
        _ => Err(StatusCode::FORBIDDEN),
    }
}

async fn invoice(Path(id): Path<String>) -> String {
    id
}

/// With `ClerkConfiguration::new(secret_key)`.
pub fn app(configuration: ClerkConfiguration) -> Router {
    let keys = MemoryCacheJwksProvider::new(Clerk::new(configuration));
    let guarded = ["/me", "/admin", "/invoices/{id}"].map(String::from).to_vec();
    Router::new()
        .route("/me", get(me))
        .route("/admin", get(admin))
        .route("/invoices/{id}", get(invoice))
        .layer(ClerkLayer::new(keys, Some(guarded), true))
}
