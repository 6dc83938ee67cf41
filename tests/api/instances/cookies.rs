use tower_clerk::{
    ClerkAuthLayer, TokenSource, Verifier,
    config::IssuerUrl,
    testing::ManualClock,
    verify::{ResolveError, VerifierBuilder},
};

use super::{Tenant, status};

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
        [("GET", B, 200), ("POST", A, 200), ("POST", B, 403), ("POST", "https://evil.example", 403)]
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
