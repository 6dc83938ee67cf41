//! Who may call what, as the page shows it.

use serde_json::{Value, json};

use super::{Shown, demo};

const ROUTES: [&str; 7] = ["/public", "/optional", "/protected", "/invoices", "/any", "/oauth", "/scoped"];

/// Who calls, the statuses in the order of the routes, and the user or subject of the token's claims.
const CALLERS: [(&str, [u64; 7], Option<&str>); 10] = [
    ("none", [200, 200, 401, 401, 401, 401, 401], None),
    ("ada", [200, 200, 200, 201, 200, 401, 403], Some("user_ada")),
    ("bob", [200, 200, 200, 403, 200, 401, 403], Some("user_bob")),
    ("late", [200, 200, 401, 401, 401, 401, 401], Some("user_ada")),
    ("client", [200, 200, 401, 401, 200, 200, 200], Some("user_ada")),
    ("unscoped", [200, 200, 401, 401, 200, 200, 403], Some("user_ada")),
    ("machine", [200, 200, 401, 401, 200, 401, 403], Some("mch_billing")),
    ("key", [200, 200, 401, 401, 200, 401, 200], None),
    ("revoked", [200, 200, 401, 401, 401, 401, 401], None),
    ("own", [200, 200, 401, 401, 401, 401, 401], None),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_sees_what_each_route_decides() {
    demo(async move |page| {
        for (caller, statuses, subject) in CALLERS {
            page.open(caller).await;
            assert_eq!(page.claims().await["sub"].as_str(), subject, "{caller}");
            let code = match caller {
                "none" | "own" => "missing_token",
                "late" => "token_expired",
                _ => "invalid_token",
            };
            for (path, status) in ROUTES.into_iter().zip(statuses) {
                let shown = page.call(path).await;
                assert_eq!(shown.status, status, "{caller} {path}: {shown:?}");
                assert_shows(&shown, path, code);
                if path == "/optional" {
                    let is_user = matches!(caller, "ada" | "bob");
                    assert_eq!(shown.body["authenticated"], is_user, "{caller}: {shown:?}");
                }
            }
        }
        page.assert_quiet().await;
    })
    .await;
}

/// The request, the status, the challenge and the body agree. A 401 has the problem `code`.
fn assert_shows(shown: &Shown, path: &str, code: &str) {
    let has_token = code != "missing_token";
    let method = if path == "/invoices" { "POST" } else { "GET" };
    assert!(shown.request.starts_with(&format!("{method} {path}\nhost: 127.0.0.1:")), "{shown:?}");
    assert_eq!(shown.request.contains("\nauthorization: Bearer "), has_token, "{shown:?}");
    let longest = shown.request.split_whitespace().map(str::len).max();
    assert!(longest < Some(50), "the token is shortened: {shown:?}");
    let status = shown.response["Status"].as_str().expect("a status");
    assert!(status.starts_with(&shown.status.to_string()), "{shown:?}");
    assert!(shown.summary.starts_with(&format!("{method} {path}{}", shown.status)), "{shown:?}");
    let challenge = shown.response["Challenge"].as_str();
    match shown.status {
        200 | 201 => assert_eq!(challenge, None, "{shown:?}"),
        401 => {
            let is_error = challenge.map(|challenge| challenge.contains("error=\"invalid_token\""));
            assert_eq!((is_error, &shown.body["code"]), (Some(has_token), &json!(code)), "{shown:?}");
        }
        _ => assert_eq!(shown.body["status"], 403, "{shown:?}"),
    }
    if shown.status > 299 {
        assert_eq!(shown.response["Content type"], "application/problem+json", "{shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bodies_of_handlers_are_shown_whole() {
    demo(async move |page| {
        page.open("ada").await;
        assert_eq!(page.call("/public").await.body, "everyone may read this\n");
        let invoice = page.call("/invoices").await.body;
        assert_eq!(invoice, json!({ "created_by": "user_ada", "organization_id": "org_acme" }));
        let user = page.call("/protected").await.body;
        assert_eq!(user["claims"], page.claims().await);
        assert_eq!(user["organization"]["permissions"], json!(["org:invoices:read", "org:invoices:create"]));
        page.choose("key").await;
        assert_eq!(page.call("/any").await.body["kind"], "api_key");
        assert_eq!(page.claims().await, Value::Null, "an opaque token says nothing");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_routes_can_be_called_at_once() {
    demo(async move |page| {
        page.open("bob").await;
        page.browser.click("#call-all").await;
        page.browser.until("document.getElementById('summary').textContent.startsWith('Bob: ')").await;
        assert_eq!(page.browser.text("#summary").await, "Bob: 4 of 7 routes let the request pass.");
        for (path, status) in ROUTES.into_iter().zip(CALLERS[2].1) {
            assert_eq!(page.browser.text(&format!("[data-path='{path}'] .status")).await, status.to_string(), "{path}");
        }
        // Another caller starts anew.
        page.choose("ada").await;
        let shown = page.browser.run("return document.querySelectorAll('.status:not([hidden])').length").await;
        assert_eq!(shown, json!(0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_remaining_life_counts_down_until_there_is_a_new_token() {
    demo(async move |page| {
        let left = async || page.browser.run("return document.getElementById('life-bar').value").await.as_f64();
        page.open("ada").await;
        let text = page.browser.text("#life-text").await;
        assert!(text.starts_with("Expires in "), "{text}");
        let first = left().await.expect("seconds");
        assert!(first > 30.0 && first <= 60.0, "{first}");
        page.browser.until(&format!("document.getElementById('life-bar').value < {first} - 1")).await;
        assert_ne!(page.browser.text("#life-text").await, text);
        let jti = page.claims().await["iat"].clone();
        page.browser.click("#renew").await;
        page.browser.until(&format!("document.getElementById('life-bar').value > {first} - 1")).await;
        assert!(page.claims().await["iat"].as_u64() > jti.as_u64());

        page.choose("late").await;
        let text = page.browser.text("#life-text").await;
        assert!(text.starts_with("Expired ") && text.ends_with(" ago"), "{text}");
        assert_eq!(page.browser.run("return document.getElementById('renew').hidden").await, json!(true));
        page.choose("key").await;
        assert_eq!(page.browser.text("#life-text").await, "Only the server knows when it expires");
        page.choose("none").await;
        assert_eq!(page.browser.text("#life-text").await, "No token");
    })
    .await;
}
