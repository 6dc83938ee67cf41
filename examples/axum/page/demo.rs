//! Tokens of the embedded issuer for the page. With a real instance nothing of this exists.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::{
        HeaderMap, HeaderName, StatusCode,
        header::{CACHE_CONTROL, HOST, X_CONTENT_TYPE_OPTIONS},
        uri::Authority,
    },
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use tower_clerk::testing::TestIssuer;

/// `GET /demo/tokens` for the page: new tokens of everyone who may call.
pub(crate) fn routes(issuer: Arc<TestIssuer>) -> Router {
    Router::new().route("/demo/tokens", get(tokens)).with_state(issuer)
}

/// Only the page of this server gets tokens. Other sites could not read them anyway: there are no CORS headers, and
/// `nosniff` keeps them from embedding the answer as a script.
///
/// Browsers send `Sec-Fetch-Site` to trustworthy origins only: over TLS, and to loopback.
async fn tokens(State(issuer): State<Arc<TestIssuer>>, headers: HeaderMap) -> Response {
    let is_own_page = only(&headers, "sec-fetch-site") == Some("same-origin");
    if !is_own_page || !only(&headers, HOST.as_str()).is_some_and(is_loopback) {
        return (StatusCode::FORBIDDEN, NO_SNIFFING, REFUSAL).into_response();
    }
    (NO_SNIFFING, [(CACHE_CONTROL, "no-store")], Json(callers(&issuer))).into_response()
}

const NO_SNIFFING: [(HeaderName, &str); 1] = [(X_CONTENT_TYPE_OPTIONS, "nosniff")];

/// The page shows it.
const REFUSAL: &str = "the tokens are for the page of this server, opened as 127.0.0.1 or localhost\n";

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether `Host` is an address or a name of this computer alone (RFC 6761, section 6.3). Whoever owns another name can
/// point it at this server, and a page that came by it then has the same origin.
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().to_ascii_lowercase();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_name = name == "localhost" || name.ends_with(".localhost");
    !host.contains('@') && address.map_or(is_name, |address| address.is_loopback())
}

/// Somebody who calls the routes.
#[derive(Serialize)]
struct Caller {
    id: &'static str,
    name: &'static str,
    about: &'static str,
    token: String,
}

fn callers(issuer: &TestIssuer) -> Vec<Caller> {
    let api = issuer.backend_api();
    let session = |user: &str, role: &str| {
        let token = issuer.token(user).authorized_party("http://localhost:3000").organization("org_acme", role);
        token.organization_slug("acme").permission("invoices", "read").plan("o:business")
    };
    let ada = session("user_ada", "admin").permission("invoices", "create").claim("email", "ada@example.com");
    let bob = session("user_bob", "member").claim("email", "bob@example.com");
    let client = |scopes: &[&str]| issuer.oauth_token("user_ada").scopes(scopes.iter().copied()).sign();
    let key = || api.api_key("org_acme").name("nightly export").scopes(["things:read"]);
    let caller = |id, name, about, token| Caller { id, name, about, token };
    vec![
        caller("ada", "Ada", "admin who may create invoices", ada.sign()),
        caller("bob", "Bob", "member who may read them", bob.sign()),
        caller("late", "Ada, an hour ago", "her session token has expired", ada.expired().sign()),
        caller("client", "OAuth client", "with the scope things:read", client(&["profile", "things:read"])),
        caller("unscoped", "OAuth client", "without that scope", client(&["profile"])),
        caller("machine", "Machine", "M2M token of mch_billing", issuer.m2m_token("mch_billing").sign()),
        caller("key", "API key", "of org_acme, with the scope", key().issue()),
        caller("revoked", "API key", "that was revoked", key().revoked().issue()),
    ]
}
