use std::borrow::Cow;

use http::{HeaderMap, header::COOKIE};
use tower_clerk::{ClerkAuthLayer, ConfigError, TokenSource};

use crate::support::{get, good, issuer, layer, layer_with, other_issuer, request, send_through, token};

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
    for source in [TokenSource::session_cookie(), TokenSource::cookie("mine"), TokenSource::custom_cookie(|_| None)] {
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
        format!("__session_QvfNY2dr=; __client_uat_QvfNY2dr=0; __session={token}"),
    ] {
        let answer = send_through(&cookie_layer(), get(&[("cookie", &field)])).await;
        assert_eq!((answer.status(), answer.code()), (401, "missing_token".to_owned()), "{field}");
    }
}

#[tokio::test]
async fn delimiters_are_split_on_before_decoding() {
    let field = format!("a=%3B%20__session%3D{}", token().sign());
    assert_eq!(send_through(&cookie_layer(), get(&[("cookie", &field)])).await.code(), "missing_token");
    let answer = send_through(&cookie_layer(), get(&[("cookie", "__session=%FF%FE")])).await;
    assert_eq!((answer.status(), answer.code()), (401, "missing_token".to_owned()));
}

#[test]
fn cookies_cannot_be_read_as_a_header() {
    let with_parties = layer_with(|config| config.authorized_parties([PARTY]));
    let error = with_parties.token_sources([TokenSource::authorization(), TokenSource::header(COOKIE)]);
    let error = error.expect_err("the rules of cookies would not apply");
    assert!(matches!(&error, ConfigError::Invalid { setting, .. } if setting.name() == "token_sources"), "{error}");
}

#[tokio::test]
async fn a_custom_cookie_obeys_the_rules_of_cookies() {
    let of_tenant = |headers: &HeaderMap| -> Option<String> {
        let pairs = headers.get(COOKIE)?.to_str().ok()?;
        pairs
            .split("; ")
            .find_map(|pair| pair.strip_prefix("tenant_")?.split_once('='))
            .map(|(_, value)| value.to_owned())
    };
    let layer = layer_with(|config| config.authorized_parties([PARTY]))
        .token_sources([TokenSource::custom_cookie(move |headers| of_tenant(headers).map(Cow::Owned))])
        .expect("parties are set");
    let valid = format!("a=b; tenant_7={}", token().sign());
    for (cookie, method, origin, status, code) in [
        (valid.as_str(), "POST", PARTY, 200, ""),
        (&valid, "GET", PARTY, 200, ""),
        (&valid, "POST", "https://evil.example", 403, "cross_site"),
        (&valid, "GET", "https://evil.example", 403, "cross_site"),
        ("tenant_7=a.b.c", "GET", PARTY, 401, "missing_token"),
        ("tenant_7=", "GET", PARTY, 401, "missing_token"),
        ("a=b", "GET", PARTY, 401, "missing_token"),
    ] {
        let answer = send_through(&layer, request(method, "/", &[("cookie", cookie), ("origin", origin)])).await;
        assert_eq!(answer.status(), status, "{cookie}");
        match status {
            200 => assert!(answer.passed().headers[COOKIE].is_sensitive()),
            _ => assert_eq!(answer.code(), code, "{cookie}"),
        }
    }
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
async fn a_cookie_counts_only_if_no_other_site_may_have_caused_the_request() {
    const EVIL: (&str, &str) = ("origin", "https://evil.example");
    const OURS: (&str, &str) = ("origin", PARTY);
    const NULL: (&str, &str) = ("origin", "null");
    let site = |value| ("sec-fetch-site", value);
    let upgrade = |value| ("upgrade", value);
    let cookie = session(&token().sign());
    for (method, more, status) in [
        ("GET", vec![], 200),
        ("HEAD", vec![], 200),
        ("OPTIONS", vec![], 200),
        ("GET", vec![site("cross-site")], 200),
        ("GET", vec![OURS], 200),
        ("GET", vec![OURS, site("cross-site")], 200),
        ("GET", vec![EVIL], 403),
        ("HEAD", vec![EVIL], 403),
        ("OPTIONS", vec![EVIL], 403),
        ("GET", vec![EVIL, site("same-origin")], 403),
        ("GET", vec![OURS, OURS], 403),
        ("GET", vec![NULL], 403),
        ("GET", vec![NULL, site("cross-site")], 403),
        ("GET", vec![NULL, site("same-origin")], 200),
        ("POST", vec![], 403),
        ("DELETE", vec![], 403),
        ("CONNECT", vec![], 403),
        ("get", vec![], 403),
        ("POST", vec![OURS], 200),
        ("POST", vec![EVIL], 403),
        ("POST", vec![NULL], 403),
        ("POST", vec![NULL, site("same-origin")], 200),
        ("POST", vec![NULL, site("same-site")], 403),
        ("POST", vec![NULL, site("same-origin"), site("same-origin")], 403),
        ("POST", vec![("origin", "Null"), site("same-origin")], 403),
        ("POST", vec![OURS, OURS], 403),
        ("POST", vec![OURS, site("cross-site")], 200),
        ("POST", vec![site("same-origin")], 200),
        ("POST", vec![site("same-site")], 403),
        ("POST", vec![site("same-origin"), site("cross-site")], 403),
        ("POST", vec![site("none")], 403),
        ("POST", vec![EVIL, site("same-origin")], 403),
        ("GET", vec![upgrade("websocket")], 403),
        ("GET", vec![upgrade("WebSocket")], 403),
        ("GET", vec![upgrade("h2c, websocket/13")], 403),
        ("GET", vec![upgrade("h2c"), upgrade("websocket")], 403),
        ("GET", vec![upgrade("websocket"), OURS], 200),
        ("GET", vec![upgrade("websocket"), EVIL], 403),
        ("GET", vec![upgrade("websocket"), site("same-origin")], 200),
        ("GET", vec![upgrade("h2c")], 200),
        ("GET", vec![upgrade("h2c, TLS/1.0, websockets")], 200),
        ("POST", vec![upgrade("h2c")], 403),
    ] {
        let mut headers = vec![("cookie", cookie.as_str())];
        headers.extend(more.iter().copied());
        let answer = send_through(&cookie_layer(), request(method, "/", &headers)).await;
        assert_eq!(answer.status(), status, "{method} {more:?}");
        if status == 403 {
            assert_eq!((answer.rejection().code(), answer.header("www-authenticate")), ("cross_site", None));
        }
        // A header cannot be sent by another site without a preflight, so the rule does not apply.
        let bearer = good();
        headers[0] = ("authorization", &bearer);
        assert_eq!(send_through(&cookie_layer(), request(method, "/", &headers)).await.status(), 200);
    }
}

#[tokio::test]
async fn a_cross_site_cookie_is_rejected_whether_or_not_its_token_is_valid() {
    let (forged, foreign) = (other_issuer().token("user_ada").sign(), token().claim("iss", "https://a.example").sign());
    for (value, code) in [
        (token().expired().sign(), "cross_site"),
        (forged, "cross_site"),
        (foreign, "missing_token"),
        ("a.b.c".to_owned(), "missing_token"),
    ] {
        let answer = send_through(&cookie_layer(), request("POST", "/", &[("cookie", &session(&value))])).await;
        assert_eq!(answer.code(), code, "{value}");
    }
}

#[tokio::test]
async fn without_parties_only_sec_fetch_site_vouches_for_a_request() {
    let danger = layer_with(|config| Ok(config.danger_cookie_without_authorized_parties()))
        .token_sources([TokenSource::session_cookie()])
        .expect("a source without parties");
    let cookie = session(&token().sign());
    for (method, more, status) in [
        ("GET", vec![], 200),
        ("GET", vec![("origin", PARTY)], 403),
        ("GET", vec![("origin", PARTY), ("sec-fetch-site", "same-origin")], 200),
        ("POST", vec![], 403),
        ("POST", vec![("origin", PARTY)], 403),
        ("POST", vec![("origin", PARTY), ("sec-fetch-site", "cross-site")], 403),
        ("POST", vec![("origin", PARTY), ("sec-fetch-site", "same-origin")], 200),
        ("POST", vec![("origin", "null"), ("sec-fetch-site", "same-origin")], 200),
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
