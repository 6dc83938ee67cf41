//! A rotation of the signing key, as replicas see it: verifiers that share nothing but the issuer.

use std::{array, slice::from_ref};

use tokio::task::JoinSet;
use tower_clerk::verify::VerifyErrorKind;

use crate::support::{GatedSource, Harness, Key, Reply, key, kind_of, secs, settle};

const REPLICAS: usize = 4;

/// Warm replicas over one source, which serves key 0.
async fn replicas() -> (GatedSource, [Harness; REPLICAS]) {
    let source = GatedSource::serving(Key::jwks(&[key(0)]));
    let replicas = array::from_fn(|_| Harness::over(source.clone(), Ok));
    for replica in &replicas {
        replica.verifier.warm_up().await.expect("keys");
    }
    assert_eq!(source.fetches(), REPLICAS);
    (source, replicas)
}

/// Each replica verifies its share of the traffic, of which none may be refused.
async fn serve(replicas: &[Harness], tokens: &[String]) {
    let mut requests = JoinSet::new();
    for replica in replicas {
        for token in tokens.iter().cycle().take(64) {
            let (verifier, token) = (replica.verifier.clone(), token.clone());
            requests.spawn(async move { kind_of(verifier.verify(&token).await) });
        }
    }
    while let Some(verdict) = requests.join_next().await {
        assert_eq!(verdict.expect("no panic"), Ok(()));
    }
    settle().await;
}

#[tokio::test]
async fn a_key_published_an_interval_before_its_use_costs_no_further_fetch() {
    let (source, replicas) = replicas().await;
    let (old, new) = (key(0).token(), key(1).token());
    source.always(Reply::keys(&[key(0), key(1)]));
    // Within one refresh interval each replica refreshes, because it is in use.
    for _ in 0..10 {
        for replica in &replicas {
            replica.pass(secs(30)).await;
        }
        serve(&replicas, from_ref(&old)).await;
    }
    let fetches = source.fetches();
    assert_eq!(fetches, 2 * REPLICAS);
    serve(&replicas, &[old, new]).await;
    assert_eq!(source.fetches(), fetches);
}

#[tokio::test]
async fn a_key_used_as_soon_as_it_is_published_costs_each_replica_one_fetch() {
    let (source, replicas) = replicas().await;
    source.always(Reply::keys(&[key(0), key(1)]));
    let tokens = [key(0).token(), key(1).token(), key(1).token()];
    serve(&replicas, &tokens).await;
    assert_eq!(source.fetches(), 2 * REPLICAS);
    serve(&replicas, &tokens).await;
    assert_eq!(source.fetches(), 2 * REPLICAS);
}

#[tokio::test]
async fn a_replica_that_starts_during_a_rotation_knows_both_keys() {
    let (source, mut replicas) = replicas().await;
    source.always(Reply::keys(&[key(0), key(1)]));
    // A rolling deploy: each replica is replaced in its turn.
    for replaced in 0..REPLICAS {
        replicas[replaced] = Harness::over(source.clone(), Ok);
        replicas[replaced].verifier.warm_up().await.expect("keys");
        serve(&replicas[..=replaced], &[key(0).token(), key(1).token()]).await;
    }
    assert_eq!(source.fetches(), 2 * REPLICAS);
}

#[tokio::test]
async fn the_old_key_is_accepted_until_each_replica_has_refreshed() {
    let (source, replicas) = replicas().await;
    let old = key(0).token();
    source.always(Reply::keys(&[key(1)]));
    serve(&replicas, from_ref(&old)).await;
    // The first replica sees a token of the new key, and drops the old one with the same fetch.
    serve(&replicas[..1], &[key(1).token()]).await;
    assert_eq!(replicas[0].verify(&old).await, Err(VerifyErrorKind::UnknownKey));
    serve(&replicas[1..], &[old]).await;
}
