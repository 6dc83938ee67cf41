//! One verifier that trusts several instances, configured or resolved.

mod configured;
mod cookies;
mod resolved;
mod support;
