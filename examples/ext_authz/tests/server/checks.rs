//! The decisions, as Envoy asks for them.

use std::collections::HashMap;

use envoy_types::{
    ext_authz::v3::pb::{CheckRequest, CheckResponse, HeaderAppendAction, HttpResponse},
    pb::{
        envoy::{
            config::core::v3::{HeaderMap, HeaderValue},
            service::auth::v3::{
                AttributeContext,
                attribute_context::{HttpRequest, Request},
                authorization_client::AuthorizationClient,
            },
        },
        google::protobuf::{Struct, value::Kind},
    },
};
use tower_clerk::TokenKind;

use crate::support::{Program, admin, get, issuer, program, user};

fn request(headers: &[(&str, &str)], require: Option<&str>) -> CheckRequest {
    let raw = |(name, value): &(&str, &str)| HeaderValue {
        key: (*name).to_owned(),
        raw_value: value.as_bytes().to_vec(),
        ..HeaderValue::default()
    };
    let http = HttpRequest {
        method: "GET".to_owned(),
        path: "/".to_owned(),
        header_map: Some(HeaderMap { headers: headers.iter().map(raw).collect() }),
        ..HttpRequest::default()
    };
    let attributes = AttributeContext {
        request: Some(Request { http: Some(http), ..Request::default() }),
        context_extensions: require.map(|text| ("require".to_owned(), text.to_owned())).into_iter().collect(),
        ..AttributeContext::default()
    };
    CheckRequest { attributes: Some(attributes) }
}

async fn ask(program: &Program, headers: &[(&str, &str)], require: Option<&str>) -> CheckResponse {
    let mut client = AuthorizationClient::connect(format!("http://{}", program.address)).await.unwrap();
    client.check(request(headers, require)).await.unwrap().into_inner()
}

/// The names and values that are set, and the names that are removed.
fn allowed(response: &CheckResponse) -> (HashMap<String, String>, Vec<String>) {
    let Some(HttpResponse::OkResponse(ok)) = &response.http_response else { panic!("{response:?}") };
    assert_eq!(response.status.as_ref().unwrap().code, 0);
    let set = ok.headers.iter().map(|option| {
        assert_eq!(option.append_action(), HeaderAppendAction::OverwriteIfExistsOrAdd);
        let header = option.header.clone().unwrap();
        (header.key, header.value)
    });
    (set.collect(), ok.headers_to_remove.clone())
}

fn status(response: &CheckResponse) -> i32 {
    assert_ne!(response.status.as_ref().unwrap().code, 0, "a refusal is never an OK");
    match &response.http_response {
        Some(HttpResponse::DeniedResponse(denied)) => denied.status.unwrap().code,
        other => panic!("{other:?}"),
    }
}

fn text<'a>(metadata: &'a Struct, name: &str) -> Option<&'a str> {
    let Some(Kind::StructValue(fields)) = &metadata.fields["tower_clerk"].kind else { panic!("{metadata:?}") };
    match fields.fields.get(name)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(text),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn all_identity_headers_are_set_and_other_spellings_removed() {
    let issuer = issuer().await;
    let program = Program::start_ready(&issuer, &[]).await;
    let token = format!("Bearer {}", user(&issuer).sign());
    let headers =
        [("authorization", &*token), ("x-clerk-user-id", "a"), ("x_clerk_user_id", "b"), ("x-clerk-new", "c")];
    let (set, removed) = allowed(&ask(&program, &headers, None).await);
    assert_eq!(set.len(), 5);
    assert_eq!((&*set["x-clerk-user-id"], &*set["x-clerk-org-id"]), ("user_bob", ""));
    assert_eq!(removed, ["x_clerk_user_id", "x-clerk-new"], "never what is set, and nothing else");
}

#[tokio::test]
async fn metadata_says_who_calls_and_nothing_about_nobody() {
    let issuer = issuer().await;
    let program = Program::start_ready(&issuer, &["--anonymous"]).await;
    assert_eq!(ask(&program, &[], None).await.dynamic_metadata, None);
    let token = format!("Bearer {}", admin(&issuer).sign());
    let response = ask(&program, &[("authorization", &token)], None).await;
    let metadata = response.dynamic_metadata.unwrap();
    let values = ["sub", "sid", "org"].map(|name| text(&metadata, name));
    assert_eq!(values, [Some("user_ada"), Some("sess_1"), Some("org_acme")]);
}

#[tokio::test]
async fn a_client_that_acts_for_a_user_is_not_that_user() {
    let issuer = issuer().await;
    let mut command = program(&[]);
    command.env("CLERK_FRONTEND_API_URL", issuer.url());
    command.env("CLERK_ACCEPTED_TOKENS", format!("{},{}", TokenKind::Session, TokenKind::OAuth));
    let program = Program::of(command);
    let token = format!("Bearer {}", issuer.oauth_token("user_ada").scopes(["read:things"]).sign());
    let response = ask(&program, &[("authorization", &token)], Some("scope=read:things")).await;
    assert!(allowed(&response).0.values().all(String::is_empty));
    assert_eq!(text(&response.dynamic_metadata.unwrap(), "sub"), Some("user_ada"));
    assert_eq!(status(&ask(&program, &[("authorization", &token)], Some("scope=write:things")).await), 403);
}

#[tokio::test]
async fn requirements_hold_for_anonymous_requests_too() {
    let issuer = issuer().await;
    let program = Program::start_ready(&issuer, &["--anonymous"]).await;
    assert_eq!(status(&ask(&program, &[], Some("role=org:admin")).await), 401);
    let token = format!("Bearer {}", admin(&issuer).sign());
    for (require, code) in [("role=org:admin permission=org:invoices:create", 0), ("role=org:admin plan=org:gold", 403)]
    {
        let response = ask(&program, &[("authorization", &token)], Some(require)).await;
        if code == 0 {
            allowed(&response);
        } else {
            assert_eq!(status(&response), code);
        }
    }
}

#[tokio::test]
async fn decisions_are_counted() {
    let issuer = issuer().await;
    let program = Program::start_ready(&issuer, &[]).await;
    let token = format!("Bearer {}", user(&issuer).sign());
    allowed(&ask(&program, &[("authorization", &token)], None).await);
    for require in [None, Some("role=org:admin")] {
        status(&ask(&program, &[("authorization", "Bearer x")], require).await);
    }
    status(&ask(&program, &[("authorization", &token)], Some("role=org:admin")).await);
    let metrics = get(program.admin, "/metrics").await;
    for (name, labels, count) in [
        ("clerk_auth_requests_total", "outcome=\"allowed\"", 2),
        ("clerk_auth_requests_total", "outcome=\"refused\"", 2),
        ("clerk_authorization_decisions_total", "result=\"denied\"", 1),
    ] {
        let is_meant = |line: &&str| line.starts_with(&format!("{name}{{")) && line.contains(labels);
        let counts =
            metrics.lines().filter(is_meant).map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap());
        assert_eq!(counts.sum::<u64>(), count, "{name} {labels}: {metrics}");
    }
}

#[tokio::test]
async fn nothing_that_is_no_request_passes() {
    let issuer = issuer().await;
    let program = Program::start_ready(&issuer, &["--anonymous"]).await;
    let mut client = AuthorizationClient::connect(format!("http://{}", program.address)).await.unwrap();
    assert_eq!(status(&client.check(CheckRequest::default()).await.unwrap().into_inner()), 400);
    assert_eq!(status(&ask(&program, &[("a b", "")], None).await), 400);
    for require in ["", " ", "role", "role=", "owner=me"] {
        assert_eq!(status(&ask(&program, &[], Some(require)).await), 403, "{require:?}");
    }
    let metrics = get(program.admin, "/metrics").await;
    for (reason, count) in [("malformed", 2), ("unreadable_requirement", 5)] {
        let line = format!("\next_authz_refusals_total{{reason=\"{reason}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn strangers_fill_neither_the_log_nor_the_way_of_others() {
    let issuer = issuer().await;
    let program = Program::start_ready(&issuer, &[]).await;
    let mut client = AuthorizationClient::connect(format!("http://{}", program.address)).await.unwrap();
    let token = format!("Bearer {}", admin(&issuer).sign());
    for number in 0..1010 {
        // Few of them are logged, as nobody reads the log while the program runs.
        let require = if number % 100 == 0 { format!("junk{number}") } else { format!("role=org:{number}") };
        let response = client.check(request(&[("authorization", &token)], Some(&require))).await.unwrap().into_inner();
        assert_eq!(status(&response), 403);
    }
    for _ in 0..3 {
        assert_eq!(status(&ask(&program, &[("authorization", &token)], Some("junk")).await), 403);
        allowed(&ask(&program, &[("authorization", &token)], Some("permission=org:invoices:create")).await);
    }
    let log = program.log();
    // One for each that is none among the first 1000, and one for all the others.
    assert_eq!(log.matches("ERROR").count(), 11, "{log}");
}
