//! What clients see of a rejection besides its status.

use http::{Request, header};
use serde_json::Value;
use tower_clerk::testing::TestIssuer;

use crate::{
    apps::{Answer, App, VERSIONS, Version, bearer, token},
    table::{assert_in_chapter, row},
};

const HEAD: &str = "| response to | by hand | clerk-rs | jwt-authorizer | tower-clerk |";

#[tokio::test]
async fn the_chapter_says_what_the_responses_to_rejected_requests_hold() {
    let mut cells = [const { Vec::new() }; 5];
    for version in VERSIONS {
        for (cells, answer) in cells.iter_mut().zip(answers(version).await) {
            cells.push(answer);
        }
    }
    let names =
        ["no token", "an invalid token", "an expired token", "a role that is missing", "keys that are unavailable"];
    let rows: Vec<String> = names.iter().zip(&cells).map(|(name, cells)| row(name, cells)).collect();
    assert_in_chapter(HEAD, &rows);
}

async fn answers(version: Version) -> [String; 5] {
    let issuer = TestIssuer::start().await.expect("a loopback socket");
    let app = App::start(version, &issuer).await.expect("a program");
    assert_eq!(app.status(&token(&issuer).sign()).await, "200");
    let nothing = app.answer(Request::get("/me").body(()).expect("a request")).await;
    let invalid = app.answer(bearer("/me", "a.b.c")).await;
    let expired = app.answer(bearer("/me", &token(&issuer).expired().sign())).await;
    let member = app.answer(bearer("/admin", &token(&issuer).organization("org_acme", "member").v1().sign())).await;
    issuer.rotate();
    issuer.serve_status(503);
    let unavailable = app.answer(bearer("/me", &token(&issuer).sign())).await;
    [nothing, invalid, expired, member, unavailable].map(|answer| cell(&answer))
}

/// Status, headers and body.
fn cell(answer: &Answer) -> String {
    let mut parts = vec![answer.status.as_u16().to_string()];
    for name in [header::WWW_AUTHENTICATE, header::RETRY_AFTER] {
        if let Some(value) = answer.headers.get(&name) {
            // How long to wait depends on the moment.
            let value = if name == header::RETRY_AFTER { "" } else { value.to_str().expect("ASCII") };
            parts.push(if value.is_empty() { format!("`{name}`") } else { format!("`{name}: {value}`") });
        }
    }
    let problem: Option<Value> = serde_json::from_str(&answer.body).ok();
    match problem.as_ref().and_then(|problem| problem["code"].as_str()) {
        Some(code) => parts.push(format!("problem document with the code `{code}`")),
        None if answer.body.is_empty() => parts.push("no body".to_owned()),
        None => parts.push(format!("text `{}`", answer.body)),
    }
    parts.join(", ")
}
