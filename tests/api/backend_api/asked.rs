//! A verifier whose Backend API has one answer.

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use tower_clerk::{
    ClerkConfig, ConfigError, Principal, TokenKind, Verifier,
    backend_api::BackendApi,
    jwks::{FetchError, FetchErrorKind},
    testing::ManualClock,
    verify::{Instance, VerifyError, VerifyErrorKind},
};

use crate::support::{issuer, within};

pub(crate) const KINDS: [TokenKind; 3] = [TokenKind::ApiKey, TokenKind::OAuth, TokenKind::M2m];
/// The time of a new [`ManualClock`], in seconds since 1970.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn token(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::ApiKey => "ak_token2",
        TokenKind::OAuth => "oat_token2",
        TokenKind::M2m => "mt_token2",
        other => panic!("{other} is not opaque"),
    }
}

pub(crate) fn object_name(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::ApiKey => "api_key",
        TokenKind::OAuth => "clerk_idp_oauth_access_token",
        TokenKind::M2m => "machine_to_machine_token",
        other => panic!("{other} is not opaque"),
    }
}

pub(crate) fn sound(kind: TokenKind) -> Value {
    let subject = if kind == TokenKind::M2m { "mch_a" } else { "user_ada" };
    json!({
        "object": object_name(kind), "id": "id_1", "subject": subject, "scopes": ["a", "b"], "claims": null,
        "revoked": false, "revocation_reason": null, "expired": false, "expiration": (NOW + 60) * 1000,
    })
}

/// A sound answer with this member, or without it.
pub(crate) fn with(kind: TokenKind, name: &str, value: Option<Value>) -> Value {
    let mut answer = sound(kind);
    let members = answer.as_object_mut().expect("an object");
    match value {
        Some(value) => members.insert(name.to_owned(), value),
        None => members.remove(name),
    };
    answer
}

/// A configuration that accepts every kind, with no key for opaque tokens.
pub(crate) fn config() -> ClerkConfig {
    issuer().config().accept(TokenKind::all()).expect("kinds")
}

pub(crate) fn verifier(config: ClerkConfig, api: impl BackendApi + 'static) -> Verifier {
    let instance = Instance::new(config).backend_api(api);
    Verifier::builder(instance).clock(ManualClock::new()).build().expect("a verifier")
}

pub(crate) async fn verify_with(
    kind: TokenKind,
    response: Response<Bytes>,
    change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>,
) -> Result<Principal, VerifyError> {
    let config = change(config()).expect("a configuration");
    let api = move |_: Request<Bytes>| {
        let response = response.clone();
        async move { Ok::<_, FetchError>(response) }
    };
    within(verifier(config, api).verify_principal(token(kind))).await
}

pub(crate) fn response(status: u16, body: impl Into<Bytes>) -> Response<Bytes> {
    Response::builder().status(status).body(body.into()).expect("a response")
}

/// Verifies a token about which the API says this.
pub(crate) async fn verify(kind: TokenKind, answer: &Value) -> Result<Principal, VerifyError> {
    verify_with(kind, response(200, answer.to_string()), Ok).await
}

pub(crate) async fn is_valid(kind: TokenKind, answer: &Value) -> bool {
    verify(kind, answer).await.is_ok()
}

pub(crate) async fn is_inactive(kind: TokenKind, answer: &Value) -> bool {
    rejection(kind, answer, Ok).await == Some(VerifyErrorKind::Inactive)
}

/// Why a token with this answer is rejected; `None` if it is accepted.
pub(crate) async fn rejection(
    kind: TokenKind,
    answer: &Value,
    change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>,
) -> Option<VerifyErrorKind> {
    let error = verify_with(kind, response(200, answer.to_string()), change).await.err()?;
    assert_ne!(error.kind(), VerifyErrorKind::KeysUnavailable, "{answer}");
    Some(error.kind())
}

/// Why nothing is known about a token with this response.
pub(crate) async fn failure(kind: TokenKind, response: Response<Bytes>) -> Option<FetchErrorKind> {
    verify_with(kind, response, Ok).await.err()?.fetch_error_kind()
}
