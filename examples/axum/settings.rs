use std::{env, error::Error, ffi::OsStr};

use tower_clerk::{ClerkConfig, testing::TestIssuer};

/// The settings from the environment. Without any, an embedded issuer replaces Clerk.
pub(crate) struct Settings {
    pub(crate) config: ClerkConfig,
    pub(crate) issuer: Option<TestIssuer>,
    pub(crate) port: u16,
}

impl Settings {
    pub(crate) async fn read(default_port: u16) -> Result<Self, Box<dyn Error>> {
        // Deployment tools often set an empty variable for a missing value.
        let port = match env::var_os("PORT").filter(|port| !is_blank(port)) {
            None => default_port,
            Some(port) => port.to_string_lossy().trim().parse().map_err(|_| "PORT must be a number from 0 to 65535")?,
        };
        if ClerkConfig::ENVIRONMENT_VARIABLES.iter().any(|name| is_set(name)) {
            return Ok(Self { config: ClerkConfig::from_env()?, issuer: None, port });
        }
        let issuer = TestIssuer::start().await.map_err(|error| format!("the embedded issuer: {error}"))?;
        let config = issuer.config();
        Ok(Self { config, issuer: Some(issuer), port })
    }
}

/// An empty variable counts as not set. An empty list of parties is reported as a mistake instead.
pub(crate) fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !is_blank(&value) || name == "CLERK_AUTHORIZED_PARTIES")
}

fn is_blank(value: &OsStr) -> bool {
    value.to_string_lossy().trim().is_empty()
}
