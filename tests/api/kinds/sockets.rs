//! The same over real sockets: HTTP/1 and HTTP/2.

use axum::{Router, body::Body, routing::get as route};
use http::Request;
use http_body_util::Empty;
use tower_clerk::{ClerkAuth, M2mToken, OAuthToken, Principal, RequireLayer, Requirement};

use super::{layer_with, tokens};
use crate::support::{Answer, bearer, sockets};

fn app() -> Router {
    let scoped = Router::new()
        .route("/scoped", route(async |any: Principal| any.subject().to_owned()))
        .route_layer(RequireLayer::new(Requirement::scope("things:read")));
    Router::new()
        .route("/session", route(async |user: ClerkAuth| user.user_id().to_owned()))
        .route("/oauth", route(async |token: OAuthToken| token.user_id().to_owned()))
        .route("/m2m", route(async |token: M2mToken| token.machine_id().to_owned()))
        .route("/any", route(async |any: Principal| any.kind().to_string()))
        .merge(scoped)
        .layer(layer_with(Ok))
}

fn head(authorization: &str) -> http::request::Builder {
    Request::builder().header("host", "api.test").header("authorization", authorization)
}

#[tokio::test]
async fn each_route_takes_its_kind_over_http1() {
    let address = sockets::serve_axum(app()).await;
    let mut connection = sockets::connect_http1::<Body>(address).await;
    for (index, token) in tokens().iter().enumerate() {
        let authorization = bearer(token);
        for (other, path) in ["/session", "/oauth", "/m2m"].into_iter().enumerate() {
            connection.ready().await.expect("a connection");
            let request = head(&authorization).uri(path).body(Body::empty()).expect("a request");
            let answer = Answer::of(connection.send_request(request).await.expect("a response")).await;
            if index == other {
                assert_eq!(answer.status(), 200, "{path}");
            } else {
                answer.assert_rejected_over_socket(401, "invalid_token");
                assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer error="invalid_token""#));
            }
        }
        connection.ready().await.expect("a connection");
        let request = head(&authorization).uri("/any").body(Body::empty()).expect("a request");
        let answer = Answer::of(connection.send_request(request).await.expect("a response")).await;
        assert_eq!(answer.outcome(), (200, ["session_token", "oauth_token", "m2m_token"][index]));
    }
}

#[tokio::test]
async fn a_client_learns_over_http2_which_scope_it_lacks() {
    let address = sockets::serve_axum(app()).await;
    let mut connection = sockets::connect_http2::<Empty<bytes::Bytes>>(address).await;
    let uri = format!("http://{address}/scoped");
    for (scope, status) in [("things:read", 200), ("things:write", 403)] {
        let authorization = bearer(&super::oauth().claim("scope", scope));
        connection.ready().await.expect("a connection");
        let request = Request::builder().uri(&uri).header("authorization", authorization).body(Empty::new());
        let answer = Answer::of(connection.send_request(request.expect("a request")).await.expect("a response")).await;
        assert_eq!(answer.status(), status);
        let challenge = (status == 403).then_some(r#"Bearer error="insufficient_scope", scope="things:read""#);
        assert_eq!(answer.header("www-authenticate"), challenge);
    }
}
