use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tower_clerk::{
    ClerkAuthLayer, ClerkConfig, TokenSource, Verifier,
    config::IssuerUrl,
    testing::ManualClock,
    verify::{Instance, ResolveError, UnavailableReason, VerifierBuilder},
};

use super::{Tenant, records::Records, status};
use crate::support::{GatedSource, Reply, patient, request, send_through};

const A: &str = "https://app.a.example";
const B: &str = "https://app.b.example";

#[tokio::test]
async fn cookies_are_checked_against_the_parties_of_their_instance() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let of_a = a.config().authorized_parties([A]).expect("parties");
    let of_b = b.config().authorized_parties([B]).expect("parties");
    let verifier = Verifier::builder(of_a).instance(of_b).clock(ManualClock::new()).build().expect("a verifier");
    let layer = ClerkAuthLayer::from(verifier).token_sources([TokenSource::session_cookie()]).expect("parties are set");
    let cookie = format!("__session={}", a.token("u").authorized_party(A).sign());
    for (method, origin, expected) in
        [("GET", A, 200), ("GET", B, 403), ("POST", A, 200), ("POST", B, 403), ("POST", "https://evil.example", 403)]
    {
        let headers = [("cookie", cookie.as_str()), ("origin", origin)];
        assert_eq!(status(&layer, method, &headers).await, expected, "{method} {origin}");
    }
    let of_b_at_a = format!("__session={}", a.token("u").authorized_party(B).sign());
    assert_eq!(status(&layer, "GET", &[("cookie", &of_b_at_a)]).await, 401);
}

#[test]
fn every_configured_instance_needs_parties_for_cookies() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let of_a = a.config().authorized_parties([A]).expect("parties");
    let layer = ClerkAuthLayer::from_instances([of_a, b.config()]).expect("a layer");
    assert!(layer.token_sources([TokenSource::session_cookie()]).is_err());
}

#[tokio::test]
async fn a_resolved_instance_without_parties_accepts_no_cookies() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let configs = [a.config().authorized_parties([A]).expect("parties"), b.config()];
    let resolver = move |issuer: IssuerUrl| {
        let found = configs.iter().find(|config| config.issuers().contains(&issuer.as_str())).cloned();
        async move { Ok::<_, ResolveError>(found) }
    };
    let verifier = VerifierBuilder::new().resolver(resolver).clock(ManualClock::new()).build().expect("a verifier");
    let layer = ClerkAuthLayer::from(verifier)
        .token_sources([TokenSource::authorization(), TokenSource::session_cookie()])
        .expect("parties are checked per token");
    let (of_a, of_b) = (a.token("u").authorized_party(A).sign(), b.token("u").sign());
    let cookie = |token: &str| format!("__session={token}");
    assert_eq!(status(&layer, "GET", &[("cookie", &cookie(&of_a))]).await, 200);
    assert_eq!(status(&layer, "POST", &[("cookie", &cookie(&of_a))]).await, 403);
    assert_eq!(status(&layer, "POST", &[("cookie", &cookie(&of_a)), ("origin", A)]).await, 200);
    assert_eq!(status(&layer, "GET", &[("cookie", &cookie(&of_b))]).await, 401);
    assert_eq!(status(&layer, "GET", &[("authorization", &format!("Bearer {of_b}"))]).await, 200);
}

/// A layer over a resolver that knows the tenants, and counts its calls.
fn resolving(tenants: &[&Tenant]) -> (ClerkAuthLayer, Arc<AtomicUsize>) {
    let configs: Vec<_> =
        tenants.iter().map(|tenant| tenant.config().authorized_parties([A]).expect("parties")).collect();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let resolver = move |issuer: IssuerUrl| {
        counted.fetch_add(1, Ordering::SeqCst);
        let found = configs.iter().find(|config| config.issuers().contains(&issuer.as_str())).cloned();
        async move { Ok::<_, ResolveError>(found) }
    };
    let verifier = VerifierBuilder::new().resolver(resolver).clock(ManualClock::new()).build().expect("a verifier");
    let layer =
        ClerkAuthLayer::from(verifier).token_sources([TokenSource::session_cookie()]).expect("parties per token");
    (layer, calls)
}

fn cookies(tokens: &[String]) -> String {
    tokens.iter().map(|token| format!("__session={token}")).collect::<Vec<_>>().join("; ")
}

/// A token of an issuer that no record names.
fn made_up(name: &str) -> String {
    Tenant::new(name).token("u").authorized_party(A).sign()
}

#[tokio::test]
async fn one_request_waits_for_one_call_of_the_resolver() {
    let (layer, calls) = resolving(&[]);
    let four = cookies(&["v", "w", "x", "y"].map(made_up));
    assert_eq!(status(&layer, "GET", &[("cookie", &four)]).await, 503, "the others are not decided");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    // Each of the next requests decides one more.
    for (calls_so_far, expected) in [(2, 503), (3, 503), (4, 401), (4, 401)] {
        assert_eq!(status(&layer, "GET", &[("cookie", &four)]).await, expected);
        assert_eq!(calls.load(Ordering::SeqCst), calls_so_far);
    }
}

#[tokio::test]
async fn a_header_after_a_made_up_cookie_causes_no_second_call_at_once() {
    let tenant = Tenant::new("a");
    let (layer, calls) = resolving(&[&tenant]);
    let sources = [TokenSource::session_cookie(), TokenSource::authorization()];
    let layer = layer.token_sources(sources).expect("parties per token");
    let (cookie, bearer) =
        (cookies(&[made_up("x")]), format!("Bearer {}", tenant.token("u").authorized_party(A).sign()));
    for (expected, calls_so_far) in [(503, 1), (200, 2), (200, 2)] {
        let headers = [("cookie", cookie.as_str()), ("authorization", &bearer)];
        assert_eq!(status(&layer, "GET", &headers).await, expected);
        assert_eq!(calls.load(Ordering::SeqCst), calls_so_far);
    }
}

#[tokio::test]
async fn a_cookie_whose_issuer_the_resolver_does_not_know_is_absent() {
    let (layer, _) = resolving(&[]);
    let answer = send_through(&layer, request("GET", "/", &[("cookie", &cookies(&[made_up("x")]))])).await;
    assert_eq!((answer.status(), answer.code()), (401, "missing_token".to_owned()));
    let visitors = layer.allow_missing_token();
    assert_eq!(status(&visitors, "GET", &[("cookie", &cookies(&[made_up("y")]))]).await, 200);
}

#[tokio::test]
async fn a_made_up_issuer_does_not_lock_the_user_of_a_tenant_out() {
    let tenant = Tenant::new("a");
    let good = tenant.token("u").authorized_party(A).sign();
    let (layer, calls) = resolving(&[&tenant]);
    for tokens in [[made_up("x"), good.clone()], [good.clone(), made_up("y")]] {
        let both = cookies(&tokens);
        // The first request may find out about one of the two issuers only.
        let first = status(&layer, "GET", &[("cookie", &both)]).await;
        assert!([200, 503].contains(&first), "{first}");
        assert_eq!(status(&layer, "GET", &[("cookie", &both)]).await, 200);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    // A tenant that is cached needs no call, so a made-up issuer beside it costs no 503.
    for tokens in [[made_up("v"), good.clone()], [good.clone(), made_up("w")]] {
        assert_eq!(status(&layer, "GET", &[("cookie", &cookies(&tokens))]).await, 200);
    }
}

#[tokio::test]
async fn a_request_that_also_waits_for_keys_causes_one_call_of_the_resolver() {
    let (tenant, records) = (Tenant::new("a"), Records::new(&[]));
    let (layer, source) = fetching(&tenant, &records);
    source.always(Reply::document(tenant.issuer.jwks()));
    let both = cookies(&[tenant.token("u").authorized_party(A).sign(), made_up("x")]);
    // It waits for the call, then for the keys. The other issuer is not decided.
    assert_eq!(status(&layer, "GET", &[("cookie", &both)]).await, 503);
    assert_eq!((records.asked(), source.fetches()), (1, 1));
    assert_eq!(status(&layer, "GET", &[("cookie", &both)]).await, 200);
    assert_eq!((records.asked(), source.fetches()), (2, 1));
}

/// A layer over a resolver whose one tenant has its keys from the source.
fn fetching(tenant: &Tenant, records: &Records) -> (ClerkAuthLayer, GatedSource) {
    let source = GatedSource::new();
    let config = patient(ClerkConfig::from_frontend_api_url(&tenant.url).expect("a configuration"));
    let config = config.authorized_parties([A]).expect("parties");
    records.insert(tenant, Instance::new(config).key_source(source.clone()));
    let layer = ClerkAuthLayer::from(records.verifier(&ManualClock::new()))
        .token_sources([TokenSource::session_cookie(), TokenSource::authorization()])
        .expect("parties per token");
    (layer, source)
}

#[tokio::test]
async fn a_failed_lookup_is_why_a_request_is_unavailable() {
    let records = Records::new(&[]);
    records.fail(true);
    let layer = ClerkAuthLayer::from(records.verifier(&ManualClock::new()))
        .token_sources([TokenSource::session_cookie(), TokenSource::authorization()])
        .expect("parties per token");
    let (cookie, bearer) = (cookies(&[made_up("x")]), format!("Bearer {}", made_up("y")));
    for (asked, header) in [("cookie", cookie.as_str()), ("authorization", &bearer)].into_iter().enumerate() {
        let answer = send_through(&layer, request("GET", "/", &[header])).await;
        let reason = answer.rejection().unavailable_reason();
        assert_eq!(reason, Some(UnavailableReason::ResolverFailed));
        assert_eq!(records.asked(), asked + 1);
    }
}

#[tokio::test]
async fn a_cookie_that_is_too_long_for_its_instance_is_absent() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let of_a = a.config().authorized_parties([A]).and_then(|config| config.max_token_length(1024));
    let of_b = b.config().authorized_parties([A]);
    let configs = [of_a, of_b].map(|config| config.expect("a configuration"));
    let layer = ClerkAuthLayer::from(Verifier::from_instances(configs).expect("a verifier"))
        .token_sources([TokenSource::session_cookie()])
        .expect("parties are set");
    let long = a.token("u").authorized_party(A).claim("padding", "x".repeat(1024)).sign();
    let answer = send_through(&layer, request("GET", "/", &[("cookie", &cookies(&[long]))])).await;
    assert_eq!((answer.status(), answer.code()), (401, "missing_token".to_owned()));
}

#[tokio::test]
async fn cookies_of_two_instances_with_one_user_id_are_two_users() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let configs = [a.config(), b.config()].map(|config| config.authorized_parties([A]).expect("parties"));
    let layer = ClerkAuthLayer::from(Verifier::from_instances(configs).expect("a verifier"))
        .token_sources([TokenSource::session_cookie()])
        .expect("parties are set");
    let tokens = [a.token("u").authorized_party(A), b.token("u").authorized_party(A)];
    let live =
        tokens.map(|token| token.claim("exp", 8_000_000_000_u64).without_claim("iat").without_claim("nbf").sign());
    assert_eq!(status(&layer, "GET", &[("cookie", &cookies(&live[..1]))]).await, 200);
    assert_eq!(status(&layer, "GET", &[("cookie", &cookies(&live[1..]))]).await, 200);
    assert_eq!(status(&layer, "GET", &[("cookie", &cookies(&live))]).await, 401);
}

#[tokio::test]
async fn the_plain_cookie_of_another_instance_does_not_come_first() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let key = "pk_test_Y2xlcmsuY2xlcmsuZGV2JA";
    let of_a = a.config().authorized_parties([A]).and_then(|config| config.publishable_key(key));
    let of_b = b.config().authorized_parties([A]);
    let [of_a, of_b] = [of_a, of_b].map(|config| config.expect("a configuration"));
    let verifier = Verifier::builder(of_a).instance(of_b).clock(ManualClock::new()).build().expect("a verifier");
    let layer = ClerkAuthLayer::from(verifier).token_sources([TokenSource::session_cookie()]).expect("parties are set");
    let forged = b.token("u").claim("iss", &a.url).sign();
    // Without `__client_uat` cookies the plain one of the same instance would come first.
    for (plain, code) in [(&a, "token_expired"), (&b, "invalid_token")] {
        let expired = plain.token("u").authorized_party(A).expired().sign();
        let cookie = format!("__session_QvfNY2dr={forged}; __session={expired}");
        let answer = send_through(&layer, request("GET", "/", &[("cookie", &cookie)])).await;
        assert_eq!(answer.code(), code, "{}", plain.url);
    }
}

#[tokio::test]
async fn signing_out_of_one_instance_leaves_the_cookies_of_the_other() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    // The suffix of the first one is `QvfNY2dr`.
    let keys = ["pk_test_Y2xlcmsuY2xlcmsuZGV2JA", "pk_live_Y2xlcmsuYi5leGFtcGxlJA"];
    let configs = [(&a, keys[0]), (&b, keys[1])].map(|(tenant, key)| {
        let config = tenant.config().authorized_parties([A]).and_then(|config| config.publishable_key(key));
        config.expect("a configuration")
    });
    let [of_a, of_b] = configs;
    let verifier = Verifier::builder(of_a).instance(of_b).clock(ManualClock::new()).build().expect("a verifier");
    let layer = ClerkAuthLayer::from(verifier).token_sources([TokenSource::session_cookie()]).expect("parties are set");
    let signed_out_of_a = "__session_QvfNY2dr=; __client_uat_QvfNY2dr=0; __session";
    for (tenant, expected) in [(&a, 401), (&b, 200)] {
        let cookie = format!("{signed_out_of_a}={}", tenant.token("u").authorized_party(A).sign());
        assert_eq!(status(&layer, "GET", &[("cookie", &cookie)]).await, expected, "{}", tenant.url);
    }
}
