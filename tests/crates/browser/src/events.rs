//! Server-sent events: the guide's recipes, by cookie and by streaming fetch.

use crate::{browser::browse, site::Site};
use http::header::SET_COOKIE;
use serde_json::{Value, json};
use tower_clerk::testing::TestIssuer;

include!("recipes/events.rs");

/// The recipe's app at `http://localhost`, and a page that sets the cookie to what follows in its path.
async fn start() -> (Site, TestIssuer) {
    let issuer = TestIssuer::new();
    let (listener, port) = Site::bind().await;
    let config = issuer.config().authorized_parties([format!("http://localhost:{port}")]).expect("an origin");
    let sign_in = async |token: axum::extract::Path<String>| [(SET_COOKIE, format!("__session={}; Path=/", *token))];
    let app = app(ClerkAuthLayer::from_config(config).expect("a layer")).expect("an app");
    (Site::serve(listener, port, app.route("/sign-in/{token}", get(sign_in))), issuer)
}

/// A script that opens a stream and returns its first event, or the state after the first error.
fn listen(url: &str) -> String {
    format!(
        "return await new Promise((done) => {{
           const events = new EventSource({});
           events.onmessage = (event) => {{ events.close(); done(event.data); }};
           events.onerror = () => done({{ state: events.readyState }});
         }});",
        json!(url)
    )
}

/// `EventSource.CLOSED`: the browser does not try again.
fn closed() -> Value {
    json!({ "state": 2 })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_source_opens_with_the_cookie() {
    let (site, issuer) = start().await;
    browse(&[], async move |browser| {
        let origin = site.origin("localhost");
        browser.open(&origin).await;
        assert_eq!(browser.run_async(&listen("/events")).await, closed(), "without a cookie");
        let of_another = issuer.token("user_ada").authorized_party("https://other.example.com").sign();
        let expired = issuer.token("user_ada").authorized_party(&origin).expired().sign();
        for token in ["a.b.c", &of_another, &expired] {
            browser.open(&format!("{origin}/sign-in/{token}")).await;
            site.seen();
            assert_eq!(browser.run_async(&listen("/events")).await, closed(), "{token}");
            let statuses: Vec<_> = site.seen().iter().map(|request| request.status.as_u16()).collect();
            assert_eq!(statuses, [401], "it tries once");
        }
        let token = issuer.token("user_ada").authorized_party(&origin).sign();
        browser.open(&format!("{origin}/sign-in/{token}")).await;
        assert_eq!(browser.run_async(&listen("/events")).await, "hello user_ada");
        assert_eq!(site.last("/events").provenance(), (None, Some("same-origin"), true));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streaming_fetch_reads_events_with_the_token_in_a_header() {
    let (site, issuer) = start().await;
    browse(&[], async move |browser| {
        let origin = site.origin("localhost");
        browser.open(&origin).await;
        let token = json!(format!("Bearer {}", issuer.token("user_ada").authorized_party(&origin).sign()));
        let read = format!(
            "const response = await fetch('/events', {{ headers: {{ Authorization: {token} }} }});
             const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
             return (await reader.read()).value;"
        );
        assert_eq!(browser.run_async(&read).await, "data: hello user_ada\n\n");
    })
    .await;
}

#[test]
fn the_guide_shows_these_events() {
    assert!(crate::GUIDE.contains(include_str!("recipes/events.rs").trim_end()));
}
