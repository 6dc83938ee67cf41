use std::borrow::Cow;

use futures_util::FutureExt;
use http::{HeaderName, header::SEC_WEBSOCKET_PROTOCOL};
use tower_clerk::{
    ClerkAuthLayer, ProtectedResource, TokenKind, TokenSource, Verifier,
    testing::{ManualClock, TestIssuer},
    verify::Instance,
};

use super::Metrics;
use crate::support::{
    GatedSource, Reply, bearer, get, get_path, good, issuer, layer, layer_of, layer_without_keys, millis, other_issuer,
    patient, request, send_through, settle, token, verifier,
};

const PARTY: &str = "https://app.example.com";

/// A layer that has to fetch its keys first.
fn cold(source: &GatedSource) -> ClerkAuthLayer {
    let instance = Instance::new(patient(issuer().config())).key_source(source.clone());
    Verifier::builder(instance).clock(ManualClock::new()).build().expect("a verifier").into()
}

async fn send(layer: &ClerkAuthLayer, authorization: &str) -> u16 {
    send_through(layer, get(&[("authorization", authorization)])).await.status()
}

#[tokio::test]
async fn each_decision_is_counted_by_outcome_reason_token_and_source() {
    let metrics = Metrics::start();
    let layer = layer();
    for (authorization, status) in [
        (good(), 200),
        (good(), 200),
        (bearer(&token().expired()), 401),
        (bearer(&token().without_claim("sid")), 401),
        (bearer(&other_issuer().token("user_eve")), 401),
        ("Bearer not.a.token".to_owned(), 401),
        ("Bearer two words".to_owned(), 400),
        (format!("Bearer {}", "x".repeat(100_000)), 400),
        ("Bearer ak_made_up".to_owned(), 401),
        (bearer(&issuer().oauth_token("user_ada")), 401),
        ("Basic YTpi".to_owned(), 401),
    ] {
        assert_eq!(send(&layer, &authorization).await, status, "{authorization}");
    }
    assert_eq!(send_through(&layer, get(&[])).await.status(), 401);
    assert_eq!(
        metrics.requests(),
        [
            "allowed none session header 2",
            "refused expired session header 1",
            "refused invalid_session_id session header 1",
            "refused invalid_signature session header 1",
            "refused malformed none header 1",
            "refused malformed_request none header 2",
            "refused missing_token none other 2",
            "refused token_kind_not_accepted api_key header 1",
            "refused token_kind_not_accepted none header 1",
        ]
    );
}

#[tokio::test]
async fn requests_that_pass_without_a_user_are_anonymous_whatever_they_had() {
    let metrics = Metrics::start();
    for layer in [layer().allow_missing_token(), layer().allow_unauthenticated_requests()] {
        send_through(&layer, get(&[])).await;
        send(&layer, "Bearer not.a.token").await;
        send(&layer, "Bearer two words").await;
    }
    send(&layer_without_keys().allow_unauthenticated_requests(), &good()).await;
    assert_eq!(
        metrics.requests(),
        [
            "anonymous keys_unavailable session header 1",
            "anonymous malformed none header 1",
            "anonymous missing_token none other 2",
            "refused malformed none header 1",
            "refused malformed_request none header 2",
        ]
    );
}

#[tokio::test]
async fn a_503_is_unavailable_and_not_refused() {
    let metrics = Metrics::start();
    assert_eq!(send(&layer_without_keys(), &good()).await, 503);
    assert_eq!(metrics.requests(), ["unavailable keys_unavailable session header 1"]);
}

#[tokio::test]
async fn a_request_that_waits_is_counted_once_and_timed_with_its_wait() {
    let metrics = Metrics::start();
    let source = GatedSource::new();
    let layer = cold(&source);
    let (good, expired) = (good(), bearer(&token().expired()));
    let (mut first, mut second) = (Box::pin(send(&layer, &good)), Box::pin(send(&layer, &expired)));
    assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
    assert_eq!(metrics.requests(), [""; 0]);
    source.always(Reply::document(issuer().jwks()));
    assert_eq!((first.await, second.await), (200, 401));
    assert_eq!(metrics.requests(), ["allowed none session header 1", "refused expired session header 1"]);
    assert_eq!((metrics.durations(true), metrics.durations(false)), (0.0, 2.0));
}

#[tokio::test]
async fn a_request_that_is_given_up_while_it_waits_is_not_counted() {
    let metrics = Metrics::start();
    let source = GatedSource::new();
    let layer = cold(&source);
    assert!(send(&layer, &good()).now_or_never().is_none());
    source.always(Reply::document(issuer().jwks()));
    settle().await;
    assert_eq!(send(&layer, &good()).await, 200);
    assert_eq!(metrics.requests(), ["allowed none session header 1"]);
}

#[tokio::test]
async fn cookies_other_headers_and_closures_are_told_apart() {
    let metrics = Metrics::start();
    let config = issuer().config().authorized_parties([PARTY]).expect("a party");
    let layer = layer_of(config)
        .token_sources([
            TokenSource::authorization(),
            TokenSource::header(HeaderName::from_static("x-token")),
            TokenSource::session_cookie(),
            TokenSource::custom(|headers| {
                headers.get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?.strip_prefix("bearer.").map(Cow::Borrowed)
            }),
        ])
        .expect("sources");
    let ada = token().authorized_party(PARTY);
    let cookie = format!("__session={}", ada.sign());
    let both = format!("{cookie}; __session={}", token().authorized_party(PARTY).claim("sub", "user_eve").sign());
    for (method, headers, status) in [
        ("GET", vec![("authorization", bearer(&ada))], 200),
        ("GET", vec![("x-token", ada.sign())], 200),
        ("GET", vec![("cookie", cookie.clone())], 200),
        ("GET", vec![("sec-websocket-protocol", format!("bearer.{}", ada.sign()))], 200),
        ("POST", vec![("cookie", cookie.clone())], 403),
        ("GET", vec![("cookie", both)], 401),
        ("GET", vec![("cookie", format!("__session={}", token().authorized_party(PARTY).expired().sign()))], 401),
        ("GET", vec![("sec-websocket-protocol", "bearer.none".to_owned())], 401),
        ("GET", vec![("x-token", "two words".to_owned())], 400),
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(send_through(&layer, request(method, "/", &headers)).await.status(), status, "{headers:?}");
    }
    assert_eq!(
        metrics.requests(),
        [
            "allowed none session cookie 1",
            "allowed none session header 2",
            "allowed none session other 1",
            "refused ambiguous_cookies session cookie 1",
            "refused cross_site session cookie 1",
            "refused expired session cookie 1",
            "refused malformed none other 1",
            "refused malformed_request none header 1",
        ]
    );
}

#[tokio::test]
async fn tokens_of_other_kinds_are_counted_as_their_kind() {
    let metrics = Metrics::start();
    let issuer = TestIssuer::start().await.expect("an issuer");
    let config = issuer.config().secret_key("sk_test_abc").and_then(|config| config.accept(TokenKind::all()));
    let config = config.and_then(|config| config.api_url(issuer.backend_api().url()));
    let resource = ProtectedResource::new("https://api.example.com").expect("a resource").require_audience();
    let layer = ClerkAuthLayer::from_config(config.expect("kinds")).expect("a layer");
    let layer = layer.protected_resource(resource).expect("a resource");
    let aud = "https://api.example.com";
    for (token, status) in [
        (issuer.oauth_token("user_ada").claim("aud", aud).sign(), 200),
        (issuer.oauth_token("user_ada").claim("aud", "https://other.example.com").sign(), 401),
        (issuer.m2m_token("mch_a").sign(), 200),
        (issuer.m2m_token("mch_a").expired().sign(), 401),
        (issuer.backend_api().api_key("user_ada").issue(), 200),
        ("ak_unknown".to_owned(), 401),
        ("mt_".to_owned(), 401),
    ] {
        assert_eq!(send(&layer, &format!("Bearer {token}")).await, status, "{token}");
    }
    // Served without a decision.
    send_through(&layer, get_path("/.well-known/oauth-protected-resource", None)).await;
    assert_eq!(
        metrics.requests(),
        [
            "allowed none api_key header 1",
            "allowed none m2m header 1",
            "allowed none oauth header 1",
            "refused expired m2m header 1",
            "refused inactive api_key header 1",
            "refused invalid_audience oauth header 1",
            "refused malformed m2m header 1",
        ]
    );
}

#[tokio::test]
async fn one_cached_token_in_64_is_timed_and_every_other_token() {
    let metrics = Metrics::start();
    let layer = layer();
    // The first of them is not cached, the second is timed.
    for _ in 0..=64 {
        assert_eq!(send(&layer, &good()).await, 200);
    }
    assert_eq!((metrics.durations(true), metrics.durations(false)), (1.0, 1.0));
    for _ in 0..128 {
        send(&layer, &good()).await;
    }
    assert_eq!((metrics.durations(true), metrics.durations(false)), (3.0, 1.0));
    for _ in 0..10 {
        send(&layer, &bearer(&token().expired())).await;
    }
    assert_eq!(metrics.durations(false), 11.0);
    send_through(&layer, get(&[])).await;
    send(&layer, "Bearer two words").await;
    assert_eq!((metrics.durations(true), metrics.durations(false)), (3.0, 11.0));
}

#[tokio::test]
async fn cached_tokens_are_timed_in_whatever_order_others_come_between() {
    let metrics = Metrics::start();
    let layer = layer();
    assert_eq!(send(&layer, &good()).await, 200);
    // In turn, so that each hit has an even place among all requests, or an odd one.
    for _ in 0..64 {
        send_through(&layer, get(&[])).await;
        send(&layer, &good()).await;
    }
    assert_eq!(metrics.durations(true), 1.0);
    send_through(&layer, get(&[])).await;
    send(&layer, &good()).await;
    assert_eq!(metrics.durations(true), 2.0);
}

#[tokio::test]
async fn custom_claims_that_do_not_fit_are_a_reason_of_their_own() {
    #[derive(serde::Deserialize)]
    struct Plan {
        #[allow(dead_code, reason = "never there")]
        plan: String,
    }
    let metrics = Metrics::start();
    let layer = layer().with_custom_claims::<Plan>();
    assert_eq!(send(&layer, &good()).await, 401);
    assert_eq!(metrics.requests(), ["refused invalid_custom_claims session header 1"]);
    // From then on its token is cached, and timed as other hits.
    for _ in 0..64 {
        assert_eq!(send(&layer, &good()).await, 401);
    }
    assert_eq!((metrics.durations(true), metrics.durations(false)), (1.0, 1.0));
}

#[tokio::test]
async fn nested_layers_count_their_own_decisions() {
    let metrics = Metrics::start();
    let layers = tower::ServiceBuilder::new().layer(layer().allow_missing_token()).layer(layer());
    let service = layers.service_fn(async |_: http::Request<()>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Empty::<bytes::Bytes>::new()))
    });
    let response = tower::ServiceExt::oneshot(service, http::Request::new(())).await.expect("a response");
    assert_eq!(response.status(), 401);
    assert_eq!(metrics.requests(), ["anonymous missing_token none other 1", "refused missing_token none other 1"]);
}

#[tokio::test]
async fn a_verifier_without_a_layer_counts_no_requests() {
    let metrics = Metrics::start();
    let verifier = verifier(issuer().config());
    assert!(verifier.verify(&token().sign()).await.is_ok());
    assert_eq!(metrics.requests(), [""; 0]);
    assert_eq!(metrics.value("clerk_token_cache_misses_total"), Some(1.0));
}

#[tokio::test]
async fn a_fetch_that_takes_time_shows_in_the_duration() {
    let metrics = Metrics::start();
    let source = GatedSource::new();
    let clock = ManualClock::new();
    let issuer = TestIssuer::new().clock(clock.clone());
    let instance = Instance::new(patient(issuer.config())).key_source(source.clone());
    let verifier = Verifier::builder(instance).clock(clock.clone());
    let layer = ClerkAuthLayer::from(verifier.build().expect("a verifier"));
    let authorization = bearer(&issuer.token("user_ada"));
    let mut sent = Box::pin(send(&layer, &authorization));
    assert!(sent.as_mut().now_or_never().is_none());
    clock.advance(millis(700));
    source.always(Reply::document(issuer.jwks()));
    assert_eq!(sent.await, 200);
    assert_eq!(metrics.value("clerk_auth_duration_seconds_sum{cached=\"false\"}"), Some(0.7));
    assert_eq!(metrics.value("clerk_jwks_fetch_duration_seconds_sum"), Some(0.7));
}
