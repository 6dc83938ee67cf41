use std::slice;

use tower_clerk::{ClerkAuthLayer, verify::VerifyErrorKind};

use crate::support::{GatedSource, Harness, Reply, key, kind_of, secs, settle};

#[tokio::test]
async fn two_verifiers_never_share_keys() {
    let (one, other) = (Harness::cold(), Harness::cold());
    one.publish(&[key(0)]);
    other.publish(&[key(1)]);
    for _ in 0..2 {
        assert_eq!(one.verify(&key(0).token()).await, Ok(()));
        assert_eq!(other.verify(&key(1).token()).await, Ok(()));
        assert_eq!(one.verify(&key(1).token()).await, Err(VerifyErrorKind::UnknownKey));
        assert_eq!(other.verify(&key(0).token()).await, Err(VerifyErrorKind::UnknownKey));
    }
}

#[tokio::test]
async fn two_verifiers_with_the_same_kid_reject_each_others_tokens() {
    let (one, other) = (Harness::warm().await, Harness::cold());
    let impostor = key(1).under("ins_0");
    other.publish(slice::from_ref(&impostor));
    assert_eq!(other.verify(&impostor.token()).await, Ok(()));
    assert_eq!(one.verify(&impostor.token()).await, Err(VerifyErrorKind::InvalidSignature));
    assert_eq!(other.verify(&key(0).token()).await, Err(VerifyErrorKind::InvalidSignature));
}

#[tokio::test]
async fn two_verifiers_over_one_source_are_independent() {
    let source = GatedSource::new();
    let (one, other, token) = (Harness::over(source.clone(), Ok), Harness::over(source.clone(), Ok), key(0).token());
    source.always(Reply::Failure);
    assert_eq!(one.verify(&token).await, Err(VerifyErrorKind::KeysUnavailable));
    source.always(Reply::keys(&[key(0)]));
    assert_eq!(other.verify(&token).await, Ok(()));
    assert_eq!(one.try_verify(&token), Err(VerifyErrorKind::KeysUnavailable));
    assert_eq!(source.fetches(), 2);
    one.pass(secs(1)).await;
    assert_eq!(one.verify(&token).await, Ok(()));
    one.verifier.forget_keys();
    assert_eq!((one.verifier.keys_status().keys, other.verifier.keys_status().keys), (0, 1));
    drop(one);
    assert_eq!(other.try_verify(&token), Ok(()));
    assert_eq!(source.fetches(), 3);
}

#[tokio::test]
async fn clones_and_layers_share_one_set() {
    let (harness, token) = (Harness::cold(), key(0).token());
    harness.publish(&[key(0)]);
    let clone = harness.verifier.clone();
    let layer = ClerkAuthLayer::from(clone.clone()).allow_missing_token();
    clone.warm_up().await.expect("keys");
    for verifier in [&harness.verifier, &clone, layer.verifier(), layer.clone().verifier()] {
        assert_eq!(kind_of(verifier.try_verify(&token)), Ok(()));
        assert_eq!(verifier.keys_status(), clone.keys_status());
    }
    layer.verifier().forget_keys();
    assert_eq!((harness.verifier.keys_status().keys, clone.keys_status().keys), (0, 0));
    settle().await;
    assert_eq!(harness.source.fetches(), 1);
}

#[tokio::test]
async fn clones_share_budgets() {
    let harness = Harness::warm().await;
    for number in 1..4 {
        harness.publish(&[key(number)]);
        let verified = harness.verifier.clone().verify(&key(number).token()).await;
        assert_eq!(kind_of(verified), if number < 3 { Ok(()) } else { Err(VerifyErrorKind::UnknownKey) });
    }
    assert_eq!(harness.source.fetches(), 3);
}
