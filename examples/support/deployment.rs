//! What a program that is deployed in front of others trusts: a Clerk instance from the environment, or the embedded
//! issuer of a demonstration, which has to be asked for.

use std::{error::Error, time::Duration};

use tower_clerk::{ClerkConfig, testing::TestIssuer};

use crate::variables::is_set;

/// Whose tokens are accepted.
pub(crate) struct Deployment {
    pub(crate) config: ClerkConfig,
    /// The issuer of the demonstration. It stops with this value.
    pub(crate) issuer: Option<TestIssuer>,
}

impl Deployment {
    /// Reads the environment, or starts the issuer of a demonstration.
    ///
    /// # Errors
    ///
    /// The environment has no Clerk instance, a bad one, or one beside the demonstration. Or the issuer cannot start.
    pub(crate) async fn read(is_demonstration: bool) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let set = ClerkConfig::ENVIRONMENT_VARIABLES.iter().find(|name| is_set(name));
        match (is_demonstration, set) {
            (false, Some(_)) => Ok(Self { config: ClerkConfig::from_env()?, issuer: None }),
            (false, None) => {
                Err("no Clerk instance is configured: set CLERK_PUBLISHABLE_KEY, or try the program with \
                                  --demo, which trusts an issuer of its own"
                    .into())
            }
            // A deployment must not trust the tokens of a demonstration by a flag that was left over.
            (true, Some(name)) => Err(format!("--demo trusts an issuer of its own: unset {name}").into()),
            (true, None) => {
                let issuer = TestIssuer::start().await.map_err(|error| format!("the embedded issuer: {error}"))?;
                Ok(Self { config: issuer.config(), issuer: Some(issuer) })
            }
        }
    }
}

/// The token of an administrator, good for an hour.
pub(crate) fn token_of_an_admin(issuer: &TestIssuer) -> String {
    let token = issuer.token("user_ada").organization("org_acme", "admin").organization_slug("acme");
    let token = token.permission("invoices", "create").claim("email", "ada@example.com");
    token.lifetime(Duration::from_secs(60 * 60)).sign()
}

/// The token of a user who may do nothing in particular, good for an hour.
pub(crate) fn token_of_a_member(issuer: &TestIssuer) -> String {
    let token = issuer.token("user_bob").organization("org_acme", "member").organization_slug("acme");
    token.lifetime(Duration::from_secs(60 * 60)).sign()
}
