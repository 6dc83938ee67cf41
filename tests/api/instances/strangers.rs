//! Made-up issuers beside tenants: the tenants must neither wait nor be rejected.

use std::{future::Future, pin::Pin, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tower_clerk::{
    Verifier,
    config::IssuerUrl,
    testing::ManualClock,
    verify::{Clock, Instance, InstanceResolver, ResolveError, ResolverLimits, VerifierBuilder, VerifyErrorKind},
};

use super::{
    Tenant,
    records::{Records, until_asked},
    verify,
};
use crate::support::{secs, within};

/// Made-up issuers a second, of which no two are the same.
const FLOOD: u32 = 2500;
/// In seconds. After the first of them, all limits on unknown issuers are used up.
const MINUTE: u32 = 60;
const MOMENT: u32 = 5;

/// A token with a made-up issuer. It is not even signed: no key is ever looked for.
fn made_up(number: u32) -> String {
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let header = encode(r#"{"alg":"RS256","kid":"ins_x"}"#);
    format!("{header}.{}.AAAA", encode(&format!(r#"{{"iss":"https://x{number}.example","sub":"u"}}"#)))
}

/// So many seconds of the flood, with a tenant that makes one request a second and one that makes ten.
async fn flood(seconds: u32, verifier: &Verifier, clock: &ManualClock, [slow, fast]: &[Tenant; 2]) {
    let start = clock.monotonic();
    for number in 0..FLOOD * seconds {
        clock.advance(Duration::from_secs(1) / FLOOD);
        let flooding = verifier.clone();
        // A stranger waits by itself: its request must not hold up the others.
        drop(tokio::spawn(async move { flooding.verify(&made_up(number)).await }));
        for (tenant, each) in [(slow, FLOOD), (fast, FLOOD / 10)] {
            if number % each == each - 1 {
                let token = long_lived(tenant);
                let verdict = within(verify(verifier, &token)).await;
                assert!(verdict.is_ok(), "{verdict:?} after {:?}", clock.monotonic() - start);
            }
        }
        if number % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// A token that is still valid after an idle hour.
fn long_lived(tenant: &Tenant) -> String {
    tenant.token("u").lifetime(secs(24 * 60 * 60)).sign()
}

fn tenants() -> [Tenant; 2] {
    ["a", "b"].map(Tenant::new)
}

fn records(tenants: &[Tenant; 2]) -> Records {
    Records::new(&tenants.each_ref())
}

#[tokio::test]
async fn tenants_that_were_known_pass_in_a_flood_after_an_idle_hour() {
    let (clock, tenants) = (ManualClock::new(), tenants());
    let verifier = records(&tenants).verifier(&clock);
    for tenant in &tenants {
        assert!(verify(&verifier, &tenant.token("u").sign()).await.is_ok());
    }
    clock.advance(secs(60 * 60));
    flood(MINUTE, &verifier, &clock, &tenants).await;
}

#[tokio::test]
async fn tenants_resolved_ahead_pass_in_a_flood_from_the_start() {
    let (clock, tenants) = (ManualClock::new(), tenants());
    let verifier = records(&tenants).verifier(&clock);
    verifier.resolve_ahead(tenants.iter().map(Tenant::issuer_url)).await.expect("tenants");
    flood(MOMENT, &verifier, &clock, &tenants).await;
}

#[tokio::test]
async fn tenants_pass_in_a_flood_if_the_limits_are_above_it() {
    let (clock, tenants) = (ManualClock::new(), tenants());
    let limits = ResolverLimits::new().unknown_issuer_burst(5000).unknown_issuers_per_second(5000);
    let verifier = records(&tenants).builder(&clock).resolver_limits(limits).build().expect("a verifier");
    flood(MOMENT, &verifier, &clock, &tenants).await;
}

/// A resolver that knows its tenants by heart.
struct Listed {
    issuers: Vec<String>,
    records: Records,
}

impl InstanceResolver for Listed {
    fn resolve(
        &self,
        issuer: IssuerUrl,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Instance>, ResolveError>> + Send + '_>> {
        Box::pin(self.records.clone().resolve(issuer))
    }

    fn may_know(&self, issuer: &IssuerUrl) -> bool {
        self.issuers.iter().any(|known| known == issuer.as_str())
    }
}

#[tokio::test]
async fn tenants_pass_in_a_flood_if_the_resolver_turns_strangers_away() {
    let (clock, tenants) = (ManualClock::new(), tenants());
    let records = records(&tenants);
    let issuers = tenants.iter().map(|tenant| tenant.url.clone()).collect();
    let resolver = Listed { issuers, records: records.clone() };
    let verifier = VerifierBuilder::new().resolver(resolver).clock(clock.clone()).build().expect("a verifier");
    flood(MOMENT, &verifier, &clock, &tenants).await;
    assert_eq!(records.asked(), 2, "no stranger reached the records");
    let error = verifier.try_verify(&made_up(7)).expect_err("a stranger");
    assert_eq!(error.kind(), VerifyErrorKind::InvalidIssuer);
}

/// A resolver that may know an issuer only while nobody has asked for it.
struct Forgetful(Records);

impl InstanceResolver for Forgetful {
    fn resolve(
        &self,
        issuer: IssuerUrl,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Instance>, ResolveError>> + Send + '_>> {
        Box::pin(self.0.clone().resolve(issuer))
    }

    fn may_know(&self, _: &IssuerUrl) -> bool {
        self.0.asked() == 0
    }
}

#[tokio::test]
async fn a_resolver_is_not_asked_whether_it_may_know_a_cached_tenant() {
    let (clock, tenant) = (ManualClock::new(), Tenant::new("a"));
    let resolver = Forgetful(Records::new(&[&tenant]));
    let verifier = VerifierBuilder::new().resolver(resolver).clock(clock.clone()).build().expect("a verifier");
    for user in ["u", "v"] {
        assert!(verify(&verifier, &tenant.token(user).sign()).await.is_ok());
    }
}

#[tokio::test]
async fn a_tenant_that_was_removed_is_a_stranger_again() {
    let (clock, tenants) = (ManualClock::new(), tenants());
    let [a, b] = &tenants;
    let records = records(&tenants);
    let verifier = records.verifier(&clock);
    for tenant in &tenants {
        assert!(verify(&verifier, &tenant.token("u").sign()).await.is_ok());
    }
    records.remove(a);
    clock.advance(secs(60 * 60));
    assert_eq!(verify(&verifier, &long_lived(a)).await, Err(VerifyErrorKind::InvalidIssuer));
    records.insert(a, a.instance());
    for number in 0..100 {
        assert!(verify(&verifier, &made_up(number)).await.is_err());
    }
    clock.advance(secs(60) - Duration::from_nanos(1));
    for number in 100..900 {
        assert!(verify(&verifier, &made_up(number)).await.is_err());
    }
    clock.advance(Duration::from_nanos(1));
    // The limit on strangers is used up: it applies to the one tenant and not to the other.
    assert_eq!(verify(&verifier, &long_lived(a)).await, Err(VerifyErrorKind::KeysUnavailable));
    assert!(verify(&verifier, &long_lived(b)).await.is_ok());
}

#[tokio::test]
async fn known_tenants_get_a_place_while_lookups_of_strangers_hang() {
    let (clock, tenants) = (ManualClock::new(), tenants());
    let records = records(&tenants);
    let verifier = records.verifier(&clock);
    for tenant in &tenants {
        assert!(verify(&verifier, &tenant.token("u").sign()).await.is_ok());
    }
    clock.advance(secs(60 * 60));
    records.gate.forget_permits(usize::MAX);
    for number in 0..40 {
        let verifier = verifier.clone();
        drop(tokio::spawn(async move { verifier.verify(&made_up(number)).await }));
    }
    until_asked(&records, 2 + 12).await;
    let token = long_lived(&tenants[0]);
    let waiting = tokio::spawn(async move { verify(&verifier, &token).await });
    until_asked(&records, 2 + 13).await;
    records.gate.add_permits(100);
    assert!(within(waiting).await.expect("no panic").is_ok());
}
