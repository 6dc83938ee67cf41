use std::{env, io::Write, net::SocketAddr, time::Duration};

use tower_clerk::{ClerkConfig, testing::TestIssuer};

/// What the environment says, and the issuer that stands in for Clerk if it says nothing.
pub(crate) struct Settings {
    pub(crate) config: ClerkConfig,
    issuer: Option<TestIssuer>,
    pub(crate) port: u16,
}

impl Settings {
    pub(crate) async fn read() -> Result<Self, String> {
        let port = match env::var("PORT") {
            Ok(port) => port.parse().map_err(|_| "PORT must be a number from 0 to 65535".to_owned())?,
            Err(env::VarError::NotPresent) => 3000,
            Err(env::VarError::NotUnicode(_)) => return Err("PORT must be a number from 0 to 65535".to_owned()),
        };
        if VARIABLES.iter().any(|name| is_set(name)) {
            let config = ClerkConfig::from_env().map_err(|error| error.to_string())?;
            return Ok(Self { config, issuer: None, port });
        }
        let issuer = TestIssuer::start().await.map_err(|error| format!("the embedded issuer: {error}"))?;
        let config = issuer.config();
        Ok(Self { config, issuer: Some(issuer), port })
    }

    pub(crate) fn print_what_to_try(&self, address: SocketAddr) {
        // Where no one listens nothing is lost, and the server goes on.
        let mut stdout = std::io::stdout();
        let _ = writeln!(stdout, "listening on http://{address}");
        let Some(issuer) = &self.issuer else { return };
        let token = issuer
            .token("user_ada")
            .authorized_party("http://localhost:3000")
            .organization("org_acme", "admin")
            .organization_slug("acme")
            .permission("invoices", "create")
            .permission("invoices", "read")
            .feature("u:beta")
            .plan("o:business")
            .claim("email", "ada@example.com")
            .lifetime(Duration::from_secs(60 * 60))
            .sign();
        let _ = writeln!(
            stdout,
            "\nno Clerk instance is configured: tokens of an embedded one are trusted, {}\n\n\
             without a token, 401:\n  curl -i http://{address}/protected\n\n\
             with a token that is good for an hour, 200:\n  curl -i http://{address}/protected -H 'Authorization: Bearer {token}'\n\n\
             with or without, 200:\n  curl -i http://{address}/optional",
            issuer.url()
        );
    }
}

/// Set to nothing counts as not set, except for a list of parties: an empty one is a mistake to report.
fn is_set(name: &str) -> bool {
    env::var_os(name)
        .is_some_and(|value| !value.to_string_lossy().trim().is_empty() || name == "CLERK_AUTHORIZED_PARTIES")
}

const VARIABLES: [&str; 7] = [
    "CLERK_API_URL",
    "CLERK_AUTHORIZED_PARTIES",
    "CLERK_FRONTEND_API_URL",
    "CLERK_JWKS_REFRESH_SECONDS",
    "CLERK_JWT_KEY",
    "CLERK_PUBLISHABLE_KEY",
    "CLERK_SECRET_KEY",
];
