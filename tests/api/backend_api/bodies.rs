use http::{HeaderValue, header::CONTENT_ENCODING};
use tower_clerk::{TokenKind, jwks::FetchErrorKind, verify::VerifyErrorKind};

use super::asked::{failure, response, sound, verify_with};

#[tokio::test]
async fn a_body_that_is_no_json_is_a_failure_and_no_verdict() {
    let sound = sound(TokenKind::ApiKey).to_string();
    let half = sound[..sound.len() - 1].to_owned();
    for body in ["", " ", "<html></html>", "{", "{} {}", &half] {
        let found = failure(TokenKind::ApiKey, response(200, body.to_owned())).await;
        assert_eq!(found, Some(FetchErrorKind::InvalidDocument), "{body}");
    }
    let latin_1 = [b"{\"name\":\"\xe9\",", &sound.as_bytes()[1..]].concat();
    for body in [format!("{sound}x"), sound.replace("false", "False")] {
        let found = failure(TokenKind::ApiKey, response(200, body.clone())).await;
        assert_eq!(found, Some(FetchErrorKind::InvalidDocument), "{body}");
    }
    assert_eq!(failure(TokenKind::ApiKey, response(200, latin_1)).await, Some(FetchErrorKind::InvalidDocument));
    let marked = format!("\u{feff} {sound}\n");
    assert!(verify_with(TokenKind::ApiKey, response(200, marked), Ok).await.is_ok());
}

#[tokio::test]
async fn json_of_another_type_or_that_is_ambiguous_is_not_sound() {
    let sound = sound(TokenKind::ApiKey).to_string();
    let first = |member: &str| format!("{{{member},{}", &sound[1..]);
    let deep = |depth: usize| first(&format!("\"note\":{}{}", "[".repeat(depth), "]".repeat(depth)));
    for body in [
        "{}".to_owned(),
        "null".to_owned(),
        "true".to_owned(),
        "1".to_owned(),
        r#""api_key""#.to_owned(),
        "[]".to_owned(),
        format!("[{sound}]"),
        r#"{"active":false}"#.to_owned(),
        first(r#""revoked":true"#),
        first(r#""rev\u006fked":false"#),
        first(r#""note":"\ud83d""#),
        deep(127),
    ] {
        let error = verify_with(TokenKind::ApiKey, response(200, body.clone()), Ok).await.expect_err("not sound");
        assert_eq!(error.kind(), VerifyErrorKind::Inactive, "{body}");
    }
    assert!(verify_with(TokenKind::ApiKey, response(200, deep(126)), Ok).await.is_ok());
}

#[tokio::test]
async fn a_body_is_read_up_to_64_kib() {
    let sound = sound(TokenKind::OAuth).to_string();
    let padded = |status, length: usize| response(status, format!("{sound}{}", " ".repeat(length - sound.len())));
    assert!(verify_with(TokenKind::OAuth, padded(200, 65_536), Ok).await.is_ok());
    assert_eq!(failure(TokenKind::OAuth, padded(200, 65_537)).await, Some(FetchErrorKind::TooLarge));
    // Nobody reads these: the status says it all.
    for status in [400, 404, 422] {
        let error = verify_with(TokenKind::OAuth, padded(status, 65_537), Ok).await.expect_err("not valid");
        assert_eq!(error.kind(), VerifyErrorKind::Inactive, "{status}");
    }
    assert_eq!(failure(TokenKind::OAuth, padded(401, 65_537)).await, Some(FetchErrorKind::Unauthorized));
    assert_eq!(failure(TokenKind::OAuth, padded(500, 65_537)).await, Some(FetchErrorKind::UnexpectedStatus));
}

#[tokio::test]
async fn an_encoded_body_is_a_failure() {
    for (encoding, failure) in [
        ("identity", None),
        ("", None),
        ("gzip", Some(FetchErrorKind::UnexpectedEncoding)),
        ("identity, br", Some(FetchErrorKind::UnexpectedEncoding)),
    ] {
        let mut response = response(200, sound(TokenKind::OAuth).to_string());
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        assert_eq!(super::asked::failure(TokenKind::OAuth, response).await, failure, "{encoding}");
    }
}
