//! Several instances: an opaque token names none, so they are asked one after the other.

use std::time::Instant;

use tower_clerk::{
    ClerkConfig, ConfigError, TokenKind,
    backend_api::OpaqueTokenLimits,
    jwks::FetchErrorKind,
    testing::ManualClock,
    verify::{VerifierBuilder, VerifyErrorKind},
};

use super::{Api, DOWN, Fixture, GOOD, IN_PROGRESS, INACTIVE, Reply, SPENT, config, failed, instance, key};
use crate::support::{at_once, millis, secs, settle, within};

/// A verifier with two instances, each of which has an API.
struct Two {
    first: Api,
    second: Fixture,
}

impl Two {
    fn new(change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>) -> Self {
        Self::with(change, OpaqueTokenLimits::new())
    }

    fn with(change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>, limits: OpaqueTokenLimits) -> Self {
        let (first, api, clock) = (Api::new(), Api::new(), ManualClock::new());
        let verifier = VerifierBuilder::new()
            .instance(instance(change(config("a")).expect("a configuration"), &first))
            .instance(instance(config("b"), &api))
            .clock(clock.clone())
            .opaque_token_limits(limits)
            .build()
            .expect("a verifier");
        Self { first, second: Fixture { api, clock, verifier } }
    }

    fn calls(&self) -> (usize, usize) {
        (self.first.calls(), self.second.api.calls())
    }
}

#[tokio::test]
async fn the_instances_are_asked_in_order_until_one_finds_the_token_valid() {
    let two = Two::new(Ok);
    two.first.about("ak_a", Reply::Valid);
    two.second.api.about("ak_b", Reply::Valid);
    for _ in 0..10 {
        for (token, name) in [("ak_a", "https://clerk.a.example"), ("ak_b", "https://clerk.b.example")] {
            let principal = within(two.second.verifier.verify_principal(token)).await.expect("a valid token");
            let tower_clerk::Principal::ApiKey(key) = principal else { panic!("{principal:?}") };
            assert_eq!(key.instance(), name);
        }
        assert_eq!(two.second.verify("ak_c").await, INACTIVE);
    }
    assert_eq!(two.calls(), (3, 2));
}

#[tokio::test]
async fn a_token_is_rejected_only_if_all_instances_say_so() {
    for (first, second, expected) in [
        (Reply::Unknown, Reply::Unknown, INACTIVE),
        (Reply::Status(500), Reply::Valid, GOOD),
        (Reply::Status(500), Reply::Unknown, failed(FetchErrorKind::UnexpectedStatus)),
        (Reply::Unknown, Reply::Status(401), failed(FetchErrorKind::Unauthorized)),
        (Reply::Unknown, Reply::Panic, failed(FetchErrorKind::Panicked)),
    ] {
        let two = Two::new(Ok);
        two.first.always(first.clone());
        two.second.api.always(second.clone());
        assert_eq!(two.second.verify("ak_a").await, expected, "{first:?} {second:?}");
        assert_eq!(two.calls(), (1, 1));
    }
}

#[tokio::test]
async fn only_instances_that_accept_the_kind_are_asked() {
    let two = Two::new(|config| config.accept([TokenKind::Session, TokenKind::M2m]));
    two.first.always(Reply::Valid);
    assert_eq!(two.second.verify("ak_a").await, INACTIVE);
    assert_eq!(two.second.verify("mt_a").await, GOOD);
    assert_eq!(two.calls(), (1, 1));
}

#[tokio::test]
async fn each_call_takes_one_from_the_budget_and_a_good_token_gives_all_back() {
    let two = Two::new(Ok);
    for number in 0..500 {
        let token = key(format_args!("good_{number}"));
        two.second.api.about(&token, Reply::Valid);
        assert_eq!(two.second.verify(&token).await, GOOD);
    }
    for number in 0..50 {
        assert_eq!(two.second.verify(&key(number)).await, INACTIVE);
    }
    assert_eq!(two.second.verify("ak_next").await, SPENT);
    assert_eq!(two.calls(), (550, 550));
}

#[tokio::test]
async fn an_instance_that_asks_for_a_pause_holds_up_no_other() {
    let two = Two::new(Ok);
    two.first.always(Reply::TooMany("30"));
    two.second.api.always(Reply::Valid);
    for number in 0..10 {
        assert_eq!(two.second.verify(&key(number)).await, GOOD);
    }
    assert_eq!(two.calls(), (1, 10));
    // Whether the first would know this one is not known.
    two.second.api.always(Reply::Unknown);
    assert_eq!(two.second.verify("ak_a").await, failed(FetchErrorKind::UnexpectedStatus));
    two.second.clock.advance(secs(30));
    two.first.always(Reply::Unknown);
    assert_eq!(two.second.verify("ak_a").await, INACTIVE);
    assert_eq!(two.calls(), (2, 12));
}

#[tokio::test]
async fn an_instance_whose_pause_ends_meanwhile_is_not_asked_unpaid() {
    let two = Two::with(Ok, OpaqueTokenLimits::new().max_concurrent_calls(1));
    two.first.always(Reply::TooMany("30"));
    assert_eq!((two.second.verify("ak_a").await, two.calls()), (DOWN, (1, 1)));
    two.first.always(Reply::Valid);
    two.second.api.about("ak_b", Reply::Hold);
    assert_eq!(two.second.try_verify("ak_b"), IN_PROGRESS);
    two.second.api.started(2).await;
    // This one waits for a place until the pause is over.
    let mut waiting = Box::pin(two.second.verify("ak_c"));
    assert_eq!(at_once(waiting.as_mut()), None);
    settle().await;
    two.second.clock.advance(secs(30));
    two.second.api.about("ak_b", Reply::Unknown);
    // It is not known whether the first would accept it.
    assert_eq!((waiting.await, two.calls()), (DOWN, (1, 3)));
    assert_eq!((two.second.verify("ak_c").await, two.calls()), (GOOD, (2, 3)));
}

/// Waits in real time: the first of two instances gets half of the three seconds.
#[tokio::test]
async fn an_instance_that_hangs_leaves_time_to_ask_the_next_one() {
    let two = Two::new(Ok);
    two.first.always(Reply::Hold);
    two.second.api.always(Reply::Valid);
    let start = Instant::now();
    assert_eq!(two.second.verify("ak_a").await, GOOD);
    assert!(start.elapsed() >= millis(1400), "{:?}", start.elapsed());
    assert_eq!((two.calls(), two.first.running()), ((1, 1), 0));
    two.second.api.always(Reply::Unknown);
    assert_eq!(two.second.verify("ak_b").await, failed(FetchErrorKind::Timeout));
    assert_eq!((two.calls(), two.first.running()), ((2, 2), 0));
}

#[tokio::test]
async fn a_kind_that_no_instance_is_asked_about_is_not_accepted() {
    let api = Api::valid();
    let change = |config: ClerkConfig| config.accept([TokenKind::Session, TokenKind::M2m]);
    let fixture = Fixture::with(api, change, OpaqueTokenLimits::new());
    for token in ["ak_a", "oat_a"] {
        assert_eq!(fixture.verify(token).await, Err((VerifyErrorKind::TokenKindNotAccepted, None)));
    }
    assert_eq!((fixture.verify("mt_a").await, fixture.api.calls()), (GOOD, 1));
}
