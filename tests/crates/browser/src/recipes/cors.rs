use axum::{Router, routing::get};
use http::{
    HeaderName, HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use tower_clerk::{ClerkAuth, ClerkAuthLayer};
use tower_http::cors::CorsLayer;

async fn me(user: ClerkAuth) -> String {
    user.user_id().to_owned()
}

fn cors(origin: HeaderValue) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE])
        .expose_headers([
            WWW_AUTHENTICATE,
            RETRY_AFTER,
            // For gRPC-Web, whose requests also need `x-grpc-web` and `x-user-agent` among the allowed headers.
            HeaderName::from_static("grpc-status"),
            HeaderName::from_static("grpc-message"),
            HeaderName::from_static("clerk-error-code"),
        ])
}

fn app(clerk: ClerkAuthLayer, origin: HeaderValue) -> Router {
    Router::new().route("/me", get(me).delete(me)).route_layer(clerk).layer(cors(origin))
}
