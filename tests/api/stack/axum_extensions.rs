use std::net::SocketAddr;

use axum::{
    Extension, Router,
    body::Body,
    extract::{ConnectInfo, MatchedPath, OriginalUri, Request},
    response::{IntoResponse, Response},
    routing::get as route,
};
use hyper::upgrade::OnUpgrade;
use tower_clerk::{ClerkAuth, ClerkAuthLayer};

use super::arms;
use crate::support::sockets::{connect_http1, serve_axum};
use crate::support::{Answer, cold_layer, get_path, good, layer, send, with_body};

#[derive(Clone, Debug, PartialEq)]
struct Theirs(&'static str);

/// Replies with the extensions of its request.
async fn inventory(request: Request) -> String {
    let extensions = request.extensions();
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_string());
    [
        extensions.get::<ClerkAuth>().map(|user| user.user_id().to_owned()),
        extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned()),
        extensions.get::<OriginalUri>().map(|uri| uri.path().to_owned()),
        extensions.get::<Theirs>().map(|theirs| theirs.0.to_owned()),
        peer,
        extensions.get::<OnUpgrade>().map(|_| "upgradable".to_owned()),
    ]
    .map(|found| found.unwrap_or_else(|| "-".to_owned()))
    .join(" ")
}

fn nested(clerk: ClerkAuthLayer) -> Router {
    let routes = Router::new().route("/users/{id}", route(inventory)).route_layer(clerk);
    Router::new().nest("/api", routes).layer(Extension(Theirs("theirs")))
}

#[tokio::test]
async fn extensions_of_other_layers_pass_unchanged_over_a_socket() {
    for (arm, clerk) in arms() {
        let mut client = connect_http1::<Body>(serve_axum(nested(clerk)).await).await;
        let bearer = good();
        let headers = [("authorization", bearer.as_str()), ("connection", "upgrade"), ("upgrade", "other")];
        let request = with_body("GET", "/api/users/7", &headers, Body::empty());
        let answer = Answer::of(client.send_request(request).await.expect("a response")).await;
        let expected = "user_ada /api/users/{id} /api/users/7 theirs 127.0.0.1 upgradable";
        assert_eq!(answer.outcome(), (200, expected), "{arm}");
    }
}

#[tokio::test]
async fn the_layer_adds_no_extensions_of_others() {
    for (arm, clerk) in arms() {
        let app = Router::new().route("/", route(inventory)).layer(clerk);
        assert_eq!(send(&app, get_path("/", Some(&good()))).await.outcome(), (200, "user_ada / / - - -"), "{arm}");
    }
}

#[tokio::test]
async fn headers_uri_and_version_pass_unchanged() {
    async fn echo(request: Request) -> Response {
        let (parts, _) = request.into_parts();
        let line = format!("{} {} {:?}", parts.method, parts.uri, parts.version);
        (parts.headers, line).into_response()
    }
    for (arm, clerk) in arms() {
        let app = Router::new().fallback(echo).layer(clerk);
        let bearer = good();
        let headers = [("x-many", "1"), ("x-many", "2"), ("authorization", bearer.as_str()), ("cookie", "a=b")];
        let answer = send(&app, with_body("BREW", "/a%2Fb?q=1&q=2", &headers, Body::empty())).await;
        assert_eq!(answer.outcome(), (200, "BREW /a%2Fb?q=1&q=2 HTTP/1.1"), "{arm}");
        let many: Vec<_> = answer.parts.headers.get_all("x-many").iter().collect();
        assert_eq!(many, ["1", "2"], "{arm}");
        assert_eq!(answer.header("authorization"), Some(bearer.as_str()), "{arm}");
        assert_eq!(answer.header("cookie"), Some("a=b"), "{arm}");
    }
}

#[tokio::test]
async fn a_response_passes_with_status_headers_and_extensions() {
    async fn handler() -> Response {
        let mut response = (http::StatusCode::ACCEPTED, [("x-theirs", "yes"), ("www-authenticate", "Basic")], "body");
        response.0 = http::StatusCode::IM_A_TEAPOT;
        let mut response = response.into_response();
        response.extensions_mut().insert(Theirs("response"));
        response
    }
    for (arm, clerk) in arms() {
        let app = Router::new().route("/", route(handler)).layer(clerk);
        let response = tower::ServiceExt::oneshot(app, get_path("/", Some(&good()))).await.expect("a response");
        assert_eq!(response.extensions().get(), Some(&Theirs("response")), "{arm}");
        let answer = Answer::of(response).await;
        assert_eq!(answer.outcome(), (418, "body"), "{arm}");
        assert_eq!(answer.header("x-theirs"), Some("yes"), "{arm}");
        assert_eq!(answer.header("www-authenticate"), Some("Basic"), "{arm}");
    }
}

#[tokio::test]
async fn inner_layers_and_extractors_get_the_user() {
    async fn check(request: Request, next: axum::middleware::Next) -> Response {
        assert_eq!(request.extensions().get::<ClerkAuth>().map(|user| user.user_id()), Some("user_ada"));
        next.run(request).await
    }
    let (clerk, gate) = cold_layer();
    gate.open();
    for clerk in [layer(), clerk] {
        let handler = |Extension(user): Extension<ClerkAuth>| async move { user.user_id().to_owned() };
        let app = Router::new().route("/", route(handler)).layer(axum::middleware::from_fn(check)).layer(clerk);
        assert_eq!(send(&app, get_path("/", Some(&good()))).await.outcome(), (200, "user_ada"));
    }
}
