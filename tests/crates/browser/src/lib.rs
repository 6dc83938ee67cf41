//! The page of the axum example, and the recipes of the guide's chapter on browsers, in the real Chromium.
//!
//! ```text
//! .ci/browser
//! ```
//!
//! That installs Chromium and ChromeDriver, builds the example and runs the tests. Screenshots of the page are written
//! to the folder `screenshots` of the target folder.

#![cfg(test)]

mod browser;
mod cookies;
mod events;
mod origins;
mod page;
#[path = "../../../examples/process.rs"]
#[allow(dead_code, reason = "the tests of the examples use the rest")]
mod process;
mod site;
mod tls;
mod websocket;

/// The chapter, whose recipes are those that the tests run.
const GUIDE: &str = include_str!("../../../../src/guide/browsers.md");
