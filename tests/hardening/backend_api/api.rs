//! A Backend API on a faulty server, and a verifier that asks it.

use serde_json::json;
use tower_clerk::{
    ClerkConfig, ConfigError, Principal, TokenKind, Verifier,
    jwks::FetchErrorKind,
    testing::ManualClock,
    verify::{UnavailableReason, VerifyError, VerifyErrorKind},
};

use crate::{
    faults::instance::response,
    support::{
        issuer,
        server::{Script, Server},
        within,
    },
};

pub(crate) const SECRET: &str = "sk_test_hunter2";
pub(crate) const TOKEN: &str = "ak_token2";

pub(crate) struct Api {
    pub(crate) server: Server,
    pub(crate) verifier: Verifier,
}

impl Api {
    /// A Backend API that has not been asked, on a server with this script.
    pub(crate) async fn start(script: Script) -> Self {
        Self::at(Server::start(script).await, Ok)
    }

    /// A Backend API whose connection to the verifier is kept, on a server that now has this script.
    pub(crate) async fn warm(script: Script) -> Self {
        let api = Self::start(good()).await;
        api.verify("ak_first").await.expect("a good key");
        api.server.respond(script);
        api
    }

    pub(crate) fn at(server: Server, change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>) -> Self {
        let config = change(config(&server.url())).expect("a configuration");
        let verifier = Verifier::builder(config).clock(ManualClock::new()).build().expect("a verifier");
        Self { server, verifier }
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<Principal, VerifyError> {
        within(self.verifier.verify_principal(token)).await
    }

    /// The error of a token about which the API says nothing.
    pub(crate) async fn failure(&self) -> VerifyError {
        let error = self.verify(TOKEN).await.expect_err("no answer");
        assert_eq!(error.kind(), VerifyErrorKind::KeysUnavailable);
        assert!(matches!(error.unavailable_reason(), Some(UnavailableReason::BackendApi(_))), "{error:?}");
        error
    }

    /// Asserts that the API says nothing about the token, after one request.
    pub(crate) async fn fails(&self, kind: FetchErrorKind) {
        let requests = self.server.requests();
        assert_eq!(self.failure().await.fetch_error_kind(), Some(kind));
        assert_eq!(self.server.requests(), requests + 1);
        assert_eq!(self.verifier.opaque_tokens_status().last_error, Some(kind));
    }
}

/// A configuration that accepts every kind and fetches no keys.
pub(crate) fn config(url: &str) -> ClerkConfig {
    ClerkConfig::from_jwt_key(issuer().public_key_pem())
        .and_then(|config| config.secret_key(SECRET))
        .and_then(|config| config.api_url(url))
        .and_then(|config| config.accept(TokenKind::all()))
        .expect("a configuration")
}

/// The body that says that an API key is valid.
pub(crate) fn good_body() -> String {
    json!({
        "object": "api_key", "id": "ak_id", "name": "deploy", "subject": "user_ada", "scopes": [], "claims": null,
        "revoked": false, "expired": false, "expiration": null,
    })
    .to_string()
}

/// The response that says that an API key is valid. It keeps the connection.
pub(crate) fn good() -> Script {
    response("200 OK", &[("Content-Type", "application/json")], good_body())
}

/// Asserts that a token with this response, the first one, is one about which the API says nothing.
pub(crate) async fn is_a_failure(script: Script, kind: FetchErrorKind) {
    Api::start(script).await.fails(kind).await;
}
