use tower_clerk::{jwks::FetchErrorKind, verify::VerifyErrorKind};

use crate::support::{Harness, Key, Reply, key, secs, settle};

#[tokio::test]
async fn a_removed_key_is_rejected_from_the_next_refresh_on() {
    let (harness, leaving, staying) = (Harness::cold(), key(0).token(), key(1).token());
    harness.publish(&[key(0), key(1)]);
    assert_eq!((harness.verify(&leaving).await, harness.verify(&staying).await), (Ok(()), Ok(())));
    assert_eq!(harness.verifier.keys_status().keys, 2);

    harness.publish(&[key(1), key(2)]);
    harness.pass(secs(270)).await;
    assert_eq!((harness.try_verify(&leaving), harness.try_verify(&staying)), (Ok(()), Ok(())));
    harness.source.over(2).await;
    settle().await;
    assert_eq!(harness.verifier.keys_status().keys, 2);
    assert_eq!((harness.try_verify(&staying), harness.try_verify(&key(2).token())), (Ok(()), Ok(())));
    assert_eq!(harness.verify(&leaving).await, Err(VerifyErrorKind::UnknownKey));
    assert_eq!(harness.verify(&key(0).token()).await, Err(VerifyErrorKind::UnknownKey));
    assert_eq!(harness.source.fetches(), 4);
}

#[tokio::test]
async fn sets_are_never_merged() {
    let harness = Harness::warm().await;
    for number in [1, 2, 3, 0, 1] {
        harness.publish(&[key(number)]);
        harness.verifier.refresh().await.expect("keys");
        for other in 0..4 {
            let known = harness.try_verify(&key(other).token());
            assert_eq!(known.is_ok(), other == number, "{other} of {number}");
        }
        assert_eq!(harness.verifier.keys_status().keys, 1);
    }
}

#[tokio::test]
async fn an_earlier_verification_does_not_outlive_its_key() {
    let harness = Harness::warm().await;
    let tokens: Vec<_> = (0..10).map(|_| key(0).token()).collect();
    for _ in 0..2 {
        assert!(tokens.iter().all(|token| harness.try_verify(token).is_ok()));
    }
    harness.publish(&[key(1).under("ins_0")]);
    harness.verifier.refresh().await.expect("keys");
    for token in &tokens {
        assert_eq!(harness.verify(token).await, Err(VerifyErrorKind::InvalidSignature));
    }
    harness.publish(&[key(0), key(1)]);
    harness.verifier.refresh().await.expect("keys");
    assert!(tokens.iter().all(|token| harness.try_verify(token).is_ok()));
}

#[tokio::test]
async fn a_key_that_returns_is_accepted_again() {
    let (harness, token) = (Harness::warm().await, key(0).token());
    harness.publish(&[key(1)]);
    harness.verifier.refresh().await.expect("keys");
    assert_eq!(harness.verify(&token).await, Err(VerifyErrorKind::UnknownKey));
    harness.publish(&[key(0)]);
    assert_eq!(harness.verify(&token).await, Ok(()));
}

#[tokio::test]
async fn an_unusable_document_keeps_the_old_set() {
    let (harness, token) = (Harness::warm().await, key(0).token());
    let good = Key::jwks(&[key(1)]);
    let member = good.trim_start_matches(r#"{"keys":["#).trim_end_matches("]}");
    let many = |members: usize| format!(r#"{{"keys":[{}]}}"#, vec![member; members].join(","));
    let padded = |size: usize| format!("{good}{}", " ".repeat(size - good.len()));
    for (document, kind) in [
        (Vec::new(), FetchErrorKind::InvalidDocument),
        (b"<html>502</html>".to_vec(), FetchErrorKind::InvalidDocument),
        (good.as_bytes()[..good.len() - 1].to_vec(), FetchErrorKind::InvalidDocument),
        (format!("[{good}]").into_bytes(), FetchErrorKind::InvalidDocument),
        ([good.as_bytes(), b"\xff"].concat(), FetchErrorKind::InvalidDocument),
        (br#"{"keys":[]}"#.to_vec(), FetchErrorKind::NoUsableKey),
        (br#"{"keys":[{"kty":"oct","kid":"ins_1","k":"AAAA"}]}"#.to_vec(), FetchErrorKind::NoUsableKey),
        (good.replace("\"sig\"", "\"enc\"").into_bytes(), FetchErrorKind::NoUsableKey),
        (many(1025).into_bytes(), FetchErrorKind::TooLarge),
        (padded(512 * 1024 + 1).into_bytes(), FetchErrorKind::TooLarge),
    ] {
        harness.source.always(Reply::document(document));
        let error = harness.verifier.refresh().await.expect_err("unusable");
        assert_eq!((error.kind(), error.fetch_error_kind()), (VerifyErrorKind::KeysUnavailable, Some(kind)));
        assert_eq!(harness.try_verify(&token), Ok(()));
        let status = harness.verifier.keys_status();
        assert_eq!((status.keys, status.last_error), (1, Some(kind)));
    }
    for document in [many(1024), padded(512 * 1024), format!("\u{feff}{good}")] {
        harness.source.always(Reply::keys(&[key(0)]));
        harness.verifier.refresh().await.expect("keys");
        harness.source.always(Reply::document(document));
        harness.verifier.refresh().await.expect("keys");
        assert_eq!((harness.try_verify(&key(1).token()), harness.verifier.keys_status().last_error), (Ok(()), None));
    }
}
