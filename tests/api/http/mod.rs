//! Which requests pass, and what the others are answered.

mod cookies;
mod credentials;
mod extractors;
mod gateway;
mod modes;
mod refusals;
mod sources;
mod support;
