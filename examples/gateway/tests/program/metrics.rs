use serde_json::json;
use tower_clerk::testing::TestIssuer;

use crate::support::{Answer, PATIENCE, Program, Site, clerk, head, send};

async fn metrics(program: &Program) -> Answer {
    send(program.admin, &head("GET /metrics", &[])).await
}

/// Waits until the metrics have this line.
async fn wait_for(program: &Program, line: &str) {
    let found = async { while !metrics(program).await.body.lines().any(|other| other == line) {} };
    let last = async || metrics(program).await.body;
    if tokio::time::timeout(PATIENCE, found).await.is_err() {
        panic!("no {line} in\n{}", last().await);
    }
}

#[tokio::test]
async fn metrics_are_on_the_port_for_operators() {
    let site = Site::new(&[("/a", "get", "none", &["clerk"])]).await;
    let program = Program::serve(&site).await;
    let bearer = site.bearer();
    assert_eq!(program.send("GET /a", &[("authorization", &bearer)]).await.status, 200);
    assert_eq!(program.send("GET /a", &[]).await.status, 401);
    let answer = metrics(&program).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; version=0.0.4; charset=utf-8")));
    for line in [
        r#"clerk_auth_requests_total{outcome="allowed",reason="none",token="session",source="header"} 1"#,
        r#"clerk_auth_requests_total{outcome="refused",reason="missing_token",token="none",source="other"} 1"#,
        r#"clerk_jwks_keys{policy="clerk"} 1"#,
    ] {
        assert!(answer.body.lines().any(|other| other == line), "no {line} in\n{}", answer.body);
    }
    for secret in [&bearer[7..], "user_ada", "sess_test"] {
        assert!(!answer.body.contains(secret));
    }
    for line in answer.body.lines().filter(|line| line.starts_with("# TYPE ")) {
        assert_eq!(answer.body.matches(line).count(), 1, "{line}");
    }
    assert_eq!(send(program.admin, &head("HEAD /metrics", &[])).await.status, 200);
    assert_eq!(send(program.admin, &head("POST /metrics", &[])).await.status, 405);
    assert_eq!(send(program.admin, &head("GET /metrics/", &[])).await.status, 404);
    assert_eq!(program.send("GET /metrics", &[]).await.status, 404);
}

#[tokio::test]
async fn each_policy_has_its_gauges_until_a_reload_removes_it() {
    let site = Site::new(&[("/a", "get", "none", &["clerk"]), ("/b", "get", "none", &["other"])]).await;
    let other = TestIssuer::start().await.expect("an issuer");
    other.serve_status(503);
    site.write_policies(&[clerk("clerk", &json!({})), clerk("other", &json!({ "frontendApiUrl": other.url() }))]);
    let program = Program::serve(&site).await;
    wait_for(&program, r#"clerk_jwks_keys{policy="clerk"} 1"#).await;
    wait_for(&program, r#"clerk_jwks_keys{policy="other"} 0"#).await;
    // Whose keys are missing, which alerts must tell from those that nobody has asked for.
    wait_for(&program, r#"clerk_jwks_fetch_failed{policy="other"} 1"#).await;
    wait_for(&program, r#"clerk_jwks_fetch_failed{policy="clerk"} 0"#).await;
    let age = |body: &str, policy: &str| body.contains(&format!("clerk_jwks_age_seconds{{policy=\"{policy}\"}} "));
    let body = metrics(&program).await.body;
    assert_eq!((age(&body, "clerk"), age(&body, "other")), (true, false), "{body}");
    assert_eq!(program.send("GET /b", &[("authorization", "Bearer a.b.c")]).await.status, 401);

    site.write_routes(&[("/a", "get", "none", &["clerk"])]);
    program.signal("HUP");
    program.stderr.wait_for("read again").await;
    let body = metrics(&program).await.body;
    assert!(body.contains("policy=\"clerk\"") && !body.contains("policy=\"other\""), "{body}");
    // What was counted stays, as counters must.
    assert!(body.contains("outcome=\"refused\""), "{body}");
}
