use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{issuer::SigningKey, must};

/// A token in the making; whatever a real one has can be changed, and what it must have be left out.
#[derive(Clone)]
#[must_use]
pub struct TokenBuilder {
    claims: Map<String, Value>,
    features: Vec<String>,
    header: Map<String, Value>,
    issued_at: u64,
    key: SigningKey,
    organization: Option<(String, String)>,
    permissions: Vec<(String, String)>,
    plans: Vec<String>,
    removed: Vec<String>,
    replaced: Map<String, Value>,
    slug: Option<String>,
    version: u8,
}

impl TokenBuilder {
    pub(super) fn new(key: SigningKey, issuer: &str, now: SystemTime, user_id: &str) -> Self {
        let issued_at = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
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
            organization: None,
            permissions: Vec::new(),
            plans: Vec::new(),
            removed: Vec::new(),
            replaced: Map::new(),
            slug: None,
            version: 2,
        }
    }

    /// Writes the token in the layout of version 1.
    pub fn v1(self) -> Self {
        Self { version: 1, ..self }
    }

    /// With this session id (`sid`).
    pub fn session_id(self, id: &str) -> Self {
        self.claim("sid", id)
    }

    /// For this authorized party (`azp`).
    pub fn authorized_party(self, origin: &str) -> Self {
        self.claim("azp", origin)
    }

    /// With this active organization; the role without its `org:` prefix.
    pub fn organization(self, id: &str, role: &str) -> Self {
        Self { organization: Some((id.to_owned(), role.to_owned())), ..self }
    }

    /// With this slug of the active organization.
    pub fn organization_slug(self, slug: &str) -> Self {
        Self { slug: Some(slug.to_owned()), ..self }
    }

    /// With the permission `org:<feature>:<name>` in the active organization, and the feature with it.
    pub fn permission(mut self, feature: &str, name: &str) -> Self {
        self.permissions.push((feature.to_owned(), name.to_owned()));
        self
    }

    /// With this feature, its scope before it: `o:dashboard`, `u:beta`.
    pub fn feature(mut self, feature: &str) -> Self {
        self.features.push(feature.to_owned());
        self
    }

    /// With this plan, its scope before it: `o:business`, `u:pro`.
    pub fn plan(mut self, plan: &str) -> Self {
        self.plans.push(plan.to_owned());
        self
    }

    /// Expiring this long after it was issued.
    pub fn lifetime(self, lifetime: Duration) -> Self {
        let exp = self.issued_at + lifetime.as_secs();
        self.claim("exp", exp)
    }

    /// Issued an hour ago and expired for long.
    pub fn expired(mut self) -> Self {
        self.issued_at = self.issued_at.saturating_sub(3600);
        let issued_at = self.issued_at;
        self.claim("iat", issued_at).claim("nbf", issued_at).claim("exp", issued_at + 60)
    }

    /// With this claim, in place of the one it would have.
    pub fn claim(mut self, name: &str, value: impl Serialize) -> Self {
        self.removed.retain(|removed| removed != name);
        self.replaced.insert(name.to_owned(), must(serde_json::to_value(value), "a claim"));
        self
    }

    /// Without this claim.
    pub fn without_claim(mut self, name: &str) -> Self {
        self.removed.push(name.to_owned());
        self
    }

    /// With this header parameter.
    pub fn header(mut self, name: &str, value: impl Serialize) -> Self {
        self.header.insert(name.to_owned(), must(serde_json::to_value(value), "a header parameter"));
        self
    }

    /// Without this header parameter.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// The payload as it will be signed.
    #[must_use]
    pub fn payload(&self) -> String {
        let mut claims = self.claims.clone();
        match self.version {
            1 => self.write_v1(&mut claims),
            _ => self.write_v2(&mut claims),
        }
        claims.extend(self.replaced.clone());
        for name in &self.removed {
            claims.remove(name);
        }
        Value::Object(claims).to_string()
    }

    /// The finished token.
    #[must_use]
    pub fn sign(&self) -> String {
        self.key.sign(&Value::Object(self.header.clone()).to_string(), &self.payload())
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
        // Features with permissions come first, so that their masks count the same from either end.
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
        formatter.debug_struct("TokenBuilder").field("version", &self.version).finish_non_exhaustive()
    }
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
