use http::HeaderName;
use tower_clerk::TokenSource;

use crate::support::{get, good, layer, layer_with, layer_without_keys, request, send_through, token};

#[tokio::test]
async fn the_bearer_scheme_ignores_case_and_padding() {
    let token = token().sign();
    for value in [
        format!("Bearer {token}"),
        format!("bearer {token}"),
        format!("BEARER {token}"),
        format!("bEaReR    {token}"),
        format!("  Bearer {token}  "),
        format!("\tBearer {token}\t \t"),
    ] {
        let answer = send_through(&layer(), get(&[("authorization", &value)])).await;
        assert_eq!((answer.status(), answer.user()), (200, Some("user_ada")), "{value}");
    }
}

#[tokio::test]
async fn the_header_is_forwarded_unchanged_and_sensitive() {
    let value = format!("bearer   {}", token().sign());
    let answer = send_through(&layer(), get(&[("authorization", &value)])).await;
    let seen = answer.passed().authorization.expect("the header");
    assert_eq!(seen, value.as_str());
    assert!(seen.is_sensitive());
}

#[tokio::test]
async fn a_malformed_credential_is_a_bad_request_in_every_mode() {
    let token = token().sign();
    let layers =
        [layer(), layer().allow_missing_token(), layer().allow_unauthenticated_requests(), layer_without_keys()];
    for value in [
        format!("Bearer {token} x"),
        format!("Bearer {token} {token}"),
        format!("Bearer {token},"),
        format!("Bearer {token}, Basic eDp5"),
        format!("Basic eDp5, Bearer {token}"),
        "Basic eDp5,".to_owned(),
        "Bearer,".to_owned(),
        "Bearer ,".to_owned(),
        ",".to_owned(),
        format!("Bearer\t{token}"),
        format!("Bearer {token}\tx"),
        format!("Bearer \u{a0}{token}"),
        format!("Bearer {token}\u{ff}"),
        "Basic \u{e4}".to_owned(),
        format!("Bearer {}", "a".repeat(16 * 1024 + 1)),
    ] {
        for layer in &layers {
            let answer = send_through(layer, get(&[("authorization", &value)])).await;
            assert_eq!(answer.status(), 400, "{value:?}");
            assert_eq!(answer.code(), "malformed_request");
            assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer error="invalid_request""#));
            assert!(answer.seen().is_none());
        }
    }
}

#[tokio::test]
async fn an_empty_credential_is_none_and_the_next_source_is_asked() {
    let token = token().sign();
    let sources = || [TokenSource::authorization(), TokenSource::header(HeaderName::from_static("x-clerk-token"))];
    let of_two = layer().token_sources(sources()).expect("sources");
    for empty in ["", " ", "\t", " \t ", "Bearer", "Bearer ", "bearer\t", "BEARER  \t "] {
        for (layer, status) in [(layer(), 401), (layer().allow_missing_token(), 200), (layer_without_keys(), 401)] {
            let answer = send_through(&layer, get(&[("authorization", empty)])).await;
            assert_eq!(answer.status(), status, "{empty:?}");
            if status == 401 {
                assert_eq!(
                    (answer.code().as_str(), answer.header("www-authenticate")),
                    ("missing_token", Some("Bearer"))
                );
            }
        }
        for name in ["authorization", "x-clerk-token"] {
            let answer = send_through(&of_two, get(&[(name, empty)])).await;
            assert_eq!((answer.status(), answer.code()), (401, "missing_token".to_owned()), "{name} {empty:?}");
        }
        let answer = send_through(&of_two, get(&[("authorization", empty), ("x-clerk-token", &token)])).await;
        assert_eq!(answer.user(), Some("user_ada"), "{empty:?}");
    }
}

#[tokio::test]
async fn two_authorization_fields_are_always_a_bad_request() {
    let bearer = good();
    for (first, second) in
        [(bearer.as_str(), bearer.as_str()), (&bearer, "Basic eDp5"), ("Basic eDp5", &bearer), ("", "")]
    {
        let answer = send_through(&layer(), get(&[("authorization", first), ("authorization", second)])).await;
        assert_eq!((answer.status(), answer.code()), (400, "malformed_request".to_owned()));
    }
}

#[tokio::test]
async fn one_word_after_bearer_is_a_valid_or_invalid_token() {
    for word in ["a", "a.b.c", "null", "Bearer", "eyJhbGciOiJub25lIn0.e30.", "=", "\"quoted\"", "a:b;c", "%2E%2E"] {
        for layer in [layer(), layer_without_keys()] {
            let answer = send_through(&layer, get(&[("authorization", &format!("Bearer {word}"))])).await;
            assert_eq!((answer.status(), answer.code()), (401, "invalid_token".to_owned()), "{word}");
        }
    }
}

#[tokio::test]
async fn another_scheme_is_not_a_bearer_credential() {
    let token = token().sign();
    for value in [
        "Basic eDp5".to_owned(),
        format!("DPoP {token}"),
        format!("JWT {token}"),
        token.clone(),
        format!("Bearer:{token}"),
        format!("BearerX {token}"),
        "Digest".to_owned(),
    ] {
        let answer = send_through(&layer(), get(&[("authorization", &value)])).await;
        assert_eq!((answer.status(), answer.code()), (401, "missing_token".to_owned()), "{value}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
}

#[tokio::test]
async fn tokens_in_other_places_are_ignored() {
    let token = token().sign();
    for name in ["x-authorization", "proxy-authorization", "authorization-bin", "cookie"] {
        let value = if name == "cookie" { format!("__session={token}") } else { format!("Bearer {token}") };
        let answer = send_through(&layer(), get(&[(name, &value)])).await;
        assert_eq!((answer.status(), answer.code()), (401, "missing_token".to_owned()), "{name}");
    }
    let mut in_query = get(&[]);
    *in_query.uri_mut() = format!("/?access_token={token}&token={token}").parse().expect("a URI");
    assert_eq!(send_through(&layer(), in_query).await.code(), "missing_token");
}

#[tokio::test]
async fn the_length_limit_can_be_set() {
    let token = token().sign();
    let value = format!("Bearer {token}");
    for (limit, status) in [(token.len(), 200), (token.len() - 1, 400)] {
        let layer = layer_with(|config| config.max_token_length(limit));
        assert_eq!(send_through(&layer, get(&[("authorization", &value)])).await.status(), status);
    }
}

#[tokio::test]
async fn every_method_needs_a_token() {
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"] {
        assert_eq!(send_through(&layer(), request(method, "/", &[])).await.status(), 401, "{method}");
        let value = good();
        assert_eq!(
            send_through(&layer(), request(method, "/", &[("authorization", &value)])).await.status(),
            200,
            "{method}"
        );
    }
}
