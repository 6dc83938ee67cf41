use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::IntoResponse,
    routing::{get as route, post},
};
use tower::{ServiceExt, make::Shared};
use tower_clerk::{
    ClerkAuth,
    testing::{ManualClock, TestIssuer},
};
use tower_layer::Layer;

use super::arms;
use crate::support::sockets::{connect_http1, listen, serve_axum};
use crate::support::{Answer, BAD, bearer, cold_layer, get_path, good, layer, layer_of, request, send};

async fn me(user: ClerkAuth) -> String {
    user.user_id().to_owned()
}

fn routes() -> Router {
    Router::new().route("/me", route(me))
}

#[tokio::test]
async fn layer_guards_known_and_unknown_paths() {
    for (arm, clerk) in arms() {
        let app = routes().layer(clerk);
        assert_eq!(send(&app, get_path("/me", Some(&good()))).await.outcome(), (200, "user_ada"), "{arm}");
        for path in ["/me", "/unknown", "/", "/me/"] {
            send(&app, get_path(path, None)).await.assert_rejected(401, "missing_token");
            send(&app, get_path(path, Some(BAD))).await.assert_rejected(401, "invalid_token");
        }
        assert_eq!(send(&app, get_path("/unknown", Some(&good()))).await.status(), 404, "{arm}");
        assert_eq!(send(&app, request("POST", "/me", &[])).await.status(), 401, "{arm}");
        assert_eq!(send(&app, request("POST", "/me", &[("authorization", &good())])).await.status(), 405, "{arm}");
    }
}

#[tokio::test]
async fn route_layer_leaves_unknown_paths_alone() {
    for (arm, clerk) in arms() {
        let app = routes().route_layer(clerk).route("/open", route(|| async { "open" }));
        assert_eq!(send(&app, get_path("/me", Some(&good()))).await.outcome(), (200, "user_ada"), "{arm}");
        send(&app, get_path("/me", None)).await.assert_rejected(401, "missing_token");
        send(&app, request("POST", "/me", &[])).await.assert_rejected(401, "missing_token");
        for authorization in [None, Some(BAD), Some(good().as_str())] {
            assert_eq!(send(&app, get_path("/unknown", authorization)).await.status(), 404, "{arm}");
            assert_eq!(send(&app, get_path("/open", authorization)).await.outcome(), (200, "open"), "{arm}");
        }
    }
}

#[tokio::test]
async fn routes_added_or_merged_after_the_layer_are_open() {
    let open = || Router::new().route("/merged", route(|| async { "open" }));
    let guarded: [fn(Router) -> Router; 2] = [|app| app.layer(layer()), |app| app.route_layer(layer())];
    for guard in guarded {
        let after = guard(routes()).route("/added", route(|| async { "open" })).merge(open());
        send(&after, get_path("/me", None)).await.assert_rejected(401, "missing_token");
        for path in ["/added", "/merged"] {
            assert_eq!(send(&after, get_path(path, None)).await.outcome(), (200, "open"), "{path}");
        }
        let before = guard(routes().route("/added", route(|| async { "open" })).merge(open()));
        for path in ["/me", "/added", "/merged"] {
            send(&before, get_path(path, None)).await.assert_rejected(401, "missing_token");
        }
        for path in ["/added", "/merged"] {
            assert_eq!(send(&before, get_path(path, Some(&good()))).await.outcome(), (200, "open"), "{path}");
        }
    }
}

#[tokio::test]
async fn a_fallback_is_guarded_by_layer_and_not_by_route_layer() {
    let app = || routes().fallback(|| async { "fallback" });
    send(&app().layer(layer()), get_path("/unknown", None)).await.assert_rejected(401, "missing_token");
    assert_eq!(send(&app().route_layer(layer()), get_path("/unknown", None)).await.outcome(), (200, "fallback"));
}

#[tokio::test]
async fn a_method_router_guards_only_its_own_methods() {
    for (arm, clerk) in arms() {
        let guarded = route(me).layer(clerk).merge(post(|| async { "posted" }));
        let app = Router::new().route("/me", guarded).route("/open", route(|| async { "open" }));
        assert_eq!(send(&app, get_path("/me", Some(&good()))).await.outcome(), (200, "user_ada"), "{arm}");
        send(&app, get_path("/me", None)).await.assert_rejected(401, "missing_token");
        assert_eq!(send(&app, request("POST", "/me", &[])).await.outcome(), (200, "posted"), "{arm}");
        assert_eq!(send(&app, get_path("/open", None)).await.outcome(), (200, "open"), "{arm}");
    }
}

#[tokio::test]
async fn a_nested_router_is_guarded_and_its_siblings_are_not() {
    for (arm, clerk) in arms() {
        let nested = routes().fallback(|| async { "nested fallback" }).layer(clerk);
        let app = Router::new().nest("/api", nested).route("/open", route(|| async { "open" }));
        assert_eq!(send(&app, get_path("/api/me", Some(&good()))).await.outcome(), (200, "user_ada"), "{arm}");
        assert_eq!(
            send(&app, get_path("/api/unknown", Some(&good()))).await.outcome(),
            (200, "nested fallback"),
            "{arm}"
        );
        for path in ["/api/me", "/api/unknown"] {
            send(&app, get_path(path, None)).await.assert_rejected(401, "missing_token");
        }
        assert_eq!(send(&app, get_path("/open", None)).await.outcome(), (200, "open"), "{arm}");
        assert_eq!(send(&app, get_path("/me", None)).await.status(), 404, "{arm}");
    }
}

#[tokio::test]
async fn a_nested_service_is_guarded_completely() {
    for (arm, clerk) in arms() {
        let app = Router::new().nest_service("/api", clerk.layer(routes())).route("/open", route(|| async { "open" }));
        assert_eq!(send(&app, get_path("/api/me", Some(&good()))).await.outcome(), (200, "user_ada"), "{arm}");
        assert_eq!(send(&app, get_path("/api/unknown", Some(&good()))).await.status(), 404, "{arm}");
        for path in ["/api", "/api/", "/api/me", "/api/unknown"] {
            send(&app, get_path(path, None)).await.assert_rejected(401, "missing_token");
        }
        assert_eq!(send(&app, get_path("/open", None)).await.outcome(), (200, "open"), "{arm}");
    }
}

#[tokio::test]
async fn a_merged_router_guards_only_its_own_routes() {
    let app = routes().route_layer(layer()).merge(Router::new().route("/open", route(|| async { "open" })));
    send(&app, get_path("/me", None)).await.assert_rejected(401, "missing_token");
    assert_eq!(send(&app, get_path("/open", None)).await.outcome(), (200, "open"));
    let around_both = routes().merge(Router::new().route("/open", route(|| async { "open" }))).layer(layer());
    send(&around_both, get_path("/open", None)).await.assert_rejected(401, "missing_token");
}

#[tokio::test]
async fn a_layer_around_a_router_decides_before_routing() {
    for (arm, clerk) in arms() {
        let app = clerk.layer(routes());
        assert_eq!(send(&app, get_path("/me", Some(&good()))).await.outcome(), (200, "user_ada"), "{arm}");
        assert_eq!(send(&app, get_path("/unknown", Some(&good()))).await.status(), 404, "{arm}");
        send(&app, get_path("/unknown", None)).await.assert_rejected(401, "missing_token");
    }
}

#[tokio::test]
async fn a_layer_around_a_router_can_be_served_by_axum() {
    let (clerk, gate) = cold_layer();
    // `axum::serve` accepts only axum's response body.
    let service = ServiceExt::<Request>::map_response(clerk.layer(routes()), IntoResponse::into_response);
    let (listener, address) = listen().await;
    tokio::spawn(async move { axum::serve(listener, Shared::new(service)).await });
    let mut client = connect_http1::<Body>(address).await;
    gate.open();
    for (path, authorization, status) in
        [("/me", Some(good()), 200), ("/unknown", Some(good()), 404), ("/me", None, 401), ("/unknown", None, 401)]
    {
        let response = client.send_request(get_path(path, authorization.as_deref())).await.expect("a response");
        assert_eq!(Answer::of(response).await.status(), status, "{path}");
    }
}

#[tokio::test]
async fn keys_are_fetched_from_the_issuer_on_the_first_request() {
    let issuer = TestIssuer::start().await.expect("a socket").clock(ManualClock::new());
    let config = issuer.config().jwks_timeout(Duration::from_secs(60)).expect("a timeout");
    let address = serve_axum(routes().route_layer(layer_of(config))).await;
    let mut client = connect_http1::<Body>(address).await;
    let mut ask = async |authorization: Option<String>| {
        let response = client.send_request(get_path("/me", authorization.as_deref())).await.expect("a response");
        Answer::of(response).await
    };
    ask(None).await.assert_rejected_over_socket(401, "missing_token");
    assert_eq!(issuer.fetches(), 0);
    let bearer = bearer(&issuer.token("user_ada"));
    for _ in 0..2 {
        assert_eq!(ask(Some(bearer.clone())).await.outcome(), (200, "user_ada"));
    }
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn a_rejected_request_does_not_reach_the_handler() {
    let reached = async |_: Request| -> String { panic!("a rejected request came through") };
    let app = Router::new().route("/me", route(reached)).layer(layer());
    for authorization in [None, Some(BAD), Some("Bearer a b")] {
        assert!([400, 401].contains(&send(&app, get_path("/me", authorization)).await.status()));
    }
}
