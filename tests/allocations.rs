//! Heap allocations per request. Unlike times, their number is the same on every machine.

#[allow(dead_code, unused_imports, reason = "shared with the benches")]
#[path = "../benches/support/tokens.rs"]
mod tokens;

use std::{convert::Infallible, future, hint::black_box, sync::OnceLock};

use allocation_counter::measure;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{
    HeaderName, HeaderValue, Request, Response,
    header::{AUTHORIZATION, COOKIE},
};
use http_body_util::Empty;
use tower::{Service, ServiceExt, service_fn};
use tower_clerk::{
    ClerkAuthLayer, TokenKind, TokenSource, Verifier, jwks::FetchError, testing::TestIssuer, verify::Instance,
};
use tower_layer::Layer;

use self::tokens::{Tokens, at_hand, fetched, many, ready, without_budget};

// The measured numbers. Lower them when the code improves.
const HIT: u64 = 3;
/// With a cache: the entry takes two, for itself and for the header and the payload.
const FIRST_SIGHT: u64 = 10;
/// Without a cache.
const FIRST_SIGHT_SMALL: u64 = 7;
/// Without a cache: a payload that does not fit into the buffer on the stack is decoded onto the heap.
const FIRST_SIGHT_LARGE: u64 = 10;
const REJECTED_AT_SIGHT: u64 = 5;
const REJECTED_HEADER: u64 = 6;
const REJECTED_PAYLOAD: u64 = 7;
const REJECTED_DUPLICATE: u64 = 8;

#[test]
fn a_cache_hit_allocates_only_for_the_users_extension() {
    for verifier in [ready(at_hand(&kit().issuer)), ready(fetched(&kit().issuer))] {
        let layer = ClerkAuthLayer::from(verifier);
        let counts = net(&layer, &kit().bearer, 3, 200);
        assert!(counts.iter().all(|count| *count <= HIT), "{counts:?}");
        // Many tokens in turn, measured from the second turn on.
        net(&layer, &kit().live, 3, 200);
        let counts = net(&layer, &kit().live, 3, 200);
        assert!(counts.iter().all(|count| *count <= HIT), "{counts:?}");
    }
}

#[test]
fn a_cache_hit_with_one_cookie_allocates_no_more_than_with_a_header() {
    let party = "https://app.example.com";
    let config = kit().issuer.config().authorized_parties([party]).expect("a party");
    let verifier = Verifier::builder(config.publishable_key("pk_test_Y2xlcmsuY2xlcmsuZGV2JA").expect("a key"));
    let layer = ClerkAuthLayer::from(verifier.build().expect("a verifier"))
        .token_sources([TokenSource::session_cookie()])
        .expect("parties are set");
    let token = kit().issuer.token("user_ada").authorized_party(party).sign();
    let cookie = format!("a=b; __client_uat=1; __session={token}; c=d");
    let bare = service_fn(|_: Request<()>| future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))));
    let service = layer.layer(bare);
    let mut counts = Vec::new();
    for _ in 0..TIMES {
        let mut request = Some(Request::get("/me").header(COOKIE, &cookie).body(()).expect("a request"));
        let info = measure(|| {
            let response = service.clone().oneshot(request.take().expect("a request")).now_or_never();
            assert_eq!(response.expect("a response at once").expect("a response").status(), 200);
        });
        counts.push(info.count_total);
    }
    assert!(counts.iter().skip(1).all(|count| *count <= HIT), "{counts:?}");
}

#[test]
fn ten_thousand_waiting_requests_with_long_tokens_take_64_mib_at_most() {
    let token = kit().issuer.token("user_ada").claim("padding", "x".repeat(11_400)).sign();
    assert!((15 * 1024..16 * 1024).contains(&token.len()), "{}", token.len());
    let bearer = format!("Bearer {token}");
    let source = || future::pending::<Result<Bytes, FetchError>>();
    let instance = Instance::new(kit().issuer.config()).key_source(source);
    let layer = ClerkAuthLayer::from(Verifier::from_instances([instance]).expect("a verifier"));
    let mut service = layer.layer(service_fn(|_: Request<()>| future::ready(Ok::<_, Infallible>(Response::new(())))));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _entered = runtime.enter();
    let mut waiting = Vec::with_capacity(10_000);
    let held = measure(|| {
        for _ in 0..10_000 {
            let value = HeaderValue::from_bytes(bearer.as_bytes()).expect("a header value");
            let mut future =
                Box::pin(service.call(Request::get("/me").header(AUTHORIZATION, value).body(()).expect("a request")));
            if future.as_mut().now_or_never().is_none() {
                waiting.push(future);
            }
        }
    });
    assert!(waiting.len() > 3_500, "{}", waiting.len());
    assert!(held.bytes_current <= 64 << 20, "{} for {}", held.bytes_current, waiting.len());
}

#[test]
fn a_first_verification_allocates_no_more_than_recorded() {
    let Kit { issuer, tokens, .. } = kit();
    let layer = ClerkAuthLayer::from(ready(at_hand(issuer).without_token_cache()));
    for (token, most) in [(&tokens.small, FIRST_SIGHT_SMALL), (&tokens.large, FIRST_SIGHT_LARGE)] {
        let counts = net(&layer, &[format!("Bearer {token}")], 3, 200);
        assert!(counts.iter().all(|count| *count <= most), "{counts:?}");
    }
    for builder in [at_hand(issuer), fetched(issuer)] {
        let layer = ClerkAuthLayer::from(ready(builder.token_cache_entries(3).token_cache_bytes(1 << 16)));
        let counts = net(&layer, &kit().live, 3, 200);
        // The caches do maintenance from time to time, so the median is compared.
        assert!(median(counts.clone()) <= FIRST_SIGHT, "{counts:?}");
    }
}

#[test]
fn a_rejection_before_cryptography_allocates_no_more_than_recorded() {
    let Kit { issuer, tokens, .. } = kit();
    let bad = &tokens.bad;
    let layer = ClerkAuthLayer::from(without_budget(fetched(issuer), &bad.kid));
    let bearer = |token: &str| vec![format!("Bearer {token}")];
    for (credentials, status, most) in [
        (Vec::new(), 401, REJECTED_AT_SIGHT),
        (bearer("two words"), 400, REJECTED_AT_SIGHT),
        (bearer("not.a.token"), 401, REJECTED_AT_SIGHT),
        (bearer(&bad.malformed_signature), 401, REJECTED_HEADER),
        (bearer(&bad.malformed_payload), 401, REJECTED_PAYLOAD),
        (bearer(&bad.duplicate), 401, REJECTED_DUPLICATE),
        (bearer(&bad.algorithm), 401, REJECTED_HEADER),
        (bearer(&bad.kid), 401, REJECTED_HEADER),
    ] {
        let counts = net(&layer, &credentials, 3, status);
        assert!(median(counts.clone()) <= most, "{most}: {counts:?}");
    }
}

#[test]
fn the_number_of_other_headers_does_not_change_allocations() {
    let layer = ClerkAuthLayer::from(ready(at_hand(&kit().issuer)));
    let counts: Vec<u64> = (0..=24).map(|others| median(net(&layer, &kit().bearer, others, 200))).collect();
    assert!(counts.iter().all(|count| Some(count) == counts.first()), "{counts:?}");
}

#[test]
fn tokens_that_a_thread_serves_in_turn_allocate_nothing() {
    let verifier = ready(at_hand(&kit().issuer));
    let tokens: Vec<&str> = kit().live.iter().filter_map(|value| value.strip_prefix("Bearer ")).collect();
    let verify_all = || tokens.iter().for_each(|token| drop(verifier.try_verify(token).expect("a good token")));
    (0..3).for_each(|_| verify_all());
    assert_eq!(measure(verify_all).count_total, 0);
}

#[test]
fn verifying_a_cached_token_allocates_nothing() {
    for builder in [at_hand(&kit().issuer), fetched(&kit().issuer)] {
        let verifier = ready(builder);
        for token in [&kit().tokens.small, &kit().tokens.usual, &kit().tokens.large] {
            assert_eq!(most(|| drop(verifier.try_verify(token).expect("a good token"))), 0);
        }
    }
}

#[test]
fn verifying_a_cached_token_of_another_kind_allocates_nothing() {
    let issuer = &kit().issuer;
    let config = issuer.config().accept([TokenKind::Session, TokenKind::OAuth, TokenKind::M2m]).expect("kinds");
    let verifier = Verifier::new(config).expect("a verifier");
    for token in [issuer.oauth_token("user_ada").scopes(["read", "write"]), issuer.m2m_token("mch_a").claim("a", 1)] {
        let token = token.sign();
        assert_eq!(most(|| drop(verifier.try_verify_principal(&token).expect("a good token"))), 0);
    }
    assert_eq!(verifier.token_cache_status().entries, 2);
}

#[test]
fn verifying_a_known_opaque_token_allocates_nothing() {
    let answer = |_: Request<Bytes>| async {
        let key = r#"{"object":"api_key","id":"ak_1","subject":"user_ada","name":"ci","scopes":["things:read"],
            "claims":null,"revoked":false,"expired":false,"expiration":null}"#;
        Ok::<_, FetchError>(Response::new(Bytes::from(key)))
    };
    let config = kit().issuer.config().accept([TokenKind::ApiKey]).expect("a configuration");
    let verifier = Verifier::builder(Instance::new(config).backend_api(answer)).build().expect("a verifier");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(verifier.verify_principal("ak_good")).expect("a good key");
    assert_eq!(most(|| drop(verifier.try_verify_principal("ak_good").expect("a good key"))), 0);
    assert_eq!(verifier.opaque_tokens_status().calls, 1);
}

#[test]
fn cached_tokens_stay_within_the_configured_bytes() {
    let Kit { issuer, .. } = kit();
    let large = |number: u32| {
        let padding = format!("{number:08}{}", "x".repeat(11_000));
        issuer.token("user_2mXv4Q1zB7cN9dK3fG6hJ8lP0rT").claim("padding", padding).sign()
    };
    let tokens: Vec<String> = (0..100).map(large).collect();
    for (entries, bytes) in [(10_000, 256 << 10), (10, 32 << 20)] {
        let mut verifier = None;
        let held = measure(|| {
            let remembering = ready(at_hand(issuer).token_cache_entries(entries).token_cache_bytes(bytes));
            for token in &tokens {
                assert!(remembering.try_verify(token).is_ok());
            }
            verifier = Some(remembering);
        });
        let status = verifier.expect("a verifier").token_cache_status();
        assert!((1..=entries).contains(&status.entries), "{status:?}");
        assert!(status.bytes <= u64::try_from(bytes).expect("some bytes"), "{status:?}");
        let most = i64::try_from(status.bytes).expect("some bytes") + BESIDE_TOKENS;
        assert!(held.bytes_current <= most, "{}, {status:?}", held.bytes_current);
    }
}

#[test]
fn text_that_is_not_a_token_is_rejected_without_allocating() {
    let verifier = ready(at_hand(&kit().issuer));
    for text in ["", "a", "a.b", "a.b.c.d", "not.a.token"] {
        let count = most(|| assert!(verifier.try_verify(text).is_err()));
        assert_eq!(count, 0, "{text}");
    }
}

#[test]
fn clones_do_not_allocate() {
    let verifier: Verifier = ready(at_hand(&kit().issuer));
    let claims = verifier.try_verify(&kit().tokens.usual).expect("a good token");
    let layer = ClerkAuthLayer::from(verifier.clone());
    let service = layer.layer(service_fn(|_: Request<()>| future::ready(Ok::<_, Infallible>(Response::new(())))));
    assert_eq!(most(|| drop(black_box(verifier.clone()))), 0);
    assert_eq!(most(|| drop(black_box(layer.clone()))), 0);
    assert_eq!(most(|| drop(black_box(service.clone()))), 0);
    assert_eq!(most(|| drop(black_box(claims.clone()))), 0);
}

struct Kit {
    bearer: Vec<String>,
    issuer: TestIssuer,
    /// Credentials of many sessions.
    live: Vec<String>,
    tokens: Tokens,
}

fn kit() -> &'static Kit {
    static KIT: OnceLock<Kit> = OnceLock::new();
    KIT.get_or_init(|| {
        let issuer = TestIssuer::new();
        let tokens = Tokens::new(&issuer);
        let live = many(&issuer, 64).iter().map(|token| format!("Bearer {token}")).collect();
        Kit { bearer: vec![format!("Bearer {}", tokens.usual)], issuer, live, tokens }
    })
}

/// Allocations of requests through the layer to a service that does nothing, minus those of the service alone. The
/// first request is left out because it initializes statics.
fn net(layer: &ClerkAuthLayer, credentials: &[String], others: usize, status: u16) -> Vec<u64> {
    let bare = service_fn(|_: Request<()>| future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))));
    let with = call(&layer.layer(bare), credentials, others, status);
    let without = call(&bare, credentials, others, 200);
    with.iter().zip(&without).map(|(with, without)| with - without).collect()
}

/// Sends requests with the credentials in turn, or without one.
fn call<S, B>(service: &S, credentials: &[String], others: usize, status: u16) -> Vec<u64>
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible> + Clone,
{
    let credentials =
        credentials.iter().map(|value| Some(value.as_str())).chain(credentials.is_empty().then_some(None));
    let requests = credentials.cycle().take(TIMES).map(|value| request(value, others));
    let counts = requests.map(|request| {
        let mut request = Some(request);
        measure(|| {
            let response = service.clone().oneshot(request.take().expect("a request")).now_or_never();
            let response = response.expect("a response at once").map(|response| response.status().as_u16());
            assert_eq!(response, Ok(status));
        })
    });
    counts.skip(1).map(|info| info.count_total).collect()
}

fn request(authorization: Option<&str>, others: usize) -> Request<()> {
    let mut request = Request::get("/me");
    for number in 0..others {
        let name = HeaderName::try_from(format!("x-other-{number}")).expect("a header name");
        request = request.header(name, "value");
    }
    if let Some(value) = authorization {
        request = request.header(AUTHORIZATION, value);
    }
    request.body(()).expect("a request")
}

fn median(mut counts: Vec<u64>) -> u64 {
    counts.sort_unstable();
    counts[counts.len() / 2]
}

/// The maximum of allocations over many runs. The first run is left out because it initializes statics.
fn most(mut operation: impl FnMut()) -> u64 {
    operation();
    (1..TIMES).map(|_| measure(&mut operation).count_total).max().unwrap_or_default()
}

const TIMES: usize = 64;
/// In bytes: the verifier itself, its keys, and what the cache keeps of evicted tokens.
const BESIDE_TOKENS: i64 = 16 << 10;
