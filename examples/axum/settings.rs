use std::env;

use tower_clerk::{ClerkConfig, testing::TestIssuer};

/// The settings from the environment. Without any, an embedded issuer replaces Clerk.
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

/// An empty variable counts as not set. An empty list of parties is reported as a mistake instead.
fn is_set(name: &str) -> bool {
    env::var_os(name)
        .is_some_and(|value| !value.to_string_lossy().trim().is_empty() || name == "CLERK_AUTHORIZED_PARTIES")
}
