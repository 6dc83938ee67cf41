//! Attacks and faults: forged tokens, generated input, a second implementation as oracle, and a key server that
//! misbehaves.

#[path = "../support/mod.rs"]
mod support;

mod differential;
mod faults;
mod forgeries;
mod properties;
