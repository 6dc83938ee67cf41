use std::time::Duration;

use tower_clerk::{Verifier, testing::TokenBuilder, verify::VerifyErrorKind};

use super::{Fixture, entries, verify};

/// Valid for two days.
fn long(fixture: &Fixture) -> TokenBuilder {
    fixture.issuer.token("u").lifetime(Duration::from_secs(2 * 24 * 3600))
}

/// Lets a refresh without waiters end.
async fn settle(fixture: &Fixture, fetches: usize) {
    while fixture.fetches() < fetches {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn cached_tokens_alone_keep_the_keys_fresh() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    let token = long(&fixture).sign();
    for second in 0..360 {
        assert_eq!(verify(&verifier, &token).await, Ok(()), "{second}");
        fixture.clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    settle(&fixture, 2).await;
    assert_eq!(fixture.fetches(), 2);
    assert!(verifier.keys_status().age.expect("a set") < Duration::from_secs(120));
}

#[tokio::test]
async fn cached_tokens_of_a_removed_key_are_rejected_after_the_refresh() {
    let fixture = Fixture::with_new_issuer();
    let verifier = fixture.verifier();
    let token = long(&fixture).sign();
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    fixture.issuer.rotate();
    fixture.serve(Some(fixture.issuer.jwks()));
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    verifier.refresh().await.expect("a refresh");
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::UnknownKey));
    assert_eq!(verify(&verifier, &long(&fixture).sign()).await, Ok(()));
}

#[tokio::test]
async fn cached_tokens_of_a_key_replaced_under_its_kid_are_rejected() {
    let fixture = Fixture::with_new_issuer();
    let verifier = fixture.verifier();
    let token = long(&fixture).sign();
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    fixture.issuer.rotate_under_same_kid();
    fixture.serve(Some(fixture.issuer.jwks()));
    verifier.refresh().await.expect("a refresh");
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::InvalidSignature));
}

#[tokio::test]
async fn cached_tokens_of_a_key_with_a_new_algorithm_are_rejected() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    let token = long(&fixture).sign();
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    fixture.serve(Some(fixture.issuer.jwks().replace("RS256", "RS512")));
    verifier.refresh().await.expect("a refresh");
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::AlgorithmMismatch));
}

#[tokio::test]
async fn cached_tokens_of_a_renamed_key_are_rejected() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    let token = long(&fixture).sign();
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    fixture.serve(Some(fixture.issuer.jwks().replace(&fixture.issuer.kid(), "ins_renamed")));
    verifier.refresh().await.expect("a refresh");
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::UnknownKey));
}

#[tokio::test]
async fn an_unchanged_refresh_keeps_the_cache() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    let tokens: Vec<_> = (0..5).map(|index| long(&fixture).claim("n", index).sign()).collect();
    for token in &tokens {
        assert_eq!(verify(&verifier, token).await, Ok(()));
    }
    verifier.refresh().await.expect("a refresh");
    assert_eq!(entries(&verifier), 5);
    for token in &tokens {
        assert_eq!(verify(&verifier, token).await, Ok(()));
    }
    assert_eq!((entries(&verifier), fixture.fetches()), (5, 2));
}

#[tokio::test]
async fn past_the_hard_limit_a_cached_token_is_a_503() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    let token = long(&fixture).sign();
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    fixture.serve(None);
    fixture.clock.advance(Duration::from_secs(24 * 3600) - Duration::from_millis(1));
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    settle(&fixture, 2).await;
    fixture.clock.advance(Duration::from_millis(1));
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::KeysUnavailable));
    fixture.serve(Some(fixture.issuer.jwks()));
    fixture.clock.advance(Duration::from_secs(31));
    assert_eq!(verify(&verifier, &token).await, Ok(()));
}

#[tokio::test]
async fn a_hard_limit_before_the_next_refresh_applies_to_cached_tokens() {
    let fixture = Fixture::new();
    let day = Duration::from_secs(24 * 3600);
    let verifier: Verifier = fixture
        .builder_with(|config| config.jwks_refresh_interval(day)?.jwks_stale_limit(Duration::from_secs(300)))
        .build()
        .expect("a verifier");
    let token = long(&fixture).sign();
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    fixture.serve(None);
    fixture.clock.advance(Duration::from_millis(299_999));
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    fixture.clock.advance(Duration::from_millis(1));
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::KeysUnavailable));
}

#[tokio::test]
async fn forgetting_the_keys_invalidates_cached_tokens() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    let token = long(&fixture).sign();
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    fixture.serve(None);
    verifier.forget_keys();
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::KeysUnavailable));
}
