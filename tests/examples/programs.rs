//! The routes of the axum example for programs, with a stand-in for Clerk outside of its process.

use http::{
    HeaderMap,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};
use http_body_util::Empty;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use tower_clerk::testing::{TestBackendApi, TestIssuer};

use super::process::{Example, assert_rejects};
use crate::support::Answer;

const SECRET_KEY: (&str, &str) = ("CLERK_SECRET_KEY", "sk_test_abc");

/// The issuer of JWTs, and the Backend API on a socket of its own.
struct Clerk {
    issuer: TestIssuer,
    api: TestBackendApi,
}

struct Response {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Clerk {
    async fn start() -> Self {
        let issuer = TestIssuer::start().await.expect("a socket");
        Self { issuer, api: TestBackendApi::start().await.expect("a socket") }
    }

    /// The example with these variables beside those that name the instance and its Backend API.
    fn example(&self, variables: &[(&str, &str)]) -> Example {
        let own = [("CLERK_FRONTEND_API_URL", self.issuer.url()), ("CLERK_API_URL", self.api.url())];
        Example::start("axum", "/optional", &[&own[..], variables].concat())
    }

    /// A token of each kind and form: session, OAuth, M2M, and API key.
    fn tokens(&self) -> [String; 6] {
        [
            self.issuer.token("user_ada").sign(),
            self.issuer.oauth_token("user_ada").scopes(["things:read"]).sign(),
            self.api.oauth_token("user_ada").scopes(["things:read"]).issue(),
            self.issuer.m2m_token("mch_a").scopes(["things:read"]).sign(),
            self.api.m2m_token("mch_a").scopes(["things:read"]).issue(),
            self.api.api_key("org_acme").scopes(["things:read"]).issue(),
        ]
    }
}

async fn ask(example: &Example, path: &str, token: &str) -> Response {
    let request =
        http::Request::get(format!("{}{path}", example.url)).header("authorization", format!("Bearer {token}"));
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request.body(Empty::<bytes::Bytes>::new()).expect("a request")).await;
    let answer = Answer::of(response.expect("a response")).await;
    Response {
        status: answer.status(),
        body: serde_json::from_str(&answer.text).unwrap_or(Value::Null),
        headers: answer.parts.headers,
    }
}

async fn statuses(example: &Example, path: &str, tokens: &[String]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for token in tokens {
        statuses.push(ask(example, path, token).await.status);
    }
    statuses
}

#[tokio::test]
async fn each_route_takes_the_kinds_that_it_is_for() {
    let clerk = Clerk::start().await;
    let example = clerk.example(&[SECRET_KEY]);
    let tokens = clerk.tokens();
    for (path, expected) in [("/protected", [200, 401, 401, 401, 401, 401]), ("/optional", [200; 6])] {
        assert_eq!(statuses(&example, path, &tokens).await, expected, "{path}");
    }
    for (token, is_user) in tokens.iter().zip([true, false, false, false, false, false]) {
        assert_eq!(ask(&example, "/optional", token).await.body["authenticated"], json!(is_user));
    }
    assert_eq!(clerk.api.calls(), 0, "a route for users asked about a token of a program");
    for (path, expected) in [
        ("/any", [200, 200, 200, 200, 200, 200]),
        ("/oauth", [401, 200, 200, 401, 401, 401]),
        ("/scoped", [403, 200, 200, 403, 403, 200]),
    ] {
        assert_eq!(statuses(&example, path, &tokens).await, expected, "{path}");
        assert_eq!(ask(&example, path, "a.b.c").await.status, 401);
    }
    assert_eq!(clerk.api.calls(), 3, "the routes do not share what is known about the three opaque tokens");
    assert_eq!(clerk.api.last_authorization().as_deref(), Some("Bearer sk_test_abc"));
}

#[tokio::test]
async fn a_refusal_by_kind_and_one_by_scope_have_their_challenges() {
    let clerk = Clerk::start().await;
    let example = clerk.example(&[SECRET_KEY]);
    let other = ask(&example, "/oauth", &clerk.issuer.token("user_ada").sign()).await;
    assert_eq!((other.status, &other.body["code"]), (401, &json!("invalid_token")));
    assert_eq!(other.headers[WWW_AUTHENTICATE], r#"Bearer error="invalid_token""#);
    for token in [
        clerk.issuer.oauth_token("user_ada").scopes(["things:write"]).sign(),
        clerk.api.api_key("user_ada").scopes(["things", "read"]).issue(),
        clerk.api.oauth_token("user_ada").issue(),
    ] {
        let refused = ask(&example, "/scoped", &token).await;
        assert_eq!((refused.status, &refused.body["code"]), (403, &json!("insufficient_scope")));
        assert_eq!(refused.headers[WWW_AUTHENTICATE], r#"Bearer error="insufficient_scope", scope="things:read""#);
    }
}

#[tokio::test]
async fn any_says_the_same_of_every_kind() {
    let clerk = Clerk::start().await;
    let example = clerk.example(&[SECRET_KEY]);
    let said = async |token: &str| ask(&example, "/any", token).await.body;

    let session =
        clerk.issuer.token("user_ada").organization("org_acme", "admin").claim("act", json!({ "sub": "user_b" }));
    let payload: Value = serde_json::from_str(&session.payload()).expect("JSON");
    let expected = json!({
        "kind": "session_token", "id": "sess_test", "subject": "user_ada", "scopes": [], "user_id": "user_ada",
        "organization_id": "org_acme", "machine_id": null, "client_id": null, "name": null, "audience": null,
        "actor": { "sub": "user_b" }, "expires_at": payload["exp"], "claims": payload,
    });
    assert_eq!(said(&session.sign()).await, expected);

    let act = json!({ "iss": "https://agents.example", "sub": "agent_a", "act": { "sub": "agent_b" } });
    let oauth = clerk.issuer.oauth_token("user_ada").scopes(["a", "b"]).audience(["https://api.example"]);
    let oauth = oauth.organization_id("org_acme").claim("act", &act).claim("plan", "pro");
    let payload: Value = serde_json::from_str(&oauth.payload()).expect("JSON");
    let expected = json!({
        "kind": "oauth_token", "id": "oat_test", "subject": "user_ada", "scopes": ["a", "b"], "user_id": "user_ada",
        "organization_id": "org_acme", "machine_id": null, "client_id": "client_test", "name": null,
        "audience": ["https://api.example"], "actor": act, "expires_at": payload["exp"], "claims": null,
    });
    assert_eq!(said(&oauth.sign()).await, expected);

    let opaque = clerk.api.oauth_token("user_ada").id("oat_1").scopes(["a"]).member("expiration", 4_000_000_000_u64);
    let expected = json!({
        "kind": "oauth_token", "id": "oat_1", "subject": "user_ada", "scopes": ["a"], "user_id": "user_ada",
        "organization_id": null, "machine_id": null, "client_id": "client_test", "name": null, "audience": null,
        "actor": null, "expires_at": 4_000_000_000_u64, "claims": null,
    });
    assert_eq!(said(&opaque.issue()).await, expected);

    let m2m = clerk.issuer.m2m_token("mch_a").without_claim("scopes").claim("plan", "pro");
    let payload: Value = serde_json::from_str(&m2m.payload()).expect("JSON");
    let expected = json!({
        "kind": "m2m_token", "id": "mt_test", "subject": "mch_a", "scopes": [], "user_id": null,
        "organization_id": null, "machine_id": "mch_a", "client_id": null, "name": null, "audience": null,
        "actor": null, "expires_at": payload["exp"], "claims": { "plan": "pro" },
    });
    assert_eq!(said(&m2m.sign()).await, expected);
    let opaque = clerk.api.m2m_token("mch_a").id("mt_1").scopes(["mch_b"]).issue();
    let body = said(&opaque).await;
    assert_eq!((&body["id"], &body["scopes"], &body["claims"]), (&json!("mt_1"), &json!(["mch_b"]), &Value::Null));

    for (subject, member) in [("user_ada", "user_id"), ("org_acme", "organization_id"), ("mch_a", "machine_id")] {
        let key = clerk.api.api_key(subject).id("ak_1").name("export").scopes(["a"]).claim("plan", "pro").issue();
        let mut expected = json!({
            "kind": "api_key", "id": "ak_1", "subject": subject, "scopes": ["a"], "user_id": null,
            "organization_id": null, "machine_id": null, "client_id": null, "name": "export", "audience": null,
            "actor": null, "expires_at": null, "claims": { "plan": "pro" },
        });
        expected[member] = json!(subject);
        assert_eq!(said(&key).await, expected);
    }
}

#[tokio::test]
async fn without_a_secret_key_it_accepts_jwts_and_asks_nobody() {
    let clerk = Clerk::start().await;
    let example = clerk.example(&[]);
    let tokens = clerk.tokens();
    assert_eq!(statuses(&example, "/any", &tokens).await, [200, 200, 401, 200, 401, 401]);
    let refused = ask(&example, "/any", &tokens[5]).await;
    assert_eq!((refused.status, &refused.body["code"]), (401, &json!("invalid_token")));
    assert_eq!(clerk.api.calls(), 0);
}

#[tokio::test]
async fn the_kinds_depend_on_the_keys_and_not_on_a_list() {
    let clerk = Clerk::start().await;
    for list in ["session_token", "api_key"] {
        for (keys, expected) in [(&[SECRET_KEY][..], [200; 6]), (&[], [200, 200, 401, 200, 401, 401])] {
            let example = clerk.example(&[keys, &[("CLERK_ACCEPTED_TOKENS", list)]].concat());
            assert_eq!(statuses(&example, "/any", &clerk.tokens()).await, expected, "{list}");
        }
    }
}

#[tokio::test]
async fn a_machine_secret_alone_verifies_opaque_m2m_tokens() {
    let clerk = Clerk::start().await;
    clerk.api.require_secret_key("sk_test_abc");
    clerk.api.add_machine("mch_api", "ak_machine");
    let example = clerk.example(&[("CLERK_MACHINE_SECRET_KEY", "ak_machine")]);
    let for_us = clerk.api.m2m_token("mch_a").scopes(["mch_api"]).issue();
    assert_eq!(ask(&example, "/any", &for_us).await.status, 200);
    assert_eq!(clerk.api.last_authorization().as_deref(), Some("Bearer ak_machine"));
    // Clerk refuses to show this machine the token, which says nothing about the token.
    let for_others = clerk.api.m2m_token("mch_a").scopes(["mch_b"]).issue();
    assert_eq!(ask(&example, "/any", &for_others).await.status, 503);
    let calls = clerk.api.calls();
    assert_eq!(statuses(&example, "/any", &clerk.tokens()[5..]).await, [401]);
    assert_eq!(statuses(&example, "/any", &clerk.tokens()[2..3]).await, [401]);
    assert_eq!(clerk.api.calls(), calls);
}

#[tokio::test]
async fn tokens_for_another_machine_or_audience_are_refused() {
    let clerk = Clerk::start().await;
    let audience = ("CLERK_OAUTH_AUDIENCE", "https://a.example, https://b.example");
    let example = clerk.example(&[SECRET_KEY, ("CLERK_MACHINE_ID", "mch_api"), audience]);
    for (scopes, status) in [(["mch_b", "mch_api"], 200), (["mch_b", "mch_c"], 401)] {
        let jwt = clerk.issuer.m2m_token("mch_a").scopes(scopes).sign();
        let opaque = clerk.api.m2m_token("mch_a").scopes(scopes).issue();
        assert_eq!(statuses(&example, "/any", &[jwt, opaque]).await, [status; 2], "{scopes:?}");
    }
    for (audience, status) in [("https://b.example", 200), ("https://c.example", 401)] {
        let jwt = clerk.issuer.oauth_token("user_ada").audience([audience]).sign();
        let opaque = clerk.api.oauth_token("user_ada").audience([audience]).issue();
        assert_eq!(statuses(&example, "/oauth", &[jwt, opaque]).await, [status; 2], "{audience}");
    }
    let without = [clerk.issuer.oauth_token("user_ada").sign(), clerk.api.oauth_token("user_ada").issue()];
    assert_eq!(statuses(&example, "/oauth", &without).await, [401; 2]);
}

#[tokio::test]
async fn a_revoked_key_is_refused_as_soon_as_it_is_asked_about() {
    let clerk = Clerk::start().await;
    let key = clerk.api.api_key("user_ada").issue();
    let kept = clerk.example(&[SECRET_KEY]);
    let asking = clerk.example(&[SECRET_KEY, ("CLERK_OPAQUE_TOKEN_TTL_SECONDS", "0")]);
    assert_eq!((ask(&kept, "/any", &key).await.status, ask(&asking, "/any", &key).await.status), (200, 200));
    clerk.api.revoke(&key);
    // For its 60 seconds, the answer is used without a question.
    assert_eq!((ask(&kept, "/any", &key).await.status, clerk.api.calls()), (200, 2));
    assert_eq!((ask(&asking, "/any", &key).await.status, clerk.api.calls()), (401, 3));
}

#[tokio::test]
async fn an_outage_refuses_unknown_keys_with_a_delay() {
    let clerk = Clerk::start().await;
    let ttl = ("CLERK_OPAQUE_TOKEN_TTL_SECONDS", "0");
    let known = clerk.api.api_key("user_ada").issue();
    let lenient = clerk.example(&[SECRET_KEY, ttl]);
    let strict = clerk.example(&[SECRET_KEY, ttl, ("CLERK_OPAQUE_TOKEN_STALE_SECONDS", "0")]);
    for example in [&lenient, &strict] {
        assert_eq!(ask(example, "/any", &known).await.status, 200);
    }
    clerk.api.serve_retry_after(503, "7");
    let unknown = clerk.api.api_key("user_bob").issue();
    for (example, key) in [(&lenient, &unknown), (&strict, &unknown), (&strict, &known)] {
        let refused = ask(example, "/any", key).await;
        assert_eq!((refused.status, &refused.body["code"]), (503, &json!("keys_unavailable")));
        let seconds = refused.headers[RETRY_AFTER].to_str().ok().and_then(|value| value.parse::<u64>().ok());
        // What is left of the time for which the Backend API has asked, in whole seconds.
        assert!(seconds.is_some_and(|seconds| (4..=7).contains(&seconds)), "{seconds:?}");
    }
    assert_eq!(ask(&lenient, "/any", &known).await.status, 200);
    // Nobody is asked about these.
    let jwt = clerk.issuer.oauth_token("user_ada").sign();
    assert_eq!(ask(&strict, "/oauth", &jwt).await.status, 200);
}

#[tokio::test]
async fn a_wrong_secret_key_is_no_fault_of_the_client() {
    let clerk = Clerk::start().await;
    clerk.api.require_secret_key("sk_test_right");
    let example = clerk.example(&[SECRET_KEY]);
    let refused = ask(&example, "/any", &clerk.api.api_key("user_ada").issue()).await;
    assert_eq!((refused.status, &refused.body["code"]), (503, &json!("keys_unavailable")));
    assert_eq!(clerk.api.last_authorization().as_deref(), Some("Bearer sk_test_abc"));
}

#[tokio::test]
async fn a_secret_key_alone_names_the_instance_as_before() {
    let issuer = TestIssuer::start().await.expect("a socket");
    let with_version = format!("{}/v1/", issuer.url());
    for url in [issuer.url(), &with_version] {
        let example = Example::start("axum", "/optional", &[SECRET_KEY, ("CLERK_API_URL", url)]);
        let api = issuer.backend_api();
        let tokens =
            [issuer.token("user_ada").sign(), api.api_key("user_ada").issue(), issuer.m2m_token("mch_a").sign()];
        assert_eq!(statuses(&example, "/any", &tokens).await, [200; 3]);
        assert_eq!(issuer.last_authorization().as_deref(), Some("Bearer sk_test_abc"));
        assert_eq!(api.last_authorization().as_deref(), Some("Bearer sk_test_abc"));
    }
}

#[tokio::test]
async fn without_an_environment_it_prints_a_command_for_each_kind() {
    let example = Example::start("axum", "/optional", &[]);
    let mut kinds = Vec::new();
    for command in example.lines.iter().filter(|line| line.contains("Bearer ")) {
        let (url, token) = command.split_once(" -H 'Authorization: Bearer ").expect("a command");
        let (_, path) = url.split_once(&example.url).expect("its address");
        let token = token.trim_end().trim_end_matches('\'');
        let answer = ask(&example, path, token).await;
        assert_eq!(answer.status, 200, "{command}");
        let any = ask(&example, "/any", token).await.body;
        let form = if token.contains('.') { "JWT" } else { "opaque" };
        kinds.push(format!("{form} {}", any["kind"].as_str().expect("a kind")));
    }
    kinds.sort();
    assert_eq!(
        kinds,
        [
            "JWT m2m_token",
            "JWT oauth_token",
            "JWT session_token",
            "opaque api_key",
            "opaque m2m_token",
            "opaque oauth_token"
        ]
    );
}

#[test]
fn a_mistake_about_tokens_of_programs_ends_it() {
    let key = ("CLERK_PUBLISHABLE_KEY", "pk_test_Y2xlcmsuY2xlcmsuZGV2JA");
    for (variable, value) in [
        ("CLERK_MACHINE_ID", "hunter2"),
        ("CLERK_MACHINE_SECRET_KEY", "sk_test_hunter2"),
        ("CLERK_MACHINE_SECRET_KEY", "ak_hunter2!"),
        ("CLERK_OAUTH_AUDIENCE", "https://hunter2.example,,https://a.example"),
        ("CLERK_OPAQUE_TOKEN_TTL_SECONDS", "hunter2"),
        ("CLERK_OPAQUE_TOKEN_TTL_SECONDS", "1.5"),
        ("CLERK_OPAQUE_TOKEN_STALE_SECONDS", "-1"),
        ("CLERK_API_URL", "http://hunter2.example"),
        ("CLERK_SECRET_KEY", "pk_test_hunter2"),
        ("CLERK_ACCEPTED_TOKENS", "hunter2"),
    ] {
        assert_rejects("axum", &[key, (variable, value)], variable);
    }
}
