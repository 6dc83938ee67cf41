//! What [`ClerkAuthLayer`] adds to a request, compared with the same service without it: around a service that does
//! nothing, and on a route of axum.
//!
//! ```text
//! cargo bench --bench layer
//! ```

#[allow(dead_code, unused_imports, reason = "a bench takes what it needs")]
mod support;

use std::{convert::Infallible, fmt::Debug, future};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, header::AUTHORIZATION};
use http_body_util::Empty;
use tower::{ServiceExt, layer::util::Identity, service_fn};
use tower_clerk::{ClerkAuthLayer, testing::TestIssuer};
use tower_layer::Layer;
use tower_service::Service;

use self::support::{
    Case, Mark, Operation, Tokens, at_hand, fetched, in_turn, many, operation, ready, run, without_budget,
};

fn main() {
    let issuer = TestIssuer::new();
    let tokens = Tokens::new(&issuer);
    let bearer = |token: &String| request(Some(&format!("Bearer {token}")));
    let live: Vec<_> = many(&issuer, LIVE).iter().map(bearer).collect();
    let bad = &tokens.bad;
    let [good, none, unknown, payload, duplicate] =
        [&tokens.usual, &bad.algorithm, &bad.kid, &bad.malformed_payload, &bad.duplicate].map(|token| [bearer(token)]);
    let [anonymous, words, no_token] =
        [None, Some("Bearer two words"), Some("Bearer not.a.token")].map(|value| [request(value)]);

    let bare = service_fn(|request: Request<Empty<Bytes>>| {
        drop(request);
        future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    });
    let around = |verifier| ClerkAuthLayer::from(verifier).layer(bare);
    let remembering = around(ready(at_hand(&issuer)));
    let layer = ClerkAuthLayer::from(ready(fetched(&issuer)));
    let fetching = layer.layer(bare);
    let spent = around(without_budget(fetched(&issuer), &bad.kid));
    let forgetful = around(ready(at_hand(&issuer).without_token_cache()));
    // So much smaller than the list that nearly every token has been evicted when its turn comes again.
    let full = around(ready(at_hand(&issuer).token_cache_entries(FULL).token_cache_bytes(1 << 20)));
    let service = |name, service, requests, status, mark| Case {
        base: calls(&bare, requests, Empty::new, 200),
        base_name: "bare service",
        mark,
        name,
        ours: calls(service, requests, Empty::new, status),
    };

    let bare_router = Router::new().route("/me", get(|| future::ready("me")));
    let routed = bare_router.clone().route_layer(layer);
    // axum itself needs some time for any layer on a route, which is no cost of this one. The bench of the peers
    // subtracts the router without a layer: there a user compares whole crates.
    let identity = bare_router.route_layer(Identity::new());
    let router = |name, router, requests, status, mark| Case {
        base: calls(&identity, requests, Body::empty, 200),
        base_name: "router, empty layer",
        mark,
        name,
        ours: calls(router, requests, Body::empty, status),
    };

    // Half a microsecond for a hit, a little more if the tokens come from main memory, and as much as two hits for a
    // forgery.
    let (hot, turn, rejection) = (Mark::Net(500.0), Mark::Net(650.0), Mark::Net(1000.0));
    run(
        "layer",
        vec![
            service("hit, one token", &remembering, &good, 200, hot),
            service("hit, one token, keys fetched", &fetching, &good, 200, hot),
            service("hit, 2 000 tokens in turn", &remembering, &live, 200, turn),
            service("hit, 2 000 tokens in turn, keys fetched", &fetching, &live, 200, turn),
            service("first sight, cache full", &full, &live, 200, Mark::None),
            service("first sight, no cache", &forgetful, &good, 200, Mark::None),
            service("rejected: no token", &remembering, &anonymous, 401, rejection),
            service("rejected: malformed request", &remembering, &words, 400, rejection),
            service("rejected: not a token", &remembering, &no_token, 401, rejection),
            service("rejected: malformed payload, 1 KB", &remembering, &payload, 401, rejection),
            service("rejected: duplicate member, 1 KB", &remembering, &duplicate, 401, rejection),
            service("rejected: alg none, 1 KB", &remembering, &none, 401, rejection),
            service("rejected: unknown kid, 1 KB", &remembering, &unknown, 401, rejection),
            service("rejected: unknown kid, budget spent", &spent, &unknown, 401, rejection),
            router("router, hit", &routed, &good, 200, hot),
            router("router, rejected: no token", &routed, &anonymous, 401, rejection),
            router("router, rejected: not a token", &routed, &no_token, 401, rejection),
        ],
    );
}

/// Calls a clone of `service`, as servers do, with requests in turn that are made outside of the measurement. None of
/// these services has to wait, so one poll returns the response and no runtime is measured.
fn calls<'a, S, B, ResBody>(
    service: &'a S,
    heads: &'a [Request<()>],
    body: impl Fn() -> B + 'a,
    status: u16,
) -> Box<dyn Operation + 'a>
where
    S: Service<Request<B>, Response = Response<ResBody>> + Clone,
    S::Error: Debug,
    B: 'a,
    ResBody: 'a,
{
    let respond =
        |request| service.clone().oneshot(request).now_or_never().expect("a response at once").expect("a response");
    let credential =
        |head: &'a Request<()>| head.headers().get(AUTHORIZATION).map_or(&[][..], |value| value.as_bytes());
    let mut turn = in_turn(heads, credential);
    let mut request = move || turn().clone().map(|()| body());
    for _ in heads {
        assert_eq!(respond(request()).status(), status);
    }
    operation(request, respond)
}

fn request(authorization: Option<&str>) -> Request<()> {
    let mut request = Request::get("/me?tab=profile")
        .header("host", "api.test.example")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
        .header("accept", "application/json")
        .header("accept-encoding", "gzip, deflate, br, zstd")
        .header("origin", "https://app.test.example");
    if let Some(value) = authorization {
        request = request.header(AUTHORIZATION, value);
    }
    request.body(()).expect("a request")
}

const FULL: usize = 32;
const LIVE: u32 = 2000;
