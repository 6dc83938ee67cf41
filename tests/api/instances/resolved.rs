use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::FutureExt;
use tower_clerk::{
    ClerkAuthLayer, ClerkConfig, Verifier,
    config::IssuerUrl,
    testing::ManualClock,
    verify::{Instance, ResolveError, UnavailableReason, VerifierBuilder, VerifyErrorKind},
};

use super::{
    Tenant,
    records::{Records, settle, until_asked},
    status, verify,
};
use crate::support::{GatedSource, Reply, bearer};

#[tokio::test]
async fn a_tenant_is_resolved_once_and_cached() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let records = Records::new(&[&a]);
    let verifier = records.verifier(&ManualClock::new());
    for _ in 0..3 {
        assert_eq!(verify(&verifier, &a.token("u").sign()).await, Ok(("u".to_owned(), a.url.clone())));
        assert_eq!(verify(&verifier, &b.token("u").sign()).await, Err(VerifyErrorKind::InvalidIssuer));
    }
    assert_eq!(*records.asked.lock().expect("a list"), [a.url.clone(), b.url.clone()]);
    let forged = b.token("u").claim("iss", &a.url).sign();
    assert_eq!(verify(&verifier, &forged).await, Err(VerifyErrorKind::InvalidSignature));
}

#[tokio::test]
async fn configured_instances_are_not_resolved() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let records = Records::new(&[&b]);
    let inner = records.clone();
    let verifier = Verifier::builder(a.config())
        .resolver(move |issuer: IssuerUrl| inner.clone().resolve(issuer))
        .clock(ManualClock::new())
        .build()
        .expect("a verifier");
    assert!(verify(&verifier, &a.token("u").sign()).await.is_ok());
    assert_eq!(records.asked(), 0);
    assert!(verify(&verifier, &b.token("u").sign()).await.is_ok());
    assert_eq!(records.asked(), 1);
}

#[tokio::test]
async fn tokens_that_no_instance_accepts_are_not_resolved() {
    let a = Tenant::new("a");
    let records = Records::new(&[&a]);
    let verifier = records.verifier(&ManualClock::new());
    for (token, kind) in [
        ("a.b.c".to_owned(), VerifyErrorKind::Malformed),
        (a.token("u").header("alg", "none").sign(), VerifyErrorKind::UnsupportedAlgorithm),
        (a.token("u").header("typ", "at+jwt").sign(), VerifyErrorKind::TokenKindNotAccepted),
        (a.token("mch_a").sign(), VerifyErrorKind::TokenKindNotAccepted),
        (a.token("u").header("crit", ["exp"]).sign(), VerifyErrorKind::CriticalHeader),
        (a.token("u").header("cat", "cl_B7d4PD333AAA").sign(), VerifyErrorKind::TokenKindNotAccepted),
        (a.token("u").without_claim("iss").sign(), VerifyErrorKind::InvalidIssuer),
        (a.token("u").claim("iss", "http://clerk.a.example").sign(), VerifyErrorKind::InvalidIssuer),
        (a.token("u").claim("iss", "https://127.0.0.1").sign(), VerifyErrorKind::InvalidIssuer),
        (a.token("u").claim("iss", "https://169.254.169.254/latest").sign(), VerifyErrorKind::InvalidIssuer),
        (a.token("u").claim("iss", "https://clerk.a.example:8443").sign(), VerifyErrorKind::InvalidIssuer),
        (a.token("u").claim("iss", "https://x@clerk.a.example").sign(), VerifyErrorKind::InvalidIssuer),
        (a.token("u").claim("iss", format!("https://{}.b", "a".repeat(300))).sign(), VerifyErrorKind::InvalidIssuer),
    ] {
        assert_eq!(verify(&verifier, &token).await, Err(kind));
    }
    assert_eq!(records.asked(), 0);
}

#[tokio::test]
async fn concurrent_requests_for_one_tenant_resolve_once() {
    let a = Tenant::new("a");
    let records = Records::new(&[&a]).closed();
    let verifier = records.verifier(&ManualClock::new());
    let token = a.token("u").sign();
    let herd: Vec<_> = (0..200)
        .map(|_| {
            let (verifier, token) = (verifier.clone(), token.clone());
            tokio::spawn(async move { verify(&verifier, &token).await })
        })
        .collect();
    while records.asked() == 0 {
        tokio::task::yield_now().await;
    }
    records.gate.add_permits(1);
    for one in herd {
        assert!(one.await.expect("no panic").is_ok());
    }
    assert_eq!(records.asked(), 1);
}

#[tokio::test]
async fn unknown_issuers_run_at_most_twelve_concurrent_lookups() {
    let records = Records::new(&[]).closed();
    let clock = ManualClock::new();
    let verifier = records.verifier(&clock);
    let signer = Tenant::new("x");
    let token = |index: usize| signer.token("u").claim("iss", format!("https://t{index}.example")).sign();
    let waiting: Vec<_> = (0..12)
        .map(|index| {
            let (verifier, token) = (verifier.clone(), token(index));
            tokio::spawn(async move { verify(&verifier, &token).await })
        })
        .collect();
    until_asked(&records, 12).await;
    let last = token(12);
    let last = tokio::spawn(async move { verify(&verifier, &last).await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(records.asked(), 12, "the last one waits for a place");
    records.gate.add_permits(13);
    for one in waiting.into_iter().chain([last]) {
        assert_eq!(one.await.expect("no panic"), Err(VerifyErrorKind::InvalidIssuer));
    }
    assert_eq!(records.most_at_once.load(Ordering::SeqCst), 12);
}

#[tokio::test]
async fn unknown_issuers_spend_a_lookup_budget() {
    let a = Tenant::new("a");
    let records = Records::new(&[&a]);
    let clock = ManualClock::new();
    let verifier = records.verifier(&clock);
    assert!(verify(&verifier, &a.token("u").sign()).await.is_ok());
    let made_up = |index: usize| a.token("u").claim("iss", format!("https://t{index}.example")).sign();
    for index in 0..200 {
        assert!(verify(&verifier, &made_up(index)).await.is_err());
    }
    assert_eq!(records.asked(), 64);
    assert!(verify(&verifier, &a.token("u").sign()).await.is_ok(), "a known tenant is still accepted");
    clock.advance(Duration::from_secs(1));
    for index in 200..300 {
        assert!(verify(&verifier, &made_up(index)).await.is_err());
    }
    assert_eq!(records.asked(), 74);
}

#[tokio::test]
async fn refreshes_of_known_tenants_leave_the_budget_to_new_ones() {
    let tenants: Vec<_> = (0..10).map(|index| Tenant::new(&format!("a{index}"))).collect();
    let records = Records::new(&tenants.iter().collect::<Vec<_>>());
    let clock = ManualClock::new();
    let verifier = records.verifier(&clock);
    for (passed, asked) in [(0, 10), (300, 20)] {
        clock.advance(Duration::from_secs(passed));
        for tenant in &tenants {
            let token = tenant.token("u").lifetime(Duration::from_secs(3600)).sign();
            assert!(verify(&verifier, &token).await.is_ok());
        }
        settle(&records, asked).await;
    }
    for index in 0..100 {
        let made_up = tenants[0].token("u").claim("iss", format!("https://t{index}.example")).sign();
        assert!(verify(&verifier, &made_up).await.is_err());
    }
    assert_eq!(records.asked(), 20 + 64);
}

#[tokio::test]
async fn a_resolver_error_is_a_503_and_not_cached() {
    let a = Tenant::new("a");
    let records = Records::new(&[&a]);
    let verifier = records.verifier(&ManualClock::new());
    records.fail(true);
    let error = verifier.verify(&a.token("u").sign()).await.expect_err("no records");
    assert_eq!(
        (error.kind(), error.unavailable_reason()),
        (VerifyErrorKind::KeysUnavailable, Some(UnavailableReason::ResolverFailed))
    );
    let bearer = bearer(&a.token("u"));
    let layer = ClerkAuthLayer::from(verifier.clone());
    assert_eq!(status(&layer, "GET", &[("authorization", &bearer)]).await, 503);
    records.fail(false);
    assert_eq!(status(&layer, "GET", &[("authorization", &bearer)]).await, 200);
}

#[tokio::test]
async fn an_unknown_issuer_is_resolved_again_after_a_minute() {
    let a = Tenant::new("a");
    let records = Records::new(&[]);
    let clock = ManualClock::new();
    let verifier = records.verifier(&clock);
    let token = a.token("u").lifetime(Duration::from_secs(3600)).sign();
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::InvalidIssuer));
    records.insert(&a, a.instance());
    clock.advance(Duration::from_millis(59_999));
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::InvalidIssuer));
    clock.advance(Duration::from_millis(1));
    assert!(verify(&verifier, &token).await.is_ok());
}

/// Lets a lookup without waiters end.
#[tokio::test]
async fn a_token_waiting_for_keys_is_verified_by_the_instance_after_the_wait() {
    let a = Tenant::new("a");
    let source = GatedSource::new();
    source.once(Reply::document(a.issuer.jwks()));
    let config = || ClerkConfig::from_frontend_api_url(&a.url).expect("a configuration");
    let records = Records::new(&[]);
    let change = |config| {
        let instance = Instance::new(config).key_source(source.clone());
        records.insert(&a, instance);
    };
    change(config());
    let clock = ManualClock::new();
    let verifier = records.verifier(&clock);
    let token = a.token("u").lifetime(Duration::from_secs(3600)).sign();
    assert!(verify(&verifier, &token).await.is_ok());

    change(config().allow_pending_sessions());
    clock.advance(Duration::from_secs(300));
    verifier.forget_keys();
    let waiting = tokio::spawn(async move { verify(&verifier, &token).await });
    settle(&records, 2).await;
    source.once(Reply::document(a.issuer.jwks()));
    source.once(Reply::document(a.issuer.jwks()));
    assert!(waiting.await.expect("no panic").is_ok());
    assert_eq!(source.fetches(), 3, "the first one, and one for each instance");
}

#[tokio::test]
async fn an_unchanged_tenant_keeps_its_keys() {
    let a = Tenant::new("a");
    let source = GatedSource::serving(a.issuer.jwks());
    let day = Duration::from_secs(24 * 60 * 60);
    let config = ClerkConfig::from_frontend_api_url(&a.url).and_then(|config| config.jwks_refresh_interval(day));
    let instance = Instance::new(config.expect("a configuration")).key_source(source.clone());
    let records = Records::new(&[]);
    records.insert(&a, instance);
    let clock = ManualClock::new();
    let verifier = records.verifier(&clock);
    for asked in 1..=3 {
        assert!(verify(&verifier, &a.token("u").lifetime(day).sign()).await.is_ok());
        settle(&records, asked).await;
        clock.advance(Duration::from_secs(300));
    }
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn a_tenant_with_another_key_source_gets_its_keys_from_there() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let records = Records::new(&[]);
    let keep_keys_of = |signer: &Tenant| {
        let config = ClerkConfig::from_frontend_api_url(&a.url).expect("a configuration");
        records.insert(&a, Instance::new(config).key_source(GatedSource::serving(signer.issuer.jwks())));
    };
    keep_keys_of(&a);
    let clock = ManualClock::new();
    let verifier = records.verifier(&clock);
    let token = |signer: &Tenant| signer.token("u").claim("iss", &a.url).lifetime(Duration::from_secs(3600)).sign();
    assert!(verify(&verifier, &token(&a)).await.is_ok());
    keep_keys_of(&b);
    clock.advance(Duration::from_secs(300));
    assert!(verify(&verifier, &token(&a)).await.is_ok(), "nobody waits for the lookup");
    settle(&records, 2).await;
    assert!(verify(&verifier, &token(&b)).await.is_ok());
    assert_eq!(verify(&verifier, &token(&a)).await, Err(VerifyErrorKind::InvalidSignature));
}

#[tokio::test]
async fn a_verified_token_does_not_outlive_the_configuration_of_its_tenant() {
    let a = Tenant::new("a");
    let records = Records::new(&[&a]);
    let clock = ManualClock::new();
    let verifier = records.verifier(&clock);
    let token = a.token("u").lifetime(Duration::from_secs(3600)).sign();
    assert!(verify(&verifier, &token).await.is_ok());
    records.insert(&a, a.config().audience(["api"]).expect("an audience").into());
    clock.advance(Duration::from_secs(300));
    assert!(verify(&verifier, &token).await.is_ok(), "nobody waits for the lookup");
    settle(&records, 2).await;
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::InvalidAudience));
}

#[tokio::test]
async fn a_removed_tenant_is_rejected_after_five_minutes() {
    let a = Tenant::new("a");
    let records = Records::new(&[&a]);
    let clock = ManualClock::new();
    let verifier = records.verifier(&clock);
    let token = a.token("u").lifetime(Duration::from_secs(3600)).sign();
    assert!(verify(&verifier, &token).await.is_ok());
    records.remove(&a);
    clock.advance(Duration::from_millis(299_999));
    assert!(verify(&verifier, &token).await.is_ok());
    assert_eq!(records.asked(), 1);
    clock.advance(Duration::from_millis(1));
    assert!(verify(&verifier, &token).await.is_ok(), "nobody waits for the lookup");
    settle(&records, 2).await;
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::InvalidIssuer));
}

#[tokio::test]
async fn a_known_tenant_is_kept_for_an_hour_while_the_resolver_fails() {
    let a = Tenant::new("a");
    let records = Records::new(&[&a]);
    let clock = ManualClock::new();
    let verifier = records.verifier(&clock);
    let token = a.token("u").lifetime(Duration::from_secs(3 * 3600)).sign();
    assert!(verify(&verifier, &token).await.is_ok());
    records.fail(true);
    clock.advance(Duration::from_millis(3_599_999));
    assert!(verify(&verifier, &token).await.is_ok());
    settle(&records, 2).await;
    clock.advance(Duration::from_millis(1));
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::KeysUnavailable));
    records.fail(false);
    assert!(verify(&verifier, &token).await.is_ok());
}

#[tokio::test]
async fn the_hour_of_a_known_tenant_begins_with_the_last_lookup() {
    let a = Tenant::new("a");
    let records = Records::new(&[&a]);
    let clock = ManualClock::new();
    let verifier = records.verifier(&clock);
    let token = a.token("u").lifetime(Duration::from_secs(3 * 3600)).sign();
    assert!(verify(&verifier, &token).await.is_ok());
    clock.advance(Duration::from_secs(1800));
    assert!(verify(&verifier, &token).await.is_ok(), "nobody waits for the lookup");
    settle(&records, 2).await;
    records.fail(true);
    clock.advance(Duration::from_millis(3_599_999));
    assert!(verify(&verifier, &token).await.is_ok());
    settle(&records, 3).await;
    clock.advance(Duration::from_millis(1));
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::KeysUnavailable));
}

#[tokio::test]
async fn a_resolved_instance_with_another_issuer_is_rejected() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let records = Records::new(&[]);
    records.insert(&a, b.instance());
    let verifier = records.verifier(&ManualClock::new());
    assert_eq!(verify(&verifier, &a.token("u").sign()).await, Err(VerifyErrorKind::KeysUnavailable));
    assert_eq!(
        verify(&verifier, &b.token("u").claim("iss", &a.url).sign()).await,
        Err(VerifyErrorKind::KeysUnavailable)
    );
}

#[tokio::test]
async fn a_resolver_that_panics_is_a_503() {
    let a = Tenant::new("a");
    let verifier = VerifierBuilder::new().resolver(|_: IssuerUrl| async {
        assert_eq!(1, 2, "a bug in the application");
        Ok::<Option<Instance>, ResolveError>(None)
    });
    let verifier = verifier.build().expect("a verifier");
    for _ in 0..2 {
        assert_eq!(verify(&verifier, &a.token("u").sign()).await, Err(VerifyErrorKind::KeysUnavailable));
    }
}

#[tokio::test]
async fn dropping_the_last_handle_stops_running_lookups() {
    let a = Tenant::new("a");
    let records = Records::new(&[&a]).closed();
    let verifier = records.verifier(&ManualClock::new());
    assert!(verifier.verify(&a.token("u").sign()).now_or_never().is_none());
    while records.asked() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(Arc::strong_count(&records.gate) > 1);
    drop(verifier);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(Arc::strong_count(&records.gate), 1);
}

#[test]
fn a_lookup_restarts_if_its_runtime_is_gone_or_idle() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for stands_still in [false, true] {
        let a = Tenant::new("a");
        let records = Records::new(&[&a]).closed();
        let clock = ManualClock::new();
        let verifier = records.verifier(&clock);
        let token = a.token("u").sign();
        let first = runtime();
        first.block_on(async { assert!(verifier.verify(&token).now_or_never().is_none()) });
        let _kept = stands_still.then_some(first);
        clock.advance(Duration::from_secs(10));
        records.gate.add_permits(1);
        assert!(runtime().block_on(verify(&verifier, &token)).is_ok(), "{stands_still}");
    }
}

#[test]
fn lookups_of_an_idle_runtime_make_room_for_others() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let a = Tenant::new("a");
    let records = Records::new(&[&a]).closed();
    let clock = ManualClock::new();
    let verifier = records.verifier(&clock);
    let idle = runtime();
    idle.block_on(async {
        for index in 0..12 {
            let made_up = a.token("u").claim("iss", format!("https://t{index}.example")).sign();
            assert!(verifier.verify(&made_up).now_or_never().is_none());
        }
    });
    let token = a.token("u").sign();
    let driven = runtime();
    assert_eq!(driven.block_on(verify(&verifier, &token)), Err(VerifyErrorKind::KeysUnavailable));
    clock.advance(Duration::from_secs(10));
    records.gate.add_permits(1);
    assert!(driven.block_on(verify(&verifier, &token)).is_ok());
}

#[tokio::test]
async fn cancelled_waiters_free_their_places() {
    let a = Tenant::new("a");
    let records = Records::new(&[&a]).closed();
    let verifier = records.verifier(&ManualClock::new());
    let token = a.token("u").sign();
    for _ in 0..17_000 {
        assert!(verifier.verify(&token).now_or_never().is_none());
    }
    records.gate.add_permits(1);
    assert!(verify(&verifier, &token).await.is_ok());
}

#[tokio::test]
async fn cancelled_requests_do_not_stop_the_lookup() {
    let a = Tenant::new("a");
    let records = Records::new(&[&a]).closed();
    let verifier = records.verifier(&ManualClock::new());
    let token = a.token("u").sign();
    let one = tokio::spawn({
        let (verifier, token) = (verifier.clone(), token.clone());
        async move { verify(&verifier, &token).await }
    });
    while records.asked() == 0 {
        tokio::task::yield_now().await;
    }
    one.abort();
    assert!(one.await.expect_err("cancelled").is_cancelled());
    records.gate.add_permits(1);
    assert!(verify(&verifier, &token).await.is_ok());
    assert_eq!(records.asked(), 1);
}

#[test]
fn without_a_runtime_the_lookup_fails() {
    let a = Tenant::new("a");
    let verifier = Records::new(&[&a]).verifier(&ManualClock::new());
    let error = verifier.try_verify(&a.token("u").sign()).expect_err("no runtime");
    assert_eq!(error.unavailable_reason(), Some(UnavailableReason::NoRuntime));
}

#[tokio::test]
async fn ports_and_addresses_are_resolved_only_if_allowed() {
    let a = Tenant::new("a");
    for (allowed, expected) in [(false, VerifyErrorKind::InvalidIssuer), (true, VerifyErrorKind::KeysUnavailable)] {
        let failing = |_: IssuerUrl| async { Err::<Option<Instance>, _>(ResolveError::new("no records")) };
        let builder = VerifierBuilder::new().resolver(failing).clock(ManualClock::new());
        let verifier = if allowed { builder.allow_local_issuers() } else { builder }.build().expect("a verifier");
        for iss in ["https://clerk.a.example:8443", "https://10.0.0.1", "http://127.0.0.1:3000"] {
            assert_eq!(verify(&verifier, &a.token("u").claim("iss", iss).sign()).await, Err(expected), "{iss}");
        }
    }
}

#[tokio::test]
async fn a_failing_tenant_does_not_block_lookups_of_others() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let records = Records::new(&[&a]);
    let clock = ManualClock::new();
    let verifier = records.verifier(&clock);
    let token = a.token("u").lifetime(Duration::from_secs(3600)).sign();
    assert!(verify(&verifier, &token).await.is_ok());
    records.fail(true);
    clock.advance(Duration::from_secs(300));
    for _ in 0..200 {
        assert!(verify(&verifier, &token).await.is_ok());
        tokio::task::yield_now().await;
    }
    assert_eq!(records.asked(), 2, "it is looked up again after ten seconds, not with each request");
    clock.advance(Duration::from_secs(10));
    assert!(verify(&verifier, &token).await.is_ok());
    settle(&records, 3).await;
    records.fail(false);
    records.insert(&b, b.instance());
    assert!(verify(&verifier, &b.token("u").lifetime(Duration::from_secs(3600)).sign()).await.is_ok());
}

#[tokio::test]
async fn unknown_issuers_do_not_block_the_refresh_of_a_tenant() {
    let a = Tenant::new("a");
    let records = Records::new(&[&a]);
    let clock = ManualClock::new();
    let verifier = records.verifier(&clock);
    let token = a.token("u").lifetime(Duration::from_secs(3600)).sign();
    assert!(verify(&verifier, &token).await.is_ok());
    clock.advance(Duration::from_secs(300));
    for index in 0..100 {
        let made_up = a.token("u").claim("iss", format!("https://t{index}.example")).sign();
        assert!(verify(&verifier, &made_up).await.is_err());
    }
    records.remove(&a);
    assert!(verify(&verifier, &token).await.is_ok(), "nobody waits for the lookup");
    settle(&records, 66).await;
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::InvalidIssuer));
}

#[tokio::test]
async fn a_lookup_times_out_after_two_seconds() {
    let a = Tenant::new("a");
    let records = Records::new(&[&a]).closed();
    let verifier = records.verifier(&ManualClock::new());
    let start = std::time::Instant::now();
    let error = verifier.verify(&a.token("u").sign()).await.expect_err("no result");
    assert_eq!(error.unavailable_reason(), Some(UnavailableReason::ResolverTimeout));
    assert!((2..10).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    records.gate.add_permits(1);
    assert!(verify(&verifier, &a.token("u").sign()).await.is_ok());
}

#[tokio::test]
async fn an_idle_tenant_is_left_out_of_the_status() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let records = Records::new(&[&a, &b]);
    let clock = ManualClock::new();
    let verifier = records.verifier(&clock);
    assert!(verify(&verifier, &a.token("u").sign()).await.is_ok());
    clock.advance(Duration::from_secs(3600));
    let token = b.issuer.token("u").claim("iss", &b.url).claim("iat", 0).claim("nbf", 0);
    assert!(verify(&verifier, &token.lifetime(Duration::from_secs(7200)).sign()).await.is_ok());
    let named: Vec<_> = verifier.keys_status_by_instance().into_iter().map(|(name, _)| name).collect();
    assert_eq!(named, std::slice::from_ref(&b.url));
}

#[tokio::test]
async fn a_resolved_instance_has_its_own_maximum_token_length() {
    let (a, b) = (Tenant::new("a"), Tenant::new("b"));
    let records = Records::new(&[]);
    let long = b.config().max_token_length(64 * 1024).expect("a length");
    records.insert(&b, long.into());
    let inner = records.clone();
    let short = a.config().max_token_length(1024).expect("a length");
    let verifier = Verifier::builder(short)
        .resolver(move |issuer: IssuerUrl| inner.clone().resolve(issuer))
        .max_token_length(48 * 1024)
        .expect("a length")
        .clock(ManualClock::new())
        .build()
        .expect("a verifier");
    let padded = |tenant: &Tenant, length: usize| tenant.token("u").claim("pad", "x".repeat(length)).sign();
    assert!(verify(&verifier, &padded(&b, 30_000)).await.is_ok());
    assert_eq!(verify(&verifier, &padded(&b, 40_000)).await, Err(VerifyErrorKind::TooLong));
    assert_eq!(verify(&verifier, &padded(&a, 2_000)).await, Err(VerifyErrorKind::TooLong));
}

#[tokio::test]
async fn a_resolved_instance_cannot_raise_the_maximum_token_length() {
    let b = Tenant::new("b");
    let records = Records::new(&[]);
    records.insert(&b, b.config().max_token_length(1024 * 1024).expect("a length").into());
    let inner = records.clone();
    let resolver = move |issuer: IssuerUrl| inner.clone().resolve(issuer);
    let verifier = VerifierBuilder::new().resolver(resolver).clock(ManualClock::new()).build().expect("a verifier");
    let padded = |length: usize| b.token("u").claim("pad", "x".repeat(length)).sign();
    assert!(verify(&verifier, &padded(11_000)).await.is_ok());
    assert_eq!(verify(&verifier, &padded(12_000)).await, Err(VerifyErrorKind::TooLong));
    // It was rejected before anything of it was decoded.
    let unknown = padded(12_000).replace('.', "");
    assert_eq!(verify(&verifier, &unknown).await, Err(VerifyErrorKind::TooLong));
    for bytes in [511, 1024 * 1024 + 1] {
        assert!(VerifierBuilder::new().max_token_length(bytes).is_err(), "{bytes}");
    }
}

#[test]
fn a_verifier_needs_an_instance_or_a_resolver() {
    let nobody = |_: IssuerUrl| async { Ok::<Option<Instance>, ResolveError>(None) };
    assert!(VerifierBuilder::new().resolver(nobody).build().is_ok());
    assert!(VerifierBuilder::new().build().is_err());
}
