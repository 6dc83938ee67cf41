//! The cookie source: which requests browsers attach the session cookie to, what they say about where these come from,
//! and which of them the layer lets pass.

use axum::{
    Router,
    extract::{Path, State, ws::WebSocketUpgrade},
    http::{
        HeaderMap, StatusCode,
        header::{COOKIE, REFERRER_POLICY, SET_COOKIE},
    },
    response::{Html, IntoResponse, Response},
    routing::{any, get, post},
};
use serde_json::{Value, json};
use tower_clerk::{ClerkAuth, ClerkAuthLayer, TokenSource, Verifier, testing::TestIssuer};

use crate::{
    browser::{Browser, browse},
    site::{Seen, Site},
};

/// The app, at the authorized party `http://localhost`, and a server on another port. By the name `localhost` that is
/// another origin of the same site; by the name `127.0.0.1` it is another site.
struct Sites {
    app: Site,
    other: Site,
}

/// What comes of a request: how it presents itself, the status, and the code of the problem if there is one.
type Outcome = (Seen, u64, Value);

const SAME_SITE: [(&str, &str); 4] =
    [("none", "; SameSite=None; Secure"), ("lax", "; SameSite=Lax"), ("strict", "; SameSite=Strict"), ("default", "")];

impl Sites {
    async fn start() -> Self {
        Self::start_at("localhost").await
    }

    /// The app at an authorized party with another name.
    async fn start_at(name: &str) -> Self {
        let (listener, port) = Site::bind().await;
        let app = app(&format!("http://{name}:{port}"));
        Self { app: Site::serve(listener, port, app), other: Site::start(quiet()).await }
    }

    fn own(&self) -> String {
        self.app.origin("localhost")
    }

    fn another_origin(&self) -> String {
        self.other.origin("localhost")
    }

    fn another_site(&self) -> String {
        self.other.origin("127.0.0.1")
    }

    async fn sign_in(&self, browser: &Browser, same_site: &str) {
        browser.open(&format!("{}/sign-in/{same_site}", self.own())).await;
        assert_eq!(browser.text("body").await, "signed in");
    }

    /// Posts a form from the page at `from`.
    async fn submit(&self, browser: &Browser, from: &str, path: &str) -> Outcome {
        let script = "const form = document.createElement('form'); form.method = 'POST'; form.action = URL; \
                      document.body.append(form); form.submit();";
        self.navigate(browser, from, path, script).await
    }

    /// Follows a link of the page at `from`.
    async fn follow(&self, browser: &Browser, from: &str, path: &str) -> Outcome {
        let script =
            "const link = document.createElement('a'); link.href = URL; document.body.append(link); link.click();";
        self.navigate(browser, from, path, script).await
    }

    async fn navigate(&self, browser: &Browser, from: &str, path: &str, script: &str) -> Outcome {
        browser.open(from).await;
        let url = json!(format!("{}{path}", self.own()));
        browser.run(&script.replace("URL", &url.to_string())).await;
        browser.until(&format!("location.href === {url} && document.readyState === 'complete'")).await;
        let status = browser.run("return performance.getEntriesByType('navigation')[0].responseStatus").await;
        let problem: Value = serde_json::from_str(&browser.text("body").await).unwrap_or(Value::Null);
        (self.app.last(path), status.as_u64().expect("a status"), problem["code"].clone())
    }

    /// Requests a path by a script of the page that is open: the status, or the name of the error.
    async fn fetch(&self, browser: &Browser, path: &str, options: Value) -> (Seen, Value) {
        let url = json!(format!("{}{path}", self.own()));
        let script = format!("const response = await fetch({url}, {options}); return response.status;");
        let answer = browser.run_async(&script).await;
        (self.app.last(path), answer)
    }

    /// Opens a WebSocket from the page that is open: the first message, or the code with which it closed.
    async fn connect(&self, browser: &Browser) -> (Seen, Value) {
        let script = format!(
            "return await new Promise((done) => {{
               const socket = new WebSocket('ws://localhost:{}/socket');
               socket.onmessage = (event) => done(event.data);
               socket.onclose = (event) => done(event.code);
             }});",
            self.app.port
        );
        let answer = browser.run_async(&script).await;
        (self.app.last("/socket"), answer)
    }
}

fn app(origin: &str) -> Router {
    let issuer = TestIssuer::new();
    let token = issuer.token("user_ada").authorized_party(origin).sign();
    let config = issuer.config().authorized_parties([origin]).expect("an origin");
    let clerk = ClerkAuthLayer::from_config(config).expect("a layer");
    let clerk = clerk.token_sources([TokenSource::authorization(), TokenSource::session_cookie()]).expect("sources");
    let naive = Router::new().route("/naive", post(naive)).with_state(clerk.verifier().clone());
    let sign_in = async move |Path(same_site): Path<String>| {
        let attributes = SAME_SITE.iter().find(|(name, _)| *name == same_site).expect("a name").1;
        ([(SET_COOKIE, format!("__session={token}; Path=/{attributes}"))], Html("<body>signed in"))
    };
    Router::new()
        .route("/transfer", post(me))
        .route("/me", get(me))
        .route("/socket", any(socket))
        .route_layer(clerk)
        .route("/sign-in/{same_site}", get(sign_in))
        .merge(naive)
        .merge(quiet())
}

/// A page whose requests say as little as possible about where they come from.
fn quiet() -> Router {
    let page = async || ([(REFERRER_POLICY, "no-referrer")], Html("<!doctype html><title>quiet</title>"));
    Router::new().route("/quiet", get(page))
}

async fn me(user: ClerkAuth) -> String {
    user.user_id().to_owned()
}

async fn socket(user: ClerkAuth, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async move |mut socket| drop(socket.send(user.user_id().into()).await))
}

/// What a server without the cross-site rule does: it verifies the token of the cookie, and that is all.
async fn naive(State(verifier): State<Verifier>, headers: HeaderMap) -> Response {
    let cookies = headers.get(COOKIE).and_then(|cookies| cookies.to_str().ok()).unwrap_or_default();
    let token = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("__session="));
    match verifier.verify(token.unwrap_or_default()).await {
        Ok(claims) => claims.user_id().to_owned().into_response(),
        Err(_) => StatusCode::UNAUTHORIZED.into_response(),
    }
}

fn is_refused((_, status, code): &Outcome) -> bool {
    *status == 403 && code == "cross_site"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_the_same_origin_passes_with_and_without_referrer() {
    let sites = Sites::start().await;
    browse(&[], async move |browser| {
        let own = sites.own();
        for (same_site, _) in SAME_SITE {
            sites.sign_in(&browser, same_site).await;
            let (seen, status, _) = sites.submit(&browser, &own, "/transfer").await;
            assert_eq!(seen.provenance(), (Some(own.as_str()), Some("same-origin"), true), "{same_site}");
            assert_eq!(status, 200, "{same_site}");
            let (seen, status, _) = sites.submit(&browser, &format!("{own}/quiet"), "/transfer").await;
            assert_eq!(seen.provenance(), (Some("null"), Some("same-origin"), true), "{same_site}");
            assert_eq!(status, 200, "{same_site}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_is_refused_if_the_cookie_comes_along() {
    let sites = Sites::start().await;
    browse(&[], async move |browser| {
        let attacker = sites.another_site();
        // A cookie that does not say what it wants is sent with forms of other sites too, for its first two minutes.
        for same_site in ["none", "default"] {
            sites.sign_in(&browser, same_site).await;
            let outcome = sites.submit(&browser, &attacker, "/transfer").await;
            assert_eq!(outcome.0.provenance(), (Some(attacker.as_str()), Some("cross-site"), true), "{same_site}");
            assert!(is_refused(&outcome), "{outcome:?}");
            let outcome = sites.submit(&browser, &format!("{attacker}/quiet"), "/transfer").await;
            assert_eq!(outcome.0.provenance(), (Some("null"), Some("cross-site"), true), "{same_site}");
            assert!(is_refused(&outcome), "{outcome:?}");
            let (_, status, _) = sites.submit(&browser, &attacker, "/naive").await;
            assert_eq!(status, 200, "the cookie alone is enough without the rule");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lax_cookie_stays_away_from_forms_of_other_sites_but_not_links() {
    let sites = Sites::start().await;
    browse(&[], async move |browser| {
        let attacker = sites.another_site();
        for (same_site, follows_links) in [("none", true), ("default", true), ("lax", true), ("strict", false)] {
            sites.sign_in(&browser, same_site).await;
            let (seen, status, _) = sites.follow(&browser, &attacker, "/me").await;
            assert_eq!(seen.provenance(), (None, Some("cross-site"), follows_links), "{same_site}");
            assert_eq!(status, if follows_links { 200 } else { 401 }, "{same_site}");
        }
        for same_site in ["lax", "strict"] {
            sites.sign_in(&browser, same_site).await;
            let (seen, status, code) = sites.submit(&browser, &attacker, "/transfer").await;
            assert_eq!(seen.provenance(), (Some(attacker.as_str()), Some("cross-site"), false), "{same_site}");
            assert_eq!((status, code), (401, json!("missing_token")), "{same_site}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_origin_of_the_same_site_is_refused() {
    let sites = Sites::start().await;
    browse(&[], async move |browser| {
        let neighbour = sites.another_origin();
        for (same_site, _) in SAME_SITE {
            sites.sign_in(&browser, same_site).await;
            let outcome = sites.submit(&browser, &neighbour, "/transfer").await;
            assert_eq!(outcome.0.provenance(), (Some(neighbour.as_str()), Some("same-site"), true), "{same_site}");
            assert!(is_refused(&outcome), "{outcome:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_of_other_origins_send_the_cookie_and_read_nothing() {
    let sites = Sites::start().await;
    browse(&[], async move |browser| {
        let own = sites.own();
        let with_cookie = json!({ "credentials": "include" });
        let post = json!({ "method": "POST" });
        sites.sign_in(&browser, "none").await;
        let (seen, status) = sites.fetch(&browser, "/me", json!({})).await;
        assert_eq!((seen.provenance(), status), ((None, Some("same-origin"), true), json!(200)));
        let (seen, status) = sites.fetch(&browser, "/transfer", post).await;
        assert_eq!((seen.provenance(), status), ((Some(own.as_str()), Some("same-origin"), true), json!(200)));
        // `no-referrer` hides the origin of forms, but not of scripts.
        browser.open(&format!("{own}/quiet")).await;
        let (seen, status) = sites.fetch(&browser, "/transfer", json!({ "method": "POST" })).await;
        assert_eq!((seen.provenance(), status), ((Some(own.as_str()), Some("same-origin"), true), json!(200)));

        for same_site in ["none", "lax", "strict"] {
            sites.sign_in(&browser, same_site).await;
            for (page, site) in [(sites.another_origin(), "same-site"), (sites.another_site(), "cross-site")] {
                browser.open(&page).await;
                let has_cookie = site == "same-site" || same_site == "none";
                let (seen, error) = sites.fetch(&browser, "/me", with_cookie.clone()).await;
                assert_eq!(seen.provenance(), (Some(page.as_str()), Some(site), has_cookie), "{same_site}");
                assert_eq!(seen.status, if has_cookie { 403 } else { 401 }, "{same_site}");
                assert_eq!(error, json!({ "error": "TypeError" }), "the page cannot read that");
                let opaque = json!({ "credentials": "include", "mode": "no-cors" });
                let (seen, status) = sites.fetch(&browser, "/me", opaque).await;
                // As an image would be requested: nothing names the page. A GET must change nothing.
                assert_eq!((seen.provenance(), status), ((None, Some(site), has_cookie), json!(0)), "{same_site}");
                assert_eq!(seen.status, if has_cookie { 200 } else { 401 }, "{same_site}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_plain_http_beyond_loopback_only_the_origin_is_sent() {
    let sites = Sites::start_at("app.test.example").await;
    let resolver = ["--host-resolver-rules=MAP app.test.example 127.0.0.1".to_owned()];
    browse(&resolver, async move |browser| {
        let own = sites.app.origin("app.test.example");
        browser.open(&format!("{own}/sign-in/lax")).await;
        let fetched = "const response = await fetch('/transfer', { method: 'POST' }); return response.status";
        assert_eq!(browser.run_async(fetched).await, json!(200));
        assert_eq!(sites.app.last("/transfer").provenance(), (Some(own.as_str()), None, true));
        // Neither header tells that this form is the site's own, so it is refused.
        browser.open(&format!("{own}/quiet")).await;
        let submit = "const form = document.createElement('form'); form.method = 'POST'; form.action = '/transfer'; \
                      document.body.append(form); form.submit();";
        browser.run(submit).await;
        browser.until("location.pathname === '/transfer' && document.readyState === 'complete'").await;
        assert_eq!(sites.app.last("/transfer").provenance(), (Some("null"), None, true));
        assert!(browser.text("body").await.contains("cross_site"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_of_another_origin_is_refused_with_the_cookie() {
    let sites = Sites::start().await;
    browse(&[], async move |browser| {
        let own = sites.own();
        sites.sign_in(&browser, "none").await;
        let (seen, message) = sites.connect(&browser).await;
        // A handshake has no `Sec-Fetch-Site`.
        assert_eq!(seen.provenance(), (Some(own.as_str()), None, true));
        assert_eq!(message, "user_ada");
        for page in [sites.another_origin(), sites.another_site()] {
            browser.open(&page).await;
            let (seen, code) = sites.connect(&browser).await;
            assert_eq!(seen.provenance(), (Some(page.as_str()), None, true));
            assert_eq!((code, seen.status), (json!(1006), StatusCode::FORBIDDEN));
        }
    })
    .await;
}
