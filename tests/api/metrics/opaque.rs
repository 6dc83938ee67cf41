use tower_clerk::{
    ClerkConfig, TokenKind, Verifier,
    testing::{ManualClock, TestBackendApi},
    verify::{Instance, VerifierBuilder},
};

use super::Metrics;
use crate::support::{GatedSource, secs};

const VERIFICATIONS: &str = "clerk_backend_verifications_total";

fn instance(name: &str, api: &TestBackendApi) -> Instance {
    let config = ClerkConfig::from_frontend_api_url(format!("https://clerk.{name}.example"))
        .and_then(|config| config.instance_name(name))
        .and_then(|config| config.accept(TokenKind::all()))
        .expect("a configuration");
    Instance::new(config).key_source(GatedSource::new()).backend_api(api.clone())
}

#[tokio::test]
async fn calls_and_kept_answers_are_counted_by_kind_and_result() {
    let metrics = Metrics::start();
    let clock = ManualClock::new();
    let api = TestBackendApi::new().clock(clock.clone());
    let verifier = Verifier::builder(instance("a", &api)).clock(clock.clone()).build().expect("a verifier");
    let tokens = [api.api_key("user_ada").issue(), api.oauth_token("user_ada").issue(), api.m2m_token("mch_a").issue()];
    for _ in 0..3 {
        for token in &tokens {
            assert!(verifier.verify_principal(token).await.is_ok());
        }
        assert!(verifier.verify_principal("ak_made_up").await.is_err());
        // Malformed, so that nobody is asked.
        assert!(verifier.verify_principal("ak_").await.is_err());
    }
    assert_eq!(api.calls(), 4);
    let rows = |more: &[&str]| {
        let mut rows: Vec<_> = [
            "cached=false result=invalid token=api_key 1",
            "cached=false result=valid token=api_key 1",
            "cached=false result=valid token=m2m 1",
            "cached=false result=valid token=oauth 1",
            "cached=true result=invalid token=api_key 2",
        ]
        .iter()
        .chain(more)
        .map(|row| (*row).to_owned())
        .collect();
        rows.sort();
        rows
    };
    let kept = ["cached=true result=valid token=m2m 2", "cached=true result=valid token=oauth 2"];
    let two = "cached=true result=valid token=api_key 2";
    assert_eq!(metrics.all(VERIFICATIONS), rows(&[kept[0], kept[1], two]));

    // The old answer serves while the call fails.
    clock.advance(secs(61));
    api.serve_status(500);
    assert!(verifier.verify_principal(&tokens[0]).await.is_ok());
    assert_eq!(
        metrics.all(VERIFICATIONS),
        rows(&[
            kept[0],
            kept[1],
            "cached=true result=valid token=api_key 3",
            "cached=false result=unavailable token=api_key 1"
        ])
    );
    // A token without an answer gets 503, and no call in the back-off: no answer, so nothing is counted.
    for _ in 0..2 {
        assert!(verifier.verify_principal("mt_new").await.is_err());
    }
    let failed = format!("{VERIFICATIONS}{{cached=\"false\",result=\"unavailable\",token=\"m2m\"}}");
    assert_eq!(metrics.value(&failed), Some(1.0));
}

#[tokio::test]
async fn paid_calls_begin_at_zero_when_metrics_are_read_first() {
    let metrics = Metrics::start();
    let api = TestBackendApi::new();
    let config = ClerkConfig::from_frontend_api_url("https://clerk.a.example")
        .and_then(|config| config.accept([TokenKind::Session, TokenKind::ApiKey]))
        .expect("a configuration");
    let verifier = Verifier::builder(Instance::new(config).key_source(GatedSource::new()).backend_api(api.clone()));
    let verifier = verifier.build().expect("a verifier");
    verifier.record_metrics();
    let rows = |invalid: u8, valid: u8| {
        [
            format!("cached=false result=invalid token=api_key {invalid}"),
            "cached=false result=unavailable token=api_key 0".to_owned(),
            format!("cached=false result=valid token=api_key {valid}"),
        ]
    };
    assert_eq!(metrics.all(VERIFICATIONS), rows(0, 0));
    assert!(verifier.verify_principal(&api.api_key("user_ada").issue()).await.is_ok());
    verifier.record_metrics();
    assert_eq!(metrics.all(VERIFICATIONS), rows(0, 1));
    assert!(verifier.verify_principal("ak_made_up").await.is_err());
    assert_eq!(metrics.all(VERIFICATIONS), rows(1, 1));

    let sessions = crate::support::verifier(crate::support::issuer().config());
    let metrics = Metrics::start();
    sessions.record_metrics();
    assert_eq!(metrics.all(VERIFICATIONS), [""; 0]);
}

#[tokio::test]
async fn calls_name_the_instance_that_was_asked_if_there_are_several() {
    let metrics = Metrics::start();
    let (live, staging) = (TestBackendApi::new(), TestBackendApi::new());
    let builder = VerifierBuilder::new().instance(instance("live", &live)).instance(instance("staging", &staging));
    let verifier = builder.build().expect("a verifier");
    let key = staging.api_key("user_ada").issue();
    for _ in 0..2 {
        assert!(verifier.verify_principal(&key).await.is_ok());
    }
    assert_eq!(
        metrics.all(VERIFICATIONS),
        [
            "cached=false instance=live result=invalid token=api_key 1",
            "cached=false instance=staging result=valid token=api_key 1",
            "cached=true result=valid token=api_key 1",
        ]
    );
}
