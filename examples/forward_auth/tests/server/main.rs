//! The program as a process: by itself, and behind the real proxies with the sample configurations.
//!
//! The tests with proxies are ignored by default: `.ci/forward_auth` installs the proxies and runs all of them.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod advisories;
mod attacks;
mod program;
mod proxies;
mod spoofed_headers;
mod support;
mod verify;
