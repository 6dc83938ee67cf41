//! Attacks and faults: forged tokens, generated input, a second implementation as oracle, a key server that
//! misbehaves, as does the Backend API, and the load of many replicas.

#[path = "../support/mod.rs"]
mod support;

mod backend_api;
mod differential;
mod faults;
mod forgeries;
mod properties;
mod replicas;
