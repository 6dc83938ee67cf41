use std::{future::ready, sync::Arc};

use tower_clerk::{
    ClerkConfig, Verifier,
    config::IssuerUrl,
    testing::ManualClock,
    verify::{Instance, ResolveError, VerifierBuilder, VerifyErrorKind},
};

use super::Metrics;
use crate::support::{GatedSource, Harness, Reply, forged, issuer, key, numbered_issuer, secs, settle, stranger};

const FETCHES: &str = "clerk_jwks_fetches_total";
const FAILED: &str = "clerk_jwks_fetch_failed";

#[tokio::test]
async fn fetches_are_counted_by_result_and_reason() {
    let metrics = Metrics::start();
    let harness = Harness::cold();
    harness.source.always(Reply::Failure);
    assert!(harness.verify(&key(0).token()).await.is_err());
    harness.pass(secs(1)).await;
    harness.publish(&[key(0)]);
    assert_eq!(harness.verify(&key(0).token()).await, Ok(()));
    assert_eq!(metrics.all(FETCHES), ["reason=first result=ok 1", "reason=first result=transport 1"]);

    assert_eq!(harness.verify(&stranger(0)).await, Err(VerifyErrorKind::UnknownKey));
    harness.pass(secs(60)).await;
    assert_eq!(harness.verify(&forged()).await, Err(VerifyErrorKind::InvalidSignature));
    assert!(harness.verifier.refresh().await.is_ok());
    harness.pass(secs(299)).await;
    assert_eq!(harness.verify(&key(0).token()).await, Ok(()));
    settle().await;
    // So old that the token waits for the refresh.
    harness.pass(secs(3600)).await;
    assert_eq!(harness.verify(&key(0).token()).await, Ok(()));
    harness.source.always(Reply::document("{}"));
    assert!(harness.verifier.refresh().await.is_err());
    harness.source.always(Reply::Panic);
    assert!(harness.verifier.refresh().await.is_err());
    assert_eq!(
        metrics.all(FETCHES),
        [
            "reason=bad_signature result=ok 1",
            "reason=first result=ok 1",
            "reason=first result=transport 1",
            "reason=refresh result=invalid_document 1",
            "reason=refresh result=ok 3",
            "reason=refresh result=panicked 1",
            "reason=unknown_kid result=ok 1",
        ]
    );
    assert_eq!(metrics.value("clerk_jwks_fetch_duration_seconds_count"), Some(9.0));
    harness.verifier.forget_keys();
    harness.publish(&[key(0)]);
    harness.pass(secs(1)).await;
    assert_eq!(harness.verify(&key(0).token()).await, Ok(()));
    assert_eq!(metrics.value(&format!("{FETCHES}{{reason=\"first\",result=\"ok\"}}")), Some(2.0));
}

fn gauges(metrics: &Metrics, labels: &str) -> (Option<f64>, Option<f64>) {
    (metrics.value(&format!("clerk_jwks_keys{labels}")), metrics.value(&format!("clerk_jwks_age_seconds{labels}")))
}

#[tokio::test]
async fn the_age_grows_through_an_outage_and_without_keys() {
    let metrics = Metrics::start();
    let harness = Harness::cold();
    harness.verifier.record_metrics();
    assert_eq!(gauges(&metrics, ""), (Some(0.0), None));
    harness.publish(&[key(0), key(1)]);
    assert!(harness.verifier.warm_up().await.is_ok());
    harness.verifier.record_metrics();
    assert_eq!(gauges(&metrics, ""), (Some(2.0), Some(0.0)));
    assert_eq!(metrics.value(FAILED), Some(0.0));
    harness.source.always(Reply::Failure);
    harness.pass(secs(4000)).await;
    assert!(harness.verifier.refresh().await.is_err());
    harness.verifier.record_metrics();
    assert_eq!(gauges(&metrics, ""), (Some(2.0), Some(4000.0)));
    assert_eq!(metrics.value(FAILED), Some(1.0));
    harness.verifier.forget_keys();
    harness.pass(secs(10)).await;
    harness.verifier.record_metrics();
    assert_eq!(gauges(&metrics, ""), (Some(0.0), Some(4010.0)));
}

#[test]
fn keys_that_are_not_fetched_have_no_age() {
    let metrics = Metrics::start();
    crate::support::verifier(issuer().config()).record_metrics();
    assert_eq!(gauges(&metrics, ""), (Some(1.0), None));
}

fn named(name: &str, number: usize, source: &GatedSource) -> Instance {
    let config = ClerkConfig::from_frontend_api_url(format!("https://clerk.{name}.example"));
    let config = config.and_then(|config| config.instance_name(name)).expect("a configuration");
    source.always(Reply::document(numbered_issuer(number).jwks()));
    Instance::new(config).key_source(source.clone())
}

#[tokio::test]
async fn several_configured_instances_are_told_apart_by_their_names() {
    let metrics = Metrics::start();
    let (one, other) = (GatedSource::new(), GatedSource::new());
    let clock = ManualClock::new();
    let verifier = VerifierBuilder::new().instance(named("live", 0, &one)).instance(named("staging", 1, &other));
    let verifier = verifier.clock(clock.clone()).build().expect("a verifier");
    assert!(verifier.warm_up().await.is_ok());
    clock.advance(secs(7));
    other.always(Reply::Failure);
    assert!(verifier.refresh().await.is_err());
    verifier.record_metrics();
    assert_eq!(
        metrics.all(FETCHES),
        [
            "instance=live reason=first result=ok 1",
            "instance=live reason=refresh result=ok 1",
            "instance=staging reason=first result=ok 1",
            "instance=staging reason=refresh result=transport 1",
        ]
    );
    assert_eq!(gauges(&metrics, "{instance=\"live\"}"), (Some(1.0), Some(0.0)));
    assert_eq!(gauges(&metrics, "{instance=\"staging\"}"), (Some(1.0), Some(7.0)));
    assert_eq!(metrics.all(FAILED), ["instance=live 0", "instance=staging 1"]);
    assert_eq!(gauges(&metrics, ""), (None, None));
    assert_eq!(metrics.value("clerk_jwks_fetch_duration_seconds_count{instance=\"live\"}"), Some(2.0));
}

#[tokio::test]
async fn one_configured_instance_has_no_label() {
    let metrics = Metrics::start();
    let source = GatedSource::new();
    let verifier = Verifier::builder(named("live", 0, &source)).clock(ManualClock::new()).build().expect("a verifier");
    assert!(verifier.warm_up().await.is_ok());
    assert_eq!(metrics.all(FETCHES), ["reason=first result=ok 1"]);
}

#[tokio::test]
async fn resolved_tenants_share_a_series_without_their_names() {
    let metrics = Metrics::start();
    let (clock, source) = (ManualClock::new(), GatedSource::new());
    source.always(Reply::document(issuer().jwks()));
    let tenants = Arc::new(source.clone());
    let resolver = move |issuer: IssuerUrl| {
        let config = ClerkConfig::from_frontend_api_url(issuer.as_str()).expect("a configuration");
        let instance = Instance::new(config).key_source(GatedSource::clone(&tenants));
        ready(Ok::<_, ResolveError>(Some(instance)))
    };
    let verifier = VerifierBuilder::new().resolver(resolver).clock(clock.clone()).build().expect("a verifier");
    verifier.record_metrics();
    assert_eq!(gauges(&metrics, ""), (Some(0.0), Some(0.0)));
    for (tenant, seconds) in [("a", 0), ("b", 5), ("c", 60)] {
        clock.advance(secs(seconds));
        let url = format!("https://clerk.{tenant}.example");
        let token = issuer().token("user_ada").claim("iss", url).claim("exp", 8_000_000_000_u64);
        assert!(verifier.verify(&token.sign()).await.is_ok());
    }
    verifier.record_metrics();
    assert_eq!(metrics.all(FETCHES), ["reason=first result=ok 3"]);
    assert_eq!(gauges(&metrics, ""), (Some(3.0), Some(65.0)));
    assert_eq!(metrics.value(FAILED), Some(0.0));
    assert!(metrics.samples().iter().all(|sample| !sample.labels.contains_key("instance")));

    // Two refresh intervals of each tenant, and a second more: nobody uses `a`, which is no fault.
    for (seconds, oldest) in [(535, 600.0), (1, 596.0), (64, 600.0), (1, 0.0)] {
        clock.advance(secs(seconds));
        verifier.record_metrics();
        assert_eq!(gauges(&metrics, ""), (Some(3.0), Some(oldest)));
    }
    // A fetch that failed is one, and its keys are as old as they are.
    source.always(Reply::Failure);
    assert!(verifier.refresh().await.is_err());
    verifier.record_metrics();
    assert_eq!((gauges(&metrics, ""), metrics.value(FAILED)), ((Some(3.0), Some(666.0)), Some(1.0)));
}

#[tokio::test]
async fn a_tenant_that_never_had_keys_is_no_failed_fetch_of_the_service() {
    let metrics = Metrics::start();
    let source = GatedSource::new();
    source.always(Reply::Failure);
    let deleted = source.clone();
    let resolver = move |issuer: IssuerUrl| {
        let config = ClerkConfig::from_frontend_api_url(issuer.as_str()).expect("a configuration");
        ready(Ok::<_, ResolveError>(Some(Instance::new(config).key_source(deleted.clone()))))
    };
    let verifier = VerifierBuilder::new().resolver(resolver).clock(ManualClock::new()).build().expect("a verifier");
    let token = issuer().token("user_ada").claim("iss", "https://clerk.deleted.example").sign();
    assert!(verifier.verify(&token).await.is_err());
    verifier.record_metrics();
    assert_eq!(metrics.all(FETCHES), ["reason=first result=transport 1"]);
    assert_eq!((gauges(&metrics, ""), metrics.value(FAILED)), ((Some(0.0), Some(0.0)), Some(0.0)));
}
