use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    expect,
    records::{Record, Records},
};
use crate::token_kind::TokenKind;

/// Builder of an opaque token; see [`TestBackendApi::api_key`](super::TestBackendApi::api_key).
///
/// [`issue`](Self::issue) returns its text, and the [`TestBackendApi`](super::TestBackendApi) knows it from then on. By
/// default it is valid:
///
/// | member of the answer | API key | OAuth access token | M2M token |
/// |---|---|---|---|
/// | `id` | `ak_test_1` | `oat_test_1` | `mt_test_1` |
/// | `subject` | the given id | the given user id | the given machine id |
/// | `scopes` | none | none | none |
/// | `expiration` | none | in a day | in an hour |
/// | other | `name`: `test` | `client_id`: `client_test` | |
///
/// Any member can be replaced or removed, so it also makes answers that a verifier must reject:
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use tower_clerk::{
///     TokenKind, Verifier,
///     testing::{TestBackendApi, TestIssuer},
///     verify::{Instance, VerifyErrorKind},
/// };
///
/// let api = TestBackendApi::new();
/// let config = TestIssuer::new().config().accept([TokenKind::ApiKey])?;
/// let verifier = Verifier::builder(Instance::new(config).backend_api(api.clone())).build()?;
/// let key = api.api_key("org_acme");
/// assert!(verifier.verify_principal(&key.clone().issue()).await.is_ok());
///
/// for key in [key.clone().revoked(), key.clone().expired(), key.member("subject", "acme")] {
///     let error = verifier.verify_principal(&key.issue()).await.unwrap_err();
///     assert_eq!(error.kind(), VerifyErrorKind::Inactive);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct OpaqueTokenBuilder {
    now: SystemTime,
    record: Record,
    records: Arc<Records>,
}

impl OpaqueTokenBuilder {
    pub(super) fn api_key(records: Arc<Records>, subject: &str) -> Self {
        let members = json!({
            "object": "api_key", "type": "api_key", "name": "test", "subject": subject, "scopes": [], "claims": null,
            "created_by": null, "description": null, "last_used_at": null,
        });
        Self::new(records, TokenKind::ApiKey, members, None)
    }

    pub(super) fn m2m(records: Arc<Records>, machine_id: &str) -> Self {
        let members = json!({
            "object": "machine_to_machine_token", "subject": machine_id, "scopes": [], "claims": null,
            "last_used_at": null,
        });
        Self::new(records, TokenKind::M2m, members, Some(HOUR))
    }

    pub(super) fn oauth(records: Arc<Records>, user_id: &str) -> Self {
        let members = json!({
            "object": "clerk_idp_oauth_access_token", "type": "oauth:access_token", "client_id": "client_test",
            "subject": user_id, "scopes": [],
        });
        Self::new(records, TokenKind::OAuth, members, Some(24 * HOUR))
    }

    fn new(records: Arc<Records>, kind: TokenKind, members: Value, lifetime: Option<Duration>) -> Self {
        let now = records.now();
        let created = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let mut members = match members {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        for name in ["created_at", "updated_at"] {
            members.insert(name.to_owned(), json!(created));
        }
        let expires_at = lifetime.map(|lifetime| now + lifetime);
        let record = Record { kind, members, expires_at, is_revoked: false, replaced: Vec::new() };
        Self { now, record, records }
    }

    pub(super) fn subject(self, id: &str) -> Self {
        self.set("subject", json!(id))
    }

    /// Sets the id, which is no secret.
    pub fn id(self, id: &str) -> Self {
        self.set("id", json!(id))
    }

    /// Sets the name of an API key.
    pub fn name(self, name: &str) -> Self {
        self.set("name", json!(name))
    }

    /// Sets the scopes; those of an M2M token are the ids of the machines that it may be shown to.
    pub fn scopes<I>(self, scopes: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        let scopes: Vec<String> = scopes.into_iter().map(Into::into).collect();
        self.set("scopes", json!(scopes))
    }

    /// Sets a custom claim of an API key or an M2M token.
    ///
    /// # Panics
    ///
    /// If `value` cannot be serialized to JSON.
    pub fn claim(mut self, name: &str, value: impl Serialize) -> Self {
        let mut claims = match self.record.members.remove("claims") {
            Some(Value::Object(claims)) => claims,
            _ => Map::new(),
        };
        claims.insert(name.to_owned(), expect(serde_json::to_value(value), "a claim"));
        self.set("claims", Value::Object(claims))
    }

    /// Sets the client of an OAuth access token.
    pub fn client_id(self, id: &str) -> Self {
        self.set("client_id", json!(id))
    }

    /// Sets the services that an OAuth access token is for (`aud`).
    pub fn audience<I>(self, audience: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        let audience: Vec<String> = audience.into_iter().map(Into::into).collect();
        self.set("aud", json!(audience))
    }

    /// Makes a token that expires after this time.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.record.expires_at = Some(self.now + lifetime);
        self
    }

    /// Makes a token that expired an hour ago: far beyond any clock skew.
    pub fn expired(mut self) -> Self {
        self.record.expires_at = Some(self.now - HOUR);
        self
    }

    /// Makes a token that was revoked; see [`TestBackendApi::revoke`](super::TestBackendApi::revoke).
    pub fn revoked(mut self) -> Self {
        self.record.is_revoked = true;
        self
    }

    /// Sets a member of the answer, in place of the one that the other methods make.
    ///
    /// # Panics
    ///
    /// If `value` cannot be serialized to JSON.
    pub fn member(mut self, name: &str, value: impl Serialize) -> Self {
        let value = expect(serde_json::to_value(value), "a member");
        self.record.replaced.push((name.to_owned(), Some(value)));
        self
    }

    /// Removes a member of the answer.
    pub fn without_member(mut self, name: &str) -> Self {
        self.record.replaced.push((name.to_owned(), None));
        self
    }

    /// Issues the token and returns its text: its prefix (`ak_`, `oat_` or `mt_`) and 32 random characters.
    #[must_use]
    pub fn issue(self) -> String {
        let body: String = std::iter::repeat_with(fastrand::alphanumeric).take(32).collect();
        let text = format!("{}{body}", self.prefix());
        self.issue_as(&text)
    }

    /// Issues the token with this text, and returns it.
    #[must_use]
    pub fn issue_as(mut self, text: &str) -> String {
        let id = format!("{}test_{}", self.prefix(), self.records.next_number());
        self.record.members.entry("id").or_insert_with(|| json!(id));
        self.records.insert(text, self.record);
        text.to_owned()
    }

    fn prefix(&self) -> &'static str {
        match self.record.kind {
            TokenKind::M2m => "mt_",
            TokenKind::OAuth => "oat_",
            TokenKind::ApiKey | TokenKind::Session => "ak_",
        }
    }

    fn set(mut self, name: &str, value: Value) -> Self {
        self.record.members.insert(name.to_owned(), value);
        self
    }
}

impl fmt::Debug for OpaqueTokenBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OpaqueTokenBuilder").field("kind", &self.record.kind).finish_non_exhaustive()
    }
}

const HOUR: Duration = Duration::from_secs(60 * 60);
