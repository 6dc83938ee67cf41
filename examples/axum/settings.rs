use std::error::Error;

use tower_clerk::{ClerkConfig, testing::TestIssuer};

use crate::variables::{is_set, of_process, port};

/// The settings from the environment. Without any, an embedded issuer replaces Clerk.
pub(crate) struct Settings {
    pub(crate) config: ClerkConfig,
    pub(crate) issuer: Option<TestIssuer>,
    pub(crate) port: u16,
}

impl Settings {
    pub(crate) async fn read(default_port: u16) -> Result<Self, Box<dyn Error>> {
        let port = port("PORT", of_process)?.unwrap_or(default_port);
        if ClerkConfig::ENVIRONMENT_VARIABLES.iter().any(|name| is_set(name)) {
            return Ok(Self { config: ClerkConfig::from_env()?, issuer: None, port });
        }
        let issuer = TestIssuer::start().await.map_err(|error| format!("the embedded issuer: {error}"))?;
        let config = issuer.config();
        Ok(Self { config, issuer: Some(issuer), port })
    }
}
