use tower_clerk::{jwks::FetchErrorKind, verify::VerifyErrorKind};

use super::api::{Api, TOKEN, good, good_body, is_a_failure};
use crate::faults::instance::response;

#[tokio::test]
async fn ok_with_a_sound_answer_is_accepted() {
    let api = Api::start(good()).await;
    let principal = api.verify(TOKEN).await.expect("a good key");
    assert_eq!(principal.subject(), "user_ada");
    assert_eq!(api.server.requests(), 1);
}

#[tokio::test]
async fn a_status_about_the_token_rejects_it_whatever_the_body() {
    for status in ["400 Bad Request", "404 Not Found", "422 Unprocessable Content"] {
        for body in [good_body(), String::new(), "<html>".to_owned(), r#"{"errors":[]}"#.to_owned()] {
            let api = Api::start(response(status, &[], body)).await;
            assert_eq!(api.verify(TOKEN).await.expect_err(status).kind(), VerifyErrorKind::Inactive);
            assert_eq!((api.server.requests(), api.verifier.opaque_tokens_status().last_error), (1, None));
        }
    }
}

#[tokio::test]
async fn a_status_about_the_secret_key_is_a_failure() {
    for status in ["401 Unauthorized", "403 Forbidden"] {
        is_a_failure(response(status, &[], good_body()), FetchErrorKind::Unauthorized).await;
        is_a_failure(response(status, &[("WWW-Authenticate", "Bearer")], ""), FetchErrorKind::Unauthorized).await;
    }
}

#[tokio::test]
async fn every_other_status_is_a_failure() {
    let others = [201, 202, 203, 206, 207, 226, 300, 402, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416];
    for status in others.into_iter().chain([417, 418, 421, 423, 424, 425, 426, 428, 429, 431, 451]).chain(500..=511) {
        is_a_failure(response(&format!("{status} Any"), &[], good_body()), FetchErrorKind::UnexpectedStatus).await;
    }
    for status in [204, 304] {
        is_a_failure(response(&format!("{status} Any"), &[], ""), FetchErrorKind::UnexpectedStatus).await;
    }
    for status in [520, 530, 599, 600, 999] {
        is_a_failure(response(&format!("{status} Any"), &[], good_body()), FetchErrorKind::UnexpectedStatus).await;
    }
}

#[tokio::test]
async fn a_failure_says_nothing_about_the_token_later() {
    let api = Api::start(response("500 Internal Server Error", &[], "")).await;
    api.fails(FetchErrorKind::UnexpectedStatus).await;
    api.server.respond(good());
    api.verify("ak_other").await.expect("a good key");
}
