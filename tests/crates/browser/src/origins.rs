//! Pages of another origin: the guide's CORS layer, and what a page sees without it.

use crate::{browser::browse, site::Site};
use serde_json::{Value, json};
use tower_clerk::testing::TestIssuer;

include!("recipes/cors.rs");

/// The API by the guide's recipe for pages of one other origin, and without its CORS layer, with it inside of the Clerk
/// layer, and with nothing exposed.
struct Apis {
    page: Site,
    guide: Site,
    without_cors: Site,
    inside: Site,
    unexposed: Site,
    token: String,
}

impl Apis {
    async fn start() -> Self {
        let issuer = TestIssuer::new();
        let clerk = ClerkAuthLayer::from_config(issuer.config()).expect("a layer");
        let page = Site::start(Router::new()).await;
        let origin: HeaderValue = page.origin("localhost").parse().expect("an origin");
        let routes = || Router::new().route("/me", get(me).delete(me));
        let unexposed = CorsLayer::new().allow_origin(origin.clone()).allow_headers([AUTHORIZATION]);
        let unexposed = unexposed.allow_methods([Method::GET, Method::DELETE]);
        let unavailable = Router::new().route("/busy", get(busy)).layer(cors(origin.clone()));
        Self {
            guide: Site::start(app(clerk.clone(), origin.clone()).merge(unavailable)).await,
            without_cors: Site::start(routes().route_layer(clerk.clone())).await,
            inside: Site::start(routes().layer(cors(origin)).layer(clerk.clone())).await,
            unexposed: Site::start(routes().route_layer(clerk).layer(unexposed)).await,
            token: issuer.token("user_ada").sign(),
            page,
        }
    }

    /// A script that calls an API and returns what the page can read.
    fn call(&self, api: &Site, method: &str, path: &str, token: Option<&str>) -> String {
        let headers = token.map_or_else(|| json!({}), |token| json!({ "Authorization": format!("Bearer {token}") }));
        let url = format!("{}{path}", api.origin("127.0.0.1"));
        format!(
            "const response = await fetch({}, {{ method: {}, headers: {headers} }});
             const header = (name) => response.headers.get(name);
             return {{ status: response.status, text: await response.text(), type: header('content-type'),
               challenge: header('www-authenticate'), retry: header('retry-after') }};",
            json!(url),
            json!(method),
        )
    }
}

/// As the layer responds while it has no keys.
async fn busy() -> (http::StatusCode, [(HeaderName, &'static str); 1]) {
    (http::StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")])
}

fn network_error() -> Value {
    json!({ "error": "TypeError" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_the_same_origin_needs_no_preflight() {
    let apis = Apis::start().await;
    browse(&[], async move |browser| {
        browser.open(&apis.guide.origin("127.0.0.1")).await;
        apis.guide.seen();
        let answer = browser.run_async(&apis.call(&apis.guide, "GET", "/me", Some(&apis.token))).await;
        assert_eq!((&answer["status"], &answer["text"]), (&json!(200), &json!("user_ada")));
        let seen = apis.guide.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!(seen[0].provenance(), (None, Some("same-origin"), false));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_passes_the_preflight_and_reads_refusals() {
    let apis = Apis::start().await;
    browse(&[], async move |browser| {
        let page = apis.page.origin("localhost");
        browser.open(&page).await;
        for method in ["GET", "DELETE"] {
            // The answer to a preflight is kept for a while, for each URL.
            let path = format!("/me?{method}");
            let answer = browser.run_async(&apis.call(&apis.guide, method, &path, Some(&apis.token))).await;
            assert_eq!((&answer["status"], &answer["text"]), (&json!(200), &json!("user_ada")), "{method}");
            let seen = apis.guide.seen();
            let methods: Vec<_> = seen.iter().map(|request| request.method.as_str()).collect();
            assert_eq!(methods, ["OPTIONS", method]);
            assert_eq!(seen[0].header("access-control-request-headers"), Some("authorization"));
            assert_eq!(seen[0].header("authorization"), None);
            for request in &seen {
                assert_eq!(request.provenance(), (Some(page.as_str()), Some("cross-site"), false));
            }
        }
        // A GET without a token is a simple request: it needs no preflight.
        let refused = browser.run_async(&apis.call(&apis.guide, "GET", "/me", None)).await;
        assert_eq!(refused["status"], 401);
        assert_eq!(
            (refused["challenge"].as_str(), &refused["type"]),
            (Some("Bearer"), &json!("application/problem+json"))
        );
        assert!(refused["text"].as_str().is_some_and(|text| text.contains("missing_token")), "{refused}");
        assert_eq!(apis.guide.seen().len(), 1);
        let refused = browser.run_async(&apis.call(&apis.guide, "DELETE", "/me", Some("a.b.c"))).await;
        let challenge = refused["challenge"].as_str().expect("a challenge");
        assert!(refused["status"] == 401 && challenge.contains("invalid_token"), "{refused}");
        let unavailable = browser.run_async(&apis.call(&apis.guide, "GET", "/busy", None)).await;
        assert_eq!((&unavailable["status"], &unavailable["retry"]), (&json!(503), &json!("1")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_cors_layer_outside_a_page_sees_a_network_error() {
    let apis = Apis::start().await;
    browse(&[], async move |browser| {
        browser.open(&apis.page.origin("localhost")).await;
        for api in [&apis.without_cors, &apis.inside] {
            let answer = browser.run_async(&apis.call(api, "GET", "/me", Some(&apis.token))).await;
            assert_eq!(answer, network_error());
            let seen = api.seen();
            let methods: Vec<_> = seen.iter().map(|request| request.method.as_str()).collect();
            assert_eq!(methods, ["OPTIONS"], "the request itself was not sent");
        }
        let answer = browser.run_async(&apis.call(&apis.without_cors, "GET", "/me", None)).await;
        assert_eq!(answer, network_error(), "the refusal cannot be read");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_is_not_exposed_is_hidden_from_the_page() {
    let apis = Apis::start().await;
    browse(&[], async move |browser| {
        browser.open(&apis.page.origin("localhost")).await;
        let refused = browser.run_async(&apis.call(&apis.unexposed, "GET", "/me", None)).await;
        assert_eq!((&refused["status"], &refused["challenge"]), (&json!(401), &Value::Null));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_an_origin_that_is_not_allowed_sees_a_network_error() {
    let apis = Apis::start().await;
    browse(&[], async move |browser| {
        // The same page, by a name that is not the allowed origin.
        browser.open(&apis.page.origin("127.0.0.1")).await;
        let answer = browser.run_async(&apis.call(&apis.guide, "GET", "/me", Some(&apis.token))).await;
        assert_eq!(answer, network_error());
    })
    .await;
}

#[test]
fn the_guide_shows_this_cors_layer() {
    assert!(crate::GUIDE.contains(include_str!("recipes/cors.rs").trim_end()));
}
