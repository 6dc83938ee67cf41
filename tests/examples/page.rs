//! The page of the axum example over HTTP. `tests/crates/browser` has it in a browser.

use http::HeaderMap;
use http_body_util::Empty;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;
use tower_clerk::testing::TestIssuer;

use super::process::Example;
use crate::support::Answer;

const CHROMIUM: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
const FIREFOX: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// `clerk.test.invalid$`: no such host.
const KEY: (&str, &str) = ("CLERK_PUBLISHABLE_KEY", "pk_test_Y2xlcmsudGVzdC5pbnZhbGlkJA");

async fn send(example: &Example, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = http::Request::builder().method(method).uri(format!("{}{path}", example.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request.body(Empty::<bytes::Bytes>::new()).expect("a request")).await;
    Answer::of(response.expect("a response")).await
}

async fn page(example: &Example) -> Answer {
    send(example, "GET", "/", &[("accept", CHROMIUM)]).await
}

/// The sources of each directive.
fn policy(headers: &HeaderMap) -> Vec<(String, String)> {
    let policy = headers["content-security-policy"].to_str().expect("text");
    let directives = policy.split(';').map(|directive| directive.trim().split_once(' ').expect("sources"));
    directives.map(|(name, sources)| (name.to_owned(), sources.to_owned())).collect()
}

#[tokio::test]
async fn only_clients_that_prefer_html_get_the_page() {
    let example = Example::start("axum", "/optional", &[]);
    for (accept, is_page) in [
        (None, false),
        (Some("*/*"), false),
        (Some(""), false),
        (Some("text/*"), false),
        (Some("application/json"), false),
        (Some("text/plain"), false),
        (Some("text/html, text/plain"), false),
        (Some("text/html;q=0.4, text/plain;q=0.5"), false),
        (Some("text/html;q=0, */*;q=0"), false),
        // A weight that RFC 9110, section 12.4.2, does not have: the range is ignored.
        (Some("text/html;q=many"), false),
        (Some("text/html;q="), false),
        (Some("text/html;q = 0"), false),
        (Some("text/html;q = 1"), false),
        (Some("text/html;q=1.5"), false),
        (Some("text/html;q=1.001"), false),
        (Some("text/html;q=inf"), false),
        (Some("text/html;q=+1"), false),
        (Some("text/html;q=.5"), false),
        (Some("text/html;q=1e0"), false),
        (Some("text/html;q=0.1234"), false),
        (Some("text/html, text/plain;q=2"), true),
        (Some("text/html;q=0.001"), true),
        (Some("text/html;q=0.999, text/plain;q=1.000"), false),
        (Some("text/html;q=1., text/plain;q=0."), true),
        (Some("text/plain;q=0.5\t,\ttext/html\t;\tq=0.501"), true),
        (Some("text/html;q=0.5, text/plain;q=0.4"), true),
        (Some("*/*;q=0.1, TEXT/HTML"), true),
        (Some("text/html;level=1;Q=0.2"), true),
        (Some(CHROMIUM), true),
        (Some(FIREFOX), true),
    ] {
        let headers: Vec<_> = accept.iter().map(|accept| ("accept", *accept)).collect();
        let got = send(&example, "GET", "/", &headers).await;
        assert_eq!((got.status(), &got.parts.headers["vary"]), (200, &"accept".parse().unwrap()), "{accept:?}");
        assert_eq!(got.parts.headers["x-content-type-options"], "nosniff", "{accept:?}");
        assert_eq!(got.text.starts_with("<!doctype html>"), is_page, "{accept:?}");
        if !is_page {
            assert_eq!(got.text, "everyone may read this\n", "{accept:?}");
        }
        // HEAD: the same without the body.
        let head = send(&example, "HEAD", "/", &headers).await;
        assert_eq!((head.status(), head.text.as_str()), (200, ""), "{accept:?}");
        for name in ["content-type", "content-length", "vary"] {
            assert_eq!(head.parts.headers[name], got.parts.headers[name], "{accept:?}");
        }
    }
}

#[tokio::test]
async fn the_page_allows_nothing_but_its_own_files() {
    let example = Example::start("axum", "/optional", &[]);
    let page = page(&example).await;
    let policy = policy(&page.parts.headers);
    let policy: Vec<_> = policy.iter().map(|(name, sources)| (name.as_str(), sources.as_str())).collect();
    let expected = [
        ("default-src", "'none'"),
        ("script-src", "'self'"),
        ("style-src", "'self'"),
        ("img-src", "'self'"),
        ("connect-src", "'self'"),
        ("base-uri", "'none'"),
        ("form-action", "'none'"),
        ("frame-ancestors", "'none'"),
        ("require-trusted-types-for", "'script'"),
        ("trusted-types", "'none'"),
    ];
    assert_eq!(policy, expected);
    assert_eq!(page.parts.headers["referrer-policy"], "no-referrer");
    let files: Vec<_> = page.text.split(['"']).filter(|text| text.starts_with('/')).collect();
    assert!(files.len() >= 3 && !page.text.contains("://") && !page.text.contains('{'), "{}", page.text);
    for file in files {
        let file = send(&example, "GET", file, &[]).await;
        assert_eq!((file.status(), &file.parts.headers["x-content-type-options"]), (200, &"nosniff".parse().unwrap()));
    }
    let script = send(&example, "GET", "/page/script.js", &[]).await;
    assert_eq!(script.parts.headers["content-type"], "text/javascript; charset=utf-8");
    for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
        assert!(!script.text.contains(sink), "{sink}");
    }
}

#[tokio::test]
async fn the_tokens_of_the_demonstration_are_not_for_other_sites() {
    let example = Example::start("axum", "/optional", &[]);
    let refused = [
        vec![],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("sec-fetch-site", "none")],
        vec![("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
    ];
    for headers in refused {
        let refused = send(&example, "GET", "/demo/tokens", &headers).await;
        assert_eq!((refused.status(), refused.text.contains("eyJ")), (403, false), "{headers:?}");
    }
    // Another name for this computer: a site may have given it this address after its page was loaded.
    let port = example.url.rsplit_once(':').expect("a port").1;
    for name in ["demo.test", "127.0.0.1.demo.test", "localhost.", "10.0.0.1", "[fe80::1]", "127.0.0.1@demo.test", ""] {
        let headers = [("sec-fetch-site", "same-origin"), ("host", &format!("{name}:{port}"))];
        let refused = send(&example, "GET", "/demo/tokens", &headers).await;
        assert_eq!((refused.status(), refused.text.contains("eyJ")), (403, false), "{name}");
    }
    for name in ["localhost", "LOCALHOST", "app.localhost", "127.1.2.3", "[::1]"] {
        let headers = [("sec-fetch-site", "same-origin"), ("host", &format!("{name}:{port}"))];
        assert_eq!(send(&example, "GET", "/demo/tokens", &headers).await.status(), 200, "{name}");
    }
    let headers = [("sec-fetch-site", "same-origin"), ("origin", &example.url)];
    let tokens = send(&example, "GET", "/demo/tokens", &headers).await;
    assert_eq!((tokens.status(), &tokens.parts.headers["cache-control"]), (200, &"no-store".parse().unwrap()));
    assert!(!tokens.parts.headers.contains_key("access-control-allow-origin"));
    let callers: Value = serde_json::from_str(&tokens.text).expect("JSON");
    assert_eq!(callers.as_array().map(Vec::len), Some(8));
}

#[tokio::test]
async fn an_invoice_needs_a_user_with_the_permission() {
    let example = Example::start("axum", "/optional", &[]);
    let tokens = send(&example, "GET", "/demo/tokens", &[("sec-fetch-site", "same-origin")]).await;
    let callers: Value = serde_json::from_str(&tokens.text).expect("JSON");
    for (index, id, status, code) in
        [(0, "ada", 201, None), (1, "bob", 403, Some("insufficient_scope")), (3, "client", 401, Some("invalid_token"))]
    {
        let caller = &callers[index];
        assert_eq!(caller["id"], id);
        let bearer = format!("Bearer {}", caller["token"].as_str().expect("a token"));
        let answer = send(&example, "POST", "/invoices", &[("authorization", &bearer)]).await;
        let body: Value = serde_json::from_str(&answer.text).expect("JSON");
        assert_eq!((answer.status(), body["code"].as_str()), (status, code), "{id}");
    }
    assert_eq!(send(&example, "POST", "/invoices", &[]).await.status(), 401);
    assert_eq!(send(&example, "GET", "/public", &[]).await.text, "everyone may read this\n");
}

#[tokio::test]
async fn with_an_instance_there_are_no_users_of_a_demonstration() {
    let issuer = TestIssuer::start().await.expect("a socket");
    let pem = issuer.public_key_pem();
    for (variable, callers) in
        [(("CLERK_FRONTEND_API_URL", issuer.url()), "none"), (("CLERK_JWT_KEY", &pem), "none"), (KEY, "clerk")]
    {
        let example = Example::start("axum", "/optional", &[variable]);
        let headers = [("sec-fetch-site", "same-origin")];
        assert_eq!(send(&example, "GET", "/demo/tokens", &headers).await.status(), 404, "{variable:?}");
        let page = page(&example).await;
        assert!(page.text.contains(&format!("data-callers=\"{callers}\"")), "{variable:?}");
        assert_eq!(page.text.contains("clerk.browser.js"), callers == "clerk", "{variable:?}");
    }
}

#[tokio::test]
async fn with_a_publishable_key_the_page_loads_clerks_script_from_its_host() {
    // With a byte order mark and spaces, as keys are pasted.
    let pasted = format!("\u{feff} {}\n", KEY.1);
    let example = Example::start("axum", "/optional", &[(KEY.0, &pasted)]);
    let page = page(&example).await;
    let element = "<script defer crossorigin=\"anonymous\" \
        data-clerk-publishable-key=\"pk_test_Y2xlcmsudGVzdC5pbnZhbGlkJA\" \
        src=\"https://clerk.test.invalid/npm/@clerk/clerk-js@6/dist/clerk.browser.js\"></script>";
    assert!(page.text.contains(element), "{}", page.text);
    let policy = policy(&page.parts.headers);
    let policy: Vec<_> = policy.iter().map(|(name, sources)| (name.as_str(), sources.as_str())).collect();
    let expected = [
        ("default-src", "'none'"),
        ("script-src", "'self' https://clerk.test.invalid https://challenges.cloudflare.com"),
        ("style-src", "'self' 'unsafe-inline'"),
        ("img-src", "'self' https://img.clerk.com"),
        ("connect-src", "'self' https://clerk.test.invalid"),
        ("worker-src", "'self' blob:"),
        ("frame-src", "https://challenges.cloudflare.com"),
        ("base-uri", "'none'"),
        ("form-action", "'none'"),
        ("frame-ancestors", "'none'"),
    ];
    assert_eq!(policy, expected);
}

#[tokio::test]
async fn behind_a_proxy_clerks_script_comes_through_it() {
    let proxy = ("CLERK_PROXY_URL", "https://app.test.invalid/__clerk/");
    let example = Example::start("axum", "/optional", &[KEY, proxy]);
    let page = page(&example).await;
    let expected = "data-clerk-proxy-url=\"https://app.test.invalid/__clerk\" \
        src=\"https://app.test.invalid/__clerk/npm/@clerk/clerk-js@6/dist/clerk.browser.js\"";
    assert!(page.text.contains(expected), "{}", page.text);
    let policy = policy(&page.parts.headers);
    assert_eq!(policy[4].1, "'self' https://app.test.invalid");
}

#[tokio::test]
async fn the_url_of_a_proxy_stays_within_its_attribute() {
    let example =
        Example::start("axum", "/optional", &[KEY, ("CLERK_PROXY_URL", "https://app.test.invalid:8443/a&quot;'b")]);
    let page = page(&example).await;
    assert!(
        page.text.contains("data-clerk-proxy-url=\"https://app.test.invalid:8443/a&amp;quot;'b\" src="),
        "{}",
        page.text
    );
    let policy = policy(&page.parts.headers);
    assert_eq!(policy[4].1, "'self' https://app.test.invalid:8443");
}
