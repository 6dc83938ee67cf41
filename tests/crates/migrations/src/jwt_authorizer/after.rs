use axum07::{Extension, Router, extract::Path, routing::get};
use tower_clerk::{ClerkAuth, ClerkAuthLayer, ClerkConfig, ConfigError, RequireLayer, Requirement};

// With axum 0.8 `user: ClerkAuth` is enough.
async fn me(Extension(user): Extension<ClerkAuth>) -> String {
    user.user_id().to_owned()
}

async fn invoice(Path(id): Path<String>) -> String {
    id
}

pub fn app(frontend_api_url: &str) -> Result<Router, ConfigError> {
    let config =
        ClerkConfig::from_frontend_api_url(frontend_api_url)?.authorized_parties(["https://app.example.com"])?;
    Ok(Router::new()
        .route("/admin", get(me))
        .route_layer(RequireLayer::new(Requirement::role("org:admin")))
        .route("/me", get(me))
        .route("/invoices/:id", get(invoice))
        .route_layer(ClerkAuthLayer::from_config(config)?))
}
