use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{expect, key::SigningKey};

/// Builder of a signed token; see [`TestIssuer::token`](super::TestIssuer::token).
///
/// Any claim and header parameter can be replaced or removed, so it also makes tokens that must be rejected. By default
/// the token is valid:
///
/// | member | session token | OAuth access token | M2M token |
/// |---|---|---|---|
/// | `alg`, `kid` of the header | RS256, the issuer's | the same | the same |
/// | `typ`, `cat` of the header | `JWT`, that of sessions | `at+jwt`, none | `JWT`, that of M2M tokens |
/// | `iss` | the issuer's URL | the same | the same |
/// | `sub` | the given user id | the same | the given machine id |
/// | `jti` | `test` | `oat_test` | `mt_test` |
/// | `iat`, `nbf`, `exp` | now, 10 seconds ago, in 60 seconds | in a day | in an hour |
/// | scopes | | `scope`, empty | `scopes`, empty |
/// | other | `sid` `sess_test`, `azp` `https://app.test.example`, `v` 2 | `client_id` `client_test` | |
///
/// The methods that concern one kind say so. A verifier ignores what they add to a token of another kind.
///
/// ```
/// use tower_clerk::{Verifier, testing::TestIssuer, verify::VerifyErrorKind};
///
/// let issuer = TestIssuer::new();
/// let verifier = Verifier::new(issuer.config())?;
/// let token = issuer.token("user_ada");
/// assert!(verifier.try_verify(&token.sign()).is_ok());
///
/// for (token, kind) in [
///     (token.clone().expired(), VerifyErrorKind::Expired),
///     (token.clone().claim("sts", "pending"), VerifyErrorKind::PendingSession),
///     (token.clone().without_claim("sid"), VerifyErrorKind::InvalidSessionId),
///     (token.header("alg", "none"), VerifyErrorKind::UnsupportedAlgorithm),
/// ] {
///     assert_eq!(verifier.try_verify(&token.sign()).unwrap_err().kind(), kind);
/// }
/// # Ok::<(), tower_clerk::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct TokenBuilder {
    claims: Map<String, Value>,
    features: Vec<String>,
    header: Map<String, Value>,
    issued_at: u64,
    key: SigningKey,
    layout: Layout,
    organization: Option<(String, String)>,
    permissions: Vec<(String, String)>,
    plans: Vec<String>,
    removed: Vec<String>,
    replaced: Map<String, Value>,
    slug: Option<String>,
}

/// Which claims a kind of token has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Layout {
    M2m,
    OAuth,
    SessionV1,
    SessionV2,
}

impl TokenBuilder {
    pub(super) fn oauth(key: SigningKey, issuer: &str, now: SystemTime, user_id: &str) -> Self {
        let issued_at = seconds(now);
        let claims = json!({
            "iss": issuer, "sub": user_id, "client_id": "client_test", "jti": "oat_test", "scope": "",
            "iat": issued_at, "nbf": issued_at.saturating_sub(10), "exp": issued_at + 24 * 60 * 60,
        });
        let session = Self::new(key, issuer, now, user_id);
        Self { claims: object(claims), layout: Layout::OAuth, ..session }.header("typ", "at+jwt").without_header("cat")
    }

    pub(super) fn m2m(key: SigningKey, issuer: &str, now: SystemTime, machine_id: &str) -> Self {
        let issued_at = seconds(now);
        let claims = json!({
            "iss": issuer, "sub": machine_id, "jti": "mt_test", "scopes": "",
            "iat": issued_at, "nbf": issued_at.saturating_sub(10), "exp": issued_at + 60 * 60,
        });
        let session = Self::new(key, issuer, now, machine_id);
        Self { claims: object(claims), layout: Layout::M2m, ..session }.header("cat", "cl_B7d4PD333AAA")
    }

    pub(super) fn new(key: SigningKey, issuer: &str, now: SystemTime, user_id: &str) -> Self {
        let issued_at = seconds(now);
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": key.kid(), "cat": "cl_B7d4PD111AAA" });
        let claims = json!({
            "iss": issuer, "sub": user_id, "sid": "sess_test", "jti": "test", "azp": "https://app.test.example",
            "iat": issued_at, "nbf": issued_at.saturating_sub(10), "exp": issued_at + 60,
        });
        Self {
            claims: object(claims),
            features: Vec::new(),
            header: object(header),
            issued_at,
            key,
            layout: Layout::SessionV2,
            organization: None,
            permissions: Vec::new(),
            plans: Vec::new(),
            removed: Vec::new(),
            replaced: Map::new(),
            slug: None,
        }
    }

    /// Makes a session token in the layout of version 1, without `v` and with `org_*` claims.
    pub fn v1(self) -> Self {
        let layout = if self.is_session() { Layout::SessionV1 } else { self.layout };
        Self { layout, ..self }
    }

    /// Sets the session id (`sid`) of a session token.
    pub fn session_id(self, id: &str) -> Self {
        self.claim("sid", id)
    }

    /// Sets the authorized party (`azp`) of a session token, an origin such as `https://app.example.com`.
    pub fn authorized_party(self, origin: &str) -> Self {
        self.claim("azp", origin)
    }

    /// Sets the active organization of a session token, and the user's role in it without the prefix `org:`.
    pub fn organization(self, id: &str, role: &str) -> Self {
        Self { organization: Some((id.to_owned(), role.to_owned())), ..self }
    }

    /// Sets the slug of the active organization. It has no effect without [`organization`](Self::organization).
    pub fn organization_slug(self, slug: &str) -> Self {
        Self { slug: Some(slug.to_owned()), ..self }
    }

    /// Adds the permission `org:<feature>:<name>` in the active organization, and in version 2 the organization's
    /// feature, to whose position in `fea` the permission mask belongs.
    pub fn permission(mut self, feature: &str, name: &str) -> Self {
        self.permissions.push((feature.to_owned(), name.to_owned()));
        self
    }

    /// Adds a feature with its scope: `o:dashboard` of the organization, `u:beta` of the user. Session tokens of
    /// version 2 only.
    pub fn feature(mut self, feature: &str) -> Self {
        self.features.push(feature.to_owned());
        self
    }

    /// Adds a plan with its scope: `o:business` of the organization, `u:pro` of the user. Session tokens of version 2
    /// only.
    pub fn plan(mut self, plan: &str) -> Self {
        self.plans.push(plan.to_owned());
        self
    }

    /// Sets the scopes: what the user has granted by an OAuth access token (`scope`), or the ids of the machines that
    /// an M2M token may be shown to (`scopes`).
    pub fn scopes<I>(self, scopes: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        let name = if self.layout == Layout::M2m { "scopes" } else { "scope" };
        let scopes: Vec<String> = scopes.into_iter().map(Into::into).collect();
        self.claim(name, scopes.join(" "))
    }

    /// Sets the client of an OAuth access token (`client_id`).
    pub fn client_id(self, id: &str) -> Self {
        self.claim("client_id", id)
    }

    /// Sets the services that the token is for (`aud`).
    pub fn audience<I>(self, audience: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        let audience: Vec<String> = audience.into_iter().map(Into::into).collect();
        self.claim("aud", audience)
    }

    /// Sets the organization that an OAuth access token is for (`org_id`).
    pub fn organization_id(self, id: &str) -> Self {
        self.claim("org_id", id)
    }

    /// Sets `exp` to this long after `iat`, in whole seconds.
    pub fn lifetime(self, lifetime: Duration) -> Self {
        let exp = self.issued_at + lifetime.as_secs();
        self.claim("exp", exp)
    }

    /// Makes a token that was issued an hour ago for 60 seconds: far beyond any clock skew.
    pub fn expired(mut self) -> Self {
        self.issued_at = self.issued_at.saturating_sub(3600);
        let issued_at = self.issued_at;
        self.claim("iat", issued_at).claim("nbf", issued_at).claim("exp", issued_at + 60)
    }

    /// Sets a claim, in place of the one that the other methods make.
    ///
    /// # Panics
    ///
    /// If `value` cannot be serialized to JSON.
    pub fn claim(mut self, name: &str, value: impl Serialize) -> Self {
        self.removed.retain(|removed| removed != name);
        self.replaced.insert(name.to_owned(), expect(serde_json::to_value(value), "a claim"));
        self
    }

    /// Removes a claim.
    pub fn without_claim(mut self, name: &str) -> Self {
        self.removed.push(name.to_owned());
        self
    }

    /// Sets a parameter of the header (RFC 7515, section 4).
    ///
    /// # Panics
    ///
    /// If `value` cannot be serialized to JSON.
    pub fn header(mut self, name: &str, value: impl Serialize) -> Self {
        self.header.insert(name.to_owned(), expect(serde_json::to_value(value), "a header parameter"));
        self
    }

    /// Removes a parameter of the header.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Returns the payload that [`sign`](Self::sign) signs, a JSON object.
    #[must_use]
    pub fn payload(&self) -> String {
        let mut claims = self.claims.clone();
        match self.layout {
            Layout::M2m | Layout::OAuth => {}
            Layout::SessionV1 => self.write_v1(&mut claims),
            Layout::SessionV2 => self.write_v2(&mut claims),
        }
        claims.extend(self.replaced.clone());
        for name in &self.removed {
            claims.remove(name);
        }
        Value::Object(claims).to_string()
    }

    /// Signs the token and returns its compact serialization (RFC 7515, section 7.1).
    #[must_use]
    pub fn sign(&self) -> String {
        self.key.sign(&Value::Object(self.header.clone()).to_string(), &self.payload())
    }

    fn is_session(&self) -> bool {
        matches!(self.layout, Layout::SessionV1 | Layout::SessionV2)
    }

    fn write_v1(&self, claims: &mut Map<String, Value>) {
        let Some((id, role)) = &self.organization else { return };
        let permissions: Vec<String> =
            self.permissions.iter().map(|(feature, name)| format!("org:{feature}:{name}")).collect();
        claims.insert("org_id".to_owned(), json!(id));
        claims.insert("org_role".to_owned(), json!(format!("org:{role}")));
        claims.insert("org_permissions".to_owned(), json!(permissions));
        if let Some(slug) = &self.slug {
            claims.insert("org_slug".to_owned(), json!(slug));
        }
    }

    fn write_v2(&self, claims: &mut Map<String, Value>) {
        claims.insert("v".to_owned(), json!(2));
        let granting: Vec<&str> = unique(self.permissions.iter().map(|(feature, _)| feature.as_str()));
        let names: Vec<&str> = unique(self.permissions.iter().map(|(_, name)| name.as_str()));
        // The organization's features with permissions come first. Then the masks mean the same whether they count all
        // features or only the organization's, on which Clerk's SDKs disagree.
        let mut features: Vec<String> = granting.iter().map(|feature| format!("o:{feature}")).collect();
        features.extend(self.features.iter().cloned());
        if !features.is_empty() {
            claims.insert("fea".to_owned(), json!(features.join(",")));
        }
        if !self.plans.is_empty() {
            claims.insert("pla".to_owned(), json!(self.plans.join(",")));
        }
        let Some((id, role)) = &self.organization else { return };
        let mut organization = object(json!({ "id": id, "rol": role }));
        if let Some(slug) = &self.slug {
            organization.insert("slg".to_owned(), json!(slug));
        }
        if !names.is_empty() {
            let mask = |feature: &&str| {
                let bit = |(at, name): (usize, &&str)| {
                    let has = self.permissions.iter().any(|(of, permission)| of == feature && permission == name);
                    if has { 1_u128 << at } else { 0 }
                };
                names.iter().enumerate().map(bit).sum::<u128>().to_string()
            };
            organization.insert("per".to_owned(), json!(names.join(",")));
            organization.insert("fpm".to_owned(), json!(granting.iter().map(mask).collect::<Vec<_>>().join(",")));
        }
        claims.insert("o".to_owned(), Value::Object(organization));
    }
}

impl fmt::Debug for TokenBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TokenBuilder").field("layout", &self.layout).finish_non_exhaustive()
    }
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn unique<'a>(items: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut unique = Vec::new();
    for item in items {
        if !unique.contains(&item) {
            unique.push(item);
        }
    }
    unique
}
