//! A resolved instance that nobody has used for ten minutes: its tenant may have been removed unnoticed.

use std::{collections::HashMap, time::Duration};

use tower_clerk::{
    ClerkConfig, Verifier,
    testing::ManualClock,
    verify::{Clock, Instance, UnavailableReason, VerifyErrorKind},
};

use super::{
    Tenant,
    records::{Records, settle},
    verify,
};
use crate::support::{GatedSource, NANO, at_once, patient, runtime, secs, within};

const HALF_AN_HOUR: Duration = secs(30 * 60);

struct Late {
    clock: ManualClock,
    records: Records,
    tenant: Tenant,
    verifier: Verifier,
}

impl Late {
    /// With a tenant that was used a moment ago. Lookups from now on wait.
    async fn new() -> Self {
        let (clock, tenant) = (ManualClock::new(), Tenant::new("a"));
        let mut records = Records::new(&[&tenant]);
        records.gate = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
        let verifier = records.verifier(&clock);
        let late = Self { clock, records, tenant, verifier };
        assert!(verify(&late.verifier, &late.token()).await.is_ok());
        late
    }

    fn token(&self) -> String {
        self.tenant.token("u").lifetime(secs(24 * 60 * 60)).sign()
    }

    /// Verifies these tokens together. `meanwhile` runs once a lookup has started.
    async fn herd(&self, tokens: Vec<String>, meanwhile: impl FnOnce()) -> HashMap<Result<(), VerifyErrorKind>, usize> {
        let asked = self.records.asked();
        let tasks: Vec<_> = tokens
            .into_iter()
            .map(|token| {
                let verifier = self.verifier.clone();
                tokio::spawn(async move { verify(&verifier, &token).await.map(|_| ()) })
            })
            .collect();
        while self.records.asked() == asked {
            tokio::task::yield_now().await;
        }
        meanwhile();
        let mut verdicts = HashMap::new();
        for task in tasks {
            *verdicts.entry(within(task).await.expect("no panic")).or_default() += 1;
        }
        verdicts
    }
}

#[tokio::test]
async fn requests_wait_for_the_lookup_from_ten_minutes_on() {
    let late = Late::new().await;
    let token = late.token();
    late.clock.advance(secs(600) - NANO);
    assert!(at_once(verify(&late.verifier, &token)).expect("no wait").is_ok());
    late.clock.advance(NANO);
    assert!(at_once(verify(&late.verifier, &token)).is_none());
}

#[tokio::test]
async fn a_tenant_removed_while_the_service_was_idle_is_rejected() {
    let late = Late::new().await;
    let cached = late.token();
    assert!(verify(&late.verifier, &cached).await.is_ok());
    late.clock.advance(HALF_AN_HOUR);
    late.records.remove(&late.tenant);
    let tokens = (0..100).map(|_| late.token()).chain((0..100).map(|_| cached.clone())).collect();
    let verdicts = late.herd(tokens, || late.records.gate.add_permits(1)).await;
    assert_eq!(verdicts, HashMap::from([(Err(VerifyErrorKind::InvalidIssuer), 200)]));
    assert_eq!(late.records.asked(), 2);
}

#[tokio::test]
async fn a_tenant_that_is_still_there_passes_after_one_lookup() {
    let late = Late::new().await;
    late.clock.advance(HALF_AN_HOUR);
    let tokens = (0..100).map(|_| late.token()).collect();
    let verdicts = late.herd(tokens, || late.records.gate.add_permits(1)).await;
    assert_eq!(verdicts, HashMap::from([(Ok(()), 100)]));
    assert_eq!(late.records.asked(), 2);
    assert!(at_once(verify(&late.verifier, &late.token())).expect("no wait").is_ok());
}

#[tokio::test]
async fn a_tenant_that_has_changed_is_judged_by_its_new_settings() {
    let late = Late::new().await;
    late.clock.advance(HALF_AN_HOUR);
    let strict = late.tenant.config().authorized_parties(["https://app.example.com"]).expect("parties");
    late.records.insert(&late.tenant, Instance::new(strict));
    let verdicts = late.herd(vec![late.token()], || late.records.gate.add_permits(1)).await;
    assert_eq!(verdicts, HashMap::from([(Err(VerifyErrorKind::InvalidAuthorizedParty), 1)]));
}

#[tokio::test]
async fn while_the_records_fail_requests_wait_once_and_then_pass() {
    let late = Late::new().await;
    late.clock.advance(HALF_AN_HOUR);
    late.records.fail(true);
    let verdicts = late.herd(vec![late.token()], || late.records.gate.add_permits(1)).await;
    assert_eq!(verdicts, HashMap::from([(Ok(()), 1)]));
    for _ in 0..3 {
        assert!(at_once(verify(&late.verifier, &late.token())).expect("no wait").is_ok());
        late.clock.advance(secs(60));
    }
}

#[tokio::test]
async fn while_the_records_hang_requests_wait_once_and_then_pass() {
    let late = Late::new().await;
    late.clock.advance(HALF_AN_HOUR);
    let verdicts = late.herd(vec![late.token(), late.token()], || ()).await;
    assert_eq!(verdicts, HashMap::from([(Ok(()), 2)]));
    assert!(at_once(verify(&late.verifier, &late.token())).expect("no wait").is_ok());
}

#[test]
fn a_lookup_that_was_stopped_does_not_make_a_late_instance_usable() {
    let late = runtime().block_on(Late::new());
    late.clock.advance(HALF_AN_HOUR);
    late.records.remove(&late.tenant);
    // The runtime of the first lookup ends, and outside of a runtime there is none: nobody has asked the records.
    runtime().block_on(async { assert!(at_once(verify(&late.verifier, &late.token())).is_none()) });
    let _ = late.verifier.try_verify(&late.token());
    late.records.gate.add_permits(10);
    runtime().block_on(async {
        for _ in 0..10 {
            assert_eq!(verify(&late.verifier, &late.token()).await, Err(VerifyErrorKind::InvalidIssuer));
        }
    });
}

#[tokio::test]
async fn forged_tokens_do_not_wait_for_the_lookup() {
    let late = Late::new().await;
    late.clock.advance(HALF_AN_HOUR);
    let good = late.token();
    let mut waiting = Box::pin(verify(&late.verifier, &good));
    assert!(at_once(waiting.as_mut()).is_none());
    let forged = Tenant::new("b").token("u").claim("iss", &late.tenant.url).sign();
    let verdict = at_once(verify(&late.verifier, &forged)).expect("no wait");
    assert_eq!(verdict, Err(VerifyErrorKind::InvalidSignature));
    late.records.gate.add_permits(1);
    assert!(within(waiting).await.is_ok());
}

#[tokio::test]
async fn the_age_counts_while_the_machine_is_suspended() {
    let late = Late::new().await;
    late.clock.set(late.clock.now() + secs(3 * 24 * 60 * 60));
    late.records.remove(&late.tenant);
    let token = late.tenant.token("u").lifetime(secs(30 * 24 * 60 * 60)).sign();
    let verdicts = late.herd(vec![token], || late.records.gate.add_permits(1)).await;
    assert_eq!(verdicts, HashMap::from([(Err(VerifyErrorKind::InvalidIssuer), 1)]));
}

#[tokio::test]
async fn a_token_waits_for_the_lookup_only_once() {
    let late = Late::new().await;
    late.clock.advance(HALF_AN_HOUR);
    let token = late.token();
    let mut waiting = Box::pin(verify(&late.verifier, &token));
    assert!(at_once(waiting.as_mut()).is_none());
    late.records.gate.add_permits(1);
    settle(&late.records, 2).await;
    // The process stands still before the token is tried again, until the instance is late again.
    late.clock.advance(secs(600));
    assert!(at_once(waiting).expect("no wait").is_ok());
}

#[test]
fn a_lookup_whose_runtime_is_not_polled_makes_requests_wait_once() {
    let (idle, busy) = (runtime(), runtime());
    let late = busy.block_on(Late::new());
    late.clock.advance(HALF_AN_HOUR);
    let token = late.token();
    idle.block_on(async { assert!(at_once(verify(&late.verifier, &token)).is_none()) });
    assert!(busy.block_on(within(verify(&late.verifier, &token))).is_ok());
    late.clock.advance(secs(60));
    let verdict = busy.block_on(async { at_once(verify(&late.verifier, &late.token())) });
    assert!(verdict.expect("no wait").is_ok());
}

#[tokio::test]
async fn a_late_tenant_that_was_replaced_has_its_new_keys_fetched() {
    let (a, clock) = (Tenant::new("a"), ManualClock::new());
    let [old, new] = [(); 2].map(|()| GatedSource::serving(a.issuer.jwks()));
    let [before, after] = [&old, &new].map(|source| {
        let config = patient(ClerkConfig::from_frontend_api_url(&a.url).expect("a configuration"));
        Instance::new(config).key_source(source.clone())
    });
    let mut records = Records::new(&[]);
    records.gate = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
    records.insert(&a, before);
    let verifier = records.verifier(&clock);
    verifier.resolve_ahead([a.issuer_url()]).await.expect("a tenant");
    clock.advance(HALF_AN_HOUR);
    records.insert(&a, after);
    let waiting = tokio::spawn({
        let (verifier, token) = (verifier.clone(), a.token("u").lifetime(secs(24 * 60 * 60)).sign());
        async move { verify(&verifier, &token).await }
    });
    // It waits for the old keys, then for the lookup.
    old.over(1).await;
    crate::support::settle().await;
    records.gate.add_permits(1);
    assert!(within(waiting).await.expect("no panic").is_ok());
    assert_eq!((old.fetches(), new.fetches(), records.asked()), (1, 1, 2));
}

#[tokio::test]
async fn try_verify_does_not_wait_for_the_lookup() {
    let late = Late::new().await;
    late.clock.advance(HALF_AN_HOUR);
    let error = late.verifier.try_verify(&late.token()).expect_err("a lookup is in progress");
    assert_eq!(error.unavailable_reason(), Some(UnavailableReason::InProgress));
    late.records.gate.add_permits(1);
    settle(&late.records, 2).await;
    assert!(late.verifier.try_verify(&late.token()).is_ok());
}
