//! The tokens that the example accepts beside those of sessions.

use tower_clerk::{ClerkConfig, ConfigError, TokenKind, testing::TestIssuer};

use crate::variables::is_set;

/// Accepts every kind of token that there are keys for: JWTs of every kind, and API keys with a secret key alone. Without
/// one, opaque OAuth and M2M tokens are rejected too, and nobody is asked about them.
///
/// The embedded issuer is asked about opaque tokens as Clerk would be.
pub(crate) fn accepted(config: ClerkConfig, issuer: Option<&TestIssuer>) -> Result<ClerkConfig, ConfigError> {
    match issuer {
        Some(issuer) => {
            config.accept(TokenKind::all())?.secret_key("sk_test_embedded")?.api_url(issuer.backend_api().url())
        }
        None if is_set("CLERK_SECRET_KEY") => config.accept(TokenKind::all()),
        None => config.accept([TokenKind::Session, TokenKind::OAuth, TokenKind::M2m]),
    }
}

/// A token of each kind and form for programs: what it is, a path for it, and the token.
pub(crate) fn of_programs(issuer: &TestIssuer) -> [(&'static str, &'static str, String); 5] {
    let api = issuer.backend_api();
    let scopes = ["profile", "things:read"];
    let key = api.api_key("org_acme").name("nightly export").claim("plan", "business");
    [
        ("an OAuth access token that is a JWT", "/oauth", issuer.oauth_token("user_ada").scopes(scopes).sign()),
        ("an opaque OAuth access token", "/scoped", api.oauth_token("user_ada").scopes(scopes).issue()),
        ("an M2M token that is a JWT", "/any", issuer.m2m_token("mch_billing").scopes(["mch_api"]).sign()),
        ("an opaque M2M token", "/any", api.m2m_token("mch_billing").scopes(["mch_api"]).issue()),
        ("an API key", "/scoped", key.scopes(["things:read"]).issue()),
    ]
}
