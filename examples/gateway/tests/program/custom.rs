use std::time::Duration;

use axum::{
    extract::Request,
    middleware::{Next, from_fn},
    response::Response,
};
use gateway::Gateway;
use http::{HeaderName, StatusCode};
use serde_json::json;
use tower_clerk::ClerkAuth;

use crate::support::{Site, clerk, head, send};

async fn forward_user_id(mut request: Request, next: Next) -> Response {
    let id = request.extensions().get::<ClerkAuth>().and_then(|user| user.user_id().parse().ok());
    if let Some(id) = id {
        request.headers_mut().insert("user-id", id);
    }
    next.run(request).await
}

/// A site whose upstream is written into the routes, since the process of the tests sets no variables.
async fn site(policies: &[&str]) -> Site {
    let site = Site::new(&[]).await;
    site.write_policies(&[
        clerk("clerk", &json!({ "frontendApiUrl": site.issuer.url() })),
        json!({ "name": "forward-user-id", "policyType": "custom-code-inbound",
            "handler": { "export": "default", "module": "$import(./modules/forward-user-id)" } }),
    ]);
    let routes = json!({ "openapi": "3.1.0", "paths": { "/a": { "get": { "x-zuplo-route": {
        "handler": { "export": "urlForwardHandler", "module": "$import(@zuplo/runtime)",
            "options": { "baseUrl": site.upstream.url() } },
        "policies": { "inbound": policies } } } } } });
    site.write("routes.oas.json", &routes.to_string());
    site
}

#[tokio::test]
async fn a_policy_of_code_sees_the_user_and_sets_a_header() {
    let site = site(&["clerk", "forward-user-id"]).await;
    let name = HeaderName::from_static("user-id");
    let gateway = Gateway::new().identity_header(name).policy("forward-user-id", from_fn(forward_user_id));
    let running = gateway.start(site.path()).await.expect("a gateway");
    let forged = [("authorization", &*site.bearer()), ("user-id", "forged"), ("User_Id", "forged")];
    assert_eq!(send(running.address(), &head("GET /a", &forged)).await.status, 200);
    let upstream_head = site.upstream.take().remove(0);
    assert!(upstream_head.contains("user-id: user_ada\r\n") && !upstream_head.contains("forged"), "{upstream_head}");
    assert_eq!(send(running.address(), &head("GET /a", &[])).await.status, 401);
    assert_eq!(site.upstream.take(), [""; 0]);
    running.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_policy_of_code_may_answer_and_runs_in_its_place() {
    let site = site(&["forward-user-id", "clerk"]).await;
    let refuse = from_fn(async |_: Request, _: Next| StatusCode::IM_A_TEAPOT);
    let running = Gateway::new().policy("forward-user-id", refuse).start(site.path()).await.expect("a gateway");
    assert_eq!(send(running.address(), &head("GET /a", &[])).await.status, 418);
}

#[tokio::test]
async fn a_policy_that_nobody_registered_ends_the_start() {
    let site = site(&["clerk", "forward-user-id"]).await;
    let error = Gateway::new().start(site.path()).await.expect_err("an unknown policy").to_string();
    let path = "routes.oas.json: $.paths['/a'].get['x-zuplo-route'].policies.inbound[1]: ";
    assert!(error.starts_with(path) && error.contains("forward-user-id") && !error.contains('\n'), "{error}");
}
