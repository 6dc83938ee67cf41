use tower_clerk::{
    ClerkAuthLayer, ClerkConfig, ConfigError, Verifier,
    jwks::FetchErrorKind,
    testing::{ManualClock, TestIssuer},
    verify::{Instance, VerifyErrorKind},
};

use super::{Tenant, status, verify};
use crate::support::{GatedSource, Reply, bearer, failing_source, secs, settle};

fn both(a: &Tenant, b: &Tenant) -> Verifier {
    Verifier::builder(a.config()).instance(b.config()).clock(ManualClock::new()).build().expect("a verifier")
}

#[tokio::test]
async fn each_token_is_verified_by_its_own_instance() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let verifier = both(&a, &b);
    for tenant in [&a, &b] {
        let verified = verify(&verifier, &tenant.token("user_ada").sign()).await;
        assert_eq!(verified, Ok(("user_ada".to_owned(), tenant.url.clone())));
    }
    let stranger = Tenant::new("c").token("user_eve").sign();
    assert_eq!(verify(&verifier, &stranger).await, Err(VerifyErrorKind::InvalidIssuer));
}

#[tokio::test]
async fn the_key_of_another_instance_is_rejected() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    assert_eq!(a.issuer.kid(), b.issuer.kid());
    let verifier = both(&a, &b);
    for (signer, claimed) in [(&a, &b), (&b, &a)] {
        let forged = signer.token("user_eve").claim("iss", &claimed.url).sign();
        assert_eq!(verify(&verifier, &forged).await, Err(VerifyErrorKind::InvalidSignature));
    }
}

#[tokio::test]
async fn an_issuer_that_is_not_a_string_selects_no_instance() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let verifier = both(&a, &b);
    assert_eq!(verify(&verifier, &a.token("u").without_claim("iss").sign()).await, Err(VerifyErrorKind::InvalidIssuer));
    for iss in [serde_json::json!(null), serde_json::json!([a.url]), serde_json::json!(7), serde_json::json!("")] {
        let token = a.token("u").claim("iss", iss).sign();
        assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::InvalidIssuer));
    }
    let slash = a.token("u").claim("iss", format!("{}/", a.url)).sign();
    assert_eq!(verify(&verifier, &slash).await, Err(VerifyErrorKind::InvalidIssuer));
}

#[tokio::test]
async fn parties_audience_and_templates_are_per_instance() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let strict = a.config().authorized_parties(["https://a.example"]).expect("parties");
    let strict = strict.audience(["api"]).expect("an audience");
    let lenient = b.config().allow_template_tokens();
    let verifier = Verifier::builder(strict).instance(lenient).clock(ManualClock::new()).build().expect("a verifier");
    assert_eq!(verify(&verifier, &a.token("u").sign()).await, Err(VerifyErrorKind::InvalidAuthorizedParty));
    let other_audience = a.token("u").authorized_party("https://a.example").sign();
    assert_eq!(verify(&verifier, &other_audience).await, Err(VerifyErrorKind::InvalidAudience));
    let good = a.token("u").authorized_party("https://a.example").claim("aud", "api");
    assert!(verify(&verifier, &good.sign()).await.is_ok());
    let template = good.header("cat", "cl_B7d4PD222AAA").sign();
    assert_eq!(verify(&verifier, &template).await, Err(VerifyErrorKind::UnsupportedCategory));
    let template = b.token("u").header("cat", "cl_B7d4PD222AAA").without_claim("sid").sign();
    assert!(verify(&verifier, &template).await.is_ok());
    assert!(verify(&verifier, &b.token("u").sign()).await.is_ok());
}

#[test]
fn instances_need_distinct_issuers() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let error = |instances: Vec<ClerkConfig>| Verifier::from_instances(instances).expect_err("a mistake");
    let twice = error(vec![a.config(), b.config(), a.config()]);
    let text = "instances[0].issuer and instances[2].issuer: two instances have the same issuer";
    assert_eq!(twice.to_string(), text);
    let further = b.config().add_issuer(&a.url).expect("an issuer");
    assert!(matches!(error(vec![a.config(), further]), ConfigError::Conflict { .. }));
    let nameless = ClerkConfig::from_jwks(b.issuer.jwks()).expect("a configuration");
    let missing = error(vec![a.config(), nameless.clone()]);
    assert!(matches!(&missing, ConfigError::Missing { setting, .. } if setting.name() == "instances[1].issuer"));
    assert!(matches!(error(vec![]), ConfigError::Missing { .. }));
    assert!(Verifier::new(nameless).is_ok());
    let same_twice = a.config().add_issuer(&a.url).expect("an issuer");
    assert!(Verifier::from_instances([same_twice, b.config()]).is_ok());
}

#[tokio::test]
async fn instances_at_one_url_with_different_secrets_share_nothing() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let backend = TestIssuer::start().await.expect("a socket");
    let with_secret = |tenant: &Tenant, secret: &str| {
        let config = ClerkConfig::from_secret_key(secret).and_then(|config| config.api_url(backend.url()));
        config.and_then(|config| config.add_issuer(&tenant.url)).expect("a configuration")
    };
    let (of_a, of_b) = (with_secret(&a, "sk_test_a"), with_secret(&b, "sk_test_b"));
    let verifier = Verifier::builder(of_a).instance(of_b).clock(ManualClock::new()).build().expect("a verifier");
    for (tenant, other, secret) in [(&a, &b, "sk_test_a"), (&b, &a, "sk_test_b")] {
        backend.serve_document(tenant.issuer.jwks());
        assert!(verify(&verifier, &tenant.token("u").sign()).await.is_ok());
        assert_eq!(backend.last_authorization(), Some(format!("Bearer {secret}")));
        let forged = other.token("u").claim("iss", &tenant.url).sign();
        assert_eq!(verify(&verifier, &forged).await, Err(VerifyErrorKind::InvalidSignature));
    }
    assert_eq!(backend.fetches(), 2);
    assert!(verify(&verifier, &a.token("u").sign()).await.is_ok());
}

#[tokio::test]
async fn an_outage_of_one_instance_does_not_affect_another() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let verifier = Verifier::builder(Instance::new(a.config()).key_source(failing_source()))
        .instance(b.config())
        .clock(ManualClock::new())
        .build()
        .expect("a verifier");
    assert_eq!(verify(&verifier, &a.token("u").sign()).await, Err(VerifyErrorKind::KeysUnavailable));
    assert!(verify(&verifier, &b.token("u").sign()).await.is_ok());
    assert!(verifier.warm_up().await.is_err());
    let status = verifier.keys_status();
    assert!(status.keys == 0 && status.last_error.is_some(), "{status:?}");
    let by_instance = verifier.keys_status_by_instance();
    let keys: Vec<_> = by_instance.iter().map(|(name, status)| (name.as_str(), status.keys)).collect();
    assert_eq!(keys, [(a.url.as_str(), 0), (b.url.as_str(), 1)]);
}

#[tokio::test]
async fn the_status_is_that_of_the_worst_instance() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let (of_a, of_b) = (GatedSource::serving(a.issuer.jwks()), GatedSource::serving(b.issuer.jwks()));
    let instance = |tenant: &Tenant, source: &GatedSource| {
        let config = ClerkConfig::from_frontend_api_url(&tenant.url).expect("a configuration");
        Instance::new(config).key_source(source.clone())
    };
    let clock = ManualClock::new();
    let verifier = Verifier::builder(instance(&a, &of_a)).instance(instance(&b, &of_b)).clock(clock.clone()).build();
    let verifier = verifier.expect("a verifier");
    let use_after = async |seconds: u64, tenant: &Tenant| {
        clock.advance(secs(seconds));
        let token = tenant.token("u").lifetime(secs(3600)).sign();
        assert!(verify(&verifier, &token).await.is_ok());
        settle().await;
        let status = verifier.keys_status();
        (status.keys, status.last_error, status.age)
    };
    use_after(0, &a).await;
    of_a.always(Reply::Failure);
    assert_eq!(use_after(270, &a).await, (0, None, None), "one without keys");
    let failed = Some(FetchErrorKind::Transport);
    assert_eq!(use_after(0, &b).await, (1, failed, Some(secs(270))), "one whose last fetch failed");
    of_a.always(Reply::document(a.issuer.jwks()));
    assert_eq!(use_after(30, &a).await, (1, None, Some(secs(30))), "the older set");
    of_a.always(Reply::Failure);
    assert_eq!(use_after(270, &a).await, (1, failed, Some(secs(270))), "a failure before an older set");
}

#[tokio::test]
async fn a_key_source_belongs_to_its_instance_alone() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let elsewhere = ClerkConfig::from_frontend_api_url(&a.url).expect("a configuration");
    let verifier = Verifier::builder(b.config())
        .instance(Instance::new(elsewhere).key_source(GatedSource::serving(a.issuer.jwks())))
        .clock(ManualClock::new());
    let verifier = verifier.build().expect("a verifier");
    for tenant in [&a, &b] {
        assert!(verify(&verifier, &tenant.token("u").sign()).await.is_ok());
    }
}

#[tokio::test]
async fn a_layer_trusts_several_instances() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let layer = ClerkAuthLayer::from(both(&a, &b));
    for (token, expected) in [
        (a.token("u").sign(), 200),
        (b.token("u").sign(), 200),
        (Tenant::new("c").token("u").sign(), 401),
        (a.token("u").claim("iss", &b.url).sign(), 401),
    ] {
        assert_eq!(status(&layer, "GET", &[("authorization", &format!("Bearer {token}"))]).await, expected);
    }
    assert!(ClerkAuthLayer::from_instances([a.config(), b.config()]).is_ok());
}

#[tokio::test]
async fn the_maximum_token_length_is_per_instance() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let long = |tenant: &Tenant| tenant.token("u").claim("pad", "x".repeat(2000)).sign();
    let short = a.config().max_token_length(1024).expect("a length");
    let verifier = Verifier::builder(short).instance(b.config()).clock(ManualClock::new()).build().expect("a verifier");
    assert_eq!(verify(&verifier, &long(&a)).await, Err(VerifyErrorKind::TooLong));
    let unknown = a.token("u").claim("pad", "x".repeat(1500)).header("kid", "ins_unknown").sign();
    assert_eq!(verify(&verifier, &unknown).await, Err(VerifyErrorKind::TooLong));
    assert!(verify(&verifier, &long(&b)).await.is_ok());
}

#[tokio::test]
async fn a_token_too_long_for_its_instance_is_a_malformed_request() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let short = a.config().max_token_length(1024).expect("a length");
    let verifier = Verifier::builder(short).instance(b.config()).clock(ManualClock::new()).build().expect("a verifier");
    let layer = ClerkAuthLayer::from(verifier);
    for (tenant, expected) in [(&a, 400), (&b, 200)] {
        let long = bearer(&tenant.token("u").claim("pad", "x".repeat(2000)));
        assert_eq!(status(&layer, "GET", &[("authorization", &long)]).await, expected);
    }
}
