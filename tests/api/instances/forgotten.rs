//! `forget_instance` and `forget_instances`.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tower_clerk::{
    ClerkConfig, Verifier,
    testing::ManualClock,
    verify::{Instance, UnavailableReason, VerifyErrorKind},
};

use super::{
    Tenant,
    records::{Records, settle, until_asked},
    verify,
};
use crate::support::{GatedSource, THREADS, patient, verdicts_after, within};

const UNKNOWN: VerifyErrorKind = VerifyErrorKind::InvalidIssuer;

#[tokio::test]
async fn a_removed_tenant_is_rejected_from_the_next_request_on() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let records = Records::new(&[&a, &b]);
    let verifier = records.verifier(&ManualClock::new());
    let (cached, other) = (a.token("u").sign(), b.token("u").sign());
    assert!(verify(&verifier, &cached).await.is_ok() && verify(&verifier, &other).await.is_ok());
    records.remove(&a);
    assert!(verify(&verifier, &cached).await.is_ok(), "nobody has said so");
    verifier.forget_instance(&a.issuer_url());
    assert_eq!(verify(&verifier, &cached).await, Err(UNKNOWN));
    assert_eq!(verify(&verifier, &a.token("u").sign()).await, Err(UNKNOWN));
    assert!(verifier.try_verify(&other).is_ok(), "the other tenant is still cached");
}

#[tokio::test]
async fn a_removed_tenant_is_rejected_on_every_thread() {
    let tenant = Tenant::new("a");
    let records = Records::new(&[&tenant]);
    let verifier = records.verifier(&ManualClock::new());
    let token = tenant.token("u").sign();
    assert!(verify(&verifier, &token).await.is_ok());
    let verdicts = verdicts_after(&verifier, &token, || {
        records.remove(&tenant);
        verifier.forget_instance(&tenant.issuer_url());
    });
    assert_eq!(verdicts.len(), THREADS);
    assert!(verdicts.iter().all(Result::is_err), "{verdicts:?}");
}

#[tokio::test]
async fn all_instances_are_forgotten_at_once() {
    let tenants = ["a", "b", "c"].map(Tenant::new);
    let records = Records::new(&tenants.iter().collect::<Vec<_>>());
    let verifier = records.verifier(&ManualClock::new());
    let tokens = tenants.each_ref().map(|tenant| tenant.token("u").sign());
    for token in &tokens {
        assert!(verify(&verifier, token).await.is_ok());
    }
    records.remove(&tenants[0]);
    records.remove(&tenants[2]);
    verifier.forget_instances();
    assert!(verifier.keys_status_by_instance().is_empty());
    for (token, is_there) in tokens.iter().zip([false, true, false]) {
        assert_eq!(verify(&verifier, token).await.is_ok(), is_there);
    }
    assert_eq!(records.asked(), 6);
}

#[tokio::test]
async fn a_tenant_registered_after_its_issuer_was_tried_gets_in_at_once() {
    let a = Tenant::new("a");
    let records = Records::new(&[]);
    let clock = ManualClock::new();
    let verifier = records.verifier(&clock);
    assert_eq!(verify(&verifier, &a.token("u").sign()).await, Err(UNKNOWN));
    clock.advance(Duration::from_secs(1));
    records.insert(&a, a.instance());
    assert_eq!(verify(&verifier, &a.token("u").sign()).await, Err(UNKNOWN), "for up to a minute");
    verifier.forget_instance(&a.issuer_url());
    assert!(verify(&verifier, &a.token("u").sign()).await.is_ok());

    // Also while strangers have used up their limit.
    let b = Tenant::new("b");
    assert_eq!(verify(&verifier, &b.token("u").sign()).await, Err(UNKNOWN));
    for number in 0..100 {
        let made_up = a.token("u").claim("iss", format!("https://x{number}.example")).sign();
        assert!(verify(&verifier, &made_up).await.is_err());
    }
    records.insert(&b, b.instance());
    verifier.forget_instance(&b.issuer_url());
    assert!(verify(&verifier, &b.token("u").sign()).await.is_ok());
}

#[tokio::test]
async fn without_it_a_registered_tenant_gets_in_after_a_minute() {
    let a = Tenant::new("a");
    let records = Records::new(&[]);
    let clock = ManualClock::new();
    let verifier = records.verifier(&clock);
    assert_eq!(verify(&verifier, &a.token("u").sign()).await, Err(UNKNOWN));
    records.insert(&a, a.instance());
    clock.advance(Duration::from_secs(60) - Duration::from_nanos(1));
    assert_eq!(verify(&verifier, &a.token("u").sign()).await, Err(UNKNOWN));
    clock.advance(Duration::from_nanos(1));
    assert!(verify(&verifier, &a.token("u").sign()).await.is_ok());
}

#[tokio::test]
async fn a_lookup_in_flight_that_has_read_the_old_records_does_not_count() {
    let a = Tenant::new("a");
    let records = Records::new(&[&a]).closed();
    let verifier = records.verifier(&ManualClock::new());
    let token = a.token("u").sign();
    let waiting = tokio::spawn({
        let (verifier, token) = (verifier.clone(), token.clone());
        async move { verify(&verifier, &token).await }
    });
    until_asked(&records, 1).await;
    records.remove(&a);
    verifier.forget_instance(&a.issuer_url());
    records.gate.add_permits(10);
    assert_eq!(within(waiting).await.expect("no panic"), Err(UNKNOWN), "it asked again");
    assert_eq!(verify(&verifier, &token).await, Err(UNKNOWN));
    assert_eq!(records.asked(), 2);
}

#[tokio::test]
async fn a_forgotten_instance_gets_new_keys() {
    let a = Tenant::new("a");
    let source = GatedSource::serving(a.issuer.jwks());
    let config = ClerkConfig::from_frontend_api_url(&a.url).expect("a configuration");
    let records = Records::new(&[]);
    records.insert(&a, Instance::new(config).key_source(source.clone()));
    let verifier = records.verifier(&ManualClock::new());
    let token = a.token("u").sign();
    assert!(verify(&verifier, &token).await.is_ok());
    verifier.forget_instance(&a.issuer_url());
    assert!(verify(&verifier, &token).await.is_ok());
    assert_eq!((source.fetches(), records.asked()), (2, 2));
}

#[tokio::test]
async fn an_instance_with_several_issuers_is_forgotten_under_all_of_them() {
    let (a, alias) = (Tenant::new("a"), Tenant { url: "https://proxy.a.example".to_owned(), ..Tenant::new("a") });
    let source = GatedSource::serving(a.issuer.jwks());
    let config = ClerkConfig::from_frontend_api_url(&a.url).and_then(|config| config.add_issuer(&alias.url));
    let instance = Instance::new(config.expect("a configuration")).key_source(source.clone());
    let records = Records::new(&[]);
    records.insert(&a, instance.clone());
    records.insert(&alias, instance);
    let verifier = records.verifier(&ManualClock::new());
    let tokens = [&a, &alias].map(|tenant| tenant.token("u").sign());
    for token in &tokens {
        assert!(verify(&verifier, token).await.is_ok());
    }
    assert_eq!((source.fetches(), records.asked()), (1, 2), "one instance, whose keys both use");
    records.remove(&a);
    records.remove(&alias);
    verifier.forget_instance(&a.issuer_url());
    for token in &tokens {
        assert_eq!(verify(&verifier, token).await, Err(UNKNOWN));
    }
}

#[tokio::test]
async fn a_tenant_removed_while_its_late_instance_is_looked_up_is_rejected() {
    let (a, clock) = (Tenant::new("a"), ManualClock::new());
    let mut records = Records::new(&[&a]);
    records.gate = Arc::new(Semaphore::new(1));
    let verifier = records.verifier(&clock);
    let token = a.token("u").lifetime(Duration::from_secs(3600)).sign();
    assert!(verify(&verifier, &token).await.is_ok());
    clock.advance(Duration::from_secs(1800));
    let waiting = tokio::spawn({
        let verifier = verifier.clone();
        async move { verify(&verifier, &token).await }
    });
    until_asked(&records, 2).await;
    records.remove(&a);
    verifier.forget_instance(&a.issuer_url());
    records.gate.add_permits(10);
    assert_eq!(within(waiting).await.expect("no panic"), Err(UNKNOWN));
}

#[tokio::test]
async fn forgetting_an_instance_stops_the_fetch_of_its_keys() {
    let forget: [fn(&Verifier, &Tenant); 2] =
        [|verifier, tenant| verifier.forget_instance(&tenant.issuer_url()), |verifier, _| verifier.forget_instances()];
    for forget in forget {
        let (a, clock, records) = (Tenant::new("a"), ManualClock::new(), Records::new(&[]));
        let source = GatedSource::serving(a.issuer.jwks());
        let config = patient(ClerkConfig::from_frontend_api_url(&a.url).expect("a configuration"));
        records.insert(&a, Instance::new(config).key_source(source.clone()));
        let verifier = records.verifier(&clock);
        // The token cache holds the instance, and with it the keys.
        let cached = a.token("u").lifetime(Duration::from_secs(3600)).sign();
        assert!(verify(&verifier, &cached).await.is_ok());
        source.hold();
        clock.advance(Duration::from_secs(299));
        assert!(verify(&verifier, &cached).await.is_ok());
        source.started(2).await;
        forget(&verifier, &a);
        source.over(2).await;
    }
}

#[tokio::test]
async fn lookups_before_all_instances_were_forgotten_do_not_count() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let records = Records::new(&[&a]).closed();
    let verifier = records.verifier(&ManualClock::new());
    let waiting = tokio::spawn({
        let (verifier, token) = (verifier.clone(), a.token("u").sign());
        async move { verify(&verifier, &token).await }
    });
    until_asked(&records, 1).await;
    records.remove(&a);
    verifier.forget_instances();
    records.gate.add_permits(10);
    assert_eq!(within(waiting).await.expect("no panic"), Err(UNKNOWN));
    assert_eq!(records.asked(), 2);
    // A lookup that has ended is asked again too.
    assert_eq!(verify(&verifier, &b.token("u").sign()).await, Err(UNKNOWN));
    records.insert(&b, b.instance());
    verifier.forget_instances();
    assert!(verify(&verifier, &b.token("u").sign()).await.is_ok());
}

#[tokio::test]
async fn a_token_waits_for_two_stopped_lookups_at_most() {
    let a = Tenant::new("a");
    let records = Records::new(&[&a]).closed();
    let verifier = records.verifier(&ManualClock::new());
    let waiting = tokio::spawn({
        let (verifier, token) = (verifier.clone(), a.token("u").sign());
        async move { verify(&verifier, &token).await }
    });
    for lookup in 1..=2 {
        until_asked(&records, lookup).await;
        verifier.forget_instance(&a.issuer_url());
    }
    assert_eq!(within(waiting).await.expect("no panic"), Err(VerifyErrorKind::KeysUnavailable));
    assert_eq!(records.asked(), 2);
}

#[tokio::test]
async fn configured_instances_are_not_forgotten() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let records = Records::new(&[&b]);
    let verifier = records.builder(&ManualClock::new()).instance(a.config()).build().expect("a verifier");
    verifier.forget_instance(&a.issuer_url());
    verifier.forget_instances();
    assert!(verify(&verifier, &a.token("u").sign()).await.is_ok());
    assert_eq!(records.asked(), 0);
}

#[tokio::test]
async fn an_issuer_that_was_just_unknown_is_not_resolved_ahead() {
    let (a, records) = (Tenant::new("a"), Records::new(&[]));
    let verifier = records.verifier(&ManualClock::new());
    for _ in 0..2 {
        let error = verifier.resolve_ahead([a.issuer_url()]).await.expect_err("no such tenant");
        assert_eq!(error.kind(), UNKNOWN);
    }
    assert_eq!(records.asked(), 1);
}

#[tokio::test]
async fn instances_resolved_ahead_make_no_request_wait() {
    let tenants = ["a", "b", "c"].map(Tenant::new);
    let records = Records::new(&[&tenants[0], &tenants[1]]);
    let verifier = records.verifier(&ManualClock::new());
    let known = tenants[..2].iter().map(Tenant::issuer_url);
    assert!(verifier.resolve_ahead(known.clone()).await.is_ok());
    for tenant in &tenants[..2] {
        assert!(verifier.try_verify(&tenant.token("u").sign()).is_ok());
    }
    assert!(verifier.resolve_ahead(known).await.is_ok());
    assert_eq!(records.asked(), 2, "cached instances are not looked up again");
    let error = verifier.resolve_ahead([tenants[2].issuer_url()]).await.expect_err("an unknown issuer");
    assert_eq!(error.kind(), UNKNOWN);
    records.fail(true);
    let d = Tenant::new("d");
    let error = verifier.resolve_ahead([d.issuer_url()]).await.expect_err("the database is down");
    assert_eq!(error.unavailable_reason(), Some(UnavailableReason::ResolverFailed));
}

#[tokio::test]
async fn resolving_ahead_makes_as_many_calls_as_the_limits_allow() {
    let records = Records::new(&[]).closed();
    let verifier = records.verifier(&ManualClock::new());
    let issuers: Vec<_> =
        (0..40).map(|number| format!("https://t{number}.example").parse().expect("an issuer")).collect();
    let resolving = tokio::spawn(async move { verifier.resolve_ahead(issuers).await });
    until_asked(&records, 16).await;
    records.gate.add_permits(40);
    assert_eq!(within(resolving).await.expect("no panic").map_err(|error| error.kind()), Err(UNKNOWN));
    settle(&records, 40).await;
    assert_eq!((records.asked(), records.most_at_once.load(Ordering::SeqCst)), (40, 16));
}

#[test]
fn resolving_ahead_needs_a_runtime_and_says_so() {
    let a = Tenant::new("a");
    let verifier = Records::new(&[&a]).verifier(&ManualClock::new());
    let error = verifier.resolve_ahead([a.issuer_url()]).now_or_never().expect("no wait").expect_err("no runtime");
    assert_eq!(error.unavailable_reason(), Some(UnavailableReason::NoRuntime));
}
