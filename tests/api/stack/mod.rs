//! The layer in real stacks: axum, tower's limits, hyper over sockets, WebSockets and tonic. Keys are known, or have to
//! be fetched first.

mod axum_extensions;
mod axum_mounting;
mod axum_order;
mod bodies;
mod cors;
mod grpc;
mod grpc_service;
mod header_limit;
mod http1;
mod http2;
mod limits;
mod parked;
mod readiness;
mod stacked;
mod streaming;
mod trait_bounds;
mod websocket;
mod websocket_subprotocols;

use tower_clerk::ClerkAuthLayer;

use crate::support::{cold_layer, layer};

/// A hot layer, which has its key, and a cold one, whose first request waits for the key.
fn arms() -> [(&'static str, ClerkAuthLayer); 2] {
    let (cold, gate) = cold_layer();
    gate.open();
    [("hot", layer()), ("cold", cold)]
}
