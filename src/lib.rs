//! x
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod authenticate;
#[cfg(feature = "axum")]
mod axum;
pub mod claims;
mod clock;
pub mod config;
mod json;
pub mod jwks;
mod jwt;
pub mod rejection;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token;
pub mod verify;

#[cfg(feature = "axum")]
pub use self::axum::ExtractRejection;
pub use self::{
    authenticate::{ClerkAuth, ClerkAuthLayer, ClerkAuthService, CustomClaims},
    config::{ClerkConfig, ConfigError},
    rejection::Rejection,
    token::TokenSource,
    verify::Verifier,
};
