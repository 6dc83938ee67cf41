use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::RETRY_AFTER};
use tower_clerk::{
    TokenKind,
    jwks::{FetchError, FetchErrorKind},
    verify::{UnavailableReason, VerifyErrorKind},
};

use super::asked::{KINDS, config, failure, response, sound, token, verifier, verify_with};
use crate::support::within;

#[tokio::test]
async fn a_status_says_whether_the_answer_is_about_the_token() {
    for kind in KINDS {
        let read = |status| response(status, sound(kind).to_string());
        assert!(verify_with(kind, read(200), Ok).await.is_ok(), "{kind}");
        for status in [400, 404, 422] {
            let error = verify_with(kind, read(status), Ok).await.expect_err("unknown");
            assert_eq!(error.kind(), VerifyErrorKind::Inactive, "{kind} {status}");
        }
        for status in [401, 403] {
            assert_eq!(failure(kind, read(status)).await, Some(FetchErrorKind::Unauthorized), "{kind} {status}");
        }
    }
}

#[tokio::test]
async fn every_other_status_is_a_failure() {
    let body = sound(TokenKind::OAuth).to_string();
    for status in (100..600).chain([600, 999]).filter(|status| ![200, 400, 401, 403, 404, 422].contains(status)) {
        let found = failure(TokenKind::OAuth, response(status, body.clone())).await;
        assert_eq!(found, Some(FetchErrorKind::UnexpectedStatus), "{status}");
    }
}

#[tokio::test]
async fn a_failure_has_the_delay_that_the_response_asks_for() {
    for status in [200, 401, 403, 429, 500, 503] {
        for (value, seconds) in [("7", 7), ("61", 60), ("Fri, 15 Jan 2027 08:00:09 GMT", 9)] {
            let mut response = response(status, "");
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(value));
            let error = verify_with(TokenKind::ApiKey, response, Ok).await.expect_err("a failure");
            assert_eq!(error.kind(), VerifyErrorKind::KeysUnavailable);
            assert_eq!(error.retry_after(), Some(Duration::from_secs(seconds)), "{status} {value}");
        }
    }
}

#[tokio::test]
async fn an_error_of_the_client_is_a_failure_with_its_delay() {
    let api = |_: Request<Bytes>| async {
        Err::<Response<Bytes>, _>(FetchError::new("out of order").retry_after(Duration::from_secs(20)))
    };
    for kind in KINDS {
        let error = within(verifier(config(), api).verify_principal(token(kind))).await.expect_err("a failure");
        assert_eq!(error.unavailable_reason(), Some(UnavailableReason::BackendApi(FetchErrorKind::Transport)));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(20)));
    }
}
