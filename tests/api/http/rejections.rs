use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, request::Parts};
use tower_clerk::{
    Rejection,
    rejection::{RejectionFormat, RejectionKind},
    verify::VerifyErrorKind,
};

use crate::support::{BAD, bearer, get, good, layer, layer_without_keys, request, send_through, token};

#[tokio::test]
async fn each_rejection_has_its_status_challenge_and_problem() {
    let (expired, bad) = (bearer(&token().expired()), BAD.to_owned());
    let good = good();
    for (layer, headers, status, code, challenge) in [
        (layer(), vec![], 401, "missing_token", Some("Bearer")),
        (layer(), vec![("authorization", bad.as_str())], 401, "invalid_token", Some(r#"Bearer error="invalid_token""#)),
        (layer(), vec![("authorization", &expired)], 401, "token_expired", Some(r#"Bearer error="invalid_token""#)),
        (
            layer(),
            vec![("authorization", "Bearer a b")],
            400,
            "malformed_request",
            Some(r#"Bearer error="invalid_request""#),
        ),
        (layer_without_keys(), vec![("authorization", &good)], 503, "keys_unavailable", None),
    ] {
        let answer = send_through(&layer, get(&headers)).await;
        assert_eq!((answer.status(), answer.code()), (status, code.to_owned()));
        assert_eq!(answer.header("www-authenticate"), challenge, "{code}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let problem: serde_json::Value = serde_json::from_str(&answer.text).expect("JSON");
        assert_eq!(problem["status"], status);
        let title = StatusCode::from_u16(status).expect("a status").canonical_reason().expect("a reason");
        assert_eq!((problem["type"].as_str(), problem["title"].as_str()), (Some("about:blank"), Some(title)));
        assert!(answer.seen().is_none());
    }
}

#[tokio::test]
async fn unavailable_keys_are_a_retryable_503() {
    let answer = send_through(&layer_without_keys(), get(&[("authorization", &good())])).await;
    assert_eq!(answer.header("retry-after"), Some("1"));
    let call = [("content-type", "application/grpc"), ("authorization", &good())];
    let answer = send_through(&layer_without_keys(), request("POST", "/", &call)).await;
    assert_eq!(answer.header("grpc-status"), Some("14"));
    assert_eq!(answer.header("grpc-retry-pushback-ms"), Some("1000"));
}

#[tokio::test]
async fn head_gets_the_same_headers_as_get() {
    for headers in [vec![], vec![("authorization", "Bearer a")], vec![("authorization", "Bearer a b")]] {
        let (got, head) =
            (send_through(&layer(), get(&headers)).await, send_through(&layer(), request("HEAD", "/", &headers)).await);
        assert_eq!(got.status(), head.status());
        assert_eq!(got.headers_with_length(), head.parts.headers);
        assert!(head.text.is_empty() && !got.text.is_empty());
    }
}

#[tokio::test]
async fn a_grpc_call_is_rejected_with_trailers_only() {
    for (headers, grpc_status, code) in [
        (vec![], "16", "missing_token"),
        (vec![("authorization", "Bearer a.b.c")], "16", "invalid_token"),
        (vec![("authorization", "Bearer a b")], "3", "malformed_request"),
    ] {
        let mut headers = headers;
        headers.push(("content-type", "application/grpc+proto"));
        let answer = send_through(&layer(), request("POST", "/", &headers)).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.header("content-type"), Some("application/grpc"));
        assert_eq!(answer.header("grpc-status"), Some(grpc_status));
        assert!(answer.header("grpc-message").is_some());
        assert_eq!(answer.header("clerk-error-code"), Some(code));
        assert_eq!(answer.header("www-authenticate"), None);
        assert!(answer.text.is_empty() && answer.seen().is_none());
    }
}

#[tokio::test]
async fn the_media_type_does_not_override_the_pinned_http_format() {
    let pinned = layer().rejection_format(RejectionFormat::Http);
    assert_eq!(
        send_through(&pinned, request("POST", "/", &[("content-type", "application/grpc")])).await.status(),
        401
    );
    for (method, media_type) in
        [("GET", "application/grpc"), ("POST", "application/grpcx"), ("POST", "application/json")]
    {
        assert_eq!(send_through(&layer(), request(method, "/", &[("content-type", media_type)])).await.status(), 401);
    }
    let grpc = layer().rejection_format(RejectionFormat::Grpc);
    assert_eq!(send_through(&grpc, get(&[])).await.header("grpc-status"), Some("16"));
}

#[tokio::test]
async fn the_pinned_grpc_format_repeats_the_variant_of_a_web_call() {
    let grpc = layer().rejection_format(RejectionFormat::Grpc);
    for (media_type, repeated) in [
        ("application/grpc-web+proto", "application/grpc-web"),
        ("application/grpc-web-text", "application/grpc-web-text"),
        ("application/json", "application/grpc"),
    ] {
        let answer = send_through(&grpc, request("POST", "/", &[("content-type", media_type)])).await;
        assert_eq!(answer.header("content-type"), Some(repeated));
    }
}

#[tokio::test]
async fn the_reason_is_in_the_response_extensions_and_not_in_its_bytes() {
    let answer = send_through(&layer(), get(&[("authorization", &bearer(&token().claim("azp", 7)))])).await;
    let rejection = answer.parts.extensions.get::<Rejection>().expect("a rejection");
    assert_eq!(rejection.kind(), RejectionKind::InvalidToken);
    assert_eq!(rejection.verify_error_kind(), Some(VerifyErrorKind::InvalidAuthorizedParty));
    assert_eq!(rejection.to_string(), "invalid token");
    let source = std::error::Error::source(rejection).expect("the exact reason");
    assert_eq!(source.to_string(), "authorized party not accepted (azp)");
    let seen = format!("{:?} {:?}", answer.parts.headers, answer.text);
    assert!(!seen.contains("azp") && !seen.contains("party"), "{seen}");
    let missing = send_through(&layer(), get(&[])).await;
    let rejection = missing.parts.extensions.get::<Rejection>().expect("a rejection");
    assert!(rejection.verify_error().is_none() && rejection.retry_after().is_none());
}

#[tokio::test]
async fn a_hook_can_replace_the_default() {
    let hooked = layer().rejection_response(|rejection: &Rejection, request: &Parts| {
        assert_eq!(request.uri.path(), "/path");
        assert!(request.headers.contains_key("x-id"));
        let mut response = Response::new(Bytes::from(format!("no: {}", rejection.code())));
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response
    });
    let answer = send_through(&hooked, request("GET", "/path?query", &[("x-id", "7")])).await;
    assert_eq!((answer.status(), answer.text.as_str()), (418, "no: missing_token"));
    assert!(answer.parts.extensions.get::<Rejection>().is_some());
    let head = send_through(&hooked, request("HEAD", "/path?query", &[("x-id", "7")])).await;
    assert_eq!((head.header("content-length"), head.text.len()), (Some("17"), 0));
}

#[tokio::test]
async fn head_keeps_the_content_length_that_a_hook_sets() {
    let hooked = layer().rejection_response(|_: &Rejection, _: &Parts| {
        let mut response = Response::new(Bytes::new());
        response.headers_mut().insert("content-length", HeaderValue::from_static("42"));
        response
    });
    assert_eq!(send_through(&hooked, request("HEAD", "/", &[])).await.header("content-length"), Some("42"));
}

#[tokio::test]
async fn a_hook_can_amend_the_default() {
    let hooked = layer().rejection_response(|rejection: &Rejection, _: &Parts| {
        let mut response = rejection.default_response();
        response.headers_mut().insert("x-more", HeaderValue::from_static("yes"));
        response
    });
    let answer = send_through(&hooked, get(&[])).await;
    assert_eq!((answer.status(), answer.header("x-more")), (401, Some("yes")));
}
