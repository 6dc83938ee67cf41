use tower_clerk::{ClerkAuthLayer, ConfigError, TokenSource};

use crate::support::{get, good, issuer, layer, layer_with, request, send_through, token};

const PARTY: &str = "https://app.test.example";
/// The suffix of its cookies is `QvfNY2dr`.
const KEY: &str = "pk_test_Y2xlcmsuY2xlcmsuZGV2JA";

fn cookie_layer() -> ClerkAuthLayer {
    layer_with(|config| config.authorized_parties([PARTY])?.publishable_key(KEY))
        .token_sources([TokenSource::authorization(), TokenSource::session_cookie()])
        .expect("parties are set")
}

fn session(token: &str) -> String {
    format!("__session={token}")
}

#[test]
fn a_cookie_source_needs_authorized_parties() {
    for source in [TokenSource::session_cookie(), TokenSource::cookie("mine")] {
        let error = layer().token_sources([source.clone()]).expect_err("no parties");
        assert!(matches!(&error, ConfigError::Missing { setting, .. } if setting.name() == "authorized_parties"));
        let danger = layer_with(|config| Ok(config.danger_cookie_without_authorized_parties()));
        assert!(danger.token_sources([source]).is_ok());
    }
    assert!(layer().token_sources([]).is_err());
}

#[tokio::test]
async fn the_session_cookie_is_found_among_other_cookies_and_fields() {
    let token = token().sign();
    for fields in [
        vec![session(&token)],
        vec![format!("a=b; {}; c=d", session(&token))],
        vec![format!("a=b;{};c=d", session(&token))],
        vec!["a=b".to_owned(), session(&token), "c=d".to_owned()],
        vec![format!("\u{e4}=\u{f6}; {}", session(&token))],
        vec![format!("__session_QvfNY2dr={token}; __session=other.one.x")],
        vec![format!("__session={token}; __session={token}")],
        vec![session(&token.replace('.', "%2E"))],
    ] {
        let headers: Vec<_> = fields.iter().map(|field| ("cookie", field.as_str())).collect();
        let answer = send_through(&cookie_layer(), get(&headers)).await;
        assert_eq!((answer.status(), answer.user()), (200, Some("user_ada")), "{fields:?}");
    }
}

#[tokio::test]
async fn other_cookies_are_not_credentials() {
    let token = token().sign();
    for field in [
        format!("__sessionx={token}"),
        format!("x__session={token}"),
        format!("__session_other={token}"),
        format!("__SESSION={token}"),
        format!("a=b,__session={token}"),
        "__session".to_owned(),
        "__session=".to_owned(),
        format!("__session_QvfNY2dr=; __session={token}"),
    ] {
        let answer = send_through(&cookie_layer(), get(&[("cookie", &field)])).await;
        assert_eq!((answer.status(), answer.code()), (401, "missing_token".to_owned()), "{field}");
    }
}

#[tokio::test]
async fn a_bad_suffixed_cookie_does_not_fall_back_to_the_plain_one() {
    let field = format!("__session={}; __session_QvfNY2dr=a.b.c", token().sign());
    let answer = send_through(&cookie_layer(), get(&[("cookie", &field)])).await;
    assert_eq!((answer.status(), answer.code()), (401, "invalid_token".to_owned()));
}

#[tokio::test]
async fn two_values_under_one_name_are_a_bad_request() {
    let field = format!("{}; {}", session(&token().sign()), session("a.b.c"));
    assert_eq!(send_through(&cookie_layer(), get(&[("cookie", &field)])).await.code(), "malformed_request");
    let emptied = format!("__session=; {}", session(&token().sign()));
    assert_eq!(send_through(&cookie_layer(), get(&[("cookie", &emptied)])).await.code(), "malformed_request");
    let (one, other) = (session(&token().sign()), session("a.b.c"));
    let split = [("cookie", one.as_str()), ("cookie", &other)];
    assert_eq!(send_through(&cookie_layer(), get(&split)).await.code(), "malformed_request");
}

#[tokio::test]
async fn delimiters_are_split_on_before_decoding() {
    let field = format!("a=%3B%20__session%3D{}", token().sign());
    assert_eq!(send_through(&cookie_layer(), get(&[("cookie", &field)])).await.code(), "missing_token");
    let answer = send_through(&cookie_layer(), get(&[("cookie", "__session=%FF%FE")])).await;
    assert_eq!((answer.status(), answer.code()), (401, "invalid_token".to_owned()));
}

#[tokio::test]
async fn the_first_source_with_a_credential_decides() {
    let cookie = session(&token().sign());
    let bad = send_through(&cookie_layer(), get(&[("authorization", "Bearer a.b.c"), ("cookie", &cookie)])).await;
    assert_eq!((bad.status(), bad.code()), (401, "invalid_token".to_owned()));
    let other_scheme =
        send_through(&cookie_layer(), get(&[("authorization", "Basic eDp5"), ("cookie", &cookie)])).await;
    assert_eq!(other_scheme.status(), 200);
}

#[tokio::test]
async fn unsafe_requests_need_a_same_site_origin_for_cookies() {
    let cookie = session(&token().sign());
    for (method, more, status) in [
        ("GET", vec![], 200),
        ("HEAD", vec![], 200),
        ("OPTIONS", vec![], 200),
        ("GET", vec![("origin", "https://evil.example")], 200),
        ("POST", vec![], 403),
        ("DELETE", vec![], 403),
        ("CONNECT", vec![], 403),
        ("POST", vec![("origin", PARTY)], 200),
        ("POST", vec![("origin", "https://evil.example")], 403),
        ("POST", vec![("origin", "null")], 403),
        ("POST", vec![("origin", PARTY), ("origin", PARTY)], 403),
        ("POST", vec![("origin", PARTY), ("sec-fetch-site", "cross-site")], 200),
        ("POST", vec![("sec-fetch-site", "same-origin")], 200),
        ("POST", vec![("sec-fetch-site", "same-site")], 403),
        ("POST", vec![("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], 403),
        ("POST", vec![("sec-fetch-site", "none")], 403),
        ("POST", vec![("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")], 403),
        ("GET", vec![("upgrade", "websocket")], 403),
        ("GET", vec![("upgrade", "websocket"), ("origin", PARTY)], 200),
    ] {
        let mut headers = vec![("cookie", cookie.as_str())];
        headers.extend(more.iter().copied());
        let answer = send_through(&cookie_layer(), request(method, "/", &headers)).await;
        assert_eq!(answer.status(), status, "{method} {more:?}");
        if status == 403 {
            assert_eq!(answer.header("www-authenticate"), None);
        }
    }
    let rejected = send_through(&cookie_layer(), request("POST", "/", &[("cookie", &cookie)])).await;
    assert_eq!(rejected.code(), "cross_site");
    let bad = send_through(&cookie_layer(), request("POST", "/", &[("cookie", "__session=a.b.c")])).await;
    assert_eq!(bad.code(), "cross_site", "with an invalid token too");
    let header = good();
    assert_eq!(send_through(&cookie_layer(), request("POST", "/", &[("authorization", &header)])).await.status(), 200);
}

#[tokio::test]
async fn without_parties_unsafe_requests_need_sec_fetch_site_same_origin() {
    let danger = layer_with(|config| Ok(config.danger_cookie_without_authorized_parties()))
        .token_sources([TokenSource::session_cookie()])
        .expect("a source without parties");
    let cookie = session(&token().sign());
    for (method, more, status) in [
        ("GET", vec![], 200),
        ("POST", vec![], 403),
        ("POST", vec![("origin", PARTY)], 403),
        ("POST", vec![("origin", PARTY), ("sec-fetch-site", "cross-site")], 403),
        ("POST", vec![("origin", PARTY), ("sec-fetch-site", "same-origin")], 200),
        ("POST", vec![("sec-fetch-site", "same-origin")], 200),
    ] {
        let mut headers = vec![("cookie", cookie.as_str())];
        headers.extend(more.iter().copied());
        assert_eq!(send_through(&danger, request(method, "/", &headers)).await.status(), status, "{method} {more:?}");
    }
}

#[tokio::test]
async fn a_cookie_without_azp_is_accepted_only_for_get_and_head() {
    let layer = layer_with(|config| Ok(config.authorized_parties([PARTY])?.allow_missing_azp()))
        .token_sources([TokenSource::authorization(), TokenSource::session_cookie()])
        .expect("parties are set");
    let token = token().without_claim("azp").sign();
    let cookie = session(&token);
    for (method, status) in [("GET", 200), ("HEAD", 200), ("OPTIONS", 401), ("POST", 401)] {
        let headers = [("cookie", cookie.as_str()), ("origin", PARTY)];
        assert_eq!(send_through(&layer, request(method, "/", &headers)).await.status(), status, "{method}");
    }
    let header = format!("Bearer {token}");
    assert_eq!(send_through(&layer, request("POST", "/", &[("authorization", &header)])).await.status(), 200);
}

#[tokio::test]
async fn a_cookie_from_another_party_is_rejected() {
    let token = issuer().token("user_ada").authorized_party("https://evil.example").sign();
    let answer = send_through(&cookie_layer(), get(&[("cookie", &session(&token))])).await;
    assert_eq!((answer.status(), answer.code()), (401, "invalid_token".to_owned()));
}
