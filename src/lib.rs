//! x
mod clock;
pub mod claims;
pub mod config;
pub mod jwks;
mod json;
mod jwt;
mod telemetry;
pub mod verify;
pub use self::{config::{ClerkConfig, ConfigError}, verify::Verifier};
