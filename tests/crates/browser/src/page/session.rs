//! With a publishable key the page uses Clerk's own script. A stand-in for it is served over TLS by the host that the key
//! names.

use axum::{
    Router,
    http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE},
    routing::get,
};
use serde_json::json;
use tower_clerk::testing::TestIssuer;

use super::with_variables;
use crate::site::Site;

/// `clerk.test.example$`, as Clerk encodes the host of an instance.
const KEY: &str = "pk_test_Y2xlcmsudGVzdC5leGFtcGxlJA";
const HOST: &str = "clerk.test.example";

/// What the page uses of Clerk's script, and a request to the Frontend API, as the script makes them.
fn script(token: &str) -> String {
    format!(
        "const listeners = [];
         const session = {{ getToken: async () => {} }};
         const user = {{ id: 'user_ada', primaryEmailAddress: {{ emailAddress: 'ada@example.com' }} }};
         const tell = () => listeners.forEach((listener) => listener(window.Clerk));
         window.Clerk = {{
           key: document.currentScript.dataset.clerkPublishableKey,
           session: null,
           user: null,
           load: async () => (await fetch('https://{HOST}/v1/environment')).text(),
           addListener: (listener) => listeners.push(listener),
           redirectToSignIn: () => {{ Object.assign(window.Clerk, {{ session, user }}); tell(); }},
           signOut: async () => {{ Object.assign(window.Clerk, {{ session: null, user: null }}); tell(); }},
         }};",
        json!(token)
    )
}

fn frontend_api(script: String) -> Router {
    let any_origin = (ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    let script = async move || ([any_origin, (CONTENT_TYPE, "text/javascript")], script);
    Router::new()
        .route("/npm/@clerk/clerk-js@6/dist/clerk.browser.js", get(script))
        .route("/v1/environment", get(async || ([(ACCESS_CONTROL_ALLOW_ORIGIN, "*")], "{}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_publishable_key_the_page_uses_the_session_of_clerks_script() {
    let issuer = TestIssuer::new();
    let token = issuer.token("user_ada").claim("iss", format!("https://{HOST}")).sign();
    let (listener, port) = Site::bind().await;
    let api = Site::serve_tls(listener, port, HOST, frontend_api(script(&token)));
    let resolver = format!("--host-resolver-rules=MAP {HOST}:443 127.0.0.1:{port}");
    let arguments = [resolver, "--ignore-certificate-errors".to_owned()];
    let pem = issuer.public_key_pem();
    let variables = [("CLERK_PUBLISHABLE_KEY", KEY), ("CLERK_JWT_KEY", &pem)];
    with_variables(&variables, &arguments, async move |page| {
        page.open("none").await;
        page.browser.until("!document.getElementById('sign-in').hidden").await;
        assert_eq!(page.browser.run("return window.Clerk.key").await, KEY);
        let paths: Vec<_> = api.seen().into_iter().map(|request| request.path).collect();
        assert_eq!(paths, ["/npm/@clerk/clerk-js@6/dist/clerk.browser.js", "/v1/environment"]);
        let callers = page.browser.run("return [...document.querySelectorAll('input')].map((one) => one.value)").await;
        assert_eq!(callers, json!(["none", "own"]), "there are no users of a demonstration");
        assert_eq!(page.call("/protected").await.status, 401);

        page.browser.click("#sign-in").await;
        page.browser.until("document.querySelector('input[value=session]:checked')").await;
        assert_eq!(page.browser.text("#user").await, "ada@example.com");
        assert_eq!(page.claims().await["sub"], "user_ada");
        let shown = page.call("/protected").await;
        assert_eq!((shown.status, &shown.body["sub"]), (200, &json!("user_ada")));

        page.browser.click("#sign-out").await;
        page.browser.until("document.querySelector('input[value=none]:checked')").await;
        assert_eq!(page.call("/protected").await.status, 401);
        let log = page.browser.log().await;
        assert!(log.iter().all(|entry| super::is_of(entry, &page.url)), "{log:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_clerks_script_the_page_says_so_and_still_works() {
    let issuer = TestIssuer::new();
    let pem = issuer.public_key_pem();
    let token = issuer.token("user_ada").claim("iss", format!("https://{HOST}")).sign();
    let nowhere = [format!("--host-resolver-rules=MAP {HOST} ~NOTFOUND")];
    let variables = [("CLERK_PUBLISHABLE_KEY", KEY), ("CLERK_JWT_KEY", &pem)];
    with_variables(&variables, &nowhere, async move |page| {
        page.open("none").await;
        page.browser.until("document.getElementById('user').textContent.includes('could not be loaded')").await;
        page.paste(&token).await;
        assert_eq!(page.call("/protected").await.status, 200);
    })
    .await;
}
