//! What the program shows when it starts.

use std::{fmt::Write, net::SocketAddr};

use tower_clerk::testing::TestIssuer;

use crate::{
    deployment::{token_of_a_member, token_of_an_admin},
    problem::for_proxy,
    settings::{Policy, Settings},
};

/// The address, and in a demonstration what to try.
pub(crate) fn welcome(address: SocketAddr, settings: &Settings, issuer: Option<&TestIssuer>) -> String {
    let mut text = format!("listening on http://{address}\n");
    let Some(issuer) = issuer else { return text };
    let url = issuer.url();
    // Writing to a text cannot fail.
    let _ = writeln!(text, "\nThis is a demonstration: it trusts an issuer of its own, {url}.\n");
    let (admin, member) = (token_of_an_admin(issuer), token_of_a_member(issuer));
    let forged = for_proxy(http::StatusCode::BAD_REQUEST, settings.is_for_nginx).as_u16();
    let nobody = if settings.is_anonymous_allowed { 200 } else { 401 };
    let verify = format!("curl -i http://{address}/verify");
    let mut lines = vec![
        ("the keys are here", 200, format!("curl -i http://{address}/readyz")),
        ("metrics for Prometheus", 200, format!("curl -i http://{address}/metrics")),
    ];
    // With rules or a requirement, it is for its author to know what to expect.
    if matches!(settings.policy, Policy::Everywhere(None)) {
        lines.extend([
            ("without a token", nobody, verify.clone()),
            ("with the token of an administrator, good for an hour", 200, bearer(&verify, &admin)),
            ("with the token of a member", 200, bearer(&verify, &member)),
            ("with a bad token", 401, bearer(&verify, "abc")),
            ("with an identity header of the client", forged, {
                let header = settings.headers.names().first().copied().unwrap_or_default();
                format!("{} -H '{header}: user_root'", bearer(&verify, &admin))
            }),
            ("with a bad token and the content type of gRPC", 401, {
                format!("{} -H 'Content-Type: application/grpc'", bearer(&verify, "abc"))
            }),
        ]);
    } else {
        let original = "-H 'X-Forwarded-Method: GET' -H 'X-Forwarded-Uri: /'";
        let _ = writeln!(text, "an administrator on your path:\n  {} {original}\n", bearer(&verify, &admin));
        let _ = writeln!(text, "a member on your path:\n  {} {original}\n", bearer(&verify, &member));
    }
    for (what, status, command) in lines {
        let _ = writeln!(text, "{what}, {status}:\n  {command}\n");
    }
    text
}

fn bearer(command: &str, token: &str) -> String {
    format!("{command} -H 'Authorization: Bearer {token}'")
}
