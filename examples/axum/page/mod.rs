//! A page that calls the routes of this example and shows what they respond.
//!
//! It is for people: `/` responds with it only to clients that prefer HTML, as browsers do. Three files beside it hold
//! what it shows and does, and it loads nothing from elsewhere but, with a publishable key, Clerk's own script.

mod accept;
mod clerk_js;
mod demo;

use std::{error::Error, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{
            ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};
use tower_clerk::testing::TestIssuer;

use self::clerk_js::ClerkJs;

/// `GET /` for everyone: the page, or one line of text. The tokens of the embedded issuer are there only with one.
///
/// # Errors
///
/// If the environment has a publishable key that is none.
pub(crate) fn routes(issuer: Option<Arc<TestIssuer>>) -> Result<Router, Box<dyn Error>> {
    let clerk = if issuer.is_some() { None } else { ClerkJs::from_env()? };
    let page = Arc::new(Page::new(issuer.is_some(), clerk.as_ref()));
    let routes = Router::new()
        .route("/", get(index))
        .with_state(page)
        .route("/page/script.js", get(|| file("text/javascript; charset=utf-8", include_str!("script.js"))))
        .route("/page/style.css", get(|| file("text/css; charset=utf-8", include_str!("style.css"))))
        .route("/page/icon.svg", get(|| file("image/svg+xml", include_str!("icon.svg"))));
    Ok(match issuer {
        Some(issuer) => routes.merge(demo::routes(issuer)),
        None => routes,
    })
}

/// The same for every request.
struct Page {
    html: String,
    policy: String,
}

impl Page {
    fn new(is_demo: bool, clerk: Option<&ClerkJs>) -> Self {
        let callers = match clerk {
            _ if is_demo => "demo",
            Some(_) => "clerk",
            None => "none",
        };
        let html = include_str!("index.html")
            .replace("{callers}", callers)
            .replace("{clerk}", &clerk.map_or_else(String::new, ClerkJs::element));
        Self { html, policy: clerk.map_or_else(|| POLICY.to_owned(), ClerkJs::policy) }
    }
}

/// Nothing of another origin, nothing written into the page, and no text that becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'";

async fn index(State(page): State<Arc<Page>>, headers: HeaderMap) -> Response {
    // A shared cache must not give the page to a program.
    let vary = [(VARY, HeaderValue::from(ACCEPT))];
    if !accept::prefers_html(&headers) {
        return (vary, NO_SNIFFING, "everyone may read this\n").into_response();
    }
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, page.policy.as_str()),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (vary, NO_SNIFFING, headers, page.html.clone()).into_response()
}

async fn file(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-cache"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    (NO_SNIFFING, headers, text)
}

const NO_SNIFFING: [(HeaderName, &str); 1] = [(X_CONTENT_TYPE_OPTIONS, "nosniff")];
