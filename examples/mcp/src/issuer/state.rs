//! The issuer itself: its key, and what it remembers.

use std::{fmt, time::Duration};

use tower_clerk::{
    ClerkConfig, ConfigError,
    testing::{TestIssuer, TokenBuilder},
};

use super::{pkce::Challenge, store::Store};
use crate::tools;

/// The embedded issuer.
pub struct Issuer {
    /// Signs the tokens.
    pub(super) keys: TestIssuer,
    pub(super) url: String,
    /// The only resource that it gives tokens for.
    pub(super) resource: String,
    pub(super) clients: Store<Client>,
    pub(super) codes: Store<Grant>,
}

impl Issuer {
    pub(crate) fn new(url: &str, resource: &str) -> Self {
        Self {
            keys: TestIssuer::new(),
            url: url.to_owned(),
            resource: resource.to_owned(),
            clients: Store::new(MAX_CLIENTS, None),
            codes: Store::new(MAX_CODES, Some(CODE_LIFETIME)),
        }
    }

    /// The URL that its tokens have as `iss`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A configuration that trusts it.
    pub(crate) fn config(&self) -> Result<ClerkConfig, ConfigError> {
        ClerkConfig::from_jwks(self.keys.jwks())?.add_issuer(&self.url)
    }

    /// A builder of an access token of its user, for its resource and with the basic scope.
    pub fn token(&self) -> TokenBuilder {
        self.keys
            .oauth_token(USER)
            .claim("iss", &self.url)
            .claim("aud", &self.resource)
            .claim("scope", tools::BASIC)
            .lifetime(TOKEN_LIFETIME)
    }

    /// What signs its tokens, and can sign other ones in tests.
    #[must_use]
    pub fn keys(&self) -> &TestIssuer {
        &self.keys
    }
}

/// A registered client.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) name: String,
    /// As the client wrote them: they are compared as text.
    pub(super) redirect_uris: Vec<String>,
}

/// What the user has let a client do, until it redeems the code.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) challenge: Challenge,
    pub(super) scopes: Vec<String>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Issuer").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The scopes that the user may grant.
pub(super) const SCOPES: [&str; 2] = [tools::BASIC, tools::WRITE];
/// Everybody's user.
pub(super) const USER: &str = "user_ada";
/// As short as a client needs for its next request (RFC 6749, section 4.1.2, allows ten minutes).
const CODE_LIFETIME: Duration = Duration::from_secs(60);
/// There are no refresh tokens, so a client comes back this often.
pub(super) const TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// The oldest that no user has allowed anything makes room. With the limits in `registration`, this is at most 16 MiB.
const MAX_CLIENTS: usize = 1000;
/// As for clients. Each is the click of a person.
const MAX_CODES: usize = 100;
