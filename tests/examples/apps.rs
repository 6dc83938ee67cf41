//! The smaller examples behave as their comments say.

use axum::Router;
use serde_json::{Value, json};
use tower_clerk::ClerkAuthLayer;

use crate::support::{bearer, request, send, system_clock_issuer};

#[path = "../../examples/custom_claims.rs"]
#[allow(dead_code, reason = "its main is not run here")]
mod custom_claims;
#[path = "../../examples/permissions.rs"]
#[allow(dead_code, reason = "its main is not run here")]
mod permissions;

async fn ask(app: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let answer = send(app, request(method, path, headers)).await;
    (answer.status(), serde_json::from_str(&answer.text).unwrap_or(Value::Null))
}

#[tokio::test]
async fn permissions_are_checked_in_four_ways() {
    let issuer = system_clock_issuer();
    let app = permissions::app(&ClerkAuthLayer::from_config(issuer.config()).expect("a layer"));
    let member = issuer.token("user_bob").organization("org_acme", "member");
    let admin = issuer.token("user_ada").organization("org_acme", "admin").permission("invoices", "create");
    let business = bearer(&admin.clone().plan("o:business").claim("fva", [30, -1]));
    let (member, admin) = (bearer(&member), bearer(&admin.claim("fva", [3, -1])));
    for (method, path, token, status, expected) in [
        ("POST", "/invoices", &business, 200, ("created_by", "user_ada")),
        ("POST", "/invoices", &admin, 403, ("code", "insufficient_scope")),
        ("DELETE", "/invoices/org_acme", &admin, 200, ("deleted_by", "user_ada")),
        ("DELETE", "/invoices/org_other", &admin, 403, ("code", "insufficient_scope")),
        ("DELETE", "/invoices/org_acme", &member, 403, ("code", "insufficient_scope")),
        ("GET", "/billing", &admin, 200, ("managed_by", "user_ada")),
        ("GET", "/billing", &member, 403, ("code", "insufficient_scope")),
        ("GET", "/reports", &member, 200, ("read_by", "user_bob")),
    ] {
        let (found, body) = ask(&app, method, path, &[("authorization", token)]).await;
        assert_eq!((found, &body[expected.0]), (status, &json!(expected.1)), "{method} {path}");
    }
    let (status, body) = ask(&app, "GET", "/billing", &[("authorization", &business)]).await;
    assert_eq!((status, &body["clerk_error"]["metadata"]["reverification"]), (403, &json!("strict")));
    for path in ["/invoices", "/billing", "/reports"] {
        let method = if path == "/invoices" { "POST" } else { "GET" };
        assert_eq!(ask(&app, method, path, &[]).await.0, 401, "{path}");
    }
    let machine = [("x-api-key", "secret")];
    assert_eq!(ask(&app, "GET", "/reports", &machine).await, (200, json!({ "read_by": "a machine" })));
    assert_eq!(ask(&app, "GET", "/billing", &machine).await.0, 401);
}

#[tokio::test]
async fn custom_claims_arrive_typed_or_the_token_is_rejected() {
    let issuer = system_clock_issuer();
    let app = custom_claims::app(ClerkAuthLayer::from_config(issuer.config()).expect("a layer"));
    let with = issuer.token("user_ada").claim("email", "ada@example.com");
    let (status, body) = ask(&app, "GET", "/profile", &[("authorization", &bearer(&with))]).await;
    assert_eq!((status, body), (200, json!({ "sub": "user_ada", "email": "ada@example.com", "onboarded": false })));
    let onboarded = bearer(&with.claim("metadata", json!({ "onboarded": true })));
    assert_eq!(ask(&app, "GET", "/profile", &[("authorization", &onboarded)]).await.1["onboarded"], json!(true));
    let without = bearer(&issuer.token("user_ada"));
    assert_eq!(ask(&app, "GET", "/profile", &[("authorization", &without)]).await.0, 401);
}
