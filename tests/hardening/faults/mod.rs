//! Fetching keys over a real socket from a server that misbehaves: which responses are failures, which keys stay in
//! use, and how the verifier recovers.

mod bodies;
mod custom_client;
mod deadlines;
mod environment;
pub(crate) mod instance;
mod no_fetch;
mod outages;
mod redirects;
mod request;
mod responses;
mod retry_after;
mod secrets;
mod sizes;
mod statuses;
mod wire;
