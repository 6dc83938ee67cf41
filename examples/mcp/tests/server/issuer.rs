//! What the embedded issuer grants and refuses.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::support::{Running, click, http, parameter, start};

const REDIRECT_URI: &str = "http://127.0.0.1:33418/callback?a=b";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// The URL of an authorization request that is sound, but for these changes.
fn authorization(server: &Running, client: &str, changes: &[(&str, Option<&str>)]) -> String {
    let sound = [
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", REDIRECT_URI),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("resource", &server.url),
        ("scope", "profile"),
        ("state", "xyz"),
    ];
    let mut url = Url::parse(&server.at("/oauth/authorize")).unwrap();
    for (name, value) in sound {
        let change = changes.iter().find(|(changed, _)| *changed == name);
        if let Some(value) = change.map_or(Some(value), |(_, value)| *value) {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    url.into()
}

/// Redeems a code with a request that is sound, but for these changes.
async fn redeem(server: &Running, client: &str, code: &str, changes: &[(&str, Option<&str>)]) -> Response {
    let sound = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("redirect_uri", REDIRECT_URI),
        ("code", code),
        ("code_verifier", VERIFIER),
        ("resource", &server.url),
    ];
    let changed = |(name, value)| {
        let change = changes.iter().find(|(changed, _)| *changed == name);
        change.map_or(Some(value), |(_, value)| *value).map(|value| (name, value))
    };
    let form: Vec<_> = sound.into_iter().filter_map(changed).collect();
    server.post_form("/oauth/token", &form).await
}

async fn code(server: &Running, client: &str) -> String {
    parameter(&click(&authorization(server, client, &[]), "allow").await, "code").unwrap()
}

async fn error(response: Response) -> Value {
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    response.json::<Value>().await.unwrap()["error"].clone()
}

/// What a token says, unchecked.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn a_sound_request_gets_a_token_that_the_server_accepts() {
    let server = start().await;
    let client = server.register(REDIRECT_URI).await;
    let callback = click(&authorization(&server, &client, &[]), "allow").await;
    assert_eq!(parameter(&callback, "state").as_deref(), Some("xyz"));
    assert_eq!(parameter(&callback, "a").as_deref(), Some("b"));
    assert_eq!(parameter(&callback, "iss").as_deref(), Some(server.issuer.url()));
    let response = redeem(&server, &client, &parameter(&callback, "code").unwrap(), &[]).await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    let token: Value = response.json().await.unwrap();
    assert_eq!((&token["scope"], &token["token_type"]), (&json!("profile"), &json!("Bearer")));
    let answer = server.call(token["access_token"].as_str(), "whoami").await;
    assert_eq!(answer.status(), StatusCode::OK);
}

/// It listens on a port that is free, which is seldom the same twice (RFC 8252, section 7.3).
#[tokio::test]
async fn a_client_on_this_machine_comes_back_under_another_port() {
    let server = start().await;
    let client = server.register(REDIRECT_URI).await;
    for uri in [REDIRECT_URI, "http://127.0.0.1:33419/callback?a=b", "http://127.0.0.1/callback?a=b"] {
        let change = ("redirect_uri", Some(uri));
        let url = authorization(&server, &client, &[change]);
        // A browser would not follow the answer to a port that the policy does not name.
        let page = http().get(&url).send().await.unwrap();
        let target = Url::parse(uri).unwrap().origin().ascii_serialization();
        let policy = page.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains(&format!("form-action 'self' {target};")), "{policy}");
        assert!(page.text().await.unwrap().contains(&format!("It gets the answer at {target}.")), "{uri}");

        for decision in ["deny", "allow"] {
            let callback = click(&url, decision).await;
            assert!(callback.as_str().starts_with(&format!("{uri}&")), "{callback}");
        }
        let code = parameter(&click(&url, "allow").await, "code").unwrap();
        let token: Value = redeem(&server, &client, &code, &[change]).await.json().await.unwrap();
        let answer = server.call(token["access_token"].as_str(), "whoami").await;
        assert_eq!(answer.status(), StatusCode::OK, "{uri}");
    }
}

#[tokio::test]
async fn a_code_is_good_for_the_port_that_was_asked_for_alone() {
    let server = start().await;
    let client = server.register(REDIRECT_URI).await;
    let other = "http://127.0.0.1:33419/callback?a=b";
    for (asked, redeemed) in [
        (REDIRECT_URI, Some(other)),
        (other, Some(REDIRECT_URI)),
        (other, Some("http://127.0.0.1:33420/callback?a=b")),
        (other, Some("http://127.0.0.1/callback?a=b")),
    ] {
        let url = authorization(&server, &client, &[("redirect_uri", Some(asked))]);
        let code = parameter(&click(&url, "allow").await, "code").unwrap();
        let response = redeem(&server, &client, &code, &[("redirect_uri", redeemed)]).await;
        assert_eq!(error(response).await, "invalid_grant", "{asked} {redeemed:?}");
    }
}

/// Older clients know no `resource` (RFC 8707), and this issuer has only one.
#[tokio::test]
async fn a_token_is_for_the_resource_whether_a_client_names_it_or_not() {
    let server = start().await;
    let client = server.register(REDIRECT_URI).await;
    let named = Some(server.url.as_str());
    for (asked, redeemed) in [(None, None), (None, named), (named, None), (named, named), (Some(""), Some(""))] {
        let url = authorization(&server, &client, &[("resource", asked)]);
        assert_eq!(parameter(&Url::parse(&url).unwrap(), "resource").as_deref(), asked);
        let code = parameter(&click(&url, "allow").await, "code").unwrap();
        let response = redeem(&server, &client, &code, &[("resource", redeemed)]).await;
        assert_eq!(response.status(), StatusCode::OK, "{asked:?} {redeemed:?}");
        let token: Value = response.json().await.unwrap();
        let token = token["access_token"].as_str().unwrap();
        assert_eq!(claims(token)["aud"], server.url, "{asked:?} {redeemed:?}");
        assert_eq!(server.call(Some(token), "whoami").await.status(), StatusCode::OK, "{asked:?} {redeemed:?}");
    }
}

#[tokio::test]
async fn a_code_is_good_for_no_other_resource() {
    let server = start().await;
    let client = server.register(REDIRECT_URI).await;
    let (slash, origin) = (format!("{}/", server.url), server.issuer.url());
    for asked in [None, Some(server.url.as_str())] {
        for redeemed in ["https://other.example/mcp", &slash, origin] {
            let url = authorization(&server, &client, &[("resource", asked)]);
            let code = parameter(&click(&url, "allow").await, "code").unwrap();
            let response = redeem(&server, &client, &code, &[("resource", Some(redeemed))]).await;
            assert_eq!(error(response).await, "invalid_target", "{asked:?} {redeemed}");
            let again = redeem(&server, &client, &code, &[]).await;
            assert_eq!(error(again).await, "invalid_grant", "{asked:?} {redeemed}");
        }
    }
}

#[tokio::test]
async fn a_client_that_is_unknown_or_elsewhere_is_not_redirected_to() {
    let server = start().await;
    let client = server.register(REDIRECT_URI).await;
    for changes in [
        [("client_id", Some("client_unknown"))],
        [("client_id", None)],
        [("redirect_uri", None)],
        [("redirect_uri", Some("http://127.0.0.1:33418/callback"))],
        [("redirect_uri", Some("http://127.0.0.1:33419/callback"))],
        [("redirect_uri", Some("http://127.0.0.1:33419/callback?a=b#part"))],
        [("redirect_uri", Some("http://127.0.0.1:33419@evil.example/callback?a=b"))],
        [("redirect_uri", Some("http://user@127.0.0.1:33419/callback?a=b"))],
        [("redirect_uri", Some("http://localhost:33418/callback?a=b"))],
        [("redirect_uri", Some("https://127.0.0.1:33419/callback?a=b"))],
        [("redirect_uri", Some("HTTP://127.0.0.1:33418/callback?a=b"))],
        [("redirect_uri", Some("http://127.0.0.1:33418/callback?a=b&c=d"))],
        [("redirect_uri", Some("https://evil.example/"))],
    ] {
        let response = http().get(authorization(&server, &client, &changes)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{changes:?}");
        assert!(!response.headers().contains_key("location"), "{changes:?}");
    }
    let repeated = format!("{}&client_id={client}", authorization(&server, &client, &[]));
    assert_eq!(http().get(repeated).send().await.unwrap().status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_unsound_request_ends_on_a_page_that_names_its_mistake() {
    let server = start().await;
    let client = server.register("https://evil.example/x").await;
    let redirect_uri = ("redirect_uri", Some("https://evil.example/x"));
    for (name, value) in [
        ("response_type", Some("token")),
        ("response_type", Some("bad")),
        ("response_type", None),
        ("code_challenge", None),
        ("code_challenge", Some("short")),
        ("code_challenge_method", None),
        ("code_challenge_method", Some("plain")),
        ("resource", Some("https://other.example/mcp")),
        ("resource", Some(server.issuer.url())),
        ("scope", Some("admin")),
    ] {
        let url = authorization(&server, &client, &[redirect_uri, (name, value)]);
        // Also if somebody sends the form without having seen the page.
        let request = Url::parse(&url).unwrap().query().unwrap().to_owned();
        let form = |decision| [("request", request.as_str()), ("decision", decision)];
        let allowed = server.post_form("/oauth/authorize", &form("allow")).await;
        let denied = server.post_form("/oauth/authorize", &form("deny")).await;
        for response in [http().get(url).send().await.unwrap(), allowed, denied] {
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{name}");
            assert!(!response.headers().contains_key("location"), "{name}");
            let page = response.text().await.unwrap();
            assert!(page.contains(name), "{page}");
        }
    }
}

#[tokio::test]
async fn only_the_answer_of_the_user_leads_to_the_client() {
    let server = start().await;
    let client = server.register(REDIRECT_URI).await;
    let url = authorization(&server, &client, &[]);
    let callback = click(&url, "deny").await;
    assert!(callback.as_str().starts_with(REDIRECT_URI), "{callback}");
    assert_eq!(parameter(&callback, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&callback, "state").as_deref(), Some("xyz"));
    assert_eq!(parameter(&callback, "code"), None);
    let request = Url::parse(&url).unwrap().query().unwrap().to_owned();
    for decision in ["", "other"] {
        let form = [("request", request.as_str()), ("decision", decision)];
        let response = server.post_form("/oauth/authorize", &form).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{decision}");
    }
}

#[tokio::test]
async fn another_page_cannot_consent_for_its_visitor() {
    let server = start().await;
    let client = server.register(REDIRECT_URI).await;
    let request = Url::parse(&authorization(&server, &client, &[])).unwrap().query().unwrap().to_owned();
    for (origin, site) in [("https://evil.example", "cross-site"), ("http://127.0.0.1:1", "same-site"), ("null", "")] {
        let form =
            http().post(server.at("/oauth/authorize")).form(&[("request", request.as_str()), ("decision", "allow")]);
        let form = form.header("origin", origin);
        let form = if site.is_empty() { form } else { form.header("sec-fetch-site", site) };
        assert_eq!(form.send().await.unwrap().status(), StatusCode::FORBIDDEN, "{origin}");
    }
}

#[tokio::test]
async fn the_page_runs_nothing_and_is_in_no_frame() {
    let server = start().await;
    let registration = json!({ "client_name": "<script>\"'&", "redirect_uris": [REDIRECT_URI] });
    let client: Value = server.post_json("/oauth/register", &registration).await.json().await.unwrap();
    let url = authorization(&server, client["client_id"].as_str().unwrap(), &[("state", Some("\"><script>"))]);
    let page = http().get(url).send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert_eq!(
        policy,
        "default-src 'none'; form-action 'self' http://127.0.0.1:33418; frame-ancestors 'none'; base-uri 'none'"
    );
    assert_eq!(page.headers()["x-frame-options"], "DENY");
    let text = page.text().await.unwrap();
    assert!(text.contains("&lt;script&gt;&quot;&#39;&amp;") && !text.contains("<script"), "{text}");
}

#[tokio::test]
async fn a_code_is_good_once() {
    let server = start().await;
    let client = server.register(REDIRECT_URI).await;
    let code = code(&server, &client).await;
    assert_eq!(redeem(&server, &client, &code, &[]).await.status(), StatusCode::OK);
    assert_eq!(error(redeem(&server, &client, &code, &[]).await).await, "invalid_grant");
}

#[tokio::test]
async fn a_code_is_good_for_its_client_and_its_secret_alone() {
    let server = start().await;
    let client = server.register(REDIRECT_URI).await;
    let other = server.register(REDIRECT_URI).await;
    for (name, value, expected) in [
        ("client_id", other.as_str(), "invalid_grant"),
        ("redirect_uri", "http://127.0.0.1:33418/callback", "invalid_grant"),
        ("code", "guess", "invalid_grant"),
        ("code_verifier", "", "invalid_request"),
        ("code_verifier", CHALLENGE, "invalid_grant"),
        ("code_verifier", &VERIFIER[1..], "invalid_grant"),
        ("grant_type", "refresh_token", "unsupported_grant_type"),
        ("grant_type", "password", "unsupported_grant_type"),
        ("grant_type", "", "invalid_request"),
    ] {
        let code = code(&server, &client).await;
        let response = redeem(&server, &client, &code, &[(name, Some(value))]).await;
        assert_eq!(error(response).await, expected, "{name}={value}");
    }
}

#[tokio::test]
async fn an_oversized_or_unsound_registration_is_refused() {
    let server = start().await;
    for (registration, expected) in [
        (json!({}), "invalid_client_metadata"),
        (json!({ "redirect_uris": "https://a.example" }), "invalid_client_metadata"),
        (json!({ "redirect_uris": [] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": vec!["https://a.example"; 11] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["javascript:alert(1)"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["https://a.example", "http://a.example"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["https://a.example;script-src *"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["https://a.example;b"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["https://a.example/?a=b&code=c"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["https://a.example,b"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["https://*.example"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["https://a.example"], "client_name": "a".repeat(101) }), "invalid_client_metadata"),
        (json!({ "redirect_uris": ["https://a.example"], "grant_types": ["implicit"] }), "invalid_client_metadata"),
    ] {
        let response = server.post_json("/oauth/register", &registration).await;
        assert_eq!(error(response).await, expected, "{registration}");
    }
    let oversized = json!({ "redirect_uris": ["https://a.example"], "software_id": "a".repeat(16 * 1024) });
    let response = server.post_json("/oauth/register", &oversized).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_flood_of_registrations_pushes_out_the_oldest() {
    let server = start().await;
    let oldest = server.register(REDIRECT_URI).await;
    let used = server.register(REDIRECT_URI).await;
    code(&server, &used).await;
    let denied = server.register(REDIRECT_URI).await;
    click(&authorization(&server, &denied, &[]), "deny").await;
    for _ in 0..1000 {
        server.register(REDIRECT_URI).await;
    }
    // A client that a person has used is not for others to push out.
    for (client, status) in
        [(oldest, StatusCode::BAD_REQUEST), (used, StatusCode::OK), (denied, StatusCode::BAD_REQUEST)]
    {
        let page = http().get(authorization(&server, &client, &[])).send().await.unwrap();
        assert_eq!(page.status(), status);
    }
}

#[tokio::test]
async fn a_registration_needs_a_preflight() {
    let server = start().await;
    let registration = json!({ "redirect_uris": [REDIRECT_URI] }).to_string();
    for (media_type, status) in [
        (Some("application/json"), StatusCode::CREATED),
        (Some("Application/JSON; charset=utf-8"), StatusCode::CREATED),
        (Some("text/plain"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (Some("text/plain; application/json"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (Some("application/x-www-form-urlencoded"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (Some("multipart/form-data; boundary=a"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (None, StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let request = http().post(server.at("/oauth/register")).header("sec-fetch-site", "cross-site");
        let request = media_type.into_iter().fold(request, |request, value| request.header("content-type", value));
        let response = request.body(registration.clone()).send().await.unwrap();
        assert_eq!(response.status(), status, "{media_type:?}");
    }
}
