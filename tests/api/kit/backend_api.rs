//! `TestBackendApi` answers as Clerk's Backend API does.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Request, Response, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use tower_clerk::{
    backend_api::BackendApi,
    testing::{ManualClock, OpaqueTokenBuilder, TestBackendApi, TestIssuer},
    verify::Clock,
};

use crate::support::secs;

const API_KEYS: (&str, &str) = ("/api_keys/verify", "secret");
const M2M: (&str, &str) = ("/m2m_tokens/verify", "token");
const OAUTH: (&str, &str) = ("/oauth_applications/access_tokens/verify", "access_token");

fn question(url: &str, (path, member): (&str, &str), token: &str, key: Option<&str>) -> Request<Bytes> {
    let mut request = Request::post(format!("{url}{path}"));
    if let Some(key) = key {
        request = request.header(AUTHORIZATION, format!("Bearer {key}"));
    }
    request.body(Bytes::from(json!({ member: token }).to_string())).expect("a request")
}

fn read(response: &Response<Bytes>) -> (u16, Value) {
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap_or(Value::Null))
}

async fn ask(api: &TestBackendApi, of: (&str, &str), token: &str, key: Option<&str>) -> (u16, Value) {
    read(&api.send(question(api.url(), of, token, key)).await.expect("a response"))
}

async fn ask_over_a_socket(request: Request<Bytes>) -> Response<Bytes> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request.map(Full::new)).await.expect("a response");
    let (head, body) = response.into_parts();
    Response::from_parts(head, body.collect().await.expect("a body").to_bytes())
}

fn members(answer: &Value) -> BTreeSet<&str> {
    answer.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test]
async fn each_kind_is_answered_with_the_members_that_clerk_sends() {
    let clock = ManualClock::new();
    let api = TestBackendApi::new().clock(clock.clone());
    let now = clock.now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();

    let key = api.api_key("org_acme").name("export").scopes(["a", "b"]).claim("plan", "pro").lifetime(secs(7)).issue();
    let (status, answer) = ask(&api, API_KEYS, &key, None).await;
    assert_eq!((status, &answer["object"], &answer["subject"]), (200, &json!("api_key"), &json!("org_acme")));
    assert_eq!((&answer["scopes"], &answer["claims"]), (&json!(["a", "b"]), &json!({ "plan": "pro" })));
    assert_eq!((&answer["revoked"], &answer["expired"]), (&json!(false), &json!(false)));
    assert_eq!((&answer["expiration"], &answer["name"]), (&json!((now + 7) * 1000), &json!("export")));
    let common = ["object", "id", "subject", "scopes", "revoked", "revocation_reason", "expired", "expiration"];
    let of_keys = ["type", "name", "claims", "created_by", "last_used_at", "created_at", "updated_at", "description"];
    assert_eq!(members(&answer), common.into_iter().chain(of_keys).collect());

    let token = api.oauth_token("user_ada").client_id("client_a").audience(["https://a.example"]).issue();
    let (status, answer) = ask(&api, OAUTH, &token, None).await;
    assert_eq!((status, &answer["object"]), (200, &json!("clerk_idp_oauth_access_token")));
    assert_eq!((&answer["client_id"], &answer["aud"]), (&json!("client_a"), &json!(["https://a.example"])));
    assert_eq!(answer["expiration"], json!(now + 24 * 60 * 60));

    let token = api.m2m_token("mch_a").scopes(["mch_b"]).issue();
    let (status, answer) = ask(&api, M2M, &token, None).await;
    assert_eq!((status, &answer["object"]), (200, &json!("machine_to_machine_token")));
    assert_eq!((&answer["scopes"], &answer["claims"]), (&json!(["mch_b"]), &Value::Null));
    assert_eq!(answer["expiration"], json!((now + 60 * 60) * 1000));

    let (_, unlimited) = ask(&api, API_KEYS, &api.api_key("user_ada").issue(), None).await;
    assert_eq!((&unlimited["expiration"], &unlimited["claims"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn only_a_known_token_under_the_path_of_its_kind_is_found() {
    let api = TestBackendApi::new();
    let key = api.api_key("user_ada").issue();
    assert!(key.starts_with("ak_") && key.len() == 35, "{key}");
    assert_ne!(key, api.api_key("user_ada").issue());
    assert_eq!(ask(&api, API_KEYS, &key, None).await.0, 200);
    for (of, token) in [
        (API_KEYS, "ak_unknown"),
        (OAUTH, &key),
        (M2M, &key),
        (("/v1/api_keys/verify", "secret"), &key),
        (("/api_keys", "secret"), &key),
    ] {
        assert_eq!(ask(&api, of, token, None).await.0, 404, "{of:?}");
    }
    let (status, answer) = ask(&api, ("/api_keys/verify", "token"), &key, None).await;
    assert_eq!((status, answer["errors"][0]["code"].as_str()), (422, Some("form_param_missing")));
    // Of the paths that Clerk has.
    assert_eq!(api.calls(), 5);
    let below = question("https://gateway.example/clerk", API_KEYS, &key, None);
    assert_eq!(api.send(below).await.expect("a response").status(), 200);
}

#[tokio::test]
async fn a_wrong_key_and_a_machine_for_which_a_token_is_not_are_refused() {
    let api = TestBackendApi::new();
    let (key, token) = (api.api_key("user_ada").issue(), api.m2m_token("mch_a").scopes(["mch_b"]).issue());
    assert_eq!(ask(&api, M2M, &token, Some("sk_test_any")).await.0, 200);
    api.require_secret_key("sk_test_right");
    api.add_machine("mch_b", "ak_machine_b");
    api.add_machine("mch_c", "ak_machine_c");
    for (secret, of, asked, status) in [
        (None, API_KEYS, &key, 401),
        (Some("sk_test_wrong"), API_KEYS, &key, 401),
        (Some("sk_test_right"), API_KEYS, &key, 200),
        (Some("sk_test_right"), M2M, &token, 200),
        (Some("ak_machine_b"), M2M, &token, 200),
        (Some("ak_machine_c"), M2M, &token, 403),
        (Some("ak_machine_b"), API_KEYS, &key, 401),
        (Some("ak_machine_d"), M2M, &token, 401),
    ] {
        assert_eq!(ask(&api, of, asked, secret).await.0, status, "{secret:?} {of:?}");
        assert_eq!(api.last_authorization(), secret.map(|secret| format!("Bearer {secret}")));
    }
}

#[tokio::test]
async fn a_token_is_revoked_and_expires_by_the_clock() {
    let clock = ManualClock::new();
    let api = TestBackendApi::new().clock(clock.clone());
    let state = async |token: &str| {
        let (_, answer) = ask(&api, API_KEYS, token, None).await;
        (answer["revoked"].as_bool().expect("a bool"), answer["expired"].as_bool().expect("a bool"))
    };
    let [revoked, expired, aged] = [(); 3].map(|()| api.api_key("user_ada").lifetime(secs(10)).issue());
    api.revoke(&revoked);
    api.expire(&expired);
    assert_eq!((state(&revoked).await, state(&expired).await), ((true, false), (false, true)));
    clock.advance(secs(9));
    assert_eq!(state(&aged).await, (false, false));
    clock.advance(secs(1));
    assert_eq!(state(&aged).await, (false, true));
    assert_eq!(state(&api.api_key("user_ada").expired().issue()).await, (false, true));
    assert_eq!(state(&api.api_key("user_ada").revoked().issue()).await, (true, false));
}

#[test]
#[should_panic(expected = "not issued by this")]
fn revoking_a_token_of_another_api_fails_the_test() {
    TestBackendApi::new().revoke(&TestBackendApi::new().api_key("user_ada").issue());
}

#[tokio::test]
async fn members_of_an_answer_can_be_replaced_and_removed() {
    let api = TestBackendApi::new();
    let answer = async |key: OpaqueTokenBuilder| ask(&api, API_KEYS, &key.issue_as("ak_a/b+c="), None).await.1;
    let key = api.api_key("user_ada").id("ak_1");
    let changed = answer(key.clone().member("revoked", "no").member("id", 7)).await;
    assert_eq!((&changed["revoked"], &changed["id"]), (&json!("no"), &json!(7)));
    let without = answer(key.clone().without_member("expired")).await;
    assert!(!members(&without).contains("expired"));
    // The last change of a member wins.
    assert_eq!(answer(key.without_member("id").member("id", "ak_2")).await["id"], "ak_2");
}

#[tokio::test]
async fn over_a_socket_it_answers_the_same_and_fails_on_demand() {
    let api = TestBackendApi::start().await.expect("a socket");
    let key = api.api_key("user_ada").issue();
    let ask = async || ask_over_a_socket(question(api.url(), API_KEYS, &key, Some("sk_test_abc"))).await;
    let response = ask().await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let in_memory = api.send(question(api.url(), API_KEYS, &key, Some("sk_test_abc"))).await.expect("a response");
    assert_eq!(read(&response), read(&in_memory));
    assert_eq!((api.calls(), api.last_authorization().as_deref()), (2, Some("Bearer sk_test_abc")));

    api.serve_retry_after(429, "7");
    let response = ask().await;
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &"7".parse().expect("a value")));
    api.serve_status(500);
    assert_eq!(read(&ask().await), (500, Value::Null));
    api.serve_document(r#"{"active":false}"#);
    assert_eq!(read(&ask().await), (200, json!({ "active": false })));
    api.serve_answers();
    assert_eq!(ask().await.status(), 200);
    assert_eq!(api.calls(), 6);
}

#[tokio::test]
async fn an_issuer_serves_keys_and_answers_on_one_socket() {
    let issuer = TestIssuer::start().await.expect("a socket");
    let api = issuer.backend_api();
    assert_eq!(api.url(), issuer.url());
    let key = api.api_key("user_ada").issue();
    issuer.serve_status(500);
    assert_eq!(ask_over_a_socket(question(issuer.url(), API_KEYS, &key, Some("sk_test_abc"))).await.status(), 200);
    issuer.serve_keys();
    api.serve_status(500);
    let keys = Request::get(format!("{}/.well-known/jwks.json", issuer.url())).body(Bytes::new()).expect("a request");
    assert_eq!(ask_over_a_socket(keys).await.status(), 200);
    assert_eq!((issuer.fetches(), api.calls()), (1, 1));
    assert_eq!((issuer.last_authorization(), api.last_authorization().is_some()), (None, true));
}

#[tokio::test]
async fn the_clock_of_an_issuer_is_that_of_its_backend_api() {
    let clock = ManualClock::new();
    let issuer = TestIssuer::new().clock(clock.clone());
    let key = issuer.backend_api().api_key("user_ada").lifetime(secs(10)).issue();
    clock.advance(secs(10));
    assert_eq!(ask(issuer.backend_api(), API_KEYS, &key, None).await.1["expired"], json!(true));
}
