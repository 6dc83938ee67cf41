//! Fetching keys over a real socket from a server that misbehaves: what counts as a failure, what stays in use
//! meanwhile, and how it recovers.

mod asked;
mod bodies;
mod deadlines;
mod instance;
mod outages;
mod own_client;
mod quiet;
mod redirects;
mod responses;
mod retry_after;
mod secrets;
mod sizes;
mod statuses;
mod support;
mod wire;
