//! What a verifier accepts, refuses, and where the boundary runs, through the public API.

mod claims;
mod header;
mod keys;
mod payload;
mod support;
mod times;
