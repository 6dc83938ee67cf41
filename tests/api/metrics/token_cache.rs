use tower_clerk::{TokenKind, Verifier, testing::TestIssuer};

use super::Metrics;
use crate::support::{issuer, secs, token};

fn counts(metrics: &Metrics) -> [Option<f64>; 3] {
    ["hits", "misses", "evictions"].map(|name| metrics.value(&format!("clerk_token_cache_{name}_total")))
}

fn gauges(metrics: &Metrics) -> [Option<f64>; 2] {
    ["entries", "bytes"].map(|name| metrics.value(&format!("clerk_token_cache_{name}")))
}

#[test]
fn hits_misses_and_evictions_are_counted() {
    let metrics = Metrics::start();
    let clock = tower_clerk::testing::ManualClock::new();
    let verifier = Verifier::builder(issuer().config()).clock(clock.clone()).token_cache_entries(3);
    let verifier = verifier.build().expect("a verifier");
    let one = token().sign();
    for _ in 0..3 {
        assert!(verifier.try_verify(&one).is_ok());
    }
    assert!(verifier.try_verify("not.a.token").is_err());
    assert_eq!(counts(&metrics), [Some(2.0), Some(2.0), Some(0.0)]);
    for number in 0..10 {
        assert!(verifier.try_verify(&token().claim("n", number).sign()).is_ok());
    }
    let evicted = verifier.token_cache_status().entries;
    assert_eq!(counts(&metrics), [Some(2.0), Some(12.0), Some(f64::from(11 - u32::try_from(evicted).expect("few")))]);
    // One that has expired is a miss.
    let last = token().claim("n", "last").sign();
    assert!(verifier.try_verify(&last).is_ok());
    clock.advance(secs(3600));
    assert!(verifier.try_verify(&last).is_err());
    assert_eq!((counts(&metrics)[0], counts(&metrics)[1]), (Some(2.0), Some(14.0)));
}

#[test]
fn the_gauges_are_set_when_they_are_asked_for() {
    let metrics = Metrics::start();
    let verifier = crate::support::verifier(issuer().config());
    verifier.record_metrics();
    assert_eq!(gauges(&metrics), [Some(0.0), Some(0.0)]);
    assert!(verifier.try_verify(&token().sign()).is_ok());
    assert_eq!(gauges(&metrics), [Some(0.0), Some(0.0)]);
    verifier.record_metrics();
    let bytes = verifier.token_cache_status().bytes;
    assert!(bytes > 1000);
    assert_eq!(gauges(&metrics), [Some(1.0), Some(f64::from(u32::try_from(bytes).expect("few")))]);
}

#[test]
fn without_a_token_cache_there_are_no_metrics_of_one() {
    let metrics = Metrics::start();
    let clock = tower_clerk::testing::ManualClock::new();
    let verifier = Verifier::builder(issuer().config()).clock(clock).without_token_cache();
    let verifier = verifier.build().expect("a verifier");
    assert!(verifier.try_verify(&token().sign()).is_ok());
    verifier.record_metrics();
    assert_eq!((counts(&metrics), gauges(&metrics)), ([None; 3], [None; 2]));
}

#[tokio::test]
async fn opaque_tokens_are_not_looked_up_there() {
    let metrics = Metrics::start();
    let issuer = TestIssuer::start().await.expect("an issuer");
    let config = issuer.config().secret_key("sk_test_abc").and_then(|config| config.accept(TokenKind::all()));
    let config = config.and_then(|config| config.api_url(issuer.backend_api().url()));
    let verifier = Verifier::new(config.expect("kinds")).expect("a verifier");
    let key = issuer.backend_api().api_key("user_ada").issue();
    for _ in 0..2 {
        assert!(verifier.verify_principal(&key).await.is_ok());
    }
    assert_eq!(counts(&metrics), [None; 3]);
}
