//! The layer in real stacks: axum, tower's limits, hyper over sockets, WebSockets and tonic, with keys at
//! hand and with keys that have to be fetched first.

mod axum_extensions;
mod axum_mounting;
mod axum_order;
mod bodies;
mod bounds;
mod cors;
mod grpc;
mod grpc_service;
mod http1;
mod http2;
mod limits;
mod readiness;
mod sockets;
mod stacked;
mod streaming;
mod support;
mod websocket;
