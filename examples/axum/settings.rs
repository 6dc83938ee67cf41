use std::env;

use tower_clerk::{ClerkConfig, testing::TestIssuer};

/// What the environment says, and the issuer that stands in for Clerk if it says nothing.
pub(crate) struct Settings {
    pub(crate) config: ClerkConfig,
    pub(crate) issuer: Option<TestIssuer>,
    pub(crate) port: u16,
}

impl Settings {
    pub(crate) async fn read(default_port: u16) -> Result<Self, String> {
        let port = match env::var("PORT") {
            Ok(port) => port.parse().map_err(|_| "PORT must be a number from 0 to 65535".to_owned())?,
            Err(env::VarError::NotPresent) => default_port,
            Err(env::VarError::NotUnicode(_)) => return Err("PORT must be a number from 0 to 65535".to_owned()),
        };
        if ClerkConfig::ENVIRONMENT_VARIABLES.iter().any(|name| is_set(name)) {
            let config = ClerkConfig::from_env().map_err(|error| error.to_string())?;
            return Ok(Self { config, issuer: None, port });
        }
        let issuer = TestIssuer::start().await.map_err(|error| format!("the embedded issuer: {error}"))?;
        let config = issuer.config();
        Ok(Self { config, issuer: Some(issuer), port })
    }
}

/// Set to nothing counts as not set, except for a list of parties: an empty one is a mistake to report.
fn is_set(name: &str) -> bool {
    env::var_os(name)
        .is_some_and(|value| !value.to_string_lossy().trim().is_empty() || name == "CLERK_AUTHORIZED_PARTIES")
}
