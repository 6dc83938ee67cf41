use std::time::Duration;

use tower_clerk::{Verifier, testing::TokenBuilder, verify::VerifyErrorKind};

use super::support::{World, entries, verify};

/// Good for two days.
fn long(world: &World) -> TokenBuilder {
    world.issuer.token("u").lifetime(Duration::from_secs(2 * 24 * 3600))
}

/// Lets a refresh that nobody waits for come to its end.
async fn settle(world: &World, fetches: usize) {
    while world.fetches() < fetches {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn traffic_of_remembered_tokens_alone_keeps_the_keys_fresh() {
    let world = World::new();
    let verifier = world.verifier();
    let token = long(&world).sign();
    for second in 0..360 {
        assert_eq!(verify(&verifier, &token).await, Ok(()), "{second}");
        world.clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    settle(&world, 2).await;
    assert_eq!(world.fetches(), 2);
    assert!(verifier.keys_status().age.expect("a set") < Duration::from_secs(120));
}

#[tokio::test]
async fn a_withdrawn_keys_token_is_refused_by_the_first_request_after_the_refresh() {
    let world = World::new();
    let verifier = world.verifier();
    let token = long(&world).sign();
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    world.issuer.rotate();
    world.serve(Some(world.issuer.jwks()));
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    verifier.refresh().await.expect("a refresh");
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::UnknownKey));
    assert_eq!(verify(&verifier, &long(&world).sign()).await, Ok(()));
}

#[tokio::test]
async fn a_key_replaced_under_its_kid_vouches_no_more() {
    let world = World::new();
    let verifier = world.verifier();
    let token = long(&world).sign();
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    world.issuer.rotate_under_same_kid();
    world.serve(Some(world.issuer.jwks()));
    verifier.refresh().await.expect("a refresh");
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::InvalidSignature));
}

#[tokio::test]
async fn a_key_whose_algorithm_changed_vouches_no_more() {
    let world = World::new();
    let verifier = world.verifier();
    let token = long(&world).sign();
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    world.serve(Some(world.issuer.jwks().replace("RS256", "RS512")));
    verifier.refresh().await.expect("a refresh");
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::AlgorithmMismatch));
}

#[tokio::test]
async fn a_key_under_another_kid_vouches_no_more() {
    let world = World::new();
    let verifier = world.verifier();
    let token = long(&world).sign();
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    world.serve(Some(world.issuer.jwks().replace(&world.issuer.kid(), "ins_renamed")));
    verifier.refresh().await.expect("a refresh");
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::UnknownKey));
}

#[tokio::test]
async fn an_unchanged_refresh_empties_nothing() {
    let world = World::new();
    let verifier = world.verifier();
    let tokens: Vec<_> = (0..5).map(|index| long(&world).claim("n", index).sign()).collect();
    for token in &tokens {
        assert_eq!(verify(&verifier, token).await, Ok(()));
    }
    verifier.refresh().await.expect("a refresh");
    assert_eq!(entries(&verifier), 5);
    for token in &tokens {
        assert_eq!(verify(&verifier, token).await, Ok(()));
    }
    assert_eq!((entries(&verifier), world.fetches()), (5, 2));
}

#[tokio::test]
async fn past_the_hard_limit_a_remembered_token_is_a_503() {
    let world = World::new();
    let verifier = world.verifier();
    let token = long(&world).sign();
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    world.serve(None);
    world.clock.advance(Duration::from_secs(24 * 3600) - Duration::from_millis(1));
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    settle(&world, 2).await;
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::KeysUnavailable));
    world.serve(Some(world.issuer.jwks()));
    world.clock.advance(Duration::from_secs(31));
    assert_eq!(verify(&verifier, &token).await, Ok(()));
}

#[tokio::test]
async fn a_hard_limit_before_the_next_refresh_is_kept() {
    let world = World::new();
    let day = Duration::from_secs(24 * 3600);
    let verifier: Verifier = world
        .builder_with(|config| config.jwks_refresh_interval(day)?.jwks_stale_limit(Duration::from_secs(300)))
        .build()
        .expect("a verifier");
    let token = long(&world).sign();
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    world.serve(None);
    world.clock.advance(Duration::from_millis(299_999));
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::KeysUnavailable));
}

#[tokio::test]
async fn forgotten_keys_vouch_for_nothing() {
    let world = World::new();
    let verifier = world.verifier();
    let token = long(&world).sign();
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    world.serve(None);
    verifier.forget_keys();
    assert_eq!(verify(&verifier, &token).await, Err(VerifyErrorKind::KeysUnavailable));
}
