use tower_clerk::{jwks::FetchErrorKind, verify::VerifyErrorKind};

use super::{
    source::Answer,
    support::{Key, Rig, key, secs, settle},
};

#[tokio::test]
async fn a_key_that_left_the_set_is_refused_from_the_next_refresh_on() {
    let (rig, leaving, staying) = (Rig::cold(), key(0).token(), key(1).token());
    rig.publish(&[key(0), key(1)]);
    assert_eq!((rig.verify(&leaving).await, rig.verify(&staying).await), (Ok(()), Ok(())));
    assert_eq!(rig.verifier.keys_status().keys, 2);

    rig.publish(&[key(1), key(2)]);
    rig.pass(secs(270)).await;
    assert_eq!((rig.try_verify(&leaving), rig.try_verify(&staying)), (Ok(()), Ok(())));
    rig.source.over(2).await;
    settle().await;
    assert_eq!(rig.verifier.keys_status().keys, 2);
    assert_eq!((rig.try_verify(&staying), rig.try_verify(&key(2).token())), (Ok(()), Ok(())));
    assert_eq!(rig.verify(&leaving).await, Err(VerifyErrorKind::UnknownKey));
    assert_eq!(rig.verify(&key(0).token()).await, Err(VerifyErrorKind::UnknownKey));
    assert_eq!(rig.source.fetches(), 4);
}

#[tokio::test]
async fn sets_are_never_merged() {
    let rig = Rig::warm().await;
    for number in [1, 2, 3, 0, 1] {
        rig.publish(&[key(number)]);
        rig.verifier.refresh().await.expect("keys");
        for other in 0..4 {
            let known = rig.try_verify(&key(other).token());
            assert_eq!(known.is_ok(), other == number, "{other} of {number}");
        }
        assert_eq!(rig.verifier.keys_status().keys, 1);
    }
}

#[tokio::test]
async fn a_token_is_no_longer_good_for_having_been_once() {
    let rig = Rig::warm().await;
    let tokens: Vec<_> = (0..10).map(|_| key(0).token()).collect();
    for _ in 0..2 {
        assert!(tokens.iter().all(|token| rig.try_verify(token).is_ok()));
    }
    rig.publish(&[key(1).under("ins_0")]);
    rig.verifier.refresh().await.expect("keys");
    for token in &tokens {
        assert_eq!(rig.verify(token).await, Err(VerifyErrorKind::InvalidSignature));
    }
    rig.publish(&[key(0), key(1)]);
    rig.verifier.refresh().await.expect("keys");
    assert!(tokens.iter().all(|token| rig.try_verify(token).is_ok()));
}

#[tokio::test]
async fn a_key_that_comes_back_counts_again() {
    let (rig, token) = (Rig::warm().await, key(0).token());
    rig.publish(&[key(1)]);
    rig.verifier.refresh().await.expect("keys");
    assert_eq!(rig.verify(&token).await, Err(VerifyErrorKind::UnknownKey));
    rig.publish(&[key(0)]);
    assert_eq!(rig.verify(&token).await, Ok(()));
}

#[tokio::test]
async fn an_unusable_document_keeps_the_old_set() {
    let (rig, token) = (Rig::warm().await, key(0).token());
    let good = Key::jwks(&[key(1)]);
    let member = good.trim_start_matches(r#"{"keys":["#).trim_end_matches("]}");
    let many = |members: usize| format!(r#"{{"keys":[{}]}}"#, vec![member; members].join(","));
    let padded = |size: usize| format!("{good}{}", " ".repeat(size - good.len()));
    for (document, kind) in [
        (Vec::new(), FetchErrorKind::Document),
        (b"<html>502</html>".to_vec(), FetchErrorKind::Document),
        (good.as_bytes()[..good.len() - 1].to_vec(), FetchErrorKind::Document),
        (format!("[{good}]").into_bytes(), FetchErrorKind::Document),
        ([good.as_bytes(), b"\xff"].concat(), FetchErrorKind::Document),
        (br#"{"keys":[]}"#.to_vec(), FetchErrorKind::NoUsableKey),
        (br#"{"keys":[{"kty":"oct","kid":"ins_1","k":"AAAA"}]}"#.to_vec(), FetchErrorKind::NoUsableKey),
        (good.replace("\"sig\"", "\"enc\"").into_bytes(), FetchErrorKind::NoUsableKey),
        (many(1025).into_bytes(), FetchErrorKind::TooLarge),
        (padded(512 * 1024 + 1).into_bytes(), FetchErrorKind::TooLarge),
    ] {
        rig.source.always(Answer::document(document));
        let error = rig.verifier.refresh().await.expect_err("unusable");
        assert_eq!((error.kind(), error.fetch_error()), (VerifyErrorKind::KeysUnavailable, Some(kind)));
        assert_eq!(rig.try_verify(&token), Ok(()));
        let status = rig.verifier.keys_status();
        assert_eq!((status.keys, status.last_error), (1, Some(kind)));
    }
    for document in [many(1024), padded(512 * 1024), format!("\u{feff}{good}")] {
        rig.source.always(Answer::keys(&[key(0)]));
        rig.verifier.refresh().await.expect("keys");
        rig.source.always(Answer::document(document));
        rig.verifier.refresh().await.expect("keys");
        assert_eq!((rig.try_verify(&key(1).token()), rig.verifier.keys_status().last_error), (Ok(()), None));
    }
}
