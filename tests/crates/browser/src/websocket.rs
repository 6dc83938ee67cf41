//! WebSockets: the guide's recipe, the token in a subprotocol.

use crate::{browser::browse, site::Site};
use serde_json::{Value, json};
use tower_clerk::testing::TestIssuer;

include!("recipes/websocket.rs");

/// A script that opens a WebSocket and returns its subprotocol and first message, or the code with which it closed.
fn connect(url: &str, protocols: &Value) -> String {
    format!(
        "return await new Promise((done) => {{
           const socket = new WebSocket({}, {protocols});
           socket.onmessage = (event) => done({{ protocol: socket.protocol, data: event.data }});
           socket.onclose = (event) => done({{ code: event.code }});
         }});",
        json!(url)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_opens_with_the_token_in_a_subprotocol() {
    let issuer = TestIssuer::new();
    let clerk = ClerkAuthLayer::from_config(issuer.config()).expect("a layer");
    let site = Site::start(app(clerk).expect("an app")).await;
    let token = issuer.token("user_ada").sign();
    let expired = issuer.token("user_ada").expired().sign();
    browse(&[], async move |browser| {
        browser.open(&site.origin("localhost")).await;
        let url = format!("ws://localhost:{}/chat", site.port);
        let opened = browser.run_async(&connect(&url, &json!(["chat", format!("bearer.{token}")]))).await;
        assert_eq!(opened, json!({ "protocol": "chat", "data": "hello user_ada" }));
        let seen = site.last("/chat");
        assert_eq!(seen.header("sec-websocket-protocol"), Some(format!("chat, bearer.{token}").as_str()));
        assert_eq!(seen.header("authorization"), None);
        assert_eq!(seen.header("origin"), Some(site.origin("localhost").as_str()));
        // The page is not told why: any refusal of a handshake is 1006.
        for protocols in
            [json!(["chat"]), json!(["chat", "bearer.a.b.c"]), json!(["chat", format!("bearer.{expired}")])]
        {
            let refused = browser.run_async(&connect(&url, &protocols)).await;
            assert_eq!(refused, json!({ "code": 1006 }), "{protocols}");
            assert_eq!(site.last("/chat").status, 401, "{protocols}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_selects_no_subprotocol_is_disconnected() {
    async fn silent(upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(async move |mut socket| drop(socket.send("hello".into()).await))
    }
    let site = Site::start(Router::new().route("/chat", any(silent))).await;
    browse(&[], async move |browser| {
        browser.open(&site.origin("localhost")).await;
        let url = format!("ws://localhost:{}/chat", site.port);
        let closed = browser.run_async(&connect(&url, &json!(["chat", "bearer.a.b.c"]))).await;
        assert_eq!(closed, json!({ "code": 1006 }));
        let opened = browser.run_async(&connect(&url, &json!([]))).await;
        assert_eq!(opened, json!({ "protocol": "", "data": "hello" }));
    })
    .await;
}

#[test]
fn the_guide_shows_this_websocket() {
    assert!(crate::GUIDE.contains(include_str!("recipes/websocket.rs").trim_end()));
}
