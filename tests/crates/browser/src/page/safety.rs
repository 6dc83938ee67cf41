//! What a token holds stays text, and the policy blocks what is injected all the same.

use std::time::{Duration, Instant};

use axum::Router;
use serde_json::{Value, json};
use tower_clerk::testing::TestIssuer;

use super::{Page, demo, with_variables};
use crate::site::Site;

const MARKUP: &str = "</pre><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>";

#[tokio::test(flavor = "multi_thread")]
async fn markup_in_claims_stays_text() {
    let issuer = TestIssuer::start().await.expect("a socket");
    let token = issuer.token("user_eve").claim("name", MARKUP).claim("<b>", ["<img src=x>"]);
    let token = token.organization("org_acme", MARKUP).lifetime(Duration::from_secs(600)).sign();
    with_variables(&[("CLERK_FRONTEND_API_URL", issuer.url())], &[], async move |page| {
        page.open("own").await;
        page.paste(&token).await;
        assert_eq!(page.claims().await["name"], MARKUP);
        let shown = page.call("/protected").await;
        assert_eq!((shown.status, &shown.body["claims"]["name"]), (200, &json!(MARKUP)));
        for path in ["/optional", "/any", "/scoped", "/invoices"] {
            page.call(path).await;
        }
        let made = page.browser.run("return document.querySelectorAll('main img, main script, main b').length").await;
        assert_eq!(made, json!(0));
        assert_eq!(page.browser.client.title().await.expect("a title"), "tower-clerk: who may call what");
        page.assert_quiet().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_none_is_shown_as_the_server_sees_it() {
    demo(async move |page| {
        page.open("own").await;
        // What has a space in it is no token at all, and so a malformed request.
        for (token, passed) in [("a.b.c", 2), ("e30.W10.x", 2), ("e30.bnVsbA.x", 2), ("null", 2), (MARKUP, 1)] {
            page.paste(token).await;
            page.browser.click("#call-all").await;
            page.browser.until("document.getElementById('summary').textContent.startsWith('Another token: ')").await;
            let expected = format!("Another token: {passed} of 7 routes let the request pass.");
            assert_eq!(page.browser.text("#summary").await, expected, "{token}");
            page.choose("none").await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_blocks_injected_images_scripts_and_markup() {
    demo(async move |page| {
        page.open("ada").await;
        page.assert_quiet().await;
        for (injected, directive) in [
            ("new Image().src = 'http://127.0.0.1:9/x.png'", "img-src"),
            ("fetch('http://127.0.0.1:9/').catch(() => {})", "connect-src"),
            ("document.body.innerHTML += '<b>x</b>'", "TrustedHTML"),
            (
                "document.head.append(Object.assign(document.createElement('style'), { textContent: 'b{}' }))",
                "style-src",
            ),
            ("const form = document.createElement('form'); document.body.append(form); form.submit()", "form-action"),
        ] {
            // In a task of its own, so that an error is the page's and not the driver's.
            page.browser.run(&format!("setTimeout(() => {{ {injected} }})")).await;
            let mut log = Vec::new();
            let deadline = Instant::now() + Duration::from_secs(20);
            while !log.iter().any(|entry: &Value| entry.to_string().contains(directive)) {
                assert!(Instant::now() < deadline, "{injected} was not blocked: {log:?}");
                log.extend(page.browser.log().await);
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_of_the_demonstration_are_for_its_page_alone() {
    demo(async move |page| {
        page.open("ada").await;
        let read = "const response = await fetch(URL); return response.status;";
        let url = format!("{}/demo/tokens", page.url);
        assert_eq!(page.browser.run_async(&read.replace("URL", &json!(url).to_string())).await, 200);
        let other = Site::start(Router::new()).await;
        for name in ["localhost", "127.0.0.1"] {
            page.browser.open(&other.origin(name)).await;
            let answer = page.browser.run_async(&read.replace("URL", &json!(url).to_string())).await;
            assert_eq!(answer, json!({ "error": "TypeError" }), "{name}");
        }
        // By navigation: nothing of another site can read the answer, and there is none.
        page.browser.open(&url).await;
        assert_eq!(page.browser.text("body").await, format!("{REFUSAL}\n"));
    })
    .await;
}

const REFUSAL: &str = "the tokens are for the page of this server, opened as 127.0.0.1 or localhost";

/// As a site does that gives its name this address after its page was loaded, and as in `/etc/hosts`.
#[tokio::test(flavor = "multi_thread")]
async fn under_another_name_the_page_says_why_it_has_no_users() {
    let resolver = ["--host-resolver-rules=MAP demo.test 127.0.0.1".to_owned()];
    with_variables(&[], &resolver, async move |page| {
        let page = Page { url: page.url.replace("127.0.0.1", "demo.test"), ..page };
        page.open("none").await;
        page.browser.until("!document.getElementById('callers-note').hidden").await;
        let note = page.browser.text("#callers-note").await;
        assert_eq!(note, format!("There are no users to choose from: {REFUSAL}."));
        let callers = page.browser.run("return [...document.querySelectorAll('input')].map((one) => one.value)").await;
        assert_eq!(callers, json!(["none", "own"]));
        assert_eq!(page.browser.text("#life-text").await, "No token");
        for (path, status) in [("/public", 200), ("/protected", 401)] {
            assert_eq!(page.call(path).await.status, status, "{path}");
        }
        page.assert_quiet().await;
    })
    .await;
}

/// New tokens for a page whose server has gone.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_server_the_page_keeps_its_users() {
    demo(async move |page| {
        page.open("bob").await;
        page.browser.run("fetch = async () => { throw new TypeError('no connection'); }").await;
        page.browser.click("#renew").await;
        page.browser.until("!document.getElementById('callers-note').hidden").await;
        let note = page.browser.text("#callers-note").await;
        assert_eq!(note, "There are no new tokens: the server sent no response.");
        assert_eq!(page.claims().await["sub"], "user_bob");
    })
    .await;
}
